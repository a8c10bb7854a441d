//! Which group a series is in.

use std::collections::HashMap;

use super::super::LabelSet;
use super::super::expression::Grouping;
use super::super::labels::NAME;

/// The groups that were met, in that order.
pub(super) struct Groups {
    grouping: Grouping,
    places: HashMap<LabelSet, usize, foldhash::fast::RandomState>,
}

impl Groups {
    pub(super) fn new(grouping: &Grouping) -> Self {
        let mut grouping = grouping.clone();
        if grouping.without {
            grouping.labels.push(NAME.to_owned());
        }
        Self {
            grouping,
            places: HashMap::default(),
        }
    }

    /// The labels of a series' group.
    pub(super) fn labels(&self, series: &LabelSet) -> LabelSet {
        if self.grouping.without {
            series.without(&self.grouping.labels)
        } else {
            series.only(&self.grouping.labels)
        }
    }

    /// The number of a series' group, and its labels where it is a new one.
    pub(super) fn place(&mut self, series: &LabelSet) -> (usize, Option<LabelSet>) {
        let labels = self.labels(series);
        if let Some(place) = self.places.get(&labels) {
            return (*place, None);
        }
        let place = self.places.len();
        self.places.insert(labels.clone(), place);
        (place, Some(labels))
    }
}
