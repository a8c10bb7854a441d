//! `verbosity: normal`: one line per data point, span or log record, as the Collector prints it.
//!
//! It decodes into prost's structs, piece by piece: it runs only if configured, and no faster than
//! a terminal.

use std::fmt::{self, Write as _};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, InstrumentationScope, KeyValue, any_value::Value,
};
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, Metric, NumberDataPoint, SummaryDataPoint,
    metric::Data, number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;

use crate::pdata::{Batch, Signal};

/// The largest part that is decoded whole, in bytes: as structs it takes up to a hundred times
/// as many.
const WHOLE: u64 = 256 << 10;

/// How often the bytes of a batch may be copied to divide it.
const COPIES: u64 = 16;

/// Appends the batch to `out`. A large batch is divided, with its headings in each piece; one
/// that can't be divided further is told by its size.
pub(super) fn write(batch: &Batch, out: &mut dyn fmt::Write) {
    let mut budget = batch.size() * COPIES;
    for part in batch.parts() {
        piece(Batch::of(batch.signal(), part.clone()), &mut budget, out);
    }
}

/// Appends a batch, or each half of it. `budget` is how many bytes may still be copied: what
/// stands around the border, such as a resource with very many attributes, goes to both halves.
fn piece(batch: Batch, budget: &mut u64, out: &mut dyn fmt::Write) {
    let (size, items) = (batch.size(), batch.items());
    if size <= WHOLE {
        return whole(&batch, out);
    }
    match budget.checked_sub(size).filter(|_| items > 1) {
        Some(left) => {
            *budget = left;
            let (front, back) = batch.split_at(items / 2);
            piece(front, budget, out);
            piece(back, budget, out);
        }
        None => {
            let _ = writeln!(
                out,
                "({items} items in {size} bytes: too large to be shown)"
            );
        }
    }
}

fn whole(batch: &Batch, out: &mut dyn fmt::Write) {
    for part in batch.parts() {
        let bytes = part.bytes().clone();
        let written = match batch.signal() {
            Signal::Metrics => {
                ExportMetricsServiceRequest::decode(bytes).map(|request| metrics(out, &request))
            }
            Signal::Traces => {
                ExportTraceServiceRequest::decode(bytes).map(|request| traces(out, &request))
            }
            Signal::Logs => {
                ExportLogsServiceRequest::decode(bytes).map(|request| logs(out, &request))
            }
        };
        if let Err(error) = written {
            let _ = writeln!(out, "(can't be read: {error})");
        }
    }
}

// The writer keeps its errors, so the results are ignored here and below.

fn metrics(out: &mut dyn fmt::Write, request: &ExportMetricsServiceRequest) {
    for (i, resource) in request.resource_metrics.iter().enumerate() {
        heading(
            out,
            "ResourceMetrics",
            i,
            &resource.schema_url,
            resource.resource.as_ref(),
        );
        for (j, scope) in resource.scope_metrics.iter().enumerate() {
            scope_heading(
                out,
                "ScopeMetrics",
                j,
                &scope.schema_url,
                scope.scope.as_ref(),
            );
            for one in &scope.metrics {
                metric(out, one);
            }
        }
    }
}

fn metric(out: &mut dyn fmt::Write, metric: &Metric) {
    let mut line = |attributes: &[KeyValue], value: &dyn fmt::Display| {
        let name = metric.name.escape_debug();
        let _ = writeln!(out, "{name}{{{}}} {value}", List(attributes, ","));
    };
    match &metric.data {
        Some(Data::Gauge(gauge)) => {
            for point in &gauge.data_points {
                line(&point.attributes, &NumberText(point));
            }
        }
        Some(Data::Sum(sum)) => {
            for point in &sum.data_points {
                line(&point.attributes, &NumberText(point));
            }
        }
        Some(Data::Histogram(histogram)) => {
            for point in &histogram.data_points {
                line(&point.attributes, &histogram_value(point));
            }
        }
        Some(Data::ExponentialHistogram(histogram)) => {
            for point in &histogram.data_points {
                line(&point.attributes, &exponential_value(point));
            }
        }
        Some(Data::Summary(summary)) => {
            for point in &summary.data_points {
                line(&point.attributes, &summary_value(point));
            }
        }
        None => {}
    }
}

struct NumberText<'a>(&'a NumberDataPoint);

impl fmt::Display for NumberText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.value {
            Some(number_data_point::Value::AsInt(number)) => write!(f, "{number}"),
            Some(number_data_point::Value::AsDouble(number)) => write!(f, "{number}"),
            None => f.write_str("(no recorded value)"),
        }
    }
}

fn moments(count: u64, sum: Option<f64>, min: Option<f64>, max: Option<f64>) -> String {
    let mut text = format!("count={count}");
    for (name, value) in [("sum", sum), ("min", min), ("max", max)] {
        if let Some(value) = value {
            let _ = write!(text, " {name}={value}");
        }
    }
    text
}

fn histogram_value(point: &HistogramDataPoint) -> String {
    let mut text = moments(point.count, point.sum, point.min, point.max);
    for (i, count) in point.bucket_counts.iter().enumerate() {
        let _ = match point.explicit_bounds.get(i) {
            Some(bound) => write!(text, " le{bound}={count}"),
            None => write!(text, " {count}"),
        };
    }
    text
}

fn exponential_value(point: &ExponentialHistogramDataPoint) -> String {
    let mut text = moments(point.count, point.sum, point.min, point.max);
    // The bounds of a bucket are powers of 2^(2^-scale).
    let bound = |index: f64| (index * (-f64::from(point.scale)).exp2()).exp2();
    if let Some(buckets) = &point.negative {
        for (i, count) in buckets.bucket_counts.iter().enumerate().rev() {
            let upper = -bound(f64::from(buckets.offset) + i as f64);
            let _ = write!(text, " le{upper}={count}");
        }
    }
    if point.zero_count != 0 {
        let _ = write!(text, " zero={}", point.zero_count);
    }
    if let Some(buckets) = &point.positive {
        for (i, count) in buckets.bucket_counts.iter().enumerate() {
            let upper = bound(f64::from(buckets.offset) + i as f64 + 1.0);
            let _ = write!(text, " le{upper}={count}");
        }
    }
    text
}

fn summary_value(point: &SummaryDataPoint) -> String {
    let mut text = moments(point.count, Some(point.sum), None, None);
    for quantile in &point.quantile_values {
        let _ = write!(text, " q{}={}", quantile.quantile, quantile.value);
    }
    text
}

fn traces(out: &mut dyn fmt::Write, request: &ExportTraceServiceRequest) {
    for (i, resource) in request.resource_spans.iter().enumerate() {
        heading(
            out,
            "ResourceSpans",
            i,
            &resource.schema_url,
            resource.resource.as_ref(),
        );
        for (j, scope) in resource.scope_spans.iter().enumerate() {
            scope_heading(
                out,
                "ScopeSpans",
                j,
                &scope.schema_url,
                scope.scope.as_ref(),
            );
            for span in &scope.spans {
                let _ = writeln!(
                    out,
                    "{} {} {}{}",
                    span.name.escape_debug(),
                    Hex(&span.trace_id),
                    Hex(&span.span_id),
                    Spaced(&span.attributes)
                );
            }
        }
    }
}

fn logs(out: &mut dyn fmt::Write, request: &ExportLogsServiceRequest) {
    for (i, resource) in request.resource_logs.iter().enumerate() {
        heading(
            out,
            "ResourceLog",
            i,
            &resource.schema_url,
            resource.resource.as_ref(),
        );
        for (j, scope) in resource.scope_logs.iter().enumerate() {
            scope_heading(out, "ScopeLog", j, &scope.schema_url, scope.scope.as_ref());
            for record in &scope.log_records {
                if let Some(body) = &record.body {
                    let _ = write!(out, "{}", ValueText(body));
                }
                let _ = writeln!(out, "{}", Spaced(&record.attributes));
            }
        }
    }
}

fn heading(
    out: &mut dyn fmt::Write,
    what: &str,
    i: usize,
    schema: &str,
    resource: Option<&Resource>,
) {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    let _ = writeln!(out, "{what} #{i}{}{}", Schema(schema), Spaced(attributes));
}

fn scope_heading(
    out: &mut dyn fmt::Write,
    what: &str,
    i: usize,
    schema: &str,
    scope: Option<&InstrumentationScope>,
) {
    let _ = write!(out, "{what} #{i}");
    if let Some(scope) = scope {
        let _ = write!(out, " {}", scope.name.escape_debug());
        if !scope.version.is_empty() {
            let _ = write!(out, "@{}", scope.version.escape_debug());
        }
        let _ = write!(out, "{}", Spaced(&scope.attributes));
    }
    let _ = writeln!(out, "{}", Schema(schema));
}

struct Schema<'a>(&'a str);

impl fmt::Display for Schema<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => Ok(()),
            url => write!(f, " [{}]", url.escape_debug()),
        }
    }
}

/// Attributes, with a space before each.
struct Spaced<'a>(&'a [KeyValue]);

impl fmt::Display for Spaced<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => Ok(()),
            some => write!(f, " {}", List(some, " ")),
        }
    }
}

/// Attributes, with this text between them.
struct List<'a>(&'a [KeyValue], &'a str);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, attribute) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(self.1)?;
            }
            write!(f, "{}=", attribute.key.escape_debug())?;
            if let Some(value) = &attribute.value {
                ValueText(value).fmt(f)?;
            }
        }
        Ok(())
    }
}

struct ValueText<'a>(&'a AnyValue);

impl fmt::Display for ValueText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.value {
            // Escaped, since control characters would act on the terminal.
            Some(Value::StringValue(text)) => write!(f, "{}", text.escape_debug()),
            Some(Value::BoolValue(flag)) => write!(f, "{flag}"),
            Some(Value::IntValue(number)) => write!(f, "{number}"),
            Some(Value::DoubleValue(number)) => write!(f, "{number}"),
            Some(Value::BytesValue(bytes)) => Hex(bytes).fmt(f),
            Some(Value::KvlistValue(list)) => write!(f, "{{{}}}", List(&list.values, ",")),
            Some(Value::ArrayValue(array)) => {
                f.write_str("[")?;
                for (i, value) in array.values.iter().enumerate() {
                    if i > 0 {
                        f.write_str(",")?;
                    }
                    ValueText(value).fmt(f)?;
                }
                f.write_str("]")
            }
            Some(Value::StringValueStrindex(index)) => write!(f, "#{index}"),
            None => Ok(()),
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
