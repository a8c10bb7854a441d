//! Puts environment variables into scalars.
//!
//! It runs over the parsed tree, so a value can't inject structure: whatever a variable
//! holds, it stays part of the one scalar that names it. Keys are left as they are.

use crate::yaml::{Diagnostics, MAX_BYTES, Node, NodeKind, Problem, Secret, Severity, is_secret};

/// Looks up an environment variable; `None` where it is not set.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces `${env:NAME}`, `${NAME}`, both with `:-default`, and `$$` in every scalar.
///
/// A `$` before anything else stays, for regular expressions, and so does `${` before a digit:
/// `${1}` is a group of an expression and can be no variable. As in the Collector, a
/// default is for a variable that is not set; one that is set to nothing gives nothing.
pub(super) fn expand(node: &mut Node, environment: Environment<'_>, diagnostics: &Diagnostics) {
    Expander {
        environment,
        diagnostics,
        path: Vec::new(),
        // What variables may bring in all, since a short text can name a long one often.
        room: MAX_BYTES,
        sealed: false,
        found: ScalarContent::default(),
    }
    .node(node);
}

struct Expander<'a> {
    environment: Environment<'a>,
    diagnostics: &'a Diagnostics,
    path: Vec<String>,
    room: usize,
    /// Whether what is expanded must not be shown, nor parts of it.
    sealed: bool,
    /// Whether a reference was replaced, and whether its variable's name is that of a secret.
    found: ScalarContent,
}

/// What stood in one scalar.
#[derive(Default)]
struct ScalarContent {
    reference: bool,
    secret: bool,
}

impl Expander<'_> {
    fn node(&mut self, node: &mut Node) {
        match &mut node.kind {
            NodeKind::Null => {}
            NodeKind::List(items) => {
                for (i, item) in items.iter_mut().enumerate() {
                    self.path.push(i.to_string());
                    self.node(item);
                    self.path.pop();
                }
            }
            NodeKind::Map(entries) => {
                for entry in entries {
                    self.path.push(entry.key.clone());
                    self.node(&mut entry.value);
                    self.path.pop();
                }
            }
            NodeKind::Scalar { text, quoted } => {
                let (written, quoted) = (text.clone(), *quoted);
                self.scalar(node, &written, quoted, false);
            }
            NodeKind::Secret { text, quoted } => {
                let (written, quoted) = (text.clone(), *quoted);
                self.scalar(node, written.expose(), quoted, true);
            }
        }
    }

    fn scalar(&mut self, node: &mut Node, written: &str, quoted: bool, sealed: bool) {
        if !written.contains('$') {
            return;
        }
        self.sealed = sealed;
        self.found = ScalarContent::default();
        match self.text(written) {
            // Nothing, without quotes, is what an empty value is in YAML.
            Ok(expanded) if expanded.is_empty() && !quoted => {
                // Only references stand in it, so that nothing secret can.
                let why = format!("`{written}` is empty");
                self.diagnostics.emptied(&node.span, why);
                node.kind = NodeKind::Null;
            }
            Ok(text) if sealed => {
                let text = Secret::new(text);
                node.kind = NodeKind::Secret { text, quoted };
            }
            Ok(text) => {
                if self.found.reference {
                    self.diagnostics.refers(&node.span, written.to_owned());
                }
                if self.found.secret {
                    self.diagnostics.mark_secret(&node.span);
                }
                node.kind = NodeKind::Scalar { text, quoted };
            }
            Err(message) => self.diagnostics.settle(Problem {
                span: node.span.clone(),
                path: self.path.join("::"),
                message,
                severity: Severity::Error,
            }),
        }
    }

    fn text(&mut self, text: &str) -> Result<String, String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            if let Some(after) = after.strip_prefix('$') {
                expanded.push('$');
                rest = after;
            } else if let Some(after) = opened(after) {
                let (reference, after) = closed(after).ok_or_else(|| {
                    "`${` is never closed: add the `}`, or write `$${` for the text itself"
                        .to_owned()
                })?;
                let value = self.reference(reference)?;
                self.room = self.room.checked_sub(value.len()).ok_or_else(|| {
                    format!("the environment brings more than {MAX_BYTES} bytes into it")
                })?;
                expanded.push_str(&value);
                rest = after;
            } else {
                expanded.push('$');
                rest = after;
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// What stands between the braces.
    fn reference(&mut self, reference: &str) -> Result<String, String> {
        let named = reference.strip_prefix("env:").unwrap_or(reference);
        let (name, default) = match named.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (named, None),
        };
        if self.sealed && !is_name(name) {
            return Err(
                "`${` begins a reference, and no name of an environment variable follows: \
                 write `$${` for the text itself"
                    .to_owned(),
            );
        }
        if let Some((scheme, _)) = name.split_once(':') {
            return Err(format!(
                "`${{{scheme}:...}}` is not supported: only environment variables are, as \
                 `${{env:NAME}}`"
            ));
        }
        if !is_name(name) {
            return Err(format!(
                "`{name}` is no name of an environment variable: use letters, digits and `_`, \
                 or write `$${{` for the text itself"
            ));
        }
        self.found.reference = true;
        self.found.secret |= is_secret(name);
        match ((self.environment)(name), default) {
            (Some(value), _) => Ok(value),
            // A default may name another variable. Its text is shorter each time, and
            // the nesting is bounded by `closed`.
            (None, Some(default)) => self.text(default),
            (None, None) => Err(format!(
                "the environment variable `{name}` is not set: set it, or give a default as \
                 `${{env:{name}:-value}}`"
            )),
        }
    }
}

/// Whether it can be the name of an environment variable.
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// What follows the brace behind a `$`, if that begins a reference.
fn opened(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('{')?;
    (!inner.starts_with(|c: char| c.is_ascii_digit())).then_some(inner)
}

/// Splits at the brace that closes the reference, with references in its default skipped.
fn closed(text: &str) -> Option<(&str, &str)> {
    /// Nobody nests defaults deeper than two or three; this bounds the recursion.
    const MAX_NESTING: usize = 16;
    let mut depth = 0;
    let mut before = ' ';
    for (i, c) in text.char_indices() {
        match c {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return text.split_at_checked(i).map(|(a, b)| (a, &b[1..])),
            '}' => depth -= 1,
            _ => {}
        }
        if depth > MAX_NESTING {
            return None;
        }
        before = c;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{PlacedNode, parse, print};

    fn environment(name: &str) -> Option<String> {
        match name {
            "HOST" => Some("db.local".to_owned()),
            "PORT" => Some("9000".to_owned()),
            "EMPTY" => Some(String::new()),
            "EVIL" => Some("x\nreceivers: {}\n# ${HOST}".to_owned()),
            "LONG" => Some("x".repeat(1000)),
            _ => None,
        }
    }

    fn expanded(text: &str) -> (String, Vec<String>) {
        let diagnostics = Diagnostics::new();
        let mut node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
        expand(&mut node, &environment, &diagnostics);
        let problems = diagnostics.problems();
        (
            print(&node, &[]),
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn references_become_the_values_of_variables() {
        let f = |text: &str, expected: &str| {
            let (printed, problems) = expanded(&format!("a: {text}\n"));
            assert_eq!(problems, [] as [String; 0], "{text}");
            assert_eq!(printed, format!("a:{expected}\n"), "{text}");
        };
        f("${env:HOST}", " db.local");
        f("${HOST}:${PORT}", " db.local:9000");
        f("'${HOST}'", " \"db.local\"");
        f("${env:NONE:-fallback}", " fallback");
        f("${NONE:-}", "");
        f("'${NONE:-}'", " \"\"");
        f(
            "${NONE:-http://localhost:9000}/x",
            " http://localhost:9000/x",
        );
        f("${NONE:-${env:NEITHER:-${PORT}}}", " 9000");
        f("${HOST:-unused}", " db.local");
        f("${EMPTY:-unused}", "");
        // Printing doubles each `$` again.
        f("$$", " $$");
        f("$${HOST}", " \"$${HOST}\"");
        f("$$${PORT}", " $$9000");
        f("^a$", " \"^a$$\"");
        f("$HOST", " $$HOST");
        // Groups of regular expressions.
        f("'${1}-$2-$${3}'", " \"$${1}-$$2-$${3}\"");
        f("${1}${HOST}", " \"$${1}db.local\"");
        f("${NONE:-${1}}", " \"$${1}\"");
        f("${12", " \"$${12\"");
    }

    #[test]
    fn a_value_never_becomes_structure() {
        let (printed, problems) = expanded("a: ${EVIL}\n");
        assert_eq!(problems, [] as [String; 0]);
        assert_eq!(printed, "a: \"x\\nreceivers: {}\\n# $${HOST}\"\n");
        assert_eq!(expanded("${HOST}: 1\n").0, "\"${HOST}\": 1\n");
    }

    #[test]
    fn what_is_said_of_an_empty_value_names_what_is_empty() {
        let f = |text: &str, read: &dyn Fn(&PlacedNode<'_>), expected: &str| {
            let diagnostics = Diagnostics::new();
            let mut node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
            expand(&mut node, &environment, &diagnostics);
            read(&PlacedNode::root(&node, &diagnostics));
            let problems: Vec<_> = diagnostics
                .problems()
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(problems, [expected]);
        };
        let header = |value: &PlacedNode<'_>| drop(value.read::<BTreeMap<String, Secret>>());
        let token = "t:1:4: a: expected a secret as a string";
        f(
            "a: ${env:EMPTY}",
            &header,
            &format!("{token} (`${{env:EMPTY}}` is empty)"),
        );
        f(
            "a: ${NONE:-}",
            &header,
            &format!("{token} (`${{NONE:-}}` is empty)"),
        );
        // Where nothing is written there is nothing to explain.
        f("a:", &header, "t:1:1: a: expected a secret as a string");
        f(
            "a: ${EMPTY}${EMPTY}",
            &|value| drop(value.fields().unwrap().required::<String>("a")),
            "t:1:4: a: `a` is missing (`${EMPTY}${EMPTY}` is empty)",
        );
    }

    #[test]
    fn what_can_not_be_expanded_is_reported_at_its_place() {
        let f = |text: &str, expected: &str| {
            let (_, problems) = expanded(&format!("a:\n  - {text}\n"));
            assert_eq!(problems, [format!("t:2:5: a::0: {expected}")], "{text}");
        };
        f(
            "${env:NONE}",
            "the environment variable `NONE` is not set: set it, or give a default as \
             `${env:NONE:-value}`",
        );
        f(
            "x${HOST",
            "`${` is never closed: add the `}`, or write `$${` for the text itself",
        );
        f(
            "${file:/etc/passwd}",
            "`${file:...}` is not supported: only environment variables are, as `${env:NAME}`",
        );
        f(
            "${a-b}",
            "`a-b` is no name of an environment variable: use letters, digits and `_`, or \
             write `$${` for the text itself",
        );
        f(
            &"${LONG}".repeat(1100),
            "the environment brings more than 1048576 bytes into it",
        );
    }
}
