//! Numbers as Go writes them, for a parser that knows fewer forms.

/// A number in a form that every parser knows, if it is in one that only Go has: with
/// underscores, or with zeros in front, which make whole numbers octal. `None` for the others, and
/// for what is no number.
pub(super) fn plain_number(token: &str) -> Option<String> {
    let after_zero = token.strip_prefix('0').and_then(|rest| rest.chars().next());
    let begins_otherwise =
        after_zero.is_some_and(|c| c.is_ascii_digit() || matches!(c, 'x' | 'X' | 'e' | 'E' | '_'));
    if !(begins_otherwise || token.contains('_')) || !parts_digits(token) {
        return None;
    }
    let plain = token.replace('_', "");
    let whole = match plain
        .strip_prefix("0x")
        .or_else(|| plain.strip_prefix("0X"))
    {
        Some(hexadecimal) => i64::from_str_radix(hexadecimal, 16).ok(),
        None => match plain.strip_prefix('0') {
            // What has a digit above 7 is decimal.
            Some(octal) if !octal.is_empty() => i64::from_str_radix(octal, 8).ok(),
            _ => None,
        },
    };
    match whole {
        Some(whole) => Some(whole.to_string()),
        None => plain
            .parse::<f64>()
            .ok()
            .map(|number| format!("{number:?}")),
    }
}

/// Whether every underscore stands between two digits, or behind what begins a number of
/// another base.
fn parts_digits(token: &str) -> bool {
    let is_hexadecimal = token.starts_with("0x") || token.starts_with("0X");
    let is_digit = |byte: Option<&u8>| {
        byte.is_some_and(|byte| match is_hexadecimal {
            true => byte.is_ascii_hexdigit(),
            false => byte.is_ascii_digit(),
        })
    };
    let bytes = token.as_bytes();
    bytes.iter().enumerate().all(|(at, byte)| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before));
        let begins = is_hexadecimal && at == 2;
        *byte != b'_' || ((begins || is_digit(before)) && is_digit(bytes.get(at + 1)))
    })
}
