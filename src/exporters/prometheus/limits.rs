//! The limits of a page, in lines and in bytes.
//!
//! A limit on lines alone doesn't bound memory: a label can be as long as a request, a histogram
//! writes its labels once per bucket, and a help text is written on every page. So there are
//! limits on each text, on the bytes of a series and on those of the page. They count names,
//! keys, label values, help texts, units, and the texts of resource and scope.

use super::series::lines;
use crate::exposition::{Descriptor, SampleValue};

/// The values of `max_series`, `max_series_bytes` and `max_page_bytes`.
#[derive(Debug, Clone, Copy)]
pub(super) struct StoreLimits {
    /// The most lines of the page.
    pub(super) lines: usize,
    /// The most bytes that one series writes.
    pub(super) series_bytes: usize,
    /// The most bytes that all series write, with the metadata of their families.
    pub(super) page_bytes: usize,
}

/// Bytes of a line beside name and labels: a suffix, a bucket's bound, and the value.
const LINE: usize = 32;

/// The bytes that a series of this family writes, accurate to a few bytes per line.
pub(super) fn series_bytes(family: &str, text: &[u8], value: &SampleValue) -> usize {
    match value {
        // The text of a number's series already contains the name.
        SampleValue::Number(_) => text.len() + LINE,
        _ => lines(value) * (family.len() + text.len() + LINE),
    }
}

/// The bytes of a family's metadata lines (name, help, unit), and as much again for its entry in
/// memory.
pub(super) fn family_bytes(descriptor: &Descriptor) -> usize {
    4 * (descriptor.name.len() + LINE) + descriptor.help.len() + descriptor.unit.len()
}
