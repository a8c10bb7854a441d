//! Lets the health board look into the running pipelines.

use std::sync::Arc;

use tokio::time::Instant;

use super::budget::Budget;
use super::ledger::Ledger;
use super::outlet::ObservedOutlet;
use crate::component::{LegReport, PipelineProbe, PipelineReport};

/// Reads the ledger and the queues.
#[derive(Debug)]
pub(super) struct Probe {
    ledger: Ledger,
    outlets: Vec<ObservedOutlet>,
    /// By pipeline.
    budgets: Vec<(Arc<str>, Arc<Budget>)>,
}

impl Probe {
    pub(super) fn new(
        ledger: Ledger,
        outlets: Vec<ObservedOutlet>,
        budgets: Vec<(Arc<str>, Arc<Budget>)>,
    ) -> Self {
        Self {
            ledger,
            outlets,
            budgets,
        }
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
                    memory: self
                        .budgets
                        .iter()
                        .find(|(id, _)| *id == pipeline.id)
                        .and_then(|(_, budget)| budget.excess()),
                };
                for leg in self.ledger.legs() {
                    if leg.pipeline != pipeline.id {
                        continue;
                    }
                    report.queued_items += leg.entry().queued;
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
                    if let Some(since) = outlet.queue.oldest() {
                        report.queue_age =
                            report.queue_age.max(now.saturating_duration_since(since));
                    }
                }
                report
            })
            .collect()
    }
}
