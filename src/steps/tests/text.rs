//! What reads text: scraped metrics, and configurations.

use std::sync::Arc;

use super::work_at_most_doubles;
use crate::receivers::scrape::text::lines;
use crate::yaml::{Diagnostics, MAX_BYTES, parse};

/// A text of a beginning, so many of a unit, and an end.
type Text = (
    &'static str,
    &'static str,
    fn(usize) -> String,
    &'static str,
);

fn text((_, begin, unit, end): &Text, size: usize) -> Vec<u8> {
    let mut text = (*begin).to_owned();
    let mut n = 0;
    while text.len() < size {
        text.push_str(&unit(n));
        n += 1;
    }
    text.push_str(end);
    text.into_bytes()
}

#[test]
fn exposition_text_is_read_with_at_most_twice_the_work_for_twice_the_bytes() {
    let labels = |line: usize| {
        let labels: String = (0..128).map(|n| format!("l{n}=\"\",")).collect();
        format!("a{line}{{{labels}}} 1\n")
    };
    let texts: [Text; 9] = [
        ("labels of one line", "a{", |n| format!("l{n}=\"\","), "} 1"),
        ("lines with as many labels as may be", "", labels, "a 1"),
        ("one name", "a", |_| "aaaaaaaa".to_owned(), " 1"),
        ("one value", "a{b=\"", |_| "\\n\\n".to_owned(), "\"} 1"),
        (
            "values with escapes",
            "",
            |_| "a{b=\"\\n\\n\"} 1\n".to_owned(),
            "a 1",
        ),
        ("short lines", "", |_| "a 1\n".to_owned(), "a 1"),
        ("lines in error", "", |_| "abc\n".to_owned(), "a 1"),
        ("blanks", "abcdefghijklmnopqr", |_| "    ".to_owned(), "1"),
        ("comments", "", |_| "# HELP a b\n".to_owned(), "a 1"),
    ];
    for page in texts {
        work_at_most_doubles(
            page.0,
            |size| text(&page, size),
            |bytes| {
                let text = std::str::from_utf8(bytes).unwrap();
                // Who is strict stops at the first error; this one goes on.
                for line in lines(text) {
                    drop(line);
                }
            },
        );
    }
}

#[test]
fn yaml_is_read_with_at_most_twice_the_work_for_twice_the_bytes() {
    let texts: [Text; 8] = [
        ("keys", "", |n| format!("key{n}: 1\n"), ""),
        ("keys that repeat", "", |_| "key: 1\n".to_owned(), ""),
        ("a list", "", |_| "- 1\n".to_owned(), ""),
        ("a flow list", "[", |_| "1,".to_owned(), "1]"),
        ("texts", "", |_| "- 'a text in quotes'\n".to_owned(), ""),
        (
            "aliases of a text",
            "- &a text\n",
            |_| "- *a\n".to_owned(),
            "",
        ),
        (
            "merged maps",
            "- &a {b: 1}\n",
            |_| "- {<<: *a}\n".to_owned(),
            "",
        ),
        ("anchors", "", |n| format!("- &a{n} [1]\n"), ""),
    ];
    for page in texts {
        work_at_most_doubles(
            page.0,
            |size| text(&page, size),
            |bytes| {
                read_yaml(std::str::from_utf8(bytes).unwrap());
            },
        );
    }
}

#[test]
fn aliases_copy_no_more_text_than_a_document_may_have() {
    let document = |length: usize, aliases: usize| {
        let text = "x".repeat(length);
        format!("- &a {text}\n{}", "- *a\n".repeat(aliases))
    };
    assert!(read_yaml(&document(1000, 900)));
    assert!(!read_yaml(&document(1000, MAX_BYTES / 1000 + 1)));
    // A copy of the text within a list or a map counts as well, and so does what a key says.
    let within = |node: &str| format!("- &a {node}\n{}", "- *a\n".repeat(2000));
    let text = "x".repeat(1000);
    assert!(!read_yaml(&within(&format!("[{text}]"))));
    assert!(!read_yaml(&within(&format!("{{{text}: 1}}"))));
}

fn read_yaml(text: &str) -> bool {
    let diagnostics = Diagnostics::new();
    parse(text, &Arc::from("test.yaml"), &diagnostics).is_some() && !diagnostics.has_errors()
}
