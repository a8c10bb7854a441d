//! The protobuf wire format, as far as OTLP needs it: varints, keys, lengths.
//!
//! Readers take `&mut &[u8]` and advance it past what they read. They accept and refuse
//! exactly what prost does: ten bytes a varint at most and no bit beyond the 64th, keys
//! that fit 32 bits, no field number 0.

use crate::steps;

/// Wire types by their number on the wire; 3 and 4 delimit groups.
pub(super) const VARINT: u32 = 0;
pub(super) const FIXED64: u32 = 1;
pub(super) const LEN: u32 = 2;
pub(super) const GROUP: u32 = 3;
pub(super) const GROUP_END: u32 = 4;
pub(super) const FIXED32: u32 = 5;

/// Reads a base-128 varint; none where it doesn't end in time or overflows 64 bits.
#[inline(always)]
pub(super) fn varint(buf: &mut &[u8]) -> Option<u64> {
    steps::count(1);
    match *buf {
        [byte, rest @ ..] if *byte < 0x80 => {
            *buf = rest;
            Some(u64::from(*byte))
        }
        [low, high, rest @ ..] if *high < 0x80 => {
            *buf = rest;
            Some(u64::from(low & 0x7f) | u64::from(*high) << 7)
        }
        _ => long_varint(buf),
    }
}

fn long_varint(buf: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (index, byte) in buf.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if *byte < 0x80 {
            if index == 9 && *byte > 1 {
                return None;
            }
            *buf = buf.get(index + 1..)?;
            return Some(value);
        }
    }
    None
}

/// Splits `length` bytes off the front.
#[inline(always)]
pub(super) fn take<'a>(buf: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (taken, rest) = buf.split_at_checked(usize::try_from(length).ok()?)?;
    *buf = rest;
    Some(taken)
}

/// Reads eight bytes, little-endian.
#[inline(always)]
pub(super) fn fixed64(buf: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = buf.split_first_chunk()?;
    *buf = rest;
    Some(u64::from_le_bytes(*bytes))
}

/// Reads four bytes, little-endian.
#[inline(always)]
pub(super) fn fixed32(buf: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = buf.split_first_chunk()?;
    *buf = rest;
    Some(u32::from_le_bytes(*bytes))
}

/// Skips a number by its wire type.
pub(super) fn skip_scalar(wire: u32, buf: &mut &[u8]) -> Option<()> {
    match wire {
        VARINT => varint(buf).map(|_| ()),
        FIXED64 => fixed64(buf).map(|_| ()),
        FIXED32 => fixed32(buf).map(|_| ()),
        _ => None,
    }
}

/// The value of one field.
#[derive(Debug, Clone, Copy)]
pub(super) enum WireValue<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireField<'a> {
    pub(super) number: u32,
    pub(super) value: WireValue<'a>,
    /// Key, length and value as they stand.
    pub(super) raw: &'a [u8],
}

/// The fields of one message that the walk has found regular, in their order.
///
/// On anything else it ends early instead of failing.
#[derive(Debug, Clone, Copy)]
pub(super) struct WireFields<'a> {
    rest: &'a [u8],
}

impl<'a> WireFields<'a> {
    #[inline(always)]
    pub(super) fn new(message: &'a [u8]) -> Self {
        Self { rest: message }
    }
}

impl<'a> Iterator for WireFields<'a> {
    type Item = WireField<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<WireField<'a>> {
        let start = self.rest;
        let mut buf = start;
        if buf.is_empty() {
            return None;
        }
        let key = varint(&mut buf)?;
        let value = match key as u32 & 7 {
            VARINT => WireValue::Varint(varint(&mut buf)?),
            FIXED64 => WireValue::Fixed64(fixed64(&mut buf)?),
            LEN => {
                let length = varint(&mut buf)?;
                WireValue::Bytes(take(&mut buf, length)?)
            }
            FIXED32 => WireValue::Fixed32(fixed32(&mut buf)?),
            _ => return None,
        };
        self.rest = buf;
        Some(WireField {
            number: key as u32 >> 3,
            value,
            raw: start.get(..start.len() - buf.len()).unwrap_or_default(),
        })
    }
}

/// Writes a base-128 varint and returns its length.
pub(super) fn encode_varint(mut value: u64, buffer: &mut [u8; 10]) -> usize {
    let mut used = 0;
    while value >= 0x80 {
        buffer[used] = (value as u8) | 0x80;
        value >>= 7;
        used += 1;
    }
    buffer[used] = value as u8;
    used + 1
}

/// The bytes of a base-128 varint.
#[inline]
pub(super) const fn varint_length(value: u64) -> usize {
    let bits = u64::BITS - (value | 1).leading_zeros();
    bits.div_ceil(7) as usize
}

/// Appends a base-128 varint.
#[inline]
pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cfg(test)]
mod tests {
    use prost::encoding::{decode_varint, encode_varint};

    use super::*;

    #[test]
    fn varints_are_read_as_prost_reads_them() {
        let mut cases: Vec<Vec<u8>> = (0..64)
            .flat_map(|shift| [(1_u64 << shift) - 1, 1 << shift])
            .chain([u64::MAX])
            .map(|value| {
                let mut out = Vec::new();
                encode_varint(value, &mut out);
                out
            })
            .collect();
        cases.extend([
            vec![],
            vec![0x80],
            vec![0x80, 0x00],
            vec![0x80, 0x80, 0x80],
            [vec![0xff; 9], vec![0x02]].concat(),
            [vec![0x80; 9], vec![0x01]].concat(),
            [vec![0x80; 10], vec![0x01]].concat(),
            vec![0xff; 20],
        ]);
        for case in cases {
            let (mut ours, mut theirs) = (case.as_slice(), case.as_slice());
            let read = varint(&mut ours);
            assert_eq!(read, decode_varint(&mut theirs).ok(), "{case:x?}");
            if let Some(value) = read {
                assert_eq!(ours, theirs, "{case:x?}");
                let mut out = Vec::new();
                put_varint(&mut out, value);
                assert_eq!(out.len(), varint_length(value));
                let mut expected = Vec::new();
                encode_varint(value, &mut expected);
                assert_eq!(out, expected);
            }
        }
    }
}
