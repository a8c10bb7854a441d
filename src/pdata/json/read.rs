//! JSON to protobuf, in one pass over the text and without owned structs.
//!
//! As the protocol asks of receivers: unknown keys are skipped, 64-bit integers may be
//! strings or numbers, null means absent. Enumerations may be names as well as numbers,
//! because other senders write them so.

mod scalar;

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::encode::Encoder;
use super::super::protocol::{Field, Kind, Message, Presence};
use super::super::{Batch, Malformed, Signal};
use crate::steps;
use scalar::{Scalar, expected};

/// The text isn't OTLP JSON. Holds nothing of its values.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
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

/// Reads an export request of this signal.
///
/// # Errors
///
/// [`Invalid`], which names the place.
pub fn decode(signal: Signal, text: &[u8]) -> Result<Batch, Invalid> {
    // At once, since the values of unknown keys are skipped unseen.
    steps::count(text.len());
    let text = std::str::from_utf8(text)?;
    let mut out = Encoder::default();
    let mut json = serde_json::Deserializer::from_str(text);
    Content {
        message: signal.request(),
        out: &mut out,
    }
    .deserialize(&mut json)?;
    json.end()?;
    Ok(Batch::decode(signal, out.finish().into())?)
}

/// The fields of a message: written into the message that is open.
struct Content<'o> {
    message: &'static Message,
    out: &'o mut Encoder,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Content<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object that holds a {}", self.message.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Key(key)) = map.next_key()? {
            steps::count(key.len());
            match self.message.fields.iter().find(|field| field.name == key) {
                Some(field) => map.next_value_seed(Values {
                    field,
                    out: self.out,
                })?,
                None => map.next_value::<IgnoredAny>().map(|_| ())?,
            }
        }
        Ok(())
    }
}

/// A key, borrowed from the text where it has no escapes.
struct Key<'de>(Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(key)))
            }

            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(key.to_owned())))
            }
        }
        json.deserialize_str(KeyVisitor)
    }
}

/// What stands behind a field's key: one value, a list, or null.
struct Values<'o> {
    field: &'static Field,
    out: &'o mut Encoder,
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
        let Self { field, out } = self;
        match (field.presence, field.kind) {
            (_, Kind::Message(message)) => nested(field, message, out, json),
            (presence, _) => {
                let scalar = Scalar { field }.deserialize(json)?;
                // Writers leave out what is absent anyway.
                if presence != Presence::Implicit || !scalar.is_default() {
                    scalar.write(field.number, out);
                }
                Ok(())
            }
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let Self { field, out } = self;
        match field.kind {
            Kind::Message(message) => {
                while list
                    .next_element_seed(Element {
                        field,
                        message,
                        out,
                    })?
                    .is_some()
                {}
            }
            Kind::String | Kind::Bytes | Kind::Id(_) => {
                while let Some(scalar) = list.next_element_seed(Scalar { field })? {
                    scalar.write(field.number, out);
                }
            }
            _ => {
                let mut packed = list.next_element_seed(Scalar { field })?;
                if packed.is_some() {
                    out.begin(field.number);
                    while let Some(scalar) = packed {
                        scalar.write_raw(out);
                        packed = list.next_element_seed(Scalar { field })?;
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
    out: &'o mut Encoder,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        nested(self.field, self.message, self.out, json)
    }
}

fn nested<'de, D: Deserializer<'de>>(
    field: &'static Field,
    message: &'static Message,
    out: &mut Encoder,
    json: D,
) -> Result<(), D::Error> {
    out.begin(field.number);
    Content { message, out }.deserialize(json)?;
    out.end();
    Ok(())
}

#[cfg(test)]
mod tests;
