//! Numbers as text.

/// Whole numbers below this are exact in a double, and shorter without a fraction.
pub const EXACT: f64 = 9_007_199_254_740_992.0;

/// Appends a sample's value: the shortest digits that read back the same.
#[inline]
pub(super) fn value(out: &mut Vec<u8>, number: f64) {
    // Compared this way round, since `trunc` is a call where the processor's baseline lacks
    // the instruction. Minus zero loses its sign here, which no scraper can tell from zero.
    let whole = number as i64;
    if number.abs() < EXACT && whole as f64 == number {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
    } else if number.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(number).as_bytes());
    } else {
        out.extend_from_slice(special(number).as_bytes());
    }
}

/// Appends a whole number.
#[inline]
pub(super) fn integer(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Appends milliseconds as the seconds that OpenMetrics wants.
pub(super) fn seconds(out: &mut Vec<u8>, millis: i64) {
    if millis < 0 {
        out.push(b'-');
    }
    let millis = millis.unsigned_abs();
    integer(out, millis / 1000);
    out.push(b'.');
    let rest = millis % 1000;
    out.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
}

/// A bucket's bound or a quantile, written as Go writes it, for which OpenMetrics has a
/// canonical form: `0.5`, `1.0`, `1e+06`. Text 0.0.4 has `1` for `1.0`.
pub fn canonical(number: f64) -> String {
    if !number.is_finite() {
        return special(number).to_owned();
    }
    let (mantissa, exponent) = scientific(number);
    if number != 0.0 && !(-4..6).contains(&exponent) {
        with_exponent(&mantissa, exponent)
    } else if number.trunc() == number {
        format!("{number:.1}")
    } else {
        positional(&mantissa, exponent)
    }
}

/// The shortest digits of a finite number, with an exponent as Go writes it: of at least two
/// digits, and always with its sign.
pub fn exponential(number: f64) -> String {
    let (mantissa, exponent) = scientific(number);
    with_exponent(&mantissa, exponent)
}

/// Mantissa and exponent. The shortest digits that read back the same; of two that are equally
/// close, those that end evenly, as in Go. Rust's own formatting takes the others.
fn scientific(number: f64) -> (String, i32) {
    let mut buffer = zmij::Buffer::new();
    let written = buffer.format_finite(number);
    let (sign, written) = match written.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", written),
    };
    let (digits, exponent) = written.split_once('e').unwrap_or((written, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let zeros = all.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    let Some((first, rest)) = significant.split_at_checked(1) else {
        return (format!("{sign}0"), 0);
    };
    let exponent = exponent + whole.len() as i32 - 1 - zeros as i32;
    let point = if rest.is_empty() { "" } else { "." };
    (format!("{sign}{first}{point}{rest}"), exponent)
}

/// The same number without an exponent, which is small.
fn positional(mantissa: &str, exponent: i32) -> String {
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    match usize::try_from(exponent) {
        Ok(exponent) => {
            let (whole, fraction) = digits
                .split_at_checked(exponent + 1)
                .unwrap_or((&digits, ""));
            format!("{sign}{whole}.{fraction}")
        }
        Err(_) => {
            let zeros = "0".repeat(exponent.unsigned_abs() as usize - 1);
            format!("{sign}0.{zeros}{digits}")
        }
    }
}

fn with_exponent(mantissa: &str, exponent: i32) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

/// A number that isn't finite, as Prometheus writes it: `NaN`, `+Inf` or `-Inf`.
pub fn special(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "+Inf"
    } else {
        "-Inf"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_short_and_read_back_the_same() {
        let f = |number: f64, expected: &str| {
            assert_eq!(text(|out| value(out, number)), expected);
            assert_eq!(expected.parse::<f64>().unwrap().to_bits(), number.to_bits());
        };
        f(0.0, "0");
        f(7.0, "7");
        f(-42.0, "-42");
        f(100.0, "100");
        f(123_456_789.0, "123456789");
        f(9_007_199_254_740_991.0, "9007199254740991");
        f(0.1, "0.1");
        f(1e300, "1e+300");
        f(5e-324, "5e-324");
        f(-1.5, "-1.5");
        assert_eq!(text(|out| value(out, f64::NAN)), "NaN");
        assert_eq!(text(|out| value(out, f64::INFINITY)), "+Inf");
        assert_eq!(text(|out| value(out, f64::NEG_INFINITY)), "-Inf");
        assert_eq!(text(|out| integer(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(text(|out| integer(out, 10)), "10");
        assert_eq!(text(|out| integer(out, 99)), "99");
    }

    #[test]
    fn bounds_are_written_as_go_writes_them() {
        let f = |number: f64, expected: &str| assert_eq!(canonical(number), expected);
        f(0.0, "0.0");
        f(1.0, "1.0");
        f(0.5, "0.5");
        f(-2.0, "-2.0");
        f(100_000.0, "100000.0");
        f(1e6, "1e+06");
        f(1.5e6, "1.5e+06");
        f(0.0001, "0.0001");
        f(0.000_01, "1e-05");
        f(1e100, "1e+100");
        f(f64::INFINITY, "+Inf");
        f(-0.000_123_4, "-0.0001234");
        f(99_999.5, "99999.5");
        f(-12.5, "-12.5");
        f(1.234_567_89e8, "1.23456789e+08");
        // Two shortest forms are equally close.
        f(100_000.061_767_578_12, "100000.06176757812");
        f(5e-324, "5e-324");
        f(-1.797_693_134_862_315_7e308, "-1.7976931348623157e+308");
    }

    #[test]
    fn seconds_keep_their_milliseconds() {
        assert_eq!(
            text(|out| seconds(out, 1_700_000_000_042)),
            "1700000000.042"
        );
        assert_eq!(text(|out| seconds(out, -1)), "-0.001");
    }
}
