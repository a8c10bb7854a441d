//! One column of a chunk: numbers of 64 bits as few bytes, bit for bit.
//!
//! Most series are decimal numbers with few digits, whatever their type: 21.5 degrees, 1024
//! bytes, 17 requests. So a column is first tried as integers with a common power of ten; only
//! if that fails are its bits taken as they are, in an order in which close numbers have close
//! bits. Either way the integers are divided by what they have in common, replaced by their
//! differences if these are smaller, and packed in blocks of 64 with as many bits as the widest
//! of the block needs. What is no decimal number (NaN, -0.0, now and then a full-precision
//! value) is kept beside the integers.
//!
//! A part of a column is read without unpacking the rest. Differences are added up from
//! whichever end is nearer, for which the last integer stands beside the first: what is read most
//! are the newest points.
//!
//! To unpack a value is one load, a shift, an addition and a division. A format with entropy
//! coding (pco) needs about the same bytes and several times as long, and long windows read
//! many more points than arrive; the module documentation of `window` has the figures.

use std::ops::Range;

use super::bits::{
    BLOCK, ByteReader, pack, packed_len, put_signed, put_varint, signed_len, width_of,
};
use super::error::Corrupt;

/// The most values of a column.
pub(super) const MAX_VALUES: usize = 4096;

/// The powers of ten that decimal numbers are tried with.
const POWERS: [f64; 13] = [
    1.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12,
];

/// Added and subtracted, it rounds a number below 2^51 to an integer. `f64::round` is a call
/// on machines that are only promised SSE2.
const ROUNDING: f64 = 6_755_399_441_055_744.0;

const CONSTANT: u8 = 0;
const DECIMAL: u8 = 1;
const ORDERED: u8 = 2;
const INTEGER: u8 = 3;
/// A constant that is an integer.
const WHOLE: u8 = 4;
/// Set beside the form if differences were packed.
const DELTA: u8 = 0x10;

/// Memory that encoding and decoding use again and again.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    integers: Vec<i64>,
    exceptions: Vec<(usize, u64)>,
}

/// Appends the column of floating-point numbers, given by their bits.
pub(super) fn encode(values: &[u64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    let Some(&first) = values.first() else {
        return;
    };
    if values.iter().all(|value| *value == first) {
        match integer(first, 0) {
            // Most buckets of histograms are such.
            Some(value) => {
                out.push(WHOLE);
                put_signed(value, out);
            }
            None => {
                out.push(CONSTANT);
                out.extend_from_slice(&first.to_le_bytes());
            }
        }
        return;
    }
    if let Some(exponent) = decimals(values, scratch) {
        let (form, multiple) = (DECIMAL, common_divisor(&scratch.integers));
        let start = out.len();
        encode_integers(&mut scratch.integers, form, multiple, out, |out| {
            out.push(exponent);
            put_varint(scratch.exceptions.len() as u64, out);
            let mut last = 0;
            for (index, bits) in &scratch.exceptions {
                put_varint((index - last) as u64, out);
                out.extend_from_slice(&bits.to_le_bytes());
                last = *index;
            }
        });
        // Numbers of few digits are done; long ones may be shorter by their bits.
        if out.len() - start < values.len() * 5 {
            return;
        }
        let decimal = out.split_off(start);
        encode_ordered(values, scratch, out);
        if out.len() - start > decimal.len() {
            out.truncate(start);
            out.extend_from_slice(&decimal);
        }
        return;
    }
    encode_ordered(values, scratch, out);
}

/// Appends the column of integers.
pub(super) fn encode_i64(values: &[i64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    if values.is_empty() {
        return;
    }
    scratch.integers.clear();
    scratch.integers.extend_from_slice(values);
    let multiple = common_power(&scratch.integers);
    encode_integers(&mut scratch.integers, INTEGER, multiple, out, |_| {});
}

/// Reads those of a column of `count` floating-point numbers that stand in the range, which isn't
/// empty, behind what `values` holds.
pub(super) fn decode(
    reader: &mut ByteReader<'_>,
    count: usize,
    range: Range<usize>,
    scratch: &mut Scratch,
    values: &mut Vec<f64>,
) -> Result<(), Corrupt> {
    if count == 0 {
        return Ok(());
    }
    if count > MAX_VALUES || range.is_empty() || range.end > count {
        return Err(Corrupt::Count);
    }
    let form = reader.byte()?;
    match form & !DELTA {
        CONSTANT => {
            let value = f64::from_bits(reader.word()?);
            values.resize(values.len() + range.len(), value);
        }
        WHOLE => {
            let value = reader.signed()? as f64;
            values.resize(values.len() + range.len(), value);
        }
        DECIMAL => {
            let exponent = reader.byte()?;
            let power = *POWERS.get(usize::from(exponent)).ok_or(Corrupt::Form)?;
            let exceptions = reader.count(count)?;
            scratch.exceptions.clear();
            let mut index = 0;
            for _ in 0..exceptions {
                index += reader.count(count)?;
                if index >= count {
                    return Err(Corrupt::Count);
                }
                scratch.exceptions.push((index, reader.word()?));
            }
            let Range { start, end } = range;
            decode_integers(reader, form, count, range, &mut scratch.integers)?;
            let before = values.len();
            if exponent == 0 {
                values.extend(scratch.integers.iter().map(|value| *value as f64));
            } else {
                values.extend(scratch.integers.iter().map(|value| *value as f64 / power));
            }
            for (index, bits) in &scratch.exceptions {
                if (start..end).contains(index) {
                    values[before + index - start] = f64::from_bits(*bits);
                }
            }
        }
        ORDERED => {
            decode_integers(reader, form, count, range, &mut scratch.integers)?;
            values.extend(scratch.integers.iter().map(|value| unordered(*value)));
        }
        _ => return Err(Corrupt::Form),
    }
    Ok(())
}

/// Reads those of a column of `count` integers that stand in the range, which isn't empty, in the
/// place of what `values` holds.
pub(super) fn decode_i64(
    reader: &mut ByteReader<'_>,
    count: usize,
    range: Range<usize>,
    values: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    values.clear();
    if count == 0 {
        return Ok(());
    }
    if count > MAX_VALUES || range.is_empty() || range.end > count {
        return Err(Corrupt::Count);
    }
    let form = reader.byte()?;
    if form & !DELTA != INTEGER {
        return Err(Corrupt::Form);
    }
    decode_integers(reader, form, count, range, values)
}

fn encode_ordered(values: &[u64], scratch: &mut Scratch, out: &mut Vec<u8>) {
    scratch.integers.clear();
    scratch
        .integers
        .extend(values.iter().map(|bits| ordered(*bits)));
    let multiple = common_power(&scratch.integers);
    encode_integers(&mut scratch.integers, ORDERED, multiple, out, |_| {});
}

/// An integer that is greater for the greater number.
fn ordered(bits: u64) -> i64 {
    let bits = bits.cast_signed();
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

fn unordered(value: i64) -> f64 {
    let bits = if value < 0 { value ^ i64::MAX } else { value };
    f64::from_bits(bits.cast_unsigned())
}

/// Finds the power of ten by which the values become integers, and leaves these, and the values
/// that don't, in `scratch`.
fn decimals(values: &[u64], scratch: &mut Scratch) -> Option<u8> {
    let most = values.len() / 24 + 2;
    let mut exponent = 0;
    // Until no value needs a finer power than those before it.
    'finer: loop {
        scratch.integers.clear();
        scratch.exceptions.clear();
        // An exception takes the integer before it, so that it costs nothing in its block.
        let mut last = None;
        for (index, bits) in values.iter().enumerate() {
            if let Some(value) = integer(*bits, exponent) {
                // Exceptions at the beginning take the first integer.
                if last.is_none() {
                    scratch.integers.fill(value);
                }
                scratch.integers.push(value);
                last = Some(value);
                continue;
            }
            let mut finer = exponent + 1..POWERS.len();
            if let Some(finer) = finer.find(|finer| integer(*bits, *finer).is_some()) {
                exponent = finer;
                continue 'finer;
            }
            scratch.exceptions.push((index, *bits));
            if scratch.exceptions.len() > most {
                return None;
            }
            scratch.integers.push(last.unwrap_or(0));
        }
        return last.map(|_| exponent as u8);
    }
}

/// The integer that, divided by the power of ten, is the number bit for bit.
#[inline]
fn integer(bits: u64, exponent: usize) -> Option<i64> {
    let value = f64::from_bits(bits);
    if exponent == 0 {
        let integer = value as i64;
        let exact = (integer as f64).to_bits() == bits && integer.unsigned_abs() < 1 << 62;
        return exact.then_some(integer);
    }
    let power = POWERS[exponent];
    let rounded = (value * power + ROUNDING) - ROUNDING;
    let exact = rounded.abs() < 2_251_799_813_685_248.0
        && (rounded / power).to_bits() == bits
        && (bits != 1 << 63);
    exact.then_some(rounded as i64)
}

/// The greatest divisor of all differences. The integers are below 2^62.
fn common_divisor(integers: &[i64]) -> u64 {
    let first = integers[0];
    let mut divisor = 0;
    for value in integers {
        let mut difference = (value - first).unsigned_abs();
        while difference != 0 {
            (divisor, difference) = (difference, divisor % difference);
        }
        if divisor == 1 {
            break;
        }
    }
    divisor.max(1)
}

/// The greatest power of two that divides all differences.
fn common_power(integers: &[i64]) -> u64 {
    let first = integers[0];
    let differences = integers
        .iter()
        .fold(0, |all, value| all | value.wrapping_sub(first));
    if differences == 0 {
        1
    } else {
        1 << differences.trailing_zeros()
    }
}

/// Writes the form, what `header` adds, and the integers, which are overwritten.
fn encode_integers(
    integers: &mut [i64],
    form: u8,
    multiple: u64,
    out: &mut Vec<u8>,
    header: impl FnOnce(&mut Vec<u8>),
) {
    let first = integers[0];
    if multiple > 1 && form == DECIMAL {
        let multiple = multiple.cast_signed();
        for value in integers.iter_mut() {
            *value = (*value - first) / multiple;
        }
    } else {
        let shift = multiple.trailing_zeros();
        for value in integers.iter_mut() {
            *value = value.wrapping_sub(first) >> shift;
        }
    }
    let plain: usize = integers[1..].chunks(BLOCK).map(cost).sum();
    let newest = integers[integers.len() - 1];
    let mut last = newest;
    for at in (1..integers.len()).rev() {
        let before = integers[at - 1];
        integers[at] = last.wrapping_sub(before);
        last = before;
    }
    let delta: usize = integers[1..].chunks(BLOCK).map(cost).sum();
    let is_delta = delta + signed_len(newest) <= plain;
    if !is_delta {
        for at in 1..integers.len() {
            integers[at] = integers[at].wrapping_add(integers[at - 1]);
        }
    }
    out.push(if is_delta { form | DELTA } else { form });
    header(out);
    put_signed(first, out);
    put_varint(multiple, out);
    if is_delta {
        // In multiples, as the differences are.
        put_signed(newest, out);
    }
    let mut base = 0_i64;
    for block in integers[1..].chunks(BLOCK) {
        let (low, width) = frame(block);
        put_signed(low.wrapping_sub(base), out);
        out.push(width as u8);
        let residuals = block.iter().map(|v| v.wrapping_sub(low).cast_unsigned());
        pack(residuals, width, out);
        base = low;
    }
}

/// Reads those of `count` integers that stand in the range, which lies within them and isn't
/// empty, in the place of what `integers` holds.
fn decode_integers(
    reader: &mut ByteReader<'_>,
    form: u8,
    count: usize,
    range: Range<usize>,
    integers: &mut Vec<i64>,
) -> Result<(), Corrupt> {
    let first = reader.signed()?;
    let multiple = reader.varint()?.cast_signed();
    let is_delta = form & DELTA != 0;
    let newest = if is_delta { reader.signed()? } else { 0 };
    // Differences are needed as far as an end.
    let from_newest = is_delta && count - range.start < range.end;
    let needed = match (is_delta, from_newest) {
        (false, _) => range.clone(),
        (true, false) => 0..range.end,
        (true, true) => range.start..count,
    };
    integers.clear();
    integers.reserve(needed.len() + BLOCK);
    let mut unpacked = 0;
    if needed.start == 0 {
        integers.push(first);
    }
    let mut base = 0_i64;
    let mut block = [0_u64; BLOCK];
    let mut value = first;
    for at in (1..count).step_by(BLOCK) {
        let len = (count - at).min(BLOCK);
        base = base.wrapping_add(reader.signed()?);
        let width = u32::from(reader.byte()?);
        if at + len <= needed.start || at >= needed.end {
            reader.skip(width, len)?;
            continue;
        }
        if integers.is_empty() {
            unpacked = at;
        }
        let block = &mut block[..len];
        reader.unpack(width, block)?;
        let step = |residual: &u64| {
            base.wrapping_add(residual.cast_signed())
                .wrapping_mul(multiple)
        };
        if !is_delta {
            integers.extend(block.iter().map(|r| first.wrapping_add(step(r))));
        } else if from_newest {
            integers.extend(block.iter().map(step));
        } else {
            integers.extend(block.iter().map(|r| {
                value = value.wrapping_add(step(r));
                value
            }));
        }
    }
    if from_newest {
        let risen = integers
            .iter()
            .fold(0, |sum: i64, step| sum.wrapping_add(*step));
        value = newest
            .wrapping_mul(multiple)
            .wrapping_add(first)
            .wrapping_sub(risen);
        for integer in integers.iter_mut() {
            value = value.wrapping_add(*integer);
            *integer = value;
        }
    }
    // Blocks were unpacked whole.
    integers.truncate(range.end - unpacked);
    integers.drain(..range.start - unpacked);
    Ok(())
}

/// The least of a block, and the bits that the others need above it.
fn frame(block: &[i64]) -> (i64, u32) {
    let (mut low, mut high) = (i64::MAX, i64::MIN);
    for value in block {
        low = low.min(*value);
        high = high.max(*value);
    }
    (low, width_of(high.wrapping_sub(low).cast_unsigned()))
}

fn cost(block: &[i64]) -> usize {
    let (_, width) = frame(block);
    packed_len(block.len(), width)
}
