//! The series of deployments.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::task::yield_now;

use super::reading::{DeploymentChanges, DeploymentReading, DeploymentsById};
use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};

/// The most deployments whose series stay although the list doesn't tell of them.
const MOST_UNKNOWN: usize = 10_000;

/// What is shown of the deployments of a control plane.
#[derive(Debug, Default)]
pub(super) struct ShownDeployments {
    all: DeploymentsById,
    /// Whether it was shown how many there are.
    has_total: bool,
}

/// A gauge with one point for each deployment.
struct DeploymentGauge {
    name: &'static str,
    unit: &'static str,
    description: &'static str,
    kind: MetricKind,
    read: fn(&DeploymentReading) -> Option<PointNumber>,
}

const GAUGES: [DeploymentGauge; 5] = [
    DeploymentGauge {
        name: "deployment_replica_count",
        unit: "",
        description: "replicas that work",
        kind: MetricKind::Gauge,
        read: |reading| Some(PointNumber::count(reading.replicas?.running)),
    },
    DeploymentGauge {
        name: "deployment_replicas_target",
        unit: "",
        description: "replicas that are wanted",
        kind: MetricKind::Gauge,
        read: |reading| Some(PointNumber::count(reading.replicas?.target)),
    },
    DeploymentGauge {
        name: "deployment_health",
        unit: "",
        description: "1 for healthy, 0.5 for degraded, 0 for unhealthy",
        kind: MetricKind::Gauge,
        read: |reading| reading.health.map(PointNumber::Double),
    },
    DeploymentGauge {
        name: "k8s.deployment.pod.desired",
        unit: "{pod}",
        description: "Number of desired replica pods in this deployment.",
        kind: MetricKind::UpDownCounter,
        read: |reading| Some(PointNumber::count(reading.pods?.desired)),
    },
    DeploymentGauge {
        name: "k8s.deployment.pod.available",
        unit: "{pod}",
        description: "Total number of available replica pods in this deployment.",
        kind: MetricKind::UpDownCounter,
        read: |reading| Some(PointNumber::count(reading.pods?.available)),
    },
];

impl ShownDeployments {
    /// Shows all of `now` and how many of them are active, and ends the series that it doesn't
    /// have. Those of a deployment that it doesn't have stay unless it `is_gone`, for at most
    /// [`MOST_UNKNOWN`] deployments.
    pub(super) async fn replace(
        &mut self,
        mut now: DeploymentsById,
        is_gone: impl Fn(&str) -> bool,
        time: SystemTime,
        out: &mut MetricsWriter,
    ) {
        let mut writer = DeploymentWriter::new(time, out);
        writer.all(now.values().map(|reading| &**reading)).await;
        let active = now.values().filter(|reading| reading.is_active).count();
        writer.total(active as u64);
        self.has_total = true;
        let mut ended: Vec<DeploymentReading> = Vec::new();
        let mut unknown = DeploymentsById::new();
        for (id, shown) in std::mem::take(&mut self.all) {
            let listed = now.get(&id).map(|now| &**now);
            if listed.is_none() && !is_gone(&id) && unknown.len() < MOST_UNKNOWN {
                unknown.insert(id, shown);
            } else {
                ended.extend(shown.minus(listed));
            }
        }
        writer.end(&ended).await;
        now.append(&mut unknown);
        self.all = now;
    }

    /// Shows what is now of some deployments; those that are `None` have gone. `active` is how many
    /// of all are active.
    pub(super) async fn update(
        &mut self,
        changed: DeploymentChanges,
        active: u64,
        time: SystemTime,
        out: &mut MetricsWriter,
    ) {
        let mut ended = Vec::new();
        let mut written = Vec::new();
        for (id, now) in changed {
            if let Some(before) = self.all.get(&id) {
                ended.extend(before.minus(now.as_deref()));
            }
            match now {
                Some(now) => {
                    written.push(Arc::clone(&now));
                    self.all.insert(id, now);
                }
                None => {
                    self.all.remove(&id);
                }
            }
        }
        let mut writer = DeploymentWriter::new(time, out);
        writer.all(written.iter().map(|reading| &**reading)).await;
        writer.total(active);
        self.has_total = true;
        writer.end(&ended).await;
    }

    /// Ends all series.
    pub(super) async fn end(&mut self, time: SystemTime, out: &mut MetricsWriter) {
        let all = std::mem::take(&mut self.all);
        let mut writer = DeploymentWriter::new(time, out);
        writer.out.ending(true);
        writer.all(all.values().map(|reading| &**reading)).await;
        if std::mem::take(&mut self.has_total) {
            writer.total(0);
        }
        writer.out.ending(false);
    }

    /// Whether no series is shown.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty() && !self.has_total
    }
}

/// Writes points, and lets others run in between: those of ten thousand deployments take some
/// thirty milliseconds.
struct DeploymentWriter<'o> {
    time: SystemTime,
    out: &'o mut MetricsWriter,
    /// Points since the others had their turn.
    points: usize,
}

impl<'o> DeploymentWriter<'o> {
    /// After so many points the others have a turn.
    const TURN: usize = 1024;

    fn new(time: SystemTime, out: &'o mut MetricsWriter) -> Self {
        Self {
            time,
            out,
            points: 0,
        }
    }

    async fn end(&mut self, ended: &[DeploymentReading]) {
        if !ended.is_empty() {
            self.out.ending(true);
            self.all(ended.iter()).await;
            self.out.ending(false);
        }
    }

    async fn all<'a>(&mut self, readings: impl Iterator<Item = &'a DeploymentReading> + Clone) {
        for gauge in GAUGES {
            let descriptor = MetricDescriptor {
                name: gauge.name,
                unit: gauge.unit,
                description: gauge.description,
            };
            let mut is_begun = false;
            for reading in readings.clone() {
                let Some(value) = (gauge.read)(reading) else {
                    continue;
                };
                if !std::mem::replace(&mut is_begun, true) {
                    self.out.metric(gauge.kind, descriptor);
                }
                self.point(&reading.labels.attributes(), value);
                self.turn().await;
            }
        }
        self.statuses(readings).await;
    }

    async fn statuses<'a>(&mut self, readings: impl Iterator<Item = &'a DeploymentReading>) {
        let descriptor = MetricDescriptor {
            name: "deployment_replica_status",
            unit: "",
            description: "replicas in a status, by the node that they are on",
        };
        let mut is_begun = false;
        for reading in readings {
            for (replicas, count) in &reading.statuses {
                if !std::mem::replace(&mut is_begun, true) {
                    self.out.metric(MetricKind::Gauge, descriptor);
                }
                let mut attributes: Vec<Attribute<'_>> = reading.labels.attributes();
                attributes.push(("status", replicas.status.as_str().into()));
                if let Some(node) = &replicas.node {
                    attributes.push(("node_id", node.as_str().into()));
                }
                self.point(&attributes, PointNumber::count(*count));
                self.turn().await;
            }
        }
    }

    fn total(&mut self, active: u64) {
        let descriptor = MetricDescriptor {
            name: "system_active_deployments",
            unit: "",
            description: "deployments that run",
        };
        self.out.metric(MetricKind::Gauge, descriptor);
        self.point(&[], PointNumber::count(active));
    }

    fn point(&mut self, attributes: &[Attribute<'_>], value: PointNumber) {
        self.out.number(NumberPointData {
            attributes,
            start: None,
            time: self.time,
            value: Some(value),
        });
        self.points += 1;
    }

    async fn turn(&mut self) {
        if self.points >= Self::TURN {
            self.points = 0;
            yield_now().await;
        }
    }
}
