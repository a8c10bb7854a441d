//! Times and durations as Prometheus's API takes them: numbers of seconds, or words.

use std::sync::LazyLock;

use regex::Regex;

/// Times are taken to be within this many milliseconds of 1970, some 285,000 years, so that
/// sums of a few of them stay numbers. Clients ask for all there is with times far beyond.
pub(super) const FURTHEST: i64 = i64::MAX / 1_024;

/// How clients write the first and the last time there is for them.
const ENDS: [(&str, i64); 2] = [
    ("-292273086-05-16T16:47:06Z", -FURTHEST),
    ("+292277025-08-18T07:12:54.999999999Z", FURTHEST),
];

const NANOSECONDS: f64 = 1e9;

/// A time in milliseconds since 1970: seconds with a fraction, or RFC 3339.
pub(super) fn parse_time(text: &str) -> Option<i64> {
    if let Some(seconds) = number(text) {
        let millis = if seconds.is_finite() {
            seconds.trunc() * 1_000.0 + (seconds.fract() * 1_000.0).round()
        } else {
            seconds
        };
        return (!millis.is_nan()).then(|| (millis as i64).clamp(-FURTHEST, FURTHEST));
    }
    let end = ENDS.iter().find(|(written, _)| *written == text);
    end.map(|(_, millis)| *millis).or_else(|| rfc3339(text))
}

/// A duration in nanoseconds: seconds with a fraction, or as in PromQL (`1h30m`, `250ms`).
/// `None` where it is neither, and where no 64 bits hold it.
pub(super) fn parse_duration(text: &str) -> Option<i64> {
    if let Some(seconds) = number(text) {
        let nanoseconds = seconds * NANOSECONDS;
        let fits = nanoseconds >= i64::MIN as f64 && nanoseconds <= i64::MAX as f64;
        return fits.then_some(nanoseconds as i64);
    }
    written_duration(text)
}

/// A number as Go reads one; what only Rust does (`infinity` in capitals, `+nan`) doesn't matter.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    // Go refuses numbers that are too large, and has no other way to write infinity than by name.
    let is_named = text.contains(['n', 'N']);
    (number.is_finite() || is_named).then_some(number)
}

/// Units from the longest to the shortest, each at most once.
fn written_duration(text: &str) -> Option<i64> {
    /// What can't be read at compile time would be found by every test of this file.
    static DURATION: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let units = ["y", "w", "d", "h", "m", "s", "ms"];
        let units = units.map(|unit| format!("(?:([0-9]+){unit})?"));
        Regex::new(&format!("^{}$", units.concat())).ok()
    });
    const MILLISECONDS: [i64; 7] = [
        365 * 86_400_000,
        7 * 86_400_000,
        86_400_000,
        3_600_000,
        60_000,
        1_000,
        1,
    ];
    if text.is_empty() {
        return None;
    }
    let found = DURATION.as_ref()?.captures(text)?;
    let mut millis: i64 = 0;
    for (at, unit) in MILLISECONDS.iter().enumerate() {
        if let Some(count) = found.get(at + 1) {
            let count: i64 = count.as_str().parse().ok()?;
            millis = millis.checked_add(count.checked_mul(*unit)?)?;
        }
    }
    millis.checked_mul(1_000_000)
}

/// `2026-11-26T20:35:00.5+01:00`.
fn rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T')?;
    let mut date = date.split('-');
    let year = digits(date.next()?, 4, 0..=9_999)?;
    let month = digits(date.next()?, 2, 1..=12)?;
    let day = digits(date.next()?, 2, 1..=days_of(year, month))?;
    if date.next().is_some() {
        return None;
    }
    let zone = time.find(['Z', '+', '-'])?;
    let (time, zone) = time.split_at(zone);
    let (time, fraction) = match time.split_once(['.', ',']) {
        Some((time, fraction)) => (time, Some(fraction)),
        None => (time, None),
    };
    let mut time = time.split(':');
    let hour = digits(time.next()?, 2, 0..=23)?;
    let minute = digits(time.next()?, 2, 0..=59)?;
    let second = digits(time.next()?, 2, 0..=59)?;
    if time.next().is_some() {
        return None;
    }
    let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
    let seconds = seconds - offset(zone)?;
    Some(seconds * 1_000 + fraction.map_or(Some(0), milliseconds)?)
}

/// So many digits, and what they say, if it lies in this range.
fn digits(text: &str, count: usize, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    let are_digits = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = are_digits.then(|| text.parse().ok())??;
    range.contains(&number).then_some(number)
}

/// The first three digits of a fraction.
fn milliseconds(fraction: &str) -> Option<i64> {
    let are_digits = fraction.bytes().all(|byte| byte.is_ascii_digit());
    if fraction.is_empty() || !are_digits {
        return None;
    }
    let padded = format!("{fraction:0<3}");
    padded.get(..3)?.parse().ok()
}

/// The seconds by which a zone is ahead.
fn offset(zone: &str) -> Option<i64> {
    let sign = match zone.as_bytes().first()? {
        b'Z' => return (zone.len() == 1).then_some(0),
        b'-' => -1,
        _ => 1,
    };
    let (hours, minutes) = zone.get(1..)?.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2, 0..=23)?, digits(minutes, 2, 0..=59)?);
    Some(sign * (hours * 3_600 + minutes * 60))
}

fn days_of(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970 to a day of the Gregorian calendar. Years are counted from March, so that a
/// leap day is the last of its year.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let months = (month + 9) % 12;
    let days = (153 * months + 2) / 5 + day - 1;
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + days - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_or_dates() {
        let f =
            |text: &str, expected: Option<i64>| assert_eq!(parse_time(text), expected, "{text}");
        f("0", Some(0));
        f("1.5", Some(1_500));
        f("-1.5", Some(-1_500));
        f("1435781451.781", Some(1_435_781_451_781));
        f("1.0006", Some(1_001));
        f("1e3", Some(1_000_000));
        f("1970-01-01T00:00:00Z", Some(0));
        f("2026-11-26T20:35:00Z", Some(1_795_725_300_000));
        f("2026-11-26T20:35:00.5+01:00", Some(1_795_721_700_500));
        f(
            "2026-11-26T20:35:00.123456789-00:30",
            Some(1_795_727_100_123),
        );
        f("1969-12-31T23:59:59.999Z", Some(-1));
        f("2024-02-29T00:00:00Z", Some(1_709_164_800_000));
        f("0000-01-01T00:00:00Z", Some(-62_167_219_200_000));
        // What clients send for all there is.
        f("-9223309901257974", Some(-FURTHEST));
        f("9223309901257974", Some(FURTHEST));
        f("+292277025-08-18T07:12:54.999999999Z", Some(FURTHEST));
        f("-Inf", Some(-FURTHEST));
        for wrong in [
            "",
            "x",
            "NaN",
            "1e400",
            "0x10",
            "2026-11-26",
            "2026-11-26T20:35Z",
            "2026-11-26T20:35:00",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-1-1T00:00:00Z",
            "2026-11-26T24:00:00Z",
            "2026-11-26T20:35:00.Z",
            "2026-11-26T20:35:00Zx",
            "2026-11-26T20:35:00+0100",
            "+026-11-26T20:35:00Z",
        ] {
            f(wrong, None);
        }
    }

    #[test]
    fn durations_are_numbers_or_units() {
        let f = |text: &str, milliseconds: Option<i64>| {
            let expected = milliseconds.map(|milliseconds| milliseconds * 1_000_000);
            assert_eq!(parse_duration(text), expected, "{text}");
        };
        f("15", Some(15_000));
        f("0.5", Some(500));
        f("-1", Some(-1_000));
        f("0", Some(0));
        f("1h30m", Some(5_400_000));
        f("250ms", Some(250));
        f(
            "1y1w1d1h1m1s1ms",
            Some(365 * 86_400_000 + 7 * 86_400_000 + 86_400_000 + 3_661_001),
        );
        f("300y", None);
        f("9999999999999999999h", None);
        for wrong in ["", "x", "1m1h", "1h 1m", "1.5h", "h", "1e20", "NaN", "-1h"] {
            f(wrong, None);
        }
    }
}
