use std::hash::{BuildHasher, Hash};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::resource::v1::Resource as OwnedResource;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::pdata::samples::Style;
use crate::pdata::tests::{canonical, sample};
use crate::pdata::view::{Attributes, Value};
use crate::pdata::wire::{self, WireFields};
use crate::pdata::{Signal, walk};

/// An edit that does one thing or another, depending on what it sees.
struct Mixed {
    seed: u64,
    /// What may happen: 0 drops, 1 skips, 2 edits attributes.
    outcomes: u64,
}

impl Mixed {
    /// 0 drops, 1 skips, 2 edits attributes, anything else keeps.
    fn outcome(&self, what: impl Hash) -> u64 {
        foldhash::quality::FixedState::with_seed(self.seed).hash_one(what) % self.outcomes
    }

    fn decide(&self, what: impl Hash, attributes: Attributes<'_>, new: &mut Replacement) -> Action {
        match self.outcome(what) {
            0 => Action::Drop,
            outcome => {
                if outcome == 2 {
                    rewrite(self.seed, attributes, new);
                }
                match outcome {
                    1 => Action::Skip,
                    _ => Action::Keep,
                }
            }
        }
    }
}

/// Removes `a`, and adds something.
fn rewrite(seed: u64, attributes: Attributes<'_>, new: &mut Replacement) {
    let new = new.begin();
    let kept = || attributes.iter().filter(|attribute| attribute.key != "a");
    assert_eq!(
        attributes.get("a").is_some(),
        kept().count() < attributes.iter().count()
    );
    if attributes.get("a").is_none() {
        new.keep_all(attributes);
    } else {
        kept().for_each(|attribute| new.keep(&attribute));
    }
    assert_eq!(new.written().iter().count(), kept().count());
    let bytes = [1, 2, 3];
    match seed % 8 {
        0 => {}
        1 => new.put("new", &Value::Str("text")),
        2 => new.put("new", &Value::Bool(true)),
        3 => new.put("new", &Value::Int(-7)),
        4 => new.put("new", &Value::Double(0.5)),
        5 => new.put("new", &Value::Bytes(&bytes)),
        6 => new.put("new", &Value::Empty),
        _ => {
            if let Some(first) = kept().next() {
                new.put("copy", &first.value);
            }
        }
    }
}

/// The same with owned structs.
fn rewrite_owned(seed: u64, attributes: &mut Vec<KeyValue>) {
    use any_value::Value as V;
    attributes.retain(|attribute| attribute.key != "a");
    let mut add = |key: &str, value: Option<V>| {
        attributes.push(KeyValue {
            key: key.into(),
            value: Some(AnyValue { value }),
            key_strindex: 0,
        });
    };
    match seed % 8 {
        0 => {}
        1 => add("new", Some(V::StringValue("text".into()))),
        2 => add("new", Some(V::BoolValue(true))),
        3 => add("new", Some(V::IntValue(-7))),
        4 => add("new", Some(V::DoubleValue(0.5))),
        5 => add("new", Some(V::BytesValue(vec![1, 2, 3]))),
        6 => add("new", None),
        _ => {
            if let Some(first) = attributes.first() {
                let value = first.value.clone().and_then(|value| value.value);
                // Not in the vocabulary of metrics, traces and logs.
                let value = value.filter(|value| !matches!(value, V::StringValueStrindex(_)));
                add_after(attributes, value);
            }
        }
    }
}

fn add_after(attributes: &mut Vec<KeyValue>, value: Option<any_value::Value>) {
    attributes.push(KeyValue {
        key: "copy".into(),
        value: Some(AnyValue { value }),
        key_strindex: 0,
    });
}

impl Edit for Mixed {
    fn resource(&mut self, resource: Resource<'_>, new: &mut Replacement) -> Action {
        let attributes = resource.attributes();
        self.decide(attributes.iter().count(), attributes, new)
    }

    fn scope(&mut self, _: Resource<'_>, scope: Scope<'_>, new: &mut Replacement) -> Action {
        self.decide((scope.name(), scope.version()), scope.attributes(), new)
    }

    fn metric(&mut self, _: At<'_>, metric: &Metric<'_>) -> Action {
        match self.outcome((metric.name(), metric.unit())) {
            0 => Action::Drop,
            1 => Action::Skip,
            _ => Action::Keep,
        }
    }

    fn point(
        &mut self,
        _: At<'_>,
        _: &Metric<'_>,
        point: &Point<'_>,
        new: &mut Replacement,
    ) -> Action {
        self.decide(point.time_unix_nano(), point.attributes(), new)
    }

    fn span(&mut self, _: At<'_>, span: &Span<'_>, new: &mut Replacement) -> Action {
        self.decide(span.name(), span.attributes(), new)
    }

    fn log_record(&mut self, _: At<'_>, record: &LogRecord<'_>, new: &mut Replacement) -> Action {
        let what = (record.severity_number(), record.severity_text());
        self.decide(what, record.attributes(), new)
    }
}

/// The oracle: the same edit on owned structs.
impl Mixed {
    /// Whether it stays, and whether what is in it is looked at.
    fn owned(&self, what: impl Hash, attributes: &mut Vec<KeyValue>) -> (bool, bool) {
        let outcome = self.outcome(what);
        if outcome == 2 {
            rewrite_owned(self.seed, attributes);
        }
        (outcome != 0, outcome != 1)
    }

    fn owned_resource(&self, resource: &mut Option<OwnedResource>) -> (bool, bool) {
        let mut now = resource.clone().unwrap_or_default();
        let what = now.attributes.len();
        let answer = self.owned(what, &mut now.attributes);
        if resource.is_some() || !now.attributes.is_empty() {
            *resource = Some(now);
        }
        answer
    }

    fn owned_scope(&self, scope: &mut Option<InstrumentationScope>) -> (bool, bool) {
        let mut now = scope.clone().unwrap_or_default();
        let what = (now.name.clone(), now.version.clone());
        let answer = self.owned((what.0.as_str(), what.1.as_str()), &mut now.attributes);
        if scope.is_some() || !now.attributes.is_empty() {
            *scope = Some(now);
        }
        answer
    }

    /// Keeps of the children what `keep` says; no when that leaves none of some.
    fn prune<T>(children: &mut Vec<T>, keep: impl FnMut(&mut T) -> bool) -> bool {
        let none_before = children.is_empty();
        children.retain_mut(keep);
        none_before || !children.is_empty()
    }

    fn owned_data(&self, data: &mut Option<Data>) -> bool {
        macro_rules! points {
            ($data:expr) => {
                Self::prune(&mut $data.data_points, |point| {
                    self.owned(point.time_unix_nano, &mut point.attributes).0
                })
            };
        }
        match data {
            None => true,
            Some(Data::Gauge(data)) => points!(data),
            Some(Data::Sum(data)) => points!(data),
            Some(Data::Histogram(data)) => points!(data),
            Some(Data::ExponentialHistogram(data)) => points!(data),
            Some(Data::Summary(data)) => points!(data),
        }
    }

    fn edit_owned(&self, signal: Signal, bytes: &[u8]) -> Vec<u8> {
        /// Resources and scopes, which are alike in all signals.
        macro_rules! edit {
            ($request:ty, $resources:ident, $scopes:ident, $items:ident, $item:expr) => {{
                let mut request = <$request>::decode(bytes).unwrap();
                Self::prune(&mut request.$resources, |resource| {
                    let (stays, look) = self.owned_resource(&mut resource.resource);
                    stays
                        && (!look
                            || Self::prune(&mut resource.$scopes, |scope| {
                                let (stays, look) = self.owned_scope(&mut scope.scope);
                                stays && (!look || Self::prune(&mut scope.$items, $item))
                            }))
                });
                request.encode_to_vec()
            }};
        }
        match signal {
            Signal::Metrics => edit!(
                ExportMetricsServiceRequest,
                resource_metrics,
                scope_metrics,
                metrics,
                |metric| match self.outcome((metric.name.as_str(), metric.unit.as_str())) {
                    0 => false,
                    1 => true,
                    _ => self.owned_data(&mut metric.data),
                }
            ),
            Signal::Traces => edit!(
                ExportTraceServiceRequest,
                resource_spans,
                scope_spans,
                spans,
                |span| self.owned(span.name.as_str(), &mut span.attributes).0
            ),
            Signal::Logs => edit!(
                ExportLogsServiceRequest,
                resource_logs,
                scope_logs,
                log_records,
                |record| {
                    let what = (record.severity_number, record.severity_text.as_str());
                    self.owned(what, &mut record.attributes).0
                }
            ),
        }
    }
}

/// What no edit of attributes may touch: of every message the fields that are neither
/// attributes nor messages around those, in order.
fn untouched(signal: Signal, request: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = Vec::new();
    let mut walk = |message: &[u8], taken: &[u32]| -> Vec<(u32, Vec<u8>)> {
        let mut inner = Vec::new();
        for field in WireFields::new(message) {
            match field.value {
                wire::WireValue::Bytes(content) if taken.contains(&field.number) => {
                    inner.push((field.number, content.to_vec()));
                }
                _ => rest.push(field.raw.to_vec()),
            }
        }
        inner
    };
    for (_, group) in walk(request, &[1]) {
        for (number, inner) in walk(&group, &[1, 2]) {
            if number == 1 {
                walk(&inner, &[1]);
                continue;
            }
            for (number, item) in walk(&inner, &[1, 2]) {
                match signal {
                    _ if number == 1 => drop(walk(&item, &[3])),
                    Signal::Traces => drop(walk(&item, &[9])),
                    Signal::Logs => drop(walk(&item, &[6])),
                    Signal::Metrics => {
                        for (kind, data) in walk(&item, &[5, 7, 9, 10, 11]) {
                            let attributes = match kind {
                                9 => 9,
                                10 => 1,
                                _ => 7,
                            };
                            for (_, point) in walk(&data, &[1]) {
                                walk(&point, &[attributes]);
                            }
                        }
                    }
                }
            }
        }
    }
    rest
}

fn edited(signal: Signal, request: Vec<u8>, edit: &mut impl Edit) -> (Batch, u64) {
    let mut batch = Batch::decode(signal, request.into()).unwrap();
    let removed = batch.edit(edit);
    (batch, removed)
}

fn joined(batch: &Batch) -> Vec<u8> {
    batch
        .parts()
        .iter()
        .flat_map(|part| part.bytes().to_vec())
        .collect()
}

proptest! {
    #[test]
    fn an_edit_gives_what_editing_owned_structs_gives(seed: u64, outcomes in 3_u64..12) {
        for signal in Signal::ALL {
            for style in [Style::CANONICAL, Style::REGULAR, Style::ANY] {
                let request = sample(signal, seed, style);
                let before = walk::request(signal, &request).unwrap().items;
                let mut edit = Mixed { seed, outcomes };
                let (batch, removed) = edited(signal, request.clone(), &mut edit);
                let bytes = joined(&batch);
                let walked = walk::request(signal, &bytes).unwrap();
                prop_assert_eq!(walked.items, batch.items());
                prop_assert_eq!(before - removed, batch.items());
                prop_assert_eq!(canonical(signal, &bytes), edit.edit_owned(signal, &request));
            }
        }
    }

    #[test]
    fn what_an_edit_of_attributes_does_not_name_stays_as_it_is(seed: u64) {
        struct EverywhereTheSame(u64);
        impl Edit for EverywhereTheSame {
            fn resource(&mut self, resource: Resource<'_>, new: &mut Replacement) -> Action {
                rewrite(self.0, resource.attributes(), new);
                Action::Keep
            }
            fn scope(&mut self, _: Resource<'_>, it: Scope<'_>, new: &mut Replacement) -> Action {
                rewrite(self.0, it.attributes(), new);
                Action::Keep
            }
            fn point(
                &mut self,
                _: At<'_>,
                _: &Metric<'_>,
                point: &Point<'_>,
                new: &mut Replacement,
            ) -> Action {
                rewrite(self.0, point.attributes(), new);
                Action::Keep
            }
            fn span(&mut self, _: At<'_>, it: &Span<'_>, new: &mut Replacement) -> Action {
                rewrite(self.0, it.attributes(), new);
                Action::Keep
            }
            fn log_record(
                &mut self,
                _: At<'_>,
                it: &LogRecord<'_>,
                new: &mut Replacement,
            ) -> Action {
                rewrite(self.0, it.attributes(), new);
                Action::Keep
            }
        }
        for signal in Signal::ALL {
            let request = sample(signal, seed, Style::REGULAR);
            let (batch, removed) = edited(signal, request.clone(), &mut EverywhereTheSame(seed));
            prop_assert_eq!(removed, 0);
            prop_assert_eq!(
                untouched(signal, &joined(&batch)),
                untouched(signal, &request)
            );
        }
    }

    #[test]
    fn points_that_stay_keep_their_bytes(seed: u64) {
        struct EveryOther(u64);
        impl Edit for EveryOther {
            fn point(
                &mut self,
                _: At<'_>,
                _: &Metric<'_>,
                _: &Point<'_>,
                _: &mut Replacement,
            ) -> Action {
                self.0 += 1;
                if self.0.is_multiple_of(2) { Action::Drop } else { Action::Keep }
            }
        }
        let points = |batch: &Batch| -> Vec<Vec<u8>> {
            batch
                .resource_metrics()
                .flat_map(|resource| resource.scopes())
                .flat_map(|scope| scope.metrics())
                .flat_map(|metric| metric.data().points())
                .map(|point| point.raw().to_vec())
                .collect()
        };
        let request = sample(Signal::Metrics, seed, Style::REGULAR);
        let whole = Batch::decode(Signal::Metrics, request.clone().into()).unwrap();
        let (batch, removed) = edited(Signal::Metrics, request, &mut EveryOther(0));
        prop_assert_eq!(removed, whole.items() / 2);
        let expected: Vec<_> = points(&whole).into_iter().step_by(2).collect();
        prop_assert_eq!(points(&batch), expected);
    }

    #[test]
    fn an_edit_that_changes_nothing_leaves_the_very_same_bytes(seed: u64) {
        struct Same;
        impl Edit for Same {
            fn resource(&mut self, resource: Resource<'_>, new: &mut Replacement) -> Action {
                new.begin().keep_all(resource.attributes());
                Action::Keep
            }
        }
        for signal in Signal::ALL {
            let request = bytes::Bytes::from(sample(signal, seed, Style::CANONICAL));
            let mut batch = Batch::decode(signal, request.clone()).unwrap();
            prop_assert_eq!(batch.edit(&mut Same), 0);
            for part in batch.parts() {
                prop_assert_eq!(part.bytes().as_ptr(), request.as_ptr());
            }
        }
    }
}

#[test]
fn dropping_everything_leaves_an_empty_batch() {
    struct Nothing;
    impl Edit for Nothing {
        fn resource(&mut self, _: Resource<'_>, _: &mut Replacement) -> Action {
            Action::Drop
        }
    }
    for signal in Signal::ALL {
        let request = (0..)
            .map(|seed| sample(signal, seed, Style::CANONICAL))
            .find(|request| walk::request(signal, request).unwrap().items > 0)
            .unwrap();
        let items = walk::request(signal, &request).unwrap().items;
        let (batch, removed) = edited(signal, request, &mut Nothing);
        assert_eq!((removed, batch.items(), batch.parts().len()), (items, 0, 0));
    }
}
