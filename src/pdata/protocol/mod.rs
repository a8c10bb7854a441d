//! The fields of OTLP as one table.
//!
//! Everything that must know the protocol field by field reads this table: the walk that
//! validates what comes in, protobuf to JSON (the file exporter), JSON to protobuf, and
//! printing for people. A field that the protocol gains is one line here. Generated code with serde
//! was rejected for this: it loses `"NaN"` without an error and refuses null lists, and
//! it needs the owned structs that the pipeline avoids.
//!
//! [`visit()`] reads a part of a batch by the table and reports what it finds in the order of
//! the table, whatever the order on the wire.

mod index;
mod tables;
mod visit;

pub use tables::{LOGS_REQUEST, METRICS_REQUEST, TRACES_REQUEST};
pub use visit::{Scalar, Visitor, visit};

pub(super) use index::{FieldSlot, MessageRole, ONEOF, ReadAs};

use index::Index;

use super::Signal;

/// One message type.
#[derive(Debug)]
pub struct Message {
    /// Its name in the protocol, such as `NumberDataPoint`.
    pub name: &'static str,
    /// Its fields, in the order in which they are shown.
    pub fields: &'static [Field],
    /// The same by number, for the walk.
    pub(super) index: Index,
}

/// One field of a message.
#[derive(Debug)]
pub struct Field {
    /// The field number on the wire.
    pub number: u32,
    /// The name in JSON, in lowerCamelCase.
    pub name: &'static str,
    /// What it holds.
    pub kind: FieldKind,
    /// How often, and what absence means.
    pub presence: Presence,
}

/// What a field holds.
#[derive(Debug, Clone, Copy)]
pub enum FieldKind {
    /// `bool`.
    Bool,
    /// `int32`.
    Int32,
    /// `uint32`.
    Uint32,
    /// `sint32`, in zigzag.
    Sint32,
    /// `fixed32`.
    Fixed32,
    /// `int64`; a string in JSON, as are the other kinds of 64 bits.
    Int64,
    /// `uint64`.
    Uint64,
    /// `fixed64`.
    Fixed64,
    /// `fixed64` that is a time: nanoseconds since the Unix epoch, 0 for unknown.
    Nanos,
    /// `sfixed64`.
    Sfixed64,
    /// `double`; a string in JSON where it is NaN or infinite.
    Double,
    /// `string`.
    String,
    /// `bytes`, base64 in JSON.
    Bytes,
    /// `bytes` that are an id, of so many bytes or empty; hexadecimal in JSON.
    Id(u8),
    /// An enumeration: a number in JSON. The names stand at their values.
    Enum(&'static [&'static str]),
    /// Another message.
    Message(&'static Message),
}

/// How often a field occurs, and what its absence means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// At most once; absent means zero or empty, and writers leave that out.
    Implicit,
    /// At most once; absent is something else than zero.
    Explicit,
    /// A member of the message's oneof. No message of OTLP has two.
    OneOf,
    /// Any number of times; numbers are packed.
    Repeated,
}

impl Message {
    /// The field with this number.
    pub fn field(&self, number: u32) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.number == number)
    }

    /// Whether this is what a pipeline counts: a data point, a span or a log record.
    pub(super) fn is_item(&self) -> bool {
        matches!(
            self.index.role,
            MessageRole::Item | MessageRole::NumberPoint
        )
    }
}

impl Signal {
    /// The request that carries this signal.
    pub const fn request(self) -> &'static Message {
        match self {
            Signal::Metrics => &METRICS_REQUEST,
            Signal::Traces => &TRACES_REQUEST,
            Signal::Logs => &LOGS_REQUEST,
        }
    }
}
