//! Single characters, classes, and what begins with a backslash.

use std::fmt::Write;

use super::RegexpError;

const INVALID_ESCAPE: &str = "invalid escape sequence";
const INVALID_RANGE: &str = "invalid character class range";

/// A class without any character.
const NOTHING: &str = r"[^\x00-\x{10FFFF}]";

/// The classes of ASCII that stand in brackets and colons.
const NAMED: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// What Go says of a part of an expression.
pub(super) fn wrong(reason: &'static str, part: &str) -> RegexpError {
    RegexpError::Syntax {
        reason,
        part: part.to_owned(),
    }
}

/// The part of `text` in front of `rest`, which is its end.
pub(super) fn before<'g>(text: &'g str, rest: &str) -> &'g str {
    let end = text.len().saturating_sub(rest.len());
    text.get(..end).unwrap_or(text)
}

/// Writes a character that stands for itself.
pub(super) fn write_literal(code: u32, out: &mut String) {
    match char::from_u32(code) {
        // Behind a backslash these two are the borders of words.
        Some(c) if c.is_ascii_punctuation() && !matches!(c, '<' | '>') => out.extend(['\\', c]),
        Some(c) => out.push(c),
        // Half of a pair of UTF-16, which no text has.
        None => out.push_str(NOTHING),
    }
}

/// Reads a character behind a backslash, with which `text` begins.
pub(super) fn escaped(text: &str) -> Result<(u32, &str), RegexpError> {
    let mut rest = text.get(1..).unwrap_or_default().chars();
    let Some(first) = rest.next() else {
        return Err(wrong("trailing backslash at end of expression", ""));
    };
    let code = match first {
        '1'..='7' if !rest.as_str().starts_with(|c| matches!(c, '0'..='7')) => None,
        '0'..='7' => {
            let mut code = u32::from(first) - u32::from('0');
            for _ in 0..2 {
                let Some(digit) = rest.as_str().chars().next().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                code = code * 8 + digit;
                rest.next();
            }
            Some(code)
        }
        'x' => hexadecimal(&mut rest),
        'a' => Some(7),
        'f' => Some(12),
        'n' => Some(10),
        'r' => Some(13),
        't' => Some(9),
        'v' => Some(11),
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => Some(u32::from(c)),
        _ => None,
    };
    let rest = rest.as_str();
    match code {
        Some(code) => Ok((code, rest)),
        None => Err(wrong(INVALID_ESCAPE, before(text, rest))),
    }
}

/// Two digits, or any number of them in braces.
fn hexadecimal(rest: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = rest.next()?;
    if first != '{' {
        // Both are read, so that the refusal shows both.
        let (high, low) = (first.to_digit(16), rest.next()?.to_digit(16));
        return Some(high? * 16 + low?);
    }
    let mut code = None;
    loop {
        let c = rest.next()?;
        if c == '}' {
            return code;
        }
        let next = code.unwrap_or(0) * 16 + c.to_digit(16)?;
        if next > u32::from(char::MAX) {
            return None;
        }
        code = Some(next);
    }
}

/// What `\d` and its like stand for within a class, if `text` begins with one: ASCII alone.
fn perl_class(text: &str) -> Option<(&'static str, &str)> {
    let written = match text.get(..2)? {
        r"\d" => "0-9",
        r"\D" => "[^0-9]",
        r"\s" => r"\t\n\x0C\r\x20",
        r"\S" => r"[^\t\n\x0C\r\x20]",
        r"\w" => "0-9A-Za-z_",
        r"\W" => "[^0-9A-Za-z_]",
        _ => return None,
    };
    Some((written, text.get(2..)?))
}

/// Writes a class of Unicode such as `\pN` or `\p{Greek}`, if `text` begins with one, and says
/// what follows.
fn unicode_class<'g>(text: &'g str, out: &mut String) -> Result<Option<&'g str>, RegexpError> {
    let mut negated = match text.get(..2) {
        Some(r"\p") => false,
        Some(r"\P") => true,
        _ => return Ok(None),
    };
    let inside = text.get(2..).unwrap_or_default();
    let (name, rest) = if let Some(inside) = inside.strip_prefix('{') {
        inside
            .split_once('}')
            .ok_or_else(|| wrong(INVALID_RANGE, text))?
    } else {
        let length = inside.chars().next().map_or(0, char::len_utf8);
        inside.split_at(length)
    };
    let part = before(text, rest);
    let name = match name.strip_prefix('^') {
        Some(name) => {
            negated = !negated;
            name
        }
        None => name,
    };
    // The crate has properties besides, with equals signs in their names.
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '_' | '-');
    if name.is_empty() || !name.chars().all(is_name) {
        return Err(wrong(INVALID_RANGE, part));
    }
    let letter = if negated { 'P' } else { 'p' };
    // Writing to a text can't fail.
    let _ = write!(out, "\\{letter}{{{name}}}");
    Ok(Some(rest))
}

/// Writes a class that stands outside of brackets, if `text` begins with one, and says what
/// follows.
pub(super) fn bare_class<'g>(
    text: &'g str,
    out: &mut String,
) -> Result<Option<&'g str>, RegexpError> {
    if let Some((written, rest)) = perl_class(text) {
        let _ = write!(out, "[{written}]");
        return Ok(Some(rest));
    }
    unicode_class(text, out)
}

/// Writes the class in brackets with which `text` begins, and says what follows.
pub(super) fn bracketed_class<'g>(text: &'g str, out: &mut String) -> Result<&'g str, RegexpError> {
    let mut rest = text.get(1..).unwrap_or_default();
    out.push('[');
    if let Some(negated) = rest.strip_prefix('^') {
        out.push('^');
        rest = negated;
    }
    let mut first = true;
    loop {
        // One that closes nothing is itself one of the class.
        if !first && let Some(rest) = rest.strip_prefix(']') {
            out.push(']');
            return Ok(rest);
        }
        first = false;
        rest = match class_item(rest, out)? {
            Some(rest) => rest,
            None => range(text, rest, out)?,
        };
    }
}

/// Writes what is a class itself within brackets, if `text` begins with such.
fn class_item<'g>(text: &'g str, out: &mut String) -> Result<Option<&'g str>, RegexpError> {
    if let Some((name, rest)) = text.strip_prefix("[:").and_then(|t| t.split_once(":]")) {
        let part = before(text, rest);
        if !NAMED.contains(&name.strip_prefix('^').unwrap_or(name)) {
            return Err(wrong(INVALID_RANGE, part));
        }
        out.push_str(part);
        return Ok(Some(rest));
    }
    if let Some((written, rest)) = perl_class(text) {
        out.push_str(written);
        return Ok(Some(rest));
    }
    unicode_class(text, out)
}

/// Writes a single character or those from one to another. `class` is what the refusal of an
/// open class shows.
fn range<'g>(class: &str, text: &'g str, out: &mut String) -> Result<&'g str, RegexpError> {
    let (low, mut rest) = class_character(class, text)?;
    let mut high = low;
    if let Some(behind) = rest.strip_prefix('-')
        && !behind.is_empty()
        && !behind.starts_with(']')
    {
        (high, rest) = class_character(class, behind)?;
        if high < low {
            return Err(wrong(INVALID_RANGE, before(text, rest)));
        }
    }
    if low == high {
        write_literal(low, out);
        return Ok(rest);
    }
    // Halves of pairs of UTF-16 at its ends.
    let low = (low..=0xE000)
        .find_map(char::from_u32)
        .or(char::from_u32(low));
    let high = (0xD7FF..=high)
        .rev()
        .find_map(char::from_u32)
        .or(char::from_u32(high));
    match (low, high) {
        (Some(low), Some(high)) if low <= high => {
            write_literal(u32::from(low), out);
            out.push('-');
            write_literal(u32::from(high), out);
        }
        _ => out.push_str(NOTHING),
    }
    Ok(rest)
}

fn class_character<'g>(class: &str, text: &'g str) -> Result<(u32, &'g str), RegexpError> {
    match text.chars().next() {
        None => Err(wrong("missing closing ]", class)),
        Some('\\') => escaped(text),
        Some(c) => Ok((u32::from(c), text.get(c.len_utf8()..).unwrap_or_default())),
    }
}
