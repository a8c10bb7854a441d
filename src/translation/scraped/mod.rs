//! Scraped pages as OTLP, as the Collector's `prometheus` receiver makes it of them.
//!
//! Each target has a [`ScrapedTarget`]. It remembers every series of the page by the bytes that
//! the page has for it: what the rules have made of its labels, and which OTLP series it is part
//! of. So rules run once for a series and not for each of its values, and when a series is gone,
//! it is known what must be ended.
//!
//! | the page has | OTLP gets |
//! |---|---|
//! | a counter | a monotonic sum; `_created` becomes its start time |
//! | a gauge, or a series of no known family | a gauge |
//! | the `_bucket`, `_sum` and `_count` of a histogram | a point of a histogram |
//! | the quantiles, `_sum` and `_count` of a summary | a point of a summary |
//! | a native histogram | a point of an exponential histogram |
//! | an info or a stateset | a sum that isn't monotonic, under its full name |
//! | the parts of a gauge histogram | gauges, under their full names |
//! | `target_info` | attributes of the resource |
//!
//! The metadata `prometheus.type` of a metric says what the page said, and with it that the name
//! is Prometheus's already. `job` and `instance` become `service.name` and `service.instance.id`
//! of the resource. A distribution that OTLP can't express exactly, because it has no count or
//! its buckets fall, stays apart: each of its series is a gauge under its own name. A native gauge
//! histogram is only counted.

mod cache;
mod ends;
mod exemplars;
mod families;
mod index;
mod labels;
mod native;
mod opener;
mod pending;
mod points;
mod read;
#[cfg(test)]
mod tests;
mod write;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use labels::{InvalidLabels, METRIC_NAME, ScrapedLabels};

use crate::exposition::read::{PageError, PageFormat, PageLimits};
use crate::pdata::writer::MetricsWriter;

use cache::{SeriesCache, SeriesHome};
use families::{Families, PointPart};
use native::DenseHistogram;
use points::ScrapedPoints;

/// How the pages of a target are taken. The defaults are Prometheus's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapedSettings {
    /// Whether a label of the page wins over one of the target with the same name.
    pub honor_labels: bool,
    /// Whether a value holds at the time that the page says, if it says one.
    pub honor_timestamps: bool,
    /// Whether a series whose values have times of their own ends with a tombstone, too.
    pub track_timestamps_staleness: bool,
    /// The most series of a page after relabelling; 0 for any number. A page with more fails.
    pub sample_limit: usize,
    /// The most labels of a series after relabelling; 0 for any number. Its page fails.
    pub label_limit: usize,
    /// The longest name of a label after relabelling, in bytes; 0 for any length.
    pub label_name_length_limit: usize,
    /// The longest value of a label after relabelling, in bytes; 0 for any length.
    pub label_value_length_limit: usize,
    /// Whether native histograms are read as such. Otherwise as classic ones.
    pub native_histograms: bool,
    /// Whether the classic form of a native histogram is read beside it.
    pub classic_histograms_too: bool,
    /// Bounds on lines, before relabelling.
    pub limits: PageLimits,
}

impl Default for ScrapedSettings {
    fn default() -> Self {
        Self {
            honor_labels: false,
            honor_timestamps: true,
            track_timestamps_staleness: false,
            sample_limit: 0,
            label_limit: 0,
            label_name_length_limit: 0,
            label_value_length_limit: 0,
            native_histograms: false,
            classic_histograms_too: false,
            limits: PageLimits::default(),
        }
    }
}

/// Rules for the labels of a target's series.
pub trait MetricRelabelling {
    /// Applies the rules to a series that wasn't there before. Returns whether it is kept.
    fn relabel(&mut self, labels: &mut ScrapedLabels<'_>) -> bool;
}

/// No rules.
impl MetricRelabelling for () {
    fn relabel(&mut self, _: &mut ScrapedLabels<'_>) -> bool {
        true
    }
}

/// What a page had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PageCounts {
    /// Series on the page: `scrape_samples_scraped`.
    pub scraped: u64,
    /// Those that the rules have left: `scrape_samples_post_metric_relabeling`.
    pub kept: u64,
    /// Those of them that the last page didn't have: `scrape_series_added`.
    pub added: u64,
    /// Those that were there before on the same page. Only the first one counts.
    pub duplicates: u64,
    /// Those whose time is more than ten minutes ahead. They aren't taken.
    pub out_of_bounds: u64,
    /// Native histograms that OTLP can't express: their buckets are too far apart, or their counts
    /// may fall. They aren't taken.
    pub inexpressible: u64,
    /// Series that ended with this page.
    pub ended: u64,
}

/// Why nothing of a page was taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PageFailure {
    /// It can't be read, or a line exceeds a limit.
    #[error(transparent)]
    Unreadable(#[from] PageError),
    /// Relabelling has made a series of it that can't be.
    #[error(transparent)]
    Labels(#[from] InvalidLabels),
    /// It has more series than `sample_limit`.
    #[error("the page has more series than the sample_limit of {0}")]
    SampleLimit(usize),
    /// A series has more labels than `label_limit`.
    #[error("a series has more labels than the label_limit of {0}")]
    LabelLimit(usize),
    /// A series has a label whose name is longer than `label_name_length_limit`.
    #[error("the name of a label is longer than the label_name_length_limit of {0}")]
    LabelNameLength(usize),
    /// A series has a label whose value is longer than `label_value_length_limit`.
    #[error("the value of a label is longer than the label_value_length_limit of {0}")]
    LabelValueLength(usize),
}

impl PageFailure {
    /// Whether a limit was exceeded; otherwise the page is malformed.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Unreadable(error) => error.is_limit,
            Self::Labels(_) => false,
            _ => true,
        }
    }
}

/// One value of the page, before anything is written: a page may fail with its last line.
#[derive(Debug)]
struct ScrapedValue {
    point: usize,
    part: PointPart,
    value: f64,
    /// Milliseconds since the Unix epoch.
    time: i64,
    created: Option<i64>,
    /// Its exemplars among those of the page.
    exemplars: (usize, usize),
    native: Option<Box<DenseHistogram>>,
    /// Whether it ends with a tombstone when it isn't shown any more.
    tracked: bool,
}

/// The series of one target, from page to page.
#[derive(Debug)]
pub struct ScrapedTarget {
    settings: ScrapedSettings,
    labels: Vec<(String, String)>,
    attributes: Vec<(String, String)>,
    families: Families,
    cache: SeriesCache,
    points: ScrapedPoints,
    /// How many pages there were.
    page: u32,
    values: Vec<ScrapedValue>,
    /// Where the attributes of a new series are encoded.
    encoded: Vec<u8>,
}

impl ScrapedTarget {
    /// A target that hasn't been scraped. `labels` are those that it has after relabelling, with
    /// `job` and `instance` and without those that begin with `__`.
    pub fn new(settings: ScrapedSettings, labels: Vec<(String, String)>) -> Self {
        Self {
            settings,
            labels,
            attributes: Vec::new(),
            families: Families::default(),
            cache: SeriesCache::default(),
            points: ScrapedPoints::default(),
            page: 0,
            values: Vec::new(),
            encoded: Vec::new(),
        }
    }

    /// Further attributes of the target's resource, such as `server.address`.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Vec<(String, String)>) -> Self {
        self.attributes = attributes;
        self
    }

    /// Series that are remembered.
    pub fn series(&self) -> usize {
        self.cache.len()
    }

    /// Reads a page that was scraped at `at`, and writes its values and the ends of the series
    /// that it doesn't have any more, in resources of their own.
    ///
    /// The counts are those of the page up to where it failed, if it did.
    ///
    /// # Errors
    ///
    /// If the page fails. Then nothing is written, and the series that were live still are: who
    /// scrapes ends them with [`end`](Self::end), as Prometheus does.
    pub fn page(
        &mut self,
        page: &[u8],
        format: PageFormat,
        at: SystemTime,
        rules: &mut dyn MetricRelabelling,
        out: &mut MetricsWriter,
    ) -> (PageCounts, Result<(), PageFailure>) {
        self.page = self.page.wrapping_add(1);
        let mut counts = PageCounts::default();
        let mut exemplars = Vec::new();
        let read = self.read(page, format, millis(at), rules, &mut counts, &mut exemplars);
        match read {
            Ok(()) => self.write(&exemplars, millis(at), &mut counts, out),
            Err(_) => {
                let points = &mut self.points;
                self.cache.undo(self.page, |home| release(points, home));
                self.points.drop_unborn();
                self.families.undo(self.page);
                self.values.clear();
            }
        }
        (counts, read)
    }

    /// Ends all live series with tombstones of this time: after a failed scrape, or for a target
    /// that is gone. They are remembered, and live again with the next page that has them.
    pub fn end(&mut self, at: SystemTime, out: &mut MetricsWriter) -> u64 {
        self.end_all(millis(at), out)
    }
}

/// What a target's label says; empty if it has none of this name.
fn own_label<'a>(labels: &'a [(String, String)], name: &str) -> &'a str {
    let found = labels.iter().find(|(found, _)| found == name);
    found.map_or("", |(_, value)| value)
}

/// A series has left its home.
fn release(points: &mut ScrapedPoints, home: SeriesHome) {
    match home {
        SeriesHome::Dropped => {}
        SeriesHome::TargetInfo { resource, number } => points.undescribe(resource, number),
        SeriesHome::Point { point, .. } => points.release(point),
    }
}

/// Milliseconds since the Unix epoch.
fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// When the counting began, for OTLP. As in OpenMetrics, 0 says that nobody knows, and so does what
/// is no time.
fn start(created: Option<i64>) -> u64 {
    let known = created.filter(|millis| (1..i64::MAX).contains(millis));
    known.map_or(0, nanos)
}

/// Milliseconds as OTLP's nanoseconds. 0 would mean that the time is unknown.
fn nanos(millis: i64) -> u64 {
    u64::try_from(millis)
        .unwrap_or(0)
        .saturating_mul(1_000_000)
        .max(1)
}
