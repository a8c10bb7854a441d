//! What the page shows, and its text.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::sending::AnswerMaker;
use super::parameters::AggregatedParameters;
use crate::exposition::{Accepted, Descriptor, Encoder, Kind, Labels, PageWriter, Series};
use crate::window::aggregation::{
    AggregationGroups, AggregationLimits, AggregationPlan, AggregationStop, ResultTypes,
    WindowLength,
};
use crate::window::{LabelTexts, Matcher, Shelf};

/// The families of a page by their names, sorted.
pub(super) type AggregatedFamilies = BTreeMap<Arc<str>, AggregatedFamily>;

/// The results of one metric.
#[derive(Debug, Default)]
pub(super) struct AggregatedFamily {
    help: Arc<str>,
    /// By the labels of the group: the statistics and their values.
    rows: BTreeMap<LabelTexts, Vec<(Arc<str>, f64)>>,
}

/// Computes what the parameters ask for of the series, of those that are configured if there are
/// none, as of that many milliseconds since the Unix epoch.
pub(super) fn collect(
    shelf: &Shelf,
    (parameters, series): (&AggregatedParameters, &[Vec<Matcher>]),
    to: i64,
    proceed: &mut dyn FnMut() -> bool,
) -> Result<AggregatedFamilies, AggregationStop> {
    let limits = AggregationLimits::default();
    let window = (to.saturating_sub(parameters.window.millis()), to);
    let coverage: Arc<str> = "coverage".into();
    let mut families = AggregatedFamilies::new();
    for plan in plans(shelf, parameters, series) {
        let stores = shelf.all().into_iter().map(|(_, store)| store).collect();
        let types = ResultTypes::Apart;
        let groups = AggregationGroups::find(stores, &plan, types, &limits, proceed)?;
        let stats = plan.stats.iter();
        let stats: Vec<Arc<str>> = stats.map(|stat| Arc::from(stat.name())).collect();
        groups.reduce(&plan, window, &limits, proceed, |group, reading| {
            let family = families.entry(Arc::clone(group.name())).or_default();
            family.help = Arc::clone(group.help());
            let row = family.rows.entry(group.shown_labels()).or_default();
            let before = row.len();
            let values = stats.iter().zip(reading.values);
            let values = values.filter_map(|(stat, value)| Some((stat, value?)));
            for (stat, value) in values.chain([(&coverage, reading.coverage)]) {
                // Of two plans that come to one series, the first has it.
                let known = row.get(..before).unwrap_or_default();
                if known.iter().all(|(known, _)| known != stat) {
                    row.push((Arc::clone(stat), value));
                }
            }
        })?;
    }
    Ok(families)
}

/// The plans of the configuration, changed by what the parameters say.
fn plans(
    shelf: &Shelf,
    parameters: &AggregatedParameters,
    series: &[Vec<Matcher>],
) -> Vec<AggregationPlan> {
    let mut plans: Vec<AggregationPlan> = shelf
        .plans()
        .iter()
        .map(|plan| AggregationPlan::clone(plan))
        .collect();
    if plans.is_empty() {
        plans.push(AggregationPlan::default());
    }
    if !series.is_empty() {
        // The plans differ in what is selected, which the request says itself.
        plans.truncate(1);
    }
    for plan in &mut plans {
        if !series.is_empty() {
            plan.series = series.to_vec();
        }
        if !parameters.group_by.is_empty() {
            plan.group_by.clone_from(&parameters.group_by);
        }
        if !parameters.stats.is_empty() {
            plan.stats.clone_from(&parameters.stats);
        }
    }
    plans
}

/// A page that is being written.
pub(super) struct AggregatedPage {
    families: std::collections::btree_map::IntoIter<Arc<str>, AggregatedFamily>,
    current: Option<CurrentFamily>,
    window: WindowLength,
    /// `None` after the last piece.
    writer: Option<PageWriter>,
}

/// The family of which rows are left.
struct CurrentFamily {
    name: Arc<str>,
    rows: std::collections::btree_map::IntoIter<LabelTexts, Vec<(Arc<str>, f64)>>,
}

impl AggregatedPage {
    pub(super) fn new(
        families: AggregatedFamilies,
        window: WindowLength,
        accepted: Accepted,
    ) -> Self {
        Self {
            families: families.into_iter(),
            current: None,
            window,
            writer: Some(PageWriter::new(
                Encoder::new(accepted.format),
                accepted.gzip,
            )),
        }
    }
}

impl AnswerMaker for AggregatedPage {
    fn next_piece(&mut self) -> Option<Bytes> {
        let writer = self.writer.as_mut()?;
        loop {
            let encoder = writer.encoder();
            let row = self.current.as_mut().and_then(|family| {
                let (labels, values) = family.rows.next()?;
                Some((&family.name, labels, values))
            });
            if let Some((name, labels, values)) = row {
                for (stat, value) in values {
                    let labels = result_labels(&labels, &stat, self.window.text());
                    encoder.series(&Series::number(name, &labels, value));
                }
            } else if let Some((name, family)) = self.families.next() {
                let descriptor = Descriptor {
                    name: name.to_string(),
                    kind: Kind::Gauge,
                    unit: String::new(),
                    help: family.help.to_string(),
                };
                encoder.family(&descriptor, Kind::Gauge);
                let rows = family.rows.into_iter();
                self.current = Some(CurrentFamily { name, rows });
            } else {
                break;
            }
            if let Some(piece) = writer.piece() {
                return Some(piece);
            }
        }
        Some(self.writer.take()?.finish())
    }

    fn is_done(&self) -> bool {
        self.writer.is_none()
    }
}

/// The labels of one result, sorted by name.
fn result_labels(group: &[(Arc<str>, Arc<str>)], stat: &str, window: &str) -> Labels {
    let own = group.iter().map(|(name, value)| (&**name, &**value));
    let mut all: Vec<(&str, &str)> = own.chain([("stat", stat), ("window", window)]).collect();
    all.sort_unstable();
    let mut labels = Labels::new();
    for (name, value) in all {
        labels.push(name, value);
    }
    labels
}
