//! Which series have which labels.
//!
//! For each label and each of its values there is a sorted list of the series that have it.
//! Conditions that need a label intersect such lists; the others (which a series
//! without the label fulfils, too) take series away.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::matcher::Matcher;
use super::symbols::{Symbol, Symbols};

/// The name under which conditions speak of the metric's name.
pub(super) const NAME: &str = "__name__";

#[derive(Debug, Default)]
pub(super) struct Postings {
    labels: HashMap<Symbol, HashMap<Symbol, Vec<u32>, RandomState>, RandomState>,
    bytes: usize,
}

/// What a value takes beside its list.
const EACH: usize = size_of::<(Symbol, Vec<u32>)>() + 1 + 16;

impl Postings {
    /// Bytes of the lists and of what finds them.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn insert(&mut self, name: Symbol, value: Symbol, series: u32) {
        let values = self.labels.entry(name).or_default();
        let list = values.entry(value).or_insert_with(|| {
            self.bytes += EACH;
            Vec::new()
        });
        let before = list.capacity();
        if before == 0 {
            // Most values of the labels that tell series apart have one series.
            list.reserve_exact(1);
        }
        if list.last().is_none_or(|last| *last < series) {
            list.push(series);
        } else if let Err(at) = list.binary_search(&series) {
            list.insert(at, series);
        }
        self.bytes += (list.capacity() - before) * 4;
    }

    /// Takes series from the list of a value. They are sorted.
    pub(super) fn remove(&mut self, name: Symbol, value: Symbol, series: &[u32]) {
        let Some(values) = self.labels.get_mut(&name) else {
            return;
        };
        let Some(list) = values.get_mut(&value) else {
            return;
        };
        let before = list.capacity();
        list.retain(|member| series.binary_search(member).is_err());
        if list.len() < before / 4 {
            list.shrink_to(list.len() * 2);
        }
        self.bytes -= (before - list.capacity()) * 4;
        if list.is_empty() {
            self.bytes -= EACH + list.capacity() * 4;
            values.remove(&value);
            if values.is_empty() {
                self.labels.remove(&name);
            } else if values.len() < values.capacity() / 8 {
                values.shrink_to_fit();
            }
        }
    }

    /// The names of all labels.
    pub(super) fn names(&self) -> impl Iterator<Item = Symbol> {
        self.labels.keys().copied()
    }

    /// The values of a label.
    pub(super) fn values(&self, name: Symbol) -> impl Iterator<Item = Symbol> {
        self.labels
            .get(&name)
            .into_iter()
            .flat_map(|values| values.keys().copied())
    }

    /// The series that fulfil all conditions, of those in `all`, which is sorted, as the answer
    /// is.
    pub(super) fn find(
        &self,
        symbols: &Symbols,
        matchers: &[Matcher],
        all: impl FnOnce() -> Vec<u32>,
    ) -> Vec<u32> {
        let (needing, others): (Vec<_>, Vec<_>) = matchers
            .iter()
            .partition(|matcher| !matcher.matches_empty());
        let mut found: Option<Vec<u32>> = None;
        for matcher in needing {
            let next = self.having(symbols, matcher, true);
            found = Some(match found {
                Some(found) => intersect(&found, &next),
                None => next,
            });
            if found.as_ref().is_some_and(Vec::is_empty) {
                return Vec::new();
            }
        }
        let mut found = found.unwrap_or_else(all);
        for matcher in others {
            let without = self.having(symbols, matcher, false);
            subtract(&mut found, &without);
        }
        found
    }

    /// The series that have the label with a value that fulfils the condition, or doesn't.
    fn having(&self, symbols: &Symbols, matcher: &Matcher, fulfils: bool) -> Vec<u32> {
        let Some(values) = symbols
            .find(matcher.name())
            .and_then(|name| self.labels.get(&name))
        else {
            return Vec::new();
        };
        // Whether what is looked for has one of the texts of the condition.
        let in_texts = fulfils != matcher.excludes();
        let mut lists: Vec<&Vec<u32>> = match matcher.texts() {
            // The values that are known, or else the values that there are: under a lock that
            // many share, a condition on one of very many values mustn't look at all of them.
            Some(texts) if in_texts => texts
                .iter()
                .filter_map(|text| values.get(&symbols.find(text)?))
                .collect(),
            _ => values
                .iter()
                .filter(|(value, _)| matcher.matches(symbols.text(**value)) == fulfils)
                .map(|(_, list)| list)
                .collect(),
        };
        match lists.len() {
            0 => Vec::new(),
            1 => lists.swap_remove(0).clone(),
            _ => {
                let mut all: Vec<u32> = lists.into_iter().flatten().copied().collect();
                all.sort_unstable();
                all.dedup();
                all
            }
        }
    }
}

fn intersect(mine: &[u32], others: &[u32]) -> Vec<u32> {
    let (few, many) = if mine.len() < others.len() {
        (mine, others)
    } else {
        (others, mine)
    };
    if few.len() * 16 < many.len() {
        return few
            .iter()
            .copied()
            .filter(|member| many.binary_search(member).is_ok())
            .collect();
    }
    let mut rest = many;
    few.iter()
        .copied()
        .filter(|member| {
            let behind = rest.iter().position(|other| other >= member);
            rest = &rest[behind.unwrap_or(rest.len())..];
            rest.first() == Some(member)
        })
        .collect()
}

fn subtract(mine: &mut Vec<u32>, others: &[u32]) {
    if others.is_empty() {
        return;
    }
    let mut rest = others;
    mine.retain(|member| {
        let behind = rest.iter().position(|other| other >= member);
        rest = &rest[behind.unwrap_or(rest.len())..];
        rest.first() != Some(member)
    });
}
