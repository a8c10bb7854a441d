//! Writes the protobuf wire format: fields, and messages whose length is known only when
//! they end.

use crate::steps;

use super::wire::{FIXED32, FIXED64, LEN, VARINT, encode_varint, put_varint};

/// An encoded message in the making. Nested messages are begun and ended; what is open
/// when the message is finished ends with it.
#[derive(Debug, Default)]
pub(super) struct MessageEncoder {
    out: Vec<u8>,
    /// Where the content of each open message begins, outermost first.
    open: Vec<usize>,
}

impl MessageEncoder {
    /// One with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            open: Vec::new(),
        }
    }

    /// How many messages are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Bytes written so far.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written after so many bytes. No message may be open that began
    /// after them.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.out.truncate(bytes);
    }

    /// Begins a nested message.
    pub(super) fn begin(&mut self, field: u32) {
        self.key(field, LEN);
        // One byte is enough for most lengths; `end` makes room for the others.
        self.out.push(0);
        self.open.push(self.out.len());
    }

    /// Ends the innermost open message.
    pub(super) fn end(&mut self) {
        let Some(start) = self.open.pop() else { return };
        let mut length = [0; 10];
        let used = encode_varint((self.out.len() - start) as u64, &mut length);
        if let Some(first) = self.out.get_mut(start - 1)
            && used == 1
        {
            *first = length[0];
        } else {
            steps::count(self.out.len() - start);
            self.out
                .splice(start - 1..start, length[..used].iter().copied());
        }
    }

    /// A nested message with this content.
    pub(super) fn message(&mut self, field: u32, content: impl FnOnce(&mut Self)) {
        self.begin(field);
        content(self);
        self.end();
    }

    /// A field of bytes or text.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, LEN);
        self.raw_varint(bytes.len() as u64);
        self.out.extend_from_slice(bytes);
    }

    /// Fields that are encoded already.
    pub(super) fn raw(&mut self, fields: &[u8]) {
        self.out.extend_from_slice(fields);
    }

    /// A field of packed numbers, each encoded already.
    pub(super) fn packed<'a>(
        &mut self,
        field: u32,
        numbers: impl Iterator<Item = &'a [u8]> + Clone,
    ) {
        self.key(field, LEN);
        let length: usize = numbers.clone().map(<[u8]>::len).sum();
        self.raw_varint(length as u64);
        numbers.for_each(|number| self.raw(number));
    }

    /// A varint field.
    pub(super) fn uint(&mut self, field: u32, value: u64) {
        self.key(field, VARINT);
        self.raw_varint(value);
    }

    /// A field of eight bytes.
    pub(super) fn fixed64(&mut self, field: u32, bits: u64) {
        self.key(field, FIXED64);
        self.raw_fixed64(bits);
    }

    /// A field of four bytes.
    pub(super) fn fixed32(&mut self, field: u32, bits: u32) {
        self.key(field, FIXED32);
        self.raw_fixed32(bits);
    }

    /// A varint without a key, as it stands in a packed field.
    pub(super) fn raw_varint(&mut self, value: u64) {
        put_varint(&mut self.out, value);
    }

    /// Eight bytes without a key.
    pub(super) fn raw_fixed64(&mut self, bits: u64) {
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    /// Four bytes without a key.
    pub(super) fn raw_fixed32(&mut self, bits: u32) {
        self.out.extend_from_slice(&bits.to_le_bytes());
    }

    /// Ends what is open and gives out the encoded message.
    pub(super) fn finish(mut self) -> Vec<u8> {
        while self.depth() > 0 {
            self.end();
        }
        self.out
    }

    fn key(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(u64::from(field << 3 | wire_type));
    }
}
