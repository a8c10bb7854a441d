//! The labels of one target or series while rules change them.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

/// From how many labels on names are looked up by their hashes when many are set at once. A line
/// may have any number of labels, and each of them may be mapped to another name.
const MANY: usize = 32;

/// A label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EditedLabel<'t> {
    /// Its name.
    pub name: Cow<'t, str>,
    /// Its value; never empty, since an empty label is an absent one.
    pub value: Cow<'t, str>,
}

/// The labels of one target or series while rules change them; each name once.
///
/// Where `labelmap` gives several labels one name, the last one stays. So their order matters: it
/// is that of Prometheus, in which labels that a rule or [`set`](Self::set) has touched come
/// behind the others.
#[derive(Debug, Clone, Default)]
pub struct LabelBuilder<'t> {
    labels: Vec<EditedLabel<'t>>,
    /// How many are still what they were at first; these come first.
    untouched: usize,
}

impl<'t> LabelBuilder<'t> {
    /// The labels of a series. Empty ones are left out; the caller sorts them by their names, and
    /// gives no name twice.
    pub fn new<N, V>(labels: impl IntoIterator<Item = (N, V)>) -> Self
    where
        N: Into<Cow<'t, str>>,
        V: Into<Cow<'t, str>>,
    {
        let labels: Vec<EditedLabel<'t>> = labels
            .into_iter()
            .map(|(name, value)| EditedLabel {
                name: name.into(),
                value: value.into(),
            })
            .filter(|label| !label.value.is_empty())
            .collect();
        Self {
            untouched: labels.len(),
            labels,
        }
    }

    /// The value of a label; empty if there is none.
    pub fn value(&self, name: &str) -> &str {
        self.find(name).map_or("", |at| &self.labels[at].value)
    }

    /// Sets a label; an empty value removes it.
    pub fn set(&mut self, name: impl Into<Cow<'t, str>>, value: impl Into<Cow<'t, str>>) {
        let (name, value) = (name.into(), value.into());
        let found = self.find(&name);
        match found {
            Some(at) if at >= self.untouched && !value.is_empty() => {
                self.labels[at].value = value;
                return;
            }
            Some(at) => {
                self.labels.remove(at);
                self.untouched -= usize::from(at < self.untouched);
            }
            None => {}
        }
        if !value.is_empty() {
            self.labels.push(EditedLabel { name, value });
        }
    }

    /// Sets labels one after the other.
    pub(super) fn set_all(&mut self, labels: Vec<EditedLabel<'t>>) {
        if self.labels.len() + labels.len() < MANY {
            for label in labels {
                self.set(label.name, label.value);
            }
            return;
        }
        // Those that are touched for the first time move to the end.
        let set: HashSet<&str, RandomState> = labels.iter().map(|label| &*label.name).collect();
        let mut kept = Vec::with_capacity(self.labels.len() + labels.len());
        let mut untouched = 0;
        for (at, label) in std::mem::take(&mut self.labels).into_iter().enumerate() {
            if at >= self.untouched {
                kept.push(label);
            } else if !set.contains(&*label.name) {
                kept.push(label);
                untouched += 1;
            }
        }
        let mut places: HashMap<Cow<'t, str>, usize, RandomState> = kept
            .iter()
            .enumerate()
            .skip(untouched)
            .map(|(at, label)| (label.name.clone(), at))
            .collect();
        for label in labels {
            match places.get(&label.name) {
                Some(at) => kept[*at].value = label.value,
                None => {
                    places.insert(label.name.clone(), kept.len());
                    kept.push(label);
                }
            }
        }
        (self.labels, self.untouched) = (kept, untouched);
    }

    /// Keeps the labels whose names satisfy `keeps`.
    pub fn retain(&mut self, keeps: impl Fn(&str) -> bool) {
        let (mut at, untouched) = (0, self.untouched);
        let mut removed = 0;
        self.labels.retain(|label| {
            let kept = keeps(&label.name);
            removed += usize::from(!kept && at < untouched);
            at += 1;
            kept
        });
        self.untouched -= removed;
    }

    /// The labels, touched ones last.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &EditedLabel<'t>> {
        self.labels.iter()
    }

    /// The labels, sorted by their names.
    pub fn finish(mut self) -> Vec<EditedLabel<'t>> {
        self.labels.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        self.labels
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.labels.iter().position(|label| label.name == name)
    }
}
