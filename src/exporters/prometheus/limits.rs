//! How much a page may hold, in lines and in bytes.
//!
//! What bounds lines alone doesn't bound memory: a label can be as long as a request, a
//! histogram writes its labels once for each bucket, and a help text is written on every page.
//! So every text has a bound, and what a series and the whole page write. Names, keys, label
//! values, help texts, units, and what resource and scope add weigh alike.

use super::PageSettings;
use super::labels::{INSTANCE, NAME, NAMESPACE, is_within};
use super::reading::lines;
use crate::exposition::{Descriptor, SampleValue};
use crate::pdata::view::{Attributes, KeyValue, Metric, ResourceMetrics, ScopeMetrics};

/// What the keys `max_series`, `max_text_bytes`, `max_series_bytes` and `max_page_bytes` say.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageLimits {
    /// Lines of the page.
    pub(super) lines: usize,
    /// Bytes of one text as it was sent.
    pub(super) text_bytes: usize,
    /// Bytes that one series writes.
    pub(super) series_bytes: usize,
    /// Bytes that all of them write, with what their families say of themselves.
    pub(super) page_bytes: usize,
}

/// What a line has beside name and labels: a suffix, a bucket's bound, and the value.
const LINE: usize = 32;

/// What a series of this family writes, within a few bytes for each line.
pub(super) fn series_bytes(family: &str, text: &[u8], value: &SampleValue) -> usize {
    match value {
        // Its text has the name already.
        SampleValue::Number(_) => text.len() + LINE,
        _ => lines(value) * (family.len() + text.len() + LINE),
    }
}

/// What a family says of itself: its name, its help text and its unit, a line each, and that
/// again in the memory beside the page.
pub(super) fn family_bytes(descriptor: &Descriptor) -> usize {
    4 * (descriptor.name.len() + LINE) + descriptor.help.len() + descriptor.unit.len()
}

/// The texts that a point would bring to the page.
pub(super) struct Texts<'a> {
    pub(super) resource: &'a ResourceMetrics<'a>,
    pub(super) scope: &'a ScopeMetrics<'a>,
    pub(super) metric: &'a Metric<'a>,
    pub(super) point: Attributes<'a>,
}

impl Texts<'_> {
    /// Whether each of them is as short as `max_text_bytes` says. Decided before any of them
    /// is copied.
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
