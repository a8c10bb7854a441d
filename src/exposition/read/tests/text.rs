use super::{comes_again, read, read_within};
use crate::exposition::read::{PageFormat, PageLimits, PageReader};

fn lines(page: &str) -> Vec<String> {
    read(page.as_bytes(), PageFormat::Text).unwrap()
}

#[test]
fn series_are_read_with_their_labels() {
    let f = |line: &str, expected: &str| assert_eq!(lines(line), [expected], "{line}");
    f("a 1", "__name__=\"a\" 1");
    f(
        "a:b_2\t-1.5e3  1763000000000 ",
        "__name__=\"a:b_2\" -1500 @1763000000000",
    );
    f("a{} +Inf\n", "__name__=\"a\" inf");
    f("a {b=\"c\"} NaN", "__name__=\"a\",b=\"c\" NaN");
    f("a{b=\"c\",d=\"\",}1", "__name__=\"a\",b=\"c\",d=\"\" 1");
    f(
        r#"a{ b = "x\\y\"z\n}\t," , c="d" } 1"#,
        r#"__name__="a",b="x\\y\"z\n}\\t,",c="d" 1"#,
    );
    f("a{b=\"ä€\\n\"} 1", "__name__=\"a\",b=\"ä€\\n\" 1");
    f("{\"a.b\",c=\"d\"} 1", "__name__=\"a.b\",c=\"d\" 1");
    f("{c=\"d\",\"a\\\"b\"} 1", "__name__=\"a\\\"b\",c=\"d\" 1");
    f("a{\"b.c\"=\"d\"} 1", "__name__=\"a\",b.c=\"d\" 1");
}

#[test]
fn what_prometheus_reads_beyond_the_format_is_read() {
    let f = |line: &str, expected: &str| assert_eq!(lines(line), [expected], "{line}");
    f("a-1", "__name__=\"a\" -1");
    f("  a 1", "__name__=\"a\" 1");
    f("a{b=\"c\"d=\"e\"} 1", "__name__=\"a\",b=\"c\",d=\"e\" 1");
    f("a{b=\"c\n\"} 1", "__name__=\"a\",b=\"c\\n\" 1");
    f("a{b=\"\0\"} 1", "__name__=\"a\",b=\"\\0\" 1");
    f("# TYPE a-gauge", "TYPE a gauge");
    f("  # HELP a  b", "HELP a \" b\"");
    f("# HELP a", "HELP a \"\"");
    f("# HELP a   ", "HELP a \"\"");
    f("# HELP a \\n\\\\\\\"", "HELP a \"\\n\\\\\\\\\\\"\"");
    f("#\t TYPE \t \"a.b\" untyped", "TYPE a.b unknown");
}

#[test]
fn comments_and_empty_lines_say_nothing() {
    let page = "# anything\n#TYPE a counter\n# TYPES\n# TYPE\n#\n\n \t\n# HELPa b\n#";
    assert_eq!(lines(page), [""; 0]);
    assert_eq!(read(b"# \xff\n#\xff\0", PageFormat::Text).unwrap(), [""; 0]);
    // No series can have this name.
    assert_eq!(
        read(b"# TYPE \"\xff\" gauge\na 1", PageFormat::Text)
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn bounds_and_quantiles_have_one_form() {
    let page = "a{le=\"1\"} 1\n# TYPE a histogram\na_bucket{le=\"1\"} 1\nb{le=\"1e6\",quantile=\"1\"} 2\n\
        # TYPE b summary\nb{quantile=\"-0\"} 3\nb{quantile=\"x\"} 3\nb{le=\"1\"} 4";
    let series: Vec<String> = lines(page)
        .into_iter()
        .filter(|line| !line.starts_with("TYPE"))
        .collect();
    assert_eq!(
        series,
        [
            "__name__=\"a\",le=\"1\" 1",
            "__name__=\"a_bucket\",le=\"1.0\" 1",
            "__name__=\"b\",le=\"1e+06\",quantile=\"1\" 2",
            "__name__=\"b\",quantile=\"0.0\" 3",
            "__name__=\"b\",quantile=\"x\" 3",
            "__name__=\"b\",le=\"1\" 4",
        ]
    );
}

#[test]
fn what_is_not_in_the_format_is_refused_with_its_line() {
    let f = |line: &[u8]| {
        let page = [b"ok 1\n# c\n", line, b"\n"].concat();
        let error = read(&page, PageFormat::Text).unwrap_err();
        assert_eq!((error.number, error.is_limit), (3, false), "{line:?}");
    };
    for line in [
        "1a 1",
        "a",
        "a ",
        "a b",
        "a 1 b",
        "a 1 2 3",
        "a 1 -2",
        "a 1 2.5",
        "a 1\r",
        "a{",
        "a{b} 1",
        "a{b=} 1",
        "a{b=c} 1",
        "a{b=\"c} 1",
        "a{b=\"c\",,d=\"e\"} 1",
        "a{1=\"c\"} 1",
        "a{,} 1",
        "a{b:c=\"d\"} 1",
        "a{b=\"c\"}",
        "<html>",
        "a;b 1",
        "# TYPE a",
        "# TYPE a x",
        "# TYPE a  gauge",
        "# TYPE a gauge ",
        "# TYPE a gauge\r",
        "# TYPE 1 counter",
        "# HELP ",
        "{\"a\"}",
        "{} 1",
        "{b=\"c\"} 1",
        "a{\"b\"} 1",
        "{\"a\",\"b\"} 1",
        "{\"\"} 1",
        "{\"a\" b=\"c\"} 1",
        "a{b=\"c\\",
        "a{b=\"c\\\nd\"} 1",
        "a 0x1",
        "a 0x1p3",
        "a 1_0",
        "a 1e999",
        "a 1 99999999999999999999",
        "a 1 { 2",
        "a{b=\"c\"} {d=\"e\"} 1",
        "a\0 1",
        "\0",
        "a 1\0",
        "{\"a\0\"} 1",
    ] {
        f(line.as_bytes());
    }
    f(b"a{b=\"\xff\"} 1");
    f(b"{\"\xff\"} 1");
    f(b"# HELP a \xff");
    f(b"\xff 1");
}

#[test]
fn a_line_has_its_limits() {
    let limits = PageLimits {
        labels: 2,
        name_bytes: 4,
        value_bytes: 10,
        ..PageLimits::default()
    };
    let f = |line: &str, within: bool| {
        let read = read_within(line.as_bytes(), PageFormat::Text, limits);
        assert_eq!(read.is_ok(), within, "{line}");
        assert!(read.err().is_none_or(|error| error.is_limit), "{line}");
    };
    f("abcd{abcd=\"0123456789\",a=\"\"} 1", true);
    f("{\"abcd\",abcd=\"0123456789\",a=\"\"} 1", true);
    f("abcde 1", false);
    f("{\"abcde\"} 1", false);
    f("# TYPE abcde gauge", false);
    f("# TYPE \"abcde\" gauge", false);
    f("a{abcde=\"\"} 1", false);
    f("a{b=\"01234567890\"} 1", false);
    f("a{b=\"0123456\\\\\\\\\"} 1", false);
    f("a{b=\"\",c=\"\",d=\"\"} 1", false);
}

#[test]
fn what_was_expected_is_read_without_its_labels() {
    comes_again(
        b"# TYPE a gauge\na{b=\"c\"} 1\na{b=\"d\"} 2 3\na 4\na\t5\na-6\n{\"a.b\"}7\n{\"a.b\", c=\"d\"} 8\na {b=\"e\"} 9",
        PageFormat::Text,
    );
}

#[test]
fn what_only_begins_as_expected_is_read_anew() {
    let f = |page: &str, expected: &str| {
        let mut reader = PageReader::new(page.as_bytes(), PageFormat::Text, PageLimits::default());
        let entry = reader.next(expected.as_bytes()).unwrap().unwrap();
        super::shown(&entry)
    };
    assert_eq!(f("ab 1", "a"), "__name__=\"ab\" 1");
    assert_eq!(f("a:1 1", "a"), "__name__=\"a:1\" 1");
    assert_eq!(f("a{b=\"c\"} 1", "a"), "__name__=\"a\",b=\"c\" 1");
    assert_eq!(f("a \t{b=\"c\"} 1", "a"), "__name__=\"a\",b=\"c\" 1");
    assert_eq!(f("a 1", "a"), "again 1");
    assert_eq!(f("a{b=\"c\"} 1", "a{b=\"c\"}"), "again 1");
}
