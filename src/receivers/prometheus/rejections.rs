//! Counts what is left out of pages that are taken.

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter};

use crate::translation::scraped::PageCounts;

/// `foghorn_scrape_series_rejected_total`.
#[derive(Clone)]
pub(super) struct SeriesRejections {
    rejected: Counter<u64>,
    receiver: Arc<str>,
}

impl SeriesRejections {
    pub(super) fn new(meter: &Meter, receiver: &str) -> Self {
        Self {
            rejected: meter
                .u64_counter("foghorn_scrape_series_rejected_total")
                .with_description("values of series that were left out of pages")
                .build(),
            receiver: receiver.into(),
        }
    }

    /// A rule makes too long a text of a series.
    pub(super) fn too_long(&self) {
        self.count(1, "too_long");
    }

    /// Counts what a page had that wasn't taken.
    pub(super) fn of_page(&self, counts: &PageCounts) {
        self.count(counts.duplicates, "duplicate");
        self.count(counts.out_of_bounds, "out_of_bounds");
        self.count(counts.inexpressible, "inexpressible");
    }

    fn count(&self, values: u64, reason: &'static str) {
        if values > 0 {
            let receiver = KeyValue::new("receiver", self.receiver.to_string());
            let attributes = [receiver, KeyValue::new("reason", reason)];
            self.rejected.add(values, &attributes);
        }
    }
}
