//! A query from its text to its answer.

use super::answer::{QueryAnswer, QueryOptions, QueryValue, ValueSeries};
use super::eval::Evaluation;
use super::expression::{Expression, ExpressionKind};
use super::grid::StepGrid;
use super::meter::Meter;
use super::source::is_stale;
use super::strand::Strand;
use super::{Interruption, LabelSet, QueryError, QueryLimits, SeriesPoints, SeriesSource, parse};

/// A query that was understood.
#[derive(Clone, Debug)]
pub struct PromQuery {
    expression: Expression,
}

impl PromQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Text that is no query, or asks for what isn't supported, is
    /// [`super::QueryErrorKind::BadData`] and says which part.
    pub fn parse(text: &str, limits: &QueryLimits) -> Result<Self, QueryError> {
        let expression = parse::parse(text, limits)?;
        Ok(Self { expression })
    }

    /// The query's value at one time, in milliseconds since 1970. `interrupted` is asked
    /// now and then; cheap enough that it may read a clock.
    ///
    /// # Errors
    /// See [`super::QueryErrorKind`].
    pub fn instant(
        &self,
        source: &dyn SeriesSource,
        time: i64,
        options: &QueryOptions,
        interrupted: &dyn Fn() -> Option<Interruption>,
    ) -> Result<QueryAnswer, QueryError> {
        let meter = Meter::new(&options.limits, interrupted);
        let evaluation = Evaluation::new(source, &meter, options, (time, time));
        let grid = StepGrid::at(time);
        let value = match self.expression.kind() {
            ExpressionKind::Text => match &self.expression {
                Expression::Text(text) => QueryValue::Text(text.clone()),
                _ => QueryValue::Text(String::new()),
            },
            ExpressionKind::Scalar => {
                QueryValue::Scalar(evaluation.scalars(&self.expression, &grid)?.at(0))
            }
            ExpressionKind::RangeVector => {
                QueryValue::Matrix(evaluation.raw(&self.expression, &grid)?)
            }
            ExpressionKind::InstantVector => {
                let matrix = evaluation.collect(&self.expression, &grid)?;
                let strands = matrix.strands.into_iter();
                let samples = strands.filter_map(|strand| {
                    let value = strand.value(0)?;
                    Some((strand.labels, value))
                });
                QueryValue::Vector(samples.collect())
            }
        };
        Ok(evaluation.finish(value))
    }

    /// The query's values from one time to another, both included, every `step` (at least
    /// 1) milliseconds.
    ///
    /// # Errors
    /// A range vector or a text has none: [`super::QueryErrorKind::BadData`]. For the rest
    /// see [`super::QueryErrorKind`].
    pub fn range(
        &self,
        source: &dyn SeriesSource,
        (start, end): (i64, i64),
        step: i64,
        options: &QueryOptions,
        interrupted: &dyn Fn() -> Option<Interruption>,
    ) -> Result<QueryAnswer, QueryError> {
        let meter = Meter::new(&options.limits, interrupted);
        let evaluation = Evaluation::new(source, &meter, options, (start, end));
        let grid = StepGrid::new(start, end, step);
        let series = match self.expression.kind() {
            ExpressionKind::Scalar => {
                let _room = meter.charge(grid.steps, grid.steps.saturating_mul(8))?;
                let scalars = evaluation.scalars(&self.expression, &grid)?;
                let mut strand = Strand::new(LabelSet::default());
                strand.floats = (0..grid.steps).map(|step| scalars.at(step)).collect();
                vec![as_points(strand, &grid)]
            }
            ExpressionKind::InstantVector => {
                let mut matrix = evaluation.collect(&self.expression, &grid)?;
                matrix.strands.sort_by(|a, b| a.labels.cmp(&b.labels));
                // A point with its time takes twice as much as its value, which is still held.
                let floats = matrix.strands.iter().map(|strand| strand.floats.len());
                let _room = meter.charge(0, floats.sum::<usize>().saturating_mul(16))?;
                let strands = std::mem::take(&mut matrix.strands).into_iter();
                strands.map(|strand| as_points(strand, &grid)).collect()
            }
            other => {
                return Err(QueryError::bad_data(format!(
                    "invalid expression type {:?} for range query, must be Scalar or instant \
                     Vector",
                    other.as_str()
                )));
            }
        };
        Ok(evaluation.finish(QueryValue::Matrix(series)))
    }
}

/// The values of a series with their times, without room to spare.
fn as_points(strand: Strand, grid: &StepGrid) -> ValueSeries {
    let labels = strand.labels.clone();
    let mut points = SeriesPoints::default();
    let floats = strand.floats.iter().filter(|value| !is_stale(**value));
    let floats = floats.count();
    points.times.reserve_exact(floats);
    points.values.reserve_exact(floats);
    strand.into_points(grid, &mut points);
    ValueSeries { labels, points }
}
