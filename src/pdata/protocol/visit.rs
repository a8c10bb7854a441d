//! Reads an encoded message by the table.
//!
//! Protobuf lets a field's occurrences stand anywhere in a message, and lets the last of
//! several win or all of them merge. So the fields of a message are found first, sorted
//! by the table, and then reported. Everything that is found lies on one stack, so that a
//! message costs no allocation of its own.

use std::ops::Range;

use super::{Field, Kind, Message, Presence};

/// What [`visit`] reports to. Fields come in the order of the table, each at most once;
/// a repeated field's values all come between its beginning and its end.
pub trait Visitor {
    /// A message begins: the root, or a value of the field that is open.
    fn begin_message(&mut self, message: &'static Message);
    /// The message that is open ends.
    fn end_message(&mut self, message: &'static Message);
    /// A field of the open message begins.
    fn begin_field(&mut self, field: &'static Field);
    /// The field ends.
    fn end_field(&mut self, field: &'static Field);
    /// A value of the open field, where that is no message.
    fn scalar(&mut self, field: &'static Field, value: Scalar<'_>);
}

/// One value that is no message.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// `bool`.
    Bool(bool),
    /// Any signed number, and enumerations.
    Signed(i64),
    /// Any unsigned number.
    Unsigned(u64),
    /// `double`.
    Double(f64),
    /// `string` and `bytes`; that a string is UTF-8 was checked on entry to the agent.
    Bytes(&'a [u8]),
}

/// The bytes are not the message that they were taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// They end within a field.
    #[error("the message is cut off")]
    CutOff,
    /// A field's wire type is not that of the protocol, or none at all.
    #[error("a field has a wrong wire type")]
    WireType,
    /// A number takes more than ten bytes, or a field number is zero or too large.
    #[error("a number is out of range")]
    Number,
    /// Messages or groups lie deeper in one another than any encoder allows.
    #[error("messages are nested too deeply")]
    TooDeep,
}

/// As deep as prost and the reference implementations go.
const MAX_DEPTH: usize = 100;

/// Reads `bytes` as `message` and reports every field that the table knows; others are
/// skipped. A visitor may have been told of a part when an error is found.
///
/// # Errors
///
/// When the bytes are no such message.
pub fn visit(
    message: &'static Message,
    bytes: &[u8],
    visitor: &mut impl Visitor,
) -> Result<(), Malformed> {
    let mut walk = Walk {
        found: vec![Found {
            field: 0,
            wire: Wire::Bytes(bytes),
        }],
        visitor,
    };
    walk.message(message, 0..1, MAX_DEPTH)
}

struct Walk<'a, 'v, V> {
    /// What was found in the messages that are open, outermost first.
    found: Vec<Found<'a>>,
    visitor: &'v mut V,
}

#[derive(Clone, Copy)]
struct Found<'a> {
    /// Position in the message's table.
    field: usize,
    wire: Wire<'a>,
}

#[derive(Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
}

impl<'a, V: Visitor> Walk<'a, '_, V> {
    /// Reports one message. It may stand in several pieces: protobuf merges what occurs
    /// repeatedly, and merging is reading one piece after the other.
    fn message(
        &mut self,
        message: &'static Message,
        pieces: Range<usize>,
        depth: usize,
    ) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        let base = self.found.len();
        for piece in pieces {
            let Wire::Bytes(bytes) = self.found[piece].wire else {
                return Err(Malformed::WireType);
            };
            self.find(message, base, bytes)?;
        }
        // Stable, so that the last occurrence stays the last.
        if !self.found[base..].is_sorted_by_key(|found| found.field) {
            self.found[base..].sort_by_key(|found| found.field);
        }
        self.visitor.begin_message(message);
        let end = self.found.len();
        let mut next = base;
        while next < end {
            let first = next;
            let index = self.found[first].field;
            while next < end && self.found[next].field == index {
                next += 1;
            }
            self.field(&message.fields[index], first..next, depth)?;
        }
        self.visitor.end_message(message);
        self.found.truncate(base);
        Ok(())
    }

    /// Reports a field from all its occurrences.
    fn field(
        &mut self,
        field: &'static Field,
        occurrences: Range<usize>,
        depth: usize,
    ) -> Result<(), Malformed> {
        self.visitor.begin_field(field);
        match (field.kind, field.presence) {
            (Kind::Message(message), Presence::Repeated) => {
                for one in occurrences {
                    self.message(message, one..one + 1, depth)?;
                }
            }
            (Kind::Message(message), _) => self.message(message, occurrences, depth)?,
            (_, Presence::Repeated) => {
                for one in occurrences {
                    self.scalars(field, self.found[one].wire)?;
                }
            }
            _ => {
                let value = scalar(field.kind, self.found[occurrences.end - 1].wire)?;
                self.visitor.scalar(field, value);
            }
        }
        self.visitor.end_field(field);
        Ok(())
    }

    /// Reports one occurrence of a repeated scalar: one value, or many when it is packed.
    fn scalars(&mut self, field: &'static Field, wire: Wire<'a>) -> Result<(), Malformed> {
        let packed = match (field.kind, wire) {
            (Kind::String | Kind::Bytes | Kind::Id(_), _) => None,
            (_, Wire::Bytes(bytes)) => Some(bytes),
            _ => None,
        };
        let Some(bytes) = packed else {
            self.visitor.scalar(field, scalar(field.kind, wire)?);
            return Ok(());
        };
        let mut reader = Reader { rest: bytes };
        while !reader.rest.is_empty() {
            let wire = match field.kind {
                Kind::Fixed64 | Kind::Sfixed64 | Kind::Nanos | Kind::Double => reader.fixed64()?,
                Kind::Fixed32 => reader.fixed32()?,
                _ => Wire::Varint(reader.varint()?),
            };
            self.visitor.scalar(field, scalar(field.kind, wire)?);
        }
        Ok(())
    }

    /// Puts the fields of one piece of a message on the stack.
    fn find(
        &mut self,
        message: &'static Message,
        base: usize,
        bytes: &'a [u8],
    ) -> Result<(), Malformed> {
        let mut reader = Reader { rest: bytes };
        // The next field is mostly the same as the last or the one after it.
        let mut near = 0;
        while let Some((number, wire)) = reader.next(MAX_DEPTH)? {
            let index = (near..message.fields.len())
                .chain(0..near)
                .find(|&i| message.fields[i].number == number);
            let Some(field) = index else { continue };
            near = field;
            if message.fields[field].presence == Presence::OneOf {
                self.displace(message, base, field);
            }
            self.found.push(Found { field, wire });
        }
        Ok(())
    }

    /// Of a oneof the member that comes last counts.
    fn displace(&mut self, message: &'static Message, base: usize, field: usize) {
        let other = self.found[base..].iter().position(|found| {
            found.field != field && message.fields[found.field].presence == Presence::OneOf
        });
        if other.is_some() {
            let kept: Vec<_> = self
                .found
                .drain(base..)
                .filter(|found| {
                    found.field == field || message.fields[found.field].presence != Presence::OneOf
                })
                .collect();
            self.found.extend(kept);
        }
    }
}

fn scalar(kind: Kind, wire: Wire<'_>) -> Result<Scalar<'_>, Malformed> {
    Ok(match (kind, wire) {
        (Kind::Bool, Wire::Varint(n)) => Scalar::Bool(n != 0),
        // Protobuf reads the low half of what is too wide.
        (Kind::Int32 | Kind::Enum(_), Wire::Varint(n)) => Scalar::Signed(i64::from(n as i32)),
        (Kind::Uint32, Wire::Varint(n)) => Scalar::Unsigned(u64::from(n as u32)),
        (Kind::Sint32, Wire::Varint(n)) => {
            let n = n as u32;
            Scalar::Signed(i64::from((n >> 1).cast_signed() ^ -((n & 1).cast_signed())))
        }
        (Kind::Int64, Wire::Varint(n)) => Scalar::Signed(n.cast_signed()),
        (Kind::Uint64, Wire::Varint(n)) => Scalar::Unsigned(n),
        (Kind::Fixed32, Wire::Fixed32(b)) => Scalar::Unsigned(u64::from(u32::from_le_bytes(b))),
        (Kind::Fixed64 | Kind::Nanos, Wire::Fixed64(b)) => Scalar::Unsigned(u64::from_le_bytes(b)),
        (Kind::Sfixed64, Wire::Fixed64(b)) => Scalar::Signed(i64::from_le_bytes(b)),
        (Kind::Double, Wire::Fixed64(b)) => Scalar::Double(f64::from_le_bytes(b)),
        (Kind::String | Kind::Bytes | Kind::Id(_), Wire::Bytes(bytes)) => Scalar::Bytes(bytes),
        _ => return Err(Malformed::WireType),
    })
}

/// Takes fields off the front of an encoded message.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next field, or none at the end. Groups, which OTLP doesn't use, are skipped.
    fn next(&mut self, depth: usize) -> Result<Option<(u32, Wire<'a>)>, Malformed> {
        while !self.rest.is_empty() {
            let key = self.varint()?;
            let number = u32::try_from(key >> 3).map_err(|_| Malformed::Number)?;
            if number == 0 || number >= 1 << 29 {
                return Err(Malformed::Number);
            }
            let wire = match key & 7 {
                0 => Wire::Varint(self.varint()?),
                1 => self.fixed64()?,
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| Malformed::CutOff)?;
                    let (bytes, rest) = self
                        .rest
                        .split_at_checked(length)
                        .ok_or(Malformed::CutOff)?;
                    self.rest = rest;
                    Wire::Bytes(bytes)
                }
                3 => {
                    self.skip_group(number, depth)?;
                    continue;
                }
                5 => self.fixed32()?,
                _ => return Err(Malformed::WireType),
            };
            return Ok(Some((number, wire)));
        }
        Ok(None)
    }

    fn skip_group(&mut self, group: u32, depth: usize) -> Result<(), Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed::TooDeep)?;
        loop {
            if self.rest.is_empty() {
                return Err(Malformed::CutOff);
            }
            let before = self.rest;
            let key = self.varint()?;
            if key & 7 == 4 {
                return if key >> 3 == u64::from(group) {
                    Ok(())
                } else {
                    Err(Malformed::WireType)
                };
            }
            if key & 7 == 3 {
                let number = u32::try_from(key >> 3).map_err(|_| Malformed::Number)?;
                self.skip_group(number, depth)?;
            } else {
                self.rest = before;
                self.next(depth)?;
            }
        }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for (used, &byte) in self.rest.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * used);
            if byte < 0x80 {
                if used == 9 && byte > 1 {
                    return Err(Malformed::Number);
                }
                self.rest = &self.rest[used + 1..];
                return Ok(value);
            }
        }
        Err(if self.rest.len() < 10 {
            Malformed::CutOff
        } else {
            Malformed::Number
        })
    }

    fn fixed64(&mut self) -> Result<Wire<'a>, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::CutOff)?;
        self.rest = rest;
        Ok(Wire::Fixed64(*bytes))
    }

    fn fixed32(&mut self) -> Result<Wire<'a>, Malformed> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(Malformed::CutOff)?;
        self.rest = rest;
        Ok(Wire::Fixed32(*bytes))
    }
}
