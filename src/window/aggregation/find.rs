//! Which series belong together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::id::{LabelTexts, RingId};
use super::super::point::ValueKind;
use super::super::shared::SharedWindows;
use super::super::windows::Windows;
use super::metrics::{COPIED_AT_ONCE, MetricNames, MetricNaming};
use super::naming::{ShownLabels, is_result};
use super::{AggregationLimits, AggregationPlan, AggregationStop, ResultTypes};

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
    shown: ShownLabels,
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
        let named = MetricNames::of(&stores, types, proceed)?;
        let mut groups: BTreeMap<(Arc<str>, LabelTexts), AggregationGroup> = BTreeMap::new();
        for ((kind, metric, labels), member) in series {
            let labels = match plan.group_by.as_slice() {
                [] => labels,
                by => chosen(&labels, by),
            };
            let key = (kind, metric);
            let Some(naming) = named.of_metric(&key) else {
                // It came after the names were read, and is in the next aggregation.
                continue;
            };
            let (kind, metric) = key;
            let MetricNaming {
                name,
                help,
                labels: shown,
            } = naming;
            let group = groups.entry((Arc::clone(&name), labels));
            let labels = group.key().1.clone();
            let group = group.or_insert_with(|| AggregationGroup {
                number: 0,
                name,
                metric,
                kind,
                help,
                labels,
                shown,
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

    /// Its labels beside those that a result has itself: a label `stat` is `exported_stat`, or
    /// has one more `exported_` where a series of the metric has that, too. No two groups of a
    /// metric are shown with the same labels.
    #[must_use]
    pub fn shown_labels(&self) -> LabelTexts {
        let shown = self.labels.iter().map(|(name, value)| {
            let name = self.shown.of(name).unwrap_or(name);
            (Arc::clone(name), Arc::clone(value))
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
        let windows = store.lock();
        let ids = windows.find(&resolved).into_iter();
        match matchers.is_empty() {
            // Where nobody says which, nobody wants those.
            true => found.extend(ids.filter(|id| !windows.is_apart(*id))),
            false => found.extend(ids),
        }
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

/// Those of the labels that make a group.
fn chosen(labels: &[(Arc<str>, Arc<str>)], by: &[String]) -> LabelTexts {
    let wanted = |name: &Arc<str>| by.iter().any(|wanted| **wanted == **name);
    let chosen = labels.iter().filter(|(name, _)| wanted(name));
    chosen.cloned().collect()
}
