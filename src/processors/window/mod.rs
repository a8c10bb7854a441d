//! `window`: remembers a day of every series, in memory.
//!
//! ```yaml
//! processors:
//!   window:
//!     capacity: 5760            # points of a series, 24 h at 15 s; 2 to 1000000
//!     max_series: 20000         # a histogram is one; 1 to 10000000
//!     max_memory: 64MiB         # of all that is remembered; 1MiB to 64GiB
//!     series_ttl: 1h            # a series without a point for so long is forgotten; 1s to 720h
//!     out_of_order_window: 15s  # how far a point may be behind the newest of its series; 0s to 24h
//! ```
//!
//! It passes on what it takes, unchanged. Series have the names, labels and types that the page of
//! the pipeline's `prometheus` exporter shows (those of its defaults where there is no such
//! exporter), and deltas are added up as there. Pipelines that name the same `window` share its
//! memory. What doesn't fit is not remembered, and is counted; nothing is dropped from the
//! pipeline.
//!
//! Beside what passes it remembers `target_info` of the resources, and the first `window` of a
//! configuration the [agent's own metrics](OwnMetrics). Both count for all bounds.
//!
//! Metrics:
//!
//! - `foghorn_window_series{processor}`: series that are remembered, a histogram being one
//! - `foghorn_window_samples{processor}`: points that are remembered
//! - `foghorn_window_bytes{processor}`: bytes that they take
//! - `foghorn_window_evicted_samples_total{processor}`: points forgotten early, since
//!   `max_memory` was used up
//! - `foghorn_window_expired_series_total{processor}`: series forgotten after `series_ttl`
//! - `foghorn_window_refused_total{processor,reason}`: points and series that were not
//!   remembered: `max_series`, `max_memory`, `too_old` (beyond `out_of_order_window`),
//!   `too_far_ahead` (more than ten minutes in the future), `too_wide` (more than 1,024 buckets or
//!   quantiles), `wrong_kind` (buckets that contradict each other), `out_of_order` (a delta
//!   that was counted already), `oversized` (a text is longer than the exporter's
//!   `max_text_bytes`), `unsupported` (Prometheus has no form for it, such as for an
//!   exponential histogram of a scale below -4, or it is a delta of one)

mod recorder;
mod targets;
#[cfg(test)]
mod tests;
mod totals;
mod width;

use std::time::Duration;

use tokio::time::Instant;

use self::recorder::SeriesRecorder;
use crate::component::{
    BuildContext, Now, Output, Processor, ProcessorConfig, ProcessorFactory, WindowsUse,
};
use crate::pdata::{Batch, Signal};
use crate::recording::OwnMetrics;
use crate::window::WindowSettings;
use crate::yaml::{ByteSize, FromValue, PlacedNode};

/// The factory of `window`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "window",
    aliases: &[],
    summary: "remembers a day of every series, in memory",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

/// Series that are past their `series_ttl` are looked for so many times per `series_ttl`.
const SWEEPS: u32 = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    settings: WindowSettings,
    ttl: Duration,
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const HOUR: Duration = Duration::from_secs(3600);
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let mut fields = value.fields()?;
        let default = WindowSettings::default();
        let capacity = fields.within("capacity", default.capacity, 2..=1_000_000);
        let max_series = fields.within("max_series", default.max_series, 1..=10_000_000);
        let bounds = ByteSize(1 << 20)..=ByteSize(64 << 30);
        let ByteSize(memory) = fields.within("max_memory", ByteSize(64 << 20), bounds);
        let shortest = Duration::from_secs(1);
        let ttl = fields.within("series_ttl", HOUR, shortest..=30 * DAY);
        let late = Duration::from_secs(15);
        let late = fields.within("out_of_order_window", late, Duration::ZERO..=DAY);
        fields.finish();
        Some(Self {
            settings: WindowSettings {
                capacity,
                max_series,
                max_memory: usize::try_from(memory).unwrap_or(usize::MAX),
                series_ttl: millis(ttl),
                out_of_order_window: millis(late),
                ..default
            },
            ttl,
        })
    }
}

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok(Box::new(WindowProcessor {
            recorder: SeriesRecorder::new(&self.settings, context),
            own_metrics: context.own_metrics.clone(),
            ttl: self.ttl,
            next_sweep: None,
        }))
    }

    fn windows_use(&self) -> WindowsUse {
        WindowsUse::Fills
    }
}

struct WindowProcessor {
    recorder: SeriesRecorder,
    own_metrics: OwnMetrics,
    ttl: Duration,
    next_sweep: Option<Instant>,
}

impl Processor for WindowProcessor {
    fn process(&mut self, batch: Batch, now: Now, out: &mut dyn Output) {
        self.recorder.take(&batch, now);
        self.next_sweep
            .get_or_insert_with(|| now.monotonic + self.ttl / SWEEPS);
        out.emit(batch);
        self.own_metrics
            .sample(now.uptime_millis(), now.wall_millis());
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_sweep
    }

    fn on_deadline(&mut self, now: Now, _: &mut dyn Output) {
        let remembers = self.recorder.expire(now, self.ttl);
        self.next_sweep = remembers.then(|| now.monotonic + self.ttl / SWEEPS);
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
