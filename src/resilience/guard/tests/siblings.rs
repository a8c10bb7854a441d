//! What endpoints of one scheme, host and port mean to each other.

use super::*;
use crate::resilience::Endpoint;
use crate::resilience::breaker::Completion;
use crate::resilience::events::Attempt;
use crate::resilience::registry::Endpoints;

/// Endpoints with the breakers of sources.
struct Town(Endpoints);

impl Town {
    fn new() -> Self {
        Self(Endpoints::new(10, CancellationToken::new()).seeded(1))
    }

    fn settle(&self, component: &str, url: &str) -> Arc<Endpoint> {
        let id = EndpointId::new(component, url);
        self.0.breaker(id, Default::default()).unwrap()
    }
}

fn attempt(endpoint: &Endpoint, outcome: Outcome) {
    let now = Instant::now();
    let permit = endpoint.breaker().acquire(now).unwrap();
    let attempt = Attempt {
        number: 0,
        hedge: false,
        canary: permit.is_canary(),
        generation: permit.generation(),
        state: permit.state(),
    };
    endpoint.conclude(permit, attempt, now, Completion::new(outcome, s(0)));
}

fn open(endpoint: &Endpoint) {
    for _ in 0..5 {
        attempt(endpoint, REFUSED);
    }
}

#[tokio::test(start_paused = true)]
async fn a_passed_canary_makes_those_of_the_same_origin_due_at_once_and_of_no_other() {
    let town = Town::new();
    let back = town.settle("betanet", "http://a:9000/metrics");
    let path = town.settle("betanet", "http://a:9000/status");
    let other_receiver = town.settle("node", "http://a:9000/metrics");
    let strangers = [
        "http://a:9001/metrics",
        "https://a:9000/metrics",
        "http://b:9000/metrics",
    ]
    .map(|url| town.settle("betanet", url));
    open(&back);
    advance(s(40)).await;
    for endpoint in town.0.all() {
        if !Arc::ptr_eq(&endpoint, &back) {
            open(&endpoint);
        }
    }
    let waiting = path.changed();
    let before: Vec<_> = strangers
        .iter()
        .map(|stranger| stranger.breaker().wake_at())
        .collect();
    attempt(&back, Outcome::Success);
    let now = Instant::now();
    assert_eq!(path.breaker().wake_at(), Some(now));
    assert_eq!(other_receiver.breaker().wake_at(), Some(now));
    for (stranger, before) in strangers.iter().zip(before) {
        assert_eq!(stranger.breaker().wake_at(), before, "{:?}", stranger.id());
        assert!(before > Some(now));
    }
    waiting.await;
}

#[tokio::test(start_paused = true)]
async fn a_path_that_fails_for_good_is_not_asked_for_the_health_of_its_siblings() {
    let town = Town::new();
    let well = town.settle("betanet", "http://a:9000/metrics");
    let broken = town.settle("betanet", "http://a:9000/status");
    open(&broken);
    let due = broken.breaker().wake_at();
    attempt(&well, Outcome::Success);
    assert_eq!(broken.breaker().wake_at(), due);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_removed_is_nobodys_sibling() {
    let town = Town::new();
    let back = town.settle("betanet", "http://a:9000/metrics");
    let gone = town.settle("betanet", "http://a:9000/status");
    open(&back);
    advance(s(40)).await;
    open(&gone);
    let due = gone.breaker().wake_at();
    town.0.remove(gone.id());
    attempt(&back, Outcome::Success);
    assert_eq!(gone.breaker().wake_at(), due);
}
