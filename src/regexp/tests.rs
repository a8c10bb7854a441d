//! What Go 1.26 answers. `tests/promql_peer.rs` asks a real Prometheus.

use super::*;

/// Far more than any expression here needs.
const ROOM: usize = 1 << 20;

#[test]
fn expressions_match_what_they_match_in_go() {
    let f = |go: &str, matched: &[&str], others: &[&str]| {
        let regex = whole(go, ROOM).unwrap_or_else(|error| panic!("{go}: {error}"));
        for text in matched {
            assert!(regex.is_match(text), "{go} should match {text:?}");
        }
        for text in others {
            assert!(!regex.is_match(text), "{go} shouldn't match {text:?}");
        }
    };
    // The whole text, whose lines are nothing special unless the expression says so.
    f("a|ab", &["a", "ab"], &["", "xa", "aba"]);
    f("a.b", &["a\nb", "aéb"], &["ab"]);
    f("a$", &["a"], &["a\n"]);
    f("(?-s)a.b", &["a-b"], &["a\nb"]);
    f("(?m)a$\n^b", &["a\nb"], &["ab"]);
    // Classes of letters are ASCII's.
    f(r"\d\D", &["1x", "1٣"], &["٣x", "11"]);
    f(r"\w+", &["aZ_9"], &["é", "α"]);
    f(r"\s", &[" ", "\t"], &["\u{b}", "\u{a0}", "s"]);
    f(r"[\s\d]", &["\n", "0"], &["\u{b}", "d"]);
    f(r"[^\W]", &["a"], &["é", "-"]);
    f(r"é\b-", &[], &["é-"]);
    f(r"a\b-\B", &["a-"], &[]);
    f(r"(?i)\w", &["\u{212a}", "\u{17f}", "k"], &["é"]);
    f("[[:alpha:]_]", &["a", "_"], &["é", ":", "1"]);
    f("[[:^digit:]]", &["a"], &["1"]);
    // What stands for itself in brackets.
    f("[[x]+", &["[x"], &["]"]);
    f("[]a]", &["]", "a"], &["[]a]"]);
    f("[^]a]", &["b"], &["]", "a"]);
    f("[a&&b]", &["a", "&", "b"], &["&&"]);
    f("[a~~b]", &["~"], &[]);
    f("[+--]", &["+", ",", "-"], &["."]);
    f("[--a]", &["-", "A", "a"], &["b"]);
    f(r"[\w-]{1,63}", &["node-1"], &["", "node.1"]);
    f(
        r"[\x{D000}-\x{E000}\-]",
        &["\u{d000}", "\u{e000}", "-"],
        &["a"],
    );
    f(r"[^\x{D800}]", &["a"], &[]);
    f(r"\x{D800}|a", &["a"], &["\u{fffd}"]);
    // Quotes, and numbers of characters.
    f(r"\Qa-b.\E*", &["a-b", "a-b.."], &["a-bx"]);
    f(r"a\Q\E*", &["", "aa"], &["b"]);
    f(r"\141\x62\x{e9}\0", &["abé\0"], &[]);
    f(r"\a\f\n\r\t\v", &["\u{7}\u{c}\n\r\t\u{b}"], &[]);
    f(r"\<\>\-\_\#\ ", &["<>-_# "], &[]);
    // Braces that repeat nothing.
    f("{a}", &["{a}"], &[]);
    f("a{,2}b{01}c{x", &["a{,2}b{01}c{x"], &["aab"]);
    f("a{2}b{1,}c{0,1}", &["aab", "aabbc"], &["ab"]);
    // Repetitions and flags, however they stand.
    f("a*(?i)*B", &["aab"], &["AB"]);
    f("(?i)a(?-i)b|c", &["Ab", "c"], &["AB", "C"]);
    f("(?ii-s)a(?)", &["A"], &[]);
    f("(?i:a)b", &["Ab"], &["AB"]);
    f("(|a)*||()", &["", "aa"], &["b"]);
    f("(?U)a+?b{1,2}", &["aabb"], &[]);
    f("(?P<n>a)(?<m>b)(?P<n>c)(?P<1>d)", &["abcd"], &[]);
    f(r"\pL\p{Greek}\P{Lu}[\p{^L}x]", &["éα1x"], &["éaax"]);
}

#[test]
fn what_go_refuses_is_refused_in_its_words() {
    let f = |go: &str, reason: &str, part: &str| {
        let error = whole(go, ROOM).unwrap_err().to_string();
        assert_eq!(
            error,
            format!("error parsing regexp: {reason}: `{part}`"),
            "{go}"
        );
    };
    f("a(b", "missing closing )", "a(b");
    f("a)|(b", "unexpected )", "a)|(b");
    f("x[a", "missing closing ]", "[a");
    f("[]", "missing closing ]", "[]");
    f("a\\", "trailing backslash at end of expression", "");
    f(r"a\Zb", "invalid escape sequence", r"\Z");
    f(r"\1", "invalid escape sequence", r"\1");
    f(r"\x4g", "invalid escape sequence", r"\x4g");
    f(r"\x{110000}", "invalid escape sequence", r"\x{110000");
    f(r"[\b]", "invalid escape sequence", r"\b");
    f("[a--]", "invalid character class range", "a--");
    f(
        "[[:letter:]]",
        "invalid character class range",
        "[:letter:]",
    );
    f(
        r"\p{sc=Greek}",
        "invalid character class range",
        r"\p{sc=Greek}",
    );
    f("(?x) a", "invalid or unsupported Perl syntax", "(?x");
    f("(?i-)a", "invalid or unsupported Perl syntax", "(?i-)");
    f("(?=a)", "invalid or unsupported Perl syntax", "(?=");
    f("(?P<a b>c)", "invalid named capture", "(?P<a b>");
    f("|*", "missing argument to repetition operator", "*");
    f("(+?)", "missing argument to repetition operator", "+?");
    f("ab**", "invalid nested repetition operator", "**");
    f("a{2}{3}?", "invalid nested repetition operator", "{2}{3}?");
    f("a{1001}", "invalid repeat count", "{1001}");
    f("a{2,1}", "invalid repeat count", "{2,1}");
    f("a{99999999999}", "invalid repeat count", "{99999999999}");
    f("((a{100}b)*c){11}", "invalid repeat count", "{11}");
}

#[test]
fn repetitions_count_along_the_worst_way_alone() {
    let f = |go: &str| assert!(whole(go, ROOM).is_ok(), "{go}");
    f("(a{500}|b{500}){2}");
    f("((a{1000}){0}){1000}");
    f("(a{1000}){1}");
}

#[test]
fn an_expression_takes_no_more_than_it_may() {
    let large = whole(r"(\pL{100}){10}", 1 << 18).unwrap_err();
    assert_eq!(large, RegexpError::TooLarge { limit: 1 << 18 });
    for deep in [
        format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000)),
        format!("a{}", r"*\Q\E".repeat(1_000)),
    ] {
        let refused = whole(&deep, ROOM).unwrap_err();
        assert!(matches!(refused, RegexpError::Unsupported(_)), "{refused}");
    }
}

#[test]
fn whatever_is_written_for_the_crate_can_be_read_by_it() {
    let pieces = [
        "a",
        "é",
        "(",
        ")",
        "[",
        "]",
        "^",
        "-",
        "|",
        "*",
        "+?",
        "{2}",
        "{",
        "}",
        "\\",
        "(?i)",
        "(?m:",
        "(?U-s)",
        r"\w",
        r"\B",
        r"\Q",
        r"\E",
        r"\pL",
        r"\x{D800}",
        "[:alpha:]",
        "&&",
        "~",
    ];
    let mut state = 1_u64;
    for _ in 0..1_000 {
        let mut go = String::new();
        for _ in 0..(state >> 40) % 8 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            go.push_str(pieces[(state >> 33) as usize % pieces.len()]);
        }
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let read = whole(&go, ROOM);
        assert!(
            !matches!(read, Err(RegexpError::Unsupported(_))),
            "{go}: {read:?}"
        );
    }
}

#[test]
fn templates_are_filled_in_as_go_fills_them_in() {
    let f = |go: &str, text: &str, template: &str, expected: &str| {
        let regex = whole(go, ROOM).unwrap();
        let mut out = String::new();
        Template::new(template).expand(&regex.captures(text).unwrap(), &mut out);
        assert_eq!(out, expected, "{template} of {text} by {go}");
        if go == "(.*)" {
            let mut out = String::new();
            Template::new(template).expand_whole(text, &mut out);
            assert_eq!(out, expected, "{template} of {text}");
        }
    };
    f("(.*)", "a", "$1", "a");
    f("(.*)", "a", "x${1}y$0", "xaya");
    f("(.*)", "a", "$1y", "");
    f("(.*)", "a", "$1é$1\u{b2}", "a\u{b2}");
    f("(.*)", "a", "$2${3}", "");
    f("(.*)", "a", "$01${01}", "");
    f("(.*)", "a", "$$1$", "$1$");
    f("(.*)", "a", "${1", "${1");
    f("(.*)", "a", "${1 }$ 1", "${1 }$ 1");
    f("(.*)", "a", "${}$", "${}$");
    f("(.*)", "a", "$99999999999999999999", "");
    f("(.*)", "a", "", "");
    f("(?P<one>a)(?P<two_2>b)?", "ab", "$two_2-${one}", "b-a");
    f("(?P<one>a)(?P<two_2>b)?", "a", "$two_2-$one$one_", "-a");
    f("(a)|(b)", "b", "$1$2", "b");
}

#[test]
fn a_template_says_how_long_it_can_become() {
    assert_eq!(Template::new("ab$1$name").longest(10), 22);
    assert_eq!(Template::new("ab").literal(), Some("ab"));
    assert_eq!(Template::new("$$").literal(), Some("$"));
    assert_eq!(Template::new("").literal(), Some(""));
    assert_eq!(Template::new("$1").literal(), None);
}
