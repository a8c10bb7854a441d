//! What the guards make of outages: an instance behind the controller, on a paused clock.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::component::State::{Degraded, Working};
use crate::component::{GuardConfig, Health, Receiver as _};
use crate::receivers::scrape::Settings;
use crate::receivers::scrape::testing::{Recorder, controller};
use crate::resilience::{EndpointId, Endpoints, Force, State};
use crate::yaml;

struct Rig {
    script: Arc<Script>,
    intake: Arc<Recorder>,
    endpoints: Arc<Endpoints>,
    health: Health,
    seen: usize,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Rig {
    /// An instance that is polled every 15 s with this body of `resilience`.
    fn new(script: Arc<Script>, block: &str, change: impl FnOnce(&mut Config)) -> Self {
        let diagnostics = Diagnostics::new();
        let node = yaml::parse(block, &"test".into(), &diagnostics).unwrap();
        let guard: GuardConfig = Value::root(&node, &diagnostics).read().unwrap();
        let settings = guard.config.resolve(&Settings::default().written).unwrap();
        let context = BuildContext {
            guard: Some(Arc::new(settings)),
            ..bare()
        };
        let mut config = default_config();
        change(&mut config);
        let targets = config.targets("", &Access::new(&context, Arc::clone(&script) as _));
        let (intake, health) = (Arc::new(Recorder::default()), Health::new());
        let receiver = controller(
            "betanet",
            Settings::default(),
            Arc::clone(&intake),
            health.clone(),
            targets,
        );
        let stop = CancellationToken::new();
        Self {
            script,
            intake,
            endpoints: context.endpoints,
            health,
            seen: 0,
            task: tokio::spawn(receiver.run(stop.clone())),
            stop,
        }
    }

    /// What every poll of the next seconds gave.
    async fn polls(&mut self, seconds: u64) -> Vec<Series> {
        sleep(Duration::from_secs(seconds)).await;
        let batches = self.intake.batches();
        let new = batches.get(self.seen..).unwrap_or_default();
        self.seen = batches.len();
        let short = |(key, value): (String, f64)| {
            let key = key.replace("{betanet.instance=\"http://localhost:9000\"}", "");
            (
                key.replace("betanet.instance=\"http://localhost:9000\",", ""),
                value,
            )
        };
        new.iter()
            .map(|batch| series(batch).into_iter().map(short).collect())
            .collect()
    }

    fn state(&self, path: &str) -> State {
        let id = EndpointId::new("betanet", &format!("http://localhost:9000{path}"));
        self.endpoints.find(&id).unwrap().breaker().state()
    }

    fn fail_everything(&self, reason: Reason) {
        for answer in self.script.answers.lock().unwrap().values_mut() {
            *answer = (0, Answer::Fails(reason));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

fn v1() -> Arc<Script> {
    let script = Arc::new(Script::default());
    script.speak_v1();
    script
}

fn platform(series: &Series) -> Series {
    let own = series.iter().filter(|(key, _)| key.starts_with("betanet_"));
    own.map(|(key, value)| (key.clone(), *value)).collect()
}

/// How many polls told a latency.
fn answered(polls: &[Series]) -> usize {
    let told = |poll: &&Series| {
        let latency = poll.get("betanet_latency");
        latency.is_some_and(|latency| !latency.is_nan())
    };
    polls.iter().filter(told).count()
}

fn ended(series: &Series) -> bool {
    let platform = platform(series);
    !platform.is_empty() && platform.values().all(|value| value.is_nan())
}

#[tokio::test(start_paused = true)]
async fn an_outage_sends_nothing_until_it_ends_the_series_and_adds_nothing_twice() {
    let mut rig = Rig::new(v1(), "{}", |config| config.dialect = Dialect::V1);
    let before = rig.polls(60).await;
    let whole = before.last().unwrap();
    assert_eq!(whole["up"], 1.0);
    assert_eq!(platform(whole).len(), 12);
    let mut answers = answered(&before);

    rig.fail_everything(Reason::Refused);
    let down = rig.polls(280).await;
    // One may have been under way.
    answers += answered(&down);
    assert!(down.len() >= 18, "the ticks go on: {}", down.len());
    for poll in &down[1..] {
        assert_eq!((poll["up"], poll["scrape_parts_failed"]), (0.0, 3.0));
        assert_eq!(platform(poll), Series::new(), "stale is sent nowhere");
    }
    let last = down.last().unwrap();
    assert!(last["scrape_failures_total{reason=\"refused\"}"] >= 3.0);
    assert!(last["scrape_failures_total{reason=\"breaker\"}"] > 20.0);
    assert_ne!(rig.state("/api/v1/metrics"), State::Healthy);

    let after = rig.polls(60).await;
    let tombstones: Vec<&Series> = after.iter().filter(|poll| ended(poll)).collect();
    let ends: usize = tombstones.iter().map(|poll| platform(poll).len()).sum();
    assert_eq!(ends, 12, "each ended once");
    rig.polls(600).await;

    rig.script.speak_v1();
    let back = rig.polls(420).await;
    let first = back.iter().position(|poll| poll["up"] == 1.0).unwrap();
    assert!(first <= 420 / 15);
    let last = back.last().unwrap();
    assert_eq!(last["betanet_messages_total"], 5000.0, "set, not added");
    answers += answered(&back);
    let observed = last["betanet_message_latency_seconds"];
    assert_eq!(observed, answers as f64, "one observation an answer");
    assert_eq!(rig.state("/api/v1/metrics"), State::Healthy);
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_the_breaker_of_the_worst_part() {
    let mut rig = Rig::new(v1(), "{}", |config| config.dialect = Dialect::V1);
    rig.polls(60).await;
    let report = |rig: &Rig| rig.health.reports().remove(0);
    let seen = report(&rig);
    assert_eq!((seen.state, seen.breaker), (Working, Some(State::Healthy)));
    assert!(seen.health_score.unwrap() > 0.7);

    let id = EndpointId::new("betanet", "http://localhost:9000/api/v1/metrics");
    assert!(rig.endpoints.force(&id, Force::Open, Instant::now()));
    let seen = report(&rig);
    assert_eq!(
        (seen.state, seen.breaker),
        (Degraded, Some(State::CoolingDown))
    );
    rig.polls(30).await;
    assert_eq!(report(&rig).state, Degraded, "the other parts answer");

    assert!(rig.endpoints.force(&id, Force::Reset, Instant::now()));
    rig.polls(30).await;
    let seen = report(&rig);
    assert_eq!((seen.state, seen.breaker), (Working, Some(State::Healthy)));
}
