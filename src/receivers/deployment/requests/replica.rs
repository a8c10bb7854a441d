//! What one replica counted from one page to the next. Pure.

use std::collections::BTreeMap;

use super::page::RequestPage;
use crate::traffic::{Growth, LatencyReading, ObservedLatency};

/// The totals of a replica's last page.
#[derive(Debug, Default)]
pub(super) struct ReplicaTotals {
    requests: BTreeMap<String, f64>,
    durations: BTreeMap<String, LatencyReading>,
    /// Whether there was a page before.
    has_page: bool,
    /// Whether every series of the last page is remembered, so that an unknown one has just begun.
    is_whole: bool,
    /// Whether a page has ever said something of requests.
    pub(super) says_requests: bool,
}

impl ReplicaTotals {
    /// Takes a page, and answers what was counted since the one before. `None` if there was none,
    /// or none ever said anything of requests.
    pub(super) fn take(&mut self, page: &RequestPage) -> Option<Growth> {
        let is_first = !std::mem::replace(&mut self.has_page, true);
        self.says_requests |= !page.is_empty();
        let knows_all =
            std::mem::replace(&mut self.is_whole, page.beyond == 0 && page.invalid == 0);
        let mut counted = CountedRequests::default();
        let mut observed = CountedRequests::default();
        let mut latency = ObservedLatency::default();
        let (requests, durations) = (&self.requests, &self.durations);
        for (key, total) in &page.requests {
            let since = match requests.get(key) {
                // It has begun anew.
                Some(before) if total.count < *before => total.count,
                Some(before) => total.count - before,
                None if knows_all => total.count,
                None => 0.0,
            };
            counted.add(since, total.is_error);
        }
        for (key, total) in &page.durations {
            let since = match durations.get(key) {
                Some(before) => total.reading.since(before),
                None if knows_all => total.reading.whole(),
                None => ObservedLatency::default(),
            };
            observed.add(since.count, total.is_error);
            latency.add(&since, 1.0);
        }
        let has_counter = !page.requests.is_empty();
        let requests = page.requests.iter();
        self.requests = requests
            .map(|(key, total)| (key.clone(), total.count))
            .collect();
        let durations = page.durations.iter();
        self.durations = durations
            .map(|(key, total)| (key.clone(), total.reading.clone()))
            .collect();
        if is_first || !self.says_requests {
            return None;
        }
        Some(Growth {
            requests: if has_counter {
                counted.all
            } else {
                observed.all
            },
            errors: counted.errors.or(observed.errors),
            latency,
        })
    }
}

/// Requests, and those of them that failed.
#[derive(Debug, Default)]
struct CountedRequests {
    all: f64,
    /// `None` if no series says which fail.
    errors: Option<f64>,
}

impl CountedRequests {
    fn add(&mut self, count: f64, is_error: Option<bool>) {
        self.all += count;
        if let Some(is_error) = is_error {
            *self.errors.get_or_insert(0.0) += if is_error { count } else { 0.0 };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> RequestPage {
        RequestPage::read(text.as_bytes(), 100).unwrap()
    }

    /// Requests and errors since the page before.
    fn grown(totals: &mut ReplicaTotals, text: &str) -> Option<(f64, Option<f64>)> {
        let growth = totals.take(&page(text))?;
        Some((growth.requests, growth.errors))
    }

    #[test]
    fn growth_is_reset_safe_series_by_series() {
        let totals = &mut ReplicaTotals::default();
        let requests = |ok: u32, failed: u32| {
            format!(
                "http_requests_total{{code=\"200\"}} {ok}\n\
                 http_requests_total{{code=\"500\"}} {failed}\n"
            )
        };
        assert_eq!(grown(totals, &requests(100, 10)), None);
        assert_eq!(grown(totals, &requests(150, 10)), Some((50.0, Some(0.0))));
        assert_eq!(grown(totals, &requests(160, 15)), Some((15.0, Some(5.0))));
        // It began anew: the successes have overtaken what they were, the errors haven't.
        assert_eq!(grown(totals, &requests(170, 3)), Some((13.0, Some(3.0))));
        // One that is gone takes nothing along, and when it comes again it is new.
        let alone = "http_requests_total{code=\"200\"} 170";
        assert_eq!(grown(totals, alone), Some((0.0, Some(0.0))));
        assert_eq!(grown(totals, &requests(170, 4)), Some((4.0, Some(4.0))));
    }

    #[test]
    fn what_the_counter_does_not_say_the_histogram_does() {
        let totals = &mut ReplicaTotals::default();
        let duration = |status: &str, count: u32| {
            format!("http_request_duration_seconds_count{{{status}}} {count}\n")
        };
        assert_eq!(grown(totals, &duration("", 10)), None);
        // Nothing says which fail.
        assert_eq!(grown(totals, &duration("", 14)), Some((4.0, None)));
        let both = format!("http_requests_total 70\n{}", duration("code=\"503\"", 5));
        assert_eq!(grown(totals, &both), Some((70.0, Some(5.0))));
    }

    #[test]
    fn a_replica_that_never_said_anything_of_requests_has_no_rate() {
        let totals = &mut ReplicaTotals::default();
        assert_eq!(grown(totals, "up 1"), None);
        assert_eq!(grown(totals, "up 1"), None);
        // Its first requests.
        let first = "http_requests_total{code=\"200\"} 3";
        assert_eq!(grown(totals, first), Some((3.0, Some(0.0))));
        // After a restart it has had none.
        assert_eq!(grown(totals, "up 1"), Some((0.0, None)));
    }
}
