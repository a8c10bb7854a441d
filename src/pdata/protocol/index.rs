//! What the walk asks of a message: how to read a field number, worked out from the table
//! when the program is compiled.

use super::{Field, FieldKind, Message, Presence};

/// The fields of one message by their numbers.
#[derive(Debug)]
pub(in crate::pdata) struct Index {
    slots: [FieldSlot; Self::SLOTS],
    /// The bits of all oneof members, with [`ONEOF`].
    pub(in crate::pdata) oneof: u32,
    pub(in crate::pdata) role: MessageRole,
}

/// What the walk knows of one field number.
#[derive(Debug, Clone, Copy)]
pub(in crate::pdata) struct FieldSlot {
    /// The name in JSON; empty where there is no such field.
    pub(in crate::pdata) name: &'static str,
    pub(in crate::pdata) read: ReadAs,
    /// What may occur once: the field's own bit and, in a oneof, [`ONEOF`]. Two fields of
    /// a regular message never share a bit. Zero for repeated messages and texts; packed
    /// numbers are one record.
    pub(in crate::pdata) once: u32,
}

/// How a field's value is read.
#[derive(Debug, Clone, Copy)]
pub(in crate::pdata) enum ReadAs {
    /// No field of the message: skipped, and kept.
    Unknown,
    Varint,
    Fixed64,
    Fixed32,
    Bytes,
    /// Bytes, so many or none.
    Id(u8),
    Str,
    PackedFixed64,
    PackedVarint,
    Message(&'static Message),
}

/// What a message is to the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::pdata) enum MessageRole {
    /// A data point, a span or a log record.
    Item,
    /// An item that may be told at a glance.
    NumberPoint,
    /// A message that may be told at a glance.
    Attribute,
    /// Any other.
    Other,
}

/// The bit that the members of a oneof share; OTLP has one per message at most.
pub(in crate::pdata) const ONEOF: u32 = 1 << 31;

impl Index {
    /// OTLP's highest field number is 16 (`Span.flags`).
    pub(super) const SLOTS: usize = 17;

    #[inline(always)]
    pub(in crate::pdata) fn slot(&self, number: u32) -> &FieldSlot {
        // No field has the number 0, so its slot stands for all that is unknown.
        self.slots.get(number as usize).unwrap_or(&self.slots[0])
    }

    pub(super) const fn new(fields: &[Field], role: MessageRole) -> Self {
        let mut index = Self {
            slots: [UNKNOWN; Self::SLOTS],
            oneof: 0,
            role,
        };
        let mut at = 0;
        while at < fields.len() {
            let slot = FieldSlot::new(&fields[at]);
            if slot.once & ONEOF != 0 {
                index.oneof |= slot.once;
            }
            index.slots[fields[at].number as usize] = slot;
            at += 1;
        }
        index
    }
}

impl FieldSlot {
    const fn new(field: &Field) -> Self {
        let repeated = matches!(field.presence, Presence::Repeated);
        let read = match field.kind {
            FieldKind::Bool
            | FieldKind::Int32
            | FieldKind::Uint32
            | FieldKind::Sint32
            | FieldKind::Enum(_) => ReadAs::varint(repeated),
            FieldKind::Int64 | FieldKind::Uint64 => ReadAs::varint(repeated),
            FieldKind::Fixed64 | FieldKind::Nanos | FieldKind::Sfixed64 | FieldKind::Double => {
                ReadAs::fixed64(repeated)
            }
            FieldKind::Fixed32 => ReadAs::Fixed32,
            FieldKind::String => ReadAs::Str,
            FieldKind::Bytes => ReadAs::Bytes,
            FieldKind::Id(length) => ReadAs::Id(length),
            FieldKind::Message(message) => ReadAs::Message(message),
        };
        let own = 1 << field.number;
        let once = match (field.presence, read) {
            (Presence::OneOf, _) => ONEOF | own,
            (
                Presence::Repeated,
                ReadAs::Message(_) | ReadAs::Str | ReadAs::Bytes | ReadAs::Id(_),
            ) => 0,
            _ => own,
        };
        Self {
            name: field.name,
            read,
            once,
        }
    }
}

impl ReadAs {
    const fn varint(repeated: bool) -> Self {
        if repeated {
            Self::PackedVarint
        } else {
            Self::Varint
        }
    }

    const fn fixed64(repeated: bool) -> Self {
        if repeated {
            Self::PackedFixed64
        } else {
            Self::Fixed64
        }
    }
}

const UNKNOWN: FieldSlot = FieldSlot {
    name: "",
    read: ReadAs::Unknown,
    once: 0,
};
