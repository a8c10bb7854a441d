//! Writes the protobuf wire format: fields, and messages whose length is known only when
//! they end.

use crate::steps;

use super::wire::{FIXED32, FIXED64, LEN, VARINT, encode_varint, put_varint, varint_length};

/// A message of at most so many bytes is moved when it ends, to make room for its length. For a
/// larger one the length waits until all is written, and all of them are put in with one move.
const MOVED: usize = 1024;

/// An encoded message in the making. Nested messages are begun and ended; what is open
/// when the message is finished ends with it.
#[derive(Debug, Default)]
pub(super) struct MessageEncoder {
    out: Vec<u8>,
    /// The open messages, outermost first.
    open: Vec<OpenMessage>,
    /// Lengths that wait, each with the place of the one byte that is kept for it.
    late: Vec<(usize, u64)>,
    /// The bytes that these lengths take beside that one.
    missing: usize,
}

#[derive(Debug, Clone, Copy)]
struct OpenMessage {
    /// Where its content begins.
    content: usize,
    /// What was missing before it.
    missing: usize,
}

impl MessageEncoder {
    /// One with room for so many bytes.
    pub(super) fn with_capacity(bytes: usize) -> Self {
        Self {
            out: Vec::with_capacity(bytes),
            ..Self::default()
        }
    }

    /// How many messages are open.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Bytes written so far, without those of lengths that wait.
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Takes back what was written after so many bytes. No message may be open that began
    /// after them.
    pub(super) fn truncate(&mut self, bytes: usize) {
        self.out.truncate(bytes);
        while let Some((at, length)) = self.late.last()
            && *at >= bytes
        {
            self.missing -= varint_length(*length) - 1;
            self.late.pop();
        }
    }

    /// Begins a nested message.
    pub(super) fn begin(&mut self, field: u32) {
        self.key(field, LEN);
        // One byte is enough for most lengths; `end` makes room for the others.
        self.out.push(0);
        self.open.push(OpenMessage {
            content: self.out.len(),
            missing: self.missing,
        });
    }

    /// Ends the innermost open message.
    pub(super) fn end(&mut self) {
        let Some(OpenMessage { content, missing }) = self.open.pop() else {
            return;
        };
        let written = self.out.len() - content;
        let length = (written + self.missing - missing) as u64;
        if written > MOVED {
            self.missing += varint_length(length) - 1;
            self.late.push((content - 1, length));
            return;
        }
        let mut varint = [0; 10];
        let used = encode_varint(length, &mut varint);
        if used > 1 {
            steps::count(written);
            let end = self.out.len();
            self.out.resize(end + used - 1, 0);
            self.out.copy_within(content..end, content + used - 1);
        }
        if let Some(place) = self.out.get_mut(content - 1..content - 1 + used) {
            place.copy_from_slice(&varint[..used]);
        }
    }

    /// A nested message with this content.
    pub(super) fn message(&mut self, field: u32, content: impl FnOnce(&mut Self)) {
        self.begin(field);
        content(self);
        self.end();
    }

    /// A nested message whose content has so many bytes.
    #[inline]
    pub(super) fn message_of(
        &mut self,
        field: u32,
        length: usize,
        content: impl FnOnce(&mut Self),
    ) {
        self.key(field, LEN);
        self.raw_varint(length as u64);
        let begin = self.out.len();
        content(self);
        debug_assert_eq!(self.out.len() - begin, length, "the length was known");
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
        self.put_lengths();
        self.out
    }

    /// Puts in the lengths that wait, from the last to the first, so that every byte moves once.
    fn put_lengths(&mut self) {
        // They are in the order in which their messages ended.
        self.late.sort_unstable_by_key(|(at, _)| *at);
        let mut end = self.out.len();
        if let Some((first, _)) = self.late.first() {
            steps::count(end - first);
        }
        self.out.resize(end + self.missing, 0);
        for (at, length) in self.late.drain(..).rev() {
            let mut varint = [0; 10];
            let used = encode_varint(length, &mut varint);
            self.out.copy_within(at + 1..end, at + 1 + self.missing);
            self.missing -= used - 1;
            let place = at + self.missing;
            if let Some(place) = self.out.get_mut(place..place + used) {
                place.copy_from_slice(&varint[..used]);
            }
            end = at;
        }
    }

    #[inline]
    fn key(&mut self, field: u32, wire_type: u32) {
        self.raw_varint(u64::from(field << 3 | wire_type));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pdata::samples::Random;

    /// A message in the plainest way: its content first, then its length before it.
    fn plain(field: u32, content: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        put_varint(&mut out, u64::from(field << 3 | LEN));
        put_varint(&mut out, content.len() as u64);
        out.extend_from_slice(content);
        out
    }

    /// Writes the same fields to the encoder, and in the plainest way.
    fn write(random: &mut Random, depth: usize, out: &mut MessageEncoder) -> Vec<u8> {
        let mut expected = Vec::new();
        for _ in 0..random.below(5) {
            if depth > 0 && !random.one_in(3) {
                out.begin(2);
                let content = write(random, depth - 1, out);
                out.end();
                expected.extend(plain(2, &content));
            } else {
                // Lengths of one, two and three bytes, and on both sides of what is moved.
                let sizes = [
                    0,
                    1,
                    126,
                    127,
                    128,
                    MOVED - 4,
                    MOVED,
                    MOVED + 1,
                    16_383,
                    20_000,
                ];
                let text = vec![b'x'; random.pick(&sizes)];
                out.bytes(1, &text);
                expected.extend(plain(1, &text));
            }
        }
        expected
    }

    #[test]
    fn messages_of_every_size_and_depth_have_their_lengths() {
        for seed in 0..500 {
            let random = &mut Random::new(seed);
            let mut out = MessageEncoder::default();
            let expected = write(random, 6, &mut out);
            assert!(out.finish() == expected, "{seed}");
        }
    }

    #[test]
    fn what_is_taken_back_leaves_no_lengths_behind() {
        for seed in 0..200 {
            let random = &mut Random::new(seed);
            let mut out = MessageEncoder::default();
            let mut expected = write(random, 3, &mut out);
            let begin = out.len();
            write(random, 4, &mut out);
            out.truncate(begin);
            expected.extend(write(random, 3, &mut out));
            assert!(out.finish() == expected, "{seed}");
        }
    }
}
