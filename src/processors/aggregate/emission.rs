//! When results are computed and handed over.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::results::{EarlyEnd, ResultWriter, Results};
use crate::component::{BuildContext, Output};
use crate::lane::Lane;
use crate::window::aggregation::{AggregationPlan, WindowLength};

/// Computes results beside the pipeline, one evaluation after the other.
pub(super) struct Emission {
    writer: Arc<ResultWriter>,
    lane: Lane,
    /// What is being computed.
    under_way: Option<oneshot::Receiver<Results>>,
    counts: EmissionCounts,
}

struct EmissionCounts {
    processor: KeyValue,
    evaluations: Counter<u64>,
    results: Counter<u64>,
}

impl Emission {
    pub(super) fn new(
        plan: Arc<AggregationPlan>,
        windows: Vec<WindowLength>,
        context: &BuildContext,
    ) -> Self {
        Self {
            writer: Arc::new(ResultWriter {
                shelf: context.windows.clone(),
                plan,
                windows,
                translation: Arc::clone(&context.translation),
            }),
            lane: Lane::in_background(1),
            under_way: None,
            counts: EmissionCounts::new(context),
        }
    }

    /// Begins to compute, as of that many milliseconds since the Unix epoch. Ends early once
    /// nobody waits for it any more.
    pub(super) fn begin(&mut self, to: i64) {
        if self.under_way.is_some() {
            self.counts.evaluated("overlapped");
            return;
        }
        let (sender, receiver) = oneshot::channel();
        let (writer, lane) = (Arc::clone(&self.writer), self.lane.clone());
        tokio::spawn(async move {
            let work = move || {
                let results = writer.write(to, &mut || !sender.is_closed());
                // Whoever has gone doesn't need it.
                let _ = sender.send(results);
            };
            lane.run(work).await;
        });
        self.under_way = Some(receiver);
    }

    /// Passes on what is ready.
    pub(super) fn hand_over(&mut self, out: &mut dyn Output) {
        let Some(under_way) = &mut self.under_way else {
            return;
        };
        let results = match under_way.try_recv() {
            Ok(results) => results,
            Err(TryRecvError::Empty) => return,
            // It panicked, which its thread has reported.
            Err(TryRecvError::Closed) => {
                self.under_way = None;
                self.counts.evaluated("failed");
                return;
            }
        };
        self.under_way = None;
        self.counts
            .evaluated(results.ended.map_or("done", EarlyEnd::reason));
        for batch in results.batches {
            self.counts.emitted(batch.items());
            out.create(batch);
        }
    }
}

impl EmissionCounts {
    fn new(context: &BuildContext) -> Self {
        let meter = context.telemetry.meter("foghorn.processors.aggregate");
        Self {
            processor: KeyValue::new("processor", context.id.to_string()),
            evaluations: meter
                .u64_counter("foghorn_aggregate_evaluations_total")
                .with_description("Times that results were to be computed, by how that ended")
                .build(),
            results: meter
                .u64_counter("foghorn_aggregate_results_total")
                .with_description("Results that were added to the pipeline")
                .build(),
        }
    }

    fn evaluated(&self, outcome: &'static str) {
        let outcome = KeyValue::new("outcome", outcome);
        self.evaluations.add(1, &[self.processor.clone(), outcome]);
    }

    fn emitted(&self, results: u64) {
        self.results
            .add(results, std::slice::from_ref(&self.processor));
    }
}
