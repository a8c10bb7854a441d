use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data as Owned;
use proptest::prelude::*;
use prost::Message as _;

use super::*;
use crate::pdata::samples::{self, Random, Style};
use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::pdata::{Batch, Signal};

/// The series of each point of a request, told by a text that prost's structs give.
fn series_by_prost(request: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let request = ExportMetricsServiceRequest::decode(request).unwrap();
    for resource in request.resource_metrics {
        let attributes = resource.resource.unwrap_or_default().attributes;
        for scopes in resource.scope_metrics {
            let scope = scopes.scope.unwrap_or_default();
            for metric in scopes.metrics {
                let (kind, points): (_, Vec<_>) = match metric.data {
                    None => continue,
                    Some(Owned::Gauge(data)) => (
                        "gauge".to_owned(),
                        data.data_points.into_iter().map(|p| p.attributes).collect(),
                    ),
                    Some(Owned::Sum(data)) => (
                        format!("{:?} {}", data.aggregation_temporality(), data.is_monotonic),
                        data.data_points.into_iter().map(|p| p.attributes).collect(),
                    ),
                    Some(Owned::Histogram(data)) => (
                        format!("h {:?}", data.aggregation_temporality()),
                        data.data_points.into_iter().map(|p| p.attributes).collect(),
                    ),
                    Some(Owned::ExponentialHistogram(data)) => (
                        format!("e {:?}", data.aggregation_temporality()),
                        data.data_points.into_iter().map(|p| p.attributes).collect(),
                    ),
                    Some(Owned::Summary(data)) => (
                        "summary".to_owned(),
                        data.data_points.into_iter().map(|p| p.attributes).collect(),
                    ),
                };
                for point in points {
                    found.push(format!(
                        "{} {:?} {:?} {} {:?} {:?} {:?} {kind} {}",
                        told(&attributes),
                        scope.name,
                        scope.version,
                        told(&scope.attributes),
                        scopes.schema_url,
                        metric.name,
                        metric.unit,
                        told(&point),
                    ));
                }
            }
        }
    }
    found
}

fn told(attributes: &[KeyValue]) -> String {
    let mut first = BTreeMap::new();
    for attribute in attributes {
        first
            .entry(attribute.key.as_str())
            .or_insert_with(|| told_value(attribute.value.as_ref()));
    }
    format!("{first:?}")
}

fn told_value(value: Option<&AnyValue>) -> String {
    use any_value::Value as V;
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(V::StringValueStrindex(_)) => String::new(),
        Some(V::ArrayValue(array)) => {
            array
                .values
                .iter()
                .fold(String::from("array"), |mut out, value| {
                    write!(out, "{:?},", told_value(Some(value))).unwrap();
                    out
                })
        }
        Some(V::KvlistValue(map)) => told(&map.values),
        Some(V::DoubleValue(value)) => format!("double {:x}", value.to_bits()),
        Some(other) => format!("{other:?}"),
    }
}

/// Looks every point up and calls back with what is found.
fn each(memo: &mut SeriesMemo<u64>, batch: &Batch, mut f: impl FnMut(Lookup<'_, u64>)) {
    for resource in batch.resource_metrics() {
        for scope in resource.scopes() {
            memo.scope(&resource, &scope);
            for metric in scope.metrics() {
                let data = metric.data();
                memo.metric(&metric, &data);
                for point in data.points() {
                    f(memo.series(point.attributes()));
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn a_point_is_found_by_its_identity_however_it_is_encoded(seed: u64) {
        let mut random = Random::new(seed);
        let mut memo = SeriesMemo::new(150);
        let mut known: HashMap<String, (SeriesId, u64)> = HashMap::new();
        for _ in 0..30 {
            let style = random.pick(&[Style::CANONICAL, Style::REGULAR, Style::ANY]);
            // Few seeds, so that requests come again.
            let request = samples::metrics(seed.wrapping_add(random.next() % 6), style);
            let batch = Batch::decode(Signal::Metrics, request.clone().into()).unwrap();
            let mut expected = series_by_prost(&request).into_iter();
            each(&mut memo, &batch, |found| {
                let told = expected.next().unwrap();
                match found {
                    Lookup::Known(id, value) => assert_eq!(known.get(&told), Some(&(id, *value))),
                    Lookup::New(vacant) => {
                        assert!(!known.contains_key(&told), "{told}");
                        let (id, value) = (vacant.id(), random.next());
                        vacant.insert(value);
                        known.insert(told, (id, value));
                    }
                    Lookup::Full => {
                        assert_eq!(known.len(), 150);
                        assert!(!known.contains_key(&told), "{told}");
                    }
                }
            });
            prop_assert_eq!(expected.next(), None);
            if random.one_in(3) {
                let mark = random.next();
                memo.retain(|_, value| *value ^ mark > u64::MAX / 4);
                known.retain(|_, (_, value)| *value ^ mark > u64::MAX / 4);
            }
            if let Some((told, &(id, value))) = known.iter().next()
                && random.one_in(3)
            {
                prop_assert_eq!(memo.remove(id), Some(value));
                prop_assert_eq!(memo.get_mut(id), None);
                let told = told.clone();
                known.remove(&told);
            }
            prop_assert_eq!(memo.len(), known.len());
        }
        memo.retain(|_, _| false);
        memo.leave_metric();
        memo.leave_stream();
        prop_assert!(memo.by_id.is_empty());
        prop_assert!(memo.metrics.is_empty() && memo.metric_by_key.is_empty());
        prop_assert!(memo.streams.is_empty() && memo.stream_by_key.is_empty());
    }
}

/// Points of these series, named `metric/attribute`, of one resource.
fn batch(resource: &str, series: &[&str]) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[("service.name", resource.into())]);
    writer.scope("scope", "");
    let mut before = "";
    for one in series {
        let (metric, attribute) = one.split_once('/').unwrap();
        if metric != before {
            let descriptor = MetricDescriptor {
                name: metric,
                unit: "",
                description: "",
            };
            writer.metric(MetricKind::Gauge, descriptor);
            before = metric;
        }
        let attributes: [Attribute<'_>; 1] = [("attribute", attribute.into())];
        writer.number(NumberPointData {
            attributes: &attributes,
            start: None,
            time: std::time::UNIX_EPOCH,
            value: Some(PointNumber::Int(1)),
        });
    }
    writer.finish()
}

/// Takes a batch in, and says how many of its points had to be hashed.
fn searches(memo: &mut SeriesMemo<u64>, batch: &Batch) -> u64 {
    let before = memo.searches();
    each(memo, batch, |found| {
        if let Lookup::New(vacant) = found {
            vacant.insert(0);
        }
    });
    memo.searches() - before
}

#[test]
fn what_comes_in_the_order_of_last_time_is_not_hashed() {
    let mut memo = SeriesMemo::new(100);
    let mut call = |resource: &str, series: &[&str], expected: u64| {
        let batch = batch(resource, series);
        assert_eq!(searches(&mut memo, &batch), expected, "{series:?}");
    };
    let all = ["a/1", "a/2", "b/1", "b/2", "c/1"];
    call("one", &all, 5);
    // The first has no predecessor until the order has come round.
    call("one", &all, 1);
    call("one", &all, 0);
    // Cut into requests anywhere, and between those of another source.
    call("two", &all, 5);
    call("one", &all[..3], 0);
    call("two", &all[..1], 1);
    call("one", &all[3..], 0);
    call("two", &all[1..], 0);
    // One leaves, comes back, and is repeated.
    call("one", &["a/1", "a/2", "b/2", "c/1"], 0);
    call("one", &["a/1", "a/2", "b/2", "c/1"], 0);
    call("one", &all, 1);
    call("one", &["a/1", "a/1", "a/2", "b/1", "b/1", "b/2", "c/1"], 0);
    // A newcomer is hashed once.
    call("one", &["a/1", "a/2", "n/1", "b/1", "b/2", "c/1"], 1);
    call("one", &["a/1", "a/2", "n/1", "b/1", "b/2", "c/1"], 0);
}

#[test]
fn at_the_limit_the_known_stay_and_newcomers_are_refused() {
    let mut memo = SeriesMemo::new(2);
    let mut refused = 0;
    each(
        &mut memo,
        &batch("one", &["a/1", "a/2", "b/1", "a/1"]),
        |found| match found {
            Lookup::New(vacant) => {
                vacant.insert(7);
            }
            Lookup::Known(_, value) => assert_eq!(*value, 7),
            Lookup::Full => refused += 1,
        },
    );
    assert_eq!((memo.len(), refused), (2, 1));
    memo.retain(|_, _| false);
    assert_eq!(searches(&mut memo, &batch("one", &["b/1"])), 1);
    assert_eq!(memo.len(), 1);
}

#[test]
fn identities_differ_from_memo_to_memo() {
    let id_in = |mut memo: SeriesMemo<u64>| {
        let mut id = None;
        each(&mut memo, &batch("one", &["a/1"]), |found| {
            if let Lookup::New(vacant) = found {
                id = Some(vacant.id());
            }
        });
        id.unwrap()
    };
    assert_eq!(
        id_in(SeriesMemo::with_seeds(1, [1, 2])),
        id_in(SeriesMemo::with_seeds(1, [1, 2]))
    );
    assert_ne!(id_in(SeriesMemo::new(1)), id_in(SeriesMemo::new(1)));
}

#[test]
fn what_lookups_compare_with_is_bounded_and_each_series_found_all_the_same() {
    let request = |series: usize, length: usize| {
        let texts: Vec<String> = (0..series)
            .map(|series| format!("m{}/{series}{}", "n".repeat(length), "v".repeat(length)))
            .collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        batch("r", &texts)
    };
    let mut memo = SeriesMemo::<usize>::new(1_000);
    let look_up = |memo: &mut SeriesMemo<usize>, batch: &Batch| {
        let mut found = Vec::new();
        for resource in batch.resource_metrics() {
            for scope in resource.scopes() {
                memo.scope(&resource, &scope);
                for metric in scope.metrics() {
                    let data = metric.data();
                    memo.metric(&metric, &data);
                    for point in data.points() {
                        let next = memo.len();
                        found.push(match memo.series(point.attributes()) {
                            Lookup::Known(_, held) => *held,
                            Lookup::New(vacant) => *vacant.insert(next),
                            Lookup::Full => panic!("there is room"),
                        });
                    }
                }
            }
        }
        found
    };
    // 300 kB and 1 MB of attributes.
    for (series, length) in [(10, 0), (100, 3_000), (100, 10_000)] {
        let batch = request(series, length);
        let first = look_up(&mut memo, &batch);
        assert_eq!(look_up(&mut memo, &batch), first);
    }
    let kept = memo
        .series
        .iter()
        .filter_map(|(_, series)| series.raw.as_ref());
    let kept: usize = kept.map(|raw| raw.len()).sum();
    assert!((1_000..=128_000).contains(&kept), "{kept}");
    let names = memo
        .metrics
        .iter()
        .map(|(_, metric)| metric.header.name.len());
    assert!(names.sum::<usize>() < 5_000);
    memo.retain(|_, _| false);
    let room = memo.compared.keep(Some(&[0; 4096])).is_some();
    assert!(room && memo.is_empty());
}
