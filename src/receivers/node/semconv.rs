//! Writes metrics under the names of the configured semantic conventions.

use std::time::SystemTime;

use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::yaml::{FromValue, PlacedNode};

/// `semconv`: which version's names are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Semconv {
    /// The current version.
    V1,
    /// Version 1.21, which the Collector's `hostmetrics` uses.
    V0,
    /// Both, so each series is written twice: a sum over all series of a metric counts double.
    Both,
}

impl FromValue for Semconv {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.read::<String>()?.as_str() {
            "v1" => Some(Self::V1),
            "v0" => Some(Self::V0),
            "both" => Some(Self::Both),
            other => value.error(format_args!("expected v1, v0 or both, found `{other}`")),
        }
    }
}

/// A metric with its name in either version; empty where the version has none.
pub(super) struct HostMetric {
    pub(super) kind: MetricKind,
    pub(super) v1: &'static str,
    pub(super) v0: &'static str,
    pub(super) unit: &'static str,
    pub(super) description: &'static str,
}

/// One series, with its attributes in either version. A series without attributes is written once
/// if the metric's names are the same in both. Without a value the series ends.
pub(super) struct Row<'a> {
    pub(super) v1: Vec<Attribute<'a>>,
    pub(super) v0: Vec<Attribute<'a>>,
    pub(super) start: Option<SystemTime>,
    pub(super) value: Option<PointNumber>,
}

/// Where the metrics of one reading go.
pub(super) struct HostWriter<'w> {
    pub(super) out: &'w mut MetricsWriter,
    pub(super) time: SystemTime,
    pub(super) semconv: Semconv,
}

impl HostWriter<'_> {
    /// Writes a metric; one without rows is left out.
    pub(super) fn write(&mut self, metric: &HostMetric, rows: &[Row<'_>]) {
        let v1 = self.semconv != Semconv::V0 && !metric.v1.is_empty();
        let v0 = self.semconv != Semconv::V1 && !metric.v0.is_empty();
        if rows.is_empty() {
            return;
        }
        if v1 {
            self.begin(metric, metric.v1);
            for row in rows {
                self.point(&row.v1, row);
            }
        }
        if v0 {
            let same = v1 && metric.v0 == metric.v1;
            if !same {
                self.begin(metric, metric.v0);
            }
            for row in rows {
                if !(same && row.v0 == row.v1) {
                    self.point(&row.v0, row);
                }
            }
        }
    }

    /// Writes a metric with one series that has no attributes.
    pub(super) fn single(
        &mut self,
        metric: &HostMetric,
        start: Option<SystemTime>,
        value: Option<PointNumber>,
    ) {
        if value.is_some() {
            let row = Row {
                v1: Vec::new(),
                v0: Vec::new(),
                start,
                value,
            };
            self.write(metric, &[row]);
        }
    }

    fn begin(&mut self, metric: &HostMetric, name: &str) {
        let descriptor = MetricDescriptor {
            name,
            unit: metric.unit,
            description: metric.description,
        };
        self.out.metric(metric.kind, descriptor);
    }

    fn point(&mut self, attributes: &[Attribute<'_>], row: &Row<'_>) {
        self.out.number(NumberPointData {
            attributes,
            start: row.start,
            time: self.time,
            value: row.value,
        });
    }
}
