//! The series that stands for all that are over the budget.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric as OwnedMetric, NumberDataPoint, Sum, metric,
    number_data_point::Value as OwnedNumber,
};
use opentelemetry_proto::tonic::resource::v1::Resource as OwnedResource;
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use crate::pdata::view::{self, Attributes, Data, Number, NumberPoint, Resource, View};
use crate::pdata::{Batch, Signal};

/// Points in the making. They are few, one for each metric that is over its budget, so that
/// prost's structs are good enough for them. Resource and scope come from a sender, who may
/// have made them to take a hundred times their size as structs, and stay encoded.
#[derive(Debug)]
pub(super) struct Overflow {
    /// A resource that has the marker for its only attribute, encoded.
    marker: Vec<u8>,
    /// The request so far, encoded.
    request: Vec<u8>,
    /// Points that were added up.
    added: u64,
}

/// The sum of some deltas.
#[derive(Debug, Clone, Copy)]
pub(super) struct Total {
    pub(super) points: u64,
    sum: Number,
    start: u64,
    end: u64,
}

impl Default for Total {
    fn default() -> Self {
        Self {
            points: 0,
            sum: Number::Int(0),
            start: u64::MAX,
            end: 0,
        }
    }
}

impl Total {
    /// Adds a point; one without a value adds nothing.
    pub(super) fn add(&mut self, point: &NumberPoint<'_>) {
        let Some(value) = point.value() else { return };
        self.points += 1;
        self.sum = match (self.sum, value) {
            (Number::Int(sum), Number::Int(value)) => match sum.checked_add(value) {
                Some(sum) => Number::Int(sum),
                None => Number::Double(sum as f64 + value as f64),
            },
            (sum, value) => Number::Double(sum.as_f64() + value.as_f64()),
        };
        self.start = self.start.min(point.start_time_unix_nano());
        self.end = self.end.max(point.time_unix_nano());
    }
}

impl Default for Overflow {
    fn default() -> Self {
        let marker = OwnedResource {
            attributes: vec![marker()],
            ..Default::default()
        };
        Self {
            marker: marker.encode_to_vec(),
            request: Vec::new(),
            added: 0,
        }
    }
}

impl Overflow {
    /// The attributes of every overflow series.
    pub(super) fn attributes(&self) -> Attributes<'_> {
        Resource::parse(&self.marker).attributes()
    }

    /// Adds the point of a metric whose last one ended at `until`, or 0 where it is the
    /// first. Returns when this one ends.
    pub(super) fn push(
        &mut self,
        resource: &view::ResourceMetrics<'_>,
        scope: &view::ScopeMetrics<'_>,
        metric: &view::Metric<'_>,
        total: &Total,
        until: u64,
    ) -> u64 {
        let monotonic = matches!(
            metric.data(),
            Data::Sum {
                monotonic: true,
                ..
            }
        );
        // A late batch must not begin before the end of the last point, which covered that time.
        let start = if until > 0 { until } else { total.start };
        let end = total.end.max(start.saturating_add(1));
        let point = NumberDataPoint {
            attributes: vec![marker()],
            start_time_unix_nano: start,
            time_unix_nano: end,
            value: Some(match total.sum {
                Number::Int(sum) => OwnedNumber::AsInt(sum),
                Number::Double(sum) => OwnedNumber::AsDouble(sum),
            }),
            ..Default::default()
        };
        let metric = OwnedMetric {
            name: metric.name().to_owned(),
            description: metric.description().to_owned(),
            unit: metric.unit().to_owned(),
            data: Some(metric::Data::Sum(Sum {
                data_points: vec![point],
                aggregation_temporality: AggregationTemporality::Delta as i32,
                is_monotonic: monotonic,
            })),
            ..Default::default()
        };
        let mut of_scope = Vec::new();
        put(&mut of_scope, 1, scope.scope().raw());
        put(&mut of_scope, 2, &metric.encode_to_vec());
        put(&mut of_scope, 3, scope.schema_url().as_bytes());
        let mut of_resource = Vec::new();
        put(&mut of_resource, 1, resource.resource().raw());
        put(&mut of_resource, 2, &of_scope);
        put(&mut of_resource, 3, resource.schema_url().as_bytes());
        put(&mut self.request, 1, &of_resource);
        self.added += total.points;
        end
    }

    /// How many points were added up, and what they came to.
    pub(super) fn take(&mut self) -> (u64, Option<Batch>) {
        let request = std::mem::take(&mut self.request);
        let added = std::mem::take(&mut self.added);
        if request.is_empty() {
            return (added, None);
        }
        (added, Batch::decode(Signal::Metrics, request.into()).ok())
    }
}

/// Writes a field that holds a message or a text.
fn put(out: &mut Vec<u8>, field: u32, content: &[u8]) {
    encode_key(field, WireType::LengthDelimited, out);
    encode_varint(content.len() as u64, out);
    out.extend_from_slice(content);
}

fn marker() -> KeyValue {
    KeyValue {
        key: "otel.metric.overflow".to_owned(),
        value: Some(AnyValue {
            value: Some(Any::BoolValue(true)),
        }),
        ..Default::default()
    }
}
