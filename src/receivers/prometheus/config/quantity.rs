//! Durations and sizes as Prometheus writes them.

use std::fmt;
use std::time::Duration;

use crate::yaml::{FromValue, PlacedNode, Ranged};

const MILLIS_PER_DAY: u64 = 24 * 3600 * 1000;

/// Units from the largest, in milliseconds, and whether a duration is shown in them only if they
/// are exact.
const UNITS: [(&str, u64, bool); 7] = [
    ("y", 365 * MILLIS_PER_DAY, true),
    ("w", 7 * MILLIS_PER_DAY, true),
    ("d", MILLIS_PER_DAY, false),
    ("h", 3600 * 1000, false),
    ("m", 60 * 1000, false),
    ("s", 1000, false),
    ("ms", 1, false),
];

/// The largest duration that Go has, in milliseconds: about 292 years.
const LARGEST: u64 = i64::MAX as u64 / 1_000_000;

/// A duration in Prometheus's notation: whole numbers of years to milliseconds, from the largest
/// unit to the smallest, such as `1h30m` or `1d`. A day has 24 hours, a year 365 days.
///
/// ```
/// # use std::time::Duration;
/// # use foghorn::receivers::prometheus::config::ScrapeDuration;
/// let interval: ScrapeDuration = "90s".parse().unwrap();
/// assert_eq!(interval.0, Duration::from_secs(90));
/// assert_eq!(interval.to_string(), "1m30s");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrapeDuration(pub Duration);

/// The text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a valid duration")]
pub struct NoDuration;

impl std::str::FromStr for ScrapeDuration {
    type Err = NoDuration;

    fn from_str(text: &str) -> Result<Self, NoDuration> {
        let millis = match text {
            "0" => 0,
            "" => return Err(NoDuration),
            text => millis(text).ok_or(NoDuration)?,
        };
        Ok(Self(Duration::from_millis(millis)))
    }
}

fn millis(text: &str) -> Option<u64> {
    let mut units = UNITS.iter();
    let mut sum: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let letters = after.find(|c: char| c.is_ascii_digit());
        let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
        // Of the units that are left: each may come once, and none before a larger one.
        let (_, worth, _) = units.find(|(name, ..)| *name == unit)?;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(*worth)?)?;
        rest = after;
    }
    (sum <= LARGEST).then_some(sum)
}

impl fmt::Display for ScrapeDuration {
    /// As Prometheus shows it, and as targets have it in `__scrape_interval__`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, worth, only_exact) in UNITS {
            if only_exact && !millis.is_multiple_of(worth) {
                continue;
            }
            if millis >= worth {
                write!(f, "{}{unit}", millis / worth)?;
                millis %= worth;
            }
        }
        Ok(())
    }
}

impl FromValue for ScrapeDuration {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text().unwrap_or_default().parse() {
            Ok(duration) => Some(duration),
            Err(NoDuration) => value.error(format_args!(
                "expected a duration such as 15s, 1m30s or 1d, found {}",
                value.shown()
            )),
        }
    }
}

impl Ranged for ScrapeDuration {
    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A number of bytes in Prometheus's notation: with a unit, of which each is 1,024 of the one
/// before, `MB` as well as `MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BodySize(pub u64);

impl FromValue for BodySize {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match bytes(value.text().unwrap_or_default()) {
            Some(bytes) => Some(Self(bytes)),
            None => value.error(format_args!(
                "expected a size such as 10MB, found {}",
                value.shown()
            )),
        }
    }
}

impl Ranged for BodySize {
    fn shown(&self) -> String {
        match self.0.trailing_zeros() {
            _ if self.0 == 0 => "0".to_owned(),
            30.. => format!("{}GB", self.0 >> 30),
            20.. => format!("{}MB", self.0 >> 20),
            10.. => format!("{}KB", self.0 >> 10),
            _ => format!("{}B", self.0),
        }
    }
}

/// Sums of numbers with a unit, such as `1GB512MB` or `1.5MB`.
fn bytes(text: &str) -> Option<u64> {
    const PREFIXES: &str = "KMGTPE";
    if text == "0" {
        return Some(0);
    }
    if text.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let is_number = |c: char| c.is_ascii_digit() || c == '.';
        let (number, after) = rest.split_at(rest.find(|c| !is_number(c))?);
        let (unit, after) = after.split_at(after.find(is_number).unwrap_or(after.len()));
        let prefix = unit.strip_suffix("iB").filter(|prefix| !prefix.is_empty());
        let prefix = prefix.or_else(|| unit.strip_suffix('B'))?;
        let power = match prefix {
            "" => 0,
            prefix => 1 + PREFIXES.find(prefix).filter(|_| prefix.len() == 1)?,
        };
        let worth = 1_u64.checked_shl(10 * u32::try_from(power).ok()?)?;
        let counted = match number.parse::<u64>() {
            Ok(whole) => whole.checked_mul(worth)?,
            // Below 2^53 this is exact to a byte; what is larger than that is no answer's size.
            Err(_) => {
                let fraction: f64 = number.parse().ok()?;
                (fraction * worth as f64) as u64
            }
        };
        sum = sum.checked_add(counted)?;
        rest = after;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown_as_prometheus_does() {
        let f = |text: &str, expected: Option<(u64, &str)>| {
            let read = text.parse::<ScrapeDuration>().ok();
            let shown = read.map(|read| (read.0.as_millis() as u64, read.to_string()));
            let expected = expected.map(|(millis, shown)| (millis, shown.to_owned()));
            assert_eq!(shown, expected, "{text}");
        };
        f("0", Some((0, "0s")));
        f("0w", Some((0, "0s")));
        f("0s", Some((0, "0s")));
        f("324ms", Some((324, "324ms")));
        f("3s", Some((3000, "3s")));
        f("5m", Some((300_000, "5m")));
        f("1h30m", Some((5_400_000, "1h30m")));
        f("4d1h", Some((349_200_000, "4d1h")));
        f("14d", Some((1_209_600_000, "2w")));
        f("8w5d", Some((5_270_400_000, "61d")));
        f("10y", Some((315_360_000_000, "10y")));
        f("1y1ms", Some((31_536_000_001, "365d1ms")));
        for text in [
            "", "1", "1y1m1d", "-1w", "1.5d", "d", "294y", "s1", "1s1s", "1 s",
        ] {
            f(text, None);
        }
    }

    #[test]
    fn sizes_are_read_as_prometheus_reads_them() {
        let f = |text: &str, expected: Option<u64>| assert_eq!(bytes(text), expected, "{text}");
        f("0", Some(0));
        f("10MB", Some(10 << 20));
        f("10MiB", Some(10 << 20));
        f("1GB512MB", Some((1 << 30) + (512 << 20)));
        f("1.5KB", Some(1536));
        f("7B", Some(7));
        for text in [
            "",
            "1",
            "1M",
            "MB",
            "1mb",
            "-1MB",
            "1KMB",
            "1 MB",
            "1iB",
            "99999999EB",
        ] {
            f(text, None);
        }
    }
}
