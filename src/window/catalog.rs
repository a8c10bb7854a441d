//! Which series there are: keys, ids, the index of labels, and what metrics are.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::id::{LabelTexts, RingId};
use super::index::{NAME, Postings};
use super::matcher::Matcher;
use super::point::ValueKind;
use super::symbols::{Symbol, Symbols};

/// What is known of a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricInfo {
    /// What its values mean.
    pub kind: ValueKind,
    /// Its unit, as its source has it.
    pub unit: Arc<str>,
    /// What it is.
    pub description: Arc<str>,
    /// Its series that are stored.
    pub series: usize,
    /// Whether it stays known without series.
    pub(super) fixed: bool,
}

/// The key of a series.
#[derive(Debug)]
pub(super) struct RingKey {
    pub(super) generation: u32,
    pub(super) live: bool,
    /// See [`Windows::keep_apart`](super::Windows::keep_apart).
    pub(super) apart: bool,
    pub(super) kind: ValueKind,
    pub(super) name: Symbol,
    pub(super) labels: Box<[(Symbol, Symbol)]>,
}

#[derive(Debug)]
pub(super) struct Catalog {
    symbols: Symbols,
    /// The name of the label that is the metric's name.
    name: Symbol,
    postings: Postings,
    table: HashTable<u32>,
    hasher: RandomState,
    slots: Vec<RingKey>,
    free: Vec<u32>,
    metrics: HashMap<(Symbol, ValueKind), MetricInfo, RandomState>,
    labels_bytes: usize,
    /// Bytes of units and descriptions.
    texts_bytes: usize,
}

impl Catalog {
    pub(super) fn new() -> Self {
        let mut symbols = Symbols::default();
        Self {
            name: symbols.intern(NAME),
            symbols,
            postings: Postings::default(),
            table: HashTable::new(),
            hasher: RandomState::default(),
            slots: Vec::new(),
            free: Vec::new(),
            metrics: HashMap::default(),
            labels_bytes: 0,
            texts_bytes: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Bytes of all keys and of what finds them.
    pub(super) fn bytes(&self) -> usize {
        self.symbols.bytes()
            + self.postings.bytes()
            + self.labels_bytes
            + self.texts_bytes
            + self.table.capacity() * 5
            + self.slots.capacity() * size_of::<RingKey>()
            + self.free.capacity() * 4
            + self.metrics.capacity() * (size_of::<MetricInfo>() + 9)
    }

    /// About what one more series takes.
    pub(super) fn estimate(name: &str, labels: &[(&str, &str)]) -> usize {
        let texts: usize = labels
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum();
        name.len() + texts + 128 * (labels.len() + 1)
    }

    pub(super) fn find_key(
        &self,
        name: &str,
        kind: ValueKind,
        labels: &[(&str, &str)],
    ) -> Option<RingId> {
        let same = |slot: &u32| {
            let known = &self.slots[*slot as usize];
            let text = |symbol| &**self.symbols.text(symbol);
            known.kind == kind
                && known.labels.len() == labels.len()
                && text(known.name) == name
                && known
                    .labels
                    .iter()
                    .zip(labels)
                    .all(|(known, label)| (text(known.0), text(known.1)) == *label)
        };
        let slot = *self.table.find(self.hash(name, kind, labels), same)?;
        Some(self.id(slot))
    }

    /// Adds a series that isn't there.
    pub(super) fn insert(
        &mut self,
        name: &str,
        kind: ValueKind,
        labels: &[(&str, &str)],
    ) -> RingId {
        let symbols = &mut self.symbols;
        let identity = RingKey {
            generation: 0,
            live: true,
            apart: false,
            kind,
            name: symbols.intern(name),
            labels: labels
                .iter()
                .map(|(name, value)| (symbols.intern(name), symbols.intern(value)))
                .collect(),
        };
        self.labels_bytes += size_of_val::<[_]>(&identity.labels) + 16;
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => self.slots.len() as u32,
        };
        self.postings.insert(self.name, identity.name, slot);
        for (name, value) in &identity.labels {
            self.postings.insert(*name, *value, slot);
        }
        let metric = self.metrics.entry((identity.name, kind));
        metric.or_insert_with(|| MetricInfo::bare(kind)).series += 1;
        if let Some(place) = self.slots.get_mut(slot as usize) {
            let generation = place.generation;
            *place = identity;
            place.generation = generation;
        } else {
            self.slots.push(identity);
        }
        let hash = self.hash(name, kind, labels);
        let (slots, symbols, hasher) = (&self.slots, &self.symbols, &self.hasher);
        self.table.insert_unique(hash, slot, |slot| {
            hash_of(&slots[*slot as usize], symbols, hasher)
        });
        self.id(slot)
    }

    /// Removes series, given by their slots in ascending order. Each value of a label is looked
    /// at once, however many series had it.
    pub(super) fn remove(&mut self, gone: &[u32]) {
        let mut touched: HashMap<(Symbol, Symbol), Vec<u32>, RandomState> = HashMap::default();
        for slot in gone {
            let identity = &self.slots[*slot as usize];
            let hash = hash_of(identity, &self.symbols, &self.hasher);
            if let Ok(entry) = self.table.find_entry(hash, |other| other == slot) {
                entry.remove();
            }
            touched
                .entry((self.name, identity.name))
                .or_default()
                .push(*slot);
            for label in &identity.labels {
                touched.entry(*label).or_default().push(*slot);
            }
        }
        for ((name, value), slots) in &touched {
            self.postings.remove(*name, *value, slots);
        }
        for slot in gone {
            let identity = &mut self.slots[*slot as usize];
            identity.live = false;
            identity.generation = identity.generation.wrapping_add(1);
            self.labels_bytes -= size_of_val::<[_]>(&identity.labels) + 16;
            for (name, value) in std::mem::take(&mut identity.labels) {
                self.symbols.release(name);
                self.symbols.release(value);
            }
            let metric = (identity.name, identity.kind);
            if let Some(info) = self.metrics.get_mut(&metric) {
                info.series -= 1;
                if info.series == 0 && !info.fixed {
                    self.texts_bytes -= info.bytes();
                    self.metrics.remove(&metric);
                }
            }
            self.symbols.release(identity.name);
            self.free.push(*slot);
        }
        let hasher = &self.hasher;
        if self.table.len() < self.table.capacity() / 8 {
            let (slots, symbols) = (&self.slots, &self.symbols);
            self.table
                .shrink_to(0, |slot| hash_of(&slots[*slot as usize], symbols, hasher));
        }
    }

    /// Notes what a metric is. One without series stays known.
    pub(super) fn describe(&mut self, name: &str, kind: ValueKind, unit: &str, description: &str) {
        let known = self.symbols.find(name).map(|name| (name, kind));
        let info = match known.filter(|metric| self.metrics.contains_key(metric)) {
            Some(metric) => self.metrics.get_mut(&metric),
            None => {
                let mut info = MetricInfo::bare(kind);
                info.fixed = true;
                let name = self.symbols.intern(name);
                Some(self.metrics.entry((name, kind)).or_insert(info))
            }
        };
        if let Some(info) = info
            && (*info.unit != *unit || *info.description != *description)
        {
            self.texts_bytes -= info.bytes();
            info.unit = unit.into();
            info.description = description.into();
            self.texts_bytes += info.bytes();
        }
    }

    /// Metrics, with and without series, in no order.
    pub(super) fn metrics(&self) -> impl Iterator<Item = (&Arc<str>, &MetricInfo)> {
        self.metrics
            .iter()
            .map(|((name, _), info)| (self.symbols.text(*name), info))
    }

    /// The series of an id.
    #[inline]
    pub(super) fn identity(&self, id: RingId) -> Option<&RingKey> {
        self.slots
            .get(id.slot as usize)
            .filter(|identity| identity.live && identity.generation == id.generation)
    }

    /// Keeps a series apart, if it is there.
    pub(super) fn keep_apart(&mut self, id: RingId) {
        if self.identity(id).is_some() {
            self.slots[id.slot as usize].apart = true;
        }
    }

    /// All series, in the order of their ids.
    pub(super) fn ids(&self) -> impl Iterator<Item = RingId> {
        let live = |(_, identity): &(u32, &RingKey)| identity.live;
        (0..)
            .zip(&self.slots)
            .filter(live)
            .map(|(slot, identity)| RingId {
                slot,
                generation: identity.generation,
            })
    }

    /// The series that fulfil all conditions, in the order of their ids.
    pub(super) fn find(&self, matchers: &[Matcher]) -> Vec<RingId> {
        let all = || self.ids().map(|id| id.slot).collect();
        let found = self.postings.find(&self.symbols, matchers, all);
        found.into_iter().map(|slot| self.id(slot)).collect()
    }

    pub(super) fn text(&self, symbol: Symbol) -> &Arc<str> {
        self.symbols.text(symbol)
    }

    pub(super) fn labels(&self, identity: &RingKey) -> LabelTexts {
        let text = |symbol| Arc::clone(self.symbols.text(symbol));
        identity
            .labels
            .iter()
            .map(|(name, value)| (text(*name), text(*value)))
            .collect()
    }

    /// The names of all labels, `__name__` among them, in no order.
    pub(super) fn label_names(&self) -> Vec<Arc<str>> {
        self.texts(self.postings.names())
    }

    /// The values of a label, in no order.
    pub(super) fn label_values(&self, name: &str) -> Vec<Arc<str>> {
        let name = self.symbols.find(name);
        self.texts(name.into_iter().flat_map(|name| self.postings.values(name)))
    }

    fn texts(&self, symbols: impl Iterator<Item = Symbol>) -> Vec<Arc<str>> {
        let texts = symbols.map(|symbol| Arc::clone(self.symbols.text(symbol)));
        texts.collect()
    }

    fn id(&self, slot: u32) -> RingId {
        RingId {
            slot,
            generation: self.slots[slot as usize].generation,
        }
    }

    fn hash(&self, name: &str, kind: ValueKind, labels: &[(&str, &str)]) -> u64 {
        hash_key(&self.hasher, name, kind, labels.iter().copied())
    }
}

impl MetricInfo {
    fn bare(kind: ValueKind) -> Self {
        Self {
            kind,
            unit: Arc::default(),
            description: Arc::default(),
            series: 0,
            fixed: false,
        }
    }

    fn bytes(&self) -> usize {
        self.unit.len() + self.description.len()
    }
}

fn hash_of(identity: &RingKey, symbols: &Symbols, hasher: &RandomState) -> u64 {
    let text = |symbol| &**symbols.text(symbol);
    let labels = identity
        .labels
        .iter()
        .map(|(name, value)| (text(*name), text(*value)));
    hash_key(hasher, text(identity.name), identity.kind, labels)
}

fn hash_key<'a>(
    hasher: &RandomState,
    name: &str,
    kind: ValueKind,
    labels: impl Iterator<Item = (&'a str, &'a str)>,
) -> u64 {
    let mut hash = hasher.build_hasher();
    (name, kind).hash(&mut hash);
    for label in labels {
        label.hash(&mut hash);
    }
    hash.finish()
}
