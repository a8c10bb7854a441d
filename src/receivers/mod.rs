//! Where data enters.
//!
//! A pull receiver is a [`scrape::Scraper`] for each of its endpoints; the controller in
//! [`scrape`] owns everything that is alike for all of them.
//!
//! **Architecture Invariant:** receivers import `component`, `pdata`, `resilience`,
//! `window`, `telemetry`, `server`, `exposition` and `yaml`. None imports another; what pull
//! receivers share is in `scrape`.

pub mod betanet;
pub mod node;
pub mod otlp;
pub mod scrape;
