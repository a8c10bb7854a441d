//! Metrics as text that Prometheus reads: the model of a page, and its one encoder.
//!
//! A page is a run of families, each a [`Descriptor`] and its [`Series`]. A series keeps
//! what never changes, its name and labels, as the text that goes on the page, so that a
//! line costs one copy and one number. Two formats come out of the same model, Prometheus
//! text 0.0.4 and OpenMetrics 1.0; [`Accepted`] reads which one a scraper asks for.
//!
//! The encoder can't write an invalid line: label values and help are escaped, values that
//! OpenMetrics forbids (a counter that is NaN or negative) are left out there. That whole
//! pages are valid, with no name twice, is up to [`FamilyNames`], which owners of families ask.
//!
//! The other way round, [`read`] reads the pages of others.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate but `steps`.

mod accept;
mod encoder;
mod gathered;
mod model;
mod names;
mod number;
mod page;
pub mod read;
#[cfg(test)]
mod tests;

pub use accept::{Accepted, Format};
pub use encoder::Encoder;
pub use gathered::{GatheredFamily, GatheredSeries, families, gathered};
pub use model::{
    Bounds, Descriptor, Family, Histogram, Kind, Labels, SampleExemplar, SampleValue, Series,
    Summary,
};
pub use names::{FamilyNames, is_legacy_name};
pub use number::{EXACT, canonical, exponential, special};
pub use page::{Chunks, PageWriter, page};
