//! Values that are no messages.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use serde::de::{DeserializeSeed, Deserializer, Visitor};

use crate::pdata::encode::MessageEncoder;
use crate::pdata::protocol::{Field, FieldKind};
use crate::steps;

/// A value as the wire has it.
pub(super) enum Wire {
    Varint(u64),
    Fixed64(u64),
    Fixed32(u32),
    Bytes(Vec<u8>),
}

impl Wire {
    pub(super) fn is_default(&self) -> bool {
        match self {
            Self::Varint(value) | Self::Fixed64(value) => *value == 0,
            Self::Fixed32(value) => *value == 0,
            Self::Bytes(bytes) => bytes.is_empty(),
        }
    }

    pub(super) fn write(&self, field: u32, out: &mut MessageEncoder) {
        match self {
            Self::Varint(value) => out.uint(field, *value),
            Self::Fixed64(bits) => out.fixed64(field, *bits),
            Self::Fixed32(bits) => out.fixed32(field, *bits),
            Self::Bytes(bytes) => out.bytes(field, bytes),
        }
    }

    /// As it stands in a packed list; texts are never packed.
    pub(super) fn write_raw(&self, out: &mut MessageEncoder) {
        match self {
            Self::Varint(value) => out.raw_varint(*value),
            Self::Fixed64(bits) => out.raw_fixed64(*bits),
            Self::Fixed32(bits) => out.raw_fixed32(*bits),
            Self::Bytes(_) => {}
        }
    }
}

/// One value that is no message.
pub(super) struct JsonScalar {
    pub(super) field: &'static Field,
}

impl<'de> DeserializeSeed<'de> for JsonScalar {
    type Value = Wire;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Wire, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonScalar {
    type Value = Wire;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        expected(self.field, f)
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<Wire, E> {
        match self.field.kind {
            FieldKind::Bool => Ok(Wire::Varint(u64::from(flag))),
            _ => Err(self.wrong()),
        }
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Wire, E> {
        self.integer(i128::from(number)).ok_or_else(|| self.wrong())
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Wire, E> {
        self.integer(i128::from(number)).ok_or_else(|| self.wrong())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Wire, E> {
        match self.field.kind {
            FieldKind::Double => Ok(Wire::Fixed64(number.to_bits())),
            // JSON knows no integers: 1e3 and 5.0 are whole numbers too. Beyond 2^53 a
            // double doesn't say which number was meant.
            _ if number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0 => {
                self.integer(number as i128).ok_or_else(|| self.wrong())
            }
            _ => Err(self.wrong()),
        }
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Wire, E> {
        steps::count(text.len());
        let read = match self.field.kind {
            FieldKind::String => Some(Wire::Bytes(text.as_bytes().to_vec())),
            FieldKind::Id(length) => hex(text)
                .filter(|id| id.is_empty() || id.len() == usize::from(length))
                .map(Wire::Bytes),
            // Padded or not, as the protocol's reference implementations read it.
            FieldKind::Bytes => STANDARD_PAD_INDIFFERENT
                .decode(text.replace('-', "+").replace('_', "/"))
                .ok()
                .map(Wire::Bytes),
            FieldKind::Double => double(text).map(|number| Wire::Fixed64(number.to_bits())),
            FieldKind::Enum(names) => {
                let value = names.iter().position(|name| *name == text);
                value.and_then(|value| self.integer(value as i128))
            }
            FieldKind::Bool | FieldKind::Message(_) => None,
            _ => text
                .parse()
                .ok()
                .and_then(|number: i128| self.integer(number)),
        };
        read.ok_or_else(|| self.wrong())
    }
}

impl JsonScalar {
    /// An integer in the field's own encoding, where it fits the field's type.
    fn integer(&self, number: i128) -> Option<Wire> {
        Some(match self.field.kind {
            FieldKind::Int32 | FieldKind::Enum(_) => {
                // Negative numbers take ten bytes on the wire, as if they had 64 bits.
                Wire::Varint(i64::from(i32::try_from(number).ok()?).cast_unsigned())
            }
            FieldKind::Uint32 => Wire::Varint(u64::from(u32::try_from(number).ok()?)),
            FieldKind::Sint32 => {
                let number = i32::try_from(number).ok()?;
                Wire::Varint(u64::from((number << 1 ^ number >> 31).cast_unsigned()))
            }
            FieldKind::Fixed32 => Wire::Fixed32(u32::try_from(number).ok()?),
            FieldKind::Int64 => Wire::Varint(i64::try_from(number).ok()?.cast_unsigned()),
            FieldKind::Uint64 => Wire::Varint(u64::try_from(number).ok()?),
            FieldKind::Fixed64 | FieldKind::Nanos => Wire::Fixed64(u64::try_from(number).ok()?),
            FieldKind::Sfixed64 => Wire::Fixed64(i64::try_from(number).ok()?.cast_unsigned()),
            FieldKind::Double => Wire::Fixed64((number as f64).to_bits()),
            FieldKind::Bool
            | FieldKind::String
            | FieldKind::Bytes
            | FieldKind::Id(_)
            | FieldKind::Message(_) => {
                return None;
            }
        })
    }

    /// The error for a value of the wrong kind. It doesn't show the value: that may be
    /// long, or private.
    fn wrong<E: serde::de::Error>(&self) -> E {
        struct Expected<'s>(&'s JsonScalar);
        impl fmt::Display for Expected<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("expected ")?;
                self.0.expecting(f)
            }
        }
        E::custom(Expected(self))
    }
}

/// What a field wants, in the words of JSON.
pub(super) fn expected(field: &Field, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let wanted = match field.kind {
        FieldKind::Bool => "true or false",
        FieldKind::Int32 | FieldKind::Sint32 => "a 32-bit integer",
        FieldKind::Uint32 | FieldKind::Fixed32 => "an unsigned 32-bit integer",
        FieldKind::Int64 | FieldKind::Sfixed64 => "a 64-bit integer",
        FieldKind::Uint64 | FieldKind::Fixed64 | FieldKind::Nanos => "an unsigned 64-bit integer",
        FieldKind::Double => "a number",
        FieldKind::String => "a string",
        FieldKind::Bytes => "bytes in base64",
        FieldKind::Id(length) => {
            let digits = 2 * u32::from(length);
            return write!(f, "an id of {digits} hexadecimal digits for {}", field.name);
        }
        FieldKind::Enum(_) => "the number of an enumeration",
        FieldKind::Message(_) => "an object",
    };
    write!(f, "{wanted} for {}", field.name)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(high)? << 4 | digit(low)?))
        .collect()
}

fn double(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        _ => text.parse().ok().filter(|number: &f64| number.is_finite()),
    }
}
