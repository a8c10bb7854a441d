use super::{comes_again, read};
use crate::exposition::read::PageFormat;

fn lines(page: &str) -> Vec<String> {
    read(format!("{page}# EOF\n").as_bytes(), PageFormat::OpenMetrics).unwrap()
}

#[test]
fn series_are_read_with_timestamps_and_exemplars() {
    let f = |line: &str, expected: &str| {
        assert_eq!(lines(&format!("{line}\n")), [expected], "{line}");
    };
    f("a 1", "__name__=\"a\" 1");
    f("a{} 1", "__name__=\"a\" 1");
    f("a{b=\"c\",} 1 1.5", "__name__=\"a\",b=\"c\" 1 @1500");
    f("a 1 -1.0009", "__name__=\"a\" 1 @-1000");
    f("a 1 1e3", "__name__=\"a\" 1 @1000000");
    f(
        "{\"a.b\",\"c.d\"=\"e\\n\"} 1",
        "__name__=\"a.b\",c.d=\"e\\n\" 1",
    );
    f("a 1 # {} 0.5", "__name__=\"a\" 1 #  0.5");
    f(
        "a{b=\"c\"} 1 2 # {trace_id=\"0af\",\"x.y\"=\"\\\"\"} 0.5 3.25",
        "__name__=\"a\",b=\"c\" 1 @2000 # trace_id=\"0af\",x.y=\"\\\"\" 0.5 @3250",
    );
}

#[test]
fn families_have_types_help_and_units() {
    let page = "# HELP a_seconds b \\\"c\\\"\n# TYPE a_seconds gaugehistogram\n# UNIT a_seconds seconds\n\
        # TYPE \"a.b\" info\n# TYPE s stateset\n# TYPE u unknown\n# HELP u \n# UNIT u \n";
    assert_eq!(
        lines(page),
        [
            "HELP a_seconds \"b \\\"c\\\"\"",
            "TYPE a_seconds gaugehistogram",
            "UNIT a_seconds seconds",
            "TYPE a.b info",
            "TYPE s stateset",
            "TYPE u unknown",
            "HELP u \"\"",
            "UNIT u ",
        ]
    );
    // No series can have this name.
    let many = b"# TYPE \"\xff\" gauge\n".repeat(100_000);
    let page = [many.as_slice(), b"a 1\n# EOF"].concat();
    assert_eq!(read(&page, PageFormat::OpenMetrics).unwrap().len(), 1);
}

#[test]
fn a_page_ends_with_its_end_and_nothing_else() {
    let f = |page: &str, ends: bool| {
        let read = read(page.as_bytes(), PageFormat::OpenMetrics);
        assert_eq!(read.is_ok(), ends, "{page}");
    };
    f("# EOF\n", true);
    f("# EOF", true);
    f("a 1\n# EOF", true);
    f("", false);
    f("a 1\n", false);
    f("a 1", false);
    f("# EOF\n\n", false);
    f("# EOF\na 1\n", false);
    f("# EOFa", false);
    f("#  EOF", false);
}

#[test]
fn what_is_not_in_the_format_is_refused_with_its_line() {
    let f = |line: &[u8]| {
        let page = [b"ok 1\n", line, b"\n# EOF\n"].concat();
        let error = read(&page, PageFormat::OpenMetrics).unwrap_err();
        assert_eq!(
            (error.number, error.is_limit),
            (2, false),
            "{:?}",
            String::from_utf8_lossy(line)
        );
    };
    for line in [
        "",
        " a 1",
        "a\t1",
        "a  1",
        "a 1 ",
        "a 1\t",
        "a 1\r",
        "a",
        "a-1",
        "a {} 1",
        "a{b=\"c\"}1",
        "a{b =\"c\"} 1",
        "a{b= \"c\"} 1",
        "a{ b=\"c\"} 1",
        "a{b=\"c\" } 1",
        "a{b=\"c\"d=\"e\"} 1",
        "a{,} 1",
        "a{b=\"c\",,} 1",
        "{} 1",
        "a{\"b\"} 1",
        "# a comment",
        "#",
        "#TYPE a gauge",
        "# TYPE a",
        "# TYPE a untyped",
        "# TYPE  a gauge",
        "# TYPE a  gauge",
        "# TYPE a gauge ",
        "# HELP a",
        "# HELP  a b",
        "# UNIT a seconds",
        "# UNIT a_seconds second",
        "# UNIT seconds seconds",
        "a 1 x",
        "a 1 NaN",
        "a 1 +Inf",
        "a 1 2 3",
        "a 1 #",
        "a 1 # ",
        "a 1 # x",
        "a 1 #{} 1",
        "a 1 # {}",
        "a 1 # {} ",
        "a 1 # {} x",
        "a 1 # {} 1 x",
        "a 1 # {} 1 NaN",
        "a 1 # {} 1 2 3",
        "a 1 # {\"b\"} 1",
        "a 1 # {b=\"c\" 1",
        "a 1 # {,} 1",
        "a 1 # {b=\"c\"}1",
        "a 1 2 x # {} 1",
        "a 0x1",
        "a 1e999",
    ] {
        f(line.as_bytes());
    }
    f(b"a{b=\"\xff\"} 1");
    f(b"a 1 # {b=\"\xff\"} 1");
    f(b"# HELP a \xff");
}

#[test]
fn a_label_value_has_no_newline() {
    let page = b"a{b=\"c\n\"} 1\n# EOF\n";
    assert_eq!(read(page, PageFormat::OpenMetrics).unwrap_err().number, 1);
}

#[test]
fn what_was_expected_is_read_without_its_labels() {
    comes_again(
        b"# TYPE a counter\na_total{b=\"c\"} 1 # {x=\"y\"} 1 2\na_total 4\na_total{b=\"d\"} 5 6\n\
        {\"a.b\"} 7\n# EOF\n",
        PageFormat::OpenMetrics,
    );
}
