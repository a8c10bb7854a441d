//! Actions on encoded attributes beside the same on prost's structs.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;

use super::*;
use crate::pdata::samples::Style;
use crate::processors::testing::sample;

/// An action, as YAML and as prost's structs have it.
#[derive(Debug, Clone)]
enum Step {
    Insert(&'static str, i64),
    Update(&'static str, i64),
    Upsert(&'static str, i64),
    Copy(&'static str, &'static str),
    Delete(&'static str),
    DeleteMatching(&'static str),
    Text(&'static str),
    Hash(&'static str),
}

impl Step {
    fn any() -> impl Strategy<Value = Self> {
        let key = prop::sample::select(vec!["a", "b", "host", "service.name", "naïve", "new"]);
        (0..8, key.clone(), key, -3_i64..1000).prop_map(|(kind, key, other, value)| match kind {
            0 => Self::Insert(key, value),
            1 => Self::Update(key, value),
            2 => Self::Upsert(key, value),
            3 => Self::Copy(key, other),
            4 => Self::Delete(key),
            5 => Self::DeleteMatching(other),
            6 => Self::Text(key),
            _ => Self::Hash(key),
        })
    }

    fn yaml(&self) -> String {
        let action = |action: &str, rest: &str| format!("{{action: {action}, {rest}}}");
        match self {
            Self::Insert(key, value) => action("insert", &format!("key: {key}, value: {value}")),
            Self::Update(key, value) => action("update", &format!("key: {key}, value: {value}")),
            Self::Upsert(key, value) => action("upsert", &format!("key: {key}, value: {value}")),
            Self::Copy(key, from) => {
                action("upsert", &format!("key: {key}, from_attribute: {from}"))
            }
            Self::Delete(key) => action("delete", &format!("key: {key}")),
            Self::DeleteMatching(part) => action("delete", &format!("pattern: {part}")),
            Self::Text(key) => action("convert", &format!("key: {key}, converted_type: string")),
            Self::Hash(key) => action("hash", &format!("key: {key}")),
        }
    }

    fn apply(&self, attributes: &mut Vec<KeyValue>) {
        let find =
            |attributes: &[KeyValue], key: &str| attributes.iter().position(|a| a.key == key);
        match self {
            Self::Insert(key, value) => {
                if find(attributes, key).is_none() {
                    attributes.push(attribute(key, &Any::IntValue(*value)));
                }
            }
            Self::Update(key, value) => {
                if let Some(at) = find(attributes, key) {
                    attributes[at].value = attribute(key, &Any::IntValue(*value)).value;
                }
            }
            Self::Upsert(key, value) => match find(attributes, key) {
                Some(at) => attributes[at].value = attribute(key, &Any::IntValue(*value)).value,
                None => attributes.push(attribute(key, &Any::IntValue(*value))),
            },
            Self::Copy(key, from) => {
                let Some(from) = find(attributes, from) else {
                    return;
                };
                let mut value = attributes[from].value.clone().unwrap_or_default();
                // An index into a string table that only profiles have.
                if let Some(Any::StringValueStrindex(_)) = value.value {
                    value.value = None;
                }
                let copy = KeyValue {
                    key: (*key).to_owned(),
                    value: Some(value),
                    ..Default::default()
                };
                match find(attributes, key) {
                    Some(at) => attributes[at].value = copy.value,
                    None => attributes.push(copy),
                }
            }
            Self::Delete(key) => attributes.retain(|a| a.key != *key),
            Self::DeleteMatching(part) => {
                let pattern = Regex::new(part).unwrap();
                attributes.retain(|a| !pattern.is_match(&a.key));
            }
            Self::Text(key) => {
                if let Some(at) = find(attributes, key) {
                    let value = attributes[at].value.clone().unwrap_or_default();
                    if !matches!(value.value, Some(Any::StringValue(_))) {
                        let encoded = value.encode_to_vec();
                        let shown = <Attribute<'_> as crate::pdata::view::View>::parse(&encoded);
                        attributes[at].value = attribute(key, &text(&shown.to_string())).value;
                    }
                }
            }
            Self::Hash(key) => {
                for at in attributes.iter_mut().filter(|a| a.key == *key) {
                    let value = at.value.take().and_then(|value| value.value);
                    let bytes = match value {
                        Some(Any::StringValue(text)) => Some(text.into_bytes()),
                        Some(Any::BoolValue(value)) => Some(vec![u8::from(value)]),
                        Some(Any::IntValue(value)) => Some(value.to_le_bytes().to_vec()),
                        Some(Any::DoubleValue(value)) => Some(value.to_le_bytes().to_vec()),
                        _ => None,
                    };
                    let hash = bytes.map(|bytes| {
                        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes);
                        let digits = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
                        digits.collect::<String>()
                    });
                    at.value = attribute(key, &text(&hash.unwrap_or_default())).value;
                }
            }
        }
    }
}

/// The same edit of prost's structs, encoded again.
fn oracle(signal: Signal, request: &[u8], steps: &[Step]) -> Vec<u8> {
    let edit = |attributes: &mut Vec<KeyValue>| {
        for step in steps {
            step.apply(attributes);
        }
    };
    // A resource that isn't there gets one only with attributes in it.
    let edit_resource = |resource: &mut Option<OwnedResource>| {
        let mut edited = resource.clone().unwrap_or_default();
        edit(&mut edited.attributes);
        if resource.is_some() || !edited.attributes.is_empty() {
            *resource = Some(edited);
        }
    };
    match signal {
        Signal::Metrics => {
            let mut request = ExportMetricsServiceRequest::decode(request).unwrap();
            for resource in &mut request.resource_metrics {
                edit_resource(&mut resource.resource);
                for metric in resource
                    .scope_metrics
                    .iter_mut()
                    .flat_map(|s| &mut s.metrics)
                {
                    match metric.data.as_mut() {
                        Some(Data::Gauge(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::Sum(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::Histogram(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::ExponentialHistogram(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        Some(Data::Summary(data)) => {
                            data.data_points
                                .iter_mut()
                                .for_each(|p| edit(&mut p.attributes));
                        }
                        None => {}
                    }
                }
            }
            request.encode_to_vec()
        }
        Signal::Traces => {
            let mut request = ExportTraceServiceRequest::decode(request).unwrap();
            for resource in &mut request.resource_spans {
                edit_resource(&mut resource.resource);
                for span in resource.scope_spans.iter_mut().flat_map(|s| &mut s.spans) {
                    edit(&mut span.attributes);
                }
            }
            request.encode_to_vec()
        }
        Signal::Logs => {
            let mut request = ExportLogsServiceRequest::decode(request).unwrap();
            for resource in &mut request.resource_logs {
                edit_resource(&mut resource.resource);
                for record in resource
                    .scope_logs
                    .iter_mut()
                    .flat_map(|s| &mut s.log_records)
                {
                    edit(&mut record.attributes);
                }
            }
            request.encode_to_vec()
        }
    }
}

/// What prost makes of a request.
fn normal(signal: Signal, request: &[u8]) -> Vec<u8> {
    oracle(signal, request, &[])
}

proptest! {
    #[test]
    fn edits_are_those_of_the_decoded_structs(
        seed: u64,
        steps in prop::collection::vec(Step::any(), 1..5),
    ) {
        let yaml: Vec<String> = steps.iter().map(Step::yaml).collect();
        let actions: Actions = read(&format!("[{}]", yaml.join(", "))).unwrap();
        for signal in Signal::ALL {
            for style in [Style::CANONICAL, Style::REGULAR, Style::ANY] {
                let mut batch = sample(signal, seed, style);
                let before: Vec<u8> = batch.parts().iter().flat_map(|p| p.bytes().clone()).collect();
                batch.edit(&mut Everywhere(actions.clone()));
                let after: Vec<u8> = batch.parts().iter().flat_map(|p| p.bytes().clone()).collect();
                prop_assert!(Batch::decode(signal, after.clone().into()).is_ok());
                let (edited, expected) = (normal(signal, &after), oracle(signal, &before, &steps));
                prop_assert!(edited == expected, "{signal} {yaml:?}");
            }
        }
    }
}
