//! A day of history in memory: the newest points of every series, compressed.
//!
//! ```
//! use foghorn::window::{MatchOperator, Matcher, ValueKind, WindowSettings, Windows};
//!
//! let mut windows = Windows::new(WindowSettings::default());
//! let start = 1_780_000_000_000; // milliseconds since the epoch
//! windows.advance(0, start);
//! let id = windows.register("temperature", ValueKind::Gauge, &[("room", "attic")])?;
//! for minute in 0..10 {
//!     windows.push(id, start + minute * 60_000, 21.5)?;
//! }
//! let attic = Matcher::new(MatchOperator::Regex, "room", "at+ic")?;
//! let found = windows.select(&[attic], start, start + 120_000);
//! let mut cursor = found[0].cursor();
//! assert_eq!(cursor.next_piece().map(|piece| piece.values().len()), Some(3));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How points are kept
//!
//! A series is a ring: the newest `capacity` points can be read, in the order of their own
//! timestamps, which are milliseconds, as Prometheus has them; OTLP's nanoseconds are rounded
//! down by whoever pushes. Up to 240 points wait in its head. Then they are sealed into a
//! chunk, and later four chunks are merged into one of 960 points.
//!
//! | what | how it is kept |
//! |---|---|
//! | a number that doesn't change | once a chunk |
//! | decimal numbers | integers or their differences, as many bits as a block of 64 needs |
//! | other numbers | the same with the bits of the numbers |
//! | histograms, summaries | a column for each bucket or quantile |
//! | timestamps at one interval | the first and the interval |
//! | other timestamps | packed, and shared by the series of one scrape |
//! | labels | each text once |
//!
//! A sample takes, everything included, over a day at 15 s of 1,000 series of one kind:
//!
//! | shape | bytes a sample |
//! |---|---|
//! | constant | 0.21 |
//! | a gauge with one decimal that changes by up to 0.3 | 0.84 |
//! | an integer counter that grows by up to 200 | 1.47 |
//! | up and down between 0 and 1 | 0.59 |
//! | full-precision noise | 7.48 |
//!
//! 10,000 series, half of them constant, a quarter slow gauges, a fifth counters and the rest
//! noise, take 54 MiB with a day of points, and up to 61 MiB before chunks are merged. Both are
//! what `benches/window.rs` prints.
//!
//! pco, the format for numeric columns that has entropy coding, was tried for the values. In
//! chunks of 240 it took 0.72 bytes a sample for the gauge (here 0.43), 1.14 for the counter
//! (1.06) and 7.09 for noise (7.07), 10 ns to unpack a sample (1.7) and 35 ns to pack one (8).
//! Reading a day of a thousand series is six million samples, so the time to unpack decides.
//!
//! # Bounds
//!
//! Points, series, bytes, the width of a point and the age of what still arrives are bounded
//! ([`WindowSettings`]). A store at `max_memory` drops the oldest chunks of all series first, so
//! that it remembers less far back and always the newest; what it can't take at all it
//! refuses and counts ([`StoreRefusal`]). Nothing arrives, however often, that makes it abort.
//!
//! # Reading
//!
//! A [`Snapshot`] shares the sealed chunks and copies the head; its [`Cursor`] unpacks one chunk
//! at a time. What every chunk knows of its numbers ([`Digest`]) spares unpacking where a sum or
//! an extreme is all that is asked for. [`Windows`] has no lock inside: whoever shares it
//! takes [`Windows::find`] and a few [`Windows::snapshot`] under a lock at a time, each of which
//! takes about a microsecond, and reads without it. Expressions on labels that many series
//! have are tried without it, too ([`Matcher::resolve`]).
//!
//! **Architecture Invariant:** nothing here knows a pipeline, a clock or a socket. It
//! imports nothing of the crate but [`crate::regexp`].

pub mod aggregation;
mod bits;
mod catalog;
mod charge;
mod chunk;
mod codec;
mod cursor;
mod digest;
mod error;
mod excerpt;
mod head;
mod id;
mod index;
mod layout;
mod matcher;
mod parts;
mod point;
mod reads;
mod ring;
mod settings;
mod shared;
mod shelf;
mod snapshot;
pub mod stats;
mod symbols;
mod timeline;
mod times;
mod windows;

pub use catalog::MetricInfo;
#[doc(hidden)]
pub use chunk::{decode_chunk, encode_chunk};
pub use cursor::{Buffers, Cursor, Piece};
pub use digest::Digest;
pub use error::{Corrupt, StoreRefusal};
pub use excerpt::Excerpt;
pub use id::{LabelTexts, RingId};
pub use layout::Division;
pub use matcher::{MatchOperator, Matcher, MatcherError};
pub use point::{
    STALE, StoredExponential, StoredHistogram, StoredPoint, StoredSummary, ValueKind, is_stale,
};
pub use reads::{RingExtent, RingIdentity, RingInfo, WindowTotals};
pub use ring::Placed;
pub use settings::WindowSettings;
pub use shared::SharedWindows;
pub use shelf::Shelf;
pub use snapshot::Snapshot;
pub use windows::{TIMES, Windows};

#[cfg(test)]
mod tests;
