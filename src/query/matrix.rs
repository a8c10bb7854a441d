//! Series that are held: as they came, or with those of one set of labels made one.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::error::same_labels;
use super::meter::{Charge, Meter};
use super::strand::Strand;
use super::{LabelSet, QueryError};

/// Series that are held, and counted as long as they are.
pub(super) struct StrandMatrix<'m> {
    pub(super) strands: Vec<Strand>,
    meter: &'m Meter<'m>,
    charge: Charge<'m>,
}

impl<'m> StrandMatrix<'m> {
    pub(super) fn new(meter: &'m Meter<'m>) -> Result<Self, QueryError> {
        Ok(Self {
            strands: Vec::new(),
            meter,
            charge: meter.charge(0, 0)?,
        })
    }

    pub(super) fn push(&mut self, strand: Strand) -> Result<(), QueryError> {
        let (samples, bytes) = (strand.samples(), strand.bytes());
        self.meter.grow(&mut self.charge, samples, bytes)?;
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

impl<'m> MergedStrands<'m> {
    pub(super) fn new(meter: &'m Meter<'m>) -> Result<Self, QueryError> {
        Ok(Self {
            matrix: StrandMatrix::new(meter)?,
            places: HashMap::default(),
        })
    }

    pub(super) fn push(&mut self, strand: Strand) -> Result<(), QueryError> {
        if strand.is_empty() {
            return Ok(());
        }
        match self.places.entry(strand.labels.clone()) {
            Entry::Vacant(place) => {
                place.insert(self.matrix.strands.len());
                self.matrix.push(strand)
            }
            Entry::Occupied(place) => {
                if self.matrix.strands[*place.get()].merge(strand) {
                    Ok(())
                } else {
                    Err(same_labels())
                }
            }
        }
    }

    pub(super) fn finish(self) -> StrandMatrix<'m> {
        self.matrix
    }
}
