//! The platform's summary gauges, which its dashboards show for every node, local or not. They
//! have no unit, because the prometheus exporter would append it to their names.

use std::time::SystemTime;

use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};

/// The gauges of one node; an unknown one is `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct NodeSummary {
    /// Percent of the interval in which the processors weren't idle.
    pub(super) cpu: Option<f64>,
    /// Percent of the memory in use.
    pub(super) memory: Option<f64>,
    /// Percent of the selected filesystems' space in use.
    pub(super) disk: Option<f64>,
    /// Bytes per second over the interval, received and transmitted.
    pub(super) network: Option<[f64; 2]>,
    /// Seconds since the node started.
    pub(super) uptime: Option<f64>,
    /// Nodes whose last poll succeeded, this one included.
    pub(super) nodes: Option<u64>,
}

impl NodeSummary {
    /// The gauges that are present here and absent in `other`.
    pub(super) fn minus(self, other: &Self) -> Self {
        fn minus<T>(mine: Option<T>, theirs: Option<T>) -> Option<T> {
            mine.filter(|_| theirs.is_none())
        }
        Self {
            cpu: minus(self.cpu, other.cpu),
            memory: minus(self.memory, other.memory),
            disk: minus(self.disk, other.disk),
            network: minus(self.network, other.network),
            uptime: minus(self.uptime, other.uptime),
            nodes: minus(self.nodes, other.nodes),
        }
    }

    /// The gauges that are present here, and for the rest those of `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            cpu: self.cpu.or(other.cpu),
            memory: self.memory.or(other.memory),
            disk: self.disk.or(other.disk),
            network: self.network.or(other.network),
            uptime: self.uptime.or(other.uptime),
            nodes: self.nodes.or(other.nodes),
        }
    }

    /// Writes the gauges of one node.
    pub(super) fn write(&self, node_id: &str, time: SystemTime, out: &mut MetricsWriter) {
        let node: Attribute<'_> = ("node_id", node_id.into());
        let mut gauge = |name, description, points: &[(&[Attribute<'_>], f64)]| {
            out.metric(
                MetricKind::Gauge,
                MetricDescriptor {
                    name,
                    unit: "",
                    description,
                },
            );
            for (attributes, value) in points {
                out.number(NumberPointData {
                    attributes,
                    start: None,
                    time,
                    value: Some(PointNumber::Double(*value)),
                });
            }
        };
        let percents = [
            (
                "node_cpu_usage",
                "processor time in use, in percent",
                self.cpu,
            ),
            (
                "node_memory_usage",
                "memory in use, in percent",
                self.memory,
            ),
            (
                "node_disk_usage",
                "room of filesystems in use, in percent",
                self.disk,
            ),
            (
                "system_uptime",
                "seconds since the node started",
                self.uptime,
            ),
            (
                "system_total_nodes",
                "nodes of which something is known",
                self.nodes.map(|nodes| nodes as f64),
            ),
        ];
        for (name, description, value) in percents {
            if let Some(value) = value {
                gauge(name, description, &[(&[node], value)]);
            }
        }
        if let Some([receive, transmit]) = self.network {
            gauge(
                "node_network_io",
                "bytes per second, without `direction` in both together",
                &[
                    (&[node], receive + transmit),
                    (&[node, ("direction", "receive".into())], receive),
                    (&[node, ("direction", "transmit".into())], transmit),
                ],
            );
        }
    }
}

/// `part` in percent of `whole`; `None` if `whole` is 0 or the result isn't within 0 to 100.
pub(super) fn percent(part: f64, whole: f64) -> Option<f64> {
    let percent = 100.0 * part / whole;
    (whole > 0.0 && (0.0..=100.0).contains(&percent)).then_some(percent)
}
