//! The names of results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::point::ValueKind;

/// Labels that results have and others can't have.
pub(super) const RESULT_LABELS: [&str; 2] = ["stat", "window"];

/// Whether a series with these labels is a result that was stored.
pub(super) fn is_result(labels: &[(Arc<str>, Arc<str>)]) -> bool {
    let has = |wanted: &&str| labels.iter().any(|(name, _)| **name == **wanted);
    RESULT_LABELS.iter().all(has)
}

/// Where results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultTypes {
    /// By themselves: results have their metric's name, those of counters without `_total`.
    Apart,
    /// Beside the metrics that they are of. A result is a gauge, and a page has one type for
    /// one name: those of histograms and summaries get `_stats` behind the name.
    Beside,
}

/// The names of those labels of a metric that results have themselves.
#[derive(Debug, Clone)]
pub(super) struct ShownLabels([Arc<str>; 2]);

impl ShownLabels {
    /// Names beside those that labels of the metric have, in any of its series: two series of
    /// which one has a label `stat` and the other `exported_stat` stay two.
    pub(super) fn beside(taken: &BTreeSet<Arc<str>>) -> Self {
        Self(RESULT_LABELS.map(|label| {
            let mut name = format!("exported_{label}");
            while taken.contains(&*name) {
                name.insert_str(0, "exported_");
            }
            name.into()
        }))
    }

    /// The name of a label that results have themselves, `None` for another.
    pub(super) fn of(&self, label: &str) -> Option<&Arc<str>> {
        let mut names = RESULT_LABELS.iter().zip(&self.0);
        let (_, name) = names.find(|(result, _)| ***result == *label)?;
        Some(name)
    }
}

impl Default for ShownLabels {
    fn default() -> Self {
        Self::beside(&BTreeSet::new())
    }
}

/// What is appended to the name of results whose name others have.
fn suffix(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Gauge => "_gauge",
        ValueKind::Counter => "_counter",
        ValueKind::Histogram => "_histogram",
        ValueKind::ExponentialHistogram => "_exponential_histogram",
        ValueKind::Summary => "_summary",
    }
}

/// The names of the results of every metric. No two have the same: a gauge `x` and a counter
/// `x_total` would, so the counter's are `x_counter`. Gauges have the first choice, then the
/// other kinds in the order of [`ValueKind`].
pub(super) fn result_names(
    metrics: BTreeSet<(ValueKind, Arc<str>)>,
    types: ResultTypes,
) -> BTreeMap<(ValueKind, Arc<str>), Arc<str>> {
    let mut taken: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut names = BTreeMap::new();
    for (kind, metric) in metrics {
        let mut name = natural(kind, &metric, types);
        while taken.contains(&name) {
            name = format!("{name}{}", suffix(kind)).into();
        }
        taken.insert(Arc::clone(&name));
        names.insert((kind, metric), name);
    }
    names
}

fn natural(kind: ValueKind, metric: &Arc<str>, types: ResultTypes) -> Arc<str> {
    match (kind, types) {
        (ValueKind::Gauge, _) => Arc::clone(metric),
        (ValueKind::Counter, _) => match metric.strip_suffix("_total") {
            Some(base) if !base.is_empty() => base.into(),
            _ => Arc::clone(metric),
        },
        (_, ResultTypes::Apart) => Arc::clone(metric),
        (_, ResultTypes::Beside) => format!("{metric}_stats").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_metrics_have_results_of_one_name() {
        use ValueKind::{Counter, ExponentialHistogram, Gauge, Histogram, Summary};
        let f = |metrics: &[(ValueKind, &str)], types: ResultTypes, expected: &[&str]| {
            let all = metrics.iter().map(|(kind, name)| (*kind, Arc::from(*name)));
            let names = result_names(all.collect(), types);
            let found: Vec<&str> = metrics
                .iter()
                .map(|(kind, name)| &*names[&(*kind, Arc::from(*name))])
                .collect();
            assert_eq!(found, expected, "{metrics:?}");
        };
        let apart = ResultTypes::Apart;
        f(&[(Gauge, "x"), (Counter, "y_total")], apart, &["x", "y"]);
        f(
            &[(Counter, "x_total"), (Gauge, "x")],
            apart,
            &["x_counter", "x"],
        );
        f(
            &[(Counter, "x"), (Counter, "x_total")],
            apart,
            &["x", "x_counter"],
        );
        f(&[(Counter, "_total")], apart, &["_total"]);
        f(
            &[(Gauge, "x"), (Gauge, "x_counter"), (Counter, "x_total")],
            apart,
            &["x", "x_counter", "x_counter_counter"],
        );
        f(
            &[
                (Histogram, "h"),
                (ExponentialHistogram, "h"),
                (Summary, "s"),
            ],
            apart,
            &["h", "h_exponential_histogram", "s"],
        );
        f(
            &[
                (Histogram, "h"),
                (Summary, "s"),
                (Gauge, "g"),
                (Counter, "c_total"),
            ],
            ResultTypes::Beside,
            &["h_stats", "s_stats", "g", "c"],
        );
    }
}
