//! Lets the health board look into the running pipelines.

use std::sync::Arc;

use tokio::time::Instant;

use super::budget::Budget;
use super::ledger::Ledger;
use super::outlet::ObservedOutlet;
use super::recent::Recent;
use crate::component::{
    ComponentId, LegReport, PipelineProbe, PipelineReport, REFUSAL_SHOWN, Shortage,
};

/// Reads the ledger and the queues.
#[derive(Debug)]
pub(super) struct Probe {
    ledger: Ledger,
    outlets: Vec<ObservedOutlet>,
    rooms: Vec<ProbedRoom>,
}

/// What a pipeline has room in, and lacks.
#[derive(Debug)]
pub(super) struct ProbedRoom {
    pub(super) pipeline: Arc<str>,
    pub(super) budget: Arc<Budget>,
    pub(super) full_queue: Arc<Recent<ComponentId>>,
}

impl Probe {
    pub(super) fn new(
        ledger: Ledger,
        outlets: Vec<ObservedOutlet>,
        rooms: Vec<ProbedRoom>,
    ) -> Self {
        Self {
            ledger,
            outlets,
            rooms,
        }
    }
}

impl ProbedRoom {
    fn shortages(&self, now: Instant) -> impl Iterator<Item = Shortage> {
        let full = self.full_queue.within(REFUSAL_SHOWN, now);
        self.budget.shortages(now).chain(full.map(Shortage::Queue))
    }
}

impl PipelineProbe for Probe {
    fn pipelines(&self, now: Instant) -> Vec<PipelineReport> {
        self.ledger
            .pipelines()
            .iter()
            .map(|pipeline| {
                let mut report = PipelineReport {
                    id: pipeline.id.to_string(),
                    exporters: Vec::new(),
                    held_items: pipeline.entry().held,
                    queued_items: 0,
                    queue_age: std::time::Duration::ZERO,
                    shortages: self
                        .rooms
                        .iter()
                        .filter(|room| room.pipeline == pipeline.id)
                        .flat_map(|room| room.shortages(now))
                        .collect(),
                };
                for leg in self.ledger.legs() {
                    if leg.pipeline != pipeline.id {
                        continue;
                    }
                    report.queued_items += leg.entry().queued;
                    if let Some(since) = leg.oldest() {
                        let age = now.saturating_duration_since(since);
                        report.queue_age = report.queue_age.max(age);
                    }
                    let outlet = self.outlets.iter().find(|outlet| {
                        outlet.status.id == leg.exporter
                            && outlet.signal.is_none_or(|signal| signal == leg.signal)
                    });
                    let Some(outlet) = outlet else { continue };
                    report.exporters.push(LegReport {
                        exporter: leg.exporter.clone(),
                        working: outlet.status.works(),
                        losing: leg.is_losing(),
                    });
                }
                report
            })
            .collect()
    }
}
