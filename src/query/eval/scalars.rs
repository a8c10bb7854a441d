//! Expressions that are one number at each time.

use super::super::QueryError;
use super::super::arithmetic;
use super::super::expression::{Expression, ScalarCall};
use super::super::grid::StepGrid;
use super::super::meter::Charge;
use super::Evaluation;

/// A number for each time.
pub(in super::super) enum Scalars<'m> {
    /// The same at each.
    Same(f64),
    /// One for each step, counted as long as they are held.
    Each(Vec<f64>, Charge<'m>),
}

impl Scalars<'_> {
    #[inline]
    pub(in super::super) fn at(&self, step: usize) -> f64 {
        match self {
            Self::Same(value) => *value,
            Self::Each(values, _) => values.get(step).copied().unwrap_or(f64::NAN),
        }
    }

    /// The different ones of so many steps, one after the other.
    pub(in super::super) fn each(&self, steps: usize) -> impl Iterator<Item = f64> + '_ {
        let steps = match self {
            Self::Same(_) => steps.min(1),
            Self::Each(..) => steps,
        };
        (0..steps).map(|step| self.at(step))
    }

    fn map(self, change: impl Fn(f64) -> f64) -> Self {
        match self {
            Self::Same(value) => Self::Same(change(value)),
            Self::Each(values, held) => Self::Each(values.into_iter().map(change).collect(), held),
        }
    }
}

impl<'e> Evaluation<'e> {
    /// The numbers of a scalar expression.
    pub(in super::super) fn scalars(
        &self,
        expression: &Expression,
        grid: &StepGrid,
    ) -> Result<Scalars<'e>, QueryError> {
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
    fn only(&self, vector: &Expression, grid: &StepGrid) -> Result<Scalars<'e>, QueryError> {
        let held = self.hold(grid)?;
        let _found = self.meter.charge(0, grid.steps)?;
        let mut found = vec![0_u8; grid.steps];
        let mut values = vec![f64::NAN; grid.steps];
        self.vector(vector, grid, &mut |strand| {
            self.meter.work(grid.steps)?;
            for step in 0..grid.steps {
                if let Some(value) = strand.float(step) {
                    found[step] = (found[step] + 1).min(2);
                    values[step] = value;
                }
            }
            Ok(())
        })?;
        for (value, found) in values.iter_mut().zip(found) {
            if found != 1 {
                *value = f64::NAN;
            }
        }
        Ok(Scalars::Each(values, held))
    }

    fn each_step(
        &self,
        grid: &StepGrid,
        value: impl Fn(usize) -> f64,
    ) -> Result<Scalars<'e>, QueryError> {
        let held = self.hold(grid)?;
        Ok(Scalars::Each((0..grid.steps).map(value).collect(), held))
    }

    /// Refuses a grid of more steps than a series finds room for, before they are walked.
    pub(super) fn fits(&self, grid: &StepGrid) -> Result<(), QueryError> {
        self.hold(grid).map(drop)
    }

    /// Room for a number for each step, and the work of making it.
    pub(in super::super) fn hold(&self, grid: &StepGrid) -> Result<Charge<'e>, QueryError> {
        self.meter.work(grid.steps)?;
        self.meter.charge(0, grid.steps.saturating_mul(8))
    }
}

/// The time of a step, in seconds.
pub(super) fn seconds(grid: &StepGrid, step: usize) -> f64 {
    grid.time(step) as f64 / 1_000.0
}
