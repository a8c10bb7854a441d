//! Expressions that are one number at each time.

use super::super::QueryError;
use super::super::arithmetic;
use super::super::expression::{Expression, ScalarCall};
use super::super::grid::StepGrid;
use super::Evaluation;

/// A number for each time.
#[derive(Clone, Debug)]
pub(in super::super) enum Scalars {
    /// The same at each.
    Same(f64),
    /// One for each step.
    Each(Vec<f64>),
}

impl Scalars {
    #[inline]
    pub(in super::super) fn at(&self, step: usize) -> f64 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values) => values.get(step).copied().unwrap_or(f64::NAN),
        }
    }

    /// The different ones of so many steps, one after the other.
    pub(in super::super) fn each(&self, steps: usize) -> impl Iterator<Item = f64> + '_ {
        let steps = match self {
            Self::Same(_) => steps.min(1),
            Self::Each(_) => steps,
        };
        (0..steps).map(|step| self.at(step))
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Same(value) => Self::Same(change(value)),
            Self::Each(values) => Self::Each(values.into_iter().map(change).collect()),
        }
    }
}

impl Evaluation<'_> {
    /// The numbers of a scalar expression.
    pub(in super::super) fn scalars(
        &self,
        expression: &Expression,
        grid: &StepGrid,
    ) -> Result<Scalars, QueryError> {
        self.meter.work(1)?;
        if grid.steps > 1 && super::invariant::is_invariant(expression) {
            let once = self.scalars(expression, &StepGrid::at(grid.start))?;
            return Ok(Scalars::Same(once.at(0)));
        }
        match expression {
            Expression::Number(value) => Ok(Scalars::Same(*value)),
            Expression::Negation(inner) => Ok(self.scalars(inner, grid)?.map(|value| -value)),
            Expression::Binary(binary) => {
                let left = self.scalars(&binary.left, grid)?;
                let right = self.scalars(&binary.right, grid)?;
                let of = |a, b| arithmetic::of_scalars(binary.operator, a, b);
                if let (Scalars::Same(left), Scalars::Same(right)) = (&left, &right) {
                    return Ok(Scalars::Same(of(*left, *right)));
                }
                self.each_step(grid, |step| of(left.at(step), right.at(step)))
            }
            Expression::Scalar(call) => match &**call {
                ScalarCall::Pi => Ok(Scalars::Same(std::f64::consts::PI)),
                ScalarCall::Time => self.each_step(grid, |step| seconds(grid, step)),
                ScalarCall::Only(vector) => self.only(vector, grid),
            },
            _ => Err(QueryError::internal("expected a scalar")),
        }
    }

    /// The float where there is one alone, else NaN.
    fn only(&self, vector: &Expression, grid: &StepGrid) -> Result<Scalars, QueryError> {
        let mut found = vec![0_u8; self.room_for(grid)?];
        let mut values = vec![f64::NAN; grid.steps];
        self.vector(vector, grid, &mut |strand| {
            for step in 0..grid.steps {
                if let Some(value) = strand.float(step) {
                    found[step] = (found[step] + 1).min(2);
                    values[step] = value;
                }
            }
            Ok(())
        })?;
        let values = values.into_iter().zip(found);
        let values = values.map(|(value, found)| if found == 1 { value } else { f64::NAN });
        Ok(Scalars::Each(values.collect()))
    }

    fn each_step(
        &self,
        grid: &StepGrid,
        value: impl Fn(usize) -> f64,
    ) -> Result<Scalars, QueryError> {
        let steps = self.room_for(grid)?;
        Ok(Scalars::Each((0..steps).map(value).collect()))
    }

    /// How many steps there are, if there is room for a number for each.
    pub(in super::super) fn room_for(&self, grid: &StepGrid) -> Result<usize, QueryError> {
        let bytes = grid.steps.saturating_mul(8);
        self.meter.charge(0, bytes)?;
        self.meter.work(grid.steps)?;
        Ok(grid.steps)
    }
}

/// The time of a step, in seconds.
pub(super) fn seconds(grid: &StepGrid, step: usize) -> f64 {
    grid.time(step) as f64 / 1_000.0
}
