//! The contract of processors, as one check that tests run against each of them.
//!
//! It is public, so that processors outside this crate can be tested against it, too.

use std::time::Duration;

use tokio::time::Instant;

use super::budget::Budget;
use super::chain::Chain;
use super::lease::{Lease, Leased};
use super::ledger::{Ledger, PipelineAccount};
use crate::component::{Now, Processor};
use crate::pdata::{Batch, Signal};

/// How a processor broke its contract.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// Something came out that never went in, or something stayed inside.
    #[error("{0}")]
    Items(String),
    /// A batch of another signal came out.
    #[error("a batch of {0} came out of a pipeline of {1}")]
    Signal(Signal, Signal),
    /// A deadline that was met is still there, so the pipeline would spin.
    #[error("on_deadline leaves a deadline that has passed")]
    Deadline,
    /// The processor emits items after it was drained.
    #[error("something comes out after the processor was drained")]
    AfterDrain,
}

/// Most deadlines that are followed between two batches.
const DEADLINES: usize = 1000;

/// Runs a processor over batches that come a second apart, lets every deadline ring in
/// between, and drains it. Returns what came out.
///
/// Run it with an empty batch among the others, and with a processor made anew.
///
/// # Errors
///
/// Says how the contract was broken.
pub fn check(
    processor: Box<dyn Processor>,
    signal: Signal,
    batches: impl IntoIterator<Item = Batch>,
) -> Result<Vec<Batch>, Violation> {
    let account = PipelineAccount::new(signal);
    let ledger = Ledger::new(vec![account.clone()], Vec::new());
    let budget = Budget::new(None);
    let mut chain = Chain::new(account.clone(), budget.clone(), 0);
    let name = "processor".parse().map_err(|_| Violation::Deadline)?;
    chain.push(&name, processor);
    let mut run = ConformanceRun {
        chain,
        signal,
        now: Now::read(),
        out: Vec::new(),
    };
    for batch in batches {
        let mut hold = budget.hold_nothing();
        hold.resize(batch.weight());
        let held = account.accept(batch.items());
        let slots = Vec::new();
        let lease = Lease { held, hold, slots };
        run.step(|chain, now, done| chain.process(Leased { batch, lease }, now, done))?;
        run.follow_deadlines(Duration::from_secs(1))?;
    }
    run.step(|chain, now, done| chain.drain(now, done))?;

    let before = run.out.len();
    run.follow_deadlines(Duration::from_secs(3600))?;
    run.step(|chain, now, done| chain.drain(now, done))?;
    if run.out.len() > before {
        return Err(Violation::AfterDrain);
    }
    let books = ledger.snapshot();
    let unbalanced = books.check().err().map(|error| error.to_string());
    for pipeline in &books.pipelines {
        let stayed = pipeline.held;
        let swallowed = pipeline.dropped.of(crate::component::DropReason::Aborted);
        if stayed + swallowed > 0 || unbalanced.is_some() {
            return Err(Violation::Items(format!(
                "{stayed} items stayed and {swallowed} were swallowed",
            )));
        }
    }
    if budget.in_flight() > 0 {
        return Err(Violation::Items("bytes stayed in the books".to_owned()));
    }
    Ok(run.out)
}

struct ConformanceRun {
    chain: Chain,
    signal: Signal,
    now: Now,
    out: Vec<Batch>,
}

impl ConformanceRun {
    fn step(
        &mut self,
        call: impl FnOnce(&mut Chain, Now, &mut Vec<Leased>),
    ) -> Result<(), Violation> {
        let mut done = Vec::new();
        call(&mut self.chain, self.now, &mut done);
        for Leased { batch, lease } in done {
            if batch.signal() != self.signal {
                return Err(Violation::Signal(batch.signal(), self.signal));
            }
            if batch.items() != lease.items() {
                return Err(Violation::Items(format!(
                    "a batch of {} items came out for {}",
                    batch.items(),
                    lease.items(),
                )));
            }
            // It has reached the fan-out, where no leg is.
            drop(lease.held.fan_out(Instant::now(), std::iter::empty()));
            self.out.push(batch);
        }
        if self.chain.invented() > 0 {
            return Err(Violation::Items(format!(
                "{} items came out that never went in",
                self.chain.invented(),
            )));
        }
        Ok(())
    }

    fn follow_deadlines(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.now.monotonic + time;
        for _ in 0..DEADLINES {
            let Some(deadline) = self.chain.deadline().filter(|at| *at <= until) else {
                break;
            };
            self.advance(deadline);
            self.step(|chain, now, done| chain.on_deadline(now, done))?;
            if self
                .chain
                .deadline()
                .is_some_and(|at| at <= self.now.monotonic)
            {
                return Err(Violation::Deadline);
            }
        }
        self.advance(until);
        Ok(())
    }

    fn advance(&mut self, to: Instant) {
        let step = to.saturating_duration_since(self.now.monotonic);
        self.now.monotonic += step;
        self.now.wall += step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::component::{DropReason, Output};
    use crate::pipeline::testing::points;

    struct Script {
        on_batch: fn(Batch, &mut dyn Output),
        deadline: Option<Instant>,
        on_drain: fn(&mut dyn Output),
    }

    impl Processor for Script {
        fn process(&mut self, batch: Batch, _: Now, out: &mut dyn Output) {
            (self.on_batch)(batch, out);
        }

        fn deadline(&self) -> Option<Instant> {
            self.deadline
        }

        fn drain(&mut self, _: Now, out: &mut dyn Output) {
            (self.on_drain)(out);
        }
    }

    fn script(on_batch: fn(Batch, &mut dyn Output)) -> Script {
        Script {
            on_batch,
            deadline: None,
            on_drain: |_| {},
        }
    }

    fn verdict(script: Script) -> Result<usize, Violation> {
        let batches = [points(3), Batch::empty(Signal::Metrics), points(2)];
        check(Box::new(script), Signal::Metrics, batches).map(|out| out.len())
    }

    #[test]
    fn what_keeps_the_contract_passes() {
        assert_eq!(verdict(script(|batch, out| out.emit(batch))), Ok(3));
        let filter = script(|batch, out| out.discard(batch.items(), DropReason::Filtered));
        assert_eq!(verdict(filter), Ok(0));
        let maker = script(|batch, out| {
            out.create(points(7));
            out.emit(batch);
        });
        assert_eq!(verdict(maker), Ok(6));
    }

    #[test]
    fn what_breaks_it_is_found() {
        let items = |script| matches!(verdict(script), Err(Violation::Items(_)));
        assert!(items(script(|_, _| {})), "swallows");
        assert!(items(script(|_, out| out.emit(points(9)))), "invents");
        assert!(items(script(|batch, out| {
            out.emit(batch.clone());
            out.emit(batch);
        })));
        let spinning = Script {
            deadline: Some(Instant::now()),
            ..script(|batch, out| out.emit(batch))
        };
        assert_eq!(verdict(spinning), Err(Violation::Deadline));
        let undead = Script {
            on_drain: |out| out.create(points(1)),
            ..script(|batch, out| out.emit(batch))
        };
        assert_eq!(verdict(undead), Err(Violation::AfterDrain));
        let foreign = script(|batch, out| {
            out.emit(Batch::empty(Signal::Logs));
            out.emit(batch);
        });
        let expected = Violation::Signal(Signal::Logs, Signal::Metrics);
        assert_eq!(verdict(foreign), Err(expected));
    }
}
