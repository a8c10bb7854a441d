//! What takes the place of a match: text with references to groups, read as Go's
//! `Regexp.Expand` reads it.
//!
//! The crate `regex` has templates of its own, which differ in what a name is: it ends `$1é`
//! behind the 1, takes anything between braces, and knows no names that begin with zeros.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// What a reference names: letters and digits of any alphabet, which are more than a group's
/// name can have. Such a reference names no group, and stands for nothing.
static NAME: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[\p{L}\p{Nd}_]+").ok());

/// A number that is larger is a name.
const LARGEST: usize = 100_000_000;

/// A text with references to groups: `$1`, `${1}`, `$name` and `${name}`, and `$$` for a dollar.
///
/// ```
/// use foghorn::regexp::{Template, whole};
///
/// let regex = whole("(?P<host>.*):(.*)", 1 << 20).unwrap();
/// let mut text = String::new();
/// Template::new("$2 of ${host}").expand(&regex.captures("db:5432").unwrap(), &mut text);
/// assert_eq!(text, "5432 of db");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<TemplatePiece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TemplatePiece {
    Text(String),
    /// A group by its number; 0 is the whole match.
    Number(usize),
    /// A group by its name.
    Name(String),
}

impl Template {
    /// Reads a template. A dollar that begins no reference stands for itself.
    pub fn new(text: &str) -> Self {
        let mut template = Self { pieces: Vec::new() };
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            template.push_text(before);
            if let Some(after) = after.strip_prefix('$') {
                template.push_text("$");
                rest = after;
            } else if let Some((name, after)) = reference(after) {
                template.pieces.push(match number(name) {
                    Some(number) => TemplatePiece::Number(number),
                    None => TemplatePiece::Name(name.to_owned()),
                });
                rest = after;
            } else {
                template.push_text("$");
                rest = after;
            }
        }
        template.push_text(rest);
        template
    }

    /// Its text, if it has no references.
    pub fn literal(&self) -> Option<&str> {
        match &*self.pieces {
            [] => Some(""),
            [TemplatePiece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends what it comes to with the groups of a match. A group that isn't there, or that
    /// matched nothing, is empty.
    pub fn expand(&self, groups: &Captures<'_>, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                TemplatePiece::Text(text) => out.push_str(text),
                TemplatePiece::Number(number) => {
                    out.push_str(groups.get(*number).map_or("", |group| group.as_str()));
                }
                TemplatePiece::Name(name) => {
                    out.push_str(groups.name(name).map_or("", |group| group.as_str()));
                }
            }
        }
    }

    /// As [`expand`](Self::expand) for `(.*)`, which matches everything: its groups 0 and 1 are
    /// the whole text.
    pub fn expand_whole(&self, text: &str, out: &mut String) {
        for piece in &self.pieces {
            match piece {
                TemplatePiece::Text(text) => out.push_str(text),
                TemplatePiece::Number(0 | 1) => out.push_str(text),
                TemplatePiece::Number(_) | TemplatePiece::Name(_) => {}
            }
        }
    }

    /// The most bytes that it comes to with a match of so many bytes, of which no group has more.
    pub fn longest(&self, matched: usize) -> usize {
        let lengths = self.pieces.iter().map(|piece| match piece {
            TemplatePiece::Text(text) => text.len(),
            TemplatePiece::Number(_) | TemplatePiece::Name(_) => matched,
        });
        lengths.fold(0, usize::saturating_add)
    }

    fn push_text(&mut self, text: &str) {
        match self.pieces.last_mut() {
            _ if text.is_empty() => {}
            Some(TemplatePiece::Text(last)) => last.push_str(text),
            _ => self.pieces.push(TemplatePiece::Text(text.to_owned())),
        }
    }
}

/// The name behind a dollar, with or without braces, and what follows the reference.
fn reference(text: &str) -> Option<(&str, &str)> {
    let (braced, inner) = match text.strip_prefix('{') {
        Some(inner) => (true, inner),
        None => (false, text),
    };
    let found = NAME.as_ref()?.find(inner)?;
    let (name, rest) = inner.split_at(found.end());
    let rest = if braced {
        rest.strip_prefix('}')?
    } else {
        rest
    };
    Some((name, rest))
}

/// The number of a group; `None` for a name.
fn number(name: &str) -> Option<usize> {
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit());
    let is_padded = name.len() > 1 && name.starts_with('0');
    let number: usize = name.parse().ok().filter(|_| is_number && !is_padded)?;
    // Go stops reading before the digit that would follow this many.
    (number / 10 < LARGEST).then_some(number)
}
