//! Which group a series is in.

use std::collections::HashMap;

use super::super::expression::Grouping;
use super::super::labels::{LabelNames, NAME};
use super::super::matrix::TABLE_ENTRY;
use super::super::meter::{Charge, Meter};
use super::super::{LabelSet, QueryError};

/// The groups that were met, in that order, counted as long as they are held.
pub(super) struct Groups<'m> {
    names: LabelNames,
    without: bool,
    places: HashMap<LabelSet, usize, foldhash::fast::RandomState>,
    room: Charge<'m>,
}

impl<'m> Groups<'m> {
    pub(super) fn new(meter: &'m Meter<'m>, grouping: &Grouping) -> Self {
        Self {
            names: if grouping.without {
                grouping.labels.and(NAME)
            } else {
                grouping.labels.clone()
            },
            without: grouping.without,
            places: HashMap::default(),
            room: Charge::new(meter),
        }
    }

    fn labels(&self, series: &LabelSet) -> Result<LabelSet, QueryError> {
        self.room.meter().work(series.work())?;
        Ok(if self.without {
            series.without(&self.names)
        } else {
            series.only(&self.names)
        })
    }

    /// The number of a series' group, and its labels where it is a new one.
    pub(super) fn place(
        &mut self,
        series: &LabelSet,
    ) -> Result<(usize, Option<LabelSet>), QueryError> {
        let labels = self.labels(series)?;
        if let Some(place) = self.places.get(&labels) {
            return Ok((*place, None));
        }
        // Whoever asked makes a list of members or a sum of its own for each.
        self.room.grow(0, labels.bytes() + 2 * TABLE_ENTRY)?;
        let place = self.places.len();
        self.places.insert(labels.clone(), place);
        Ok((place, Some(labels)))
    }
}
