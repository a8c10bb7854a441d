//! What reads text: scraped metrics, and configurations.

use std::sync::Arc;

use super::work_at_most_doubles;
use crate::exposition::read::{PageEntry, PageFormat, PageLimits, PageReader};
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

/// Twice as long a page is at most twice the work, in both text formats. The limits on labels and
/// lengths are lifted: what is linear without them is linear with them.
#[test]
fn exposition_text_is_read_with_at_most_twice_the_work_for_twice_the_bytes() {
    let labels = |line: usize| {
        let labels: String = (0..128).map(|n| format!("l{n}=\"\",")).collect();
        format!("a{line}{{{labels}}} 1\n")
    };
    let texts: [Text; 14] = [
        ("labels of one line", "a{", |n| format!("l{n}=\"\","), "} 1"),
        ("lines with many labels", "", labels, ""),
        ("one name", "a", |_| "aaaaaaaa".to_owned(), " 1"),
        ("one name in quotes", "{\"", |_| "\\\"é".to_owned(), "\"} 1"),
        ("one value", "a{b=\"", |_| "\\n\\n".to_owned(), "\"} 1"),
        (
            "one value without end",
            "a{b=\"",
            |_| "cccccc".to_owned(),
            "",
        ),
        (
            "values with escapes",
            "",
            |_| "a{b=\"\\n\\n\"} 1\n".to_owned(),
            "",
        ),
        (
            "one family",
            "# TYPE a gauge\n",
            |n| format!("a{{b=\"{n}\"}} 1\n"),
            "",
        ),
        ("short lines", "", |_| "a 1\n".to_owned(), ""),
        ("digits", "a ", |_| "00000000".to_owned(), "1"),
        ("help", "", |_| "# HELP a b\n".to_owned(), ""),
        ("types", "", |n| format!("# TYPE a{n} gauge\n"), ""),
        (
            "exemplars",
            "",
            |n| format!("a 1 # {{b=\"{n}\"}} 1 2\n"),
            "",
        ),
        (
            "labels of one exemplar",
            "a 1 # {",
            |n| format!("l{n}=\"\","),
            "} 1\n",
        ),
    ];
    for page in texts {
        for (format, end) in [
            (PageFormat::Text, "\n"),
            (PageFormat::OpenMetrics, "\n# EOF\n"),
        ] {
            if format == PageFormat::Text && page.0.contains("exemplar") {
                continue;
            }
            work_at_most_doubles(
                page.0,
                |size| [text(&page, size).as_slice(), end.as_bytes()].concat(),
                |bytes| read_page(bytes, format),
            );
        }
    }
    let only_text: [Text; 4] = [
        ("comments", "", |_| "# a comment\n".to_owned(), ""),
        ("empty lines", "a 1", |_| "\n".to_owned(), ""),
        ("blanks", "abcdefghijklmnopqr", |_| "    ".to_owned(), "1"),
        ("blanks in braces", "a{", |_| "    ".to_owned(), "} 1"),
    ];
    for page in only_text {
        work_at_most_doubles(
            page.0,
            |size| text(&page, size),
            |bytes| read_page(bytes, PageFormat::Text),
        );
    }
}

#[test]
fn series_that_are_expected_are_compared_with_at_most_twice_the_work_for_twice_the_bytes() {
    // Each line begins as was expected and goes on otherwise.
    let long = "x".repeat(200);
    work_at_most_doubles(
        "nearly what was expected",
        |size| {
            format!("a{{b=\"{long}\",c=\"d\"}} 1\n")
                .repeat(size / 200)
                .into_bytes()
        },
        |bytes| {
            let expected = format!("a{{b=\"{long}\",c=\"e\"}}");
            let mut reader = PageReader::new(bytes, PageFormat::Text, LIFTED);
            while let Some(entry) = reader.next(expected.as_bytes()).unwrap() {
                assert!(matches!(entry, PageEntry::Series(_)));
            }
        },
    );
}

const LIFTED: PageLimits = PageLimits {
    labels: usize::MAX,
    name_bytes: usize::MAX,
    value_bytes: usize::MAX,
    buckets: usize::MAX,
    exemplars: usize::MAX,
    series_bytes: usize::MAX,
};

fn read_page(page: &[u8], format: PageFormat) {
    let mut reader = PageReader::new(page, format, LIFTED);
    // A page in error costs what was read of it.
    while let Ok(Some(entry)) = reader.next(b"") {
        if let PageEntry::Series(series) = entry {
            series.labels().for_each(drop);
        }
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
