//! [`Node`]s back to text that reads as the same tree.

use std::collections::HashSet;
use std::fmt::Write as _;

use super::{Entry, Node, NodeKind, SourceSpan};

/// What stands in place of a secret.
pub(super) const REDACTED: &str = "[redacted]";

/// Writes a tree as YAML. Secrets are redacted, as are scalars that stand at one of `secrets`
/// and the credentials and queries of URLs.
///
/// `$` is written as `$$`, so that reading and expanding the text gives the tree again.
pub fn print(node: &Node, secrets: &[SourceSpan]) -> String {
    let secrets: HashSet<&SourceSpan> = secrets.iter().collect();
    let mut text = String::new();
    match &node.kind {
        NodeKind::Map(entries) if !entries.is_empty() => {
            write_map(&mut text, entries, 0, &secrets);
        }
        NodeKind::List(items) if !items.is_empty() => write_list(&mut text, items, 0, &secrets),
        _ => {
            write_inline(&mut text, node, &secrets);
            text.push('\n');
        }
    }
    text
}

/// A text with the credentials and queries of URLs in it replaced, as
/// `http://[redacted]@host/path?[redacted]`: a query often carries a key. So are the
/// credentials in `user:password@host`.
pub fn without_credentials(text: &str) -> String {
    let words = text.split_inclusive(char::is_whitespace);
    words.map(word_without_credentials).collect()
}

fn word_without_credentials(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    if !text.contains("://")
        && let Some((credentials, host)) = text.rsplit_once('@')
        && credentials.contains(':')
        && !credentials.contains('/')
    {
        return format!("{REDACTED}@{host}");
    }
    while let Some((before, after)) = rest.split_once("://") {
        shown.push_str(before);
        shown.push_str("://");
        let end = after.find([' ', '"', '\'']).unwrap_or(after.len());
        let (url, tail) = after.split_at(end);
        let authority = url.find(['/', '?', '#']).unwrap_or(url.len());
        let (authority, path) = url.split_at(authority);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                shown.push_str(REDACTED);
                shown.push('@');
                shown.push_str(host);
            }
            None => shown.push_str(authority),
        }
        match path.split_once('?') {
            Some((path, query)) => {
                shown.push_str(path);
                shown.push('?');
                shown.push_str(if query.is_empty() { "" } else { REDACTED });
            }
            None => shown.push_str(path),
        }
        rest = tail;
    }
    shown.push_str(rest);
    shown
}

fn write_map(text: &mut String, entries: &[Entry], indent: usize, secrets: &HashSet<&SourceSpan>) {
    for entry in entries {
        pad(text, indent);
        write_text(text, &entry.key, false);
        text.push(':');
        write_child(text, &entry.value, indent, secrets);
    }
}

fn write_list(text: &mut String, items: &[Node], indent: usize, secrets: &HashSet<&SourceSpan>) {
    for item in items {
        pad(text, indent);
        text.push('-');
        write_child(text, item, indent, secrets);
    }
}

/// What follows a `key:` or `-`, to the end of its last line.
fn write_child(text: &mut String, node: &Node, indent: usize, secrets: &HashSet<&SourceSpan>) {
    match &node.kind {
        NodeKind::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            write_map(text, entries, indent + 2, secrets);
        }
        NodeKind::List(items) if !items.is_empty() => {
            text.push('\n');
            write_list(text, items, indent + 2, secrets);
        }
        NodeKind::Null => text.push('\n'),
        _ => {
            text.push(' ');
            write_inline(text, node, secrets);
            text.push('\n');
        }
    }
}

fn write_inline(text: &mut String, node: &Node, secrets: &HashSet<&SourceSpan>) {
    match &node.kind {
        NodeKind::Null => text.push_str("null"),
        NodeKind::List(_) => text.push_str("[]"),
        NodeKind::Map(_) => text.push_str("{}"),
        NodeKind::Secret { .. } => write_text(text, REDACTED, true),
        NodeKind::Scalar { .. } if secrets.contains(&node.span) => {
            write_text(text, REDACTED, true);
        }
        NodeKind::Scalar {
            text: value,
            quoted,
        } => {
            let value = without_credentials(value).replace('$', "$$");
            write_text(text, &value, *quoted);
        }
    }
}

fn pad(text: &mut String, indent: usize) {
    text.extend(std::iter::repeat_n(' ', indent));
}

/// A scalar or key, in double quotes unless it is certain to read as itself without them.
fn write_text(text: &mut String, value: &str, quoted: bool) {
    if !quoted && is_plain(value) {
        text.push_str(value);
        return;
    }
    text.push('"');
    for c in value.chars() {
        match c {
            '"' => text.push_str("\\\""),
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '\t' => text.push_str("\\t"),
            ' '..='~' => text.push(c),
            // Printable beyond ASCII, except what YAML takes for a line break or a mark.
            c if c.is_alphanumeric() => text.push(c),
            c if u32::from(c) <= 0xffff => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => {
                let _ = write!(text, "\\U{:08x}", u32::from(c));
            }
        }
    }
    text.push('"');
}

/// Stricter than YAML: what looks doubtful to a reader is quoted, too.
fn is_plain(value: &str) -> bool {
    let first_is_right = value
        .starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '$'));
    first_is_right
        && !value.ends_with([':', ' '])
        && !value.contains(": ")
        && !value.contains(" #")
        && !value.starts_with("...")
        && !matches!(value, "null" | "Null" | "NULL")
        && value
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " /_.$:-+*@=%()#;,!?<>&|^~".contains(c))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::yaml::{Diagnostics, parse};

    #[test]
    fn a_tree_is_written_in_the_usual_manner() {
        let text = "a:\n  b: 15s\n  c:\n    - x\n    -\n      d: \"010\"\ne:\nf: {}\ng: []\n";
        assert_eq!(print(&read(text), &[]), text);
    }

    #[test]
    fn a_secret_and_the_credentials_of_a_url_are_redacted() {
        let tree = read("token: hunter2\nurl: http://me:hunter2@host:1/x?y=z\nplain: a@b\n");
        let NodeKind::Map(entries) = &tree.kind else {
            panic!("a map")
        };
        let printed = print(&tree, std::slice::from_ref(&entries[0].value.span));
        assert_eq!(
            printed,
            "token: \"[redacted]\"\nurl: \"http://[redacted]@host:1/x?[redacted]\"\nplain: a@b\n"
        );
    }

    #[test]
    fn credentials_are_found_in_every_url_of_a_text() {
        let f = |text: &str, expected: &str| assert_eq!(without_credentials(text), expected);
        f("http://h/a@b", "http://h/a@b");
        f("http://h/a?key=x#y 'z'", "http://h/a?[redacted] 'z'");
        f("http://u:p@h?k", "http://[redacted]@h?[redacted]");
        f("u:p@h:1", "[redacted]@h:1");
        f("at u:p@h:1, http://h", "at [redacted]@h:1, http://h");
        f("me@h", "me@h");
        f("a: b@c", "a: b@c");
        f("http://u@h", "http://[redacted]@h");
        f("http://u:p@w@h/x", "http://[redacted]@h/x");
        f(
            "http://u:p@h http://v@i",
            "http://[redacted]@h http://[redacted]@i",
        );
        f("://", "://");
        f("a", "a");
    }

    proptest! {
        #[test]
        fn every_scalar_and_key_reads_back_as_itself(key in "\\PC*|[ -~]*", value in any::<String>()) {
            prop_assume!(!value.contains(['$', '@']) && !value.contains("://"));
            let span = SourceSpan { source: Arc::from("t"), line: 1, column: 1 };
            let value = Node {
                kind: NodeKind::Scalar { text: value, quoted: true },
                span: span.clone(),
            };
            let tree = Node {
                kind: NodeKind::Map(vec![Entry { key, span: span.clone(), value }]),
                span,
            };
            prop_assert_eq!(print(&read(&print(&tree, &[])), &[]), print(&tree, &[]));
        }

        #[test]
        fn a_plain_scalar_reads_back_as_itself(value in "[ -~]+") {
            prop_assume!(!value.contains(['$', '@']) && !value.contains("://"));
            let span = SourceSpan { source: Arc::from("t"), line: 1, column: 1 };
            let tree = Node { kind: NodeKind::Scalar { text: value.clone(), quoted: false }, span };
            let back = read(&print(&tree, &[]));
            let NodeKind::Scalar { text, .. } = back.kind else { panic!("a scalar: {back:?}") };
            prop_assert_eq!(text, value);
        }
    }

    fn read(text: &str) -> Node {
        let diagnostics = Diagnostics::new();
        let node = parse(text, &Arc::from("t"), &diagnostics);
        assert_eq!(diagnostics.problems(), [], "{text}");
        node.unwrap()
    }
}
