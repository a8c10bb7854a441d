//! Texts that match: exactly, by a regular expression, or by a glob.

use regex::{RegexSet, RegexSetBuilder};

use crate::yaml::{Fields, FromValue, PlacedNode};

/// Patterns of one list, compiled, may take so many bytes.
const MAX_COMPILED: usize = 1 << 20;

/// How the texts of a block are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchType {
    /// Equal.
    Strict,
    /// A regular expression that matches somewhere in the text.
    Regexp,
    /// The whole text, with `*` for any characters and `?` for one.
    Glob,
}

impl MatchType {
    /// Reads `match_type`, and `regexp` with its cache, which has no effect: one automaton
    /// for all patterns is faster than the Collector's cache.
    pub fn from_fields(fields: &mut Fields<'_>) -> Option<Self> {
        if let Some(regexp) = fields.value("regexp")
            && let Some(mut fields) = regexp.fields()
        {
            fields.optional::<bool>("cacheenabled");
            fields.optional::<u64>("cachemaxnumentries");
            fields.finish();
        }
        fields.required("match_type")
    }
}

impl FromValue for MatchType {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        if value.text() == Some("expr") {
            return value.error("expressions aren't supported: use strict, regexp or glob");
        }
        value.choice(&[
            ("strict", Self::Strict),
            ("regexp", Self::Regexp),
            ("glob", Self::Glob),
        ])
    }
}

/// Texts of which one must match.
#[derive(Debug, Clone)]
pub enum Patterns {
    /// One is equal.
    Strict(Vec<String>),
    /// One is found.
    Set(RegexSet),
}

impl Patterns {
    /// Reads a list of texts; none where it isn't written or is empty.
    pub fn optional(
        fields: &mut Fields<'_>,
        key: &'static str,
        match_type: MatchType,
    ) -> Option<Self> {
        let items = fields.value(key)?.items()?;
        let mut texts = Vec::new();
        for item in &items {
            let text: String = item.read()?;
            texts.push((item, text));
        }
        if texts.is_empty() {
            return None;
        }
        Self::compile(match_type, &texts)
    }

    /// Reads one text.
    pub fn one(value: &PlacedNode<'_>, match_type: MatchType) -> Option<Self> {
        let text: String = value.read()?;
        Self::compile(match_type, &[(value, text)])
    }

    fn compile(match_type: MatchType, texts: &[(&PlacedNode<'_>, String)]) -> Option<Self> {
        let patterns: Vec<String> = match match_type {
            MatchType::Strict => {
                let texts = texts.iter().map(|(_, text)| text.clone());
                return Some(Self::Strict(texts.collect()));
            }
            MatchType::Regexp => texts.iter().map(|(_, text)| text.clone()).collect(),
            MatchType::Glob => texts.iter().map(|(_, text)| from_glob(text)).collect(),
        };
        // Each alone first, to say which is wrong.
        for ((value, _), pattern) in texts.iter().zip(&patterns) {
            if let Err(error) = set(std::slice::from_ref(pattern)) {
                return value.error(format_args!("no regular expression: {}", plain(&error)));
            }
        }
        match set(&patterns) {
            Ok(set) => Some(Self::Set(set)),
            Err(error) => {
                let (last, _) = texts.last()?;
                last.error(format_args!(
                    "this list takes too much together: {}",
                    plain(&error)
                ))
            }
        }
    }

    /// Whether one of them matches.
    pub fn matches(&self, text: &str) -> bool {
        match self {
            Self::Strict(texts) => texts.iter().any(|own| own == text),
            Self::Set(set) => set.is_match(text),
        }
    }
}

fn set(patterns: &[String]) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns)
        .size_limit(MAX_COMPILED)
        .build()
}

fn from_glob(glob: &str) -> String {
    let mut pattern = String::from(r"(?s)\A");
    for char in glob.chars() {
        match char {
            '*' => pattern.push_str(".*"),
            '?' => pattern.push('.'),
            _ => pattern.push_str(&regex::escape(char.encode_utf8(&mut [0; 4]))),
        }
    }
    pattern.push_str(r"\z");
    pattern
}

/// The last line of the error: those before it draw the pattern.
pub fn plain(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{Diagnostics, parse};

    /// The value, or what is wrong with the text.
    fn read<T: FromValue>(text: &str) -> Result<T, Vec<String>> {
        let diagnostics = Diagnostics::new();
        let node = parse(text, &Arc::from("test"), &diagnostics).unwrap();
        let value = T::from_value(&PlacedNode::root(&node, &diagnostics));
        let problems = diagnostics.problems();
        let text =
            |problem: &crate::yaml::Problem| format!("{}: {}", problem.path, problem.message);
        match problems.is_empty() {
            true => Ok(value.unwrap()),
            false => Err(problems.iter().map(text).collect()),
        }
    }

    struct Names(Patterns);

    impl FromValue for Names {
        fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
            let mut fields = value.fields()?;
            let match_type = MatchType::from_fields(&mut fields)?;
            let names = Patterns::optional(&mut fields, "names", match_type)?;
            fields.finish();
            Some(Self(names))
        }
    }

    #[test]
    fn each_kind_of_match_has_its_rules() {
        let f = |match_type: &str, pattern: &str, text: &str, expected: bool| {
            let yaml = format!("{{match_type: {match_type}, names: [other, '{pattern}']}}");
            let Names(names) = read(&yaml).unwrap();
            assert_eq!(names.matches(text), expected, "{yaml} {text}");
        };
        f("strict", "a.b", "a.b", true);
        f("strict", "a.b", "axb", false);
        f("strict", "a.b", "a.b.c", false);
        f("regexp", "a.b", "axb", true);
        f("regexp", "a.b", "in aXbaxb", true);
        f("regexp", "^a.b$", "in axb", false);
        f("glob", "system.*", "system.cpu.time", true);
        f("glob", "system.*", "my.system.cpu", false);
        f("glob", "system.*", "systemXcpu", false);
        f("glob", "a?c", "abc", true);
        f("glob", "a?c", "abbc", false);
        f("glob", "a*", "a\nb", true);
        f("glob", "(", "(", true);
    }

    #[test]
    fn mistakes_are_named() {
        let f = |yaml: &str, expected: &str| {
            let problems = read::<Names>(yaml).err().unwrap();
            assert_eq!(problems, [expected], "{yaml}");
        };
        f(
            "{match_type: regexp, names: [a, '(']}",
            "names::1: no regular expression: unclosed group",
        );
        f("names: [a]", ": `match_type` is missing");
        f(
            "{match_type: regex, names: [a]}",
            "match_type: expected strict, regexp or glob, found `regex`, did you mean `regexp`?",
        );
        f(
            "{match_type: expr, names: [a]}",
            "match_type: expressions aren't supported: use strict, regexp or glob",
        );
        f(
            "{match_type: regexp, names: ['(.{1000}){1000}']}",
            "names::0: no regular expression: Compiled regex exceeds size limit of 1048576 bytes.",
        );
    }
}
