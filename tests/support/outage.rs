//! A server that follows a script of outages, a poller that knows nothing of it, and the
//! record of both: what the simulation's tests bound and its pictures show.
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foghorn::resilience::{
    Attempt, Breaker, BreakerState, Completion, Config, EndpointId, Endpoints, Event, FetchError,
    Guard, Observer, Outcome, PollConfig, Served, Transport, Trigger,
};
use futures_util::future::join_all;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

/// What the server does to a request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Weather {
    /// Answers in 20 ms.
    Up,
    /// Refuses connections.
    Refused,
    /// Never answers.
    Hanging,
    /// Answers 503 to this share of requests.
    Brownout(f64),
    /// Answers after 2 to 5 seconds.
    Slow,
    /// Answers 429 with Retry-After: so many seconds.
    Throttling(u64),
    /// Answers what doesn't parse.
    Garbage,
}

/// What the weather is from when on, in order.
pub(crate) type Script = Vec<(Duration, Weather)>;

/// Everything that happened, by time since the start.
#[derive(Debug, Default)]
pub(crate) struct Record {
    /// Wire attempts: when they ended, what they came to, whether they were canaries.
    pub(crate) attempts: Vec<(Duration, Outcome, bool)>,
    /// States from when on.
    pub(crate) states: Vec<(Duration, BreakerState)>,
    /// What the page showed from when on.
    pub(crate) shown: Vec<(Duration, Shown)>,
    /// When series were ended.
    pub(crate) tombstones: Vec<Duration>,
}

/// What the page shows of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nothing.
    Absent,
    /// An answer of the last poll.
    Current,
    /// An older one, marked.
    Stale,
}

impl Record {
    /// When the state was first this, at or after `from`.
    pub(crate) fn first(&self, state: BreakerState, from: Duration) -> Option<Duration> {
        let mut seen = self.states.iter();
        seen.find(|(at, is)| *at >= from && *is == state)
            .map(|(at, _)| *at)
    }

    /// When an answer first came at or after `from`.
    pub(crate) fn first_answer(&self, from: Duration) -> Option<Duration> {
        let mut seen = self.attempts.iter();
        seen.find(|(at, outcome, _)| *at >= from && *outcome == Outcome::Success)
            .map(|(at, ..)| *at)
    }

    /// Wire attempts that ended within a span.
    pub(crate) fn attempts_between(&self, from: Duration, to: Duration) -> usize {
        let seen = self.attempts.iter();
        seen.filter(|(at, ..)| *at >= from && *at < to).count()
    }
}

struct Recorder {
    start: Instant,
    /// By URL.
    records: Mutex<BTreeMap<String, Record>>,
}

impl Observer for Recorder {
    fn on_event(&self, id: &EndpointId, event: &Event<'_>) {
        let mut records = self.records.lock().unwrap();
        let record = records.get_mut(id.url()).unwrap();
        match event {
            Event::Transition(transition) => {
                record
                    .states
                    .push((transition.at - self.start, transition.to));
            }
            Event::Attempted {
                attempt,
                outcome,
                started,
                took,
            } => {
                let ended = *started + *took - self.start;
                record.attempts.push((ended, *outcome, attempt.canary));
            }
            _ => {}
        }
    }
}

/// Polls a scripted server for so long, on the clock of the runtime, which should be
/// paused. The first poll comes after `phase`.
pub(crate) async fn simulate(
    config: &Config,
    script: Script,
    phase: Duration,
    length: Duration,
    seed: u64,
) -> Record {
    let mut records = simulate_paths(1, config, script, phase, length, seed).await;
    records.pop().unwrap()
}

/// The same for so many paths of one server, which share its weather.
pub(crate) async fn simulate_paths(
    paths: usize,
    config: &Config,
    script: Script,
    phase: Duration,
    length: Duration,
    seed: u64,
) -> Vec<Record> {
    let start = Instant::now();
    let url = |path| format!("http://localhost:9000/{path}");
    let records = (0..paths).map(|path| {
        let record = Record {
            states: vec![(Duration::ZERO, BreakerState::Healthy)],
            shown: vec![(Duration::ZERO, Shown::Absent)],
            ..Record::default()
        };
        (url(path), record)
    });
    let recorder = Arc::new(Recorder {
        start,
        records: Mutex::new(records.collect()),
    });
    let endpoints = Endpoints::new(paths, CancellationToken::new())
        .seeded(seed)
        .observed_by(recorder.clone());
    let settings = config.resolve(&PollConfig::default()).unwrap();
    let server = Arc::new(Server {
        start,
        script,
        rng: Mutex::new(SmallRng::seed_from_u64(seed)),
    });
    let polls = (0..paths).map(|path| {
        let id = EndpointId::new("betanet", &url(path));
        let guard = endpoints.guard::<u64>(id, settings.clone()).unwrap();
        poll_path(guard, server.clone(), recorder.clone(), phase, length)
    });
    join_all(polls).await;
    let mut records = recorder.records.lock().unwrap();
    std::mem::take(&mut *records).into_values().collect()
}

async fn poll_path(
    guard: Guard<u64>,
    server: Arc<Server>,
    recorder: Arc<Recorder>,
    phase: Duration,
    length: Duration,
) {
    let start = recorder.start;
    let interval = guard.settings().interval();
    let end = start + length;
    let mut tick = start + phase;
    while Instant::now() < end {
        let changed = guard.endpoint().changed();
        let wake = guard.wake_at().filter(|wake| *wake < tick);
        tokio::select! {
            () = sleep_until(wake.unwrap_or(tick).min(end)) => {}
            () = changed => continue,
        }
        let trigger = if wake.is_some() {
            Trigger::Wake
        } else {
            Trigger::Tick
        };
        let serving = server.clone();
        let served = guard
            .poll(trigger, move |attempt| serving.clone().answer(attempt))
            .await;
        let now = Instant::now();
        if wake.is_none() {
            // Missed ticks are skipped, not made up for.
            while tick <= now {
                tick += interval;
            }
        }
        let expired = guard.expire(now).is_some();
        let mut records = recorder.records.lock().unwrap();
        let record = records.get_mut(guard.endpoint().id().url()).unwrap();
        if expired {
            record.tombstones.push(now - start);
        }
        let shown = match served {
            Served::New(_) | Served::Fresh { .. } => Shown::Current,
            Served::Stale { .. } if !expired => Shown::Stale,
            Served::Stale { .. } | Served::Failed(_) => Shown::Absent,
        };
        if record.shown.last().is_none_or(|(_, last)| *last != shown) {
            record.shown.push((now - start, shown));
        }
    }
}

struct Server {
    start: Instant,
    script: Script,
    rng: Mutex<SmallRng>,
}

impl Server {
    async fn answer(self: Arc<Self>, _: Attempt) -> Result<u64, FetchError> {
        let now = self.start.elapsed();
        let weather = self.script.iter().rev().find(|(from, _)| *from <= now);
        let draw: f64 = self.rng.lock().unwrap().random();
        let status = |status| Err(FetchError::http_status(status, None, None));
        match weather.map_or(Weather::Up, |(_, weather)| *weather) {
            Weather::Hanging => pending().await,
            Weather::Refused => {
                let refused = Outcome::Transport(Transport::Refused);
                Err(FetchError::new(refused, "connection refused"))
            }
            Weather::Slow => {
                sleep(Duration::from_secs_f64(2.0 + 3.0 * draw)).await;
                Ok(1)
            }
            Weather::Throttling(after) => {
                let after = after.to_string();
                Err(FetchError::http_status(429, Some(&after), None))
            }
            weather => {
                sleep(Duration::from_millis(20)).await;
                match weather {
                    Weather::Brownout(share) if draw < share => status(503),
                    Weather::Garbage => Err(FetchError::new(Outcome::Malformed, "not JSON")),
                    _ => Ok(1),
                }
            }
        }
    }
}

/// A breaker alone, attempted every 15 s with independent errors, as often as asked: how
/// often it opened.
pub(crate) fn openings(error_rate: f64, attempts: u32, seed: u64) -> u32 {
    let mut breaker = Lone::new(seed);
    let mut openings = 0;
    for _ in 0..attempts {
        if breaker.attempt(error_rate) {
            openings += 1;
            breaker.recover();
        }
    }
    openings
}

/// After how many attempts a breaker with a clean history opens in a brownout.
pub(crate) fn attempts_to_open(error_rate: f64, seed: u64) -> u32 {
    let mut breaker = Lone::new(seed);
    for _ in 0..200 {
        breaker.attempt(0.0);
    }
    (1..)
        .find(|_| breaker.attempt(error_rate))
        .unwrap_or(u32::MAX)
}

/// A breaker, its clock and its dice.
struct Lone {
    breaker: Breaker,
    now: Instant,
    rng: SmallRng,
}

impl Lone {
    fn new(seed: u64) -> Self {
        let settings = Config::default().resolve(&PollConfig::default()).unwrap();
        let now = Instant::now();
        Self {
            breaker: Breaker::new(settings.breaker().clone(), seed, now),
            now,
            rng: SmallRng::seed_from_u64(seed ^ 0x5eed),
        }
    }

    /// Makes one attempt. Whether it opened the breaker.
    fn attempt(&mut self, error_rate: f64) -> bool {
        self.now += Duration::from_secs(15);
        let outcome = if self.rng.random::<f64>() < error_rate {
            Outcome::Unavailable
        } else {
            Outcome::Success
        };
        self.record(outcome);
        self.breaker.state() == BreakerState::CoolingDown
    }

    fn record(&mut self, outcome: Outcome) {
        let permit = self.breaker.acquire(self.now).unwrap();
        let latency = Duration::from_millis(20);
        permit.record(self.now, Completion::new(outcome, latency));
    }

    /// Lets the cooldown pass and the canaries through.
    fn recover(&mut self) {
        while !self.breaker.state().is_closed() {
            if let Some(wake) = self.breaker.wake_at() {
                self.now = self.now.max(wake);
            }
            self.record(Outcome::Success);
        }
    }
}
