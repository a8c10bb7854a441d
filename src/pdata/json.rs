//! OTLP as JSON, in the protocol's own mapping: lowerCamelCase keys, 64-bit integers as
//! strings, trace and span ids as hexadecimal, other bytes as base64, enumerations as
//! numbers, `"NaN"`, `"Infinity"` and `"-Infinity"` as strings.
//!
//! Driven by the table in [`protocol`](super::protocol), without owned structs.

mod read;

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::protocol::{Field, FieldKind, Message, Presence, Scalar, Visitor, visit};
use super::{Part, Signal};

pub use read::{InvalidJson, decode};

/// Appends a part of a batch of this signal to `out` as one JSON object, without line
/// breaks. What is absent on the wire is absent in the JSON; unknown fields are skipped.
pub fn write(signal: Signal, part: &Part, out: &mut Vec<u8>) {
    visit(signal, part, &mut JsonWriter { out, comma: false });
}

struct JsonWriter<'o> {
    out: &'o mut Vec<u8>,
    /// Whether a value or key stands right before.
    comma: bool,
}

impl Visitor for JsonWriter<'_> {
    fn begin_message(&mut self, _message: &'static Message) {
        self.separate();
        self.out.push(b'{');
        self.comma = false;
    }

    fn end_message(&mut self, _message: &'static Message) {
        self.out.push(b'}');
        self.comma = true;
    }

    fn begin_field(&mut self, field: &'static Field) {
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(field.name.as_bytes());
        self.out.extend_from_slice(b"\":");
        if field.presence == Presence::Repeated {
            self.out.push(b'[');
        }
        self.comma = false;
    }

    fn end_field(&mut self, field: &'static Field) {
        if field.presence == Presence::Repeated {
            self.out.push(b']');
        }
        self.comma = true;
    }

    fn scalar(&mut self, field: &'static Field, value: Scalar<'_>) {
        self.separate();
        self.comma = true;
        let wide = matches!(
            field.kind,
            FieldKind::Int64
                | FieldKind::Uint64
                | FieldKind::Fixed64
                | FieldKind::Sfixed64
                | FieldKind::Nanos
        );
        match value {
            Scalar::Bool(flag) => self.display(flag),
            Scalar::Signed(number) => self.integer(number, wide),
            Scalar::Unsigned(number) => self.integer(number, wide),
            Scalar::Double(number) => self.double(number),
            Scalar::Bytes(bytes) => match field.kind {
                FieldKind::Id(_) => {
                    self.out.push(b'"');
                    for byte in bytes {
                        self.display(format_args!("{byte:02x}"));
                    }
                    self.out.push(b'"');
                }
                FieldKind::Bytes => self.display(format_args!("\"{}\"", STANDARD.encode(bytes))),
                _ => self.string(&String::from_utf8_lossy(bytes)),
            },
        }
    }
}

impl JsonWriter<'_> {
    fn separate(&mut self) {
        if self.comma {
            self.out.push(b',');
        }
    }

    /// A number of 64 bits stands in quotes.
    fn integer(&mut self, number: impl itoa::Integer, wide: bool) {
        let quote: &[u8] = if wide { b"\"" } else { b"" };
        self.out.extend_from_slice(quote);
        self.out
            .extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        self.out.extend_from_slice(quote);
    }

    fn double(&mut self, number: f64) {
        if number.is_finite() {
            self.out
                .extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
        } else if number.is_nan() {
            self.out.extend_from_slice(b"\"NaN\"");
        } else {
            let text: &[u8] = if number > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            };
            self.out.extend_from_slice(text);
        }
    }

    fn string(&mut self, text: &str) {
        // Neither writing to memory nor a string as JSON can fail.
        let _ = serde_json::to_writer(&mut *self.out, text);
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        // Writing to memory can't fail.
        let _ = write!(self.out, "{value}");
    }
}

#[cfg(test)]
mod tests;
