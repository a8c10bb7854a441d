//! Functions of histograms in both forms: native ones, and series of buckets with the label
//! `le`.

use std::collections::HashMap;

use super::super::expression::Expression;
use super::super::functions::{
    ClassicBucket, bucket_fraction, bucket_quantile, histogram_fraction, histogram_quantile,
};
use super::super::grid::StepGrid;
use super::super::matrix::{MergedStrands, StrandMatrix};
use super::super::strand::Strand;
use super::super::{LabelSet, NativeHistogram, QueryError};
use super::{Evaluation, StrandSink};

const BOUND: &str = "le";

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

impl Evaluation<'_> {
    pub(super) fn histogram_quantile(
        &self,
        q: &Expression,
        of: &Expression,
        grid: &StepGrid,
        sink: StrandSink<'_>,
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
                    self.of.notes.inform(
                        "input to histogram_quantile needed to be fixed for monotonicity (see \
                         https://prometheus.io/docs/prometheus/latest/querying/functions/\
                         #histogram_quantile)",
                    );
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
        sink: StrandSink<'_>,
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
        sink: StrandSink<'_>,
    ) -> Result<(), QueryError> {
        let matrix = self.collect(of, grid)?;
        let groups = self.groups(&matrix);
        let mut merged = MergedStrands::new(self.meter)?;
        for (labels, group) in groups {
            let mut strand = Strand::new(labels.without_metadata());
            self.meter
                .work(grid.steps.saturating_mul(1 + group.classic.len()))?;
            for step in 0..grid.steps {
                let value = self.answer(&matrix, &labels, &group, step, question);
                if let Some(value) = value {
                    strand.put_float(grid.steps, step, value);
                }
            }
            merged.push(strand)?;
        }
        merged.finish().strands.into_iter().try_for_each(sink)
    }

    /// The groups of histograms, in the order in which they are met.
    fn groups(&self, matrix: &StrandMatrix<'_>) -> Vec<(LabelSet, HistogramGroup)> {
        let mut groups: Vec<(LabelSet, HistogramGroup)> = Vec::new();
        let mut places: HashMap<LabelSet, usize> = HashMap::new();
        let bound = [BOUND.to_owned()];
        let mut group = |labels: LabelSet| {
            let next = places.len();
            let place = *places.entry(labels.clone()).or_insert(next);
            if place == next {
                groups.push((labels, HistogramGroup::default()));
            }
            place
        };
        let mut members = Vec::new();
        for (at, strand) in matrix.strands.iter().enumerate() {
            if !strand.histograms.is_empty() {
                members.push((group(strand.labels.clone()), at, None));
            }
            if strand.floats.is_empty() {
                continue;
            }
            let le = strand.labels.value(BOUND);
            match le.parse::<f64>() {
                Ok(upper) => {
                    members.push((group(strand.labels.without(&bound)), at, Some(upper)));
                }
                Err(_) => self.notes.warn(format!(
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
        groups
    }

    fn answer(
        &self,
        matrix: &StrandMatrix<'_>,
        labels: &LabelSet,
        group: &HistogramGroup,
        step: usize,
        question: &dyn Question,
    ) -> Option<f64> {
        let mut native = group.native.iter();
        let native = native.find_map(|at| matrix.strands[*at].histogram(step));
        let buckets = group.classic.iter().filter_map(|(upper, at)| {
            let (upper, count) = (*upper, matrix.strands[*at].float(step)?);
            Some(ClassicBucket { upper, count })
        });
        let buckets: Vec<ClassicBucket> = buckets.collect();
        match (native, buckets.is_empty()) {
            (Some(_), false) => {
                self.notes
                    .warn("vector contains a mix of classic and native histograms");
                None
            }
            (Some(native), true) => {
                // Whoever drops names notes none.
                let metric = labels.without_metadata();
                Some(question.of_native(step, native, metric.metric()))
            }
            (None, false) => Some(question.of_buckets(step, buckets)),
            (None, true) => None,
        }
    }
}
