//! Integers as bytes: varints, and blocks of integers of one bit width.
//!
//! Everything that reads is given bytes that may be damaged. It answers [`Corrupt`] where they
//! end too early or say what can't be, and takes no more memory than its caller offers.

use super::error::Corrupt;

/// Values in one packed block.
pub(super) const BLOCK: usize = 64;

/// Bytes of a block of the largest width, and room for a load that reaches beyond it.
const BUFFER: usize = BLOCK * 8 + 16;

/// Reads what the functions of this module wrote.
#[derive(Debug, Clone)]
pub(super) struct ByteReader<'a> {
    rest: &'a [u8],
}

impl<'a> ByteReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Corrupt> {
        let (&byte, rest) = self.rest.split_first().ok_or(Corrupt::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Corrupt> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Corrupt::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Eight bytes, little endian.
    pub(super) fn word(&mut self) -> Result<u64, Corrupt> {
        let (word, rest) = self.rest.split_first_chunk().ok_or(Corrupt::Short)?;
        self.rest = rest;
        Ok(u64::from_le_bytes(*word))
    }

    pub(super) fn varint(&mut self) -> Result<u64, Corrupt> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Corrupt::Varint)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Corrupt> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    /// A count that must not be above `most`.
    pub(super) fn count(&mut self, most: usize) -> Result<usize, Corrupt> {
        let count = self.varint()?;
        match usize::try_from(count) {
            Ok(count) if count <= most => Ok(count),
            _ => Err(Corrupt::Count),
        }
    }

    /// Passes over `len` integers of `width` bits.
    pub(super) fn skip(&mut self, width: u32, len: usize) -> Result<(), Corrupt> {
        if width > 64 {
            return Err(Corrupt::Width);
        }
        self.take(packed_len(len, width)).map(|_| ())
    }

    /// Fills `block`, at most [`BLOCK`] long, with integers of `width` bits.
    pub(super) fn unpack(&mut self, width: u32, block: &mut [u64]) -> Result<(), Corrupt> {
        if width == 0 {
            block.fill(0);
            return Ok(());
        }
        if width > 64 {
            return Err(Corrupt::Width);
        }
        let bytes = self.take(packed_len(block.len(), width))?;
        // The last loads reach beyond the block, so it is copied to where they may.
        let mut buffer = [0; BUFFER];
        buffer[..bytes.len()].copy_from_slice(bytes);
        let width = width as usize;
        if width <= 56 {
            let mask = (1 << width) - 1;
            for (value, bit) in block.iter_mut().zip((0..).step_by(width)) {
                let at = bit / 8;
                let mut word = [0; 8];
                word.copy_from_slice(&buffer[at..at + 8]);
                *value = (u64::from_le_bytes(word) >> (bit % 8)) & mask;
            }
        } else {
            let mask = u64::MAX >> (64 - width);
            for (value, bit) in block.iter_mut().zip((0..).step_by(width)) {
                let at = bit / 8;
                let mut word = [0; 16];
                word.copy_from_slice(&buffer[at..at + 16]);
                *value = (u128::from_le_bytes(word) >> (bit % 8)) as u64 & mask;
            }
        }
        Ok(())
    }
}

pub(super) fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_signed(value: i64, out: &mut Vec<u8>) {
    put_varint(zigzag(value), out);
}

/// Bytes that [`put_signed`] writes.
pub(super) fn signed_len(value: i64) -> usize {
    width_of(zigzag(value)).div_ceil(7).max(1) as usize
}

/// A small integer for a number close to zero.
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// Bits that the integer needs.
pub(super) fn width_of(value: u64) -> u32 {
    64 - value.leading_zeros()
}

/// Bytes of `count` integers of `width` bits.
pub(super) fn packed_len(count: usize, width: u32) -> usize {
    (count * width as usize).div_ceil(8)
}

/// Writes integers that need at most `width` bits each.
pub(super) fn pack(block: impl Iterator<Item = u64>, width: u32, out: &mut Vec<u8>) {
    if width == 0 {
        return;
    }
    let mut waiting: u128 = 0;
    let mut bits = 0;
    for value in block {
        waiting |= u128::from(value) << bits;
        bits += width;
        if bits >= 64 {
            out.extend_from_slice(&(waiting as u64).to_le_bytes());
            waiting >>= 64;
            bits -= 64;
        }
    }
    let rest = (waiting as u64).to_le_bytes();
    out.extend_from_slice(&rest[..(bits as usize).div_ceil(8)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_block_comes_back_at_every_width(
            values in prop::collection::vec(any::<u64>(), 0..=BLOCK),
            width in 0_u32..=64,
        ) {
            let mask = u64::MAX.checked_shr(64 - width).unwrap_or(0);
            let values: Vec<u64> = values.iter().map(|value| value & mask).collect();
            let mut bytes = Vec::new();
            pack(values.iter().copied(), width, &mut bytes);
            prop_assert_eq!(bytes.len(), packed_len(values.len(), width));
            let mut back = vec![1; values.len()];
            let mut reader = ByteReader::new(&bytes);
            reader.unpack(width, &mut back).unwrap();
            prop_assert_eq!(back, values);
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn integers_come_back(unsigned in any::<u64>(), signed in any::<i64>()) {
            let mut bytes = Vec::new();
            put_varint(unsigned, &mut bytes);
            put_signed(signed, &mut bytes);
            let mut reader = ByteReader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(unsigned));
            let before = bytes.len() - signed_len(signed);
            prop_assert_eq!(ByteReader::new(&bytes[before..]).signed(), Ok(signed));
            prop_assert_eq!(reader.signed(), Ok(signed));
            prop_assert!(reader.is_at_end());
        }
    }

    #[test]
    fn a_varint_without_an_end_is_an_error() {
        assert_eq!(ByteReader::new(&[0xff; 20]).varint(), Err(Corrupt::Varint));
        assert_eq!(ByteReader::new(&[0xff; 3]).varint(), Err(Corrupt::Short));
    }

    #[test]
    fn a_width_that_cannot_be_is_an_error() {
        let mut block = [0; 2];
        let mut reader = ByteReader::new(&[0; 64]);
        assert_eq!(reader.unpack(65, &mut block), Err(Corrupt::Width));
    }
}
