//! What a job changes of the labels of its series.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::rejections::SeriesRejections;
use super::relabel::{LabelBuilder, RelabelRule, Relabelled};
use crate::translation::scraped::{MetricRelabelling, ScrapedLabels};

/// `metric_relabel_configs` and `external_labels`.
#[derive(Clone)]
pub(super) struct SeriesRules {
    pub(super) rules: Arc<[RelabelRule]>,
    /// Set after the rules, as the Collector does it.
    pub(super) external: Arc<BTreeMap<String, String>>,
    /// Counts series that are left out.
    pub(super) rejections: SeriesRejections,
}

impl MetricRelabelling for SeriesRules {
    fn relabel(&mut self, labels: &mut ScrapedLabels<'_>) -> bool {
        if !self.rules.is_empty() {
            let mut builder = LabelBuilder::new(labels.iter());
            match RelabelRule::apply(&self.rules, &mut builder) {
                Relabelled::Kept => {}
                Relabelled::Dropped => return false,
                Relabelled::TooLong => {
                    self.rejections.too_long();
                    return false;
                }
            }
            // Owned, since the texts may be those of the labels that are about to change.
            let made: Vec<(String, String)> = builder
                .finish()
                .into_iter()
                .map(|label| (label.name.into_owned(), label.value.into_owned()))
                .collect();
            let is_made = |name: &str| {
                made.binary_search_by(|(made, _)| made.as_str().cmp(name))
                    .is_ok()
            };
            labels.retain(|name, _| is_made(name));
            for (name, value) in made {
                if labels.get(&name) != value {
                    labels.set(name, value);
                }
            }
        }
        for (name, value) in self.external.iter() {
            labels.set(name.clone(), value.clone());
        }
        true
    }
}
