//! The `prometheus` exporter beside that of the OpenTelemetry Collector: both programs get
//! the same configuration and the same metrics, and their pages are compared in both
//! formats, line by line: names, labels, values, types, units, help texts, times, exemplars.
//!
//! What differs must stand in [`INTENDED`], and behind it in `docs/prometheus.md`; what
//! stands there and differs no more is a failure, too.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/corpus.rs"]
mod corpus;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/shorthand.rs"]
mod shorthand;
#[path = "support/strict.rs"]
mod strict;
#[path = "support/twins.rs"]
mod twins;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use futures_util::future::join_all;
use twins::{Twin, YAML_OF_BOTH};

/// What Prometheus accepts since names may be any text, with and without OpenMetrics.
const FORMATS: [(&str, bool); 2] = [
    ("text/plain;version=1.0.0;escaping=allow-utf-8", false),
    (
        "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8",
        true,
    ),
];

/// Configurations of the exporter, and of what stands before it.
const CASES: &[(&str, &str)] = &[
    ("", ""),
    ("", "resource_to_telemetry_conversion: {enabled: true}"),
    ("", "without_scope_info: true, send_timestamps: true"),
    ("", "namespace: fog, const_labels: {site: lab}"),
    (
        "",
        "translation_strategy: UnderscoreEscapingWithoutSuffixes",
    ),
    ("", "translation_strategy: NoUTF8EscapingWithSuffixes"),
    ("", "translation_strategy: NoTranslation"),
    (EDITING, ""),
    ("", UNCLEAN),
    ("", UNSUFFIXED),
];

/// A line of a page, and what it says here and there.
#[derive(Debug)]
struct Difference<'a> {
    exporter: &'a str,
    openmetrics: bool,
    line: &'a str,
    here: Option<&'a str>,
    there: Option<&'a str>,
}

/// The lines that stand for all that say nothing.
const NO_HELP: &str = "families without a help text";
const NO_VALUE: &str = "labels without a value";

/// A difference that is meant: the beginning of its row in `docs/prometheus.md`, and how to
/// know it.
type Intended = (&'static str, fn(&Difference<'_>) -> bool);

const INTENDED: &[Intended] = &[
    ("labels with an empty value are left out", |d| {
        d.line == NO_VALUE || is(d, "empty")
    }),
    ("no `HELP` line without a description", |d| {
        d.line == NO_HELP
    }),
    ("OpenMetrics has `UNIT` lines", |d| {
        d.openmetrics && d.line.starts_with("UNIT ") && d.there.is_none()
    }),
    ("a counter without `_total` has no exemplars", |d| {
        d.line.starts_with("EXEMPLAR counter") && !d.line.contains("_total") && d.here.is_none()
    }),
    ("colliding labels are joined", |d| {
        is(d, "colliding") || is(d, "own.job")
    }),
    ("a label whose name has no allowed character", |d| {
        is(d, "no.character")
    }),
    ("labels that begin with `__`", |d| is(d, "internal")),
    ("a histogram without a sum has no `_sum`", |d| {
        is(d, "without.sum") && d.here.is_none()
    }),
    ("in OpenMetrics, a histogram with bounds below zero", |d| {
        d.openmetrics && is(d, "below.zero") && d.here.is_none()
    }),
    ("a histogram without temporality is dropped", |d| {
        is(d, "temporality") && d.here.is_none()
    }),
    ("deltas without a start time are added", |d| {
        is(d, "unstarted")
    }),
    ("a delta behind a gap is added", |d| is(d, "gap")),
    ("overlapping deltas of sums are dropped", |d| {
        is(d, "overlap")
    }),
    ("a tombstone ends its own series", |d| {
        is(d, "tombstone") && d.there.is_none()
    }),
    ("buckets that contradict themselves", |d| {
        is(d, "contradiction") && d.here.is_none()
    }),
    ("the count of a histogram is that of its buckets", |d| {
        is(d, "count")
    }),
    ("NUL becomes U+FFFD", |d| is(d, "nul")),
    ("`namespace` and `const_labels` are translated", |d| {
        d.exporter == UNCLEAN
    }),
    ("`add_metric_suffixes: false`", |d| d.exporter == UNSUFFIXED),
];

/// What edits and drops the same on both sides.
const EDITING: &str = "
  attributes:
    actions:
      - {action: insert, key: env, value: lab}
      - {action: delete, key: bytes}
      - {action: update, key: int, value: 7}
      - {action: upsert, key: copied, from_attribute: text}
      - {action: hash, key: quote}
      - {action: convert, key: n, converted_type: string}
      - {action: extract, key: UPPER, pattern: '(?P<digit>[0-9])'}
  resource:
    attributes:
      - {action: upsert, key: service.instance.id, value: edited}
      - {action: insert, key: zone, from_attribute: host.name}
  filter:
    metrics:
      exclude: {match_type: regexp, metric_names: ['^[gcu]\\.', delta, 'differs\\.c']}
  batch: {timeout: 50ms}
";

/// Names in the configuration that Prometheus couldn't have.
const UNCLEAN: &str = "namespace: test-space, const_labels: {rack.no: '7'}";
const UNSUFFIXED: &str = "add_metric_suffixes: false";

/// Whether it is about the metric that shows such a difference, whatever its name became.
fn is(difference: &Difference<'_>, shown: &str) -> bool {
    let name = format!("differs.{shown}");
    let escaped = name.replace('.', "_");
    difference.line.contains(&name) || difference.line.contains(&escaped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_the_collectors() {
    let Some(collector) = peers::find("otelcol") else {
        return;
    };
    let pages = join_all(CASES.iter().map(|case| pages(&collector, case))).await;
    let mut seen = BTreeSet::new();
    let mut unexpected = Vec::new();
    for ((_, exporter), formats) in CASES.iter().zip(&pages) {
        for (openmetrics, here, there) in formats {
            let lines: BTreeSet<&String> = here.keys().chain(there.keys()).collect();
            for line in lines {
                let (here, there) = (here.get(line), there.get(line));
                if here == there {
                    continue;
                }
                let difference = Difference {
                    exporter,
                    openmetrics: *openmetrics,
                    line,
                    here: here.map(String::as_str),
                    there: there.map(String::as_str),
                };
                match INTENDED.iter().find(|(_, is)| is(&difference)) {
                    Some((row, _)) => drop(seen.insert(*row)),
                    None => unexpected.push(format!("{difference:?}")),
                }
            }
        }
    }
    assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    let gone: Vec<&str> = INTENDED
        .iter()
        .map(|(row, _)| *row)
        .filter(|row| !seen.contains(row))
        .collect();
    let documented = std::fs::read_to_string("docs/prometheus.md").unwrap();
    for (row, _) in INTENDED {
        assert!(
            documented.contains(&format!("| {row}")),
            "the documentation lacks: {row}"
        );
    }
    assert!(gone.is_empty(), "these differences are gone: {gone:#?}");
}

/// Both pages of a configuration in each format.
async fn pages(
    collector: &Path,
    (processors, exporter): &(&str, &str),
) -> Vec<(bool, BTreeMap<String, String>, BTreeMap<String, String>)> {
    let directory = tempfile::tempdir().unwrap();
    let names = match *processors {
        EDITING => "attributes, resource, filter, batch",
        _ => "",
    };
    let yaml = format!(
        "{YAML_OF_BOTH}
processors:
  {processors}
exporters:
  prometheus: {{endpoint: '127.0.0.1:${{env:PAGE_PORT}}', enable_open_metrics: true, {exporter}}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], processors: [{names}], exporters: [prometheus]}}
"
    );
    let twins = Twin::both(collector, directory.path(), &yaml).await;
    for request in corpus::requests() {
        for twin in &twins {
            twin.post("metrics", &request).await;
        }
    }
    let mut formats = Vec::new();
    for (accept, openmetrics) in FORMATS {
        let mut both = Vec::new();
        for twin in &twins {
            // The Collector writes NUL, where parsers end.
            let page = twin
                .page_with(accept, corpus::LAST)
                .await
                .replace('\0', "NUL");
            let read = match twin.name {
                "foghorn" => strict::read_all(&page, openmetrics),
                _ => strict::read_collectors(&page, openmetrics),
            };
            let read = read.unwrap_or_else(|problem| panic!("{}: {problem}", twin.name));
            both.push(lines(&read));
        }
        let there = both.pop().unwrap();
        formats.push((openmetrics, both.pop().unwrap(), there));
    }
    formats
}

/// A page as lines, each with what it says. What says nothing is one line for all: labels
/// without a value, and families without a help text.
fn lines(page: &strict::Page) -> BTreeMap<String, String> {
    let mut lines = BTreeMap::new();
    for ((word, name), text) in &page.described {
        match (*word, text.as_str()) {
            ("HELP", "") => lines.insert(NO_HELP.to_owned(), "written".to_owned()),
            _ => lines.insert(format!("{word} {name}"), text.clone()),
        };
    }
    let mut empty_labels = false;
    let mut series = |(name, labels): &strict::Series| {
        let full = labels.iter().filter(|(_, value)| !value.is_empty());
        let full: BTreeMap<_, _> = full.collect();
        empty_labels |= full.len() < labels.len();
        format!("{name} {full:?}")
    };
    for (of, value) in &page.samples {
        lines.insert(series(of), format!("{value:?}"));
    }
    for (of, time) in &page.times {
        lines.insert(format!("TIME {}", series(of)), format!("{time:?}"));
    }
    for (of, (labels, rest)) in &page.exemplars {
        // Some write times with more digits than a float has.
        let mut numbers = rest.split(' ').map(|number| number.parse::<f64>().unwrap());
        let (value, time) = (numbers.next().unwrap(), numbers.next().unwrap_or_default());
        let text = format!("{labels:?} {value:?} {time:.3}");
        lines.insert(format!("EXEMPLAR {}", series(of)), text);
    }
    if empty_labels {
        lines.insert(NO_VALUE.to_owned(), "written".to_owned());
    }
    lines
}
