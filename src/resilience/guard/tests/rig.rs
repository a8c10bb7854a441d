//! A guard, the script that its fetches follow, and what was observed.

use std::collections::VecDeque;
use std::future::pending;

use tokio::time::sleep;

use super::*;
use crate::resilience::EndpointId;
use crate::resilience::events::Observer;
use crate::resilience::registry::Endpoints;
use crate::resilience::settings::PollConfig;

/// What one attempt does.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Answer(u32),
    AnswerAfter(u64, u32),
    Fail(Outcome),
    Advise(Outcome, u64),
    Hang,
    Panic,
}

/// A server that follows a script, and hangs when it has come to its end.
#[derive(Default)]
pub(super) struct Script {
    pub(super) acts: Mutex<VecDeque<Act>>,
    pub(super) attempts: Mutex<Vec<(Attempt, Instant)>>,
}

impl Script {
    fn next(&self, attempt: Attempt) -> Act {
        self.attempts
            .lock()
            .unwrap()
            .push((attempt, Instant::now()));
        self.acts.lock().unwrap().pop_front().unwrap_or(Act::Hang)
    }
}

pub(super) struct Stage {
    pub(super) endpoints: Endpoints,
    pub(super) guard: Guard<u32>,
    pub(super) script: Arc<Script>,
    pub(super) events: Arc<Events>,
    pub(super) stop: CancellationToken,
}

#[derive(Default)]
pub(super) struct Events(pub(super) Mutex<Vec<String>>);

impl Observer for Events {
    fn on_event(&self, endpoint: &EndpointId, event: &Event<'_>) {
        let text = match event {
            Event::Transition(transition) => format!("{} -> {}", transition.from, transition.to),
            Event::Attempted { outcome, .. } => outcome.as_str().to_owned(),
            Event::RetryScheduled { number, .. } => format!("retry {number}"),
            Event::Rejected(rejection) => format!("rejected: {}", rejection.reason.as_str()),
            Event::StaleServed { age } => format!("stale: {}s", age.as_secs()),
        };
        assert_eq!(endpoint.url(), "http://a:9000/m");
        self.0.lock().unwrap().push(text);
    }
}

impl Stage {
    pub(super) fn new(acts: impl IntoIterator<Item = Act>) -> Self {
        Self::with(Config::default(), acts)
    }

    pub(super) fn with(config: Config, acts: impl IntoIterator<Item = Act>) -> Self {
        Self::paced(config, PollConfig::default(), acts)
    }

    pub(super) fn paced(
        config: Config,
        pace: PollConfig,
        acts: impl IntoIterator<Item = Act>,
    ) -> Self {
        let stop = CancellationToken::new();
        let events = Arc::new(Events::default());
        let endpoints = Endpoints::new(10, stop.clone())
            .seeded(1)
            .observed_by(events.clone());
        let settings = config.resolve(&pace).unwrap();
        let id = EndpointId::new("betanet", "http://user:secret@a:9000/m?token=x");
        let script = Script {
            acts: Mutex::new(acts.into_iter().collect()),
            attempts: Mutex::default(),
        };
        Self {
            guard: endpoints.guard(id, settings).unwrap(),
            endpoints,
            script: Arc::new(script),
            events,
            stop,
        }
    }

    pub(super) async fn poll(&self, trigger: Trigger) -> Served<u32> {
        poll(self.guard.clone(), self.script.clone(), trigger).await
    }

    pub(super) async fn tick(&self) -> Served<u32> {
        self.poll(Trigger::Tick).await
    }

    pub(super) fn attempts(&self) -> usize {
        self.script.attempts.lock().unwrap().len()
    }

    pub(super) fn state(&self) -> BreakerState {
        self.guard.endpoint().breaker().state()
    }

    pub(super) fn retries(&self, result: RetryResult) -> u64 {
        self.guard.endpoint().retries()[result as usize]
    }
}

pub(super) async fn poll(guard: Guard<u32>, script: Arc<Script>, trigger: Trigger) -> Served<u32> {
    let fetch = move |attempt| {
        let act = script.next(attempt);
        async move {
            match act {
                Act::Answer(value) => Ok(value),
                Act::AnswerAfter(ms, value) => {
                    sleep(Duration::from_millis(ms)).await;
                    Ok(value)
                }
                Act::Fail(outcome) => Err(FetchError::new(outcome, "no")),
                Act::Advise(outcome, seconds) => Err(FetchError {
                    retry_after: Some(Duration::from_secs(seconds)),
                    ..FetchError::new(outcome, "later")
                }),
                Act::Hang => pending().await,
                Act::Panic => panic!("as the script says"),
            }
        }
    };
    guard.poll(trigger, fetch).await
}
