//! What it takes to read a page of 100,000 series, and to make OTLP of it, beside what no reader
//! can do without: to find the lines and to read their numbers, by the standard library.
//!
//! ```text
//! cargo bench --bench pages
//! ```
//!
//! Figures are CPU time per series. A line of the text has some 100 bytes and four labels.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

#[path = "support/cpu.rs"]
mod cpu;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use cpu::measure;
use criterion::{Criterion, criterion_group, criterion_main};
use foghorn::exposition::read::{PageEntry, PageFormat, PageLimits, PageReader};
use foghorn::pdata::writer::MetricsWriter;
use foghorn::translation::scraped::{ScrapedSettings, ScrapedTarget};

const FAMILIES: usize = 100;
const PER_FAMILY: usize = 1_000;
const SERIES: usize = FAMILIES * PER_FAMILY;
/// Histograms with twelve buckets, so that there are about as many series.
const HISTOGRAMS: usize = SERIES / 14;

/// Groups; the first of each is the baseline of its ratios.
const READ: &str = "a line of a page";
const TAKE: &str = "a series to OTLP";
const WORST: &str = "1 KiB of a page of 8 MiB, by a target that is new";

/// The size of pages that are made to cost as much as possible.
const LARGE: usize = 8 << 20;

fn counters() -> String {
    let mut page = String::new();
    for family in 0..FAMILIES {
        let name = format!("http_server_requests_family_{family}_total");
        writeln!(page, "# HELP {name} Requests\n# TYPE {name} counter").unwrap();
        for series in 0..PER_FAMILY {
            let value = (series * 7919) as f64 * if series.is_multiple_of(2) { 1.0 } else { 0.37 };
            let (path, pod) = (series % 50, series / 50);
            writeln!(
                page,
                "{name}{{code=\"200\",method=\"GET\",path=\"/api/v1/resource/{path}\",pod=\"web-7d9f8b-{pod}\"}} {value}"
            )
            .unwrap();
        }
    }
    page
}

fn histograms() -> String {
    let mut page = "# TYPE latency_seconds histogram\n".to_owned();
    let bounds = "0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 +Inf";
    for series in 0..HISTOGRAMS {
        let labels = format!("method=\"GET\",path=\"/api/v1/resource/{series}\"");
        for (at, bound) in bounds.split(' ').enumerate() {
            writeln!(
                page,
                "latency_seconds_bucket{{{labels},le=\"{bound}\"}} {}",
                at * series
            )
            .unwrap();
        }
        writeln!(
            page,
            "latency_seconds_sum{{{labels}}} {}",
            series as f64 * 0.37
        )
        .unwrap();
        writeln!(page, "latency_seconds_count{{{labels}}} {}", 11 * series).unwrap();
    }
    page
}

/// Reads a page, expecting these series; returns how many there are.
fn read(page: &[u8], format: PageFormat, expected: &[Vec<u8>]) -> usize {
    let mut reader = PageReader::new(page, format, PageLimits::default());
    let mut series = 0;
    loop {
        let next = expected.get(series).map_or(&b""[..], |next| next);
        match reader.next(next).unwrap() {
            None => return series,
            Some(PageEntry::Metadata(_)) => {}
            Some(PageEntry::Again(_) | PageEntry::Series(_)) => series += 1,
        }
    }
}

fn identities(page: &[u8], format: PageFormat) -> Vec<Vec<u8>> {
    let mut reader = PageReader::new(page, format, PageLimits::default());
    let mut identities = Vec::new();
    while let Some(entry) = reader.next(b"").unwrap() {
        if let PageEntry::Series(series) = entry {
            identities.push(series.identity.to_vec());
        }
    }
    identities
}

fn reading(c: &mut Criterion) {
    let page = counters();
    measure(c, READ, "std: lines and their numbers", SERIES, || {
        let numbers = page.lines().filter(|line| !line.starts_with('#'));
        let numbers = numbers.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        numbers.sum::<f64>()
    });
    let known = identities(page.as_bytes(), PageFormat::Text);
    assert_eq!(known.len(), SERIES);
    measure(c, READ, "text, unknown", SERIES, || {
        assert_eq!(read(page.as_bytes(), PageFormat::Text, &[]), SERIES);
    });
    measure(c, READ, "text, in a known order", SERIES, || {
        assert_eq!(read(page.as_bytes(), PageFormat::Text, &known), SERIES);
    });
    let openmetrics = format!("{page}# EOF\n");
    measure(c, READ, "OpenMetrics, unknown", SERIES, || {
        assert_eq!(
            read(openmetrics.as_bytes(), PageFormat::OpenMetrics, &[]),
            SERIES
        );
    });
    measure(c, READ, "OpenMetrics, in a known order", SERIES, || {
        assert_eq!(
            read(openmetrics.as_bytes(), PageFormat::OpenMetrics, &known),
            SERIES
        );
    });
}

fn target() -> ScrapedTarget {
    target_of(ScrapedSettings::default())
}

fn target_of(settings: ScrapedSettings) -> ScrapedTarget {
    let labels = [("instance", "web:8080"), ("job", "web")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ScrapedTarget::new(settings, labels.into())
}

fn take(target: &mut ScrapedTarget, page: &str) -> u64 {
    let mut out = MetricsWriter::new();
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let (counts, result) = target.page(page.as_bytes(), PageFormat::Text, at, &mut (), &mut out);
    result.unwrap();
    out.finish();
    counts.kept
}

fn taking(c: &mut Criterion) {
    let (counters, histograms) = (counters(), histograms());
    measure(c, TAKE, "counters, unknown", SERIES, || {
        take(&mut target(), &counters)
    });
    let mut known = target();
    take(&mut known, &counters);
    measure(c, TAKE, "counters, in a known order", SERIES, || {
        take(&mut known, &counters)
    });
    let mut known = target();
    take(&mut known, &histograms);
    measure(
        c,
        TAKE,
        "parts of histograms, in a known order",
        HISTOGRAMS * 14,
        || take(&mut known, &histograms),
    );
}

/// So many of a unit that the page has its size.
fn large(begin: &str, unit: impl Fn(usize) -> String, end: &str) -> String {
    let mut page = begin.to_owned();
    let mut n = 0;
    while page.len() < LARGE {
        page.push_str(&unit(n));
        n += 1;
    }
    page + end
}

fn worst(c: &mut Criterion) {
    let labels = |line: usize| {
        let labels: String = (0..256).map(|n| format!("l{n}=\"{line}\",")).collect();
        format!("a{{{labels}}} 1\n")
    };
    let ordinary = counters();
    let pages = [
        ("an ordinary one", large("", |_| ordinary.clone(), "")),
        (
            "one line of labels",
            large("a{", |n| format!("l{n}=\"\","), "} 1\n"),
        ),
        ("lines of 256 labels", large("", labels, "")),
        (
            "one family",
            large("# TYPE a gauge\n", |n| format!("a{{b=\"{n}\"}} 1\n"), ""),
        ),
        ("short lines", large("", |n| format!("a{n} 1\n"), "")),
        ("the same line", large("", |_| "a 1\n".to_owned(), "")),
        ("comments", large("", |_| "# a comment\n".to_owned(), "")),
        ("empty lines", large("", |_| "\n".to_owned(), "")),
        ("types", large("", |n| format!("# TYPE a{n} gauge\n"), "")),
        ("escapes", large("a{b=\"", |_| "\\n".to_owned(), "\"} 1\n")),
        (
            "short escapes",
            large("", |n| format!("a{{b=\"\\n\\n\\n\\n\\n{n}\"}} 1\n"), ""),
        ),
        (
            "one histogram",
            large(
                "# TYPE a histogram\n",
                |n| format!("a_bucket{{le=\"{n}\"}} 1\n"),
                "",
            ),
        ),
        (
            "buckets that fall",
            large(
                "# TYPE a histogram\n",
                |n| format!("a_bucket{{le=\"{}\"}} {n}\n", -(n as f64)),
                "",
            ),
        ),
    ];
    // A page that is refused would only show what it takes to read it up to its limit.
    let lifted = ScrapedSettings {
        limits: PageLimits {
            labels: usize::MAX,
            value_bytes: usize::MAX,
            ..PageLimits::default()
        },
        ..ScrapedSettings::default()
    };
    for (name, page) in &pages {
        measure(c, WORST, name, page.len() / 1024, || {
            take(&mut target_of(lifted.clone()), page)
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = reading, taking, worst, cpu::table
}
criterion_main!(benches);
