//! Numbers as Go reads them.

/// Prometheus's NaN: a quiet one that isn't its marker of staleness.
pub(super) const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

/// The powers of ten that are exact.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// A sample's value. Prometheus refuses hexadecimal numbers and underscores here, and numbers
/// that are too large.
#[inline]
pub(super) fn value(digits: &[u8]) -> Option<f64> {
    plain(digits).or_else(|| other(digits))
}

/// A number of few digits, with or without a fraction: nearly all of them. Exact, since both the
/// digits and the power of ten are.
#[inline]
fn plain(digits: &[u8]) -> Option<f64> {
    let (negative, digits) = match digits {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, digits),
    };
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let mut mantissa: u64 = 0;
    let mut point = None;
    for (at, byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => mantissa = mantissa * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() => point = Some(at),
            _ => return None,
        }
    }
    let fraction = match point {
        None => 0,
        Some(_) if digits.len() == 1 => return None,
        Some(at) => digits.len() - 1 - at,
    };
    if mantissa >= 1 << 53 {
        return None;
    }
    let number = mantissa as f64 / POWERS.get(fraction)?;
    Some(if negative { -number } else { number })
}

#[cold]
fn other(digits: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(digits).ok()?;
    let number: f64 = text.parse().ok()?;
    let first = text.trim_start_matches(['+', '-']).as_bytes().first()?;
    if first.eq_ignore_ascii_case(&b'n') {
        // Go knows no NaN with a sign.
        return (text.len() == 3).then_some(NAN);
    }
    // Only digits that are too large become infinite without saying so.
    (number.is_finite() || first.eq_ignore_ascii_case(&b'i')).then_some(number)
}

/// A bucket's bound or a quantile in a label: here hexadecimal numbers and underscores are
/// numbers, too.
pub(super) fn bound(text: &str) -> Option<f64> {
    let digits = text.trim_start_matches(['+', '-']);
    let hexadecimal = digits.starts_with("0x") || digits.starts_with("0X");
    if !hexadecimal && !text.contains('_') {
        return value(text.as_bytes());
    }
    let plain = without_underscores(text, hexadecimal)?;
    if hexadecimal {
        hexadecimal_number(&plain)
    } else {
        value(plain.as_bytes())
    }
}

/// `None` unless every underscore stands between digits, or between the beginning of a
/// hexadecimal number and a digit.
fn without_underscores(text: &str, hexadecimal: bool) -> Option<String> {
    let signed = text.strip_prefix(['+', '-']).unwrap_or(text);
    let number = if hexadecimal {
        signed.get(2..)?
    } else {
        signed
    };
    let mut follows_digit = hexadecimal;
    let mut underscore = false;
    for char in number.chars() {
        let digit = char.is_ascii_digit() || (hexadecimal && char.is_ascii_hexdigit());
        if char == '_' {
            if !follows_digit {
                return None;
            }
            (follows_digit, underscore) = (false, true);
        } else if digit {
            (follows_digit, underscore) = (true, false);
        } else {
            if underscore {
                return None;
            }
            follows_digit = false;
        }
    }
    (!underscore).then(|| text.replace('_', ""))
}

/// `0x1.8p3`: the exponent must be there.
fn hexadecimal_number(text: &str) -> Option<f64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = digits.get(2..)?.split_once(['p', 'P'])?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.len() + fraction.len() == 0 {
        return None;
    }
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, exponent.strip_prefix('+').unwrap_or(exponent)),
    };
    if exponent.is_empty() || !exponent.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // As in Go, one that is larger still says as much.
    let exponent = exponent.bytes().fold(0, |exponent: i64, digit| {
        (exponent * 10 + i64::from(digit - b'0')).min(100_000)
    });
    let exponent = sign * exponent;
    // More digits than a double holds are refused: nobody writes bounds with them, and rounding
    // them right takes more than they are worth.
    let digits = format!("{whole}{fraction}");
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 13 {
        return None;
    }
    let mantissa = if digits.is_empty() {
        0
    } else {
        u64::from_str_radix(digits, 16).ok()?
    };
    let exponent = exponent.checked_sub(4 * i64::try_from(fraction.len()).ok()?)?;
    let exponent = i32::try_from(exponent.clamp(-2000, 2000)).ok()?;
    // In two steps, so that neither power leaves the range before the product does.
    let half = exponent / 2;
    let number = mantissa as f64 * 2f64.powi(half) * 2f64.powi(exponent - half);
    number
        .is_finite()
        .then_some(if negative { -number } else { number })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_that_go_reads() {
        let f = |digits: &str, expected: Option<f64>| {
            let read = value(digits.as_bytes()).map(f64::to_bits);
            assert_eq!(read, expected.map(f64::to_bits), "{digits}");
        };
        for digits in [
            "0",
            "-0",
            "7",
            "1.5",
            "-1.5",
            ".5",
            "5.",
            "1e3",
            "1E+3",
            "1e-3",
            "+1",
            "0001",
            "123456789012345",
            "1234567890123456",
            "9007199254740993",
            "0.1",
            "0.30000000000000004",
            "1.7976931348623157e308",
            "5e-324",
            "1e-400",
            "00.00100",
            "179769313486231570000000",
            "12345678.12345678",
        ] {
            f(digits, Some(digits.parse().unwrap()));
        }
        for infinite in ["Inf", "+Inf", "inf", "INFINITY", "+infinity", "iNf"] {
            f(infinite, Some(f64::INFINITY));
        }
        f("-Inf", Some(f64::NEG_INFINITY));
        for nan in ["NaN", "nan", "NAN"] {
            f(nan, Some(NAN));
        }
        for refused in [
            "", "-", "+", ".", "-.", "e", "e5", "1e", "1e+", "+NaN", "-nan", "infin", "1e309",
            "-1e309", "0x1", "0x1p3", "1_000", "1 ", " 1", "1,5", "--1", "1.2.3", "١", "1f",
            "nano",
        ] {
            f(refused, None);
        }
    }

    #[test]
    fn bounds_may_have_every_form_of_go() {
        let f = |text: &str, expected: Option<f64>| assert_eq!(bound(text), expected, "{text}");
        f("0.5", Some(0.5));
        f("+Inf", Some(f64::INFINITY));
        f("1_000", Some(1000.0));
        f("1_0.0_1e0_2", Some(1001.0));
        f("0x1p3", Some(8.0));
        f("0x_1p3", Some(8.0));
        f("-0x1.8p-1", Some(-0.75));
        f("0X.8P1", Some(1.0));
        f("0x0p99999", Some(0.0));
        f("0x0p99999999999999999999", Some(0.0));
        f("0x1p-99999999999999999999", Some(0.0));
        f("+0x1p+3", Some(8.0));
        for refused in [
            "_1",
            "1_",
            "1__0",
            "1_.0",
            "0x1",
            "0xp1",
            "0x1p",
            "0x1p+",
            "x",
            "",
            "0x1p99999",
            "0x1p99999999999999999999",
            "0x+1p3",
            "0x0+1p3",
            "0x.+1p3",
            "0x1.+p3",
            "0x-1p3",
            "++0x1p3",
            "+-0x1p3",
            "0x1p+-3",
            "0x1gp3",
        ] {
            f(refused, None);
        }
    }
}
