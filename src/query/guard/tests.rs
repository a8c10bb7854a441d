use super::*;
use crate::query::{PromQuery, QueryErrorKind};

fn refused(text: &str) -> String {
    let error = PromQuery::parse(text, &QueryLimits::default());
    let error = error.map(drop).unwrap_err();
    assert_eq!(error.kind, QueryErrorKind::BadData);
    error.message
}

#[test]
fn what_is_deep_is_refused() {
    let deep = |open: &str, inside: &str, close: &str, times: usize| {
        format!("{}{inside}{}", open.repeat(times), close.repeat(times))
    };
    let f = |text: String| {
        let message = refused(&text);
        assert!(message.contains("more than 256 deep"), "{message}");
    };
    f(deep("(", "1", ")", 10_000));
    f(deep("(", "1", "", 10_000));
    f(deep("abs(", "x", ")", 1_000));
    f(deep("-", "x", "", 60_000));
    f(deep("", "x", "+x", 20_000));
    f(deep("", "x", " or x", 10_000));
    f(deep("", "x", "[5m:]", 9_000));
    f(deep("(", "1", ")", 300));
    f(deep("", "x", "^x", 300));
    let fine = |text: String| drop(PromQuery::parse(&text, &QueryLimits::default()).unwrap());
    fine(deep("(", "1", ")", 200));
    fine(deep("", "x", "+x", 200));
    fine(format!(
        "count(x{{{}}})",
        deep("", "a=\"((((\"", ",a=\"((((\"", 200)
    ));
}

#[test]
fn a_duration_that_no_clock_holds_is_refused() {
    let f = |text: &str| {
        let message = refused(text);
        assert!(
            message.contains("duration out of range"),
            "{text}: {message}"
        );
    };
    f("x[1e30]");
    f("x[99999999999999999999999]");
    f("x offset 1e300");
    f("x offset -1e300");
    f("x offset Inf");
    f("x offset nan");
    f("x[5m:99999999999y]");
    f("x[0xffffffffffff]");
    f("99999999999s");
    for fine in [
        "x[4294967295ms]",
        "x[1.5]",
        "x[1h30m]",
        "1e300",
        "x offset -5m",
        "offset_1",
    ] {
        PromQuery::parse(fine, &QueryLimits::default()).unwrap();
    }
}

#[test]
fn raw_strings_are_quoted() {
    let f = |text: &str, expected: &str| {
        let guarded = check(text, &QueryLimits::default()).unwrap();
        assert_eq!(guarded.text, expected);
    };
    f(r"x{a=`\d`}", r#"x{a="\\d"}"#);
    f(r#"x{a="b\"`"}"#, r#"x{a="b\"`"}"#);
    f("x # (((\n + 1", "x  \n + 1");
    let guarded = check(r#"x{a=~"b.*",c!~`\d"`}"#, &QueryLimits::default()).unwrap();
    assert_eq!(guarded.text, r#"x{a=~"0",c!~"1"}"#);
    assert_eq!(guarded.regexes, [r#""b.*""#, r#""\\d\"""#]);
}

#[test]
fn numbers_have_all_forms_of_go() {
    let f = |text: &str, expected: &str| {
        let guarded = check(text, &QueryLimits::default()).unwrap();
        assert_eq!(guarded.text, expected, "{text}");
    };
    f("1_000", "1000.0");
    f("1_0.2_5", "10.25");
    f("1e1_0", "10000000000.0");
    f("0e3", "0.0");
    f("0x_10 + 0XfF", "16 + 255");
    f("017", "15");
    f("0_17", "15");
    f("018", "18.0");
    f("0", "0");
    f("0.5", "0.5");
    f("10", "10");
    // What is none, or a duration, is left to the parser.
    f("1__0", "1__0");
    f("1_", "1_");
    f("0x", "0x");
    f("x_1[010]", "x_1[010]");
    for fine in ["1_000", "0x_10", "1e1_0", "0e3", "017"] {
        PromQuery::parse(fine, &QueryLimits::default()).unwrap();
    }
}

#[test]
fn regular_expressions_are_bounded_together() {
    let f = |text: &str| {
        let message = refused(text);
        assert!(message.contains("regular expression"), "{text}: {message}");
        assert!(message.contains("large"), "{text}: {message}");
    };
    f(r#"x{a=~"(\\pL{100}){10}"}"#);
    f(&format!("x{{{}}}", r#"a=~"\\pL{99}b{99}","#.repeat(64)));
    f(&format!("x{{{}}}", "a=~\"b\",".repeat(300)));
    let braces = PromQuery::parse(r#"x{a=~"b{c}{2}"}"#, &QueryLimits::default());
    braces.unwrap();
}

#[test]
fn no_text_makes_the_parser_panic() {
    let pieces = [
        "x",
        "(",
        ")",
        "{",
        "}",
        "[",
        "]",
        "\"",
        "'",
        "`",
        "\\",
        "5m",
        "1e30",
        "inf",
        "@",
        "offset",
        ":",
        ",",
        "=~",
        "!~",
        "=",
        "sum",
        "by",
        "rate",
        "#",
        "\n",
        "é",
        "\u{1F600}",
        "\\x",
        "\\u12",
        "-",
        "+",
        "^",
        "bool",
        "on",
        "group_left",
        "0x",
        "1h1h",
        ".",
        "and",
    ];
    let mut state = 7_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            text += pieces[(state >> 33) as usize % pieces.len()];
            if state >> 62 == 0 {
                text.push(' ');
            }
        }
        let _ = PromQuery::parse(&text, &QueryLimits::default());
    }
}
