//! `filter`: drops data points, spans and log records.
//!
//! ```yaml
//! processors:
//!   filter:
//!     metrics:
//!       include:                       # only what has all of these
//!         match_type: glob             # strict, regexp or glob
//!         metric_names: ["system.*"]
//!         resource_attributes: [{key: host.name, value: "fog-*"}]
//!         datapoint_attributes: [{key: state}]
//!       exclude:                       # nothing that has any of these
//!         match_type: strict
//!         metric_names: [system.cpu.time]
//!         resource_attributes: [{key: deployment.environment.name, value: test}]
//!     spans:                           # `matching` shows every property
//!       exclude: {match_type: strict, services: [probe], span_names: [ping]}
//!     logs:
//!       include:
//!         match_type: regexp
//!         severity_number: {min: WARN, match_undefined: true}
//!         severity_texts: [^ERR]
//!         bodies: [timeout]
//!         record_attributes: [{key: tier}]
//!         resource_attributes: [{key: host.name, value: ^fog-}]
//!       exclude: {match_type: strict, bodies: [tick]}
//! ```
//!
//! The keys are those of the Collector's processor, and so is what they mean: an `exclude`
//! of metrics drops what has one of its properties, every other block concerns what has all
//! of them. `datapoint_attributes` is ours: it narrows an `exclude` to the points that have
//! them and the other properties, too. What loses everything that was in it, a metric, a
//! scope or a resource, goes as well.
//!
//! Conditions in OTTL are refused: they would be a language to learn for what these lists
//! say, and to run for every item.
//!
//! Dropped items are in the ledger under `reason="filtered"`. Metrics, beside those of every
//! processor, under the Collector's names:
//!
//! - `otelcol_processor_filter_datapoints_filtered{filter}`, and likewise `spans_filtered`
//!   and `logs_filtered`

mod config;
mod metrics;
#[cfg(test)]
mod tests;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

use self::config::Config;
use super::matching::Selection;
use crate::component::{
    BuildContext, DropReason, Now, Output, Processor, ProcessorConfig, ProcessorFactory,
};
use crate::pdata::view::{LogRecord, Resource, Scope, Span};
use crate::pdata::{Action, At, Batch, Edit, Replacement, Signal};

/// The factory of `filter`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "filter",
    aliases: &[],
    summary: "drops data points, spans and log records",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, signal: Signal) -> anyhow::Result<Box<dyn Processor>> {
        let filtered = Filtered::new(context, signal);
        let items = match signal {
            Signal::Metrics => {
                let edit = self.metrics.clone();
                return Ok(Box::new(Filter { edit, filtered }));
            }
            Signal::Traces => &self.spans,
            Signal::Logs => &self.logs,
        };
        items.check(signal)?;
        let edit = Items(items.clone());
        Ok(Box::new(Filter { edit, filtered }))
    }
}

/// Drops what an edit drops.
struct Filter<E> {
    edit: E,
    filtered: Filtered,
}

/// Keeps the spans or log records of a selection.
struct Items(Selection);

impl<E: Edit + Send> Processor for Filter<E> {
    fn process(&mut self, mut batch: Batch, _: Now, out: &mut dyn Output) {
        let removed = batch.edit(&mut self.edit);
        if removed > 0 {
            self.filtered.counter.add(removed, &self.filtered.filter);
            out.discard(removed, DropReason::Filtered);
        }
        if !batch.parts().is_empty() {
            out.emit(batch);
        }
    }
}

impl Edit for Items {
    fn resource(&mut self, resource: Resource<'_>, _: &mut Replacement) -> Action {
        keep_if(self.0.enter_resource(resource))
    }

    fn scope(&mut self, _: Resource<'_>, scope: Scope<'_>, _: &mut Replacement) -> Action {
        keep_if(self.0.enter_scope(scope))
    }

    fn span(&mut self, _: At<'_>, span: &Span<'_>, _: &mut Replacement) -> Action {
        keep_if(self.0.span(span))
    }

    fn log_record(&mut self, _: At<'_>, record: &LogRecord<'_>, _: &mut Replacement) -> Action {
        keep_if(self.0.log_record(record))
    }
}

fn keep_if(keep: bool) -> Action {
    if keep { Action::Keep } else { Action::Drop }
}

/// Counts what was dropped.
struct Filtered {
    filter: [KeyValue; 1],
    counter: Counter<u64>,
}

impl Filtered {
    fn new(context: &BuildContext, signal: Signal) -> Self {
        let (name, description) = match signal {
            Signal::Metrics => (
                "otelcol_processor_filter_datapoints_filtered",
                "Number of metric data points dropped by the filter processor",
            ),
            Signal::Traces => (
                "otelcol_processor_filter_spans_filtered",
                "Number of spans dropped by the filter processor",
            ),
            Signal::Logs => (
                "otelcol_processor_filter_logs_filtered",
                "Number of logs dropped by the filter processor",
            ),
        };
        let meter = context.telemetry.meter("foghorn.processors.filter");
        Self {
            filter: [KeyValue::new("filter", context.id.to_string())],
            counter: meter
                .u64_counter(name)
                .with_description(description)
                .build(),
        }
    }
}
