//! Attributes and their values.

use std::fmt::{self, Write};

use base64::display::Base64Display;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD};

use super::{Repeated, View, text};
use crate::pdata::plain;
use crate::pdata::wire::{self, WireFields};
use crate::steps;

/// The attributes of a resource, scope, point, span or log record.
#[derive(Debug, Clone, Copy)]
pub struct Attributes<'a> {
    /// From the first attribute's key to the end of the last.
    span: &'a [u8],
    number: u32,
    contiguous: bool,
}

impl<'a> Attributes<'a> {
    pub(super) const NONE: Attributes<'static> = Attributes {
        span: &[],
        number: 0,
        contiguous: true,
    };

    /// Encoded attribute fields of this number, with nothing between them.
    pub(in crate::pdata) fn contiguous(span: &'a [u8], number: u32) -> Self {
        Self {
            span,
            number,
            contiguous: true,
        }
    }

    /// The attributes under a field number in the content of a message.
    pub(super) fn within(message: &'a [u8], number: u32) -> Self {
        let mut found = Finder::new(message, number);
        for field in WireFields::new(message) {
            if field.number == number {
                found.add(field.raw);
            }
        }
        found.finish()
    }

    /// The attributes in the order in which they were sent. A key that occurs twice counts
    /// with its first value.
    pub fn iter(&self) -> Repeated<'a, KeyValue<'a>> {
        Repeated::new(self.span, self.number)
    }

    /// The value of the first attribute with this key.
    pub fn get(&self, key: &str) -> Option<Value<'a>> {
        // Compares bytes: only what is found is worth the check for UTF-8.
        let found = self.encoded().find(|attribute| attribute.has_key(key))?;
        Some(found.read().value)
    }

    /// The attributes as they are encoded, in the order in which they were sent: for code
    /// that passes most of them on.
    pub fn encoded(&self) -> impl Iterator<Item = Encoded<'a>> {
        encoded(self.span, self.number)
    }

    /// The attributes by key, each key once and with its first value. Until they are read they
    /// take a slice of sixteen bytes for each key.
    pub fn sorted(&self) -> impl ExactSizeIterator<Item = KeyValue<'a>> + use<'a> {
        let entries = sorted(self.encoded()).into_iter();
        entries.map(|entry| entry.read())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.span.is_empty()
    }

    /// The encoded attribute fields, keys and lengths included, where nothing else stands
    /// between them: equal bytes are equal attributes.
    pub fn raw(&self) -> Option<&'a [u8]> {
        self.contiguous.then_some(self.span)
    }
}

impl<'a> Attributes<'a> {
    /// [`raw`](Self::raw), where it stands under this field number.
    pub(in crate::pdata) fn raw_as(&self, number: u32) -> Option<&'a [u8]> {
        self.raw().filter(|_| self.number == number)
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = KeyValue<'a>;
    type IntoIter = Repeated<'a, KeyValue<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One attribute that has not been read.
#[derive(Debug, Clone, Copy)]
pub struct Encoded<'a>(&'a [u8]);

impl<'a> Encoded<'a> {
    /// Whether this is its key.
    #[inline]
    pub fn has_key(&self, key: &str) -> bool {
        self.key_bytes() == key.as_bytes()
    }

    /// Its key.
    pub fn key(&self) -> &'a str {
        text(self.key_bytes())
    }

    #[inline]
    fn key_bytes(&self) -> &'a [u8] {
        if let Some(key) = plain::key_of(self.0) {
            return key;
        }
        let key = WireFields::new(self.0).find(|field| field.number == 1);
        match key.map(|field| field.value) {
            Some(wire::WireValue::Bytes(key)) => key,
            _ => &[],
        }
    }

    /// The whole of it.
    pub fn read(&self) -> KeyValue<'a> {
        KeyValue::parse(self.0)
    }

    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.0
    }
}

/// Puts together the span of a message's attributes while its fields go by.
pub(super) struct Finder<'a> {
    message: &'a [u8],
    number: u32,
    start: usize,
    end: usize,
    contiguous: bool,
}

impl<'a> Finder<'a> {
    #[inline(always)]
    pub(super) fn new(message: &'a [u8], number: u32) -> Self {
        Self {
            message,
            number,
            start: 0,
            end: 0,
            contiguous: true,
        }
    }

    /// Adds the fields of one attribute or several, which lie in the message behind all that
    /// were added.
    #[inline(always)]
    pub(super) fn add(&mut self, raw: &'a [u8]) {
        if raw.is_empty() {
            return;
        }
        let start = raw.as_ptr().addr() - self.message.as_ptr().addr();
        if self.end == 0 {
            self.start = start;
        } else if start != self.end {
            self.contiguous = false;
        }
        self.end = start + raw.len();
    }

    #[inline(always)]
    pub(super) fn finish(self) -> Attributes<'a> {
        Attributes {
            span: self.message.get(self.start..self.end).unwrap_or_default(),
            number: self.number,
            contiguous: self.contiguous,
        }
    }
}

/// One attribute.
#[derive(Debug, Clone, Copy)]
pub struct KeyValue<'a> {
    raw: &'a [u8],
    /// Its key.
    pub key: &'a str,
    /// Its value; [`Value::Empty`] where the sender gave none.
    pub value: Value<'a>,
}

impl<'a> KeyValue<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// The same attribute as one that has not been read.
    pub fn encoded(&self) -> Encoded<'a> {
        Encoded(self.raw)
    }
}

impl<'a> View<'a> for KeyValue<'a> {
    #[inline]
    fn parse(raw: &'a [u8]) -> Self {
        let mut attribute = Self {
            raw,
            key: "",
            value: Value::Empty,
        };
        for field in WireFields::new(raw) {
            match (field.number, field.value) {
                (1, wire::WireValue::Bytes(content)) => attribute.key = text(content),
                (2, wire::WireValue::Bytes(content)) => attribute.value = Value::parse(content),
                _ => {}
            }
        }
        attribute
    }
}

/// The value of an attribute, or the body of a log record.
///
/// As text it reads as in the OpenTelemetry Collector: numbers as JSON has them, bytes in
/// base64, arrays and maps as compact JSON with sorted keys.
#[derive(Debug, Clone, Copy)]
pub enum Value<'a> {
    /// None was given.
    Empty,
    /// A string.
    Str(&'a str),
    /// A boolean.
    Bool(bool),
    /// A signed integer.
    Int(i64),
    /// A floating-point number.
    Double(f64),
    /// Arbitrary bytes.
    Bytes(&'a [u8]),
    /// Values of any kinds.
    Array(Array<'a>),
    /// Keys and values.
    Map(Map<'a>),
}

/// The values of an array.
#[derive(Debug, Clone, Copy)]
pub struct Array<'a>(&'a [u8]);

impl<'a> Array<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.0
    }

    /// The values in order.
    pub fn iter(&self) -> Repeated<'a, Value<'a>> {
        Repeated::new(self.0, 1)
    }
}

/// The entries of a map.
#[derive(Debug, Clone, Copy)]
pub struct Map<'a>(&'a [u8]);

impl<'a> Map<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.0
    }

    /// The entries in the order in which they were sent. A key that occurs twice counts
    /// with its first value.
    pub fn iter(&self) -> Repeated<'a, KeyValue<'a>> {
        Repeated::new(self.0, 1)
    }

    /// The entries by key, each key once and with its first value. Until they are read they take
    /// a slice of sixteen bytes for each key.
    pub fn sorted(&self) -> impl ExactSizeIterator<Item = KeyValue<'a>> + use<'a> {
        let entries = sorted(encoded(self.0, 1)).into_iter();
        entries.map(|entry| entry.read())
    }
}

/// The occurrences of a field in the content of a message.
fn encoded(message: &[u8], number: u32) -> impl Iterator<Item = Encoded<'_>> {
    WireFields::new(message).filter_map(move |field| match field.value {
        wire::WireValue::Bytes(raw) if field.number == number => Some(Encoded(raw)),
        _ => None,
    })
}

/// So many entries are put in order at once.
const AT_ONCE: usize = 64;

/// The first entry of each key, by key. The entries lie in one message. The smallest has two
/// bytes, so that slices of all would take ten times the message, and the entries read a
/// hundred times: repeated keys go before room is made for more.
pub(super) fn sorted<'a>(all: impl Iterator<Item = Encoded<'a>>) -> Vec<Encoded<'a>> {
    let mut entries: Vec<Encoded<'a>> = Vec::new();
    for entry in all {
        if entries.len() >= AT_ONCE && entries.len() == entries.capacity() {
            order(&mut entries);
            // With less room than this for the next, many keys would be put in order often.
            if entries.len() > entries.capacity() / 2 {
                entries.reserve_exact(entries.len());
            }
        }
        entries.push(entry);
    }
    order(&mut entries);
    entries
}

/// Of equal keys the one that lies in front is kept.
fn order(entries: &mut Vec<Encoded<'_>>) {
    steps::count(entries.len());
    entries.sort_unstable_by(|a, b| {
        let keys = a.key_bytes().cmp(b.key_bytes());
        keys.then_with(|| a.0.as_ptr().addr().cmp(&b.0.as_ptr().addr()))
    });
    entries.dedup_by(|later, first| later.key_bytes() == first.key_bytes());
}

impl<'a> View<'a> for Value<'a> {
    #[inline]
    fn parse(raw: &'a [u8]) -> Self {
        for field in WireFields::new(raw) {
            return match (field.number, field.value) {
                (1, wire::WireValue::Bytes(content)) => Self::Str(text(content)),
                (2, wire::WireValue::Varint(value)) => Self::Bool(value != 0),
                (3, wire::WireValue::Varint(value)) => Self::Int(value.cast_signed()),
                (4, wire::WireValue::Fixed64(bits)) => Self::Double(f64::from_bits(bits)),
                (5, wire::WireValue::Bytes(content)) => Self::Array(Array(content)),
                (6, wire::WireValue::Bytes(content)) => Self::Map(Map(content)),
                (7, wire::WireValue::Bytes(content)) => Self::Bytes(content),
                // Unknown, or an index into a string table that only profiles have.
                _ => continue,
            };
        }
        Self::Empty
    }
}

impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Empty => Ok(()),
            Self::Str(text) => f.write_str(text),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Double(value) if value.is_finite() => write_double(f, value),
            // The Collector's text is the complaint of Go's JSON encoder.
            Self::Double(value) => {
                f.write_str("json: unsupported value: ")?;
                f.write_str(if value.is_nan() {
                    "NaN"
                } else if value > 0.0 {
                    "+Inf"
                } else {
                    "-Inf"
                })
            }
            Self::Bytes(bytes) => write!(f, "{}", base64(bytes)),
            // What JSON can't express makes the whole text empty there.
            Self::Array(_) | Self::Map(_) if !self.is_json() => Ok(()),
            Self::Array(_) | Self::Map(_) => self.write_json(f),
        }
    }
}

impl Value<'_> {
    /// Whether every number in it is finite.
    fn is_json(&self) -> bool {
        match self {
            Self::Double(value) => value.is_finite(),
            Self::Array(array) => array.iter().all(|value| value.is_json()),
            Self::Map(map) => map.iter().all(|entry| entry.value.is_json()),
            _ => true,
        }
    }

    fn write_json(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("null"),
            Self::Str(text) => write_json_string(f, text),
            Self::Bytes(bytes) => write!(f, "\"{}\"", base64(bytes)),
            Self::Array(array) => {
                f.write_char('[')?;
                for (index, value) in array.iter().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    value.write_json(f)?;
                }
                f.write_char(']')
            }
            Self::Map(map) => {
                f.write_char('{')?;
                for (index, entry) in map.sorted().enumerate() {
                    if index > 0 {
                        f.write_char(',')?;
                    }
                    write_json_string(f, entry.key)?;
                    f.write_char(':')?;
                    entry.value.write_json(f)?;
                }
                f.write_char('}')
            }
            Self::Bool(_) | Self::Int(_) | Self::Double(_) => fmt::Display::fmt(self, f),
        }
    }
}

/// A finite number as JavaScript writes it: the shortest digits that read back the same,
/// with an exponent below 1e-6 and from 1e21.
fn write_double(f: &mut fmt::Formatter<'_>, value: f64) -> fmt::Result {
    let size = value.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let digits = format!("{value:e}");
        match digits.split_once('e') {
            Some((digits, exponent)) if !exponent.starts_with('-') => {
                write!(f, "{digits}e+{exponent}")
            }
            _ => f.write_str(&digits),
        }
    } else {
        write!(f, "{value}")
    }
}

/// A string as the Collector writes it: as Go's JSON encoder does, without its care for HTML.
fn write_json_string(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => {
                write!(f, "\\u{:04x}", u32::from(char))?;
            }
            _ => f.write_char(char)?,
        }
    }
    f.write_char('"')
}

fn base64(bytes: &[u8]) -> Base64Display<'_, 'static, GeneralPurpose> {
    Base64Display::new(bytes, &STANDARD)
}
