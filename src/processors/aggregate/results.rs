//! Results as OTLP metrics.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::pdata::Batch;
use crate::pdata::writer::{
    Attribute, MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::translation::Translation;
use crate::window::Shelf;
use crate::window::aggregation::{
    AggregationGroup, AggregationGroups, AggregationLimits, AggregationPlan, AggregationStop,
    ResultTypes, WindowLength,
};

/// The most results of one evaluation: 15 MiB as OTLP.
const MAX_RESULTS: usize = 100_000;

/// Results in a batch, as `batch` makes them.
const BATCH: u64 = 8192;

/// The labels that become the resource again, and its attributes of which they were made.
const RESOURCE: [(&str, &str); 2] = [("job", "service.name"), ("instance", "service.instance.id")];

/// Computes results and writes them.
pub(super) struct ResultWriter {
    pub(super) shelf: Shelf,
    pub(super) plan: Arc<AggregationPlan>,
    pub(super) windows: Vec<WindowLength>,
    /// How the pipeline's metrics came by their names and labels.
    pub(super) translation: Arc<Translation>,
}

/// What one evaluation came to.
pub(super) struct Results {
    pub(super) batches: Vec<Batch>,
    pub(super) ended: Option<EarlyEnd>,
}

/// Why an evaluation came to less than it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EarlyEnd {
    /// It touched too much.
    Stopped(AggregationStop),
    /// It came to too many results.
    Results,
}

impl EarlyEnd {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Stopped(stop) => stop.reason(),
            Self::Results => "max_results",
        }
    }
}

/// One result: of which group, in which window, which statistic.
struct ResultPoint {
    group: usize,
    window: usize,
    stat: Arc<str>,
    value: f64,
}

impl ResultWriter {
    /// The results of all windows that end at that many milliseconds since the Unix epoch.
    pub(super) fn write(&self, to: i64, proceed: &mut dyn FnMut() -> bool) -> Results {
        let limits = AggregationLimits::default();
        let stores = self.shelf.all().into_iter().map(|(_, store)| store);
        let types = ResultTypes::Beside;
        let found = AggregationGroups::find(stores.collect(), &self.plan, types, &limits, proceed);
        let groups = match found {
            Ok(groups) => groups,
            Err(stop) => {
                return Results {
                    batches: Vec::new(),
                    ended: Some(EarlyEnd::Stopped(stop)),
                };
            }
        };
        let (mut points, ended) = self.points(&groups, to, &limits, proceed);
        // All of a resource lie together, and of these all of a metric.
        points.sort_by_cached_key(|point| {
            let group = &groups.groups()[point.group];
            (resource_of(group), Arc::clone(group.name()), point.group)
        });
        let time = UNIX_EPOCH + Duration::from_millis(u64::try_from(to).unwrap_or(0));
        Results {
            batches: self.batches(&points, groups.groups(), time),
            ended,
        }
    }

    fn points(
        &self,
        groups: &AggregationGroups,
        to: i64,
        limits: &AggregationLimits,
        proceed: &mut dyn FnMut() -> bool,
    ) -> (Vec<ResultPoint>, Option<EarlyEnd>) {
        let coverage: Arc<str> = "coverage".into();
        let stats = self.plan.stats.iter();
        let stats: Vec<Arc<str>> = stats.map(|stat| Arc::from(stat.name())).collect();
        let mut points = Vec::new();
        let mut is_full = false;
        for (window, length) in self.windows.iter().enumerate() {
            let span = (to.saturating_sub(length.millis()), to);
            let stopped = groups.reduce(&self.plan, span, limits, proceed, |group, reading| {
                let values = stats.iter().zip(reading.values);
                let values = values.filter_map(|(stat, value)| Some((stat, value?)));
                for (stat, value) in values.chain([(&coverage, reading.coverage)]) {
                    if points.len() == MAX_RESULTS {
                        is_full = true;
                        return;
                    }
                    points.push(ResultPoint {
                        group: group.number(),
                        window,
                        stat: Arc::clone(stat),
                        value,
                    });
                }
            });
            if let Err(stop) = stopped {
                return match stop {
                    // Nobody is there to take what was computed before.
                    AggregationStop::GivenUp => (Vec::new(), Some(EarlyEnd::Stopped(stop))),
                    _ => (points, Some(EarlyEnd::Stopped(stop))),
                };
            }
            if is_full {
                return (points, Some(EarlyEnd::Results));
            }
        }
        (points, None)
    }

    fn batches(
        &self,
        points: &[ResultPoint],
        groups: &[AggregationGroup],
        time: SystemTime,
    ) -> Vec<Batch> {
        let mut batches = Vec::new();
        let mut writer = MetricsWriter::new();
        let mut before: Option<&AggregationGroup> = None;
        for point in points {
            let Some(group) = groups.get(point.group) else {
                continue;
            };
            if writer.items() == BATCH {
                batches.push(std::mem::take(&mut writer).finish());
                before = None;
            }
            let resource = resource_of(group);
            if before.is_none_or(|before| resource_of(before) != resource) {
                let attributes = RESOURCE.iter().zip(&resource);
                let attributes: Vec<Attribute<'_>> = attributes
                    .filter(|(_, value)| !value.is_empty())
                    .map(|((_, key), value)| (*key, (&**value).into()))
                    .collect();
                writer.resource(&attributes);
                writer.scope("", "");
                before = None;
            }
            if before.is_none_or(|before| before.name() != group.name()) {
                let descriptor = MetricDescriptor {
                    name: self.translation.namer.without_namespace(group.name()),
                    unit: "",
                    description: group.help(),
                };
                writer.metric(MetricKind::Gauge, descriptor);
            }
            before = Some(group);
            self.point(&mut writer, group, point, time);
        }
        if writer.items() > 0 {
            batches.push(writer.finish());
        }
        batches
    }

    fn point(
        &self,
        writer: &mut MetricsWriter,
        group: &AggregationGroup,
        point: &ResultPoint,
        time: SystemTime,
    ) {
        let labels = group.shown_labels();
        let is_own = |(name, value): &(&str, &str)| {
            let of_resource = RESOURCE.iter().any(|(label, _)| label == name);
            // Labels of the exporter, which it adds to every series.
            let constant = self.translation.const_labels.iter();
            !of_resource && !constant.into_iter().any(|(n, v)| n == name && v == value)
        };
        let labels = labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .filter(is_own);
        let window = self.windows.get(point.window);
        let window = window.map_or("", WindowLength::text);
        let results = [("stat", &*point.stat), ("window", window)];
        let attributes = labels
            .chain(results)
            .map(|(name, value)| (name, value.into()));
        let attributes: Vec<Attribute<'_>> = attributes.collect();
        writer.number(NumberPointData {
            attributes: &attributes,
            start: None,
            time,
            value: Some(PointNumber::Double(point.value)),
        });
    }
}

/// The values of `job` and `instance`, empty where there is none.
fn resource_of(group: &AggregationGroup) -> [Arc<str>; 2] {
    RESOURCE.map(|(wanted, _)| {
        let found = group.labels().iter().find(|(name, _)| **name == *wanted);
        found.map_or_else(Arc::default, |(_, value)| Arc::clone(value))
    })
}
