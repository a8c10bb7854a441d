//! `verbosity: detailed`: every field, as an indented tree with the protocol's names.
//!
//! It follows the table of the protocol, so no field can be missing here.

use std::fmt::{self, Display};
use std::time::{Duration, UNIX_EPOCH};

use crate::pdata::Batch;
use crate::pdata::protocol::{Field, FieldKind, Message, Presence, Scalar, Visitor, visit};

/// Appends the batch to `out`.
pub(super) fn write(batch: &Batch, out: &mut dyn fmt::Write) {
    for part in batch.parts() {
        let mut tree = Tree {
            out,
            open: Vec::new(),
            indent: 0,
            inline: 0,
            comma: false,
        };
        visit(batch.signal(), part, &mut tree);
    }
}

struct Tree<'o> {
    out: &'o mut dyn fmt::Write,
    /// The fields that enclose the current one, each with how many of its values were begun.
    open: Vec<(&'static Field, usize)>,
    indent: usize,
    /// How many `AnyValue`s enclose the current one: those are written on one line.
    inline: usize,
    /// Whether the next value on this line needs a comma before it.
    comma: bool,
}

impl Visitor for Tree<'_> {
    fn begin_message(&mut self, message: &'static Message) {
        let Some((field, count)) = self.open.last_mut() else {
            return;
        };
        let (field, number) = (*field, *count);
        *count += 1;
        match message.name {
            "KeyValue" if self.inline == 0 => self.indent += 1,
            "KeyValue" => self.separate(),
            "AnyValue" => {
                if self.inline == 0 && field.name != "value" {
                    self.line(format_args!("{}: ", field.name));
                } else if field.presence == Presence::Repeated {
                    self.separate();
                }
                self.inline += 1;
            }
            "ArrayValue" => self.open_bracket('['),
            "KeyValueList" => self.open_bracket('{'),
            _ if field.presence == Presence::Repeated => {
                self.line(format_args!("{} #{number}", field.name));
                self.push('\n');
                self.indent += 1;
            }
            _ => {
                self.line(field.name);
                self.push('\n');
                self.indent += 1;
            }
        }
    }

    fn end_message(&mut self, message: &'static Message) {
        match message.name {
            _ if self.open.is_empty() => {}
            "KeyValue" if self.inline == 0 => {
                self.push('\n');
                self.indent -= 1;
            }
            "KeyValue" => {}
            "AnyValue" => {
                self.inline -= 1;
                self.comma = true;
                let attribute = self
                    .open
                    .last()
                    .is_some_and(|(field, _)| field.name == "value");
                if self.inline == 0 && !attribute {
                    self.push('\n');
                }
            }
            "ArrayValue" => self.push(']'),
            "KeyValueList" => self.push('}'),
            _ => self.indent -= 1,
        }
    }

    fn begin_field(&mut self, field: &'static Field) {
        if self.inline == 0
            && matches!(field.kind, FieldKind::Message(message) if message.name == "KeyValue")
        {
            self.line(field.name);
            self.push('\n');
        } else if field.presence == Presence::Repeated
            && !matches!(field.kind, FieldKind::Message(_))
        {
            self.line(format_args!("{}: ", field.name));
            self.open_bracket('[');
        }
        self.open.push((field, 0));
    }

    fn end_field(&mut self, field: &'static Field) {
        self.open.pop();
        if field.presence == Presence::Repeated && !matches!(field.kind, FieldKind::Message(_)) {
            self.push("]\n");
        }
    }

    fn scalar(&mut self, field: &'static Field, value: Scalar<'_>) {
        if field.presence == Presence::Repeated {
            self.separate();
            self.value(field, value);
            self.comma = true;
        } else if self.inline > 0 && field.name != "key" {
            self.value(field, value);
        } else if field.name == "key" {
            if self.inline == 0 {
                self.line("");
            }
            if let Scalar::Bytes(bytes) = value {
                let key = String::from_utf8_lossy(bytes);
                self.push(format_args!("{}: ", key.escape_debug()));
            }
        } else {
            self.line(format_args!("{}: ", field.name));
            self.value(field, value);
            self.push('\n');
        }
    }
}

impl Tree<'_> {
    fn value(&mut self, field: &'static Field, value: Scalar<'_>) {
        match (field.kind, value) {
            (FieldKind::Nanos, Scalar::Unsigned(nanos)) => {
                match UNIX_EPOCH.checked_add(Duration::from_nanos(nanos)) {
                    Some(time) => self.push(humantime::format_rfc3339_nanos(time)),
                    None => self.push(nanos),
                }
            }
            (FieldKind::Enum(names), Scalar::Signed(number)) => {
                match usize::try_from(number).ok().and_then(|n| names.get(n)) {
                    Some(name) => self.push(format_args!("{name} ({number})")),
                    None => self.push(number),
                }
            }
            (FieldKind::Bytes | FieldKind::Id(_), Scalar::Bytes(bytes)) => {
                for byte in bytes {
                    self.push(format_args!("{byte:02x}"));
                }
            }
            // Quoted and escaped, since control characters would act on the terminal.
            (_, Scalar::Bytes(text)) => {
                self.push(format_args!("{:?}", String::from_utf8_lossy(text)));
            }
            (_, Scalar::Bool(flag)) => self.push(flag),
            (_, Scalar::Signed(number)) => self.push(number),
            (_, Scalar::Unsigned(number)) => self.push(number),
            (_, Scalar::Double(number)) => self.push(number),
        }
    }

    /// Writes an indented line.
    fn line(&mut self, text: impl Display) {
        for _ in 0..self.indent {
            self.push("  ");
        }
        self.push(text);
        self.comma = false;
    }

    fn open_bracket(&mut self, bracket: char) {
        self.push(bracket);
        self.comma = false;
    }

    fn separate(&mut self) {
        if self.comma {
            self.push(", ");
        }
    }

    fn push(&mut self, text: impl Display) {
        // The writer keeps its errors.
        let _ = write!(self.out, "{text}");
    }
}
