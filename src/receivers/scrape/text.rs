//! Reads the Prometheus text format, version 0.0.4, line by line and strictly: a line that isn't
//! in the format is an error that names it, so that no series is lost silently.
//!
//! Metric and label names are the classic ones of ASCII letters, digits, `_` and `:`.
//!
//! A line has at most [`MAX_LABELS`] labels, a name [`MAX_NAME`] bytes and a label's value
//! [`MAX_VALUE`] bytes, so that reading takes time proportional to the text.

use std::borrow::Cow;

use super::FailureReason;
use crate::steps;

/// The most labels of a line. Prometheus's own exporters use some twenty.
pub const MAX_LABELS: usize = 128;

/// The longest name of a metric or label, in bytes.
pub const MAX_NAME: usize = 1024;

/// The longest value of a label, in bytes as written, escapes included.
pub const MAX_VALUE: usize = 4096;

/// A line with a value or metadata; other comments and empty lines give none.
#[derive(Debug, Clone, PartialEq)]
pub enum Line<'a> {
    /// `# TYPE name type`
    Type {
        /// The metric family.
        name: &'a str,
        /// As written, such as `counter`.
        kind: &'a str,
    },
    /// `# HELP name text`
    Help {
        /// The metric family.
        name: &'a str,
        /// The text as written, with its escapes.
        text: &'a str,
    },
    /// A value.
    Sample(Sample<'a>),
}

/// One value of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// The metric's name, with suffixes such as `_bucket`.
    pub name: &'a str,
    /// The labels in their order, no name twice, with unescaped values.
    pub labels: Vec<(&'a str, Cow<'a, str>)>,
    /// The value.
    pub value: f64,
    /// Milliseconds since the Unix epoch.
    pub timestamp: Option<i64>,
}

impl Sample<'_> {
    /// A label's value; empty if there is no such label, which Prometheus treats as the same.
    pub fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| *label == name);
        found.map_or("", |(_, value)| value)
    }
}

/// A line that isn't in the format or exceeds a limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct MalformedText {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong; doesn't quote the line.
    pub what: &'static str,
    /// `Parse` if it isn't in the format, `Limit` if it exceeds a limit.
    pub reason: FailureReason,
}

/// What is wrong with a line.
struct LineFault {
    what: &'static str,
    reason: FailureReason,
}

impl LineFault {
    fn beyond(what: &'static str) -> Self {
        Self {
            what,
            reason: FailureReason::Limit,
        }
    }
}

impl From<&'static str> for LineFault {
    fn from(what: &'static str) -> Self {
        Self {
            what,
            reason: FailureReason::Parse,
        }
    }
}

/// The values and metadata of a text. After an error the iterator goes on with the next line; a
/// strict caller stops there.
pub fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, MalformedText>> {
    (1..).zip(text.split('\n')).filter_map(|(line, content)| {
        parse(content)
            .map_err(|LineFault { what, reason }| MalformedText { line, what, reason })
            .transpose()
    })
}

fn parse(line: &str) -> Result<Option<Line<'_>>, LineFault> {
    // A carriage return is accepted, since servers on other systems end lines with it.
    let line = line.strip_suffix('\r').unwrap_or(line);
    let line = line.trim_start_matches(BLANKS);
    if let Some(comment) = line.strip_prefix('#') {
        return comment_line(comment.trim_start_matches(BLANKS));
    }
    if line.is_empty() {
        return Ok(None);
    }
    let (name, rest) = take_name(line, is_metric_char, "expected a metric name")?;
    let rest = rest.trim_start_matches(BLANKS);
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(inside) => take_labels(inside)?,
        // Without labels, a blank must separate the value from the name.
        None if rest.len() + name.len() == line.len() => {
            return Err("expected a blank or labels".into());
        }
        None => (Vec::new(), rest),
    };
    let mut fields = rest.split(BLANKS).filter(|field| !field.is_empty());
    let value = fields.next().ok_or("expected a value")?;
    let value = value.parse().map_err(|_| "the value is no number")?;
    let timestamp = match fields.next() {
        Some(field) => Some(
            field
                .parse()
                .map_err(|_| "the timestamp is no whole number")?,
        ),
        None => None,
    };
    if fields.next().is_some() {
        return Err("something stands after the value".into());
    }
    Ok(Some(Line::Sample(Sample {
        name,
        labels,
        value,
        timestamp,
    })))
}

const BLANKS: [char; 2] = [' ', '\t'];

fn comment_line(comment: &str) -> Result<Option<Line<'_>>, LineFault> {
    let (keyword, rest) = comment.split_once(BLANKS).unwrap_or((comment, ""));
    if keyword != "TYPE" && keyword != "HELP" {
        return Ok(None);
    }
    let rest = rest.trim_start_matches(BLANKS);
    let (name, rest) = take_name(rest, is_metric_char, "expected a metric name")?;
    let content = rest.trim_start_matches(BLANKS);
    if content.len() == rest.len() && !rest.is_empty() {
        return Err("expected a metric name".into());
    }
    if keyword == "HELP" {
        return Ok(Some(Line::Help {
            name,
            text: content,
        }));
    }
    match content.trim_end_matches(BLANKS) {
        kind @ ("counter" | "gauge" | "histogram" | "summary" | "untyped") => {
            Ok(Some(Line::Type { name, kind }))
        }
        _ => Err("no metric type".into()),
    }
}

/// Names with unescaped values.
type ParsedLabels<'a> = Vec<(&'a str, Cow<'a, str>)>;

/// Reads the labels, and returns them with the text after the closing brace.
fn take_labels(mut rest: &str) -> Result<(ParsedLabels<'_>, &str), LineFault> {
    let mut labels = ParsedLabels::new();
    loop {
        rest = rest.trim_start_matches(BLANKS);
        if let Some(after) = rest.strip_prefix('}') {
            return Ok((labels, after));
        }
        let (name, after) = take_name(rest, is_label_char, "expected a label name")?;
        if labels.len() == MAX_LABELS {
            return Err(LineFault::beyond("more than 128 labels"));
        }
        steps::count(labels.len());
        if labels.iter().any(|(other, _)| *other == name) {
            return Err("a label is there twice".into());
        }
        let after = after.trim_start_matches(BLANKS);
        let after = after
            .strip_prefix('=')
            .ok_or("expected = after a label name")?;
        let after = after.trim_start_matches(BLANKS);
        let quoted = after
            .strip_prefix('"')
            .ok_or("expected a label value in quotes")?;
        let (value, after) = take_quoted(quoted)?;
        labels.push((name, value));
        rest = after.trim_start_matches(BLANKS);
        // A comma is allowed after the last label too.
        match rest.strip_prefix(',') {
            Some(after) => rest = after,
            None if rest.starts_with('}') => {}
            None => return Err("expected a comma or } after a label".into()),
        }
    }
}

/// Reads a quoted value, and returns it unescaped with the text after the closing quote.
fn take_quoted(text: &str) -> Result<(Cow<'_, str>, &str), LineFault> {
    let mut unescaped: Option<String> = None;
    // Where the part begins that hasn't been copied to `unescaped` yet.
    let mut copied = 0;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        steps::count(1);
        if at > MAX_VALUE {
            return Err(LineFault::beyond("a label value of more than 4096 bytes"));
        }
        match c {
            '"' => {
                let tail = &text[copied..at];
                let value = match unescaped {
                    Some(mut value) => {
                        value.push_str(tail);
                        Cow::Owned(value)
                    }
                    None => Cow::Borrowed(tail),
                };
                return Ok((value, &text[at + 1..]));
            }
            '\\' => {
                let value = unescaped.get_or_insert_default();
                value.push_str(&text[copied..at]);
                let (next, escape) = chars.next().ok_or("a label value doesn't end")?;
                value.push(match escape {
                    'n' => '\n',
                    '"' => '"',
                    '\\' => '\\',
                    _ => return Err("no such escape in a label value".into()),
                });
                copied = next + 1;
            }
            _ => {}
        }
    }
    Err("a label value doesn't end".into())
}

fn take_name<'a>(
    text: &'a str,
    is_part: fn(char) -> bool,
    expected: &'static str,
) -> Result<(&'a str, &'a str), LineFault> {
    let end = text.find(|c| !is_part(c)).unwrap_or(text.len());
    steps::count(end);
    if !text.starts_with(|c: char| is_part(c) && !c.is_ascii_digit()) {
        return Err(expected.into());
    }
    if end > MAX_NAME {
        return Err(LineFault::beyond("a name of more than 1024 bytes"));
    }
    Ok(text.split_at(end))
}

fn is_metric_char(c: char) -> bool {
    is_label_char(c) || c == ':'
}

fn is_label_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let f = |line: &str, name: &str, labels: &[(&str, &str)], value: f64, at: Option<i64>| {
            let read: Vec<_> = lines(line).collect::<Result<_, _>>().unwrap();
            let labels = labels
                .iter()
                .map(|(n, v)| (*n, Cow::Borrowed(*v)))
                .collect();
            let expected = Sample {
                name,
                labels,
                value,
                timestamp: at,
            };
            assert_eq!(read, [Line::Sample(expected)], "{line}");
        };
        f("a 1", "a", &[], 1.0, None);
        f(
            "a:b_2\t-1.5e3  1763000000000 ",
            "a:b_2",
            &[],
            -1500.0,
            Some(1_763_000_000_000),
        );
        f("a{} +Inf\r", "a", &[], f64::INFINITY, None);
        f("a {b=\"c\"} 1", "a", &[("b", "c")], 1.0, None);
        f(
            "a{b=\"c\",d=\"\",}1",
            "a",
            &[("b", "c"), ("d", "")],
            1.0,
            None,
        );
        f(
            r#"a{ b = "x\\y\"z\n}," , c="d"} 1"#,
            "a",
            &[("b", "x\\y\"z\n},"), ("c", "d")],
            1.0,
            None,
        );
        f("a{b=\"ä€\\n\"} 1", "a", &[("b", "ä€\n")], 1.0, None);
    }

    #[test]
    fn what_is_not_in_the_format_is_an_error() {
        let f = |line: &str| {
            let text = format!("ok 1\n{line}\n");
            let error = lines(&text).find_map(Result::err);
            assert_eq!(error.map(|error| error.line), Some(2), "{line}");
        };
        for line in [
            "1a 1",
            "a",
            "a ",
            "a b",
            "a 1 b",
            "a 1 2 3",
            "a{",
            "a{b} 1",
            "a{b=} 1",
            "a{b=c} 1",
            "a{b=\"c} 1",
            "a{b=\"c\" d=\"e\"} 1",
            "a{b=\"c\",b=\"d\"} 1",
            "a{b=\"\\t\"} 1",
            "a{1=\"c\"} 1",
            "a{,} 1",
            "a{b=\"c\"}",
            "<html>",
            "a-b 1",
            "# TYPE a",
            "# TYPE a x",
            "# TYPE 1 counter",
            "# HELP a-b c",
            "{\"a\"} 1",
            "a{b=\"c\\",
            "a 0x1",
        ] {
            f(line);
        }
    }

    #[test]
    fn a_line_has_its_limits() {
        let f = |line: String, beyond: Option<&str>| {
            let read = lines(&line).next().unwrap();
            let error = read.err().map(|error| (error.what, error.reason));
            assert_eq!(error, beyond.map(|what| (what, FailureReason::Limit)));
        };
        let labelled = |count: usize| {
            let labels: String = (0..count).map(|n| format!("l{n}=\"\",")).collect();
            format!("a{{{labels}}} 1")
        };
        f(labelled(128), None);
        f(labelled(129), Some("more than 128 labels"));
        let named = |length: usize| format!("{} 1", "n".repeat(length));
        f(named(1024), None);
        f(named(1025), Some("a name of more than 1024 bytes"));
        let label = |length: usize| format!("a{{{}=\"\"}} 1", "n".repeat(length));
        f(label(1024), None);
        f(label(1025), Some("a name of more than 1024 bytes"));
        let valued = |length: usize| format!("a{{b=\"{}\"}} 1", "v".repeat(length));
        f(valued(4096), None);
        f(valued(4097), Some("a label value of more than 4096 bytes"));
    }

    #[test]
    fn comments_say_nothing_unless_they_are_types_or_help() {
        let text = "# anything\n#TYPE a counter\n# HELP a b  c\\n \n\n#\n# TYPES a\n";
        let read: Vec<_> = lines(text).collect::<Result<_, _>>().unwrap();
        assert_eq!(
            read,
            [
                Line::Type {
                    name: "a",
                    kind: "counter"
                },
                Line::Help {
                    name: "a",
                    text: "b  c\\n "
                },
            ]
        );
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[a-z{}=\"\\\\ #,0-9\nä]{0,200}") {
            for line in lines(&text) {
                let _ = line;
            }
        }

        #[test]
        fn label_values_come_back(value in "\\PC{0,20}|[\\\\\"n\n]{0,9}") {
            let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let text = format!("a{{b=\"{escaped}\"}} 1");
            let read = lines(&text).next().unwrap().unwrap();
            let Line::Sample(sample) = read else { panic!("{read:?}") };
            prop_assert_eq!(sample.label("b"), value);
        }
    }
}
