//! Finds what a page says of requests. Pure.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use crate::exposition::read::{
    PageEntry, PageError, PageFormat, PageLimits, PageReader, PageSeries,
};
use crate::receivers::scrape::FailureReason;
use crate::resilience::FetchError;
use crate::traffic::{LatencyReading, LatencyUnit};

const REQUESTS: &str = "http_requests_total";
const DURATION: &str = "http_request_duration_seconds";

/// What a page says of requests: totals since the replica began.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct RequestPage {
    /// `http_requests_total`, by all labels.
    pub(super) requests: BTreeMap<String, RequestTotal>,
    /// `http_request_duration_seconds`, by all labels but `le`.
    pub(super) durations: BTreeMap<String, DurationTotal>,
    /// Series that were left out, since there are more than may be.
    pub(super) beyond: u64,
    /// Series that contradict themselves.
    pub(super) invalid: u64,
}

/// One series of requests.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RequestTotal {
    pub(super) count: f64,
    pub(super) is_error: Option<bool>,
}

/// One histogram of durations.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct DurationTotal {
    pub(super) reading: LatencyReading,
    pub(super) is_error: Option<bool>,
}

/// A histogram in the making.
#[derive(Debug, Default)]
struct HistogramParts {
    count: Option<f64>,
    sum: Option<f64>,
    /// Upper bounds, and how many durations were up to each.
    buckets: Vec<(f64, f64)>,
    is_error: Option<bool>,
}

impl RequestPage {
    /// Reads a page in Prometheus's text format. Of more than `most` series, requests and durations
    /// together, those beyond are left out.
    ///
    /// # Errors
    ///
    /// When the page isn't in the format.
    pub(super) fn read(body: &[u8], most: usize) -> Result<Self, FetchError> {
        let mut page = Self::default();
        let mut histograms: BTreeMap<String, HistogramParts> = BTreeMap::new();
        let mut left_out: HashSet<(bool, String)> = HashSet::new();
        let mut reader = PageReader::new(body, PageFormat::Text, PageLimits::default());
        while let Some(entry) = reader.next(b"").map_err(|error| unreadable(&error))? {
            let PageEntry::Series(series) = entry else {
                continue;
            };
            let (Some(kind), Some(value)) = (PartKind::of(&series), series.number()) else {
                continue;
            };
            let key = key(&series);
            let held = page.requests.len() + histograms.len();
            let is_known = match kind {
                PartKind::Requests => page.requests.contains_key(&key),
                _ => histograms.contains_key(&key),
            };
            if !is_known && held >= most {
                // Each is counted once, and the set holds no more than as many again.
                if left_out.len() < most && left_out.insert((kind == PartKind::Requests, key)) {
                    page.beyond += 1;
                }
                continue;
            }
            let is_error = is_error(&series);
            if kind == PartKind::Requests {
                if value.is_finite() && value >= 0.0 {
                    let count = value;
                    page.requests.insert(key, RequestTotal { count, is_error });
                } else {
                    page.invalid += 1;
                }
                continue;
            }
            let parts = histograms.entry(key).or_default();
            parts.is_error = is_error;
            match kind {
                PartKind::Count => parts.count = Some(value),
                PartKind::Sum => parts.sum = Some(value),
                PartKind::Bucket(upper) => {
                    // One more than can be used, so that it is noticed.
                    if parts.buckets.len() <= LatencyReading::MOST_BUCKETS {
                        parts.buckets.push((upper, value));
                    }
                }
                PartKind::Requests => {}
            }
        }
        for (key, parts) in histograms {
            let is_error = parts.is_error;
            match parts.reading() {
                Some(reading) => {
                    page.durations
                        .insert(key, DurationTotal { reading, is_error });
                }
                None => page.invalid += 1,
            }
        }
        Ok(page)
    }

    /// Whether the page says anything of requests.
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.durations.is_empty()
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum PartKind {
    Requests,
    Count,
    Sum,
    Bucket(f64),
}

impl PartKind {
    fn of(series: &PageSeries<'_, '_>) -> Option<Self> {
        let name = series.full_name();
        if name == REQUESTS {
            return Some(Self::Requests);
        }
        match name.strip_prefix(DURATION)? {
            "_count" => Some(Self::Count),
            "_sum" => Some(Self::Sum),
            "_bucket" => series.label("le").parse().ok().map(Self::Bucket),
            _ => None,
        }
    }
}

impl HistogramParts {
    /// The histogram; `None` if its parts contradict each other.
    fn reading(mut self) -> Option<LatencyReading> {
        const UNIT: LatencyUnit = LatencyUnit::Seconds;
        self.buckets.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let last = self.buckets.last().map(|(_, count)| *count);
        let count = self.count.or(last)?;
        let is_count = |count: f64| count.is_finite() && count >= 0.0;
        if !is_count(count) {
            return None;
        }
        let total = LatencyReading::total(count, self.sum, UNIT);
        if self.buckets.is_empty() {
            return Some(total);
        }
        if self
            .buckets
            .last()
            .is_some_and(|(upper, _)| upper.is_finite())
        {
            self.buckets.push((f64::INFINITY, count));
        }
        // The counts are of all that is below, and those between are wanted.
        let mut below = 0.0;
        let mut counts = Vec::with_capacity(self.buckets.len());
        for (_, count) in &self.buckets {
            if !is_count(*count) || *count < below {
                return None;
            }
            counts.push(count - below);
            below = *count;
        }
        let bounds = self.buckets.iter().map(|(upper, _)| *upper);
        let bounds: Vec<f64> = bounds.take(self.buckets.len() - 1).collect();
        total
            .with_explicit(bounds.into_iter(), counts.into_iter(), UNIT, None)
            .ok()
    }
}

fn unreadable(error: &PageError) -> FetchError {
    let reason = match error.is_limit {
        true => FailureReason::Limit,
        false => FailureReason::Parse,
    };
    reason.error(error.to_string())
}

/// The labels that tell a series from others of its name, in order.
fn key(series: &PageSeries<'_, '_>) -> String {
    let labels = series.labels();
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = labels
        .filter(|(name, _)| !matches!(&**name, "__name__" | "le"))
        .collect();
    labels.sort_unstable();
    let mut key = String::new();
    for (name, value) in labels {
        key.push_str(&name);
        key.push('\u{1}');
        key.push_str(&value);
        key.push('\u{2}');
    }
    key
}

/// Whether the requests were answered with a status of 500 or above; `None` if no label says it.
/// Some write the class alone: `5xx`.
fn is_error(series: &PageSeries<'_, '_>) -> Option<bool> {
    let status = [series.label("status"), series.label("code")]
        .into_iter()
        .find(|status| !status.is_empty())?;
    Some(status.len() == 3 && status.starts_with('5'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PAGE: &str = r#"# TYPE http_requests_total counter
http_requests_total{method="get",code="200"} 90
http_requests_total{code="500",method="get"} 10
http_requests_total_created{code="500"} 1
go_goroutines 7
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{status="5xx",le="0.1"} 2
http_request_duration_seconds_bucket{status="5xx",le="+Inf"} 4
http_request_duration_seconds_bucket{status="5xx",le="1"} 3
http_request_duration_seconds_sum{status="5xx"} 12.5
http_request_duration_seconds_count{status="5xx"} 4
"#;

    #[test]
    fn requests_and_durations_are_found_among_the_others() {
        let page = RequestPage::read(PAGE.as_bytes(), 100).unwrap();
        let requests: Vec<_> = page.requests.values().collect();
        let total = |count, is_error| RequestTotal {
            count,
            is_error: Some(is_error),
        };
        assert_eq!(requests, [&total(90.0, false), &total(10.0, true)]);
        let expected = LatencyReading::total(4.0, Some(12.5), LatencyUnit::Seconds)
            .with_explicit(
                [0.1, 1.0].into_iter(),
                [2.0, 1.0, 1.0].into_iter(),
                LatencyUnit::Seconds,
                None,
            )
            .unwrap();
        let durations: Vec<_> = page.durations.values().collect();
        assert_eq!(
            durations,
            [&DurationTotal {
                reading: expected,
                is_error: Some(true)
            }]
        );
        assert_eq!((page.invalid, page.beyond), (0, 0));
    }

    #[test]
    fn what_contradicts_itself_costs_itself() {
        let f = |text: &str, invalid: u64| {
            let page = RequestPage::read(text.as_bytes(), 100).unwrap();
            assert_eq!((page.is_empty(), page.invalid), (true, invalid), "{text}");
        };
        f("", 0);
        f("go_goroutines 7", 0);
        f("http_requests_total NaN", 1);
        f("http_requests_total -1", 1);
        f("http_request_duration_seconds_sum 1", 1);
        f("http_request_duration_seconds_count NaN", 1);
        f(
            "http_request_duration_seconds_bucket{le=\"1\"} 5\n\
             http_request_duration_seconds_bucket{le=\"2\"} 4",
            1,
        );
        assert!(RequestPage::read(b"<html>", 100).is_err());
        assert!(RequestPage::read(b"\xff", 100).is_err());
    }

    #[test]
    fn series_beyond_the_bound_are_left_out_and_counted_once() {
        let lines: String = (0..10)
            .map(|n| {
                format!(
                    "http_requests_total{{path=\"{n}\"}} 1\n\
                     http_request_duration_seconds_sum{{path=\"{n}\"}} 1\n\
                     http_request_duration_seconds_count{{path=\"{n}\"}} 1\n"
                )
            })
            .collect();
        let page = RequestPage::read(lines.as_bytes(), 12).unwrap();
        assert_eq!((page.requests.len(), page.durations.len()), (6, 6));
        assert_eq!(
            page.beyond, 8,
            "each series, and not each line or label set"
        );
    }

    proptest! {
        #[test]
        fn no_text_that_is_nearly_right_makes_it_panic(
            lines in prop::collection::vec(
                (
                    prop::sample::select(vec!["total", "_bucket", "_sum", "_count", ""]),
                    prop::sample::select(vec!["", "{le=\"1\"}", "{le=\"+Inf\"}", "{le=\"x\"}",
                        "{code=\"500\",le=\"NaN\"}", "{status=\"5xx\"}"]),
                    prop::sample::select(vec!["1", "-1", "NaN", "+Inf", "1e308", "1e999", "x"]),
                ),
                0..20,
            ),
        ) {
            let text: String = lines
                .iter()
                .map(|(suffix, labels, value)| match *suffix {
                    "total" => format!("http_requests_total{labels} {value}\n"),
                    _ => format!("http_request_duration_seconds{suffix}{labels} {value}\n"),
                })
                .collect();
            if let Ok(page) = RequestPage::read(text.as_bytes(), 5) {
                for total in page.durations.values() {
                    let whole = total.reading.whole();
                    prop_assert!(whole.count >= 0.0);
                    let _ = (whole.mean(), whole.quantile(0.95), total.reading.since(&total.reading));
                }
            }
        }
    }
}
