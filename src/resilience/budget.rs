//! How many retries an endpoint gets.
//!
//! Retries help against single failures and hurt against an outage, when every caller
//! sends four requests for each poll instead of one. A budget serves both cases: retries
//! spend tokens and successes earn them, so an endpoint whose polls all fail soon gets one
//! attempt a poll.

/// The keys of a budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct BudgetSettings {
    /// Tokens at the start, and at most.
    pub(super) capacity: u32,
    /// Tokens that a first attempt earns by succeeding.
    pub(super) per_success: f64,
}

/// A bucket of retry tokens.
///
/// Tokens are counted in millionths, so that what was spent and earned adds up exactly
/// however long the process lives.
#[derive(Debug, Clone)]
pub(super) struct RetryBudget {
    tokens: u64,
    capacity: u64,
    per_success: u64,
}

const TOKEN: u64 = 1_000_000;

impl RetryBudget {
    /// A full one.
    pub(super) fn new(settings: BudgetSettings) -> Self {
        let capacity = u64::from(settings.capacity) * TOKEN;
        Self {
            tokens: capacity,
            capacity,
            per_success: (settings.per_success * TOKEN as f64).round() as u64,
        }
    }

    /// Spends what a retry costs, or says that it can't be afforded. A retry after a
    /// timeout costs two tokens: it has held a connection for the whole time.
    pub(super) fn try_spend(&mut self, after_timeout: bool) -> bool {
        let cost = if after_timeout { 2 * TOKEN } else { TOKEN };
        match self.tokens.checked_sub(cost) {
            Some(left) => {
                self.tokens = left;
                true
            }
            None => false,
        }
    }

    /// Earns what the success of a first attempt is worth.
    pub(super) fn earn(&mut self) {
        self.tokens = (self.tokens + self.per_success).min(self.capacity);
    }

    pub(super) fn tokens(&self) -> f64 {
        self.tokens as f64 / TOKEN as f64
    }
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use super::*;

    const SETTINGS: BudgetSettings = BudgetSettings {
        capacity: 10,
        per_success: 0.2,
    };

    #[test]
    fn ten_retries_and_then_one_for_five_successes() {
        let mut budget = RetryBudget::new(SETTINGS);
        assert!((0..10).all(|_| budget.try_spend(false)));
        assert!(!budget.try_spend(false));
        (0..4).for_each(|_| budget.earn());
        assert!(!budget.try_spend(false));
        budget.earn();
        assert!(budget.try_spend(false));
    }

    #[test]
    fn a_retry_after_a_timeout_costs_two() {
        let mut budget = RetryBudget::new(SETTINGS);
        assert_eq!((0..20).filter(|_| budget.try_spend(true)).count(), 5);
        (0..5).for_each(|_| budget.earn());
        assert!(!budget.try_spend(true), "one token is not two");
        assert_eq!(budget.tokens(), 1.0);
    }

    #[test]
    fn it_holds_no_more_than_its_capacity_and_none_at_zero() {
        let mut budget = RetryBudget::new(SETTINGS);
        (0..1_000).for_each(|_| budget.earn());
        assert_eq!(budget.tokens(), 10.0);
        let mut none = RetryBudget::new(BudgetSettings {
            capacity: 0,
            ..SETTINGS
        });
        none.earn();
        assert!(!none.try_spend(false));
    }

    proptest::proptest! {
        #[test]
        fn retries_never_exceed_ten_and_a_fifth_of_the_successes(
            trace in proptest::collection::vec(0u8..3, 0..2_000),
        ) {
            let mut budget = RetryBudget::new(SETTINGS);
            let (mut retries, mut successes) = (0u64, 0u64);
            for event in trace {
                match event {
                    0 => {
                        budget.earn();
                        successes += 1;
                    }
                    event => retries += u64::from(budget.try_spend(event == 1)),
                }
                assert!(5 * retries <= 50 + successes);
            }
        }
    }
}
