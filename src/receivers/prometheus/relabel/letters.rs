//! Small and capital letters as Go maps them: one letter to one letter, each by itself.
//!
//! Rust's own mappings are the full ones of Unicode, in which `ß` becomes `SS`, and a sigma at the
//! end of a word another one.

/// A text in small letters.
pub(super) fn lowercase(text: &str) -> String {
    let small = |c: char| {
        let mut mapped = c.to_lowercase();
        match (mapped.next(), mapped.next()) {
            (Some(one), None) => one,
            // Only `İ` has several: an i and a dot above. By itself it is an i.
            _ => 'i',
        }
    };
    text.chars().map(small).collect()
}

/// A text in capital letters.
pub(super) fn uppercase(text: &str) -> String {
    let capital = |c: char| {
        let mut mapped = c.to_uppercase();
        match (mapped.next(), mapped.next()) {
            (Some(one), None) => one,
            _ => alone(c),
        }
    };
    text.chars().map(capital).collect()
}

/// The capital of a letter which in full has several: of Greek letters with an iota below, one
/// that has it, too. The others, such as `ß` and the ligatures, have none.
fn alone(letter: char) -> char {
    let code = letter as u32;
    let distance = match code {
        0x1f80..=0x1f87 | 0x1f90..=0x1f97 | 0x1fa0..=0x1fa7 => 8,
        0x1fb3 | 0x1fc3 | 0x1ff3 => 9,
        _ => 0,
    };
    char::from_u32(code + distance).unwrap_or(letter)
}
