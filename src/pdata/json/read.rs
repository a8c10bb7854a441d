//! JSON to protobuf, in one pass over the text and without owned structs.
//!
//! As the protocol asks of receivers: unknown keys are skipped, 64-bit integers may be
//! strings or numbers, null means absent. Enumerations may be names as well as numbers, and
//! keys in snake_case as well as lowerCamelCase, because other senders write them so and the
//! Collector reads them.

mod scalar;
mod surrogates;

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::encode::MessageEncoder;
use super::super::protocol::{Field, FieldKind, Message, Presence};
use super::super::{Batch, Decoded, Malformed, Signal};
use crate::steps;
use scalar::{JsonScalar, expected};

/// The text isn't OTLP JSON. Holds nothing of its values.
#[derive(Debug, thiserror::Error)]
pub enum InvalidJson {
    /// It isn't UTF-8.
    #[error("{0}")]
    Utf8(#[from] std::str::Utf8Error),
    /// It is no JSON, or a value has the wrong shape.
    #[error("{0}")]
    Shape(#[from] serde_json::Error),
    /// It nests values more deeply than protobuf allows.
    #[error("{0}")]
    Nesting(#[from] Malformed),
}

/// Reads an export request of this signal. Half a surrogate pair, which is what is left of a
/// character that was cut in two, becomes U+FFFD.
///
/// # Errors
///
/// [`InvalidJson`], which names the place.
pub fn decode(signal: Signal, text: &[u8]) -> Result<Decoded, InvalidJson> {
    // At once, since the values of unknown keys are skipped unseen.
    steps::count(text.len());
    let text = std::str::from_utf8(text)?;
    let text = surrogates::paired(text);
    let mut out = MessageEncoder::default();
    let unknown = Cell::new(false);
    let mut json = serde_json::Deserializer::from_str(&text);
    MessageContent {
        message: signal.request(),
        out: &mut out,
        unknown: &unknown,
    }
    .deserialize(&mut json)?;
    json.end()?;
    let batch = Batch::decode(signal, out.finish().into())?;
    Ok(Decoded {
        unrecognised: unknown.get() && batch.items() == 0,
        batch,
    })
}

/// The fields of a message: written into the message that is open.
struct MessageContent<'o> {
    message: &'static Message,
    out: &'o mut MessageEncoder,
    /// Set where a key means nothing.
    unknown: &'o Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for MessageContent<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageContent<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that holds a {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(JsonKey(key)) = map.next_key()? {
            steps::count(key.len());
            let mut fields = self.message.fields.iter();
            match fields.find(|field| field.name == key || is_in_snake_case(&key, field.name)) {
                Some(field) => map.next_value_seed(Values {
                    field,
                    out: self.out,
                    unknown: self.unknown,
                })?,
                None => {
                    self.unknown.set(true);
                    map.next_value::<IgnoredAny>().map(|_| ())?;
                }
            }
        }
        Ok(())
    }
}

/// Whether a key is a lowerCamelCase name in snake_case.
fn is_in_snake_case(key: &str, name: &str) -> bool {
    if !key.contains('_') {
        return false;
    }
    let mut rest = key.bytes();
    let mut spelt = name.bytes().all(|letter| {
        if letter.is_ascii_uppercase() && rest.next() != Some(b'_') {
            return false;
        }
        rest.next() == Some(letter.to_ascii_lowercase())
    });
    spelt &= rest.next().is_none();
    spelt
}

/// A key, borrowed from the text where it has no escapes.
struct JsonKey<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for JsonKey<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = JsonKey<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<JsonKey<'de>, E> {
                Ok(JsonKey(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<JsonKey<'de>, E> {
                Ok(JsonKey(Cow::Owned(key.to_owned())))
            }
        }
        json.deserialize_str(KeyVisitor)
    }
}

/// What stands behind a field's key: one value, a list, or null.
struct Values<'o> {
    field: &'static Field,
    out: &'o mut MessageEncoder,
    unknown: &'o Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.field.presence == Presence::Repeated {
            write!(f, "a list for {}", self.field.name)
        } else {
            expected(self.field, f)
        }
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        if self.field.presence == Presence::Repeated {
            return json.deserialize_seq(self);
        }
        let Self {
            field,
            out,
            unknown,
        } = self;
        match (field.presence, field.kind) {
            (_, FieldKind::Message(message)) => nested(field, message, out, unknown, json),
            (presence, _) => {
                let scalar = JsonScalar { field }.deserialize(json)?;
                // Writers leave out what is absent anyway.
                if presence != Presence::Implicit || !scalar.is_default() {
                    scalar.write(field.number, out);
                }
                Ok(())
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self {
            field,
            out,
            unknown,
        } = self;
        match field.kind {
            FieldKind::Message(message) => {
                while list
                    .next_element_seed(Element {
                        field,
                        message,
                        out,
                        unknown,
                    })?
                    .is_some()
                {}
            }
            FieldKind::String | FieldKind::Bytes | FieldKind::Id(_) => {
                while let Some(scalar) = list.next_element_seed(JsonScalar { field })? {
                    scalar.write(field.number, out);
                }
            }
            _ => {
                let mut packed = list.next_element_seed(JsonScalar { field })?;
                if packed.is_some() {
                    out.begin(field.number);
                    while let Some(scalar) = packed {
                        scalar.write_raw(out);
                        packed = list.next_element_seed(JsonScalar { field })?;
                    }
                    out.end();
                }
            }
        }
        Ok(())
    }
}

/// One message of a list.
struct Element<'o> {
    field: &'static Field,
    message: &'static Message,
    out: &'o mut MessageEncoder,
    unknown: &'o Cell<bool>,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        nested(self.field, self.message, self.out, self.unknown, json)
    }
}

fn nested<'de, D: Deserializer<'de>>(
    field: &'static Field,
    message: &'static Message,
    out: &mut MessageEncoder,
    unknown: &Cell<bool>,
    json: D,
) -> Result<(), D::Error> {
    out.begin(field.number);
    MessageContent {
        message,
        out,
        unknown,
    }
    .deserialize(json)?;
    out.end();
    Ok(())
}

#[cfg(test)]
mod tests;
