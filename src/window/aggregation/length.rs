//! How long a window is.

use std::sync::Arc;

use thiserror::Error;

/// How long a window is. It is shown as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowLength {
    text: Arc<str>,
    millis: i64,
}

/// A text that is no length of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("expected a duration from 1s to 30d, such as 5m, 90s, 1h30m or 7d")]
pub struct InvalidLength;

/// Units and their milliseconds, in the order in which they may follow each other.
const UNITS: [(&str, i64); 6] = [
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// The longest text that is read.
const LONGEST: usize = 32;

impl WindowLength {
    /// Reads a length, as Prometheus writes durations: whole numbers with units, the larger
    /// first.
    ///
    /// # Errors
    ///
    /// If it is none, shorter than a second or longer than 30 days.
    pub fn parse(text: &str) -> Result<Self, InvalidLength> {
        if text.len() > LONGEST {
            return Err(InvalidLength);
        }
        let mut units = UNITS.iter();
        let mut millis: i64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .ok_or(InvalidLength)?;
            let (number, after) = rest.split_at(digits);
            let letters = after.find(|c: char| c.is_ascii_digit());
            let (unit, after) = after.split_at(letters.unwrap_or(after.len()));
            let (_, unit) = units.find(|(name, _)| *name == unit).ok_or(InvalidLength)?;
            let number: i64 = number.parse().map_err(|_| InvalidLength)?;
            let more = number.checked_mul(*unit).ok_or(InvalidLength)?;
            millis = millis.checked_add(more).ok_or(InvalidLength)?;
            rest = after;
        }
        if !(1000..=30 * 86_400_000).contains(&millis) {
            return Err(InvalidLength);
        }
        Ok(Self {
            text: text.into(),
            millis,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// In milliseconds.
    #[must_use]
    pub fn millis(&self) -> i64 {
        self.millis
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_as_prometheus_writes_it_and_shown_as_it_was_written() {
        let f = |text: &str, millis: i64| {
            let length = WindowLength::parse(text).unwrap();
            assert_eq!((length.text(), length.millis()), (text, millis));
        };
        f("5m", 300_000);
        f("300s", 300_000);
        f("24h", 86_400_000);
        f("1d", 86_400_000);
        f("1h30m", 5_400_000);
        f("1s500ms", 1500);
        f("2000ms", 2000);
        f("4w2d", 30 * 86_400_000);
        f("005m", 300_000);
    }

    #[test]
    fn what_is_no_length_or_out_of_range_is_refused() {
        for text in [
            "",
            "5",
            "m",
            "5x",
            "-5m",
            "5m ",
            "1.5h",
            "5m1h",
            "1m1m",
            "0s",
            "999ms",
            "31d",
            "99999999999999999999s",
            "9223372036854775807w",
            "1h30",
            "5M",
            "5m\n",
            "000000000000000000000000000000005m",
        ] {
            assert_eq!(WindowLength::parse(text), Err(InvalidLength), "{text}");
        }
    }
}
