use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::yaml::{ByteSize, Secret, parse};

/// What `read` reports about a document.
fn problems(text: &str, read: impl Fn(&PlacedNode<'_>)) -> Vec<String> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
    read(&PlacedNode::root(&node, &diagnostics));
    let problems = diagnostics.problems();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn a_key_that_nobody_asks_for_is_reported_with_the_nearest() {
    let f = |key: &str, expected: &str| {
        let found = problems(&format!("{key}: 1\n"), |value| {
            let mut fields = value.fields().unwrap();
            fields.or("endpoint", String::new());
            fields.or("timeout", String::new());
            fields.finish();
        });
        assert_eq!(found, [format!("t:1:1: {key}: {expected}")]);
    };
    f("endpont", "unknown key `endpont`, did you mean `endpoint`?");
    f("tiemout", "unknown key `tiemout`, did you mean `timeout`?");
    f("x", "unknown key `x`: the keys here are endpoint, timeout");
}

#[test]
fn a_value_outside_its_range_is_shown_with_the_range() {
    let f = |text: &str, expected: &[&str]| {
        let found = problems(text, |value| {
            let mut fields = value.fields().unwrap();
            let range = Duration::from_millis(100)..=Duration::from_secs(5400);
            fields.within("interval", Duration::ZERO, range);
            fields.within("size", ByteSize(0), ByteSize(1024)..=ByteSize(1 << 30));
            fields.within("count", 0_u64, 1..);
            fields.within("share", 0.0, 0.0..1.0);
            fields.finish();
        });
        assert_eq!(found, expected, "{text}");
    };
    f("{interval: 1h30m, size: 1GiB, count: 1, share: 0}", &[]);
    f(
        "interval: 2h",
        &["t:1:11: interval: 2h is out of range: use 100ms to 1h30m"],
    );
    f(
        "size: 12",
        &["t:1:7: size: 12B is out of range: use 1KiB to 1GiB"],
    );
    f(
        "count: 0",
        &["t:1:8: count: 0 is out of range: use at least 1"],
    );
    f(
        "share: 1",
        &["t:1:8: share: 1 is out of range: use 0 to less than 1"],
    );
    f(
        "{interval: -15s, size: -1KiB, count: -5, share: -0.5}",
        &[
            "t:1:12: interval: -15s is out of range: use 100ms to 1h30m",
            "t:1:24: size: -1KiB is out of range: use 1KiB to 1GiB",
            "t:1:38: count: -5 is out of range: use at least 1",
            "t:1:49: share: -0.5 is out of range: use 0 to less than 1",
        ],
    );
    f(
        "count: 99999999999999999999",
        &["t:1:8: count: 99999999999999999999 is out of range: use at least 1"],
    );
    f(
        "count: -x",
        &["t:1:8: count: expected a whole number, found `-x`"],
    );
    f(
        "interval: 15",
        &[
            "t:1:11: interval: expected a duration such as 15s, 200ms or 1h30m, found `15` \
             without a unit",
        ],
    );
}

#[test]
fn one_of_several_words_is_read_or_suggested() {
    let f = |text: &str, expected: Result<u8, &str>| {
        let diagnostics = Diagnostics::new();
        let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
        let value = PlacedNode::root(&node, &diagnostics);
        let choice = value.choice(&[("auto", 1), ("v1", 2), ("native", 3)]);
        let problem = diagnostics.problems().first().map(|p| p.message.clone());
        match expected {
            Ok(expected) => assert_eq!((choice, problem), (Some(expected), None)),
            Err(expected) => assert_eq!((choice, problem.as_deref()), (None, Some(expected))),
        }
    };
    f("v1", Ok(2));
    f("x", Err("expected auto, v1 or native, found `x`"));
    f(
        "nativ",
        Err("expected auto, v1 or native, found `nativ`, did you mean `native`?"),
    );
    f("[v1]", Err("expected auto, v1 or native, found a list"));
    f("", Err("expected auto, v1 or native, found nothing"));
}

#[test]
fn what_is_shown_of_a_value_is_one_short_line_without_credentials() {
    let f = |text: &str, expected: &str| {
        let found = problems(text, |value| {
            value.read::<u64>();
        });
        assert_eq!(
            found,
            [format!("t:1:1: expected a whole number, found {expected}")]
        );
    };
    f("http://me:hunter2@host", "`http://[redacted]@host`");
    f("\"a\\nb\\e\"", "`a\\nb\\u{1b}`");
    f(&"x".repeat(200), &format!("`{}...`", "x".repeat(80)));
    f("''", "an empty text");
}

#[test]
fn every_wrong_item_and_entry_is_reported() {
    let found = problems("a: [1, x, 2, y]\nb: {c: z, d: 1}\n", |value| {
        let mut fields = value.fields().unwrap();
        assert_eq!(fields.optional::<Vec<u64>>("a"), None);
        assert_eq!(fields.optional::<BTreeMap<String, u64>>("b"), None);
        fields.finish();
    });
    assert_eq!(
        found,
        [
            "t:1:8: a::1: expected a whole number, found `x`",
            "t:1:14: a::3: expected a whole number, found `y`",
            "t:2:8: b::c: expected a whole number, found `z`",
        ]
    );
}

#[test]
fn a_secret_is_in_no_message_and_its_place_is_remembered() {
    let diagnostics = Diagnostics::new();
    let node = parse("a: hunter2\nb: [hunter2]\n", &Arc::from("t"), &diagnostics).unwrap();
    let mut fields = PlacedNode::root(&node, &diagnostics).fields().unwrap();
    assert_eq!(fields.required::<Secret>("a").unwrap().expose(), "hunter2");
    assert_eq!(fields.required::<Secret>("b"), None);
    fields.finish();
    assert!(!format!("{:?}", diagnostics.problems()).contains("hunter2"));
    assert_eq!(diagnostics.secrets()[0].to_string(), "t:1:4");
}
