//! The names of results.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::point::ValueKind;

/// Where results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultTypes {
    /// By themselves: results have their metric's name, those of counters without `_total`.
    Apart,
    /// Beside the metrics that they are of. A result is a gauge, and a page has one type for
    /// one name: those of histograms and summaries get `_stats` behind the name.
    Beside,
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
