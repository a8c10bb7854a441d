//! The ledger as metrics. It is read when metrics are collected, so that on the path of the data
//! only the ledger's atomics cost time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Meter};

use super::budget::Budget;
use super::chain::StageAccount;
use super::ledger::{Ledger, LegEntry};
use super::outlet::ObservedOutlet;
use super::refusals::{ReceiverAccount, RefusalReason};
use crate::component::DropReason;
use crate::pdata::Signal;

/// Registers every instrument of the pipelines.
pub(super) fn observe(
    meter: &Meter,
    ledger: &Ledger,
    receivers: Vec<Arc<ReceiverAccount>>,
    stages: Vec<Arc<StageAccount>>,
    outlets: Vec<ObservedOutlet>,
    budgets: Vec<(Arc<str>, Arc<Budget>)>,
) {
    observe_pipelines(meter, ledger);
    observe_memory(meter, budgets);
    observe_legs(meter, ledger);
    observe_receivers(meter, &Arc::from(receivers));
    observe_processors(meter, &Arc::from(stages));
    observe_exporters(meter, ledger, &Arc::from(outlets));
}

/// Registers a counter that is read by `callback`.
fn counter(
    meter: &Meter,
    name: impl Into<String>,
    description: &'static str,
    callback: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) {
    meter
        .u64_observable_counter(name.into())
        .with_description(description)
        .with_callback(callback)
        .build();
}

/// Registers a gauge that is read by `callback`.
fn gauge(
    meter: &Meter,
    name: &'static str,
    description: &'static str,
    callback: impl Fn(&dyn AsyncInstrument<u64>) + Send + Sync + 'static,
) {
    meter
        .u64_observable_gauge(name)
        .with_description(description)
        .with_callback(callback)
        .build();
}

fn observe_pipelines(meter: &Meter, ledger: &Ledger) {
    let books = ledger.clone();
    counter(
        meter,
        "foghorn_pipeline_items_total",
        "Items before the fan-out: accepted + created = dropped + held + fanned_out.",
        move |observer| {
            for entry in books.snapshot().pipelines {
                let pipeline = KeyValue::new("pipeline", entry.pipeline.to_string());
                let see = |value, outcome, reason| {
                    observer.observe(
                        value,
                        &[
                            pipeline.clone(),
                            KeyValue::new("outcome", outcome),
                            KeyValue::new("reason", reason),
                        ],
                    );
                };
                see(entry.accepted, "accepted", "");
                see(entry.created, "created", "");
                see(entry.fanned_out, "fanned_out", "");
                for reason in DropReason::ALL {
                    see(entry.dropped.of(reason), "dropped", reason.as_str());
                }
            }
        },
    );
    let books = ledger.clone();
    gauge(
        meter,
        "foghorn_pipeline_held_items",
        "Items that wait for or are with a pipeline's processors.",
        move |observer| {
            for entry in books.snapshot().pipelines {
                let pipeline = KeyValue::new("pipeline", entry.pipeline.to_string());
                observer.observe(entry.held, &[pipeline]);
            }
        },
    );
}

fn observe_memory(meter: &Meter, budgets: Vec<(Arc<str>, Arc<Budget>)>) {
    gauge(
        meter,
        "foghorn_pipeline_in_flight_bytes",
        "Bytes between admission and delivery, which memory_limiter bounds; of all pipelines that \
         share one.",
        move |observer| {
            for (pipeline, budget) in &budgets {
                let pipeline = KeyValue::new("pipeline", pipeline.to_string());
                observer.observe(budget.in_flight(), &[pipeline]);
            }
        },
    );
}

fn observe_legs(meter: &Meter, ledger: &Ledger) {
    let labels = |leg: &LegEntry| {
        [
            KeyValue::new("pipeline", leg.pipeline.to_string()),
            KeyValue::new("exporter", leg.exporter.to_string()),
        ]
    };
    let books = ledger.clone();
    counter(
        meter,
        "foghorn_delivery_items_total",
        "Items behind the fan-out: fanned_out = sent + queued + dropped.",
        move |observer| {
            for leg in books.snapshot().legs {
                let [pipeline, exporter] = labels(&leg);
                let see = |value, outcome, reason| {
                    observer.observe(
                        value,
                        &[
                            pipeline.clone(),
                            exporter.clone(),
                            KeyValue::new("outcome", outcome),
                            KeyValue::new("reason", reason),
                        ],
                    );
                };
                see(leg.sent, "sent", "");
                for reason in DropReason::ALL {
                    see(leg.dropped.of(reason), "dropped", reason.as_str());
                }
            }
        },
    );
    let books = ledger.clone();
    gauge(
        meter,
        "foghorn_delivery_queued_items",
        "Items that wait for an exporter or are under way.",
        move |observer| {
            for leg in books.snapshot().legs {
                observer.observe(leg.queued, &labels(&leg));
            }
        },
    );
}

fn observe_receivers(meter: &Meter, receivers: &Arc<[Arc<ReceiverAccount>]>) {
    type Pick = fn(&ReceiverAccount) -> &AtomicU64;
    const FAMILIES: [(&str, &str, Pick); 3] = [
        ("accepted", "Items handed to the pipelines.", |r| {
            &r.accepted
        }),
        (
            "refused",
            "Items refused after they were counted; requests refused before that are in \
             foghorn_receiver_refused_requests_total.",
            |r| &r.refused,
        ),
        (
            "failed",
            "Items that the receiver could not hand over.",
            |r| &r.failed,
        ),
    ];
    for signal in Signal::ALL {
        if !receivers.iter().any(|receiver| receiver.signal == signal) {
            continue;
        }
        for (outcome, description, pick) in FAMILIES {
            let receivers = Arc::clone(receivers);
            let name = format!("otelcol_receiver_{outcome}_{}", signal.items());
            counter(meter, name, description, move |observer| {
                for receiver in receivers.iter().filter(|r| r.signal == signal) {
                    let id = KeyValue::new("receiver", receiver.receiver.to_string());
                    observer.observe(pick(receiver).load(Ordering::Relaxed), &[id]);
                }
            });
        }
    }
    for (name, description, bytes) in [
        (
            "foghorn_receiver_refused_requests_total",
            "Requests refused before they were decoded.",
            false,
        ),
        (
            "foghorn_receiver_refused_bytes_total",
            "Bytes for which there was no room.",
            true,
        ),
    ] {
        let receivers = Arc::clone(receivers);
        counter(meter, name, description, move |observer| {
            for receiver in receivers.iter() {
                for reason in RefusalReason::ALL {
                    let refusals = &receiver.refusals[reason as usize];
                    let figure = if bytes {
                        &refusals.bytes
                    } else {
                        &refusals.requests
                    };
                    observer.observe(
                        figure.load(Ordering::Relaxed),
                        &[
                            KeyValue::new("receiver", receiver.receiver.to_string()),
                            KeyValue::new("signal", receiver.signal.as_str()),
                            KeyValue::new("reason", reason.as_str()),
                        ],
                    );
                }
            }
        });
    }
}

fn observe_processors(meter: &Meter, stages: &Arc<[Arc<StageAccount>]>) {
    type Pick = fn(&StageAccount) -> &AtomicU64;
    const FAMILIES: [(&str, &str, Pick); 2] = [
        (
            "otelcol_processor_incoming_items",
            "Items given to the processor.",
            |stage| &stage.incoming,
        ),
        (
            "otelcol_processor_outgoing_items",
            "Items that the processor passed on.",
            |stage| &stage.outgoing,
        ),
    ];
    for (name, description, pick) in FAMILIES {
        let stages = Arc::clone(stages);
        counter(meter, name, description, move |observer| {
            for stage in stages.iter() {
                observer.observe(
                    pick(stage).load(Ordering::Relaxed),
                    &[
                        KeyValue::new("processor", stage.processor.to_string()),
                        KeyValue::new("pipeline", stage.pipeline.to_string()),
                    ],
                );
            }
        });
    }
}

fn observe_exporters(meter: &Meter, ledger: &Ledger, outlets: &Arc<[ObservedOutlet]>) {
    type Figure = fn(&LegEntry) -> u64;
    const FAMILIES: [(&str, &str, Figure); 3] = [
        ("sent", "Items that the destination took.", |leg| leg.sent),
        ("send_failed", "Items that could not be delivered.", |leg| {
            leg.dropped.total() - leg.dropped.of(DropReason::QueueFull)
        }),
        (
            "enqueue_failed",
            "Items for which the exporter's queue had no room.",
            |leg| leg.dropped.of(DropReason::QueueFull),
        ),
    ];
    for signal in Signal::ALL {
        let present = ledger.legs().iter().any(|leg| leg.signal == signal);
        if !present {
            continue;
        }
        for (outcome, description, figure) in FAMILIES {
            let books = ledger.clone();
            let name = format!("otelcol_exporter_{outcome}_{}", signal.items());
            counter(meter, name, description, move |observer| {
                let mut sums = BTreeMap::new();
                for leg in books.legs().iter().filter(|leg| leg.signal == signal) {
                    *sums.entry(&leg.exporter).or_insert(0) += figure(&leg.entry());
                }
                for (exporter, sum) in sums {
                    observer.observe(sum, &[KeyValue::new("exporter", exporter.to_string())]);
                }
            });
        }
    }
    type Reading = fn(&ObservedOutlet) -> u64;
    const GAUGES: [(&str, &str, Reading); 3] = [
        (
            "otelcol_exporter_queue_size",
            "What waits, in requests, or in items where those are bounded.",
            |o| o.queue.size_and_capacity().0,
        ),
        (
            "otelcol_exporter_queue_capacity",
            "What the signal may have waiting or under way, in the same unit.",
            |o| o.queue.size_and_capacity().1,
        ),
        (
            "otelcol_exporter_in_flight_requests",
            "Requests under way.",
            |o| o.status.in_flight.load(Ordering::Relaxed),
        ),
    ];
    for (name, description, reading) in GAUGES {
        let outlets = Arc::clone(outlets);
        gauge(meter, name, description, move |observer| {
            for outlet in outlets.iter() {
                let Some(signal) = outlet.signal else {
                    continue;
                };
                let labels = [
                    KeyValue::new("exporter", outlet.status.id.to_string()),
                    KeyValue::new("data_type", signal.as_str()),
                ];
                observer.observe(reading(outlet), &labels);
            }
        });
    }
}
