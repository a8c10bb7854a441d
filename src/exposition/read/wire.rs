//! Protobuf's wire format, as generated Go code reads it.

use super::PageFault;
use crate::steps;

/// The fields of a message, in order.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageFields<'p> {
    rest: &'p [u8],
}

/// One field, as its wire type says.
#[derive(Debug, Clone, Copy)]
pub(super) enum PageField<'p> {
    Varint(u64),
    Fixed(u64),
    Bytes(&'p [u8]),
    /// Of a wire type that no field of ours has.
    Other,
}

impl<'p> PageFields<'p> {
    pub(super) fn new(message: &'p [u8]) -> Self {
        Self { rest: message }
    }

    /// What hasn't been read.
    pub(super) fn rest(&self) -> &'p [u8] {
        self.rest
    }

    /// The next field with its number.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<(i32, PageField<'p>)>, PageFault> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        steps::count(1);
        let key = self.varint()?;
        // As in Go, of a key that is too large the lowest bits count.
        let number = ((key >> 3) as u32).cast_signed();
        if number <= 0 {
            return Err("a field has no number".into());
        }
        let field = match key & 7 {
            0 => PageField::Varint(self.varint()?),
            1 => PageField::Fixed(u64::from_le_bytes(self.take()?)),
            2 => PageField::Bytes(self.bytes()?),
            3 => {
                self.skip_group()?;
                PageField::Other
            }
            5 => {
                self.take::<4>()?;
                PageField::Other
            }
            _ => return Err("a field of no known kind".into()),
        };
        Ok(Some((number, field)))
    }

    /// A number of one to ten bytes; bits beyond the 64th are lost.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, PageFault> {
        let mut number = 0;
        for (index, byte) in self.rest.iter().take(10).enumerate() {
            number |= u64::from(byte & 0x7f) << (7 * index);
            if *byte < 0x80 {
                self.rest = self.rest.get(index + 1..).unwrap_or_default();
                return Ok(number);
            }
        }
        Err("a number is cut off or too long".into())
    }

    /// Bytes after their length.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'p [u8], PageFault> {
        let length = self.varint()?;
        self.piece(length)
    }

    /// So many bytes.
    #[inline]
    pub(super) fn piece(&mut self, length: u64) -> Result<&'p [u8], PageFault> {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let (bytes, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or("a field is longer than what it is in")?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], PageFault> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or("a field is cut off")?;
        self.rest = rest;
        Ok(*bytes)
    }

    /// Skips to the end of a group, whose beginning was read; groups may be nested.
    fn skip_group(&mut self) -> Result<(), PageFault> {
        let mut depth = 1;
        while depth > 0 {
            steps::count(1);
            match self.varint()? & 7 {
                0 => drop(self.varint()?),
                1 => drop(self.take::<8>()?),
                2 => drop(self.bytes()?),
                3 => depth += 1,
                4 => depth -= 1,
                5 => drop(self.take::<4>()?),
                _ => return Err("a field of no known kind".into()),
            }
        }
        Ok(())
    }
}
