//! One word, one thing: a search for the name of a type finds one type.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::paths::{rust_files, without_comments};

/// What every component calls what the user writes of it.
const MAY_REPEAT: &[&str] = &["Config"];

/// The words that name a type when they begin an item.
const KEYWORDS: &[&str] = &["struct", "enum", "trait", "type", "union"];

#[test]
fn no_two_types_share_a_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in rust_files(&root) {
        let relative = path.strip_prefix(&root).unwrap();
        if is_of_tests(relative) {
            continue;
        }
        for (line, name) in types(&fs::read_to_string(&path).unwrap()) {
            let place = format!("src/{}:{line}", relative.display());
            places.entry(name).or_default().push(place);
        }
    }
    places.retain(|name, places| places.len() > 1 && !MAY_REPEAT.contains(&name.as_str()));
    let repeated: Vec<String> = places
        .iter()
        .map(|(name, places)| format!("{name}: {}", places.join(", ")))
        .collect();
    assert!(
        repeated.is_empty(),
        "types that share a name:\n{}",
        repeated.join("\n")
    );
}

#[test]
fn a_type_is_found_however_it_is_written() {
    let f = |source: &str, expected: &[&str]| {
        let names: Vec<String> = types(source).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, expected, "{source}");
    };
    f("struct A;", &["A"]);
    f("pub struct A<T>(T);", &["A"]);
    f("pub(in crate::pdata) enum A {\n    B,\n}", &["A"]);
    f("pub(crate) trait A: Send {\n    type B;\n}", &["A"]);
    f("type A = u8;\npub type B<T> = Vec<T>;", &["A", "B"]);
    // Comments, functions, and what stands inside of something, are no types of the module.
    f("// struct A;\nfn structure() {\n    struct B;\n}", &[]);
    f("impl A for B {\n    type C = u8;\n}", &[]);
}

/// Whether a file holds tests alone. Their rigs are read beside the tests that use them.
fn is_of_tests(relative: &Path) -> bool {
    relative
        .components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

/// The types that a source defines at its top level, with their lines.
fn types(source: &str) -> Vec<(usize, String)> {
    let named = |line: &str| {
        // The visibility stands before the keyword, in parentheses of any content.
        let item = match line.strip_prefix("pub") {
            Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
            Some(rest) => rest.strip_prefix(' ')?,
            None => line,
        };
        let (keyword, rest) = item.split_once(' ')?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
        let name = &rest[..end.unwrap_or(rest.len())];
        (KEYWORDS.contains(&keyword) && !name.is_empty()).then(|| name.to_owned())
    };
    without_comments(source)
        .lines()
        .enumerate()
        .filter_map(|(index, line)| Some((index + 1, named(line)?)))
        .collect()
}
