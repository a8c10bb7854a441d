//! OTLP as JSON, in the protocol's own mapping: lowerCamelCase keys, 64-bit integers as
//! strings, trace and span ids as hexadecimal, other bytes as base64, enumerations as
//! numbers, `"NaN"`, `"Infinity"` and `"-Infinity"` as strings.
//!
//! Driven by the table in [`protocol`](super::protocol), without owned structs.

mod read;

use std::io;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;

use super::protocol::{Field, FieldKind, Message, Presence, Scalar, Visitor, visit};
use super::{Part, Signal};

pub use read::{InvalidJson, decode};

/// Appends a part of a batch of this signal to `out` as one JSON object, without line
/// breaks. What is absent on the wire is absent in the JSON; unknown fields are skipped.
pub fn write(signal: Signal, part: &Part, out: &mut Vec<u8>) {
    // Writing to memory can't fail.
    let _ = write_to(signal, part, out);
}

/// Like [`write()`], into any writer, in very small pieces: the text may have many times the size
/// of the part, and never stands in memory as a whole.
///
/// # Errors
///
/// The first error of the writer, which gets nothing after it.
pub fn write_to(signal: Signal, part: &Part, out: &mut impl io::Write) -> io::Result<()> {
    let mut writer = JsonWriter {
        out,
        comma: false,
        outcome: Ok(()),
    };
    visit(signal, part, &mut writer);
    writer.outcome
}

struct JsonWriter<'o, W> {
    out: &'o mut W,
    /// Whether a value or key stands right before.
    comma: bool,
    outcome: io::Result<()>,
}

impl<W: io::Write> Visitor for JsonWriter<'_, W> {
    fn begin_message(&mut self, _message: &'static Message) {
        self.separate();
        self.put(b"{");
        self.comma = false;
    }

    fn end_message(&mut self, _message: &'static Message) {
        self.put(b"}");
        self.comma = true;
    }

    fn begin_field(&mut self, field: &'static Field) {
        self.separate();
        self.put(b"\"");
        self.put(field.name.as_bytes());
        self.put(b"\":");
        if field.presence == Presence::Repeated {
            self.put(b"[");
        }
        self.comma = false;
    }

    fn end_field(&mut self, field: &'static Field) {
        if field.presence == Presence::Repeated {
            self.put(b"]");
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
                    self.put(b"\"");
                    for byte in bytes {
                        self.display(format_args!("{byte:02x}"));
                    }
                    self.put(b"\"");
                }
                FieldKind::Bytes => {
                    let text = Base64Display::new(bytes, &STANDARD);
                    self.display(format_args!("\"{text}\""));
                }
                _ => self.string(&String::from_utf8_lossy(bytes)),
            },
        }
    }
}

impl<W: io::Write> JsonWriter<'_, W> {
    fn separate(&mut self) {
        if self.comma {
            self.put(b",");
        }
    }

    /// A number of 64 bits stands in quotes.
    fn integer(&mut self, number: impl itoa::Integer, wide: bool) {
        let quote: &[u8] = if wide { b"\"" } else { b"" };
        self.put(quote);
        self.put(itoa::Buffer::new().format(number).as_bytes());
        self.put(quote);
    }

    fn double(&mut self, number: f64) {
        if number.is_finite() {
            self.put(zmij::Buffer::new().format_finite(number).as_bytes());
        } else if number.is_nan() {
            self.put(b"\"NaN\"");
        } else {
            let text: &[u8] = if number > 0.0 {
                b"\"Infinity\""
            } else {
                b"\"-Infinity\""
            };
            self.put(text);
        }
    }

    fn string(&mut self, text: &str) {
        if self.outcome.is_ok() {
            // A string always has a JSON form, so the error is the writer's.
            self.outcome = serde_json::to_writer(&mut *self.out, text).map_err(io::Error::from);
        }
    }

    fn display(&mut self, value: impl std::fmt::Display) {
        if self.outcome.is_ok() {
            self.outcome = write!(self.out, "{value}");
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if self.outcome.is_ok() {
            self.outcome = self.out.write_all(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
