//! Which series meet: those whose labels of matching are equal.

use std::collections::HashMap;

use super::super::expression::Matching;
use super::super::labels::{LabelNames, NAME};
use super::super::matrix::TABLE_ENTRY;
use super::super::meter::{Charge, Meter};
use super::super::strand::Strand;
use super::super::{LabelSet, QueryError};

/// Numbers sets of labels of matching, on both sides of an operator. Counted as long as they
/// are held, with what is listed by them.
pub(super) struct Signatures<'m> {
    names: LabelNames,
    on: bool,
    numbers: HashMap<LabelSet, usize, foldhash::fast::RandomState>,
    room: Charge<'m>,
}

impl<'m> Signatures<'m> {
    pub(super) fn new(meter: &'m Meter<'m>, matching: &Matching) -> Self {
        Self {
            names: if matching.on {
                matching.labels.clone()
            } else {
                matching.labels.and(NAME)
            },
            on: matching.on,
            numbers: HashMap::default(),
            room: Charge::new(meter),
        }
    }

    /// The number of the signature of each series.
    pub(super) fn number_all(&mut self, strands: &[Strand<'_>]) -> Result<Vec<usize>, QueryError> {
        let strands = strands.iter();
        strands.map(|strand| self.number(strand.labels())).collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.numbers.len()
    }

    /// The labels by which series match.
    pub(super) fn labels(&self, of: &LabelSet) -> LabelSet {
        if self.on {
            of.only(&self.names)
        } else {
            of.without(&self.names)
        }
    }

    fn number(&mut self, of: &LabelSet) -> Result<usize, QueryError> {
        self.room.meter().work(of.work())?;
        // The number itself, and the place among the members of the signature.
        self.room.grow(0, 4 * size_of::<usize>())?;
        let labels = self.labels(of);
        if let Some(number) = self.numbers.get(&labels) {
            return Ok(*number);
        }
        // Both sides list their members.
        let lists = 2 * size_of::<Vec<usize>>() + 64;
        self.room.grow(0, labels.bytes() + TABLE_ENTRY + lists)?;
        let next = self.numbers.len();
        self.numbers.insert(labels, next);
        Ok(next)
    }
}

/// The members of each signature.
pub(super) fn members(numbers: &[usize], signatures: usize) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); signatures];
    for (at, number) in numbers.iter().enumerate() {
        members[*number].push(at);
    }
    members
}

/// At which steps one of some series has a value, told apart by their signature.
pub(super) struct SignaturePresence<'s> {
    strands: &'s [Strand<'s>],
    members: &'s [Vec<usize>],
    steps: usize,
    /// A bit for each step, for signatures of several series that were asked for.
    known: HashMap<usize, Vec<u64>>,
    room: Charge<'s>,
}

impl<'s> SignaturePresence<'s> {
    pub(super) fn new(
        meter: &'s Meter<'s>,
        strands: &'s [Strand<'s>],
        members: &'s [Vec<usize>],
        steps: usize,
    ) -> Self {
        Self {
            strands,
            members,
            steps,
            known: HashMap::new(),
            room: Charge::new(meter),
        }
    }

    /// Looks at the series of a signature, once for all that ask.
    pub(super) fn of(&mut self, signature: usize) -> Result<StepsPresent<'_>, QueryError> {
        let members = &self.members[signature];
        if let [] | [_] = members[..] {
            let only = members.first().map(|at| &self.strands[*at]);
            return Ok(StepsPresent::One(only));
        }
        if !self.known.contains_key(&signature) {
            let words = self.steps.div_ceil(64);
            self.room.grow(0, words * 8 + TABLE_ENTRY)?;
            let mut bits = vec![0_u64; words];
            for at in members {
                self.room.meter().work(self.steps)?;
                let strand = &self.strands[*at];
                for step in 0..self.steps {
                    bits[step / 64] |= u64::from(strand.has(step)) << (step % 64);
                }
            }
            self.known.insert(signature, bits);
        }
        let bits = self.known.get(&signature);
        Ok(StepsPresent::Several(bits.map_or(&[][..], Vec::as_slice)))
    }
}

/// At which steps the series of one signature have a value.
pub(super) enum StepsPresent<'p> {
    One(Option<&'p Strand<'p>>),
    Several(&'p [u64]),
}

impl StepsPresent<'_> {
    pub(super) fn has(&self, step: usize) -> bool {
        match self {
            Self::One(strand) => strand.is_some_and(|strand| strand.has(step)),
            Self::Several(bits) => bits[step / 64] >> (step % 64) & 1 == 1,
        }
    }
}
