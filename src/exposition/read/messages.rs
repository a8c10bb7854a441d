//! Messages and fields that several kinds of metrics have.

use super::float::NAN;
use super::labels::{PageLabel, PageText};
use super::wire::{PageField, PageFields};
use super::{PageExemplar, PageFault, PageLimits};

/// Name and value of a label.
pub(super) fn pair<'p>(
    raw: &'p [u8],
    limits: &PageLimits,
) -> Result<(&'p [u8], &'p [u8]), PageFault> {
    let (mut name, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut fields = PageFields::new(raw);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => name = message(field)?,
            2 => value = message(field)?,
            _ => {}
        }
    }
    if name.len() > limits.name_bytes {
        return Err(PageFault::beyond("a name is too long"));
    }
    if value.len() > limits.value_bytes {
        return Err(PageFault::beyond("a label value is too long"));
    }
    Ok((name, value))
}

/// An exemplar; `None` if its labels aren't UTF-8.
pub(super) fn exemplar<'p>(
    raw: &'p [u8],
    limits: &PageLimits,
) -> Result<Option<PageExemplar<'p>>, PageFault> {
    let mut labels = Vec::new();
    let mut value = 0.0;
    let mut time = None;
    let mut readable = true;
    let mut fields = PageFields::new(raw);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => {
                let (name, value) = pair(message(field)?, limits)?;
                if labels.len() == limits.labels {
                    return Err(PageFault::beyond("an exemplar has too many labels"));
                }
                match (text(name), text(value)) {
                    (Some(name), Some(value)) => labels.push(PageLabel {
                        name: PageText::plain(name),
                        value: PageText::plain(value),
                    }),
                    _ => readable = false,
                }
            }
            2 => value = double(field)?,
            3 => timestamp(message(field)?, time.get_or_insert((0, 0)))?,
            _ => {}
        }
    }
    Ok(readable.then(|| PageExemplar {
        labels,
        value: if value.is_nan() { NAN } else { value },
        timestamp: time.map(in_millis),
    }))
}

/// Reads a `google.protobuf.Timestamp` as seconds and nanoseconds.
pub(super) fn timestamp(raw: &[u8], into: &mut (i64, i64)) -> Result<(), PageFault> {
    let mut fields = PageFields::new(raw);
    while let Some((number, field)) = fields.next()? {
        match number {
            1 => into.0 = varint(field)?.cast_signed(),
            2 => into.1 = i64::from((varint(field)? as u32).cast_signed()),
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn in_millis((seconds, nanos): (i64, i64)) -> i64 {
    seconds
        .saturating_mul(1000)
        .saturating_add(nanos / 1_000_000)
}

pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

pub(super) fn varint(field: PageField<'_>) -> Result<u64, PageFault> {
    match field {
        PageField::Varint(number) => Ok(number),
        _ => Err(wrong_kind()),
    }
}

pub(super) fn double(field: PageField<'_>) -> Result<f64, PageFault> {
    match field {
        PageField::Fixed(bits) => Ok(f64::from_bits(bits)),
        _ => Err(wrong_kind()),
    }
}

pub(super) fn message(field: PageField<'_>) -> Result<&[u8], PageFault> {
    match field {
        PageField::Bytes(bytes) => Ok(bytes),
        _ => Err(wrong_kind()),
    }
}

pub(super) fn wrong_kind() -> PageFault {
    "a field is of another kind than it must be".into()
}
