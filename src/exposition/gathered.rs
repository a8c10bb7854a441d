//! Families that the crate `prometheus` has gathered, in terms of this module.

use std::collections::HashSet;
use std::sync::Arc;

use prometheus::proto::{Metric, MetricFamily, MetricType};

use super::{
    Bounds, Descriptor, Family, FamilyNames, Histogram, Kind, Labels, SampleValue, Series, Summary,
};

/// A family as the page shows it, of what a registry has gathered.
#[derive(Debug, Clone, Copy)]
pub struct GatheredFamily<'a> {
    family: &'a MetricFamily,
    kind: Kind,
}

/// A series of a [`GatheredFamily`].
#[derive(Debug, Clone)]
pub struct GatheredSeries<'a> {
    /// Its labels, sorted by name.
    pub labels: Vec<(&'a str, &'a str)>,
    /// Its value.
    pub value: SampleValue,
}

/// The families that a registry has gathered. One that would make the page invalid, because its
/// names are taken, is left out.
pub fn gathered(registered: &[MetricFamily]) -> impl Iterator<Item = GatheredFamily<'_>> {
    let mut names = FamilyNames::new();
    registered.iter().filter_map(move |family| {
        let kind = kind(family.get_field_type());
        let claimed = names.claim(family.name(), kind);
        claimed.then_some(GatheredFamily { family, kind })
    })
}

/// Takes over what a registry has gathered. A family or series that would make the page
/// invalid, because its names are taken or it comes twice, is left out.
pub fn families(registered: &[MetricFamily]) -> Vec<Family> {
    gathered(registered)
        .map(|family| {
            let mut seen = HashSet::new();
            Family {
                descriptor: Descriptor {
                    name: family.name().to_owned(),
                    kind: family.kind,
                    unit: String::new(),
                    help: family.help().to_owned(),
                },
                series: family
                    .series()
                    .map(|series| series.shown(family.name()))
                    .filter(|series| seen.insert(series.text().to_vec()))
                    .collect(),
            }
        })
        .filter(|family| !family.series.is_empty())
        .collect()
}

impl<'a> GatheredFamily<'a> {
    /// Its name.
    pub fn name(&self) -> &'a str {
        self.family.name()
    }

    /// What its values mean.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What it is.
    pub fn help(&self) -> &'a str {
        self.family.help()
    }

    /// Its series. One that comes twice is there twice, and the page shows the first.
    pub fn series(self) -> impl Iterator<Item = GatheredSeries<'a>> {
        let metrics = self.family.get_metric().iter();
        metrics.filter_map(move |metric| {
            Some(GatheredSeries {
                value: value(self.kind, metric)?,
                labels: labels(metric),
            })
        })
    }
}

impl GatheredSeries<'_> {
    fn shown(self, name: &str) -> Series {
        let mut labels = Labels::new();
        for (name, value) in self.labels {
            labels.push(name, value);
        }
        match self.value {
            SampleValue::Number(value) => Series::number(name, &labels, value),
            SampleValue::Histogram(histogram) => Series::histogram(&labels, *histogram),
            SampleValue::Summary(summary) => Series::summary(&labels, *summary),
        }
    }
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

fn labels(metric: &Metric) -> Vec<(&str, &str)> {
    let pairs = metric.get_label().iter();
    let mut labels: Vec<_> = pairs.map(|pair| (pair.name(), pair.value())).collect();
    labels.sort_unstable();
    labels.dedup_by_key(|pair| pair.0);
    labels
}

fn value(kind: Kind, metric: &Metric) -> Option<SampleValue> {
    Some(match kind {
        Kind::Counter => SampleValue::Number(metric.get_counter().get_value()),
        Kind::Gauge => SampleValue::Number(metric.get_gauge().get_value()),
        Kind::Histogram => SampleValue::Histogram(Box::new(histogram(metric)?)),
        Kind::Summary => SampleValue::Summary(Box::new(summary(metric))),
        // The crate has no way to make one.
        Kind::Unknown => return None,
    })
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
