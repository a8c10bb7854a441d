//! Which series meet: those whose labels of matching are equal.

use std::collections::HashMap;

use super::super::LabelSet;
use super::super::expression::Matching;
use super::super::labels::NAME;
use super::super::strand::Strand;

/// Numbers sets of labels of matching, on both sides of an operator.
pub(super) struct Signatures {
    names: Vec<String>,
    on: bool,
    numbers: HashMap<LabelSet, usize, foldhash::fast::RandomState>,
}

impl Signatures {
    pub(super) fn new(matching: &Matching) -> Self {
        let mut names = matching.labels.clone();
        if !matching.on {
            names.push(NAME.to_owned());
        }
        Self {
            names,
            on: matching.on,
            numbers: HashMap::default(),
        }
    }

    /// The number of the signature of each series.
    pub(super) fn number_all(&mut self, strands: &[Strand]) -> Vec<usize> {
        let strands = strands.iter();
        strands.map(|strand| self.number(&strand.labels)).collect()
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

    fn number(&mut self, of: &LabelSet) -> usize {
        let labels = self.labels(of);
        let next = self.numbers.len();
        *self.numbers.entry(labels).or_insert(next)
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
