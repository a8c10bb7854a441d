//! Scalars by their target type.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use super::field::describe;
use super::{FromValue, NodeKind, Value};

impl FromValue for String {
    /// Any scalar as it is written: `010` stays `010` and `yes` stays `yes`.
    fn from_value(value: &Value<'_>) -> Option<Self> {
        Some(scalar(value, "a string")?.to_owned())
    }
}

impl FromValue for PathBuf {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        Some(scalar(value, "a path")?.into())
    }
}

impl FromValue for bool {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        match scalar(value, "true or false")? {
            "true" | "True" | "TRUE" => Some(true),
            "false" | "False" | "FALSE" => Some(false),
            other => value.error(format_args!("expected true or false, found `{other}`")),
        }
    }
}

impl FromValue for u64 {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        parse(value, "a whole number")
    }
}

impl FromValue for usize {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        parse(value, "a whole number")
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        parse(value, "a whole number, negative or not")
    }
}

impl FromValue for u16 {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        parse(value, "a whole number up to 65535")
    }
}

impl FromValue for f64 {
    /// A finite number: NaN and infinities are configuration errors everywhere.
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let number: f64 = parse(value, "a number")?;
        if number.is_finite() {
            Some(number)
        } else {
            value.error("expected a finite number")
        }
    }
}

impl FromValue for SocketAddr {
    /// An IP address and a port, with `localhost` for 127.0.0.1.
    fn from_value(value: &Value<'_>) -> Option<Self> {
        const WANTED: &str = "an IP address and a port, such as 127.0.0.1:9200";
        let text = scalar(value, WANTED)?;
        let numeric = match text.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => text.to_owned(),
        };
        match numeric.parse() {
            Ok(address) => Some(address),
            Err(_) => value.error(format_args!("expected {WANTED}, found `{text}`")),
        }
    }
}

impl FromValue for Duration {
    /// Go's notation, as in the Collector: `15s`, `200ms`, `1h30m`, `1.5h`, `0`.
    fn from_value(value: &Value<'_>) -> Option<Self> {
        const WANTED: &str = "a duration such as 15s, 200ms or 1h30m";
        let text = scalar(value, WANTED)?;
        match parse_duration(text) {
            Some(duration) => Some(duration),
            None if text.parse::<f64>().is_ok() => value.error(format_args!(
                "expected {WANTED}, found `{text}` without a unit"
            )),
            None => value.error(format_args!("expected {WANTED}, found `{text}`")),
        }
    }
}

/// A number of bytes: `10MiB`, `512KB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        bytesize::ByteSize(self.0).fmt(f)
    }
}

impl FromValue for ByteSize {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        const WANTED: &str = "a size such as 10MiB";
        let text = scalar(value, WANTED)?;
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) => Some(Self(size.0)),
            Err(_) => value.error(format_args!("expected {WANTED}, found `{text}`")),
        }
    }
}

/// Text that no log, error, span or dump can print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that came from elsewhere, such as a file.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl FromValue for Secret {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        value.mark_secret();
        match value.text() {
            Some(text) => Some(Self(text.to_owned())),
            // The usual message would show what was found.
            None => value.error("expected a secret as a string"),
        }
    }
}

/// The text of a scalar, or a problem that says what was wanted.
fn scalar<'a>(value: &Value<'a>, wanted: &str) -> Option<&'a str> {
    match &value.node().kind {
        NodeKind::Scalar { text, .. } => Some(text),
        other => value.error(format_args!("expected {wanted}, found {}", describe(other))),
    }
}

fn parse<T: std::str::FromStr>(value: &Value<'_>, wanted: &str) -> Option<T> {
    let text = scalar(value, wanted)?;
    match text.parse() {
        Ok(parsed) => Some(parsed),
        Err(_) => value.error(format_args!("expected {wanted}, found `{text}`")),
    }
}

/// Reads Go's duration notation. Negative durations have no use here and are refused.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut nanos = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return None,
        };
        nanos += number * unit;
        rest = &rest[letters..];
    }
    // 2^63 ns is the largest duration that Go has, about 292 years.
    (!text.is_empty() && nanos < 9.2e18).then(|| Duration::from_nanos(nanos.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let f = |text: &str, millis: Option<u64>| {
            assert_eq!(
                parse_duration(text),
                millis.map(Duration::from_millis),
                "{text}"
            );
        };
        f("15s", Some(15_000));
        f("200ms", Some(200));
        f("1h30m", Some(5_400_000));
        f("1.5h", Some(5_400_000));
        f("0", Some(0));
        f("0s", Some(0));
        f("", None);
        f("15", None);
        f("s", None);
        f("-1s", None);
        f("1M", None);
        f("1 s", None);
        f("1.2.3s", None);
        f("999999999999h", None);
    }

    #[test]
    fn a_secret_prints_nothing_of_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "[redacted]");
    }
}
