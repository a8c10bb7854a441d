//! Edits of requests as a straightforward program makes them: decoded by prost, changed,
//! and encoded again. Beside each stands the processor that must come to the same.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each user of the module needs another part of it, and fails by panicking"
)]

use foghorn::pdata::Signal;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

/// A request, decoded.
#[derive(Debug, Clone)]
pub enum Request {
    Metrics(ExportMetricsServiceRequest),
    Traces(ExportTraceServiceRequest),
    Logs(ExportLogsServiceRequest),
}

/// A processor, and the same edit by hand.
pub struct Case {
    pub kind: &'static str,
    pub yaml: &'static str,
    pub edit: fn(&mut Request),
}

/// What is compared.
pub const CASES: &[Case] = &[
    Case {
        kind: "attributes",
        yaml: "{actions: [{action: insert, key: fresh, value: lab}]}",
        edit: |request| request.each_item(|attributes| insert(attributes, "fresh", text("lab"))),
    },
    Case {
        kind: "attributes",
        yaml:
            "{actions: [{action: insert, key: a, value: 7}, {action: update, key: b, value: true},
                          {action: upsert, key: host, value: '1'}]}",
        edit: |request| {
            request.each_item(|attributes| {
                insert(attributes, "a", Any::IntValue(7));
                update(attributes, "b", Any::BoolValue(true));
                upsert(attributes, "host", text("1"));
            });
        },
    },
    Case {
        kind: "attributes",
        yaml: "{actions: [{action: delete, key: a}, {action: delete, pattern: ^h},
                          {action: upsert, key: z, from_attribute: b}]}",
        edit: |request| {
            request.each_item(|attributes| {
                attributes.retain(|a| a.key != "a");
                attributes.retain(|a| !a.key.starts_with('h'));
                if let Some(b) = attributes.iter().find(|a| a.key == "b").cloned() {
                    upsert_any(attributes, "z", known(b.value.unwrap_or_default()));
                }
            });
        },
    },
    Case {
        kind: "resource",
        yaml: "{attributes: [{action: upsert, key: service.name, value: lab},
                             {action: delete, key: host}]}",
        edit: |request| {
            request.each_resource(|attributes| {
                upsert(attributes, "service.name", text("lab"));
                attributes.retain(|a| a.key != "host");
            });
        },
    },
    Case {
        kind: "resource",
        yaml: "{attributes: [{action: update, key: a, value: 1.5}]}",
        edit: |request| {
            request.each_resource(|attributes| update(attributes, "a", Any::DoubleValue(1.5)));
        },
    },
    Case {
        kind: "filter",
        yaml: "{metrics: {exclude: {match_type: strict, metric_names: [a, host]}},
                spans: {exclude: {match_type: strict, span_names: [a, host]}},
                logs: {exclude: {match_type: strict, severity_texts: [a, host]}}}",
        edit: |request| request.retain(|_, name| !["a", "host"].contains(&name), |_, _, _| true),
    },
    Case {
        kind: "filter",
        yaml: "{metrics: {include: {match_type: strict, resource_attributes: [{key: host}],
                                    datapoint_attributes: [{key: a}]}},
                spans: {include: {match_type: strict, resources: [{key: host}],
                                  attributes: [{key: a}]}},
                logs: {include: {match_type: strict, resource_attributes: [{key: host}],
                                 record_attributes: [{key: a}]}}}",
        edit: |request| {
            request.retain_resources(|resource| has(resource, "host"));
            request.retain(|_, _| true, |_, _, own| has(own, "a"));
        },
    },
    Case {
        kind: "filter",
        yaml: "{metrics: {exclude: {match_type: glob, metric_names: ['*a*', ''],
                                    datapoint_attributes: [{key: b}]}},
                spans: {exclude: {match_type: regexp, span_names: [a, '^$'],
                                  attributes: [{key: b}]}},
                logs: {exclude: {match_type: regexp, severity_texts: [a, '^$'],
                                 record_attributes: [{key: b}]}}}",
        edit: |request| {
            let named = |name: &str| name.is_empty() || name.contains('a');
            request.retain(|_, _| true, |_, name, own| !(named(name) && has(own, "b")));
        },
    },
];

impl Request {
    /// None where prost refuses it.
    pub fn decode(signal: Signal, bytes: &[u8]) -> Option<Self> {
        Some(match signal {
            Signal::Metrics => Self::Metrics(ExportMetricsServiceRequest::decode(bytes).ok()?),
            Signal::Traces => Self::Traces(ExportTraceServiceRequest::decode(bytes).ok()?),
            Signal::Logs => Self::Logs(ExportLogsServiceRequest::decode(bytes).ok()?),
        })
    }

    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Metrics(request) => request.encode_to_vec(),
            Self::Traces(request) => request.encode_to_vec(),
            Self::Logs(request) => request.encode_to_vec(),
        }
    }

    /// Data points, spans or log records.
    pub fn items(&self) -> u64 {
        let mut items = 0;
        self.clone().each_item(|_| items += 1);
        items
    }

    /// Edits the attributes of every data point, span or log record.
    pub fn each_item(&mut self, mut edit: impl FnMut(&mut Vec<KeyValue>)) {
        self.retain_mut(
            |_, _| true,
            |_, _, attributes| {
                edit(attributes);
                true
            },
        );
    }

    /// Edits the attributes of every resource. One that isn't there gets some if need be.
    pub fn each_resource(&mut self, mut edit: impl FnMut(&mut Vec<KeyValue>)) {
        self.retain_resources_mut(|resource| {
            let mut edited = resource.clone().unwrap_or_default();
            edit(&mut edited.attributes);
            if resource.is_some() || !edited.attributes.is_empty() {
                *resource = Some(edited);
            }
            true
        });
    }

    /// Drops resources by their attributes.
    pub fn retain_resources(&mut self, keep: impl Fn(&[KeyValue]) -> bool) {
        self.retain_resources_mut(|resource| {
            keep(
                resource
                    .as_ref()
                    .map_or(&[], |resource| &resource.attributes),
            )
        });
    }

    /// Drops metrics by their name, and data points, spans and log records by name and
    /// attributes: a record's name is the text of its severity. What loses all that was in
    /// it goes, too; what came empty stays.
    pub fn retain(
        &mut self,
        keep_metric: impl Fn(&[KeyValue], &str) -> bool,
        keep: impl Fn(&[KeyValue], &str, &[KeyValue]) -> bool,
    ) {
        // A span or record is a metric and its only point.
        self.retain_mut(keep_metric, |resource, name, own| keep(resource, name, own));
    }

    fn retain_resources_mut(&mut self, mut keep: impl FnMut(&mut Option<Resource>) -> bool) {
        match self {
            Self::Metrics(r) => r.resource_metrics.retain_mut(|r| keep(&mut r.resource)),
            Self::Traces(r) => r.resource_spans.retain_mut(|r| keep(&mut r.resource)),
            Self::Logs(r) => r.resource_logs.retain_mut(|r| keep(&mut r.resource)),
        }
    }

    fn retain_mut(
        &mut self,
        keep_metric: impl Fn(&[KeyValue], &str) -> bool,
        mut keep: impl FnMut(&[KeyValue], &str, &mut Vec<KeyValue>) -> bool,
    ) {
        /// Resources and scopes, which are alike in all signals.
        macro_rules! prune {
            ($request:ident, $resources:ident, $scopes:ident, $items:ident,
             $resource:ident, $item:ident, $keep:expr) => {
                prune(&mut $request.$resources, |group| {
                    let $resource = group.resource.clone().unwrap_or_default().attributes;
                    prune(&mut group.$scopes, |scope| {
                        prune(&mut scope.$items, |$item| $keep)
                    })
                })
            };
        }
        match self {
            Self::Metrics(request) => prune!(
                request,
                resource_metrics,
                scope_metrics,
                metrics,
                resource,
                metric,
                keep_metric(&resource, &metric.name) && {
                    let name = &metric.name;
                    let mut keep = |own: &mut Vec<KeyValue>| keep(&resource, name, own);
                    match metric.data.as_mut() {
                        None => true,
                        Some(Data::Gauge(d)) => {
                            prune(&mut d.data_points, |p| keep(&mut p.attributes))
                        }
                        Some(Data::Sum(d)) => {
                            prune(&mut d.data_points, |p| keep(&mut p.attributes))
                        }
                        Some(Data::Histogram(d)) => {
                            prune(&mut d.data_points, |p| keep(&mut p.attributes))
                        }
                        Some(Data::ExponentialHistogram(d)) => {
                            prune(&mut d.data_points, |p| keep(&mut p.attributes))
                        }
                        Some(Data::Summary(d)) => {
                            prune(&mut d.data_points, |p| keep(&mut p.attributes))
                        }
                    }
                }
            ),
            Self::Traces(request) => prune!(
                request,
                resource_spans,
                scope_spans,
                spans,
                resource,
                span,
                keep_metric(&resource, &span.name)
                    && keep(&resource, &span.name, &mut span.attributes)
            ),
            Self::Logs(request) => prune!(
                request,
                resource_logs,
                scope_logs,
                log_records,
                resource,
                record,
                keep_metric(&resource, &record.severity_text)
                    && keep(&resource, &record.severity_text, &mut record.attributes)
            ),
        };
    }
}

/// Keeps of some what `keep` says; false when that leaves none.
fn prune<T>(of: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
    let came_empty = of.is_empty();
    of.retain_mut(keep);
    came_empty || !of.is_empty()
}

fn has(attributes: &[KeyValue], key: &str) -> bool {
    attributes.iter().any(|attribute| attribute.key == key)
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

fn attribute(key: &str, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(value),
        ..KeyValue::default()
    }
}

fn insert(attributes: &mut Vec<KeyValue>, key: &str, value: Any) {
    if !has(attributes, key) {
        upsert(attributes, key, value);
    }
}

fn update(attributes: &mut Vec<KeyValue>, key: &str, value: Any) {
    if has(attributes, key) {
        upsert(attributes, key, value);
    }
}

fn upsert(attributes: &mut Vec<KeyValue>, key: &str, value: Any) {
    upsert_any(attributes, key, AnyValue { value: Some(value) });
}

/// Of a key that occurs twice, the first has the value.
fn upsert_any(attributes: &mut Vec<KeyValue>, key: &str, value: AnyValue) {
    match attributes.iter_mut().find(|attribute| attribute.key == key) {
        // Its other fields stay: an index that only profiles have is one.
        Some(found) => found.value = Some(value),
        None => attributes.push(attribute(key, value)),
    }
}

/// A value as metrics, traces and logs can have it: an index into a dictionary, which only
/// profiles have, is none.
fn known(value: AnyValue) -> AnyValue {
    AnyValue {
        value: value
            .value
            .filter(|value| !matches!(value, Any::StringValueStrindex(_))),
    }
}
