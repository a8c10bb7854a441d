//! Stand-ins for what surrounds a pull receiver, shared by the tests of all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::metrics::v1::{metric::Data, number_data_point::Value};
use opentelemetry_sdk::metrics::SdkMeterProvider;
use prost::Message;

use super::{Controller, Settings, Target};
use crate::component::{Admission, Health, Intake, Origin, Refusal};
use crate::pdata::Batch;

/// An intake that keeps what it is given, and refuses when it is told to.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    batches: Arc<Mutex<Vec<Batch>>>,
    refuses: Mutex<Option<&'static str>>,
}

impl Recorder {
    pub(crate) fn batches(&self) -> Vec<Batch> {
        self.batches.lock().unwrap().clone()
    }

    pub(crate) fn refuse(&self, reason: Option<&'static str>) {
        *self.refuses.lock().unwrap() = reason;
    }

    /// The series of the last batch.
    pub(crate) fn last(&self) -> Series {
        series(self.batches().last().expect("a batch"))
    }
}

impl Intake for Recorder {
    fn try_admit(&self, origin: Origin, _bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        assert_eq!(origin, Origin::Pull);
        match *self.refuses.lock().unwrap() {
            Some(reason) => Err(Refusal {
                reason,
                retry_after: std::time::Duration::from_secs(1),
            }),
            None => Ok(Box::new(Room(Arc::clone(&self.batches)))),
        }
    }
}

struct Room(Arc<Mutex<Vec<Batch>>>);

impl Admission for Room {
    fn grow(&mut self, _bytes: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(batch);
        Box::pin(std::future::ready(()))
    }
}

/// A controller that nothing else hangs on.
pub(crate) fn controller(
    id: &str,
    settings: Settings,
    intake: Arc<Recorder>,
    health: Health,
    targets: Vec<Target>,
) -> Box<Controller> {
    Box::new(Controller::assemble(
        id.parse().unwrap(),
        health,
        &SdkMeterProvider::default().meter("test"),
        settings,
        intake,
        targets,
    ))
}

/// Values by `name{labels}`: the resource's instance and the point's attributes as labels.
/// A histogram is its count under the name itself and its sum under `_sum`; a tombstone is
/// NaN.
pub(crate) type Series = BTreeMap<String, f64>;

/// Reads a batch back by prost.
pub(crate) fn series(batch: &Batch) -> Series {
    let mut found = Series::new();
    for part in batch.parts() {
        let request = ExportMetricsServiceRequest::decode(part.bytes().clone()).unwrap();
        for resource in &request.resource_metrics {
            let metrics = resource.scope_metrics.iter().flat_map(|s| &s.metrics);
            for metric in metrics {
                let mut add = |name: &str, attributes: &[KeyValue], value: f64| {
                    let key = format!("{name}{}", labels(attributes));
                    let before = found.insert(key.clone(), value);
                    assert_eq!(before, None, "{key} is there twice");
                };
                match metric.data.as_ref().unwrap() {
                    Data::Gauge(gauge) => {
                        for point in &gauge.data_points {
                            add(&metric.name, &point.attributes, number(&point.value));
                        }
                    }
                    Data::Sum(sum) => {
                        for point in &sum.data_points {
                            add(&metric.name, &point.attributes, number(&point.value));
                        }
                    }
                    Data::Histogram(histogram) => {
                        for point in &histogram.data_points {
                            add(&metric.name, &point.attributes, point.count as f64);
                            let sum = format!("{}_sum", metric.name);
                            add(&sum, &point.attributes, point.sum.unwrap_or(f64::NAN));
                        }
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    found
}

fn number(value: &Option<Value>) -> f64 {
    match value {
        Some(Value::AsDouble(value)) => *value,
        Some(Value::AsInt(value)) => *value as f64,
        None => f64::NAN,
    }
}

fn labels(attributes: &[KeyValue]) -> String {
    if attributes.is_empty() {
        return String::new();
    }
    let labels: Vec<String> = attributes
        .iter()
        .map(|attribute| {
            let value = attribute.value.as_ref().and_then(|v| v.value.as_ref());
            let text = match value {
                Some(Any::StringValue(text)) => text.clone(),
                Some(Any::IntValue(number)) => number.to_string(),
                _ => panic!("{attribute:?}"),
            };
            format!("{}={text:?}", attribute.key)
        })
        .collect();
    format!("{{{}}}", labels.join(","))
}
