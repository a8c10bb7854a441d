//! Re-encodes what the walk found irregular, so that views can read it.
//!
//! Protobuf says what a decoder makes of it: of a field that occurs once at most the last
//! counts, the pieces of a message are merged, a member of a oneof displaces the one before,
//! packed numbers in several records are joined, and groups are unknown. To merge messages is
//! to read their fields one after the other, so all of this is done on the encoded bytes.
//! Decoding into structs and encoding them again was rejected: a message that is made to be
//! costly takes a hundred times its size there.
//!
//! Only resources that are irregular themselves are re-encoded; the others are copied as they
//! stand. Unknown fields stay, but for groups.

use std::sync::OnceLock;

use bytes::Bytes;

use super::encode::MessageEncoder;
use super::protocol::{FieldSlot, Message, ONEOF, ReadAs};
use super::wire::{GROUP, LEN, skip_scalar, take, varint};
use super::{Signal, walk};

/// What the re-encoding of any request takes at most, in multiples of its size: twice for the
/// result, and five times for slices of the pieces of messages while they are merged.
const MOST: u64 = 7;

/// The slices for one repetition, in bytes: the message that is repeated and the one before it,
/// and for each of the two the message in it that must be merged as well. No message of OTLP
/// that may occur once is nested any deeper in others that may.
const OF_REPEAT: u64 = 4 * size_of::<&[u8]>() as u64;

/// A part that can't be read in one pass, and its regular encoding once somebody has read it.
#[derive(Debug)]
pub(super) struct Irregular {
    /// How often a message occurs again that may occur once.
    repeats: u64,
    regular: OnceLock<Bytes>,
}

impl Irregular {
    /// Of a request in which so many messages are repeated.
    pub(super) fn new(repeats: u64) -> Self {
        Self {
            repeats,
            regular: OnceLock::new(),
        }
    }

    /// The regular encoding of `request`, which is made by the first call.
    pub(super) fn regular(&self, signal: Signal, request: &[u8]) -> &Bytes {
        self.regular.get_or_init(|| encode(signal, request))
    }

    /// What the regular encoding of a request of so many bytes takes, or will take at most while
    /// it is made. Most irregular requests have a few numbers or messages at the wrong place and
    /// take little; a hostile one consists of pieces.
    pub(super) fn weight(&self, request: u64) -> u64 {
        match self.regular.get() {
            Some(regular) => regular.len() as u64,
            None => (2 * request + OF_REPEAT * self.repeats).min(MOST * request),
        }
    }
}

/// Field numbers that a table may have, with those that it hasn't.
const NUMBERS: usize = 32;

/// A regular encoding of `request`, which the walk has accepted.
fn encode(signal: Signal, request: &[u8]) -> Bytes {
    let mut out = MessageEncoder::with_capacity(request.len());
    for field in RegularFields(request) {
        match signal.request().index.slot(field.number).read {
            ReadAs::Message(resource) if !is_regular(signal, field.raw) => {
                nested(&mut out, field.number, resource, &[field.content]);
            }
            _ => out.raw(field.raw),
        }
    }
    out.finish().into()
}

/// Whether a field, taken as a request, is regular.
fn is_regular(signal: Signal, field: &[u8]) -> bool {
    walk::request(signal, field).is_ok_and(|walked| walked.regular)
}

/// Writes the message that comes in these pieces, each field where it occurs last.
fn message(out: &mut MessageEncoder, message: &'static Message, pieces: &[&[u8]]) {
    let singular = Singular::of(message, pieces);
    for (at, field) in fields(pieces).enumerate() {
        let slot = message.index.slot(field.number);
        if slot.once != 0 && !singular.ends_at(slot, field.number, at) {
            continue;
        }
        match slot.read {
            ReadAs::Message(inner) if slot.once == 0 => {
                nested(out, field.number, inner, &[field.content]);
            }
            ReadAs::Message(inner) => {
                let occurrences = singular.occurrences(slot, field.number, pieces);
                let filled = occurrences.filter(|piece| !piece.is_empty());
                // Counted first: a vector that grows would take up to three times as much.
                let mut merged = Vec::with_capacity(filled.clone().count());
                merged.extend(filled);
                nested(out, field.number, inner, &merged);
            }
            ReadAs::PackedFixed64 | ReadAs::PackedVarint => {
                let numbers = singular.occurrences(slot, field.number, pieces);
                out.packed(field.number, numbers);
            }
            _ => out.raw(field.raw),
        }
    }
}

fn nested(out: &mut MessageEncoder, number: u32, inner: &'static Message, pieces: &[&[u8]]) {
    out.message(number, |out| message(out, inner, pieces));
}

/// Which occurrences of the fields that occur once in a message count.
struct Singular {
    /// By field number: where it occurs last, as the count of fields before it.
    last: [usize; NUMBERS],
    /// The member of the oneof that counts, and from where on.
    member: u32,
    since: usize,
}

impl Singular {
    fn of(message: &Message, pieces: &[&[u8]]) -> Self {
        let mut singular = Self {
            last: [0; NUMBERS],
            member: 0,
            since: 0,
        };
        for (at, field) in fields(pieces).enumerate() {
            let once = message.index.slot(field.number).once;
            if once & ONEOF != 0 && singular.member != field.number {
                (singular.member, singular.since) = (field.number, at);
            }
            if once != 0
                && let Some(last) = singular.last.get_mut(field.number as usize)
            {
                *last = at;
            }
        }
        singular
    }

    /// Whether the field at this place stands for all that counts of it.
    fn ends_at(&self, slot: &FieldSlot, number: u32, at: usize) -> bool {
        let displaced = slot.once & ONEOF != 0 && number != self.member;
        !displaced && self.last.get(number as usize) == Some(&at)
    }

    /// The contents of a field, wherever it occurs and counts.
    fn occurrences<'p, 'a: 'p>(
        &self,
        slot: &FieldSlot,
        number: u32,
        pieces: &'p [&'a [u8]],
    ) -> impl Iterator<Item = &'a [u8]> + Clone + use<'p, 'a> {
        let since = if slot.once & ONEOF != 0 {
            self.since
        } else {
            0
        };
        fields(pieces)
            .skip(since)
            .filter(move |field| field.number == number)
            .map(|field| field.content)
    }
}

/// One field of a message.
#[derive(Clone, Copy)]
struct AnyField<'a> {
    number: u32,
    /// The value without its length.
    content: &'a [u8],
    /// Key, length and value as they stand.
    raw: &'a [u8],
}

/// The fields of a message, one piece after the other.
fn fields<'p, 'a: 'p>(pieces: &'p [&'a [u8]]) -> impl Iterator<Item = AnyField<'a>> + Clone + 'p {
    pieces.iter().flat_map(|piece| RegularFields(piece))
}

/// The fields of a message that the walk has accepted, without its groups.
#[derive(Clone, Copy)]
struct RegularFields<'a>(&'a [u8]);

impl<'a> Iterator for RegularFields<'a> {
    type Item = AnyField<'a>;

    fn next(&mut self) -> Option<AnyField<'a>> {
        loop {
            let start = self.0;
            let mut buf = start;
            let key = varint(&mut buf)?;
            let (number, wire) = ((key >> 3) as u32, key as u32 & 7);
            let content = match wire {
                GROUP => {
                    skip_group(number, &mut buf)?;
                    self.0 = buf;
                    continue;
                }
                LEN => {
                    let length = varint(&mut buf)?;
                    take(&mut buf, length)?
                }
                _ => {
                    let value = buf;
                    skip_scalar(wire, &mut buf)?;
                    value.get(..value.len() - buf.len())?
                }
            };
            self.0 = buf;
            return Some(AnyField {
                number,
                content,
                raw: start.get(..start.len() - buf.len())?,
            });
        }
    }
}

/// Skips a group behind its key. The only reader of groups here is prost's, which takes them
/// for unknown.
fn skip_group(number: u32, buf: &mut &[u8]) -> Option<()> {
    let wire = prost::encoding::WireType::StartGroup;
    let context = prost::encoding::DecodeContext::default();
    prost::encoding::skip_field(wire, number, buf, context).ok()
}
