//! `attributes`: edits the attributes of data points, spans and log records.
//!
//! ```yaml
//! processors:
//!   attributes:
//!     include: {match_type: strict, services: [checkout]}
//!     exclude: {match_type: regexp, span_names: ["^health"]}
//!     actions:
//!       - {action: insert, key: deployment.environment.name, value: lab}
//!       - {action: delete, key: http.request.header.authorization}
//! ```
//!
//! The keys, actions and properties are those of the Collector's processor;
//! `processors/actions` and `processors/matching` show them all, `docs/processors.md` each
//! difference. Without `include` and `exclude` everything is edited. What isn't edited keeps
//! its bytes.
//!
//! Metrics: those of every processor.

use super::actions::Actions;
use super::matching::Selection;
use crate::component::{BuildContext, Now, Output, Processor, ProcessorConfig, ProcessorFactory};
use crate::pdata::view::{LogRecord, Metric, Point, Resource, Scope, Span};
use crate::pdata::{Action, At, Batch, Edit, Replacement, Signal};
use crate::yaml::{FromValue, PlacedNode};

/// The factory of `attributes`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "attributes",
    aliases: &[],
    summary: "edits the attributes of data points, spans and log records",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

#[derive(Debug, Clone)]
struct Config {
    selection: Selection,
    actions: Actions,
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let selection = Selection::from_fields(&mut fields);
        let actions = fields.required("actions");
        fields.finish();
        Some(Self {
            selection,
            actions: actions?,
        })
    }
}

impl ProcessorConfig for Config {
    fn build(&self, _: &BuildContext, signal: Signal) -> anyhow::Result<Box<dyn Processor>> {
        self.selection.check(signal)?;
        Ok(Box::new(self.clone()))
    }
}

impl Processor for Config {
    fn process(&mut self, mut batch: Batch, _: Now, out: &mut dyn Output) {
        batch.edit(self);
        out.emit(batch);
    }
}

impl Edit for Config {
    fn resource(&mut self, resource: Resource<'_>, _: &mut Replacement) -> Action {
        if self.selection.enter_resource(resource) {
            Action::Keep
        } else {
            Action::Skip
        }
    }

    fn scope(&mut self, _: Resource<'_>, scope: Scope<'_>, _: &mut Replacement) -> Action {
        if self.selection.enter_scope(scope) {
            Action::Keep
        } else {
            Action::Skip
        }
    }

    fn metric(&mut self, _: At<'_>, metric: &Metric<'_>) -> Action {
        if self.selection.metric(metric) {
            Action::Keep
        } else {
            Action::Skip
        }
    }

    fn point(
        &mut self,
        _: At<'_>,
        _: &Metric<'_>,
        point: &Point<'_>,
        new: &mut Replacement,
    ) -> Action {
        self.actions.apply(point.attributes(), new);
        Action::Keep
    }

    fn span(&mut self, _: At<'_>, span: &Span<'_>, new: &mut Replacement) -> Action {
        if self.selection.span(span) {
            self.actions.apply(span.attributes(), new);
        }
        Action::Keep
    }

    fn log_record(&mut self, _: At<'_>, record: &LogRecord<'_>, new: &mut Replacement) -> Action {
        if self.selection.log_record(record) {
            self.actions.apply(record.attributes(), new);
        }
        Action::Keep
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OutputRecorder, context, read, sample};
    use super::*;
    use crate::pdata::samples::Style;

    #[test]
    fn what_is_not_selected_keeps_its_bytes() {
        let yaml = "{include: {match_type: strict, services: [gone]}, \
                    actions: [{action: upsert, key: a, value: 1}]}";
        let mut processor = read::<Config>(yaml).unwrap();
        for signal in Signal::ALL {
            for seed in 0..50 {
                let batch = sample(signal, seed, Style::ANY);
                let mut out = OutputRecorder::default();
                processor.process(batch.clone(), Now::read(), &mut out);
                let kept = out.emitted[0].parts().iter().zip(batch.parts());
                for (after, before) in kept {
                    assert_eq!(after.bytes(), before.bytes(), "{signal} {seed}");
                }
            }
        }
    }

    #[test]
    fn mistakes_are_named() {
        let f = |yaml: &str, expected: &str| {
            assert_eq!(read::<Config>(yaml).unwrap_err(), [expected], "{yaml}");
        };
        f("{}", ": `actions` is missing");
        f("actions: []", "actions: needs at least one action");
        f(
            "{actions: [{action: delete, key: a}], exclude: {match_type: regexp}}",
            "exclude: names no property to match, such as `services` or `attributes`",
        );
    }

    #[test]
    fn a_property_of_another_signal_ends_the_start() {
        let yaml = "{include: {match_type: strict, metric_names: [a]}, \
                    actions: [{action: delete, key: a}]}";
        let config = read::<Config>(yaml).unwrap();
        assert!(
            config
                .build(&context("attributes"), Signal::Metrics)
                .is_ok()
        );
        assert!(config.build(&context("attributes"), Signal::Logs).is_err());
    }
}
