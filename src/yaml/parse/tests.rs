use proptest::prelude::*;

use super::*;
use crate::yaml::print;

fn read(text: &str) -> (Option<Node>, Vec<String>) {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("t"), &diagnostics);
    let problems = diagnostics.problems();
    (node, problems.iter().map(ToString::to_string).collect())
}

#[test]
fn every_syntax_error_is_one_problem_in_plain_words() {
    let f = |text: &str, expected: &str| {
        let (node, problems) = read(text);
        assert_eq!(problems, [expected], "{text:?}");
        assert_eq!(node, None, "{text:?}");
    };
    let tab = "a tab can't indent in YAML: use spaces";
    f("a:\n\tb: 1\n", &format!("t:2:1: {tab}"));
    f("a:\n  b: 1\n \tc: 1\n", &format!("t:3:2: {tab}"));
    f("a: 1\n\tb: 2\n", &format!("t:2:1: {tab}"));
    let colon = "a `:` can't stand here: quote the value that contains it, or mend the \
                 indentation of this line, or the line above lacks its `:`";
    f("a: b: c\n", &format!("t:1:5: {colon}"));
    f("a: 1\n  b: 2\n", &format!("t:2:4: {colon}"));
    f(
        "a: [1, 2\nb: 3\n",
        "t:2:2: a `:` can't stand here: is a bracket or a brace before it still open?",
    );
    let reference = "within brackets or braces a value with `${...}` has to stand in quotes, as in \
                     `{endpoint: \"${env:HOST}:4318\"}`";
    f("a: {x: ${env:HOST}:1}\n", &format!("t:1:9: {reference}"));
    f("a: {x: h${HOST}}\n", &format!("t:1:10: {reference}"));
    f("a:\n  [\u{e9}, ${HOST}]\n", &format!("t:2:8: {reference}"));
    f("a: {x: 1\n", "t:1:4: `{` is never closed");
    f("a: [1\n", "t:1:4: `[` is never closed");
    f("a: [1}\n", "t:1:4: `[` is closed by `}`");
    f(
        "a: \"abc\nb: 2\n",
        "t:2:1: a quote is not closed on its line, and what follows is not indented",
    );
    f(
        "a: 'x' y\n",
        "t:1:8: something follows the closing quote: put the whole value in quotes",
    );
    f(
        "a: @x\n",
        "t:1:4: a value can't begin with `@`: put it in quotes",
    );
    f(
        "a: *nope\n",
        "t:1:4: this alias has no anchor before it: quote the value if `*` is meant",
    );
    f(
        "a: 1\nb\n",
        "t:2:1: expected `key: value`: a `:` with a space behind it is missing",
    );
    f(
        "a:\n    b: 1\n  c: 2\n",
        "t:3:3: expected a key: is this line indented like the other keys of its map?",
    );
    f(
        "a: 1\n---\nb: 2\n",
        "t:2:1: a second document begins here: use one, or give each in a file of its own \
         with --config",
    );
    f(
        "a: !include x.yaml\n",
        "t:1:13: the tag `!include` means nothing here: remove it, or quote the text if it \
         belongs to the value",
    );
    f("? [a]\n: b\n", "t:1:3: a key must be plain text");
    f(
        "a: &a [*a]\n",
        "t:1:8: an alias can't stand inside its own anchor",
    );
    f(
        "a: &a 1\n<<: *a\n",
        "t:2:1: `<<` merges maps: give it an alias of a map, or a list of them",
    );
}

#[test]
fn every_duplicate_key_is_reported_with_its_path() {
    let (node, problems) = read("a:\n  - b: 1\n    b: 2\n    b: 3\nc:\n'c': 2\n");
    assert_eq!(
        problems,
        [
            "t:3:5: a::0::b: `b` is written twice, first in line 2: keep one of them",
            "t:4:5: a::0::b: `b` is written twice, first in line 2: keep one of them",
            "t:6:1: c: `c` is written twice, first in line 5: keep one of them",
        ]
    );
    assert!(node.is_some());
}

#[test]
fn aliases_and_merge_keys_give_the_tree_without_them() {
    let f = |text: &str, expected: &str| {
        let (node, problems) = read(text);
        assert_eq!(problems, [] as [String; 0], "{text}");
        assert_eq!(print(&node.unwrap(), &[]), expected, "{text}");
    };
    f("a: &x 1\nb: *x\n", "a: 1\nb: 1\n");
    f("a: &x [1]\nb: *x\n", "a:\n  - 1\nb:\n  - 1\n");
    f(
        "a: &x {k: 1, l: 2}\nb:\n  <<: *x\n  k: 3\n",
        "a:\n  k: 1\n  l: 2\nb:\n  k: 3\n  l: 2\n",
    );
    f(
        "a: &x {k: 1}\nb: &y {k: 2, l: 2}\nc: {<<: [*x, *y]}\n",
        "a:\n  k: 1\nb:\n  k: 2\n  l: 2\nc:\n  k: 1\n  l: 2\n",
    );
    f("a: {'<<': 1}\n", "a:\n  \"<<\": 1\n");
}

#[test]
fn what_would_grow_without_bound_is_refused() {
    let f = |text: String, expected: &str| {
        let (_, problems) = read(&text);
        assert!(problems[0].contains(expected), "{problems:?}");
        assert_eq!(problems.len(), 1);
    };
    let mut laughs = "a0: &a0 [x, x]\n".to_owned();
    for i in 1..40 {
        laughs += &format!("a{i}: &a{i} [*a{}, *a{}]\n", i - 1, i - 1);
    }
    f(laughs, "more than 100000 values");
    let mut chain = "a0: &a0 [x]\n".to_owned();
    for i in 1..100 {
        chain += &format!("a{i}: &a{i} [*a{}]\n", i - 1);
    }
    f(chain, "nest deeper than 64 levels");
    f("[".repeat(5000), "nest deeper than 64 levels");
    f(
        (0..70).map(|i| format!("{}k:\n", " ".repeat(i))).collect(),
        "nest deeper than 64 levels",
    );
    f("x".repeat(MAX_BYTES + 1), "are the most that is read");
}

#[test]
fn a_value_keeps_its_text_style_and_place() {
    let (node, _) = read("\u{feff}a:\r\n  b: 010\r\n  c: \"yes\"\r\n  d:\r\n");
    let NodeKind::Map(root) = node.unwrap().kind else {
        panic!("a map")
    };
    let a = &root[0].value;
    assert_eq!(a.span.to_string(), "t:1:1");
    let NodeKind::Map(entries) = &a.kind else {
        panic!("a map")
    };
    let found: Vec<(NodeKind, String)> = entries
        .iter()
        .map(|entry| (entry.value.kind.clone(), entry.value.span.to_string()))
        .collect();
    let scalar = |text: &str, quoted| NodeKind::Scalar {
        text: text.to_owned(),
        quoted,
    };
    assert_eq!(
        found,
        [
            (scalar("010", false), "t:2:6".to_owned()),
            (scalar("yes", true), "t:3:6".to_owned()),
            (NodeKind::Null, "t:4:3".to_owned()),
        ]
    );
}

proptest! {
    #[test]
    fn no_text_panics_the_reader(text in any::<String>()) {
        read(&text);
    }

    #[test]
    fn no_text_of_yaml_marks_panics_the_reader(text in "[a-c:\\-\\[\\]{},&*!|>'\"%@#?<~ \n\t$]{0,60}") {
        if let (Some(node), _) = read(&text) {
            print(&node, &[]);
        }
    }
}
