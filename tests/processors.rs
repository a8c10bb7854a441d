//! One contract for every processor: what goes in comes out or is given up, a shutdown
//! flushes, nothing comes afterwards, and empty batches are no trouble.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/otlp.rs"]
mod otlp;

use std::sync::Arc;

use bytes::Bytes;
use foghorn::component::{BuildContext, Processor};
use foghorn::components::FACTORIES;
use foghorn::pdata::{Batch, Signal};
use foghorn::pipeline::conformance;
use foghorn::telemetry::Telemetry;
use foghorn::yaml::{Diagnostics, PlacedNode, parse};

use otlp::Style;

/// Every processor that is built in, with configurations that make it do something. The
/// test fails for one that isn't listed.
const CONFIGURATIONS: &[(&str, &[&str])] = &[
    (
        "aggregate",
        &[
            "{}",
            "{emit: true, windows: [1m, 5m], stats: [avg, p95], interval: 1s}",
        ],
    ),
    (
        "attributes",
        &[
            "{actions: [{action: insert, key: a, value: 1}, {action: insert, key: z, value: 1}]}",
            "{actions: [{action: delete, pattern: '.'}]}",
            "{include: {match_type: regexp, services: ['.']},
              actions: [{action: hash, key: a}, {action: upsert, key: b, from_attribute: a}]}",
        ],
    ),
    (
        "batch",
        &[
            "{}",
            "{send_batch_size: 5, send_batch_max_size: 7}",
            "{send_batch_size: 0, send_batch_max_size: 1}",
            "{timeout: 1h, send_batch_size: 1000000}",
        ],
    ),
    (
        "cardinality",
        &[
            "{}",
            "{max_series: 3, max_series_per_metric: 1}",
            "{max_series_per_metric: 2, metric_expiration: 1s}",
        ],
    ),
    (
        "filter",
        &[
            "{}",
            "{metrics: {include: {match_type: regexp, metric_names: [a]}},
              spans: {include: {match_type: strict, services: [host, a]}},
              logs: {exclude: {match_type: strict, record_attributes: [{key: a}]}}}",
            "{metrics: {exclude: {match_type: glob, datapoint_attributes: [{key: a}]}},
              spans: {exclude: {match_type: regexp, span_names: ['']}},
              logs: {include: {severity_number: {min: WARN}}}}",
        ],
    ),
    (
        "request_metrics",
        &[
            "{}",
            "{interval: 1s, match: [host, a, service.name], max_deployments: 2, max_replicas: 1,
              max_series: 3, metric_expiration: 1s}",
        ],
    ),
    (
        "resource",
        &["{attributes: [{action: upsert, key: a, value: lab}, {action: delete, key: host}]}"],
    ),
    (
        "resource_detection",
        &[
            "{}",
            "{detectors: [k8s_api, system], override: false, timeout: 1s,
              system: {hostname_sources: [os]}}",
        ],
    ),
    (
        "window",
        &[
            "{}",
            "{capacity: 2, max_series: 3, max_memory: 1MiB, series_ttl: 1s, out_of_order_window: 0s}",
        ],
    ),
];

// Within a runtime, since `aggregate` computes on a thread of it.
#[tokio::test]
async fn every_processor_keeps_the_contract() {
    for factory in FACTORIES.processors {
        let (_, configurations) = CONFIGURATIONS
            .iter()
            .find(|(kind, _)| *kind == factory.kind)
            .unwrap_or_else(|| panic!("{} isn't held to the contract", factory.kind));
        for yaml in *configurations {
            for signal in factory.signals {
                for style in [Style::CANONICAL, Style::ANY] {
                    let processor = build(factory.kind, yaml, *signal);
                    let checked = conformance::check(processor, *signal, batches(*signal, style));
                    if let Err(violation) = checked {
                        panic!("{} {yaml} {signal}: {violation}", factory.kind);
                    }
                }
            }
        }
    }
}

/// What comes out is still a valid request with as many items as it claims.
#[tokio::test]
async fn what_comes_out_is_valid() {
    for (kind, configurations) in CONFIGURATIONS {
        for yaml in *configurations {
            let factory = FACTORIES.processors.iter().find(|f| f.kind == *kind);
            for signal in factory.unwrap().signals {
                let processor = build(kind, yaml, *signal);
                let batches = batches(*signal, Style::ANY);
                for batch in conformance::check(processor, *signal, batches).unwrap() {
                    for part in batch.parts() {
                        let decoded = Batch::decode(*signal, part.bytes().clone()).unwrap();
                        assert_eq!(decoded.items(), part.items(), "{kind} {yaml}");
                    }
                }
            }
        }
    }
}

/// Random requests, with an empty one first, last and in between.
fn batches(signal: Signal, style: Style) -> Vec<Batch> {
    let request = match signal {
        Signal::Metrics => otlp::metrics,
        Signal::Traces => otlp::traces,
        Signal::Logs => otlp::logs,
    };
    let mut batches = vec![Batch::empty(signal)];
    for seed in 0..60 {
        let mut batch = Batch::decode(signal, Bytes::from(request(seed, style))).unwrap();
        if seed % 3 == 0 {
            let more = Bytes::from(request(seed + 1000, style));
            batch.append(Batch::decode(signal, more).unwrap());
        }
        batches.push(batch);
        if seed % 10 == 9 {
            batches.push(Batch::empty(signal));
        }
    }
    batches
}

fn build(kind: &str, yaml: &str, signal: Signal) -> Box<dyn Processor> {
    let factory = FACTORIES.processors.iter().find(|f| f.kind == kind);
    let diagnostics = Diagnostics::new();
    let node = parse(yaml, &Arc::from("test"), &diagnostics).unwrap();
    let config = (factory.unwrap().configure)(&PlacedNode::root(&node, &diagnostics));
    assert!(
        diagnostics.problems().is_empty(),
        "{kind} {yaml}: {:?}",
        diagnostics.problems()
    );
    let context = BuildContext::standalone(kind.parse().unwrap(), Telemetry::off());
    config.unwrap().build(&context, signal).unwrap()
}
