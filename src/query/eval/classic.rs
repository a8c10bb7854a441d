//! Functions of histograms in both forms: native ones, and series of buckets with the label
//! `le`.

use std::collections::HashMap;

use super::super::expression::Expression;
use super::super::functions::{
    ClassicBucket, bucket_fraction, bucket_quantile, histogram_fraction, histogram_quantile,
};
use super::super::grid::StepGrid;
use super::super::labels::LabelNames;
use super::super::matrix::{MergedStrands, StrandMatrix, TABLE_ENTRY};
use super::super::meter::Charge;
use super::super::strand::Strand;
use super::super::{LabelSet, NativeHistogram, QueryError};
use super::{Evaluation, StrandSink};

const BOUND: &str = "le";

/// What a member of a group takes in the lists that name it.
const MEMBER: usize = 96;
/// What a group takes in its table, its labels aside.
const GROUP: usize = TABLE_ENTRY + 2 * size_of::<(LabelSet, HistogramGroup)>();

/// What is asked of a histogram at a step.
trait Question {
    fn of_native(&self, step: usize, histogram: &NativeHistogram, metric: &str) -> f64;
    fn of_buckets(&self, step: usize, buckets: Vec<ClassicBucket>) -> f64;
}

/// The histograms of one set of labels, the bound aside.
#[derive(Default)]
struct HistogramGroup {
    native: Vec<usize>,
    /// Series of buckets with their bounds.
    classic: Vec<(f64, usize)>,
}

impl<'e> Evaluation<'e> {
    pub(super) fn histogram_quantile(
        &self,
        q: &Expression,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let quantiles = self.scalars(q, grid)?;
        for q in quantiles.each(grid.steps) {
            if !(0.0..=1.0).contains(&q) {
                self.notes.bad_quantile(q);
            }
        }
        struct Quantile<'q, 'e> {
            quantiles: &'q super::Scalars<'e>,
            of: &'q Evaluation<'e>,
        }
        impl Question for Quantile<'_, '_> {
            fn of_native(&self, step: usize, histogram: &NativeHistogram, metric: &str) -> f64 {
                histogram_quantile(self.quantiles.at(step), histogram, metric, &self.of.notes)
            }
            fn of_buckets(&self, step: usize, buckets: Vec<ClassicBucket>) -> f64 {
                let (value, forced) = bucket_quantile(self.quantiles.at(step), buckets);
                if forced {
                    self.of.notes.inform(format_args!(
                        "input to histogram_quantile needed to be fixed for monotonicity (see \
                         https://prometheus.io/docs/prometheus/latest/querying/functions/\
                         #histogram_quantile)",
                    ));
                }
                value
            }
        }
        let quantiles = &quantiles;
        self.ask(
            of,
            grid,
            &Quantile {
                quantiles,
                of: self,
            },
            sink,
        )
    }

    pub(super) fn histogram_fraction(
        &self,
        [lower, upper]: [&Expression; 2],
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        struct Fraction<'e> {
            lower: super::Scalars<'e>,
            upper: super::Scalars<'e>,
            of: &'e Evaluation<'e>,
        }
        impl Question for Fraction<'_> {
            fn of_native(&self, step: usize, histogram: &NativeHistogram, metric: &str) -> f64 {
                let ends = (self.lower.at(step), self.upper.at(step));
                histogram_fraction(ends, histogram, metric, &self.of.notes)
            }
            fn of_buckets(&self, step: usize, buckets: Vec<ClassicBucket>) -> f64 {
                bucket_fraction((self.lower.at(step), self.upper.at(step)), buckets)
            }
        }
        let fraction = Fraction {
            lower: self.scalars(lower, grid)?,
            upper: self.scalars(upper, grid)?,
            of: self,
        };
        self.ask(of, grid, &fraction, sink)
    }

    fn ask(
        &self,
        of: &Expression,
        grid: &StepGrid,
        question: &dyn Question,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        let matrix = self.collect(of, grid)?;
        let mut room = Charge::new(self.meter);
        let groups = self.groups(&matrix, &mut room)?;
        let mut merged = MergedStrands::new(self.meter);
        for (labels, group) in groups {
            let mut strand = Strand::new(self.meter, labels.without_metadata())?;
            for step in 0..grid.steps {
                self.meter
                    .work(1 + group.classic.len() + group.native.len())?;
                let value = self.answer(&matrix, &labels, &group, step, question)?;
                if let Some(value) = value {
                    strand.put_float(grid.steps, step, value)?;
                }
            }
            merged.push(strand)?;
        }
        merged.hand_on(sink)
    }

    /// The groups of histograms, in the order in which they are met.
    fn groups(
        &self,
        matrix: &StrandMatrix<'_>,
        room: &mut Charge<'_>,
    ) -> Result<Vec<(LabelSet, HistogramGroup)>, QueryError> {
        let mut groups: Vec<(LabelSet, HistogramGroup)> = Vec::new();
        let mut places: HashMap<LabelSet, usize> = HashMap::new();
        let bound = LabelNames::new(vec![BOUND.to_owned()]);
        let mut group = |labels: LabelSet| {
            self.meter.work(labels.work())?;
            room.grow(0, MEMBER)?;
            let next = places.len();
            let place = match places.get(&labels) {
                Some(place) => *place,
                None => {
                    room.grow(0, labels.bytes() + GROUP)?;
                    places.insert(labels.clone(), next);
                    groups.push((labels, HistogramGroup::default()));
                    next
                }
            };
            Ok::<_, QueryError>(place)
        };
        let mut members = Vec::new();
        for (at, strand) in matrix.strands.iter().enumerate() {
            if strand.has_histograms() {
                members.push((group(strand.labels().clone())?, at, None));
            }
            if strand.floats().is_empty() {
                continue;
            }
            let le = strand.labels().value(BOUND);
            match le.parse::<f64>() {
                Ok(upper) => {
                    let labels = strand.labels().without(&bound);
                    members.push((group(labels)?, at, Some(upper)));
                }
                Err(_) => self.notes.warn(format_args!(
                    "bucket label \"le\" is missing or has a malformed value of {le:?}"
                )),
            }
        }
        for (place, at, upper) in members {
            match upper {
                Some(upper) => groups[place].1.classic.push((upper, at)),
                None => groups[place].1.native.push(at),
            }
        }
        Ok(groups)
    }

    fn answer(
        &self,
        matrix: &StrandMatrix<'_>,
        labels: &LabelSet,
        group: &HistogramGroup,
        step: usize,
        question: &dyn Question,
    ) -> Result<Option<f64>, QueryError> {
        let mut native = group.native.iter();
        let native = native.find_map(|at| matrix.strands[*at].histogram(step));
        let buckets = group.classic.iter().filter_map(|(upper, at)| {
            let (upper, count) = (*upper, matrix.strands[*at].float(step)?);
            Some(ClassicBucket { upper, count })
        });
        let buckets: Vec<ClassicBucket> = buckets.collect();
        Ok(match (native, buckets.is_empty()) {
            (Some(_), false) => {
                self.notes.warn(format_args!(
                    "vector contains a mix of classic and native histograms"
                ));
                None
            }
            (Some(native), true) => {
                self.meter.work(native.samples())?;
                // Whoever drops names notes none.
                let metric = labels.without_metadata();
                Some(question.of_native(step, native, metric.metric()))
            }
            (None, false) => Some(question.of_buckets(step, buckets)),
            (None, true) => None,
        })
    }
}
