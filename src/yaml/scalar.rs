//! Scalars by their target type.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{FromValue, NodeKind, PlacedNode, Ranged, Secret};

impl FromValue for String {
    /// Any scalar as it is written: `010` stays `010` and `yes` stays `yes`.
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        Some(scalar(value, "a string")?.to_owned())
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        Some(scalar(value, "a path")?.into())
    }
}

impl FromValue for bool {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match scalar(value, "true or false")? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            _ => wrong(value, "true or false"),
        }
    }
}

/// Whole numbers: decimal, nothing else. `0x10`, `1_000` and `1e3` are what YAML parsers
/// disagree about.
macro_rules! whole_number {
    ($($number:ty, $wanted:literal;)*) => {$(
        impl FromValue for $number {
            fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
                parse(value, $wanted)
            }
        }

        impl Ranged for $number {
            fn shown(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

whole_number! {
    u16, "a whole number up to 65535";
    u32, "a whole number up to 4294967295";
    u64, "a whole number";
    usize, "a whole number";
    i64, "a whole number, negative or not";
}

impl FromValue for f64 {
    /// A finite number: NaN and infinities are configuration errors everywhere.
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let number: f64 = parse(value, "a number")?;
        if number.is_finite() {
            Some(number)
        } else {
            value.error("expected a finite number")
        }
    }
}

impl Ranged for f64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl FromValue for SocketAddr {
    /// An IP address and a port, with `localhost` for 127.0.0.1.
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const WANTED: &str = "an IP address and a port, such as 127.0.0.1:9200";
        let text = scalar(value, WANTED)?;
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        match numeric.parse() {
            Ok(address) => Some(address),
            Err(_) => wrong(value, WANTED),
        }
    }
}

impl FromValue for Secret {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.mark_secret();
        match value.text() {
            Some(text) => Some(Self::new(text)),
            // The usual message would show what was found.
            None => value.error("expected a secret as a string"),
        }
    }
}

/// Whether it is the word `false`.
pub fn is_false(value: &PlacedNode<'_>) -> bool {
    value.text() == Some("false")
}

/// Whether it is the word `true`.
pub fn is_true(value: &PlacedNode<'_>) -> bool {
    value.text() == Some("true")
}

/// Whether it is zero, of whatever unit.
pub fn is_zero(value: &PlacedNode<'_>) -> bool {
    matches!(value.text(), Some("0" | "0s"))
}

/// Whether it is nothing, an empty list or an empty map.
pub fn is_empty(value: &PlacedNode<'_>) -> bool {
    match &value.node().kind {
        NodeKind::Null => true,
        NodeKind::List(items) => items.is_empty(),
        NodeKind::Map(entries) => entries.is_empty(),
        NodeKind::Scalar { .. } | NodeKind::Secret { .. } => false,
    }
}

/// The text of a scalar, or a problem that says what was wanted.
pub(super) fn scalar<'a>(value: &PlacedNode<'a>, wanted: &str) -> Option<&'a str> {
    match &value.node().kind {
        NodeKind::Scalar { text, .. } => Some(text),
        NodeKind::Secret { text, .. } => Some(text.expose()),
        _ => wrong(value, wanted),
    }
}

pub(super) fn parse<T: std::str::FromStr>(value: &PlacedNode<'_>, wanted: &str) -> Option<T> {
    let text = scalar(value, wanted)?;
    match text.parse() {
        Ok(parsed) => Some(parsed),
        Err(_) => wrong(value, wanted),
    }
}

/// Reports what was wanted beside what was found.
pub(super) fn wrong<T>(value: &PlacedNode<'_>, wanted: &str) -> Option<T> {
    value.error(format_args!("expected {wanted}, found {}", value.shown()))
}
