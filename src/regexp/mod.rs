//! Regular expressions as Go's package `regexp` reads them, for everything that Prometheus's
//! users write: in selectors, in `label_replace`, in relabelling, and for the windows.
//!
//! Go's syntax and that of the crate `regex` look the same and differ in much: `\d`, `\w`,
//! `\s` and `\b` know ASCII alone in Go, its classes have neither classes nor operators within,
//! a brace that repeats nothing is itself, and `\Q`, octal numbers and flags differ. So an
//! expression is read here by Go's rules, refused in Go's words, and written anew for the
//! crate. Handing it over as it is and mending single differences was tried first, and there
//! was always one more.
//!
//! What is left: expressions that nest more than 250 deep or come to more bytes than their
//! user allows are refused; of Unicode's classes Go knows only full names, and the two may be
//! of different versions of it; a group whose name begins with a digit or comes twice has its
//! number alone; and `label_replace` refuses `a)|(b`, which Prometheus takes there and nowhere
//! else.
//!
//! **Architecture Invariant:** imports nothing of ours.

mod escapes;
mod template;
#[cfg(test)]
mod tests;
mod translation;

use regex::{Regex, RegexBuilder};
use thiserror::Error;

pub use template::Template;

/// Why an expression can't be had.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegexpError {
    /// Go refuses it.
    #[error("error parsing regexp: {reason}: `{part}`")]
    Syntax {
        /// What is wrong, in Go's words.
        reason: &'static str,
        /// The part of the expression that is wrong.
        part: String,
    },
    /// Compiled, it takes more memory than it may.
    #[error("the regular expression needs more than {limit} bytes")]
    TooLarge {
        /// The most that it may take.
        limit: usize,
    },
    /// Go knows it, and the crate doesn't.
    #[error("unsupported regular expression: {0}")]
    Unsupported(String),
}

/// How deep groups may nest.
const MOST_NESTED: u32 = 250;

/// The expression as the crate reads it, which has to match a whole text: for who compiles it
/// by parts, to count what they take.
///
/// # Errors
/// An expression that Go refuses.
pub fn anchored(go: &str) -> Result<String, RegexpError> {
    Ok(format!("^(?s:{})$", translation::translated(go)?))
}

/// Compiles an expression that has to match a whole text, as Prometheus anchors all of its
/// own. A dot matches newlines, too. The compiled expression, and what it caches while it
/// matches, may take `limit` bytes each.
///
/// # Errors
/// An expression that Go refuses, that is too large, or that nests too deep.
pub fn whole(go: &str, limit: usize) -> Result<Regex, RegexpError> {
    let anchored = anchored(go)?;
    let mut builder = RegexBuilder::new(&anchored);
    builder.nest_limit(MOST_NESTED + 2);
    builder.size_limit(limit).dfa_size_limit(limit);
    builder.build().map_err(|error| match error {
        regex::Error::CompiledTooBig(limit) => RegexpError::TooLarge { limit },
        error => RegexpError::Unsupported(last_line(&error.to_string())),
    })
}

/// The crate draws the expression with a caret below it; its last line says what is wrong.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}
