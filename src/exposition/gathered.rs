//! Families that the crate `prometheus` has gathered, in terms of this module.

use std::collections::HashSet;
use std::sync::Arc;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{
    Bounds, Descriptor, Family, FamilyNames, Histogram, Kind, Labels, SampleValue, Series, Summary,
};

/// Takes over what a registry has gathered. A family or series that would make the page
/// invalid, because its names are taken or it comes twice, is left out.
pub fn families(gathered: &[MetricFamily]) -> Vec<Family> {
    let mut names = FamilyNames::new();
    gathered
        .iter()
        .filter_map(|family| {
            let kind = kind(family.get_field_type());
            names.claim(family.name(), kind).then(|| {
                let mut seen = HashSet::new();
                Family {
                    descriptor: Descriptor {
                        name: family.name().to_owned(),
                        kind,
                        unit: String::new(),
                        help: family.help().to_owned(),
                    },
                    series: family
                        .get_metric()
                        .iter()
                        .filter_map(|metric| series(family.name(), kind, metric))
                        .filter(|series| seen.insert(series.text().to_vec()))
                        .collect(),
                }
            })
        })
        .filter(|family| !family.series.is_empty())
        .collect()
}

fn kind(of: MetricType) -> Kind {
    match of {
        MetricType::COUNTER => Kind::Counter,
        MetricType::GAUGE => Kind::Gauge,
        MetricType::HISTOGRAM => Kind::Histogram,
        MetricType::SUMMARY => Kind::Summary,
        MetricType::UNTYPED => Kind::Unknown,
    }
}

fn series(name: &str, kind: Kind, metric: &Metric) -> Option<Series> {
    let mut pairs: Vec<_> = metric
        .get_label()
        .iter()
        .map(|pair| (pair.name(), pair.value()))
        .collect();
    pairs.sort_unstable();
    pairs.dedup_by_key(|pair| pair.0);
    let mut labels = Labels::new();
    for (name, value) in pairs {
        labels.push(name, value);
    }
    let number = |value| Some(Series::number(name, &labels, value));
    match kind {
        Kind::Counter => number(metric.get_counter().get_value()),
        Kind::Gauge => number(metric.get_gauge().get_value()),
        Kind::Histogram => Some(Series::histogram(&labels, histogram(metric)?)),
        Kind::Summary => Some(Series::summary(&labels, summary(metric))),
        // The crate has no way to make one.
        Kind::Unknown => None,
    }
}

fn histogram(metric: &Metric) -> Option<Histogram> {
    let histogram = metric.get_histogram();
    let mut bounds = Vec::new();
    let mut counts = Vec::new();
    let mut below = 0;
    for bucket in histogram.get_bucket() {
        if bucket.upper_bound().is_finite() {
            bounds.push(bucket.upper_bound());
            counts.push(bucket.cumulative_count().saturating_sub(below));
            below = bucket.cumulative_count();
        }
    }
    counts.push(histogram.get_sample_count().saturating_sub(below));
    Some(Histogram {
        bounds: Arc::new(Bounds::new(bounds)?),
        counts: counts.into_boxed_slice(),
        sum: Some(histogram.get_sample_sum()),
        exemplars: Vec::new(),
    })
}

fn summary(metric: &Metric) -> Summary {
    let summary = metric.get_summary();
    Summary {
        quantiles: summary
            .get_quantile()
            .iter()
            .map(|quantile| (quantile.quantile(), quantile.value()))
            .collect(),
        count: summary.sample_count(),
        sum: summary.sample_sum(),
    }
}

impl Family {
    /// Adds the series of another family of the same name and kind that it hasn't itself.
    pub fn merge(&mut self, other: impl IntoIterator<Item = Series>) {
        let texts: HashSet<Vec<u8>> = self.series.iter().map(|s| s.text().to_vec()).collect();
        self.series.extend(
            other
                .into_iter()
                .filter(|series| !texts.contains(series.text())),
        );
    }

    /// How many samples a page shows of it, which is not the number of its series.
    pub fn samples(&self) -> usize {
        self.series
            .iter()
            .map(|series| match &series.value {
                SampleValue::Number(_) => 1,
                SampleValue::Histogram(histogram) => histogram.counts.len() + 2,
                SampleValue::Summary(summary) => summary.quantiles.len() + 2,
            })
            .sum()
    }
}
