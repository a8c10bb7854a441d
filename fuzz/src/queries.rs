//! Random queries and series, as the tests ask them of a real Prometheus.

pub use foghorn::query as lib;

#[path = "../../tests/promql/data.rs"]
pub mod data;
#[path = "../../tests/promql/random.rs"]
pub mod random;
#[path = "../../tests/promql/queries.rs"]
mod texts;
#[path = "../../tests/promql/words.rs"]
mod words;

pub use texts::random as text;
