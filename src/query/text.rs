//! Numbers as Prometheus writes them in labels and messages, and the length of messages.

use std::fmt;

/// The shortest digits, with an exponent below 1e-4 and from 1e+06 on: Go's `%g`.
pub(super) fn general(value: f64) -> String {
    let scientific = format!("{value:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else {
        return decimal(value);
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if value == 0.0 || (-4..6).contains(&exponent) {
        return decimal(value);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", exponent.abs())
}

/// Without an exponent, whatever its size: how `count_values` names a value.
pub(super) fn decimal(value: f64) -> String {
    if value.is_nan() {
        "NaN".into()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.into()
    } else {
        format!("{value}")
    }
}

/// A text that is cut where it becomes too long to be read. What a query is told quotes
/// labels, which may have any length; no more of them is written than is kept.
pub(super) fn shortened(text: fmt::Arguments<'_>) -> String {
    struct Short(String);
    impl fmt::Write for Short {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = MOST_TOLD.saturating_sub(self.0.len());
            if text.len() <= room {
                self.0.push_str(text);
                return Ok(());
            }
            self.0.push_str(&text[..text.floor_char_boundary(room)]);
            self.0.push('…');
            Err(fmt::Error)
        }
    }
    let mut short = Short(String::new());
    // The error is that it was too long.
    let _ = fmt::Write::write_fmt(&mut short, text);
    short.0
}

/// Some names of metrics in full, and few of the longest labels.
const MOST_TOLD: usize = 4 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        let f = |value: f64, expected: &str| assert_eq!(general(value), expected);
        f(0.0, "0");
        f(-0.0, "-0");
        f(3.0, "3");
        f(123_456.0, "123456");
        f(1e6, "1e+06");
        f(1_234_567.0, "1.234567e+06");
        f(1e21, "1e+21");
        f(0.0001, "0.0001");
        f(0.00001, "1e-05");
        f(f64::INFINITY, "+Inf");
        f(f64::NEG_INFINITY, "-Inf");
        f(f64::NAN, "NaN");
        assert_eq!(decimal(1e21), "1000000000000000000000");
    }
}
