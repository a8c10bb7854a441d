//! Tells which series a data point belongs to, without hashing it.
//!
//! A consumer that keeps something per series (a slot of the exposition, a window) owns one
//! [`SeriesMemo`] and asks it point by point. The calls follow the shape of the data, as
//! those of the [writer](super::writer::MetricsWriter) do:
//!
//! ```
//! use foghorn::pdata::{Batch, Lookup, SeriesMemo};
//!
//! # fn consume(memo: &mut SeriesMemo<usize>, slots: &mut Vec<u64>, batch: &Batch) -> u64 {
//! let mut refused = 0;
//! for resource in batch.resource_metrics() {
//!     for scope in resource.scopes() {
//!         memo.scope(&resource, &scope);
//!         for metric in scope.metrics() {
//!             let data = metric.data();
//!             memo.metric(&metric, &data);
//!             for point in data.points() {
//!                 let slot = match memo.series(point.attributes()) {
//!                     Lookup::Known(_, slot) => *slot,
//!                     Lookup::New(vacant) => {
//!                         slots.push(0);
//!                         *vacant.insert(slots.len() - 1)
//!                     }
//!                     Lookup::Full => {
//!                         refused += 1;
//!                         continue;
//!                     }
//!                 };
//!                 slots[slot] = point.time_unix_nano();
//!             }
//!         }
//!     }
//! }
//! refused
//! # }
//! ```
//!
//! A series is told by the attributes of its resource, by name, version, attributes and
//! schema URL of its scope, by name, unit, kind, temporality and monotonicity of its
//! metric, and by its own attributes, all regardless of order. Of a key that occurs twice
//! the first value counts.
//!
//! A source sends the same series in the same order nearly always. So each series remembers
//! which came behind it last time, and a lookup first compares the encoded attributes with
//! those of that successor: a few nanoseconds. Only a newcomer, or what moved, is hashed.
//! A guess is never trusted without comparing, so it doesn't matter that guesses go stale,
//! and streams may be interleaved, cut into requests at will, and cut differently each
//! time: what is remembered belongs to a *stream*, the encoded resource with the encoded
//! scope, across batches.
//!
//! Everything that is kept hangs on a series, and there are at most as many of those as the
//! limit says. Series end when their owner removes them.

mod identity;
mod known;

use slab::Slab;

use super::view::{Attributes, Data, Metric, ResourceMetrics, ScopeMetrics};
use identity::{ByHash, Hash};
use known::{Compared, EnteredAt, Header, KnownMetric, MemoSeries, MemoStream, NONE, guess};

/// Bytes that are kept for the next attributes to be hashed.
const SCRATCH: usize = 64 << 10;

/// What a consumer keeps per series, found by a data point; see the
/// [module](self) for how to ask.
#[derive(Debug)]
pub struct SeriesMemo<T> {
    limit: usize,
    hash: Hash,
    series: Slab<MemoSeries<T>>,
    by_id: ByHash<usize>,
    metrics: Slab<KnownMetric>,
    /// By the encoded stream and the metric's identity in it.
    metric_by_key: ByHash<usize>,
    streams: Slab<MemoStream>,
    /// By the encoded resource and scope.
    stream_by_key: ByHash<usize>,
    at_stream: EnteredAt,
    at_metric: EnteredAt,
    /// Kind, name and unit of the current metric.
    header: Header,
    searches: u64,
    compared: Compared,
    scratch: Vec<u8>,
}

/// The identity of a series: the same for as long as the memo lives, also after the series
/// was removed and came back, and different in every process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SeriesId(u128);

/// What [`SeriesMemo::series`] found.
#[derive(Debug)]
pub enum Lookup<'m, T> {
    /// The series is known, with this.
    Known(SeriesId, &'m mut T),
    /// The series is new; it is kept once something is inserted for it.
    New(Vacant<'m, T>),
    /// The series is new, and there are as many as the limit allows. The caller drops the
    /// point and counts it.
    Full,
}

/// The place for a new series.
#[derive(Debug)]
pub struct Vacant<'m, T> {
    memo: &'m mut SeriesMemo<T>,
    id: u128,
    raw: Option<&'m [u8]>,
}

impl<T> SeriesMemo<T> {
    /// A memo of at most `max_series` series.
    pub fn new(max_series: usize) -> Self {
        Self::with_seeds(max_series, rand::random())
    }

    fn with_seeds(limit: usize, seeds: [u64; 2]) -> Self {
        Self {
            limit,
            hash: Hash::new(seeds),
            series: Slab::new(),
            by_id: ByHash::default(),
            metrics: Slab::new(),
            metric_by_key: ByHash::default(),
            streams: Slab::new(),
            stream_by_key: ByHash::default(),
            at_stream: EnteredAt::NOWHERE,
            at_metric: EnteredAt::NOWHERE,
            header: Header::default(),
            searches: 0,
            compared: Compared::new(limit),
            scratch: Vec::new(),
        }
    }

    /// Enters a scope of a resource: what follows are its metrics.
    pub fn scope(&mut self, resource: &ResourceMetrics<'_>, scope: &ScopeMetrics<'_>) {
        self.leave_metric();
        self.leave_stream();
        let pieces = [
            resource.resource().raw(),
            scope.scope().raw(),
            scope.schema_url().as_bytes(),
        ];
        let key = self.hash.of(&pieces);
        self.at_stream = match self.stream_by_key.get(&key) {
            Some(&index) => EnteredAt {
                key,
                identity: self.streams[index].identity,
                index: Some(index),
            },
            None => {
                let mut of_resource = std::mem::take(&mut self.scratch);
                of_resource.clear();
                identity::put_attributes(&mut of_resource, resource.attributes());
                let mut of_scope = Vec::new();
                identity::put_attributes(&mut of_scope, scope.attributes());
                let identity = self.hash.of(&[
                    &of_resource,
                    scope.name().as_bytes(),
                    scope.version().as_bytes(),
                    scope.schema_url().as_bytes(),
                    &of_scope,
                ]);
                self.scratch = of_resource;
                EnteredAt {
                    key,
                    identity,
                    index: None,
                }
            }
        };
    }

    /// Enters a metric of the current scope: what follows are its points.
    pub fn metric(&mut self, metric: &Metric<'_>, data: &Data<'_>) {
        self.leave_metric();
        let kind = identity::kind(data);
        let (name, unit) = (metric.name(), metric.unit());
        let last = self.at_stream.index.and_then(|stream| {
            let last = self.streams[stream].last_metric;
            let index = guess(&self.metrics, last, |known| {
                known.stream == stream && known.header.is(kind, name, unit)
            })?;
            self.metric_follows(stream, last, index);
            Some(index)
        });
        if let Some(index) = last {
            self.at_metric = EnteredAt {
                key: self.metrics[index].key,
                identity: self.metrics[index].identity,
                index: Some(index),
            };
            return;
        }
        self.header.set(kind, name, unit);
        let [key, identity] = [self.at_stream.key, self.at_stream.identity].map(|within| {
            let (within, kind) = (within.to_le_bytes(), [kind]);
            self.hash
                .of(&[&within, &kind, name.as_bytes(), unit.as_bytes()])
        });
        let index = self.metric_by_key.get(&key).copied();
        self.at_metric = EnteredAt {
            key,
            identity,
            index,
        };
        if let (Some(stream), Some(index)) = (self.at_stream.index, index) {
            self.metric_follows(stream, self.streams[stream].last_metric, index);
        }
    }

    /// Looks up the series with these attributes in the current metric.
    #[inline]
    pub fn series<'m>(&'m mut self, attributes: Attributes<'m>) -> Lookup<'m, T> {
        let raw = attributes.raw();
        let index = match self.guess(raw) {
            Some(index) => index,
            None => match self.search(attributes, raw) {
                Ok(index) => index,
                Err(id) if self.series.len() < self.limit => {
                    return Lookup::New(Vacant {
                        memo: self,
                        id,
                        raw,
                    });
                }
                Err(_) => return Lookup::Full,
            },
        };
        let series = &mut self.series[index];
        Lookup::Known(SeriesId(series.id), &mut series.value)
    }

    /// What is kept for a series.
    pub fn get_mut(&mut self, id: SeriesId) -> Option<&mut T> {
        let index = *self.by_id.get(&id.0)?;
        Some(&mut self.series.get_mut(index)?.value)
    }

    /// Forgets a series, and hands back what was kept for it.
    pub fn remove(&mut self, id: SeriesId) -> Option<T> {
        let index = self.by_id.remove(&id.0)?;
        let series = self.series.try_remove(index)?;
        self.compared.forget(series.raw);
        self.unlink(series.metric);
        Some(series.value)
    }

    /// Forgets the series for which `keep` says no. This is how consumers expire them.
    pub fn retain(&mut self, mut keep: impl FnMut(SeriesId, &mut T) -> bool) {
        let mut unlinked = Vec::new();
        let (by_id, compared) = (&mut self.by_id, &mut self.compared);
        self.series.retain(|_, series| {
            let kept = keep(SeriesId(series.id), &mut series.value);
            if !kept {
                compared.forget(series.raw.take());
                by_id.remove(&series.id);
                unlinked.push(series.metric);
            }
            kept
        });
        for metric in unlinked {
            self.unlink(metric);
        }
        if self.series.len() < self.series.capacity() / 4 {
            self.series.shrink_to_fit();
            self.by_id.shrink_to_fit();
        }
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// How many lookups guessed wrong so far and had to hash.
    pub fn searches(&self) -> u64 {
        self.searches
    }

    /// Finds a series by what came behind the last one before.
    #[inline]
    fn guess(&mut self, raw: Option<&[u8]>) -> Option<usize> {
        let (stream, metric) = (self.at_stream.index?, self.at_metric.index?);
        let last = self.streams[stream].last_series;
        let raw = Some(raw?);
        let index = guess(&self.series, last, |series| {
            series.metric == metric && series.raw.as_deref() == raw
        })?;
        self.series_follows(stream, last, index);
        Some(index)
    }

    /// Finds a series by its identity, or says what that is.
    #[cold]
    fn search(&mut self, attributes: Attributes<'_>, raw: Option<&[u8]>) -> Result<usize, u128> {
        self.searches += 1;
        self.scratch.clear();
        identity::put_attributes(&mut self.scratch, attributes);
        let metric = self.at_metric.identity.to_le_bytes();
        let id = self.hash.of(&[&metric, &self.scratch]);
        let index = *self.by_id.get(&id).ok_or(id)?;
        // It may have been known by another encoding.
        let (stream, metric) = self.link();
        let series = &mut self.series[index];
        if series.raw.as_deref() != raw {
            self.compared.forget(series.raw.take());
            series.raw = self.compared.keep(raw);
        }
        let before = std::mem::replace(&mut series.metric, metric);
        self.unlink(before);
        let last = self.streams[stream].last_series;
        self.series_follows(stream, last, index);
        Ok(index)
    }

    /// Counts one more series in the current metric, which is remembered from now on, with
    /// its stream.
    fn link(&mut self) -> (usize, usize) {
        let (at, streams) = (&mut self.at_stream, &mut self.streams);
        let stream = *at.index.get_or_insert_with(|| {
            let index = streams.insert(MemoStream {
                key: at.key,
                identity: at.identity,
                metrics: 0,
                last_metric: NONE,
                last_series: NONE,
            });
            self.stream_by_key.insert(at.key, index);
            index
        });
        let metric = match self.at_metric.index {
            Some(index) => index,
            None => {
                let index = self.metrics.insert(KnownMetric {
                    key: self.at_metric.key,
                    identity: self.at_metric.identity,
                    stream,
                    series: 0,
                    next: NONE,
                    header: self.header.clone(),
                });
                self.metric_by_key.insert(self.at_metric.key, index);
                self.at_metric.index = Some(index);
                self.streams[stream].metrics += 1;
                self.metric_follows(stream, self.streams[stream].last_metric, index);
                index
            }
        };
        self.metrics[metric].series += 1;
        (stream, metric)
    }

    /// Counts one series less in a metric, and forgets it with its last.
    fn unlink(&mut self, metric: usize) {
        self.metrics[metric].series -= 1;
        // The current one may get a series again; `leave_metric` sees to it.
        if self.at_metric.index != Some(metric) {
            self.forget_unused_metric(metric);
        }
    }

    fn leave_metric(&mut self) {
        if let Some(metric) = std::mem::replace(&mut self.at_metric, EnteredAt::NOWHERE).index {
            self.forget_unused_metric(metric);
        }
    }

    fn leave_stream(&mut self) {
        // What one costly request needed is not kept for ever.
        if self.scratch.capacity() > SCRATCH {
            self.scratch = Vec::new();
        }
        if let Some(stream) = std::mem::replace(&mut self.at_stream, EnteredAt::NOWHERE).index {
            self.forget_unused_stream(stream);
        }
    }

    fn forget_unused_metric(&mut self, metric: usize) {
        if self.metrics[metric].series > 0 {
            return;
        }
        let KnownMetric { key, stream, .. } = self.metrics.remove(metric);
        self.metric_by_key.remove(&key);
        self.streams[stream].metrics -= 1;
        if self.at_stream.index != Some(stream) {
            self.forget_unused_stream(stream);
        }
    }

    fn forget_unused_stream(&mut self, stream: usize) {
        if self.streams[stream].metrics == 0 {
            let stream = self.streams.remove(stream);
            self.stream_by_key.remove(&stream.key);
        }
    }

    /// Remembers what came behind what.
    #[inline]
    fn series_follows(&mut self, stream: usize, last: usize, index: usize) {
        // A series that repeats itself keeps its successor.
        if last != index
            && let Some(series) = self.series.get_mut(last)
        {
            series.next = index;
        }
        self.streams[stream].last_series = index;
    }

    #[inline]
    fn metric_follows(&mut self, stream: usize, last: usize, index: usize) {
        if last != index
            && let Some(metric) = self.metrics.get_mut(last)
        {
            metric.next = index;
        }
        self.streams[stream].last_metric = index;
    }
}

impl<'m, T> Vacant<'m, T> {
    /// The identity that the series will have.
    pub fn id(&self) -> SeriesId {
        SeriesId(self.id)
    }

    /// Keeps something for the series.
    pub fn insert(self, value: T) -> &'m mut T {
        let memo = self.memo;
        let (stream, metric) = memo.link();
        let last = memo.streams[stream].last_series;
        let index = memo.series.vacant_key();
        // The newcomer's successor is most likely that of the series before it.
        let next = memo.series.get(last).map_or(NONE, |series| series.next);
        memo.series_follows(stream, last, index);
        memo.by_id.insert(self.id, index);
        let series = memo.series.vacant_entry().insert(MemoSeries {
            id: self.id,
            metric,
            next,
            raw: memo.compared.keep(self.raw),
            value,
        });
        &mut series.value
    }
}

#[cfg(test)]
mod tests;
