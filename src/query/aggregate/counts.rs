//! How often each value occurs in each group.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::super::eval::StrandSink;
use super::super::expression::{Aggregation, Grouping};
use super::super::grid::StepGrid;
use super::super::labels::{MadeText, NAME};
use super::super::matrix::TABLE_ENTRY;
use super::super::meter::{Charge, Meter};
use super::super::strand::{PointValue, Strand};
use super::super::text::decimal;
use super::super::{LabelSet, QueryError};
use super::groups::Groups;

/// Counts values. One that occurs at few steps takes little, however many steps there are.
pub(super) struct ValueCounts<'m> {
    meter: &'m Meter<'m>,
    label: Arc<str>,
    /// Where the label is one of those that are left out, all values are one.
    is_left_out: bool,
    groups: Groups<'m>,
    /// The labels of each group, the value aside.
    labels: Vec<LabelSet>,
    places: HashMap<(usize, ValueKey), usize, foldhash::fast::RandomState>,
    counted: Vec<ValueCount>,
    room: Charge<'m>,
}

/// What makes two values the same.
#[derive(Clone, PartialEq, Eq, Hash)]
enum ValueKey {
    Any,
    Float(u64),
    Histogram(Arc<str>),
}

struct ValueCount {
    group: usize,
    key: ValueKey,
    /// How often, by step.
    steps: BTreeMap<usize, f64>,
}

/// What a value takes in its tables, with the first node of its steps.
const VALUE_BYTES: usize = 2 * TABLE_ENTRY + 2 * size_of::<ValueCount>() + 224;
/// What a step takes in a map whose nodes may be half empty.
const STEP_BYTES: usize = 48;
/// How much longer the text of a bucket is than the bucket.
const TEXT_FACTOR: usize = 8;
/// No number has more digits.
const MOST_DIGITS: usize = 400;

impl<'m> ValueCounts<'m> {
    pub(super) fn new(meter: &'m Meter<'m>, aggregation: &Aggregation, label: &str) -> Self {
        let Grouping { labels, without } = &aggregation.grouping;
        let is_left_out = *without && (label == NAME || labels.contains(label));
        // The value takes the place of what the series have in that label.
        let labels = if *without {
            labels.and(label)
        } else {
            labels.except(label)
        };
        let grouping = Grouping {
            labels,
            without: *without,
        };
        Self {
            meter,
            label: label.into(),
            is_left_out,
            groups: Groups::new(meter, &grouping),
            labels: Vec::new(),
            places: HashMap::default(),
            counted: Vec::new(),
            room: Charge::new(meter),
        }
    }

    /// The group of a series.
    pub(super) fn group(&mut self, series: &LabelSet) -> Result<usize, QueryError> {
        let (group, labels) = self.groups.place(series)?;
        self.labels.extend(labels);
        Ok(group)
    }

    /// Counts a value of a group.
    pub(super) fn add(
        &mut self,
        group: usize,
        value: &PointValue,
        step: usize,
    ) -> Result<(), QueryError> {
        let key = (group, self.key(value)?);
        let place = match self.places.get(&key) {
            Some(place) => *place,
            None => {
                let text = match &key.1 {
                    ValueKey::Histogram(text) => text.len(),
                    _ => 0,
                };
                self.room.grow(0, VALUE_BYTES + text)?;
                let next = self.counted.len();
                self.counted.push(ValueCount {
                    group,
                    key: key.1.clone(),
                    steps: BTreeMap::new(),
                });
                self.places.insert(key, next);
                next
            }
        };
        let steps = &mut self.counted[place].steps;
        if let Some(count) = steps.get_mut(&step) {
            *count += 1.0;
            return Ok(());
        }
        self.room.grow(0, STEP_BYTES)?;
        steps.insert(step, 1.0);
        Ok(())
    }

    fn key(&self, value: &PointValue) -> Result<ValueKey, QueryError> {
        Ok(match value {
            _ if self.is_left_out => ValueKey::Any,
            PointValue::Float(value) if value.is_nan() => ValueKey::Float(f64::NAN.to_bits()),
            PointValue::Float(value) => ValueKey::Float(value.to_bits()),
            PointValue::Histogram(histogram) => {
                let most = histogram.bytes() * TEXT_FACTOR;
                self.meter.work(most)?;
                let _twice = self.meter.charge(0, 2 * most)?;
                ValueKey::Histogram(histogram.to_string().into())
            }
        })
    }

    /// A series for each value, in the order in which they were met.
    pub(super) fn hand_on(
        self,
        grid: &StepGrid,
        sink: StrandSink<'_, 'm>,
    ) -> Result<(), QueryError> {
        drop(self.places);
        for ValueCount { group, key, steps } in self.counted {
            let labels = &self.labels[group];
            let labels = match key {
                ValueKey::Any => labels.clone(),
                ValueKey::Float(bits) => {
                    let write = |text: &mut String| text.push_str(&decimal(f64::from_bits(bits)));
                    labels.with(&self.label, MadeText::new(self.meter, MOST_DIGITS, write)?)
                }
                ValueKey::Histogram(text) => {
                    labels.with(&self.label, MadeText::kept(self.meter, text)?)
                }
            };
            let mut strand = Strand::new(self.meter, labels)?;
            for (step, count) in steps {
                self.meter.work(1)?;
                strand.put_float(grid.steps, step, count)?;
            }
            sink(strand)?;
        }
        Ok(())
    }
}
