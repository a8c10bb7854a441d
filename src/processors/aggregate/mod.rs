//! `aggregate`: statistics of what the `window` processors remember.
//!
//! ```yaml
//! processors:
//!   aggregate:
//!     windows: [5m, 15m, 1h, 6h, 24h]  # of what is emitted; 1s to 30d, at most 16
//!     stats: [avg, min, max, stddev, count, p50, p95, p99, rate, increase]
//!     metrics: ["*"]                   # names as on /metrics; * and ? stand for others
//!     group_by: []                     # labels whose values make a group; [] = every series
//!     across: points                   # points | series: reduce each series first
//!     combine: avg                     # avg | sum | min | max, of `across: series`
//!     method: platform                 # platform | linear: which definition percentiles have
//!     interval: 1m                     # how often results are emitted; 1s to 24h
//!     emit: false                      # whether they are, as metrics of this pipeline
//! ```
//!
//! It reads every `window` of the configuration, whichever pipeline it is in; without one it
//! has no effect, which `validate` and the start warn of.
//!
//! `*` alone stands for all but `target_info` and the agent's own metrics, which any other pattern
//! finds.
//!
//! It says what `GET /metrics/aggregated` shows where a request doesn't. What passes through it
//! stays as it is. What each statistic is of, by kind of metric, stands in
//! [`window::aggregation`](crate::window::aggregation); all names are those of
//! [`statistic`](crate::window::stats::statistic).
//!
//! With `emit: true` it adds each result to the pipeline as a gauge with the metric's name,
//! without `_total` for counters and with `_stats` for histograms and summaries, so that types
//! never clash. The attributes are the labels of the series or group, `stat` and `window`;
//! the coverage (points present for each that was expected) is beside the others as
//! `stat="coverage"`. `job` and `instance` become the resource again. A `window` behind it
//! in the pipeline remembers results, but they are not aggregated again.
//!
//! Results are computed on a thread of their own, from snapshots, so that no batch waits for a
//! percentile over a day. They enter the pipeline with the next batch after they are ready, or
//! after another `interval`, with the time for which they were computed.
//!
//! Metrics, with `emit: true`:
//!
//! - `foghorn_aggregate_evaluations_total{processor,outcome}`: `done`, or why one ended early:
//!   `max_series` (20,000), `max_points` (115,200,000 in one of the windows), `max_held`
//!   (2,097,152 values of one group) and `max_results` (100,000), of which what was computed
//!   before is emitted; `overlapped` (the one before was still running), `failed`
//! - `foghorn_aggregate_results_total{processor}`: results that were emitted

mod config;
mod emission;
mod results;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use self::config::Config;
use self::emission::Emission;
use crate::component::{
    BuildContext, Now, Output, Processor, ProcessorConfig, ProcessorFactory, WindowsUse,
};
use crate::pdata::{Batch, Signal};

/// The factory of `aggregate`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "aggregate",
    aliases: &[],
    summary: "statistics of what the window processors remember",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        let plan = Arc::new(self.plan.clone());
        context
            .windows
            .plan(&context.id.to_string(), Arc::clone(&plan));
        Ok(Box::new(AggregateProcessor {
            emission: self
                .emit
                .then(|| Emission::new(plan, self.windows.clone(), context)),
            interval: self.interval,
            due: None,
        }))
    }

    fn windows_use(&self) -> WindowsUse {
        WindowsUse::Reads
    }
}

struct AggregateProcessor {
    emission: Option<Emission>,
    interval: Duration,
    due: Option<Instant>,
}

impl Processor for AggregateProcessor {
    fn process(&mut self, batch: Batch, now: Now, out: &mut dyn Output) {
        if let Some(emission) = &mut self.emission {
            emission.hand_over(out);
            self.due
                .get_or_insert_with(|| now.monotonic + self.interval);
        }
        out.emit(batch);
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn on_deadline(&mut self, now: Now, out: &mut dyn Output) {
        if let Some(emission) = &mut self.emission {
            emission.hand_over(out);
            let since = now.wall.duration_since(UNIX_EPOCH).unwrap_or_default();
            emission.begin(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
            self.due = Some(now.monotonic + self.interval);
        }
    }

    fn drain(&mut self, _: Now, out: &mut dyn Output) {
        if let Some(emission) = &mut self.emission {
            emission.hand_over(out);
        }
    }
}
