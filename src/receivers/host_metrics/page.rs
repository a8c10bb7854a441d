//! Writes the metrics of one scraper into a resource and scope of their own.

use std::time::SystemTime;

use super::spec::{AggregationStrategy, MetricChoices, MetricSpec};
use crate::pdata::writer::{
    Attribute, AttributeValue, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData,
    PointNumber,
};

/// The conventions that the metrics follow, as the Collector states them.
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.9.0";

/// What stands before a scraper's name in the name of its scope.
const SCOPE: &str = "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/\
                     hostmetricsreceiver/internal/scraper/";

/// The metrics of one scraper, or of one process.
pub(super) struct MetricPage<'w> {
    out: &'w mut MetricsWriter,
    scraper: &'static str,
    specs: &'static [MetricSpec],
    choices: &'w MetricChoices,
    time: SystemTime,
    resource: &'w [Attribute<'w>],
    /// Whether the resource and scope have been written, which the first metric does.
    begun: bool,
}

/// One series. Without a value it ends.
pub(super) struct HostPoint<'a> {
    pub(super) attributes: Vec<(&'static str, &'a str)>,
    /// When the counting began; none for gauges.
    pub(super) start: Option<SystemTime>,
    pub(super) value: Option<PointNumber>,
}

impl<'w> MetricPage<'w> {
    pub(super) fn new(
        out: &'w mut MetricsWriter,
        scraper: &'static str,
        specs: &'static [MetricSpec],
        choices: &'w MetricChoices,
        time: SystemTime,
        resource: &'w [Attribute<'w>],
    ) -> Self {
        Self {
            out,
            scraper,
            specs,
            choices,
            time,
            resource,
            begun: false,
        }
    }

    /// Writes a metric of this name with these series, if it is chosen and has any.
    pub(super) fn metric<'a>(
        &mut self,
        name: &'static str,
        points: impl IntoIterator<Item = HostPoint<'a>>,
    ) {
        let position = self.specs.iter().position(|spec| spec.name == name);
        debug_assert!(position.is_some(), "{name} is no metric of the scraper");
        let Some(position) = position else { return };
        let (spec, choice) = (&self.specs[position], self.choices.at(position));
        let Some(choice) = choice.filter(|choice| choice.enabled) else {
            return;
        };
        let points = points.into_iter();
        let points: Vec<HostPoint<'_>> = match &choice.attributes {
            None => points.collect(),
            Some(kept) => aggregated(points, kept, choice.strategy),
        };
        if points.is_empty() {
            return;
        }
        self.begin();
        self.out.metric(
            spec.kind,
            MetricDescriptor {
                name: spec.name,
                unit: spec.unit,
                description: spec.description,
            },
        );
        for point in points {
            let attributes: Vec<Attribute<'_>> = point
                .attributes
                .iter()
                .map(|(key, value)| (*key, AttributeValue::Str(value)))
                .collect();
            self.out.number(NumberPointData {
                attributes: &attributes,
                start: point.start.filter(|_| spec.kind != MetricKind::Gauge),
                time: self.time,
                value: point.value,
            });
        }
    }

    /// Writes a metric with one series that has no attributes, if it has a value.
    pub(super) fn single(
        &mut self,
        name: &'static str,
        start: SystemTime,
        value: Option<PointNumber>,
    ) {
        self.metric(
            name,
            value.map(|value| HostPoint {
                attributes: Vec::new(),
                start: Some(start),
                value: Some(value),
            }),
        );
    }

    fn begin(&mut self) {
        if self.begun {
            return;
        }
        self.begun = true;
        self.out.resource(self.resource);
        self.out.schema_url(SCHEMA);
        let scope = format!("{SCOPE}{}scraper", self.scraper);
        self.out.scope(&scope, env!("CARGO_PKG_VERSION"));
    }
}

/// Joins the points that have the same attributes once only `kept` are left. Joined with others, a
/// series that ends is left out.
fn aggregated<'a>(
    points: impl Iterator<Item = HostPoint<'a>>,
    kept: &[&'static str],
    strategy: AggregationStrategy,
) -> Vec<HostPoint<'a>> {
    let mut joined: Vec<(HostPoint<'a>, u64)> = Vec::new();
    for mut point in points {
        point.attributes.retain(|(key, _)| kept.contains(key));
        let same = joined
            .iter_mut()
            .find(|(other, _)| other.attributes == point.attributes);
        match same {
            None => joined.push((point, 1)),
            Some((other, count)) => {
                other.start = other.start.max(point.start);
                match (other.value, point.value) {
                    (_, None) => {}
                    (None, value) => other.value = value,
                    (Some(mine), Some(theirs)) => {
                        *count += 1;
                        other.value = Some(combined(mine, theirs, strategy));
                    }
                }
            }
        }
    }
    if strategy == AggregationStrategy::Avg {
        for (point, count) in &mut joined {
            point.value = point.value.map(|value| mean(value, *count));
        }
    }
    joined.into_iter().map(|(point, _)| point).collect()
}

fn combined(mine: PointNumber, theirs: PointNumber, strategy: AggregationStrategy) -> PointNumber {
    use AggregationStrategy::{Avg, Max, Min, Sum};

    if let (PointNumber::Int(mine), PointNumber::Int(theirs)) = (mine, theirs) {
        return PointNumber::Int(match strategy {
            Sum | Avg => mine.saturating_add(theirs),
            Min => mine.min(theirs),
            Max => mine.max(theirs),
        });
    }
    let (mine, theirs) = (double(mine), double(theirs));
    PointNumber::Double(match strategy {
        Sum | Avg => mine + theirs,
        Min => mine.min(theirs),
        Max => mine.max(theirs),
    })
}

fn mean(sum: PointNumber, count: u64) -> PointNumber {
    match sum {
        PointNumber::Int(sum) => PointNumber::Int(sum / i64::try_from(count).unwrap_or(i64::MAX)),
        PointNumber::Double(sum) => PointNumber::Double(sum / count as f64),
    }
}

fn double(number: PointNumber) -> f64 {
    match number {
        PointNumber::Int(number) => number as f64,
        PointNumber::Double(number) => number,
    }
}
