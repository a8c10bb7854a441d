//! The labels of a series, sorted by name.

use std::fmt;
use std::sync::Arc;

use super::QueryError;
use super::meter::Meter;

/// The label that holds a series' name.
pub(super) const NAME: &str = "__name__";

/// The label that tells series of different types apart whose other labels are equal.
pub const TYPE: &str = "__type__";

/// The labels that say what a series measures. What changes the meaning of a value drops
/// them.
const METADATA: [&str; 3] = [NAME, TYPE, "__unit__"];

/// One label. Its texts are shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelPair {
    /// The label's name.
    pub name: Arc<str>,
    /// The label's value, never empty: an empty label is an absent one.
    pub value: Arc<str>,
}

impl LabelPair {
    /// A label of these texts.
    pub fn new(name: impl Into<Arc<str>>, value: impl Into<Arc<str>>) -> Self {
        let (name, value) = (name.into(), value.into());
        Self { name, value }
    }
}

/// The labels of a series, sorted by name, the name of the metric among them. Cheap to
/// clone. The order of two sets is the order of Prometheus's results.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LabelSet(Arc<[LabelPair]>);

impl LabelSet {
    /// Sorts the labels, and leaves out empty ones. Of two with one name the first stays.
    pub fn new(mut labels: Vec<LabelPair>) -> Self {
        labels.retain(|label| !label.value.is_empty());
        // As those of stored series are.
        let are_sorted = labels.windows(2).all(|two| two[0].name < two[1].name);
        if !are_sorted {
            labels.sort_by(|a, b| a.name.cmp(&b.name));
            labels.dedup_by(|a, b| a.name == b.name);
        }
        Self(labels.into())
    }

    /// The labels in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &LabelPair> {
        self.0.iter()
    }

    /// The value of a label, empty where there is none.
    pub fn value(&self, name: &str) -> &str {
        self.find(name).map_or("", |label| &label.value)
    }

    /// How many bytes the set takes by itself. Its texts are those of the store, or counted
    /// where they were made (see [`MadeText`]).
    pub(super) fn bytes(&self) -> usize {
        16 + self.0.len() * size_of::<LabelPair>()
    }

    /// How many points take as long to look at as these labels.
    pub(super) fn work(&self) -> usize {
        let texts = self
            .iter()
            .map(|label| label.name.len() + label.value.len());
        self.0.len() + texts.sum::<usize>() / 16
    }

    /// The name of the metric, empty where there is none.
    pub(super) fn metric(&self) -> &str {
        self.value(NAME)
    }

    /// Whether it says of which type the series is.
    pub(super) fn is_typed(&self) -> bool {
        self.find(TYPE).is_some()
    }

    /// Without what says what the series measures.
    pub(super) fn without_metadata(&self) -> Self {
        let drops =
            |label: &LabelPair| label.name.starts_with("__") && METADATA.contains(&&*label.name);
        match self.0.split_first() {
            // Nearly always it is the name alone, and that is the first.
            Some((first, rest)) if drops(first) && !rest.iter().any(drops) => Self(rest.into()),
            _ if !self.iter().any(drops) => self.clone(),
            _ => Self(self.iter().filter(|label| !drops(label)).cloned().collect()),
        }
    }

    /// Only the labels of these names.
    pub(super) fn only(&self, names: &LabelNames) -> Self {
        let named = |label: &&LabelPair| names.contains(&label.name);
        Self(self.iter().filter(named).cloned().collect())
    }

    /// All but the labels of these names.
    pub(super) fn without(&self, names: &LabelNames) -> Self {
        let named = |label: &&LabelPair| !names.contains(&label.name);
        Self(self.iter().filter(named).cloned().collect())
    }

    /// With one label set, or removed where the text is empty.
    pub(super) fn with(&self, name: &Arc<str>, value: MadeText) -> Self {
        let others = self.iter().filter(|label| label.name != *name);
        let mut labels: Vec<LabelPair> = others.cloned().collect();
        labels.push(LabelPair {
            name: Arc::clone(name),
            value: value.0,
        });
        Self::new(labels)
    }

    /// With the labels of these names as another set has them, absent where they are there.
    pub(super) fn with_those_of(&self, other: &Self, names: &LabelNames) -> Self {
        let mine = self.iter().filter(|label| !names.contains(&label.name));
        let theirs = other.iter().filter(|label| names.contains(&label.name));
        Self::new(mine.chain(theirs).cloned().collect())
    }

    fn find(&self, name: &str) -> Option<&LabelPair> {
        let found = self.0.binary_search_by(|label| (*label.name).cmp(name));
        found.ok().map(|at| &self.0[at])
    }
}

impl fmt::Display for LabelSet {
    /// As Prometheus names a series in its errors: `{__name__="up", job="node"}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{")?;
        for (at, label) in self.iter().enumerate() {
            let comma = if at > 0 { ", " } else { "" };
            write!(f, "{comma}{}={:?}", label.name, &*label.value)?;
        }
        write!(f, "}}")
    }
}

/// A text that a query makes for a label, counted before it is made. Sets of labels take no
/// other from within the engine.
pub(super) struct MadeText(Arc<str>);

impl MadeText {
    /// A text that is there already, and is counted until the query ends from now on.
    pub(super) fn kept(meter: &Meter<'_>, text: Arc<str>) -> Result<Self, QueryError> {
        meter.keep(text.len() + TEXT_HEAD)?;
        Ok(Self(text))
    }

    /// A text of at most `most` bytes. Those that it has are counted until the query ends,
    /// since any number of series may share it; while it is written, it is there twice, with
    /// room to grow.
    pub(super) fn new(
        meter: &Meter<'_>,
        most: usize,
        write: impl FnOnce(&mut String),
    ) -> Result<Self, QueryError> {
        let _twice = meter.charge(0, most.saturating_mul(3))?;
        meter.work(most)?;
        let mut text = String::new();
        write(&mut text);
        Self::kept(meter, text.into())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The counts of a shared text, and what the allocator adds.
const TEXT_HEAD: usize = 32;

/// Names of labels, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LabelNames(Vec<String>);

impl LabelNames {
    pub(super) fn new(mut names: Vec<String>) -> Self {
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// With one more.
    pub(super) fn and(&self, name: &str) -> Self {
        let mut names = self.0.clone();
        names.push(name.to_owned());
        Self::new(names)
    }

    /// Without one.
    pub(super) fn except(&self, name: &str) -> Self {
        let others = self.0.iter().filter(|one| *one != name);
        Self(others.cloned().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        let found = self.0.binary_search_by(|one| one.as_str().cmp(name));
        found.is_ok()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
