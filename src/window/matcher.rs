//! Conditions on labels, as Prometheus has them.

use std::sync::Arc;

use regex::Regex;
use thiserror::Error;

use crate::regexp::{self, RegexpError};

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, the whole value.
    Regex,
    /// `!~`, the whole value.
    NotRegex,
}

/// One condition on the value of one label. A label that a series doesn't have is empty.
#[derive(Debug, Clone)]
pub struct Matcher {
    name: String,
    test: Test,
    negated: bool,
    matches_empty: bool,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(String),
    /// One of some texts, which are sorted: those of which an expression is a choice, or that
    /// it was found to match.
    Among(Vec<String>),
    Regex(Regex),
}

/// Why there is no such condition.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MatcherError {
    /// The expression is none.
    #[error("invalid regular expression for label {name:?}: {reason}")]
    Regex {
        /// The label.
        name: String,
        /// What is wrong with it, in one line.
        reason: String,
    },
    /// The expression would take too much memory.
    #[error("the regular expression for label {name:?} needs more than {limit} bytes")]
    TooLarge {
        /// The label.
        name: String,
        /// The most that one may take.
        limit: usize,
    },
}

/// Bytes of a compiled expression.
const LIMIT: usize = 1 << 18;

/// Bytes of texts that are tried before a reader asks whether to go on.
const ASK: usize = 4096;

/// Texts that are put in their places one by one; more are sorted together.
const FEW: usize = 16;

impl Matcher {
    /// A condition.
    ///
    /// # Errors
    ///
    /// If a regular expression is none, or takes more than 256 KiB compiled.
    pub fn new(operator: MatchOperator, name: &str, value: &str) -> Result<Self, MatcherError> {
        let test = match operator {
            MatchOperator::Equal | MatchOperator::NotEqual => Test::Equal(value.to_owned()),
            MatchOperator::Regex | MatchOperator::NotRegex => expression(name, value)?,
        };
        let negated = matches!(operator, MatchOperator::NotEqual | MatchOperator::NotRegex);
        let mut matcher = Self {
            name: name.to_owned(),
            test,
            negated,
            matches_empty: false,
        };
        matcher.matches_empty = matcher.matches("");
        Ok(matcher)
    }

    /// The condition that the value is one of these texts.
    #[must_use]
    pub fn among(name: &str, mut texts: Vec<String>) -> Self {
        texts.sort_unstable();
        let matches_empty = texts.first().is_some_and(String::is_empty);
        Self {
            name: name.to_owned(),
            test: Test::Among(texts),
            negated: false,
            matches_empty,
        }
    }

    /// The condition that the whole value matches an expression that somebody else has compiled,
    /// or that it doesn't. `text` is the expression as it was written: a mere choice of texts is
    /// looked up and not tried.
    #[must_use]
    pub fn compiled(name: &str, text: &str, regex: &Regex, negated: bool) -> Self {
        let test = choice(text).unwrap_or_else(|| Test::Regex(regex.clone()));
        let mut matcher = Self {
            name: name.to_owned(),
            test,
            negated,
            matches_empty: false,
        };
        matcher.matches_empty = matcher.matches("");
        matcher
    }

    /// The label's name; `__name__` is the metric's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the value fulfils the condition.
    #[must_use]
    pub fn matches(&self, value: &str) -> bool {
        let found = match &self.test {
            Test::Equal(text) => text == value,
            Test::Among(texts) => texts.binary_search_by(|text| (**text).cmp(value)).is_ok(),
            Test::Regex(regex) => regex.is_match(value),
        };
        found != self.negated
    }

    /// Whether series without the label fulfil it.
    #[must_use]
    pub fn matches_empty(&self) -> bool {
        self.matches_empty
    }

    /// The same condition for a label that has only these values, without an expression: so
    /// that whoever shares a store tries expressions, which may take long, without its lock.
    /// `proceed` is asked now and then; `None` once it says no.
    #[must_use]
    pub fn resolve(&self, values: &[Arc<str>], mut proceed: impl FnMut() -> bool) -> Option<Self> {
        let Test::Regex(regex) = &self.test else {
            return Some(self.clone());
        };
        let mut texts = Vec::new();
        let mut bytes = 0;
        for value in values {
            if regex.is_match(value) {
                texts.push(value.to_string());
            }
            bytes += value.len() + 16;
            if bytes > ASK {
                bytes = 0;
                if !proceed() {
                    return None;
                }
            }
        }
        if regex.is_match("") {
            texts.push(String::new());
        }
        texts.sort_unstable();
        Some(Self {
            test: Test::Among(texts),
            ..self.clone()
        })
    }

    /// Makes one condition of this and another on the same label, if the texts of both are known
    /// and both ask for theirs, or both exclude them. Whether it did: if not, both are as they
    /// were. So whoever has many conditions asks a store for few.
    pub fn merge(&mut self, other: &Self) -> bool {
        if self.name != other.name || self.negated != other.negated {
            return false;
        }
        let Some(others) = other.texts() else {
            return false;
        };
        let mut mine = match std::mem::replace(&mut self.test, Test::Among(Vec::new())) {
            Test::Equal(text) => vec![text],
            Test::Among(texts) => texts,
            expression @ Test::Regex(_) => {
                self.test = expression;
                return false;
            }
        };
        if !self.negated {
            mine.retain(|text| others.binary_search(text).is_ok());
        } else if others.len() < FEW {
            for text in others {
                if let Err(at) = mine.binary_search(text) {
                    mine.insert(at, text.clone());
                }
            }
        } else {
            mine.extend_from_slice(others);
            mine.sort();
            mine.dedup();
        }
        self.test = Test::Among(mine);
        self.matches_empty = self.matches("");
        true
    }

    /// Whether it has to be tried, since it is more than a choice of texts.
    #[must_use]
    pub fn is_expression(&self) -> bool {
        matches!(self.test, Test::Regex(_))
    }

    /// The texts that alone fulfil the condition, or that alone don't where it
    /// [excludes](Self::excludes) them, if they are known.
    pub(super) fn texts(&self) -> Option<&[String]> {
        match &self.test {
            Test::Equal(text) => Some(std::slice::from_ref(text)),
            Test::Among(texts) => Some(texts),
            Test::Regex(_) => None,
        }
    }

    /// Whether it is fulfilled by what isn't of its texts or its expression.
    pub(super) fn excludes(&self) -> bool {
        self.negated
    }
}

fn expression(name: &str, value: &str) -> Result<Test, MatcherError> {
    if let Some(choice) = choice(value) {
        return Ok(choice);
    }
    match regexp::whole(value, LIMIT) {
        Ok(regex) => Ok(Test::Regex(regex)),
        Err(RegexpError::TooLarge { limit }) => Err(MatcherError::TooLarge {
            name: name.to_owned(),
            limit,
        }),
        Err(error) => Err(MatcherError::Regex {
            name: name.to_owned(),
            reason: error.to_string(),
        }),
    }
}

/// The texts among which an expression is a choice, if it is nothing else.
fn choice(expression: &str) -> Option<Test> {
    let plain = expression.chars().all(|c| c == '|' || is_plain(c));
    (plain && expression.len() < LIMIT).then(|| {
        let mut texts: Vec<String> = expression.split('|').map(str::to_owned).collect();
        texts.sort_unstable();
        Test::Among(texts)
    })
}

fn is_plain(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | ':' | '/' | ' ' | '=' | ',' | '@' | '%' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_on_the_whole_value() {
        use MatchOperator::{Equal, NotEqual, NotRegex, Regex};
        let f = |operator, pattern: &str, value: &str, expected: bool| {
            let matcher = Matcher::new(operator, "a", pattern).unwrap();
            assert_eq!(
                matcher.matches(value),
                expected,
                "{operator:?} {pattern} {value}"
            );
            assert_eq!(matcher.matches_empty(), matcher.matches(""), "{pattern}");
        };
        f(Equal, "x", "x", true);
        f(Equal, "x", "xx", false);
        f(NotEqual, "x", "", true);
        f(Regex, "x", "xx", false);
        f(Regex, "x.*", "xx", true);
        f(Regex, "x|yy", "yy", true);
        f(Regex, "x|y.?", "zx", false);
        f(Regex, "x|y.?", "xz", false);
        f(Regex, "a.b", "a\nb", true);
        f(Regex, "a$", "a\n", false);
        f(Regex, "", "", true);
        f(Regex, "|x", "", true);
        f(Regex, ".*", "", true);
        f(Regex, ".+", "", false);
        f(NotRegex, ".+", "", true);
        f(NotRegex, "x", "x", false);
        f(Regex, "(?i)abc", "ABC", true);
        f(Regex, "ä-ö", "ä-ö", true);
        f(Regex, "\\w", "ä", false);
        f(Regex, "[[x]", "[", true);
        f(Regex, "c|a|b", "b", true);
    }

    #[test]
    fn a_condition_that_was_resolved_is_the_same_for_these_values() {
        let values: Vec<Arc<str>> = ["a", "b", "ab", "xa"].map(Arc::from).into();
        for operator in [MatchOperator::Regex, MatchOperator::NotRegex] {
            for pattern in ["a.*", ".*", ".+", "x?a", "a|b", "none.", "(a|b)?"] {
                let matcher = Matcher::new(operator, "l", pattern).unwrap();
                let resolved = matcher.resolve(&values, || true).unwrap();
                for value in values.iter().map(|value| &**value).chain([""]) {
                    let (one, other) = (matcher.matches(value), resolved.matches(value));
                    assert_eq!(one, other, "{pattern} {value}");
                }
                assert_eq!(
                    matcher.matches_empty(),
                    resolved.matches_empty(),
                    "{pattern}"
                );
            }
        }
    }

    #[test]
    fn conditions_that_are_merged_ask_what_they_asked_together() {
        use MatchOperator::{Equal, NotEqual, NotRegex, Regex};
        let many = (0..40).map(|i| i.to_string()).collect::<Vec<_>>().join("|");
        let conditions = [
            (Equal, "1"),
            (Equal, ""),
            (NotEqual, "1"),
            (NotEqual, ""),
            (NotEqual, "30"),
            (Regex, "2|1|"),
            (Regex, &*many),
            (NotRegex, "1|7"),
            (NotRegex, &*many),
        ]
        .map(|(operator, text)| Matcher::new(operator, "a", text).unwrap());
        for one in &conditions {
            for other in &conditions {
                let mut both = one.clone();
                assert_eq!(both.merge(other), one.negated == other.negated);
                if one.negated != other.negated {
                    continue;
                }
                for text in ["", "1", "2", "7", "30", "50"] {
                    let expected = one.matches(text) && other.matches(text);
                    assert_eq!(both.matches(text), expected, "{one:?} {other:?} {text}");
                }
                assert_eq!(both.matches_empty(), both.matches(""));
            }
        }
        let tried = Matcher::new(Regex, "a", "1.*").unwrap();
        let elsewhere = Matcher::new(Equal, "b", "1").unwrap();
        let mut both = conditions[0].clone();
        assert!(!both.merge(&tried) && !both.merge(&elsewhere) && both.matches("1"));
        let mut both = tried;
        assert!(!both.merge(&conditions[0]) && both.matches("12"));
    }

    #[test]
    fn an_expression_that_takes_long_can_be_given_up() {
        let matcher = Matcher::new(MatchOperator::Regex, "l", ".*a.*").unwrap();
        let values: Vec<Arc<str>> = (0..10_000).map(|i| i.to_string().into()).collect();
        let mut asked = 0;
        let resolved = matcher.resolve(&values, || {
            asked += 1;
            asked < 3
        });
        assert!(resolved.is_none() && asked == 3, "{asked}");
    }

    #[test]
    fn what_is_no_expression_or_too_large_is_refused() {
        let f = |pattern: &str| {
            Matcher::new(MatchOperator::Regex, "a", pattern)
                .unwrap_err()
                .to_string()
        };
        let invalid = "invalid regular expression for label \"a\": ";
        for pattern in ["(", ")", "a)|(b", "*", "[", "(?<", "\\"] {
            let error = f(pattern);
            assert!(error.starts_with(invalid), "{pattern}: {error}");
            assert!(
                error.len() > invalid.len() && !error.contains('\n'),
                "{error}"
            );
        }
        let large = f(r"(\pL{100}){10}");
        assert_eq!(
            large,
            "the regular expression for label \"a\" needs more than 262144 bytes"
        );
        assert!(f(&format!("{}a{}", "(".repeat(10_000), ")".repeat(10_000))).starts_with(invalid));
    }
}
