//! Aggregations: many series become one for each group, or some of them are picked.

mod counts;
mod folding;
mod groups;
mod picking;
mod values;

use super::QueryError;
use super::eval::{Evaluation, StrandSink};
use super::expression::{Aggregation, Aggregator};
use super::grid::StepGrid;

impl<'e> Evaluation<'e> {
    pub(super) fn aggregation(
        &self,
        aggregation: &Aggregation,
        grid: &StepGrid,
        sink: StrandSink<'_, 'e>,
    ) -> Result<(), QueryError> {
        match aggregation.by {
            Aggregator::TopK
            | Aggregator::BottomK
            | Aggregator::LimitK
            | Aggregator::LimitRatio => self.pick(aggregation, grid, sink),
            Aggregator::CountValues => self.count_values(aggregation, grid, sink),
            Aggregator::Quantile => self.quantiles(aggregation, grid, sink),
            Aggregator::Sum
            | Aggregator::Min
            | Aggregator::Max
            | Aggregator::Avg
            | Aggregator::Group
            | Aggregator::Count
            | Aggregator::Stddev
            | Aggregator::Stdvar => self.fold(aggregation, grid, sink),
        }
    }
}
