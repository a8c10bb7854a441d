//! Outages of an instance with guards, polled by the controller on a paused clock.

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::component::ComponentState::{Degraded, Working};
use crate::component::{Health, Receiver as _};
use crate::receivers::scrape::PollSettings;
use crate::receivers::scrape::testing::{RecordingIntake, controller};
use crate::resilience::{BreakerState, EndpointId, Endpoints, Force};
use crate::settings::GuardConfig;
use crate::yaml;

struct Rig {
    script: Arc<Script>,
    intake: Arc<RecordingIntake>,
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
        let guard: GuardConfig = PlacedNode::root(&node, &diagnostics).read().unwrap();
        let settings = guard
            .config
            .resolve(&PollSettings::default().written)
            .unwrap();
        let context = BuildContext {
            guard: Some(Arc::new(settings)),
            ..bare()
        };
        let mut config = default_config();
        change(&mut config);
        let access = Access::new(&context, Arc::clone(&script) as _);
        let targets = config.targets(&context, PollSettings::default().pace(), &access);
        let (intake, health) = (Arc::new(RecordingIntake::default()), Health::new());
        let receiver = controller("betanet", Arc::clone(&intake), health.clone(), targets);
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

    /// The series of each poll within the next seconds.
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

    fn state(&self, path: &str) -> BreakerState {
        let id = EndpointId::new("betanet", &format!("http://localhost:9000{path}"));
        self.endpoints.find(&id).unwrap().breaker().state()
    }

    fn fail_everything(&self, reason: FailureReason) {
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

/// How many polls reported a latency.
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

    rig.fail_everything(FailureReason::Refused);
    let down = rig.polls(280).await;
    // One request may have been in flight when the server failed.
    answers += answered(&down);
    assert!(down.len() >= 18, "the ticks go on: {}", down.len());
    for poll in &down[1..] {
        assert_eq!((poll["up"], poll["scrape_parts_failed"]), (0.0, 3.0));
        assert_eq!(platform(poll), Series::new(), "stale is sent nowhere");
    }
    let last = down.last().unwrap();
    assert!(last["scrape_failures_total{reason=\"refused\"}"] >= 3.0);
    assert!(last["scrape_failures_total{reason=\"breaker\"}"] > 20.0);
    assert_ne!(rig.state("/api/v1/metrics"), BreakerState::Healthy);

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
    assert_eq!(rig.state("/api/v1/metrics"), BreakerState::Healthy);
}

#[tokio::test(start_paused = true)]
async fn health_tells_of_the_breaker_of_the_worst_part() {
    let mut rig = Rig::new(v1(), "{}", |config| config.dialect = Dialect::V1);
    rig.polls(60).await;
    let report = |rig: &Rig| rig.health.reports().remove(0);
    let seen = report(&rig);
    assert_eq!(
        (seen.state, seen.breaker),
        (Working, Some(BreakerState::Healthy))
    );
    assert!(seen.health_score.unwrap() > 0.7);

    let id = EndpointId::new("betanet", "http://localhost:9000/api/v1/metrics");
    assert!(rig.endpoints.force(&id, Force::Open, Instant::now()));
    let seen = report(&rig);
    assert_eq!(
        (seen.state, seen.breaker),
        (Degraded, Some(BreakerState::CoolingDown))
    );
    rig.polls(30).await;
    assert_eq!(report(&rig).state, Degraded, "the other parts answer");

    assert!(rig.endpoints.force(&id, Force::Reset, Instant::now()));
    rig.polls(30).await;
    let seen = report(&rig);
    assert_eq!(
        (seen.state, seen.breaker),
        (Working, Some(BreakerState::Healthy))
    );
}

#[tokio::test(start_paused = true)]
async fn a_canary_is_sent_to_its_own_path_and_its_answer_is_used() {
    const METRICS: &str = "/api/v1/metrics";
    let mut rig = Rig::new(v1(), "{retry: {max: 0}}", |config| {
        config.dialect = Dialect::V1;
    });
    rig.polls(20).await;
    rig.script
        .set(METRICS, 0, Answer::Fails(FailureReason::Timeout));
    while rig.state(METRICS) != BreakerState::CoolingDown {
        rig.polls(1).await;
    }
    rig.script.speak_v1();
    rig.script.asked();
    // From the first canary's answer on: a tick before the second finds it fresh.
    let mut answers = false;
    while rig.state(METRICS) != BreakerState::Degraded {
        let polls = rig.polls(1).await;
        for poll in polls {
            answers |= poll.contains_key("betanet_messages_total");
            assert_eq!(poll["scrape_parts_failed"], f64::from(u8::from(!answers)));
            assert_eq!(poll["up"], 1.0);
        }
    }
    let asked = rig.script.asked();
    let count = |path: &str| asked.iter().filter(|asked| *asked == path).count();
    assert!(
        (2..=3).contains(&count(METRICS)),
        "two canaries, and a poll at once"
    );
    // A cooldown of 21 to 39 s has this many ticks.
    let others = count("/api/v1/nodes/status");
    assert!((1..=4).contains(&others), "{others}");
    assert_ne!(rig.state("/api/v1/nodes/status"), BreakerState::CoolingDown);
}

#[tokio::test(start_paused = true)]
async fn what_is_summed_follows_from_the_instances_that_answer() {
    let mut rig = Rig::new(v1(), "{}", |config| {
        config.dialect = Dialect::V1;
        let text = "http://other:1".to_owned();
        let url = text.parse().unwrap();
        config
            .endpoints
            .push(super::super::super::InstanceEndpoint { text, url });
    });
    let network = |polls: &[Series], name: &str| {
        let told = polls.iter().rev();
        told.filter_map(|poll| poll.get(name).copied()).next()
    };
    let both = rig.polls(60).await;
    let of = |name: &str| network(&both, &format!("betanet_network_{name}"));
    assert_eq!(of("instances_fresh"), Some(2.0));
    assert_eq!(of("messages_total"), Some(10_000.0));
    assert_eq!(of("connected_peers"), Some(14.0));

    *rig.script.down.lock().unwrap() = Some("other");
    rig.polls(30).await;
    for _ in 0..30 {
        let one = rig.polls(30).await;
        let of = |name: &str| network(&one, &format!("betanet_network_{name}"));
        assert_eq!(of("instances_fresh"), Some(1.0));
        assert_eq!(of("instances_expected"), Some(2.0));
        assert_eq!(of("messages_total"), Some(10_000.0), "what it did stays in");
        assert_eq!(of("connected_peers"), Some(7.0));
    }
    *rig.script.down.lock().unwrap() = None;
    let back = rig.polls(420).await;
    let of = |name: &str| network(&back, &format!("betanet_network_{name}"));
    assert_eq!(of("instances_fresh"), Some(2.0));
    assert_eq!(
        of("messages_total"),
        Some(10_000.0),
        "and isn't added again"
    );
}

#[tokio::test(start_paused = true)]
async fn a_wake_that_the_pipelines_have_no_room_for_is_not_repeated_in_haste() {
    let mut rig = Rig::new(v1(), "{cache: {max_staleness: 0}}", |config| {
        config.dialect = Dialect::V1;
    });
    rig.polls(20).await;
    rig.fail_everything(FailureReason::Refused);
    // Wait for all paths: the path that was admitted first may still be retrying.
    let paths = ServicePath::V1.map(|part| part.path());
    while paths
        .iter()
        .any(|path| rig.state(path) != BreakerState::CoolingDown)
    {
        rig.polls(1).await;
    }
    rig.intake.refuse(Some("memory_limit"));
    rig.script.speak_v1();
    rig.script.asked();
    // Were it repeated at once, time would never pass.
    rig.polls(600).await;
    assert_eq!(
        rig.script.asked(),
        [""; 0],
        "what can't be taken isn't asked for"
    );
    rig.intake.refuse(None);
    let back = rig.polls(5).await;
    assert!(back.iter().any(|poll| poll["up"] == 1.0), "within the rest");
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_neither_asked_for_again_nor_sent_again() {
    let mut rig = Rig::new(v1(), "{cache: {ttl: 40s}}", |config| {
        config.dialect = Dialect::V1;
    });
    let polls = rig.polls(160).await;
    assert!(polls.len() >= 10, "{}", polls.len());
    assert!(
        polls
            .iter()
            .all(|poll| poll["up"] == 1.0 && poll["scrape_parts_failed"] == 0.0)
    );
    // One in ceil(40 / 15).
    let told = answered(&polls);
    assert!((3..=5).contains(&told), "{told} of {}", polls.len());
    let last = polls
        .iter()
        .rev()
        .find(|poll| poll.contains_key("betanet_latency"));
    assert_eq!(
        last.unwrap()["betanet_message_latency_seconds"],
        told as f64
    );
}
