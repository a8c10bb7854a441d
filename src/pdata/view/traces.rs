//! Spans.

use super::value::{Attributes, Finder};
use super::{View, text};
use crate::pdata::wire::{self, WireFields};

/// One span.
#[derive(Debug, Clone, Copy)]
pub struct Span<'a> {
    raw: &'a [u8],
    name: &'a [u8],
    kind: i32,
    attributes: Attributes<'a>,
}

impl<'a> Span<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its name, or empty.
    pub fn name(&self) -> &'a str {
        text(self.name)
    }

    /// From 1 (internal) to 5 (consumer), as `SpanKind` has them; 0 where the sender gave
    /// none.
    pub fn kind(&self) -> i32 {
        self.kind
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }
}

impl<'a> View<'a> for Span<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut name: &[u8] = &[];
        let mut kind = 0;
        let mut attributes = Finder::new(raw, 9);
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (5, wire::WireValue::Bytes(content)) => name = content,
                (6, wire::WireValue::Varint(value)) => kind = value as i32,
                (9, _) => attributes.add(field.raw),
                _ => {}
            }
        }
        Self {
            raw,
            name,
            kind,
            attributes: attributes.finish(),
        }
    }
}
