//! A query from its text to its answer.

use super::answer::{QueryAnswer, QueryOptions, QueryValue, ValueSeries};
use super::eval::Evaluation;
use super::expression::{Expression, ExpressionKind};
use super::grid::StepGrid;
use super::meter::{Charge, Meter};
use super::strand::Strand;
use super::{Interruption, LabelSet, QueryError, QueryLimits, SeriesSource, parse};

/// A query that was understood.
#[derive(Clone, Debug)]
pub struct PromQuery {
    expression: Expression,
    /// What its regular expressions take.
    regex_bytes: usize,
}

impl PromQuery {
    /// Reads a query.
    ///
    /// # Errors
    /// Text that is no query, or asks for what isn't supported, is
    /// [`super::QueryErrorKind::BadData`] and says which part.
    pub fn parse(text: &str, limits: &QueryLimits) -> Result<Self, QueryError> {
        let (expression, regex_bytes) = parse::parse(text, limits)?;
        Ok(Self {
            expression,
            regex_bytes,
        })
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
        let _regexes = meter.charge(0, self.regex_bytes)?;
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
                    Some((strand.labels().clone(), value))
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
        let _regexes = meter.charge(0, self.regex_bytes)?;
        let evaluation = Evaluation::new(source, &meter, options, (start, end));
        let grid = StepGrid::new(start, end, step);
        let series = match self.expression.kind() {
            ExpressionKind::Scalar => {
                let mut room = meter.charge(grid.steps, 0)?;
                let scalars = evaluation.scalars(&self.expression, &grid)?;
                let labels = LabelSet::default();
                let value = |step| scalars.at(step);
                let strand = Strand::of_floats(&meter, labels, grid.steps, value)?;
                vec![as_series(strand, &grid, &mut room)?]
            }
            ExpressionKind::InstantVector => {
                let mut matrix = evaluation.collect(&self.expression, &grid)?;
                matrix.strands.sort_by(|a, b| a.labels().cmp(b.labels()));
                let place = size_of::<ValueSeries>();
                let mut room = meter.charge(0, matrix.strands.len() * place)?;
                let strands = std::mem::take(&mut matrix.strands).into_iter();
                let series = strands.map(|strand| as_series(strand, &grid, &mut room));
                series.collect::<Result<_, _>>()?
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

/// The values of a series with their times, held by `room`.
fn as_series<'m>(
    strand: Strand<'m>,
    grid: &StepGrid,
    room: &mut Charge<'m>,
) -> Result<ValueSeries, QueryError> {
    room.meter().work(grid.steps)?;
    let labels = strand.labels().clone();
    let points = strand.into_points(grid, room)?;
    Ok(ValueSeries { labels, points })
}
