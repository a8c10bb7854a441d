//! Lays one tree over another.

use std::collections::HashMap;

use crate::yaml::{Diagnostics, Entry, MAX_DEPTH, Node, NodeKind, Problem, Severity, SourceSpan};

/// Lays `over` on `base`: maps merge key by key, and everything else replaces what was
/// there. Every node keeps its place, so that errors name the file a value came from; a
/// map that comes from several is where it began.
pub(super) fn merge(base: &mut Node, over: Node) {
    match (&mut base.kind, over.kind) {
        (NodeKind::Map(entries), NodeKind::Map(others)) => {
            let known: HashMap<String, usize> = entries
                .iter()
                .enumerate()
                .map(|(i, entry)| (entry.key.clone(), i))
                .collect();
            for other in others {
                match known.get(&other.key).and_then(|i| entries.get_mut(*i)) {
                    Some(entry) => merge(&mut entry.value, other.value),
                    None => entries.push(other),
                }
            }
        }
        (_, kind) => {
            *base = Node {
                kind,
                span: over.span,
            };
        }
    }
}

/// Splits keys like `service::http::endpoint` into maps, at every level, as the Collector
/// does for `yaml:` sources.
pub(super) fn unfold(node: &mut Node) {
    let NodeKind::Map(entries) = &mut node.kind else {
        return;
    };
    let mut unfolded = Node {
        kind: NodeKind::Map(Vec::new()),
        span: node.span.clone(),
    };
    for mut entry in std::mem::take(entries) {
        unfold(&mut entry.value);
        let span = entry.span;
        let keys: Vec<&str> = entry.key.splitn(MAX_DEPTH, "::").collect();
        merge(&mut unfolded, nested(&keys, &span, entry.value));
    }
    *node = unfolded;
}

/// Applies one `--set`: puts `value` at `path`, making maps on the way.
///
/// Reports a path that leads through something which is no map.
pub(super) fn set(
    root: &mut Node,
    path: &[&str],
    value: Node,
    span: &SourceSpan,
    diagnostics: &Diagnostics,
) {
    let mut at: &Node = root;
    for (depth, key) in path.iter().enumerate() {
        let found = match &at.kind {
            NodeKind::Map(entries) => entries.iter().find(|entry| entry.key == *key),
            NodeKind::Null => None,
            NodeKind::Scalar { .. } | NodeKind::Secret { .. } | NodeKind::List(_) => {
                let taken = path.get(..depth).unwrap_or(path).join("::");
                let message = match at.kind {
                    NodeKind::List(_) => {
                        format!("`{taken}` is a list: set the whole of it, as `[one, two]`")
                    }
                    _ => format!("`{taken}` is no map, so nothing can be set below it"),
                };
                return diagnostics.push(Problem {
                    span: span.clone(),
                    path: path.join("::"),
                    message,
                    severity: Severity::Error,
                });
            }
        };
        match found {
            Some(entry) => at = &entry.value,
            None => break,
        }
    }
    merge(root, nested(path, span, value));
}

/// `value` below one map for each key.
fn nested(path: &[&str], span: &SourceSpan, value: Node) -> Node {
    path.iter().rev().fold(value, |value, key| Node {
        kind: NodeKind::Map(vec![Entry {
            key: (*key).to_owned(),
            span: span.clone(),
            value,
        }]),
        span: span.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{parse, print};

    fn read(source: &str, text: &str) -> Node {
        parse(text, &Arc::from(source), &Diagnostics::new()).unwrap()
    }

    #[test]
    fn maps_merge_and_everything_else_replaces() {
        let f = |base: &str, over: &str, expected: &str| {
            let mut node = read("base", base);
            merge(&mut node, read("over", over));
            assert_eq!(
                print(&node, &[]),
                print(&read("expected", expected), &[]),
                "{base} and {over}"
            );
        };
        f("{a: 1, b: 2}", "{b: 3, c: 4}", "{a: 1, b: 3, c: 4}");
        f("{a: {x: 1}}", "{a: {y: 2}}", "{a: {x: 1, y: 2}}");
        f("{a: [1, 2]}", "{a: [3]}", "{a: [3]}");
        f("{a: {x: 1}}", "{a: 1}", "{a: 1}");
        f("{a: {x: 1}}", "{a: }", "{a: }");
        f("{a: }", "{a: {x: 1}}", "{a: {x: 1}}");
        f("{a: 1}", "", "");
        f("", "{a: 1}", "{a: 1}");
    }

    #[test]
    fn a_merged_value_keeps_its_place() {
        let mut node = read("base", "a:\n  x: 1\n  y: 2\n");
        merge(&mut node, read("over", "a:\n  y: 3\n"));
        let NodeKind::Map(root) = &node.kind else {
            panic!("a map")
        };
        let NodeKind::Map(entries) = &root[0].value.kind else {
            panic!("a map")
        };
        let places: Vec<String> = entries.iter().map(|e| e.value.span.to_string()).collect();
        assert_eq!(places, ["base:2:6", "over:2:6"]);
    }

    #[test]
    fn a_key_with_double_colons_is_a_path() {
        let mut node = read("yaml", "a::b: 1\na: {c::d: [2]}\ne: 3\n");
        unfold(&mut node);
        assert_eq!(
            print(&node, &[]),
            "a:\n  b: 1\n  c:\n    d:\n      - 2\ne: 3\n"
        );
    }

    #[test]
    fn a_path_is_set_where_maps_lead() {
        let f = |text: &str, path: &[&str], expected: Result<&str, &str>| {
            let mut node = read("t", text);
            let diagnostics = Diagnostics::new();
            let value = read("--set", "9");
            let span = value.span.clone();
            set(&mut node, path, value, &span, &diagnostics);
            let problem = diagnostics.problems().first().map(ToString::to_string);
            match expected {
                Ok(expected) => {
                    assert_eq!(problem, None, "{text}");
                    assert_eq!(print(&node, &[]), print(&read("t", expected), &[]));
                }
                Err(expected) => assert_eq!(problem.unwrap(), expected, "{text}"),
            }
        };
        f("{a: {b: 1}}", &["a", "b"], Ok("{a: {b: 9}}"));
        f("{a: }", &["a", "b", "c"], Ok("{a: {b: {c: 9}}}"));
        f("", &["a"], Ok("{a: 9}"));
        f("{a: {b: 1}}", &["a"], Ok("{a: 9}"));
        f(
            "{a: [1]}",
            &["a", "0"],
            Err("--set:1:1: a::0: `a` is a list: set the whole of it, as `[one, two]`"),
        );
        f(
            "{a: {b: 1}}",
            &["a", "b", "c"],
            Err("--set:1:1: a::b::c: `a::b` is no map, so nothing can be set below it"),
        );
    }
}
