//! The OTLP series that a target's series make up: resources, metrics in them, points in those.

use slab::Slab;

use crate::exposition::read::FamilyType;
use crate::pdata::writer::{EncodedAttributes, MetricKind};

use super::families::SeriesMeaning;
use super::index::{HashIndex, IndexHash};

/// What `job` and `instance` of the series say.
#[derive(Debug)]
pub(super) struct ScrapedResource {
    pub(super) job: String,
    pub(super) instance: String,
    /// The labels of each `target_info` that it has, with a number. Mostly one.
    infos: Vec<(u64, Vec<(String, String)>)>,
    /// Its metrics, and the series that describe it.
    holds: usize,
}

impl ScrapedResource {
    /// The labels of its `target_info`: of several, the newest.
    pub(super) fn info(&self) -> &[(String, String)] {
        self.infos.last().map_or(&[], |(_, labels)| labels)
    }
}

#[derive(Debug)]
pub(super) struct ScrapedMetric {
    pub(super) resource: usize,
    pub(super) name: Box<str>,
    pub(super) kind: MetricKind,
    pub(super) said: FamilyType,
    /// The family with help and unit.
    pub(super) family: Option<u32>,
    points: usize,
}

/// One OTLP series.
#[derive(Debug)]
pub(super) struct ScrapedPoint {
    pub(super) metric: usize,
    pub(super) attributes: EncodedAttributes,
    hash: IndexHash,
    /// The page that showed a part of it last.
    pub(super) page: u32,
    /// Whether it must end with a tombstone when it isn't shown any more.
    pub(super) live: bool,
    /// The series that it is made of, and the point whose part it is.
    holds: u32,
    /// What only some have: most points are one number, and there are very many.
    parts: Option<Box<PointParts>>,
}

/// What is known of a point that consists of several series.
#[derive(Debug, Default)]
pub(super) struct PointParts {
    /// The points of its parts, each of which is a series of its own: together they were nothing
    /// that OTLP has when the last page showed them.
    apart: Vec<usize>,
    /// What a series says of when the counting began, in milliseconds since the Unix epoch, with
    /// the page that has it.
    pub(super) created: (u32, i64),
    /// Where the current page collects its parts, with the page.
    pub(super) pending: (u32, usize),
}

impl ScrapedPoint {
    /// When the counting began, if a series of this page says it.
    pub(super) fn created_on(&self, page: u32) -> Option<i64> {
        let (of_page, created) = self.parts.as_ref()?.created;
        (of_page == page).then_some(created)
    }

    pub(super) fn parts_mut(&mut self) -> &mut PointParts {
        self.parts.get_or_insert_default()
    }
}

#[derive(Debug, Default)]
pub(super) struct ScrapedPoints {
    resources: Slab<ScrapedResource>,
    resource_index: HashIndex,
    metrics: Slab<ScrapedMetric>,
    metric_index: HashIndex,
    points: Slab<ScrapedPoint>,
    point_index: HashIndex,
    /// The resource and the metric of the last series: mostly the next one has the same.
    last: (usize, usize),
    /// Points that have no series any more and may have to be ended.
    orphans: Vec<usize>,
    /// Counts what has described resources.
    described: u64,
}

impl ScrapedPoints {
    pub(super) fn resources(&self) -> usize {
        self.resources.len()
    }

    pub(super) fn resource(&self, id: usize) -> Option<&ScrapedResource> {
        self.resources.get(id)
    }

    /// The resource of these names, if there is one.
    pub(super) fn find_resource(&self, job: &str, instance: &str) -> Option<&ScrapedResource> {
        self.resources.get(self.resource_id(job, instance)?)
    }

    fn resource_id(&self, job: &str, instance: &str) -> Option<usize> {
        let same = |id: usize| {
            let found = self.resources.get(id);
            found.is_some_and(|found| found.job == job && found.instance == instance)
        };
        if same(self.last.0) {
            return Some(self.last.0);
        }
        let hash = self.resource_index.hash((job, instance));
        self.resource_index.find(hash, same)
    }

    pub(super) fn metric(&self, id: usize) -> Option<&ScrapedMetric> {
        self.metrics.get(id)
    }

    /// The kind of a point's metric.
    pub(super) fn kind(&self, id: usize) -> Option<MetricKind> {
        let metric = self.metrics.get(self.points.get(id)?.metric);
        metric.map(|metric| metric.kind)
    }

    #[inline]
    pub(super) fn get(&self, id: usize) -> Option<&ScrapedPoint> {
        self.points.get(id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: usize) -> Option<&mut ScrapedPoint> {
        self.points.get_mut(id)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut ScrapedPoint)> {
        self.points.iter_mut()
    }

    /// The resource of these names, made if there is none.
    pub(super) fn resource_of(&mut self, job: &str, instance: &str) -> usize {
        if let Some(id) = self.resource_id(job, instance) {
            self.last.0 = id;
            return id;
        }
        let id = self.resources.insert(ScrapedResource {
            job: job.to_owned(),
            instance: instance.to_owned(),
            infos: Vec::new(),
            holds: 0,
        });
        let hash = self.resource_index.hash((job, instance));
        self.resource_index.insert(hash, id);
        id
    }

    /// The point that a series with this meaning and these encoded attributes belongs to, made if
    /// there is none. Whoever asks holds it until [`release`](Self::release).
    pub(super) fn point_of(
        &mut self,
        resource: usize,
        meaning: &SeriesMeaning<'_>,
        attributes: &[u8],
    ) -> usize {
        let metric = self.metric_of(resource, meaning);
        let hash = self.point_index.hash((metric, attributes));
        let same = |id: usize| {
            let found = self.points.get(id);
            found.is_some_and(|found| {
                found.metric == metric && found.attributes.as_bytes() == attributes
            })
        };
        let id = match self.point_index.find(hash, same) {
            Some(id) => id,
            None => {
                let id = self.points.insert(ScrapedPoint {
                    metric,
                    attributes: EncodedAttributes::encoded(attributes),
                    hash,
                    page: 0,
                    live: false,
                    holds: 0,
                    parts: None,
                });
                self.point_index.insert(hash, id);
                if let Some(metric) = self.metrics.get_mut(metric) {
                    metric.points += 1;
                }
                id
            }
        };
        if let Some(point) = self.points.get_mut(id) {
            point.holds += 1;
        }
        id
    }

    fn metric_of(&mut self, resource: usize, meaning: &SeriesMeaning<'_>) -> usize {
        let same = |id: usize| {
            self.metrics.get(id).is_some_and(|found| {
                *found.name == *meaning.metric
                    && found.resource == resource
                    && found.kind == meaning.kind
            })
        };
        let hash = || self.metric_index.hash((resource, &*meaning.metric));
        let known = match same(self.last.1) {
            true => Some(self.last.1),
            false => self.metric_index.find(hash(), same),
        };
        if let Some(id) = known {
            self.last.1 = id;
            // What else is said of it doesn't make it another one, nor its points.
            if let Some(found) = self.metrics.get_mut(id) {
                (found.said, found.family) = (meaning.said, meaning.family);
            }
            return id;
        }
        let id = self.metrics.insert(ScrapedMetric {
            resource,
            name: meaning.metric.as_ref().into(),
            kind: meaning.kind,
            said: meaning.said,
            family: meaning.family,
            points: 0,
        });
        let hash = self.metric_index.hash((resource, &*meaning.metric));
        self.metric_index.insert(hash, id);
        self.last.1 = id;
        self.hold(resource);
        id
    }

    /// Describes a resource by the labels of a `target_info`, and keeps it. Returns the number of
    /// this description.
    pub(super) fn describe(&mut self, resource: usize, labels: Vec<(String, String)>) -> u64 {
        self.described += 1;
        if let Some(found) = self.resources.get_mut(resource) {
            found.infos.push((self.described, labels));
        }
        self.hold(resource);
        self.described
    }

    /// A `target_info` is gone.
    pub(super) fn undescribe(&mut self, resource: usize, number: u64) {
        if let Some(found) = self.resources.get_mut(resource)
            && let Ok(at) = found
                .infos
                .binary_search_by_key(&number, |(number, _)| *number)
        {
            found.infos.remove(at);
        }
        self.let_go(resource);
    }

    /// Keeps a resource.
    pub(super) fn hold(&mut self, resource: usize) {
        if let Some(resource) = self.resources.get_mut(resource) {
            resource.holds += 1;
        }
    }

    /// Keeps a resource no longer; it goes with the last that keeps it.
    pub(super) fn let_go(&mut self, resource: usize) {
        let Some(found) = self.resources.get_mut(resource) else {
            return;
        };
        found.holds = found.holds.saturating_sub(1);
        if found.holds == 0 {
            let names = (found.job.as_str(), found.instance.as_str());
            let hash = self.resource_index.hash(names);
            self.resource_index.remove(hash, resource);
            self.resources.try_remove(resource);
        }
    }

    /// Holds a point no longer. If it was held for the last time, the point is an orphan.
    pub(super) fn release(&mut self, id: usize) {
        if let Some(point) = self.points.get_mut(id) {
            point.holds = point.holds.saturating_sub(1);
            if point.holds == 0 {
                self.orphans.push(id);
            }
        }
    }

    /// Lets the parts of a point, held already, be points of their own, instead of what they were
    /// before.
    pub(super) fn set_apart(&mut self, id: usize, parts: Vec<usize>) {
        let before = match self.points.get_mut(id) {
            Some(point) => std::mem::replace(&mut point.parts_mut().apart, parts),
            None => parts,
        };
        before.into_iter().for_each(|part| self.release(part));
    }

    /// Takes the points that nobody holds any more, each once.
    pub(super) fn take_orphans(&mut self) -> Vec<usize> {
        let mut orphans = std::mem::take(&mut self.orphans);
        orphans.sort_unstable();
        orphans.dedup();
        orphans.retain(|id| self.points.get(*id).is_some_and(|point| point.holds == 0));
        orphans
    }

    /// Leaves points for later that were taken as orphans.
    pub(super) fn put_orphans(&mut self, orphans: Vec<usize>) {
        self.orphans.extend(orphans);
    }

    /// Removes the points that nobody holds any more and that needn't be ended.
    pub(super) fn drop_unborn(&mut self) {
        let mut later = Vec::new();
        while !self.orphans.is_empty() {
            for id in self.take_orphans() {
                match self.points.get(id) {
                    Some(point) if point.live => later.push(id),
                    // It may have held others.
                    _ => self.remove(id),
                }
            }
        }
        self.put_orphans(later);
    }

    /// Removes a point, with its metric and its resource if these have nothing else. What it held
    /// may be orphans.
    pub(super) fn remove(&mut self, id: usize) {
        let Some(point) = self.points.try_remove(id) else {
            return;
        };
        let apart = point.parts.map(|parts| parts.apart);
        apart
            .into_iter()
            .flatten()
            .for_each(|part| self.release(part));
        let metric = point.metric;
        self.point_index.remove(point.hash, id);
        let Some(found) = self.metrics.get_mut(metric) else {
            return;
        };
        found.points = found.points.saturating_sub(1);
        if found.points > 0 {
            return;
        }
        let hash = self.metric_index.hash((found.resource, &*found.name));
        let resource = found.resource;
        self.metric_index.remove(hash, metric);
        self.metrics.try_remove(metric);
        self.let_go(resource);
    }
}
