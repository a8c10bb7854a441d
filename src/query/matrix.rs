//! Series that are held: as they came, or with those of one set of labels made one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::same_labels;
use super::meter::{Charge, Meter};
use super::strand::Strand;
use super::{LabelSet, QueryError};

/// Series that are held. Their values count as samples as long as they are; their bytes are
/// counted by themselves.
pub(super) struct StrandMatrix<'m> {
    pub(super) strands: Vec<Strand<'m>>,
    charge: Charge<'m>,
}

impl<'m> StrandMatrix<'m> {
    pub(super) fn new(meter: &'m Meter<'m>) -> Self {
        Self {
            strands: Vec::new(),
            charge: Charge::new(meter),
        }
    }

    pub(super) fn push(&mut self, strand: Strand<'m>) -> Result<(), QueryError> {
        // The vector may have grown to twice what it holds.
        let place = 2 * size_of::<Strand<'_>>();
        self.charge.grow(strand.samples(), place)?;
        self.strands.push(strand);
        Ok(())
    }
}

/// Series by their labels. Two with the same are put together where one has values when the
/// other has none.
pub(super) struct MergedStrands<'m> {
    matrix: StrandMatrix<'m>,
    places: HashMap<LabelSet, usize, foldhash::fast::RandomState>,
}

/// What an entry of a table of labels takes, the labels aside.
pub(super) const TABLE_ENTRY: usize = 64;

impl<'m> MergedStrands<'m> {
    pub(super) fn new(meter: &'m Meter<'m>) -> Self {
        Self {
            matrix: StrandMatrix::new(meter),
            places: HashMap::default(),
        }
    }

    pub(super) fn push(&mut self, strand: Strand<'m>) -> Result<(), QueryError> {
        if strand.is_empty() {
            return Ok(());
        }
        let charge = &mut self.matrix.charge;
        charge.meter().work(strand.labels().work())?;
        match self.places.entry(strand.labels().clone()) {
            Entry::Vacant(place) => {
                charge.grow(0, TABLE_ENTRY)?;
                place.insert(self.matrix.strands.len());
                self.matrix.push(strand)
            }
            Entry::Occupied(place) => {
                charge.grow(strand.samples(), 0)?;
                if self.matrix.strands[*place.get()].merge(strand)? {
                    Ok(())
                } else {
                    Err(same_labels())
                }
            }
        }
    }

    /// Hands the series on, in the order in which their labels were met.
    pub(super) fn hand_on(
        self,
        sink: &mut dyn FnMut(Strand<'m>) -> Result<(), QueryError>,
    ) -> Result<(), QueryError> {
        drop(self.places);
        self.matrix.strands.into_iter().try_for_each(sink)
    }
}
