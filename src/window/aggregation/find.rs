//! Which series belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::catalog::MetricInfo;
use super::super::id::{LabelTexts, RingId};
use super::super::matcher::{MatchOperator, Matcher};
use super::super::point::ValueKind;
use super::super::shared::SharedWindows;
use super::super::windows::Windows;
use super::naming::result_names;
use super::{AggregationLimits, AggregationPlan, AggregationStop, ResultTypes};

/// Series whose keys are copied while the store is locked: a tenth of a millisecond.
const COPIED_AT_ONCE: usize = 256;

/// Labels that results have and others can't have.
const RESULT_LABELS: [&str; 2] = ["stat", "window"];

/// The groups of a plan, in the order of their results' names and of their labels.
#[derive(Debug)]
pub struct AggregationGroups {
    pub(super) stores: Vec<SharedWindows>,
    groups: Vec<AggregationGroup>,
}

/// Series that have results together.
#[derive(Debug)]
pub struct AggregationGroup {
    number: usize,
    name: Arc<str>,
    metric: Arc<str>,
    kind: ValueKind,
    help: Arc<str>,
    labels: LabelTexts,
    pub(super) members: Vec<GroupMember>,
}

/// A series, in every store that has it.
#[derive(Debug)]
pub(super) struct GroupMember {
    /// Its places, by the number of the store.
    pub(super) places: Vec<(usize, RingId)>,
    /// The distance of its points on the average, where it has several.
    pub(super) interval: Option<i64>,
}

/// What tells a series from all others, in the order of the results.
type SeriesKey = (ValueKind, Arc<str>, LabelTexts);

impl AggregationGroups {
    /// Finds the groups of a plan. `proceed` is asked now and then whether to go on.
    ///
    /// # Errors
    ///
    /// If there are too many series, or `proceed` says no.
    pub fn find(
        stores: Vec<SharedWindows>,
        plan: &AggregationPlan,
        types: ResultTypes,
        limits: &AggregationLimits,
        proceed: &mut dyn FnMut() -> bool,
    ) -> Result<Self, AggregationStop> {
        let mut series: BTreeMap<SeriesKey, GroupMember> = BTreeMap::new();
        for (number, store) in stores.iter().enumerate() {
            let found: Vec<RingId> = matching(store, plan, proceed)?.into_iter().collect();
            for some in found.chunks(COPIED_AT_ONCE) {
                if !proceed() {
                    return Err(AggregationStop::GivenUp);
                }
                collect(&store.lock(), number, some, &mut series);
                if series.len() > limits.series {
                    return Err(AggregationStop::Series(limits.series));
                }
            }
        }
        let named = MetricNames::of(&stores, types);
        let mut groups: BTreeMap<(Arc<str>, LabelTexts), AggregationGroup> = BTreeMap::new();
        for ((kind, metric, labels), member) in series {
            let labels = match plan.group_by.as_slice() {
                [] => labels,
                by => chosen(&labels, by),
            };
            let Some((name, help)) = named.of_metric(kind, &metric) else {
                // It came after the names were read, and is in the next aggregation.
                continue;
            };
            let group = groups.entry((Arc::clone(&name), labels));
            let labels = group.key().1.clone();
            let group = group.or_insert_with(|| AggregationGroup {
                number: 0,
                name,
                metric,
                kind,
                help,
                labels,
                members: Vec::new(),
            });
            group.members.push(member);
        }
        let mut groups: Vec<AggregationGroup> = groups.into_values().collect();
        for (number, group) in groups.iter_mut().enumerate() {
            group.number = number;
        }
        Ok(Self { stores, groups })
    }

    /// The groups.
    #[must_use]
    pub fn groups(&self) -> &[AggregationGroup] {
        &self.groups
    }
}

impl AggregationGroup {
    /// Its place among the [`groups`](AggregationGroups::groups).
    #[must_use]
    pub fn number(&self) -> usize {
        self.number
    }

    /// The name of its results.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The name of its metric.
    #[must_use]
    pub fn metric(&self) -> &Arc<str> {
        &self.metric
    }

    /// What the metric's values mean.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// What the metric is, for people.
    #[must_use]
    pub fn help(&self) -> &Arc<str> {
        &self.help
    }

    /// Its labels, sorted by name.
    #[must_use]
    pub fn labels(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.labels
    }

    /// Its labels beside those that a result has itself: of a series that has a label `stat`,
    /// that is `exported_stat`.
    #[must_use]
    pub fn shown_labels(&self) -> LabelTexts {
        let is_free = |name: &str| {
            let mut labels = self.labels.iter();
            !RESULT_LABELS.contains(&name) && labels.all(|(other, _)| **other != *name)
        };
        let shown = self.labels.iter().map(|(name, value)| {
            if !RESULT_LABELS.contains(&&**name) {
                return (Arc::clone(name), Arc::clone(value));
            }
            let mut name = format!("exported_{name}");
            while !is_free(&name) {
                name.insert_str(0, "exported_");
            }
            (name.into(), Arc::clone(value))
        });
        let mut shown: Vec<(Arc<str>, Arc<str>)> = shown.collect();
        shown.sort_unstable();
        shown.into()
    }

    /// Series in it.
    #[must_use]
    pub fn series(&self) -> usize {
        self.members.len()
    }
}

/// The series of a store that a plan wants. Expressions are tried without the lock.
fn matching(
    store: &SharedWindows,
    plan: &AggregationPlan,
    proceed: &mut dyn FnMut() -> bool,
) -> Result<BTreeSet<RingId>, AggregationStop> {
    let mut found = BTreeSet::new();
    for matchers in &plan.series {
        let mut resolved = Vec::with_capacity(matchers.len());
        for matcher in matchers {
            let values = match matcher.is_expression() {
                true => store.lock().label_values(matcher.name()),
                false => Vec::new(),
            };
            let matcher = matcher.resolve(&values, &mut *proceed);
            resolved.push(matcher.ok_or(AggregationStop::GivenUp)?);
        }
        found.extend(store.lock().find(&resolved));
    }
    Ok(found)
}

/// Adds the series of these ids to those of other stores.
fn collect(
    windows: &Windows,
    store: usize,
    ids: &[RingId],
    series: &mut BTreeMap<SeriesKey, GroupMember>,
) {
    for ring in ids.iter().filter_map(|id| windows.ring(*id)) {
        if is_result(&ring.labels) {
            continue;
        }
        let interval = match (ring.oldest, ring.newest, ring.points) {
            (Some(oldest), Some(newest), points) if points > 1 => {
                let gaps = i64::try_from(points - 1).unwrap_or(i64::MAX);
                Some(newest.saturating_sub(oldest) / gaps)
            }
            _ => None,
        };
        let member = series
            .entry((ring.kind, ring.name, ring.labels))
            .or_insert_with(|| GroupMember {
                places: Vec::with_capacity(1),
                interval: None,
            });
        member.places.push((store, ring.id));
        member.interval = member.interval.or(interval);
    }
}

fn is_result(labels: &[(Arc<str>, Arc<str>)]) -> bool {
    let has = |wanted: &&str| labels.iter().any(|(name, _)| **name == **wanted);
    RESULT_LABELS.iter().all(has)
}

/// Those of the labels that make a group.
fn chosen(labels: &[(Arc<str>, Arc<str>)], by: &[String]) -> LabelTexts {
    let wanted = |name: &Arc<str>| by.iter().any(|wanted| **wanted == **name);
    let chosen = labels.iter().filter(|(name, _)| wanted(name));
    chosen.cloned().collect()
}

/// The names of the results of every metric, and what the metrics say of themselves.
struct MetricNames {
    names: BTreeMap<(ValueKind, Arc<str>), Arc<str>>,
    help: BTreeMap<(ValueKind, Arc<str>), Arc<str>>,
}

impl MetricNames {
    /// Of all metrics, not of those alone that are asked for: a result has one name, whatever
    /// else is selected.
    fn of(stores: &[SharedWindows], types: ResultTypes) -> Self {
        let mut help: BTreeMap<(ValueKind, Arc<str>), Arc<str>> = BTreeMap::new();
        for store in stores {
            let metrics: Vec<_> = {
                let windows = store.lock();
                let metrics = windows.metrics();
                let of = |(name, info): (&Arc<str>, &MetricInfo)| {
                    ((info.kind, Arc::clone(name)), Arc::clone(&info.description))
                };
                metrics.map(of).collect()
            };
            for (metric, description) in metrics {
                let known = help.entry(metric).or_default();
                if known.is_empty() {
                    *known = description;
                }
            }
        }
        let metrics = help.keys().cloned();
        let own = metrics.filter(|(kind, name)| {
            // Results that were stored are gauges, and must not take the name of their metric.
            *kind != ValueKind::Gauge || stores.iter().any(|store| has_others(&store.lock(), name))
        });
        Self {
            names: result_names(own.collect(), types),
            help,
        }
    }

    fn of_metric(&self, kind: ValueKind, metric: &Arc<str>) -> Option<(Arc<str>, Arc<str>)> {
        let key = (kind, Arc::clone(metric));
        let name = self.names.get(&key)?;
        Some((Arc::clone(name), self.help.get(&key)?.clone()))
    }
}

/// Whether the store has series of the name that aren't results.
fn has_others(windows: &Windows, name: &str) -> bool {
    RESULT_LABELS.iter().any(|label| {
        let named = Matcher::new(MatchOperator::Equal, "__name__", name);
        let without = Matcher::new(MatchOperator::Equal, label, "");
        match (named, without) {
            (Ok(named), Ok(without)) => !windows.find(&[named, without]).is_empty(),
            // Neither is an expression, which alone could be wrong.
            _ => true,
        }
    })
}
