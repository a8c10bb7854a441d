//! The limits of a page, in lines and in bytes.
//!
//! A limit on lines alone doesn't bound memory: a label can be as long as a request, a histogram
//! writes its labels once per bucket, and a help text is written on every page. So there are
//! limits on each text, on the bytes of a series and on those of the page. They count names,
//! keys, label values, help texts, units, and the texts of resource and scope.

use super::PageSettings;
use super::labels::{INSTANCE, NAME, NAMESPACE, is_within};
use super::reading::lines;
use crate::exposition::{Descriptor, SampleValue};
use crate::pdata::view::{Attributes, KeyValue, Metric, ResourceMetrics, ScopeMetrics};

/// The values of `max_series`, `max_text_bytes`, `max_series_bytes` and `max_page_bytes`.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits {
    /// The most lines of the page.
    pub(super) lines: usize,
    /// The most bytes of one text as it was sent.
    pub(super) text_bytes: usize,
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

/// The texts that a point would add to the page.
pub(super) struct Texts<'a> {
    pub(super) resource: &'a ResourceMetrics<'a>,
    pub(super) scope: &'a ScopeMetrics<'a>,
    pub(super) metric: &'a Metric<'a>,
    pub(super) point: Attributes<'a>,
}

impl Texts<'_> {
    /// Whether each of them has at most `max_text_bytes`. Checked before any of them is copied.
    pub(super) fn are_within(&self, settings: &PageSettings) -> bool {
        let most = settings.limits.text_bytes;
        let resource = self.resource.resource().attributes();
        let shown_of_resource = resource.iter().filter(|attribute| {
            settings.resource_labels || [NAME, NAMESPACE, INSTANCE].contains(&attribute.key)
        });
        let metric = [
            self.metric.name(),
            self.metric.unit(),
            self.metric.description(),
        ];
        let scope = [
            self.scope.name(),
            self.scope.version(),
            self.scope.schema_url(),
        ];
        let is_short = |text: &&str| text.len() <= most;
        metric.iter().all(is_short)
            && all_within(self.point.iter(), most)
            && all_within(shown_of_resource, most)
            && (!settings.scope_labels
                || scope.iter().all(is_short) && all_within(self.scope.attributes().iter(), most))
    }
}

fn all_within<'a>(mut attributes: impl Iterator<Item = KeyValue<'a>>, most: usize) -> bool {
    attributes.all(|attribute| is_within(&attribute, most))
}
