use super::{comes_again, read, read_within};
use crate::exposition::read::{PageFormat, PageLimits};

/// A field of bytes, shorter than 128.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

fn double(number: u8, value: f64) -> Vec<u8> {
    [vec![number << 3 | 1], value.to_le_bytes().to_vec()].concat()
}

fn varint(number: u8, value: u8) -> Vec<u8> {
    vec![number << 3, value]
}

fn label(name: &str, value: &str) -> Vec<u8> {
    field(
        1,
        &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
    )
}

fn family(name: &str, kind: u8, metrics: &[Vec<u8>]) -> Vec<u8> {
    let mut message = [
        field(1, name.as_bytes()),
        field(2, b"help"),
        varint(3, kind),
    ]
    .concat();
    for metric in metrics {
        message.extend(field(4, metric));
    }
    let mut page = Vec::new();
    let mut length = message.len();
    while length >= 0x80 {
        page.push(length as u8 | 0x80);
        length >>= 7;
    }
    page.push(length as u8);
    page.extend(message);
    page
}

/// What a page shows beside metadata.
fn series(page: &[u8]) -> Vec<String> {
    let lines = read(page, PageFormat::Protobuf).unwrap();
    lines
        .into_iter()
        .filter(|line| !line.starts_with("HELP") && !line.starts_with("TYPE"))
        .collect()
}

fn time(seconds: u8) -> Vec<u8> {
    varint(1, seconds)
}

#[test]
fn numbers_are_read_by_the_type_of_their_family() {
    let exemplar = field(
        2,
        &[label("x", "y"), double(2, 0.5), field(3, &time(3))].concat(),
    );
    let counter = field(3, &[double(1, 7.0), exemplar, field(3, &time(9))].concat());
    let metric = [label("b", "c"), counter, varint(6, 42)].concat();
    let page = family("a", 0, std::slice::from_ref(&metric));
    assert_eq!(
        read(&page, PageFormat::Protobuf).unwrap(),
        [
            "HELP a \"help\"",
            "TYPE a counter",
            "__name__=\"a\",b=\"c\" 7 @42 since 9000 # x=\"y\" 0.5 @3000"
        ]
    );
    // What isn't of its type doesn't count.
    assert_eq!(
        series(&family("a", 1, &[metric])),
        ["__name__=\"a\",b=\"c\" 0 @42"]
    );
    assert_eq!(
        series(&family("a", 1, &[field(2, &double(1, 2.5))])),
        ["__name__=\"a\" 2.5"]
    );
    assert_eq!(
        series(&family("a", 3, &[field(5, &double(1, 2.5))])),
        ["__name__=\"a\" 2.5"]
    );
    assert_eq!(series(&family("a", 3, &[])), [""; 0]);
}

#[test]
fn distributions_are_read_as_their_series() {
    let quantile = field(3, &[double(1, 0.5), double(2, 3.0)].concat());
    let summary = field(4, &[varint(1, 4), double(2, 5.0), quantile].concat());
    assert_eq!(
        series(&family("s", 2, &[summary])),
        [
            "__name__=\"s_count\" 4",
            "__name__=\"s_sum\" 5",
            "__name__=\"s\",quantile=\"0.5\" 3",
        ]
    );
    let empty = field(4, &varint(1, 0));
    assert_eq!(series(&family("s", 2, &[empty])).len(), 2);

    let bucket = |bound: f64, count: u8| field(3, &[varint(1, count), double(2, bound)].concat());
    let histogram = |buckets: &[Vec<u8>]| {
        field(
            7,
            &[varint(1, 4), double(2, 5.0), buckets.concat()].concat(),
        )
    };
    let expected = [
        "__name__=\"h_count\" 4",
        "__name__=\"h_sum\" 5",
        "__name__=\"h_bucket\",le=\"1.0\" 3",
        "__name__=\"h_bucket\",le=\"+Inf\" 4",
    ];
    assert_eq!(
        series(&family("h", 4, &[histogram(&[bucket(1.0, 3)])])),
        expected
    );
    let infinite = [bucket(1.0, 3), bucket(f64::INFINITY, 4)];
    assert_eq!(series(&family("h", 4, &[histogram(&infinite)])), expected);
}

/// Field 16 of a histogram, whose tag has two bytes.
fn native_exemplar(content: &[u8]) -> Vec<u8> {
    [&[0x82, 0x01, content.len() as u8], content].concat()
}

/// A histogram with the count 6, and fields of the native form.
fn native(fields: &[Vec<u8>]) -> Vec<u8> {
    let span = |number: u8, offset: u8, length: u8| {
        field(
            number,
            &[varint(1, offset << 1), varint(2, length)].concat(),
        )
    };
    let mut message = [varint(1, 6), double(2, 7.0), varint(5, 6), double(6, 0.25)].concat();
    message.extend(varint(7, 1));
    message.extend(span(12, 2, 2));
    message.extend(fields.concat());
    field(7, &message)
}

#[test]
fn native_histograms_are_one_series() {
    // Differences of 2 and 1: the buckets have 2 and 3 observations.
    let histogram = native(&[field(13, &[4, 2])]);
    let lines = series(&family("h", 4, std::slice::from_ref(&histogram)));
    assert_eq!(lines.len(), 1, "{lines:?}");
    for part in [
        "__name__=\"h\" ",
        "schema: 3,",
        "count: 6.0,",
        "zero_threshold: 0.25",
        "zero_count: 1.0",
        "[BucketSpan { offset: 2, length: 2 }], Whole([2, 3])",
        "is_gauge: false",
    ] {
        assert!(lines[0].contains(part), "{part}: {lines:?}");
    }
    assert!(series(&family("h", 5, &[histogram]))[0].contains("is_gauge: true"));
    // The classic form beside it.
    let both = native(&[field(13, &[4, 2]), field(3, &double(2, 1.0))]);
    assert_eq!(series(&family("h", 4, &[both])).len(), 5);
}

#[test]
fn a_bucket_has_one_exemplar() {
    let exemplar = |value: f64| field(3, &double(2, value));
    let bucket = |exemplars: &[Vec<u8>]| field(3, &[double(2, 1.0), exemplars.concat()].concat());
    let buckets = [
        bucket(&[exemplar(1.0), exemplar(2.0)]),
        bucket(&[exemplar(3.0)]),
    ];
    let lines = series(&family("h", 4, &[field(7, &buckets.concat())]));
    let exemplars = lines.iter().filter_map(|line| line.split_once(" # "));
    let exemplars: Vec<&str> = exemplars.map(|(_, exemplar)| exemplar.trim()).collect();
    assert_eq!(exemplars, ["2", "3"]);
}

#[test]
fn native_histograms_must_add_up() {
    let f = |fields: &[Vec<u8>], what: &str| {
        let page = family("h", 4, &[native(fields)]);
        let error = read(&page, PageFormat::Protobuf).unwrap_err();
        assert_eq!(error.what, what);
    };
    f(&[], "a histogram has other buckets than its spans say");
    f(
        &[field(13, &[4, 4])],
        "the buckets of a histogram don't add up to its count",
    );
    f(&[field(13, &[4, 7])], "a histogram has negative counts");
    f(
        &[field(13, &[4, 2]), varint(5, 18)],
        "a histogram has an unknown schema",
    );
    let back = field(12, &[varint(1, 1), varint(2, 0)].concat());
    f(
        &[
            field(13, &[4, 2]),
            back,
            field(12, &varint(2, 1)),
            field(13, &[0]),
        ],
        "the spans of a histogram overlap",
    );
}

#[test]
fn what_is_no_family_is_refused() {
    let good = family("a", 1, &[field(2, &double(1, 1.0))]);
    let f = |bad: &[u8]| {
        let page = [good.as_slice(), bad].concat();
        let error = read(&page, PageFormat::Protobuf).unwrap_err();
        assert_eq!(
            error.to_string().split(':').next(),
            Some("family 2"),
            "{bad:?}"
        );
    };
    let one = &[field(2, &double(1, 1.0))];
    f(&[5, 1]);
    f(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x00]);
    f(&family("", 1, one));
    f(&family("a", 6, one));
    f(&family("a", 1, &[label("", "x")]));
    f(&family("a", 1, &[field(1, &field(1, b"\xff"))]));
    f(&family("a", 1, &[varint(2, 1)]));
    f(&family("a", 1, &[field(3, &[0x0d])]));
    f(&family("a", 1, &[vec![0x0c]]));
    f(&[2, 0x0a, 1, b'a']);
    // Groups that nobody knows are skipped, whole ones.
    let group = [0x7b, 0x7b, 0x08, 1, 0x7c, 0x7c];
    let grouped = family("a", 1, &[[group.as_slice(), &one[0]].concat()]);
    assert_eq!(series(&grouped), ["__name__=\"a\" 1"]);
    f(&family("a", 1, &[group[..5].to_vec()]));
}

#[test]
fn a_series_has_its_limits() {
    let limits = PageLimits {
        labels: 1,
        name_bytes: 4,
        value_bytes: 10,
        buckets: 1,
        exemplars: 1,
        ..PageLimits::default()
    };
    let f = |metric: Vec<u8>, within: bool| {
        let page = family("abcd", 4, &[metric]);
        let read = read_within(&page, PageFormat::Protobuf, limits);
        assert_eq!(read.is_ok(), within);
        assert!(read.err().is_none_or(|error| error.is_limit));
    };
    f(label("abcd", "0123456789"), true);
    f(label("abcde", ""), false);
    f(label("a", "01234567890"), false);
    f([label("a", ""), label("b", "")].concat(), false);
    f(field(7, &field(3, b"")), true);
    f(field(7, &field(3, b"").repeat(2)), false);
    f(field(7, &field(13, &[0, 0])), false);
    f(field(7, &native_exemplar(b"")), true);
    f(field(7, &native_exemplar(b"").repeat(2)), false);
    // The labels of an exemplar have those of a series.
    let exemplar = |labels: Vec<u8>, within: bool| {
        f(field(7, &native_exemplar(&labels)), within);
        f(field(7, &field(3, &field(3, &labels))), within);
        f(field(3, &field(2, &labels)), within);
    };
    exemplar(label("abcd", "0123456789"), true);
    exemplar(label("abcde", ""), false);
    exemplar(label("a", "01234567890"), false);
    exemplar([label("a", ""), label("b", "")].concat(), false);
}

#[test]
fn what_is_there_once_in_the_page_counts_for_each_series_that_has_it() {
    let bucket = |bound: f64| field(3, &double(2, bound));
    let histogram = field(7, &[bucket(1.0), bucket(2.0)].concat());
    let metric = [label("b", "0123456"), histogram].concat();
    let page = family("a", 4, &[metric.clone(), metric]);
    // Count, sum and three buckets, each with 11 bytes: the texts and what separates them.
    let f = |series_bytes: usize, within: bool| {
        let limits = PageLimits {
            series_bytes,
            ..PageLimits::default()
        };
        let read = read_within(&page, PageFormat::Protobuf, limits);
        assert_eq!(read.is_ok(), within, "{series_bytes}");
        assert!(read.err().is_none_or(|error| error.is_limit));
    };
    f(110, true);
    f(109, false);
    // So it does where the name is all that they share.
    let one = field(2, &double(1, 1.0));
    let limits = PageLimits {
        series_bytes: 8,
        ..PageLimits::default()
    };
    let many = |metrics: usize| family("abcd", 1, &vec![one.clone(); metrics]);
    assert!(read_within(&many(2), PageFormat::Protobuf, limits).is_ok());
    assert!(read_within(&many(3), PageFormat::Protobuf, limits).is_err());
}

#[test]
fn what_was_expected_is_read_as_such() {
    let one = |value: &str| [label("b", value), field(2, &double(1, 1.0))].concat();
    let page = [
        family("a", 1, &[one("c"), one("d")]),
        family(
            "h",
            4,
            &[native(&[field(13, &[4, 2]), field(3, &double(2, 1.0))])],
        ),
    ]
    .concat();
    comes_again(&page, PageFormat::Protobuf);
}
