//! Log records.

use super::value::{Attributes, Finder, Value};
use super::{View, text};
use crate::pdata::wire::{self, WireFields};

/// One log record.
#[derive(Debug, Clone, Copy)]
pub struct LogRecord<'a> {
    raw: &'a [u8],
    severity_number: i32,
    severity_text: &'a [u8],
    body: &'a [u8],
    attributes: Attributes<'a>,
}

impl<'a> LogRecord<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// From 1 (TRACE) to 24 (FATAL4); 0 where the sender gave none.
    pub fn severity_number(&self) -> i32 {
        self.severity_number
    }

    /// The severity in the source's own words, or empty.
    pub fn severity_text(&self) -> &'a str {
        text(self.severity_text)
    }

    /// What was logged.
    pub fn body(&self) -> Value<'a> {
        Value::parse(self.body)
    }

    /// Its attributes.
    pub fn attributes(&self) -> Attributes<'a> {
        self.attributes
    }
}

impl<'a> View<'a> for LogRecord<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut record = Self {
            raw,
            severity_number: 0,
            severity_text: &[],
            body: &[],
            attributes: Attributes::NONE,
        };
        let mut attributes = Finder::new(raw, 6);
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (2, wire::WireValue::Varint(value)) => record.severity_number = value as i32,
                (3, wire::WireValue::Bytes(content)) => record.severity_text = content,
                (5, wire::WireValue::Bytes(content)) => record.body = content,
                (6, _) => attributes.add(field.raw),
                _ => {}
            }
        }
        record.attributes = attributes.finish();
        record
    }
}
