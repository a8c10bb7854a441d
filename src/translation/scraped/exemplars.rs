//! Exemplars of a page as OTLP has them.

use crate::exposition::read::PageExemplar;
use crate::pdata::writer::ExemplarData;

use super::nanos;

/// The exemplars of a value, in OTLP's terms. One without a time is as old as the value.
#[inline]
pub(super) fn taken<'p>(
    exemplars: &[PageExemplar<'p>],
    (from, to): (usize, usize),
    time: i64,
) -> Vec<ExemplarData<'p>> {
    if from == to {
        // Nearly every value.
        return Vec::new();
    }
    let of_value = exemplars.get(from..to).unwrap_or_default();
    of_value
        .iter()
        .map(|exemplar| {
            let mut data = ExemplarData {
                value: exemplar.value,
                time: nanos(exemplar.timestamp.unwrap_or(time)),
                trace_id: None,
                span_id: None,
                attributes: Vec::new(),
            };
            for label in &exemplar.labels {
                let (name, value) = (label.name.text(), label.value.text());
                if name.eq_ignore_ascii_case("trace_id") {
                    data.trace_id = id(&value);
                    if data.trace_id.is_some() {
                        continue;
                    }
                } else if name.eq_ignore_ascii_case("span_id") {
                    data.span_id = id(&value);
                    if data.span_id.is_some() {
                        continue;
                    }
                }
                data.attributes.push((name, value));
            }
            data
        })
        .collect()
}

/// Hexadecimal digits as the id of a trace or a span. Shorter ones get zeros in front, as in the
/// Collector.
fn id<const N: usize>(text: &str) -> Option<[u8; N]> {
    let bytes = text.as_bytes();
    if bytes.is_empty() || !bytes.len().is_multiple_of(2) || bytes.len() > 2 * N {
        return None;
    }
    let mut id = [0; N];
    let skipped = N - bytes.len() / 2;
    for (byte, digits) in id.iter_mut().skip(skipped).zip(bytes.chunks(2)) {
        let digits = std::str::from_utf8(digits).ok()?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(digits, 16).ok()?;
    }
    id.iter().any(|byte| *byte != 0).then_some(id)
}
