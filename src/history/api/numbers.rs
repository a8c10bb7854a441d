//! Numbers, times and texts as Prometheus writes them in JSON.

use crate::exposition::{EXACT, exponential, special};

/// Appends a sample's value, quoted: the shortest digits, with an exponent below 1e-6 and from
/// 1e21 on.
pub(super) fn value(out: &mut Vec<u8>, number: f64) {
    out.push(b'"');
    let size = number.abs();
    if number.is_finite() && size != 0.0 && !(1e-6..1e21).contains(&size) {
        out.extend_from_slice(exponential(number).as_bytes());
    } else {
        plain(out, number);
    }
    out.push(b'"');
}

/// Appends a scalar's value, quoted, which never has an exponent.
pub(super) fn scalar(out: &mut Vec<u8>, number: f64) {
    out.push(b'"');
    plain(out, number);
    out.push(b'"');
}

/// Appends milliseconds as seconds.
pub(super) fn seconds(out: &mut Vec<u8>, millis: i64) {
    if millis < 0 {
        out.push(b'-');
    }
    let millis = millis.unsigned_abs();
    let whole = itoa::Buffer::new().format(millis / 1_000).to_owned();
    out.extend_from_slice(whole.as_bytes());
    let rest = millis % 1_000;
    if rest > 0 {
        out.push(b'.');
        out.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| b'0' + digit as u8));
    }
}

/// Appends a text, quoted.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    // A text can always be written to a vector.
    let _ = serde_json::to_writer(out, text);
}

fn plain(out: &mut Vec<u8>, number: f64) {
    let whole = number as i64;
    if number.abs() < EXACT && whole as f64 == number && !(whole == 0 && number.is_sign_negative())
    {
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        return;
    }
    if !number.is_finite() {
        out.extend_from_slice(special(number).as_bytes());
        return;
    }
    let mut buffer = zmij::Buffer::new();
    let short = buffer.format_finite(number);
    if short.contains('e') || short.ends_with(".0") {
        // Digits without an exponent, however many; it takes longer and is rare.
        out.extend_from_slice(number.to_string().as_bytes());
    } else {
        out.extend_from_slice(short.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_written_as_go_writes_them() {
        let f = |number: f64, expected: &str| {
            let expected = format!("{expected:?}");
            assert_eq!(written(|out| value(out, number)), expected);
        };
        f(0.0, "0");
        f(-0.0, "-0");
        f(1.0, "1");
        f(-42.0, "-42");
        f(0.1, "0.1");
        f(1.5e-6, "0.0000015");
        f(1e-6, "0.000001");
        f(9.9e-7, "9.9e-07");
        f(5e-324, "5e-324");
        f(9_007_199_254_740_992.0, "9007199254740992");
        f(1e20, "100000000000000000000");
        f(123_456_789.125, "123456789.125");
        f(1e21, "1e+21");
        f(-1.5e300, "-1.5e+300");
        f(f64::NAN, "NaN");
        f(f64::INFINITY, "+Inf");
        f(f64::NEG_INFINITY, "-Inf");
        assert_eq!(
            written(|out| scalar(out, 1e21)),
            "\"1000000000000000000000\""
        );
        assert_eq!(written(|out| scalar(out, 1e-7)), "\"0.0000001\"");
    }

    #[test]
    fn seconds_have_three_digits_of_a_fraction_or_none() {
        let f = |millis: i64, expected: &str| {
            assert_eq!(written(|out| seconds(out, millis)), expected);
        };
        f(0, "0");
        f(1_000, "1");
        f(1_500, "1.500");
        f(1_435_781_451_781, "1435781451.781");
        f(-1, "-0.001");
        f(-1_500, "-1.500");
        f(i64::MIN, "-9223372036854775.808");
    }
}
