//! `verbosity: basic`: one line per batch.

use crate::pdata::protocol::{Field, Message, Scalar, Visitor, visit};
use crate::pdata::{Batch, Signal};

/// The line of a batch, such as `metrics, 1 resource, 2 metrics, 5 data points`.
pub(super) fn summary(batch: &Batch) -> String {
    let mut count = Count::default();
    for part in batch.parts() {
        visit(batch.signal(), part, &mut count);
    }
    let resources = number(count.resources, "resource");
    let items = batch.items();
    match batch.signal() {
        Signal::Metrics => format!(
            "metrics, {resources}, {}, {}",
            number(count.metrics, "metric"),
            number(items, "data point")
        ),
        Signal::Traces => format!("traces, {resources}, {}", number(items, "span")),
        Signal::Logs => format!("logs, {resources}, {}", number(items, "log record")),
    }
}

fn number(n: u64, noun: &str) -> String {
    let plural = if n == 1 { "" } else { "s" };
    format!("{n} {noun}{plural}")
}

#[derive(Default)]
struct Count {
    resources: u64,
    metrics: u64,
}

impl Visitor for Count {
    fn begin_message(&mut self, message: &'static Message) {
        match message.name {
            "ResourceMetrics" | "ResourceSpans" | "ResourceLogs" => self.resources += 1,
            "Metric" => self.metrics += 1,
            _ => {}
        }
    }

    fn end_message(&mut self, _message: &'static Message) {}

    fn begin_field(&mut self, _field: &'static Field) {}

    fn end_field(&mut self, _field: &'static Field) {}

    fn scalar(&mut self, _field: &'static Field, _value: Scalar<'_>) {}
}
