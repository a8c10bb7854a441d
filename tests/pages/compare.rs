//! A page as our reader finds it, and as Prometheus's own parsers do, in one form.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use foghorn::exposition::read::{
    BucketSpan, Measured, NativeCounts, PageEntry, PageFormat, PageLimits, PageMetadata,
    PageReader, PageSeries, PageValue,
};
use foghorn::translation::scraped::ScrapedLabels;
use serde_json::{Value, json};

/// What the options of a request to the oracle mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Native {
    pub native: bool,
    pub classic_too: bool,
}

impl Native {
    pub fn bits(self) -> u8 {
        u8::from(self.native) | u8::from(self.classic_too) << 1
    }
}

/// What our reader finds: series in the order of the page, then metadata; an error if the page is
/// refused.
pub fn ours(page: &[u8], format: PageFormat, native: Native) -> Result<Value, String> {
    let mut reader =
        PageReader::new(page, format, LIMITS).native_histograms(native.native, native.classic_too);
    let (mut series, mut metadata) = (Vec::new(), Vec::new());
    // As in a scrape: no byte is no page.
    while !page.is_empty()
        && let Some(entry) = reader.next(b"").map_err(|error| error.to_string())?
    {
        match entry {
            PageEntry::Metadata(entry) => metadata.push(match entry {
                PageMetadata::Type { name, kind } => json!(["TYPE", name.raw(), kind.as_str()]),
                PageMetadata::Help { name, text } => json!(["HELP", name.raw(), text.text()]),
                PageMetadata::Unit { name, unit } => json!(["UNIT", name.raw(), unit]),
            }),
            PageEntry::Series(found) => {
                let labels = labels(&found)?;
                series.push(shown(labels, &found.reading, format));
            }
            PageEntry::Again(_) => return Err("nothing was expected".to_owned()),
        }
    }
    Ok(json!({"series": series, "metadata": metadata}))
}

/// Limits that no page of the test exceeds.
pub const LIMITS: PageLimits = PageLimits {
    labels: usize::MAX,
    name_bytes: usize::MAX,
    value_bytes: usize::MAX,
    buckets: usize::MAX,
    exemplars: usize::MAX,
    series_bytes: usize::MAX,
};

fn labels(series: &PageSeries<'_, '_>) -> Result<Value, String> {
    let labels = ScrapedLabels::of(series);
    labels.check().map_err(|error| error.to_string())?;
    Ok(labels
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect())
}

fn shown(labels: Value, reading: &PageValue<'_, '_>, format: PageFormat) -> Value {
    let (mut value, mut histogram) = (json!(""), Value::Null);
    match reading.value {
        Measured::Number(number) => value = bits(number),
        Measured::Histogram(found) => {
            histogram = json!({
                "schema": found.schema,
                "count": bits(found.count),
                "sum": bits(found.sum),
                "zero_threshold": bits(found.zero_threshold),
                "zero_count": bits(found.zero_count),
                "positive": buckets(found.positive),
                "negative": buckets(found.negative),
                "gauge": found.is_gauge,
            });
        }
    }
    let exemplars: Vec<Value> = reading
        .exemplars
        .iter()
        .map(|exemplar| {
            let mut labels: Vec<[String; 2]> = exemplar
                .labels
                .iter()
                .map(|label| [label.name.raw().to_owned(), label.value.raw().to_owned()])
                .collect();
            labels.sort_by(|a, b| a[0].cmp(&b[0]));
            json!({
                "labels": labels,
                "value": bits(exemplar.value),
                "time": exemplar.timestamp.map(within),
            })
        })
        .collect();
    json!({
        "labels": labels,
        "value": value,
        "histogram": histogram,
        "time": reading.timestamp.map(within),
        "exemplars": if exemplars.is_empty() { Value::Null } else { json!(exemplars) },
        "created": if format == PageFormat::Protobuf { reading.created.unwrap_or(0) } else { 0 },
    })
}

/// Buckets that aren't empty, with the index of their upper bound.
fn buckets((spans, counts): (&[BucketSpan], NativeCounts<'_>)) -> Value {
    let counts: Vec<f64> = match counts {
        NativeCounts::Whole(counts) => counts.iter().map(|count| *count as f64).collect(),
        NativeCounts::Float(counts) => counts.to_vec(),
    };
    let mut index: i64 = 0;
    let mut counts = counts.into_iter();
    let mut found = Vec::new();
    for span in spans {
        index += i64::from(span.offset);
        for count in counts.by_ref().take(span.length as usize) {
            if count != 0.0 {
                found.push(json!([index.to_string(), bits(count)]));
            }
            index += 1;
        }
    }
    if found.is_empty() {
        Value::Null
    } else {
        json!(found)
    }
}

/// A timestamp. Of one that 64 bits can't hold Go makes what the processor makes of it.
fn within(time: i64) -> i64 {
    if time == i64::MIN { i64::MAX } else { time }
}

fn bits(number: f64) -> Value {
    let number = if number.is_nan() { NAN } else { number };
    json!(format!("{:016x}", number.to_bits()))
}

const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// What Prometheus's parsers found, in the same form; an error if they refuse the page.
pub fn theirs(answer: &str) -> Result<Value, String> {
    let mut answer: Value = serde_json::from_str(answer).map_err(|error| error.to_string())?;
    match answer["error"].as_str() {
        Some("") => {}
        error => return Err(error.unwrap_or("no error").to_owned()),
    }
    let taken = |value: &mut Value| match value.take() {
        Value::Null => json!([]),
        value => value,
    };
    let mut series = taken(&mut answer["series"]);
    for series in series.as_array_mut().into_iter().flatten() {
        // A NaN of protobuf keeps its bits there.
        let nan = |value: &mut Value| {
            let bits = value
                .as_str()
                .and_then(|text| u64::from_str_radix(text, 16).ok());
            if bits.is_some_and(|bits| f64::from_bits(bits).is_nan()) {
                *value = bits_of_nan();
            }
        };
        let range = |value: &mut Value| {
            if let Some(time) = value.as_i64() {
                *value = json!(within(time));
            }
        };
        nan(&mut series["value"]);
        range(&mut series["time"]);
        for exemplar in series["exemplars"].as_array_mut().into_iter().flatten() {
            nan(&mut exemplar["value"]);
            range(&mut exemplar["time"]);
            // Our reader leaves out what can't be the name of a label.
            if let Some(labels) = exemplar["labels"].as_array_mut() {
                labels.retain(|label| {
                    let name = label[0].as_str().unwrap_or_default();
                    !name.is_empty() && !name.contains('\u{fffd}')
                });
            }
        }
        if series["histogram"].is_object() {
            for key in ["count", "sum", "zero_threshold", "zero_count"] {
                nan(&mut series["histogram"][key]);
            }
        }
    }
    let metadata = taken(&mut answer["metadata"]);
    Ok(json!({"series": series, "metadata": metadata}))
}

fn bits_of_nan() -> Value {
    bits(NAN)
}
