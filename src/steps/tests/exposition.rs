//! What reads the protobuf exposition.

use super::protobuf::{field, key, number, varint};
use super::{CONSTANT, take, work_at_most_doubles};
use crate::exposition::read::{PageEntry, PageFormat, PageLimits, PageReader};

/// What stands around that which is repeated.
#[derive(Clone, Copy)]
enum Around {
    /// Whole families.
    Page,
    /// Fields of one family.
    Family,
    /// Fields of one metric.
    Metric,
    /// Fields of the histogram of one metric.
    Histogram,
}

const HISTOGRAM: u64 = 4;

fn double(number: u32, value: f64) -> Vec<u8> {
    [key(number, 1), value.to_le_bytes().to_vec()].concat()
}

fn family(kind: u64, content: &[u8]) -> Vec<u8> {
    let family = [field(1, b"name").as_slice(), &number(3, kind), content].concat();
    [varint(family.len() as u64), family].concat()
}

fn label(name: &str, value: &str) -> Vec<u8> {
    field(
        1,
        &[field(1, name.as_bytes()), field(2, value.as_bytes())].concat(),
    )
}

/// A page of about this size.
fn page(around: Around, kind: u64, unit: &[u8], size: usize) -> Vec<u8> {
    let units = unit.repeat(size.div_ceil(unit.len()));
    match around {
        Around::Page => units,
        Around::Family => family(kind, &units),
        Around::Metric => family(kind, &field(4, &units)),
        Around::Histogram => family(kind, &field(4, &field(7, &units))),
    }
}

fn read(page: &[u8], classic_too: bool) {
    let mut reader = PageReader::new(page, PageFormat::Protobuf, LIFTED);
    reader = reader.native_histograms(true, classic_too);
    // A page in error costs what was read of it.
    while let Ok(Some(entry)) = reader.next(b"") {
        if let PageEntry::Series(series) = entry {
            series.labels().for_each(drop);
        }
    }
}

const LIFTED: PageLimits = PageLimits {
    labels: usize::MAX,
    name_bytes: usize::MAX,
    value_bytes: usize::MAX,
    buckets: usize::MAX,
    exemplars: usize::MAX,
    series_bytes: usize::MAX,
};

/// Twice as long a page is at most twice the work, without any limit, if all that its series share
/// is a name.
#[test]
fn exposition_in_protobuf_is_read_with_at_most_twice_the_work_for_twice_the_bytes() {
    let gauge = field(4, &[label("a", "b"), field(2, &double(1, 1.0))].concat());
    let exemplar = [label("a", "b"), double(2, 1.0), field(3, &number(1, 3))].concat();
    let bucket = field(
        3,
        &[number(1, 2), double(2, 1.0), field(3, &exemplar)].concat(),
    );
    let span = field(12, &[number(1, 2), number(2, 1)].concat());
    let native = [span.as_slice(), &field(13, &[0]), &bucket].concat();
    let quantile = field(3, &[double(1, 0.5), double(2, 1.0)].concat());
    let group = [key(15, 3), key(15, 3), number(1, 1), key(15, 4), key(15, 4)].concat();
    let pages: [(&str, Around, u64, Vec<u8>); 16] = [
        ("families", Around::Page, 1, family(1, &gauge)),
        ("families without metrics", Around::Page, 1, family(1, b"")),
        ("metrics", Around::Family, 1, gauge),
        ("empty metrics", Around::Family, 1, field(4, b"")),
        ("types", Around::Family, 1, number(3, 1)),
        ("labels", Around::Metric, 1, label("a", "b")),
        (
            "one value again",
            Around::Metric,
            1,
            field(2, &double(1, 1.0)),
        ),
        ("groups", Around::Metric, 1, group.clone()),
        ("the beginnings of groups", Around::Metric, 1, key(15, 3)),
        (
            "exemplars of a counter",
            Around::Metric,
            0,
            field(3, &field(2, &exemplar)),
        ),
        (
            "summaries of one metric",
            Around::Metric,
            2,
            field(4, &quantile),
        ),
        (
            "histograms of one metric",
            Around::Metric,
            HISTOGRAM,
            field(7, &bucket),
        ),
        ("buckets", Around::Histogram, HISTOGRAM, bucket),
        (
            "native histograms",
            Around::Family,
            HISTOGRAM,
            field(4, &field(7, &native)),
        ),
        (
            "buckets of a native histogram",
            Around::Histogram,
            HISTOGRAM,
            native,
        ),
        // Field 16 of a histogram.
        (
            "exemplars",
            Around::Histogram,
            HISTOGRAM,
            [span, field(13, &[0]), field(16, &exemplar)].concat(),
        ),
    ];
    for (name, around, kind, unit) in &pages {
        for classic_too in [false, true] {
            work_at_most_doubles(
                name,
                |size| page(*around, *kind, unit, size),
                |bytes| read(bytes, classic_too),
            );
        }
    }
}

/// What many series share is counted for each of them, so that the work is bounded by a limit where
/// it could grow with the square of the page.
#[test]
fn series_that_share_much_are_read_with_the_work_that_a_limit_allows() {
    let most = 1 << 20;
    for size in [1 << 15, 1 << 17] {
        let text = "x".repeat(size / 2);
        let bucket = field(3, &double(2, 1.0));
        let buckets = bucket.repeat(size / 2 / bucket.len());
        let metric = [label("a", &text), field(7, &buckets)].concat();
        let page = family(HISTOGRAM, &field(4, &metric));
        let limits = PageLimits {
            series_bytes: most,
            ..LIFTED
        };
        take();
        let mut reader = PageReader::new(&page, PageFormat::Protobuf, limits);
        let error = loop {
            match reader.next(b"") {
                Ok(entry) => assert!(entry.is_some(), "the limit is exceeded"),
                Err(error) => break error,
            }
        };
        assert!(error.is_limit, "{error}");
        let work = take();
        assert!(work > most / 2, "{size}: {work} counts nothing");
        assert!(
            work <= 2 * most + 4 * page.len() + CONSTANT,
            "{size}: {work}"
        );
    }
}
