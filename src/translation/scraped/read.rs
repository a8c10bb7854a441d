//! Reads a page: finds the home of each of its series, and collects what they measure.

use crate::exposition::read::{
    Measured, PageEntry, PageExemplar, PageFormat, PageReader, PageSeries, PageValue,
};

use super::cache::SeriesHome;
use super::index::IndexHash;
use super::labels::{METRIC_NAME, ScrapedLabels};
use super::native::DenseHistogram;
use super::{
    MetricRelabelling, PageCounts, PageFailure, ScrapedSettings, ScrapedTarget, ScrapedValue,
    own_label, release,
};

/// How far ahead a value's time may be, as in Prometheus.
const AHEAD: i64 = 10 * 60 * 1000;

impl ScrapedTarget {
    /// Reads a page that was scraped at `at`, and collects its values and exemplars.
    pub(super) fn read<'p>(
        &mut self,
        page: &'p [u8],
        format: PageFormat,
        at: i64,
        rules: &mut dyn MetricRelabelling,
        counts: &mut PageCounts,
        exemplars: &mut Vec<PageExemplar<'p>>,
    ) -> Result<(), PageFailure> {
        self.values.clear();
        // As in Prometheus, an answer without a byte has no series, in whatever format.
        if page.is_empty() {
            return Ok(());
        }
        let mut reader = PageReader::new(page, format, self.settings.limits).native_histograms(
            self.settings.native_histograms,
            self.settings.classic_histograms_too,
        );
        let mut place = 0;
        let mut appended = 0;
        loop {
            let known = self.families.changes();
            let expected = self.cache.expected(place, known);
            let (id, reading) = match reader.next(expected.map_or(b"", |(_, bytes)| bytes))? {
                None => break,
                Some(PageEntry::Metadata(said)) => {
                    self.families.note(said, self.page);
                    continue;
                }
                Some(PageEntry::Again(reading)) => {
                    // It was expected, or it wouldn't be called so.
                    let Some((id, _)) = expected else { continue };
                    counts.scraped += 1;
                    place += 1;
                    (id, reading)
                }
                Some(PageEntry::Series(series)) => {
                    counts.scraped += 1;
                    let found = self.cache.find(series.identity);
                    let current = found.1.filter(|id| {
                        self.cache
                            .get(*id)
                            .is_some_and(|found| found.known == known)
                    });
                    let id = match current {
                        Some(id) => {
                            place = self.cache.place_after(id);
                            id
                        }
                        None => {
                            let id = self.settle(found, &series, rules, counts)?;
                            place = match found.1 {
                                Some(id) => self.cache.place_after(id),
                                None => place,
                            };
                            id
                        }
                    };
                    (id, series.reading)
                }
            };
            if self.take(id, &reading, at, counts, exemplars) {
                appended += 1;
            }
        }
        let limit = self.settings.sample_limit;
        if limit > 0 && appended > limit {
            return Err(PageFailure::SampleLimit(limit));
        }
        Ok(())
    }

    /// Finds the home of a series that is new, or of whose family something else is known now.
    fn settle(
        &mut self,
        found: (IndexHash, Option<u32>),
        series: &PageSeries<'_, '_>,
        rules: &mut dyn MetricRelabelling,
        counts: &mut PageCounts,
    ) -> Result<u32, PageFailure> {
        let home = self.home(series, rules)?;
        if found.1.is_none() && home != SeriesHome::Dropped {
            counts.added += 1;
        }
        let old = found
            .1
            .and_then(|id| self.cache.get(id))
            .map(|old| old.home);
        let known = self.families.changes();
        let id = self
            .cache
            .settle(found, series.identity, home, known, self.page);
        if let Some(old) = old {
            release(&mut self.points, old);
        }
        Ok(id)
    }

    fn home(
        &mut self,
        series: &PageSeries<'_, '_>,
        rules: &mut dyn MetricRelabelling,
    ) -> Result<SeriesHome, PageFailure> {
        let mut labels = ScrapedLabels::of(series);
        labels.add_target(&self.labels, self.settings.honor_labels);
        if !rules.relabel(&mut labels) || labels.is_empty() {
            return Ok(SeriesHome::Dropped);
        }
        labels.check()?;
        self.settings.check(&labels)?;
        let named = |name| match labels.get(name) {
            "" => own_label(&self.labels, name),
            value => value,
        };
        let resource = self.points.resource_of(named("job"), named("instance"));
        let native = matches!(series.reading.value, Measured::Histogram(_));
        if labels.get(METRIC_NAME) == "target_info" && !native {
            let own = labels
                .iter()
                .filter(|(name, _)| !matches!(*name, METRIC_NAME | "job" | "instance"));
            let info = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
            let number = self.points.describe(resource, info.collect());
            return Ok(SeriesHome::TargetInfo { resource, number });
        }
        let meaning = self.families.meaning(&labels, native);
        self.encoded.clear();
        labels.encode(meaning.kind, &mut self.encoded);
        let point = self.points.point_of(resource, &meaning, &self.encoded);
        let part = meaning.part;
        Ok(SeriesHome::Point { point, part })
    }

    /// Takes a value. Returns whether it counts for the `sample_limit`.
    #[inline]
    fn take<'p>(
        &mut self,
        id: u32,
        reading: &PageValue<'p, '_>,
        at: i64,
        counts: &mut PageCounts,
        exemplars: &mut Vec<PageExemplar<'p>>,
    ) -> bool {
        let seen = self.cache.see(id, self.page);
        let Some(series) = self.cache.get(id) else {
            return false;
        };
        let (point, part) = match series.home {
            SeriesHome::Dropped => return false,
            SeriesHome::TargetInfo { .. } => {
                counts.kept += 1;
                return !seen;
            }
            SeriesHome::Point { point, part } => (point, part),
        };
        counts.kept += 1;
        let own = reading.timestamp.filter(|_| self.settings.honor_timestamps);
        if seen && own.is_none() {
            counts.duplicates += 1;
            return false;
        }
        let time = own.unwrap_or(at);
        if time > at.saturating_add(AHEAD) {
            counts.out_of_bounds += 1;
            return true;
        }
        let mut native = None;
        let value = match &reading.value {
            Measured::Number(value) => *value,
            Measured::Histogram(histogram) => match DenseHistogram::of(histogram) {
                Some(dense) => {
                    native = Some(Box::new(dense));
                    0.0
                }
                None => {
                    counts.inexpressible += 1;
                    return true;
                }
            },
        };
        let first = exemplars.len();
        exemplars.extend_from_slice(reading.exemplars);
        self.values.push(ScrapedValue {
            point,
            part,
            value,
            time,
            created: reading.created,
            exemplars: (first, exemplars.len()),
            native,
            tracked: own.is_none() || self.settings.track_timestamps_staleness,
        });
        true
    }
}

impl ScrapedSettings {
    fn check(&self, labels: &ScrapedLabels<'_>) -> Result<(), PageFailure> {
        let limit = self.label_limit;
        if limit > 0 && labels.len() > limit {
            return Err(PageFailure::LabelLimit(limit));
        }
        let (name, value) = (self.label_name_length_limit, self.label_value_length_limit);
        for (found, text) in labels.iter() {
            if name > 0 && found.len() > name {
                return Err(PageFailure::LabelNameLength(name));
            }
            if value > 0 && text.len() > value {
                return Err(PageFailure::LabelValueLength(value));
            }
        }
        Ok(())
    }
}
