//! Durations and sizes: read, and shown as a configuration would write them.

use std::fmt;
use std::time::Duration;

use super::scalar::{scalar, wrong};
use super::{FromValue, PlacedNode, Ranged};

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// Units from the largest, in nanoseconds.
const UNITS: [(&str, u64); 3] = [
    ("h", 3600 * NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("s", NANOS_PER_SECOND),
];

/// Shows a duration in Go's notation: 90 s as `1m30s`.
///
/// ```
/// # use std::time::Duration;
/// # use foghorn::yaml::GoDuration;
/// assert_eq!(GoDuration(Duration::from_millis(1500)).to_string(), "1.5s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.subsec_nanos();
        let seconds = self.0.as_secs();
        match (seconds, nanos) {
            (0, 0) => return f.write_str("0s"),
            (0, 1..1_000) => return write!(f, "{nanos}ns"),
            (0, 1_000..1_000_000) => return write!(f, "{}us", f64::from(nanos) / 1e3),
            (0, _) => return write!(f, "{}ms", f64::from(nanos) / 1e6),
            _ => {}
        }
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        match (seconds, nanos) {
            (0, 0) => Ok(()),
            (_, 0) => write!(f, "{seconds}s"),
            _ => {
                let fraction = format!("{nanos:09}");
                write!(f, "{seconds}.{}s", fraction.trim_end_matches('0'))
            }
        }
    }
}

impl FromValue for Duration {
    /// Go's notation, as in the Collector: `15s`, `200ms`, `1h30m`, `1.5h`, `0`.
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const WANTED: &str = "a duration such as 15s, 200ms or 1h30m";
        let text = scalar(value, WANTED)?;
        match parse_duration(text) {
            Some(duration) => Some(duration),
            None if text.parse::<f64>().is_ok_and(f64::is_finite) => value.error(format_args!(
                "expected {WANTED}, found {} without a unit",
                value.shown()
            )),
            None => wrong(value, WANTED),
        }
    }
}

impl Ranged for Duration {
    fn shown(&self) -> String {
        GoDuration(*self).to_string()
    }
}

/// A number of bytes: `10MiB`, `512KB` or a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl fmt::Display for ByteSize {
    /// In the largest unit that is exact, so that nothing is rounded away.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (unit, shift) in [("GiB", 30), ("MiB", 20), ("KiB", 10)] {
            if self.0 > 0 && self.0.trailing_zeros() >= shift {
                return write!(f, "{}{unit}", self.0 >> shift);
            }
        }
        write!(f, "{}B", self.0)
    }
}

impl FromValue for ByteSize {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const WANTED: &str = "a size such as 10MiB";
        let text = scalar(value, WANTED)?;
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) => Some(Self(size.0)),
            Err(_) => wrong(value, WANTED),
        }
    }
}

impl Ranged for ByteSize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

/// Reads Go's duration notation, exactly. Negative durations have no use here and are
/// refused.
fn parse_duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut nanos: u64 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let letters = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let unit = match unit {
            "ns" => 1,
            // The micro sign, and the Greek letter that looks like it.
            "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
            "ms" => 1_000_000,
            unit => UNITS.iter().find(|(name, _)| *name == unit)?.1,
        };
        nanos = nanos.checked_add(scaled(number, unit)?)?;
        rest = after;
    }
    // The largest duration that Go has, about 292 years.
    (nanos <= i64::MAX as u64).then(|| Duration::from_nanos(nanos))
}

/// A decimal number times a unit, rounded down to whole nanoseconds.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
        return None;
    }
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut nanos = whole.checked_mul(unit)?;
    // Each digit after the point is worth a tenth of the one before.
    let mut worth = u128::from(unit) * 1_000_000_000;
    let mut below_one: u128 = 0;
    for digit in fraction.bytes() {
        worth /= 10;
        below_one += u128::from(digit - b'0') * worth;
    }
    nanos = nanos.checked_add(u64::try_from(below_one / 1_000_000_000).ok()?)?;
    Some(nanos)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        let f = |text: &str, nanos: Option<u64>| {
            assert_eq!(
                parse_duration(text),
                nanos.map(Duration::from_nanos),
                "{text}"
            );
        };
        f("15s", Some(15_000_000_000));
        f("200ms", Some(200_000_000));
        f("1h30m", Some(5_400_000_000_000));
        f("1.5h", Some(5_400_000_000_000));
        f(".5s", Some(500_000_000));
        f("1.s", Some(1_000_000_000));
        f("0.1s", Some(100_000_000));
        f("3us", Some(3_000));
        f("3\u{b5}s", Some(3_000));
        f("7ns", Some(7));
        f("0", Some(0));
        f("0s", Some(0));
        f("", None);
        f("15", None);
        f("s", None);
        f(".s", None);
        f("-1s", None);
        f("1M", None);
        f("1d", None);
        f("1 s", None);
        f("1.2.3s", None);
        f("999999999999h", None);
        f("9223372036854775808ns", None);
    }

    #[test]
    fn durations_are_shown_as_go_shows_them() {
        let f = |nanos: u64, expected: &str| {
            assert_eq!(
                GoDuration(Duration::from_nanos(nanos)).to_string(),
                expected
            );
        };
        f(0, "0s");
        f(7, "7ns");
        f(1_500, "1.5us");
        f(200_000_000, "200ms");
        f(1_500_000_000, "1.5s");
        f(90_000_000_000, "1m30s");
        f(3_600_000_000_000, "1h");
        f(3_601_000_000_001, "1h1.000000001s");
    }

    #[test]
    fn sizes_are_shown_without_rounding() {
        let f = |bytes: u64, expected: &str| assert_eq!(ByteSize(bytes).to_string(), expected);
        f(0, "0B");
        f(1000, "1000B");
        f(1024, "1KiB");
        f(10 << 20, "10MiB");
        f((10 << 20) + 1024, "10241KiB");
        f(3 << 40, "3072GiB");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(nanos in 0..=i64::MAX as u64, coarse in any::<bool>()) {
            let nanos = if coarse { nanos / 1_000_000 * 1_000_000 } else { nanos };
            let duration = Duration::from_nanos(nanos);
            prop_assert_eq!(parse_duration(&GoDuration(duration).to_string()), Some(duration));
        }

        #[test]
        fn a_size_that_is_shown_reads_back(bytes in 0..1_u64 << 53, zeros in 0..50_u32) {
            let size = ByteSize(bytes >> zeros << zeros);
            // The parser of sizes calculates in f64, which is exact up to 2^53.

            let read: bytesize::ByteSize = size.to_string().parse().unwrap();
            prop_assert_eq!(read.0, size.0);
        }
    }
}
