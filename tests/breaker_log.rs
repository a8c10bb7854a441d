//! What breakers do, as lines of the log. In a process of its own: which lines are written
//! is decided for all threads of one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use foghorn::breakers::{BreakerWatch, routes};
use foghorn::resilience::{
    Config, EndpointId, Endpoints, FetchError, Guard, Outcome, PollConfig, Transport, Trigger,
};
use foghorn::settings::{ListenerAuthConfig, ListenerConfig};
use serde_json::Value;
use tokio::time::{Instant, advance};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::fmt::MakeWriter;

/// Collects the lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Lines {
    /// Those of the process, from the first call on.
    fn all() -> &'static Self {
        static LINES: OnceLock<Lines> = OnceLock::new();
        LINES.get_or_init(|| {
            let lines = Lines::default();
            let subscriber = tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_writer(lines.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).unwrap();
            lines
        })
    }

    /// What was logged about an endpoint at a level.
    fn of(&self, endpoint: &str, level: &str) -> Vec<Value> {
        let bytes = self.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .filter(|line| line["level"] == level && line["endpoint"] == endpoint)
            .collect()
    }
}

fn guard(url: &str) -> (Arc<Endpoints>, Guard<u32>) {
    let endpoints = Endpoints::new(1, CancellationToken::new()).seeded(1);
    let endpoints = Arc::new(endpoints.observed_by(BreakerWatch::new().observer()));
    let settings = Config::default().resolve(&PollConfig::default()).unwrap();
    let guard = endpoints.guard(EndpointId::new("betanet", url), settings);
    (endpoints, guard.unwrap())
}

/// A poll whose attempts all take 40 ms and come to this, and the time to the next.
async fn poll(guard: &Guard<u32>, trigger: Trigger, outcome: Outcome) {
    let fetch = move |_| async move {
        tokio::time::sleep(Duration::from_millis(40)).await;
        match outcome {
            Outcome::Success => Ok(1),
            outcome => Err(FetchError::new(outcome, "no")),
        }
    };
    guard.poll(trigger, fetch).await;
    advance(Duration::from_secs(15)).await;
}

const REFUSED: Outcome = Outcome::Transport(Transport::Refused);

#[tokio::test(start_paused = true)]
async fn an_outage_is_one_warning_one_error_and_a_rejection_a_minute() {
    let lines = Lines::all();
    let (_endpoints, guard) = guard("http://user:secret@outage/m?token=x");
    let breaker = guard.endpoint().breaker();
    let began = Instant::now();
    poll(&guard, Trigger::Tick, Outcome::Success).await;
    // Ten minutes of ticks, with a canary whenever one is due, and then it is back.
    for _ in 0..40 {
        poll(&guard, Trigger::Tick, REFUSED).await;
    }
    while !breaker.state().is_closed() {
        poll(&guard, Trigger::Wake, Outcome::Success).await;
    }
    for _ in 0..3 {
        poll(&guard, Trigger::Tick, Outcome::Success).await;
    }

    let of = |level| lines.of("http://outage/m", level);
    let warnings = of("WARN");
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(warnings[0]["state_transition"], "Healthy -> Degraded");
    let errors = of("ERROR");
    assert_eq!(errors.len(), 1, "{errors:?}");
    let error = &errors[0];
    assert_eq!(error["component"], "betanet");
    assert_eq!(error["state_transition"], "Degraded -> CoolingDown");
    assert_eq!(error["reason"], "consecutive_failures");
    assert_eq!(error["fail_count"], 5);
    assert_eq!(error["threshold"], 5);
    assert_eq!(error["success_rate"], 0.167);
    assert_eq!(error["latency_ms"], 40.0);
    assert!(error["health_score"].as_f64().unwrap() < 1.0);
    let cooldown = error["cooldown_s"].as_f64().unwrap();
    assert!((21.0..=39.0).contains(&cooldown), "{cooldown}");
    assert_eq!(error["generation"], 1);
    assert_eq!(error["seq"], 2);

    let infos = of("INFO");
    let last = infos.last().unwrap();
    assert_eq!(last["state_transition"], "Degraded -> Healthy");
    let rejections: Vec<_> = infos
        .iter()
        .filter(|line| line["rejections"].is_u64())
        .collect();
    let minutes = began.elapsed().as_secs() / 60;
    assert!(
        (5..=minutes).contains(&(rejections.len() as u64)),
        "{rejections:?}"
    );
    let told: u64 = rejections
        .iter()
        .filter_map(|line| line["rejections"].as_u64())
        .sum();
    assert!(told > 25, "{told} rejections are told of");
}

#[tokio::test(start_paused = true)]
async fn a_command_is_logged_without_the_token() {
    let lines = Lines::all();
    let (endpoints, _guard) = guard("http://commanded");
    let listener = ListenerConfig {
        auth: Some(ListenerAuthConfig::BearerTokenFile("token".into())),
        ..ListenerConfig::ephemeral()
    };
    let routes = routes(&endpoints, &listener);
    let force_open = routes
        .iter()
        .find(|route| route.path.ends_with("/force_open"));
    let request = hyper::Request::post("/breakers/betanet:http%3A%2F%2Fcommanded/force_open")
        .header("authorization", "Bearer t0ken")
        .body(Bytes::new());
    let response = force_open.unwrap().handler.handle(request.unwrap()).await;
    assert_eq!(response.status(), 200);

    let infos = lines.of("http://commanded", "INFO");
    let commands = infos.iter().filter(|line| line["command"] == "force_open");
    assert_eq!(
        commands
            .filter(|line| line["state"] == "CoolingDown")
            .count(),
        1
    );
    let transitions = infos.iter().filter(|line| line["reason"] == "force_open");
    let opened = |line: &&Value| line["state_transition"] == "Healthy -> CoolingDown";
    assert_eq!(transitions.filter(opened).count(), 1);
    assert!(
        lines.of("http://commanded", "ERROR").is_empty(),
        "it was asked for"
    );
    assert!(!String::from_utf8_lossy(&lines.0.lock().unwrap()).contains("t0ken"));
}
