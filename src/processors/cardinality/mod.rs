//! `cardinality`: bounds how many series pass, for each metric and in all.
//!
//! ```yaml
//! processors:
//!   cardinality:
//!     max_series: 100000           # of all metrics
//!     max_series_per_metric: 10000 # of all metrics of one name
//!     metric_expiration: 5m        # without a point a series gives its place back
//! ```
//!
//! The series that come first pass, unchanged, for as long as they live; a tombstone ends
//! one. What a further series sends is over the budget:
//!
//! - Deltas of a sum are added up into one series of the same metric whose only attribute
//!   is `otel.metric.overflow=true`, as the SDKs mark it. Each batch gives one point, which
//!   begins where the last one ended, so that totals over all series stay right.
//! - Anything else is dropped. Gauges, summaries, and histograms whose bounds may differ
//!   have no sum, and cumulative totals could only be added up by remembering the last value
//!   of each series, of which there are too many. A partial total that jumps back whenever
//!   one of its series is missing would be worse than none.
//!
//! The ledger counts the points over the budget as dropped with `reason="cardinality"`, and the
//! points of the overflow series as created.
//!
//! Metrics, beside those of every processor:
//!
//! - `foghorn_cardinality_overflow_points_total{processor,outcome="added|dropped"}`

mod overflow;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use self::overflow::{Overflow, Total};
use crate::component::{
    BuildContext, ComponentId, DropReason, Now, Output, Processor, ProcessorConfig,
    ProcessorFactory,
};
use crate::pdata::view::{Data, Metric, Point, Temporality};
use crate::pdata::{Action, At, Batch, Edit, Lookup, Replacement, SeriesMemo, Signal};
use crate::telemetry::Throttle;
use crate::yaml::{FromValue, PlacedNode};

/// The factory of `cardinality`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "cardinality",
    aliases: &[],
    summary: "bounds how many series pass, for each metric and in all",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

/// Expired series are looked for so many times per expiration.
const SWEEPS: u32 = 4;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Config {
    max_series: usize,
    max_series_per_metric: usize,
    expiration: Duration,
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let max_series = fields.within("max_series", 100_000, 1..=10_000_000);
        let default = max_series.min(10_000);
        let per_metric = fields.within("max_series_per_metric", default, 1..=10_000_000);
        let longest = Duration::from_secs(24 * 3600);
        let expiration = fields.within(
            "metric_expiration",
            Duration::from_secs(300),
            Duration::from_secs(1)..=longest,
        );
        fields.finish();
        if per_metric > max_series {
            return value.error(format_args!(
                "max_series_per_metric {per_metric} is more than max_series {max_series}"
            ));
        }
        Some(Self {
            max_series,
            max_series_per_metric: per_metric,
            expiration,
        })
    }
}

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok(Box::new(Cardinality::new(*self, context)))
    }
}

/// Remembers the series that pass.
struct Cardinality {
    config: Config,
    memo: SeriesMemo<KnownSeries>,
    /// Series by the name of their metric.
    per_metric: HashMap<Arc<str>, usize>,
    overflow: Overflow,
    /// Whether each point of the current batch passes.
    verdicts: Vec<bool>,
    next_sweep: Option<Instant>,
    /// Points over the budget.
    exceeding: Throttle,
    report: Report,
}

/// What is kept for a series.
#[derive(Debug)]
struct KnownSeries {
    /// When it last had a point.
    seen: Instant,
    metric: Arc<str>,
    /// Of an overflow series, when its last point ended, in nanoseconds since the epoch.
    until: u64,
}

impl Cardinality {
    fn new(config: Config, context: &BuildContext) -> Self {
        Self {
            config,
            memo: SeriesMemo::new(config.max_series),
            per_metric: HashMap::new(),
            overflow: Overflow::default(),
            verdicts: Vec::new(),
            next_sweep: None,
            exceeding: Throttle::default(),
            report: Report::new(context),
        }
    }

    /// Decides on every point, and adds up what is over the budget. Returns the name of a
    /// metric with too many series.
    fn judge(&mut self, batch: &Batch, now: Now) -> Option<String> {
        let mut exceeded = None;
        for resource in batch.resource_metrics() {
            for scope in resource.scopes() {
                self.memo.scope(&resource, &scope);
                for metric in scope.metrics() {
                    let data = metric.data();
                    self.memo.metric(&metric, &data);
                    let deltas = matches!(
                        data,
                        Data::Sum {
                            temporality: Temporality::Delta,
                            ..
                        }
                    );
                    let mut total = Total::default();
                    for point in data.points() {
                        let passes = self.passes(metric.name(), &point, now);
                        self.verdicts.push(passes);
                        if passes {
                            continue;
                        }
                        exceeded.get_or_insert_with(|| metric.name().to_owned());
                        if let Point::Number(point) = point
                            && deltas
                        {
                            total.add(&point);
                        }
                    }
                    if let Some(until) = self.overflow_place(&metric, &mut total, now) {
                        let until = self
                            .overflow
                            .push(&resource, &scope, &metric, &total, until);
                        if let Some(known) = self.overflow_series() {
                            known.until = until;
                        }
                    }
                }
            }
        }
        exceeded
    }

    /// Whether the point's series has a place in the budget, or gets one.
    fn passes(&mut self, name: &str, point: &Point<'_>, now: Now) -> bool {
        match self.memo.series(point.attributes()) {
            Lookup::Known(id, known) => {
                known.seen = now.monotonic;
                if point.is_tombstone()
                    && let Some(known) = self.memo.remove(id)
                {
                    leave(&mut self.per_metric, &known.metric);
                }
                true
            }
            // It ends a series that has no place.
            Lookup::New(_) if point.is_tombstone() => true,
            Lookup::New(vacant) => {
                let series = self.per_metric.get(name).copied().unwrap_or_default();
                if series >= self.config.max_series_per_metric {
                    return false;
                }
                let metric = enter(&mut self.per_metric, name);
                vacant.insert(KnownSeries {
                    seen: now.monotonic,
                    metric,
                    until: 0,
                });
                true
            }
            Lookup::Full => false,
        }
    }

    /// Where the overflow series of the current metric stands, if it has a place and
    /// something to say. It takes one beyond the metric's own budget, but not beyond that
    /// of all.
    fn overflow_place(&mut self, metric: &Metric<'_>, total: &mut Total, now: Now) -> Option<u64> {
        if total.points == 0 {
            return None;
        }
        match self.memo.series(self.overflow.attributes()) {
            Lookup::Known(_, known) => {
                known.seen = now.monotonic;
                Some(known.until)
            }
            Lookup::New(vacant) => {
                let metric = enter(&mut self.per_metric, metric.name());
                let seen = now.monotonic;
                let until = 0;
                vacant.insert(KnownSeries {
                    seen,
                    metric,
                    until,
                });
                Some(until)
            }
            Lookup::Full => None,
        }
    }

    fn overflow_series(&mut self) -> Option<&mut KnownSeries> {
        match self.memo.series(self.overflow.attributes()) {
            Lookup::Known(_, known) => Some(known),
            Lookup::New(_) | Lookup::Full => None,
        }
    }

    /// Logs that so many points were over the budget, and the metric of one of them.
    fn warn(&self, points: u64, metric: Option<&str>) {
        tracing::warn!(
            processor = %self.report.id,
            metric,
            points,
            series = self.memo.len(),
            max_series = self.config.max_series,
            max_series_per_metric = self.config.max_series_per_metric,
            "too many series: the points of further ones are added up or dropped",
        );
    }
}

impl Processor for Cardinality {
    fn process(&mut self, mut batch: Batch, now: Now, out: &mut dyn Output) {
        self.verdicts.clear();
        if let Some(metric) = self.judge(&batch, now) {
            let removed = batch.edit(&mut Verdicts(self.verdicts.iter()));
            if let Some(points) = self.exceeding.pass(removed, now.monotonic) {
                self.warn(points, Some(&metric));
            }
            out.discard(removed, DropReason::Cardinality);
            let (added, points) = self.overflow.take();
            self.report.count(added, removed.saturating_sub(added));
            if let Some(points) = points {
                out.create(points);
            }
        }
        if self.next_sweep.is_none() && !self.memo.is_empty() {
            self.next_sweep = Some(now.monotonic + self.config.expiration / SWEEPS);
        }
        if !batch.parts().is_empty() {
            out.emit(batch);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_sweep
    }

    fn drain(&mut self, _: Now, _: &mut dyn Output) {
        if let Some(points) = self.exceeding.rest() {
            self.warn(points, None);
        }
    }

    fn on_deadline(&mut self, now: Now, _: &mut dyn Output) {
        let (expiration, per_metric) = (self.config.expiration, &mut self.per_metric);
        self.memo.retain(|_, known| {
            let lives = now.monotonic.saturating_duration_since(known.seen) < expiration;
            if !lives {
                leave(per_metric, &known.metric);
            }
            lives
        });
        self.next_sweep = (!self.memo.is_empty()).then(|| now.monotonic + expiration / SWEEPS);
    }
}

/// Counts one more series of a metric.
fn enter(per_metric: &mut HashMap<Arc<str>, usize>, name: &str) -> Arc<str> {
    if let Some((metric, _)) = per_metric.get_key_value(name) {
        let metric = Arc::clone(metric);
        *per_metric.entry(Arc::clone(&metric)).or_default() += 1;
        return metric;
    }
    let metric: Arc<str> = name.into();
    per_metric.insert(Arc::clone(&metric), 1);
    metric
}

/// Counts one series less of a metric, and forgets it with its last.
fn leave(per_metric: &mut HashMap<Arc<str>, usize>, metric: &Arc<str>) {
    if let Some(series) = per_metric.get_mut(metric) {
        *series -= 1;
        if *series == 0 {
            per_metric.remove(metric);
        }
    }
}

/// Drops the points that don't pass.
struct Verdicts<'a>(std::slice::Iter<'a, bool>);

impl Edit for Verdicts<'_> {
    fn point(&mut self, _: At<'_>, _: &Metric<'_>, _: &Point<'_>, _: &mut Replacement) -> Action {
        match self.0.next() {
            Some(false) => Action::Drop,
            Some(true) | None => Action::Keep,
        }
    }
}

/// Counts what was over the budget.
struct Report {
    id: ComponentId,
    points: Counter<u64>,
}

impl Report {
    fn new(context: &BuildContext) -> Self {
        let meter = context.telemetry.meter("foghorn.processors.cardinality");
        Self {
            id: context.id.clone(),
            points: meter
                .u64_counter("foghorn_cardinality_overflow_points_total")
                .with_description("Data points of series beyond the budget")
                .build(),
        }
    }

    fn count(&self, added: u64, dropped: u64) {
        for (points, outcome) in [(added, "added"), (dropped, "dropped")] {
            if points > 0 {
                let labels = [
                    KeyValue::new("processor", self.id.to_string()),
                    KeyValue::new("outcome", outcome),
                ];
                self.points.add(points, &labels);
            }
        }
    }
}
