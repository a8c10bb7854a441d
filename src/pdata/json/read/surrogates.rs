//! Halves of surrogate pairs in JSON, which serde refuses.

use std::borrow::Cow;

/// The text with U+FFFD in place of each escape that is half a surrogate pair, as Go's
/// reader takes it. Nothing moves, so errors still name their place.
pub(super) fn paired(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    let mut mended: Option<Vec<u8>> = None;
    let mut at = 0;
    while let Some(found) = bytes
        .get(at..)
        .and_then(|rest| rest.iter().position(|byte| *byte == b'\\'))
    {
        let start = at + found;
        at = start
            + match surrogate(bytes, start) {
                // Any other escape has at least one character after the backslash.
                None => 2,
                Some(Half::High) if surrogate(bytes, start + 6) == Some(Half::Low) => 12,
                Some(_) => {
                    let mended = mended.get_or_insert_with(|| bytes.to_vec());
                    if let Some(place) = mended.get_mut(start..start + 6) {
                        place.copy_from_slice(b"\\ufffd");
                    }
                    6
                }
            };
    }
    // ASCII took the place of ASCII.
    match mended.map(String::from_utf8) {
        Some(Ok(mended)) => Cow::Owned(mended),
        _ => Cow::Borrowed(text),
    }
}

#[derive(PartialEq)]
enum Half {
    High,
    Low,
}

/// The half of a pair that an escape at this place is.
fn surrogate(bytes: &[u8], at: usize) -> Option<Half> {
    let [b'\\', b'u', b'd' | b'D', second, third, fourth] = *bytes.get(at..at + 6)? else {
        return None;
    };
    if !(third.is_ascii_hexdigit() && fourth.is_ascii_hexdigit()) {
        return None;
    }
    match second {
        b'8' | b'9' | b'a' | b'b' | b'A' | b'B' => Some(Half::High),
        b'c'..=b'f' | b'C'..=b'F' => Some(Half::Low),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_pair_is_a_replacement_character_and_all_else_stays() {
        let f = |text: &str, expected: &str| assert_eq!(paired(text), expected);
        f(r#""\ud83d""#, r#""\ufffd""#);
        f(r#""\uDE00x""#, r#""\ufffdx""#);
        f(r#""\ud83d\ude00""#, r#""\ud83d\ude00""#);
        f(r#""\ud83d\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#);
        f(r#""\ude00\ud83d""#, r#""\ufffd\ufffd""#);
        f(r#""\\ud83d""#, r#""\\ud83d""#);
        f(r#""\\\ud83d\n""#, r#""\\\ufffd\n""#);
        f(r#""\ud7ff\ue000\u00e4""#, r#""\ud7ff\ue000\u00e4""#);
        f(r#""\ud83"#, r#""\ud83"#);
        f("\\", "\\");
        f("\"\\ud83d\u{e4}", "\"\\ufffd\u{e4}");
    }
}
