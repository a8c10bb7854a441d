//! A breaker around a client of one's own, without a guard: ask, call, tell.
//!
//! ```sh
//! cargo run --example breaker
//! ```
//!
//! The "client" below talks to a service that dies after three calls and comes back half a
//! minute later. Time is the program's own, so all of it passes at once.
#![allow(clippy::print_stdout, reason = "a demonstration prints")]

use std::sync::Arc;
use std::time::Duration;

use foghorn::resilience::{
    Breaker, BreakerConfig, BreakerObserver, Completion, Edge, Outcome, Transition, Transport,
};
use tokio::time::Instant;

/// Prints what an operator would want to know.
struct Log;

impl BreakerObserver for Log {
    fn on_transition(&self, transition: &Transition) {
        println!(
            "        {} -> {} ({}, {} failures in a row)",
            transition.from,
            transition.to,
            transition.reason.as_str(),
            transition.fail_count,
        );
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What isn't written has a default that suits the rest; what is written and wrong is
    // an error with every problem in it.
    let settings = BreakerConfig {
        failure_threshold: Some(3),
        cooldown: Some(Duration::from_secs(10)),
        ..Default::default()
    }
    .resolve(Edge::Source, Duration::from_secs(5))?;

    let start = Instant::now();
    let breaker = Breaker::new(settings, rand::random(), start).observed_by(Arc::new(Log));

    for second in 0..100 {
        let now = start + Duration::from_secs(second);
        // The permit borrows the breaker: it can't outlive it, and dropping it without an
        // outcome (a cancelled future, a panic) counts as neither success nor failure.
        match breaker.acquire(now) {
            Ok(permit) => {
                let (outcome, latency) = call_the_service(second);
                println!("{second:>4} s  {}", outcome.as_str());
                permit.record(now, Completion::new(outcome, latency));
            }
            Err(rejection) => {
                if let Some(wait) = rejection.retry_in {
                    println!("{second:>4} s  not asked, for {} s", wait.as_secs());
                }
            }
        }
    }
    let after = breaker.snapshot(start + Duration::from_secs(100));
    println!(
        "health score {:.2}, {} failures",
        after.health_score, after.failures
    );
    Ok(())
}

/// Stands in for your client. Classify a status by `Outcome::of_http_status`.
fn call_the_service(second: u64) -> (Outcome, Duration) {
    if (3..33).contains(&second) {
        (Outcome::Transport(Transport::Refused), Duration::ZERO)
    } else {
        (Outcome::Success, Duration::from_millis(12))
    }
}
