//! Regular expressions of a query: anchored at both ends, and bounded all together.

use regex::{Regex, RegexBuilder};

use super::QueryError;

/// What one compiled expression may take.
const MOST_BYTES: usize = 1 << 20;
/// How many may be in one query. Each is compiled, however small it is.
const MOST_EXPRESSIONS: usize = 256;
/// What the texts may come to: compiling is the work of reading them, and repetitions
/// multiply it up to the bound on bytes.
const MOST_WORK: usize = 16 << 20;

/// What a query's regular expressions have used of what they may.
#[derive(Default)]
pub(super) struct RegexRoom {
    expressions: usize,
    work: usize,
}

impl RegexRoom {
    /// Compiles an expression that has to match a whole text. A dot matches newlines, too.
    pub(super) fn anchored(&mut self, text: &str) -> Result<Regex, QueryError> {
        self.expressions += 1;
        // A repetition is what makes an expression larger than its text.
        let repeats = text.matches('{').count();
        self.work += text.len() * 64 + repeats * MOST_BYTES / 4;
        if self.expressions > MOST_EXPRESSIONS || self.work > MOST_WORK {
            return Err(QueryError::bad_data(
                "the query has too many or too large regular expressions",
            ));
        }
        compile(text).or_else(|error| compile(&with_literal_braces(text)).map_err(|_| error))
    }
}

/// Compiles an expression that has to match a whole text.
pub(super) fn compile(text: &str) -> Result<Regex, QueryError> {
    // By itself first, so that no parenthesis in it closes the one around it. Without room
    // it is only read.
    let alone = RegexBuilder::new(text).size_limit(0).build().map(drop);
    let alone = match alone {
        Err(error @ regex::Error::Syntax(_)) => Err(error),
        _ => Ok(()),
    };
    let anchored = format!("^(?s:{text})$");
    let mut builder = RegexBuilder::new(&anchored);
    builder.size_limit(MOST_BYTES).dfa_size_limit(MOST_BYTES);
    alone.and_then(|()| builder.build()).map_err(|error| {
        let reason = match error {
            regex::Error::CompiledTooBig(_) => "it is too large".to_owned(),
            error => error.to_string().replace('\n', " "),
        };
        QueryError::bad_data(format!("parse error: invalid regular expression: {reason}"))
    })
}

/// Braces that repeat nothing stand for themselves in Go's expressions, and are errors
/// here.
fn with_literal_braces(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 8);
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == '{' && !escaped && !repeats(&text[at + 1..]) {
            literal.push('\\');
        }
        escaped = c == '\\' && !escaped;
        literal.push(c);
    }
    literal
}

/// Whether what follows a brace makes it a repetition: `3}`, `3,}` or `3,5}`.
fn repeats(text: &str) -> bool {
    let Some((inside, _)) = text.split_once('}') else {
        return false;
    };
    let (least, most) = inside.split_once(',').unwrap_or((inside, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    !least.is_empty() && digits(least) && digits(most)
}
