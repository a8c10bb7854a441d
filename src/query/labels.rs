//! The labels of a series, sorted by name.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
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
#[derive(Clone, Default)]
pub struct LabelSet {
    labels: Arc<[LabelPair]>,
    /// How many of the first are none of its labels. The name of the metric is nearly always the
    /// first one, so that a set without it can share the others with the set that it comes from.
    left_out: usize,
}

impl LabelSet {
    /// Sorts the labels, and leaves out empty ones. Of two with one name the first stays.
    pub fn new(labels: Vec<LabelPair>) -> Self {
        if are_a_set(&labels) {
            Self::of_all(labels.into())
        } else {
            Self::put_in_order(labels)
        }
    }

    /// Takes labels that are sorted, of different names and not empty, as those of stored series
    /// are, in one allocation. Others are put in order, as by [`LabelSet::new`].
    pub fn in_order(labels: impl Iterator<Item = LabelPair>) -> Self {
        let labels: Arc<[LabelPair]> = labels.collect();
        if are_a_set(&labels) {
            Self::of_all(labels)
        } else {
            Self::put_in_order(labels.to_vec())
        }
    }

    fn put_in_order(mut labels: Vec<LabelPair>) -> Self {
        labels.retain(|label| !label.value.is_empty());
        labels.sort_by(|a, b| a.name.cmp(&b.name));
        labels.dedup_by(|a, b| a.name == b.name);
        Self::of_all(labels.into())
    }

    fn of_all(labels: Arc<[LabelPair]>) -> Self {
        let left_out = 0;
        Self { labels, left_out }
    }

    /// The labels in the order of their names.
    pub fn iter(&self) -> std::slice::Iter<'_, LabelPair> {
        self.as_slice().iter()
    }

    fn as_slice(&self) -> &[LabelPair] {
        &self.labels[self.left_out..]
    }

    /// The value of a label, empty where there is none.
    pub fn value(&self, name: &str) -> &str {
        self.find(name).map_or("", |label| &label.value)
    }

    /// How many bytes the set takes by itself. Its texts are those of the store, or counted
    /// where they were made (see [`MadeText`]).
    pub(super) fn bytes(&self) -> usize {
        16 + self.labels.len() * size_of::<LabelPair>()
    }

    /// How many points take as long to look at as these labels.
    pub(super) fn work(&self) -> usize {
        let texts = self
            .iter()
            .map(|label| label.name.len() + label.value.len());
        self.as_slice().len() + texts.sum::<usize>() / 16
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
        let before = self.iter().take_while(|label| drops(label)).count();
        if self.iter().skip(before).any(drops) {
            return self.iter().filter(|label| !drops(label)).cloned().collect();
        }
        Self {
            labels: Arc::clone(&self.labels),
            left_out: self.left_out + before,
        }
    }

    /// Only the labels of these names.
    pub(super) fn only(&self, names: &LabelNames) -> Self {
        let named = |label: &&LabelPair| names.contains(&label.name);
        self.iter().filter(named).cloned().collect()
    }

    /// All but the labels of these names.
    pub(super) fn without(&self, names: &LabelNames) -> Self {
        let named = |label: &&LabelPair| !names.contains(&label.name);
        self.iter().filter(named).cloned().collect()
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
        let labels = self.as_slice();
        let found = labels.binary_search_by(|label| (*label.name).cmp(name));
        found.ok().map(|at| &labels[at])
    }
}

/// Whether the labels are sorted, of different names and not empty.
fn are_a_set(labels: &[LabelPair]) -> bool {
    let are_sorted = labels.windows(2).all(|two| two[0].name < two[1].name);
    are_sorted && labels.iter().all(|label| !label.value.is_empty())
}

/// Labels of another set, in its order.
impl FromIterator<LabelPair> for LabelSet {
    fn from_iter<T: IntoIterator<Item = LabelPair>>(labels: T) -> Self {
        Self::of_all(labels.into_iter().collect())
    }
}

impl PartialEq for LabelSet {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for LabelSet {}

impl PartialOrd for LabelSet {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LabelSet {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_slice().cmp(other.as_slice())
    }
}

impl Hash for LabelSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_slice().hash(state);
    }
}

impl fmt::Debug for LabelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(texts: &[(&str, &str)]) -> Vec<LabelPair> {
        let pair = |(name, value): &(&str, &str)| LabelPair::new(*name, *value);
        texts.iter().map(pair).collect()
    }

    #[test]
    fn labels_in_any_order_are_one_set_whichever_way_it_is_made() {
        let expected = [("A", "1"), ("__name__", "x"), ("b", "2")];
        for texts in [
            [("A", "1"), ("__name__", "x"), ("b", "2"), ("c", "")],
            [("__name__", "x"), ("A", "1"), ("b", "2"), ("b", "3")],
        ] {
            for set in [
                LabelSet::new(pairs(&texts)),
                LabelSet::in_order(pairs(&texts).into_iter()),
            ] {
                let found: Vec<_> = set.iter().map(|pair| (&*pair.name, &*pair.value)).collect();
                assert_eq!(found, expected);
            }
        }
    }

    #[test]
    fn a_set_without_its_name_is_the_set_that_never_had_one() {
        let hash = |set: &LabelSet| {
            use std::hash::BuildHasher as _;
            std::hash::BuildHasherDefault::<std::hash::DefaultHasher>::default().hash_one(set)
        };
        for others in [
            &[("b", "2"), ("c", "3")][..],
            &[("A", "1"), ("b", "2")],
            &[],
        ] {
            let named = [&[("__name__", "x"), ("__type__", "gauge")], others].concat();
            let nameless = LabelSet::new(pairs(&named)).without_metadata();
            let other = LabelSet::new(pairs(others));
            assert_eq!(nameless, other);
            assert_eq!(hash(&nameless), hash(&other));
            assert_eq!(nameless.value("b"), other.value("b"));
            assert_eq!(nameless.metric(), "");
            assert!(nameless.cmp(&other).is_eq());
        }
    }
}
