//! Writes an instance's values as metrics. The platform's dashboards and alerts use these names,
//! so they are written in full, with `_total` and unit, and no translation of the prometheus
//! exporter changes them.

use std::time::SystemTime;

use super::network::{InstanceSums, Sum};
use super::reading::{InstanceReading, Mixnode};
use super::state::{Instance, LATENCY_BOUNDS, MixnodeCounters, ReportedCounter};
use crate::pdata::writer::{
    Attribute, HistogramPointData, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData,
    PointNumber,
};

/// Writes one instance: the values in `reading`, with the totals and starts from `instance`.
pub(super) fn instance(
    out: &mut MetricsWriter,
    time: SystemTime,
    name: &str,
    reading: &InstanceReading,
    instance: &Instance,
) {
    let attributes: &[Attribute<'_>] = &[("betanet.instance", name.into())];
    let mut w = DocumentWriter { out, time };

    let peers = reading.peers.map(PointNumber::count);
    w.gauge(
        "betanet_connected_peers",
        "nodes that the instance knows",
        attributes,
        peers,
    );
    let active = reading.active.map(PointNumber::count);
    w.gauge(
        "betanet_mixnode_active",
        "nodes that are active",
        attributes,
        active,
    );
    let connections = reading.connections.map(PointNumber::count);
    w.gauge(
        "betanet_connections",
        "open connections",
        attributes,
        connections,
    );
    let throughput = reading.peak_throughput.map(PointNumber::Double);
    w.gauge(
        "betanet_peak_throughput",
        "highest throughput so far",
        attributes,
        throughput,
    );
    let processed = reading.processed.map(PointNumber::count);
    w.gauge(
        "betanet_packets_processed",
        "packets processed, as reported",
        attributes,
        processed,
    );
    let dropped = reading.dropped.map(PointNumber::count);
    w.gauge(
        "betanet_packets_dropped",
        "packets dropped, as reported",
        attributes,
        dropped,
    );
    let latency = reading.latency_ms.map(PointNumber::Double);
    w.gauge(
        "betanet_latency",
        "mean latency in milliseconds",
        attributes,
        latency,
    );

    // A counter that this poll didn't report gets no new point.
    let told = |value: Option<u64>, counter: Option<ReportedCounter>| value.and(counter);
    let messages = told(reading.processed, instance.messages);
    w.counter(
        "betanet_messages_total",
        "packets processed",
        attributes,
        messages,
    );
    let dropped = told(reading.dropped, instance.dropped);
    w.counter(
        "betanet_packets_dropped_total",
        "packets dropped",
        attributes,
        dropped,
    );
    let transmitted = told(reading.transmitted, instance.transmitted);
    w.counter(
        "betanet_bytes_transmitted_total",
        "bytes transmitted",
        attributes,
        transmitted,
    );
    let received = told(reading.received, instance.received);
    w.counter(
        "betanet_bytes_received_total",
        "bytes received",
        attributes,
        received,
    );

    if reading.latency_ms.is_some() {
        w.out.metric(
            MetricKind::Histogram,
            MetricDescriptor {
                name: "betanet_message_latency_seconds",
                unit: "s",
                description: "mean latencies, one observation for each answer",
            },
        );
        w.out.histogram(HistogramPointData {
            attributes,
            start: instance.latency.start.map(|start| start.min(time)),
            time,
            sum: instance.latency.sum,
            bounds: &LATENCY_BOUNDS,
            buckets: &instance.latency.buckets,
        });
    }
    if let Some(mixnodes) = &reading.mixnodes {
        w.mixnodes(name, mixnodes, instance);
    }
}

/// Writes the sums over all instances of a receiver.
pub(super) fn network(out: &mut MetricsWriter, time: SystemTime, network: &mut InstanceSums) {
    let mut w = DocumentWriter { out, time };
    let counters = [
        (
            "betanet_network_messages_total",
            "packets processed, over all instances",
        ),
        (
            "betanet_network_packets_dropped_total",
            "packets dropped, over all instances",
        ),
        (
            "betanet_network_bytes_transmitted_total",
            "bytes transmitted, over all instances",
        ),
        (
            "betanet_network_bytes_received_total",
            "bytes received, over all instances",
        ),
    ];
    for ((name, description), Sum { start, total }) in counters.into_iter().zip(network.sums) {
        if start.is_some() {
            w.metric(MetricKind::Counter, name, "", description);
            w.point(&[], start, Some(PointNumber::count(total)));
        }
    }
    let gauges = [
        (
            "betanet_network_connected_peers",
            "nodes, over the fresh instances",
            network.peers(),
        ),
        (
            "betanet_network_mixnode_active",
            "active nodes, over the fresh instances",
            network.active(),
        ),
    ];
    for ((name, description, value), shown) in gauges.into_iter().zip(&mut network.shown) {
        // Where no instance is fresh any more, they end.
        if std::mem::replace(shown, value.is_some()) || value.is_some() {
            w.metric(MetricKind::Gauge, name, "", description);
            w.point(&[], None, value.map(PointNumber::count));
        }
    }
    let fresh = Some(PointNumber::count(network.fresh()));
    w.gauge(
        "betanet_network_instances_fresh",
        "instances that answered last time",
        &[],
        fresh,
    );
    let expected = Some(PointNumber::count(network.expected()));
    w.gauge(
        "betanet_network_instances_expected",
        "instances that are configured",
        &[],
        expected,
    );
}

/// A metric that has a series for each mixnode.
struct PerNode {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    value: DocumentValue,
}

enum DocumentValue {
    /// Whether this poll reported it, and the counter that is remembered.
    Counter(
        fn(&Mixnode) -> Option<u64>,
        fn(&MixnodeCounters) -> Option<ReportedCounter>,
    ),
    Gauge(fn(&Mixnode) -> Option<f64>),
}

impl PerNode {
    fn kind(&self) -> MetricKind {
        match self.value {
            DocumentValue::Counter(..) => MetricKind::Counter,
            DocumentValue::Gauge(_) => MetricKind::Gauge,
        }
    }

    /// The start time (of a counter only) and the value.
    fn read(
        &self,
        mixnode: &Mixnode,
        instance: &Instance,
    ) -> Option<(Option<SystemTime>, PointNumber)> {
        match self.value {
            DocumentValue::Counter(told, remembered) => {
                told(mixnode)?;
                let counter = remembered(instance.mixnodes.node(&mixnode.id)?)?;
                Some((Some(counter.start), PointNumber::count(counter.value)))
            }
            DocumentValue::Gauge(read) => Some((None, PointNumber::Double(read(mixnode)?))),
        }
    }
}

const PER_NODE: [PerNode; 5] = [
    PerNode {
        name: "betanet_mixnode_packets_processed_total",
        unit: "",
        description: "packets that the mixnode processed",
        value: DocumentValue::Counter(|mixnode| mixnode.processed, |node| node.processed),
    },
    PerNode {
        name: "betanet_mixnode_packets_forwarded_total",
        unit: "",
        description: "packets that the mixnode forwarded",
        value: DocumentValue::Counter(|mixnode| mixnode.forwarded, |node| node.forwarded),
    },
    PerNode {
        name: "betanet_mixnode_packets_dropped_total",
        unit: "",
        description: "packets that the mixnode dropped",
        value: DocumentValue::Counter(|mixnode| mixnode.dropped, |node| node.dropped),
    },
    PerNode {
        name: "betanet_mixnode_uptime_seconds",
        unit: "s",
        description: "how long the mixnode has been running",
        value: DocumentValue::Gauge(|mixnode| mixnode.uptime_seconds),
    },
    PerNode {
        name: "betanet_mixnode_latency_seconds",
        unit: "s",
        description: "mean latency of the mixnode",
        value: DocumentValue::Gauge(|mixnode| Some(mixnode.latency_ms? / 1000.0)),
    },
];

struct DocumentWriter<'o> {
    out: &'o mut MetricsWriter,
    time: SystemTime,
}

impl DocumentWriter<'_> {
    fn mixnodes(&mut self, name: &str, mixnodes: &[Mixnode], instance: &Instance) {
        for metric in &PER_NODE {
            let points: Vec<_> = mixnodes
                .iter()
                .filter_map(|mixnode| Some((&mixnode.id, metric.read(mixnode, instance)?)))
                .collect();
            if points.is_empty() {
                continue;
            }
            self.metric(metric.kind(), metric.name, metric.unit, metric.description);
            for (id, (start, value)) in points {
                self.point(&labels(name, id), start, Some(value));
            }
        }
    }

    fn gauge(
        &mut self,
        name: &str,
        description: &str,
        attributes: &[Attribute<'_>],
        value: Option<PointNumber>,
    ) {
        if value.is_some() {
            self.metric(MetricKind::Gauge, name, "", description);
            self.point(attributes, None, value);
        }
    }

    fn counter(
        &mut self,
        name: &str,
        description: &str,
        attributes: &[Attribute<'_>],
        counter: Option<ReportedCounter>,
    ) {
        if let Some(counter) = counter {
            self.metric(MetricKind::Counter, name, "", description);
            self.point(
                attributes,
                Some(counter.start),
                Some(PointNumber::count(counter.value)),
            );
        }
    }

    fn metric(&mut self, kind: MetricKind, name: &str, unit: &str, description: &str) {
        let descriptor = MetricDescriptor {
            name,
            unit,
            description,
        };
        self.out.metric(kind, descriptor);
    }

    fn point(
        &mut self,
        attributes: &[Attribute<'_>],
        start: Option<SystemTime>,
        value: Option<PointNumber>,
    ) {
        self.out.number(NumberPointData {
            attributes,
            // The start may lie after the time if the wall clock was set back.
            start: start.map(|start| start.min(self.time)),
            time: self.time,
            value,
        });
    }
}

fn labels<'a>(instance: &'a str, mixnode: &'a str) -> [Attribute<'a>; 2] {
    [
        ("betanet.instance", instance.into()),
        ("mixnode_id", mixnode.into()),
    ]
}
