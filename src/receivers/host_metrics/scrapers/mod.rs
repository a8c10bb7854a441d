//! The scrapers: what each writes of a reading, under the Collector's names.

pub(super) mod cpu;
pub(super) mod disk;
pub(super) mod filesystem;
pub(super) mod load;
pub(super) mod memory;
pub(super) mod network;
pub(super) mod paging;
pub(super) mod process;
pub(super) mod processes;
pub(super) mod system;

use crate::pdata::writer::PointNumber;

/// Milliseconds as seconds.
fn seconds(millis: u64) -> PointNumber {
    PointNumber::Double(millis as f64 / 1000.0)
}
