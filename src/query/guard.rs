//! Looks at a query's text before the parser does.
//!
//! The parser's actions call themselves for what stands inside of each other, compile
//! regular expressions of any size, and panic on durations that no clock holds. So text
//! that would do so is refused here, and what the parser need not see is written in
//! another way: regular expressions as numbers, which are put back afterwards and compiled
//! within bounds, and raw strings as quoted ones, since the parser takes the backslashes
//! in them for escapes.

mod numbers;

use self::numbers::plain_number;
use super::{QueryError, QueryLimits};

/// Text that the parser may see.
#[derive(Debug)]
pub(super) struct Guarded {
    pub(super) text: String,
    /// What stands in the text as `=~"0"`, `=~"1"` and so on, still quoted.
    pub(super) regexes: Vec<String>,
}

/// The estimate of the depth counts every operator, however they bind, so it may be larger
/// than what is measured afterwards.
const DEPTH_ESTIMATE: usize = 4;

/// Prometheus's own bound is 292 years.
const MOST_SECONDS: f64 = 9_223_372_036.0;

/// Checks a text and prepares it.
pub(super) fn check(text: &str, limits: &QueryLimits) -> Result<Guarded, QueryError> {
    if text.len() > limits.max_text {
        return Err(QueryError::bad_data(format!(
            "the query has {} bytes, more than {}",
            text.len(),
            limits.max_text
        )));
    }
    let mut scan = Scan {
        rest: text,
        out: String::with_capacity(text.len()),
        regexes: Vec::new(),
        levels: vec![0],
        depth: 0,
        most_depth: limits.max_depth.saturating_mul(DEPTH_ESTIMATE),
        max_depth: limits.max_depth,
        in_braces: false,
        in_brackets: false,
        duration_next: false,
        regex_next: false,
    };
    while !scan.rest.is_empty() {
        scan.token()?;
    }
    Ok(Guarded {
        text: scan.out,
        regexes: scan.regexes,
    })
}

/// What expressions deeper than allowed are answered with.
pub(super) fn too_deep(limit: usize) -> QueryError {
    QueryError::bad_data(format!(
        "the query nests operators and parentheses more than {limit} deep; in a chain such as \
         1+1+1 each operator nests"
    ))
}

struct Scan<'t> {
    rest: &'t str,
    out: String,
    regexes: Vec<String>,
    /// For each open parenthesis how many operators have come since the last comma.
    levels: Vec<usize>,
    /// The sum of those, and the parentheses.
    depth: usize,
    most_depth: usize,
    max_depth: usize,
    in_braces: bool,
    in_brackets: bool,
    /// A number that comes now is a duration.
    duration_next: bool,
    /// A string that comes now is a regular expression.
    regex_next: bool,
}

impl Scan<'_> {
    fn token(&mut self) -> Result<(), QueryError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(());
        };
        match first {
            '#' if !self.in_brackets => self.skip_comment(),
            '"' | '\'' | '`' => self.string(first)?,
            '0'..='9' | '.' => self.number()?,
            _ if first.is_ascii_alphabetic() || first == '_' || first == ':' => self.word()?,
            _ if first.is_whitespace() => self.take(first.len_utf8()),
            _ => self.sign(first)?,
        }
        Ok(())
    }

    /// Copies so many bytes to the output.
    fn take(&mut self, bytes: usize) {
        let (taken, rest) = self.rest.split_at(bytes);
        self.out.push_str(taken);
        self.rest = rest;
    }

    fn skip_comment(&mut self) {
        let end = self.rest.find(['\r', '\n']);
        self.rest = &self.rest[end.unwrap_or(self.rest.len())..];
        self.out.push(' ');
    }

    fn string(&mut self, quote: char) -> Result<(), QueryError> {
        let end = end_of_string(self.rest, quote).ok_or_else(|| {
            QueryError::bad_data("parse error: unterminated quoted string".to_owned())
        })?;
        let (quoted, rest) = self.rest.split_at(end);
        self.rest = rest;
        let quoted = if quote == '`' {
            requoted(&quoted[1..quoted.len() - 1])
        } else {
            quoted.to_owned()
        };
        if std::mem::take(&mut self.regex_next) {
            self.out.push_str(&format!("\"{}\"", self.regexes.len()));
            self.regexes.push(quoted);
        } else {
            self.out.push_str(&quoted);
        }
        self.duration_next = false;
        Ok(())
    }

    fn number(&mut self) -> Result<(), QueryError> {
        let end = end_of_number(self.rest);
        let token = &self.rest[..end];
        let is_duration = self.in_brackets || std::mem::take(&mut self.duration_next);
        if !fits(token, is_duration) {
            return Err(QueryError::bad_data(format!(
                "parse error: duration out of range: {token}"
            )));
        }
        match plain_number(token).filter(|_| !is_duration) {
            Some(plain) => {
                self.out.push_str(&plain);
                self.rest = self.rest.get(end..).unwrap_or_default();
            }
            None => self.take(end),
        }
        Ok(())
    }

    fn word(&mut self) -> Result<(), QueryError> {
        let in_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let end = self.rest.find(|c| !in_word(c)).unwrap_or(self.rest.len());
        // Inside of brackets a colon stands between durations.
        let end = if self.in_brackets { 1 } else { end };
        let word = self.rest[..end].to_ascii_lowercase();
        if std::mem::take(&mut self.duration_next) && matches!(word.as_str(), "inf" | "nan") {
            return Err(QueryError::bad_data(format!(
                "parse error: duration out of range: {word}"
            )));
        }
        if !self.in_braces {
            match word.as_str() {
                "offset" => self.duration_next = true,
                "and" | "or" | "unless" | "atan2" => self.deeper(1)?,
                _ => {}
            }
        }
        self.take(end);
        Ok(())
    }

    fn sign(&mut self, sign: char) -> Result<(), QueryError> {
        let two = self.rest.get(..2).unwrap_or("");
        if self.in_braces && matches!(two, "=~" | "!~") {
            self.regex_next = true;
            self.take(2);
            return Ok(());
        }
        match sign {
            '(' => {
                self.deeper(0)?;
                self.levels.push(0);
                self.depth += 1;
            }
            ')' if self.levels.len() > 1 => {
                self.depth -= 1 + self.levels.pop().unwrap_or(0);
            }
            ',' if !self.in_braces => {
                if let Some(level) = self.levels.last_mut() {
                    self.depth -= std::mem::take(level);
                }
            }
            '{' => self.in_braces = true,
            '}' => self.in_braces = false,
            '[' => {
                self.in_brackets = true;
                self.deeper(1)?;
            }
            ']' => self.in_brackets = false,
            '+' | '-' | '*' | '/' | '%' | '^' | '<' | '>' | '=' | '!' | '@' if !self.in_braces => {
                self.deeper(1)?;
                if matches!(two, "==" | "!=" | "<=" | ">=") {
                    self.take(2);
                    return Ok(());
                }
            }
            _ => {}
        }
        self.regex_next = false;
        self.duration_next &= matches!(sign, '+' | '-');
        self.take(sign.len_utf8());
        Ok(())
    }

    fn deeper(&mut self, by: usize) -> Result<(), QueryError> {
        if let Some(level) = self.levels.last_mut() {
            *level += by;
        }
        self.depth += by;
        if self.depth >= self.most_depth {
            return Err(too_deep(self.max_depth));
        }
        Ok(())
    }
}

/// Behind the closing quote.
fn end_of_string(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' if quote != '`' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    None
}

/// A raw string's text in quotes.
fn requoted(raw: &str) -> String {
    let mut quoted = String::with_capacity(raw.len() + 2);
    quoted.push('"');
    for c in raw.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            _ => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// Behind a number or a duration: letters, digits and what parts them, and a sign in an exponent.
fn end_of_number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let hex = text.starts_with("0x") || text.starts_with("0X");
    let mut end = 1;
    while let Some(byte) = bytes.get(end) {
        let in_exponent = !hex
            && matches!(bytes[end - 1], b'e' | b'E')
            && matches!(byte, b'+' | b'-')
            && bytes.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || in_exponent) {
            break;
        }
        end += 1;
    }
    end
}

/// Whether a number is one that the parser can make a duration of, if it has to.
fn fits(token: &str, is_duration: bool) -> bool {
    if token.starts_with("0x") || token.starts_with("0X") {
        return !is_duration || token.len() <= 10;
    }
    if let Ok(number) = token.parse::<f64>() {
        return !is_duration || number < MOST_SECONDS;
    }
    let mut seconds = 0.0;
    let mut rest = token;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind
            .bytes()
            .take_while(|byte| !byte.is_ascii_digit())
            .count();
        let (unit, behind) = behind.split_at(letters);
        // No more than this would be read of a number without a word about the rest.
        let Ok(number) = number.parse::<u32>() else {
            return number.is_empty();
        };
        seconds += f64::from(number) * seconds_of(unit);
        rest = behind;
    }
    seconds < MOST_SECONDS
}

/// How long a unit is; what isn't one is left to the parser.
fn seconds_of(unit: &str) -> f64 {
    match unit {
        "ms" => 0.001,
        "m" => 60.0,
        "h" => 3_600.0,
        "d" => 86_400.0,
        "w" => 7.0 * 86_400.0,
        "y" => 365.0 * 86_400.0,
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests;
