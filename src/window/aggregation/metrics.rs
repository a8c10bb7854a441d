//! How the results of every metric are called: by all that the stores have, not by what is asked
//! for, so that a result has one name and one set of labels whatever else is selected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::id::RingId;
use super::super::matcher::{MatchOperator, Matcher};
use super::super::point::ValueKind;
use super::super::shared::SharedWindows;
use super::naming::{RESULT_LABELS, ShownLabels, is_result, result_names};
use super::{AggregationStop, ResultTypes};

/// Series whose keys are copied while the store is locked: a tenth of a millisecond.
pub(super) const COPIED_AT_ONCE: usize = 256;

/// What tells a metric from all others.
pub(super) type MetricKey = (ValueKind, Arc<str>);

/// The names of the results of every metric, and what the metrics say of themselves.
pub(super) struct MetricNames {
    names: BTreeMap<MetricKey, Arc<str>>,
    help: BTreeMap<MetricKey, Arc<str>>,
    /// Of the metrics that have labels as results have them.
    labels: BTreeMap<MetricKey, ShownLabels>,
}

/// What the results of one metric are called.
pub(super) struct MetricNaming {
    pub(super) name: Arc<str>,
    pub(super) help: Arc<str>,
    pub(super) labels: ShownLabels,
}

impl MetricNames {
    /// Reads them. `proceed` is asked for every few series that are looked at.
    pub(super) fn of(
        stores: &[SharedWindows],
        types: ResultTypes,
        proceed: &mut dyn FnMut() -> bool,
    ) -> Result<Self, AggregationStop> {
        let mut help: BTreeMap<MetricKey, Arc<str>> = BTreeMap::new();
        let mut own: BTreeSet<MetricKey> = BTreeSet::new();
        let mut renaming: BTreeSet<MetricKey> = BTreeSet::new();
        for store in stores {
            let metrics: Vec<_> = {
                let windows = store.lock();
                let metrics = windows.metrics();
                let copied = metrics.map(|(name, info)| {
                    let key = (info.kind, Arc::clone(name));
                    (key, Arc::clone(&info.description), info.series)
                });
                copied.collect()
            };
            let results = found(store, &RESULT_LABELS.map(|label| (label, true)), proceed)?;
            for (key, description, series) in metrics {
                // Results that were stored are gauges, and must not take the name of their
                // metric.
                if key.0 != ValueKind::Gauge || (results.is_empty() && series > 0) {
                    own.insert(key.clone());
                }
                let known = help.entry(key).or_default();
                if known.is_empty() {
                    *known = description;
                }
            }
            if !results.is_empty() {
                own.extend(metrics_besides(store, &results, proceed)?);
            }
            renaming.append(&mut metrics_to_rename(store, proceed)?);
        }
        // A series that came since may be of a metric that isn't known yet.
        own.retain(|key| help.contains_key(key));
        let mut labels = BTreeMap::new();
        for key in renaming {
            let mut taken = BTreeSet::new();
            for store in stores {
                label_names(store, &key, &mut taken, proceed)?;
            }
            labels.insert(key, ShownLabels::beside(&taken));
        }
        Ok(Self {
            names: result_names(own, types),
            help,
            labels,
        })
    }

    /// `None` for a metric that came after the names were read.
    pub(super) fn of_metric(&self, key: &MetricKey) -> Option<MetricNaming> {
        Some(MetricNaming {
            name: Arc::clone(self.names.get(key)?),
            help: Arc::clone(self.help.get(key)?),
            labels: self.labels.get(key).cloned().unwrap_or_default(),
        })
    }
}

/// The series that have the labels, or don't have them.
fn found(
    store: &SharedWindows,
    labels: &[(&str, bool)],
    proceed: &mut dyn FnMut() -> bool,
) -> Result<Vec<RingId>, AggregationStop> {
    if !proceed() {
        return Err(AggregationStop::GivenUp);
    }
    let matchers = labels.iter().filter_map(|(label, has)| {
        let operator = match has {
            true => MatchOperator::NotEqual,
            false => MatchOperator::Equal,
        };
        // Neither is an expression, which alone could be wrong.
        Matcher::new(operator, label, "").ok()
    });
    let matchers: Vec<Matcher> = matchers.collect();
    Ok(store.lock().find(&matchers))
}

/// The metrics that have others than these series, which are sorted.
fn metrics_besides(
    store: &SharedWindows,
    results: &[RingId],
    proceed: &mut dyn FnMut() -> bool,
) -> Result<BTreeSet<MetricKey>, AggregationStop> {
    let mut others = found(store, &[], proceed)?;
    others.retain(|id| results.binary_search(id).is_err());
    metrics_of(store, &others, proceed)
}

/// The metrics that have a label as results have it, in series that aren't results.
fn metrics_to_rename(
    store: &SharedWindows,
    proceed: &mut dyn FnMut() -> bool,
) -> Result<BTreeSet<MetricKey>, AggregationStop> {
    let mut metrics = BTreeSet::new();
    for label in RESULT_LABELS {
        let labels = RESULT_LABELS.map(|other| (other, other == label));
        let series = found(store, &labels, proceed)?;
        metrics.append(&mut metrics_of(store, &series, proceed)?);
    }
    Ok(metrics)
}

fn metrics_of(
    store: &SharedWindows,
    series: &[RingId],
    proceed: &mut dyn FnMut() -> bool,
) -> Result<BTreeSet<MetricKey>, AggregationStop> {
    let mut metrics = BTreeSet::new();
    for some in series.chunks(COPIED_AT_ONCE) {
        if !proceed() {
            return Err(AggregationStop::GivenUp);
        }
        // Copied alone under the lock, and sorted after it.
        let keys: Vec<MetricKey> = {
            let windows = store.lock();
            let keys = some.iter().filter_map(|id| windows.metric_of(*id));
            keys.collect()
        };
        metrics.extend(keys);
    }
    Ok(metrics)
}

/// Adds the names of the labels of a metric, but for those of results.
fn label_names(
    store: &SharedWindows,
    (kind, name): &MetricKey,
    names: &mut BTreeSet<Arc<str>>,
    proceed: &mut dyn FnMut() -> bool,
) -> Result<(), AggregationStop> {
    let Ok(named) = Matcher::new(MatchOperator::Equal, "__name__", name) else {
        return Ok(());
    };
    let series = store.lock().find(&[named]);
    for some in series.chunks(COPIED_AT_ONCE) {
        if !proceed() {
            return Err(AggregationStop::GivenUp);
        }
        let rings: Vec<_> = {
            let windows = store.lock();
            let rings = some.iter().filter_map(|id| windows.identity(*id));
            rings.collect()
        };
        for ring in rings.iter().filter(|ring| ring.kind == *kind) {
            if !is_result(&ring.labels) {
                names.extend(ring.labels.iter().map(|(name, _)| Arc::clone(name)));
            }
        }
    }
    Ok(())
}
