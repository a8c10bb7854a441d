//! The control plane of the fog: lists in pages, and where it is asked for them, details.

mod client;
mod list;
mod scraper;
mod wire;

pub(super) use scraper::FogScraper;
