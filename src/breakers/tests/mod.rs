//! What is seen of a breaker that goes through an outage.

mod http;

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::{Instant, advance};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::resilience::{
    BreakerConfig, Config, EndpointId, FetchError, Force, Guard, Mode, Outcome, PollConfig,
    Transport, Trigger,
};
use crate::telemetry::TelemetrySettings;

/// One guarded endpoint, watched.
struct Scene {
    endpoints: Arc<Endpoints>,
    guard: Guard<u32>,
    telemetry: Telemetry,
}

impl Scene {
    fn new(config: &Config) -> Self {
        Self::at("http://user:secret@a:9000/m?token=x", config)
    }

    fn at(url: &str, config: &Config) -> Self {
        let watch = BreakerWatch::new();
        let stop = CancellationToken::new();
        let endpoints = Endpoints::new(2, stop).seeded(1);
        let endpoints = Arc::new(endpoints.observed_by(watch.observer()));
        let settings = config.resolve(&PollConfig::default()).unwrap();
        let guard = endpoints
            .guard(EndpointId::new("betanet", url), settings)
            .unwrap();
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        watch.begin(&telemetry, &endpoints, endpoints.max());
        Self {
            endpoints,
            guard,
            telemetry,
        }
    }

    /// A poll whose attempts all take 40 ms and come to this.
    async fn poll(&self, outcome: Outcome) {
        let fetch = move |_| async move {
            tokio::time::sleep(Duration::from_millis(40)).await;
            match outcome {
                Outcome::Success => Ok(1),
                outcome => Err(FetchError::new(outcome, "no")),
            }
        };
        self.guard.poll(Trigger::Tick, fetch).await;
    }

    /// Polls every 15 s that are refused, until the breaker opens.
    async fn outage(&self) {
        while self.guard.endpoint().breaker().state().is_closed() {
            self.poll(Outcome::Transport(Transport::Refused)).await;
            advance(Duration::from_secs(15)).await;
        }
    }

    /// The page's samples as `name{label=value,...}`, without the prefix and the labels
    /// that all have.
    fn page(&self) -> Vec<(String, f64)> {
        let mut samples = Vec::new();
        for family in self.telemetry.gather_now() {
            let Some(name) = family.name().strip_prefix("circuit_breaker_") else {
                continue;
            };
            for metric in family.get_metric() {
                let labels: Vec<String> = metric
                    .get_label()
                    .iter()
                    .filter(|l| !["component", "endpoint"].contains(&l.name()))
                    .map(|label| format!("{}={}", label.name(), label.value()))
                    .collect();
                let value = metric.get_counter().get_value()
                    + metric.get_gauge().get_value()
                    + metric.get_histogram().get_sample_count() as f64;
                samples.push((format!("{name}{{{}}}", labels.join(",")), value));
            }
        }
        samples
    }

    fn sample(&self, name: &str) -> Option<f64> {
        let page = self.page();
        let mut samples = page.iter();
        samples.find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

/// Whether the page has these samples; NaN stands for "not there".
fn shows(scene: &Scene, expected: &[(&str, f64)]) {
    let page = scene.page();
    for (name, value) in expected {
        let shown = page
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| *value);
        let same = match shown {
            None => value.is_nan(),
            Some(shown) => (shown - value).abs() < 1e-9,
        };
        assert!(same, "{name}: {shown:?} and not {value} on {page:#?}");
    }
}

const ABSENT: f64 = f64::NAN;

#[tokio::test(start_paused = true)]
async fn durations_are_shown_of_each_endpoint_that_is_there_however_many_came_and_went() {
    let scene = Scene::new(&Config::default());
    scene.poll(Outcome::Success).await;
    // The registry has room for two, and so had the table of the SDK.
    for n in 0..50 {
        let id = EndpointId::new("prometheus", &format!("http://target-{n}/metrics"));
        let settings = Config::default().resolve(&PollConfig::default()).unwrap();
        let guard: Guard<u32> = scene.endpoints.guard(id.clone(), settings).unwrap();
        guard.poll(Trigger::Tick, |_| async { Ok(1) }).await;
        let shown = scene.page().into_iter();
        let shown = shown.filter(|(name, _)| name == "request_duration_seconds{}");
        assert_eq!(shown.map(|(_, count)| count).sum::<f64>(), 2.0, "{n}");
        scene.endpoints.remove(&id);
    }
    let families = scene.telemetry.gather_now();
    let family = families
        .iter()
        .find(|family| family.name() == "circuit_breaker_request_duration_seconds");
    let [metric] = family.unwrap().get_metric() else {
        panic!("one endpoint is left")
    };
    let histogram = metric.get_histogram();
    assert_eq!(histogram.get_sample_count(), 1);
    assert!((histogram.get_sample_sum() - 0.04).abs() < 1e-9);
    let at_least = |count: u64| {
        let mut buckets = histogram.get_bucket().iter();
        buckets
            .find(|bucket| bucket.cumulative_count() >= count)
            .map(|b| b.upper_bound())
    };
    assert_eq!(at_least(1), Some(0.05));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_was_never_asked_shows_what_is_known_of_it() {
    let scene = Scene::new(&Config::default());
    shows(
        &scene,
        &[
            ("state{}", 0.0),
            ("enforcing{}", 1.0),
            ("failures_total{}", 0.0),
            ("requests_total{outcome=success}", 0.0),
            ("requests_total{outcome=timeout}", ABSENT),
            ("rejected_total{reason=open}", 0.0),
            ("retries_total{result=success}", 0.0),
            ("cache_requests_total{result=fresh}", 0.0),
            ("late_results_total{}", 0.0),
            ("health_score{}", 1.0),
            ("threshold{}", 5.0),
            ("ewma_error_ratio{}", 0.0),
            ("open_remaining_seconds{}", 0.0),
            ("half_open_in_flight{}", 0.0),
            ("retry_budget_tokens{}", 10.0),
            ("success_ratio{}", ABSENT),
            ("latency_ms{}", ABSENT),
            ("last_opened{}", ABSENT),
            ("cache_age_seconds{}", ABSENT),
            ("cache_stale{}", ABSENT),
            ("request_duration_seconds{}", ABSENT),
            ("registration_failures_total{}", 0.0),
            ("monitoring_task_count{}", 0.0),
            ("active_tasks{}", 0.0),
            ("network_suspected{}", 0.0),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn an_outage_shows_in_every_metric() {
    let scene = Scene::new(&Config::default());
    scene.poll(Outcome::Success).await;
    advance(Duration::from_secs(15)).await;
    scene.outage().await;
    scene.poll(Outcome::Success).await;
    shows(
        &scene,
        &[
            ("state{}", 2.0),
            ("failures_total{}", 5.0),
            ("requests_total{outcome=success}", 1.0),
            ("requests_total{outcome=transport}", 5.0),
            ("rejected_total{reason=open}", 1.0),
            ("retries_total{result=failure}", 3.0),
            ("retries_total{result=rejected}", 2.0),
            ("retry_budget_tokens{}", 7.0),
            (
                "transitions_total{from=Healthy,reason=consecutive_failures,to=Degraded}",
                1.0,
            ),
            (
                "transitions_total{from=Degraded,reason=consecutive_failures,to=CoolingDown}",
                1.0,
            ),
            ("success_ratio{}", 1.0 / 6.0),
            ("latency_ms{}", 40.0),
            ("cache_requests_total{result=miss}", 4.0),
            ("cache_requests_total{result=stale}", 3.0),
            ("cache_stale{}", 1.0),
            ("request_duration_seconds{}", 6.0),
        ],
    );
    // A cooldown of 21 to 39 s, of which a poll's interval has passed.
    let remaining = scene.sample("open_remaining_seconds{}").unwrap();
    assert!((6.0..=24.0).contains(&remaining), "{remaining}");
    assert!(scene.sample("cache_age_seconds{}").unwrap() > 45.0);
    assert!(scene.sample("last_opened{}").unwrap() > 1.7e9);

    let id = scene.guard.endpoint().id();
    scene.endpoints.force(id, Force::Open, Instant::now());
    shows(&scene, &[("open_remaining_seconds{}", ABSENT)]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_gone_from_the_page() {
    let scene = Scene::new(&Config::default());
    scene.outage().await;
    let before = scene.page().len();
    let removed = scene.endpoints.remove(scene.guard.endpoint().id());
    assert!(before > 20 && removed.is_some());
    let page = scene.page();
    let of_agent = ["registration_", "monitoring_", "active_tasks", "network_"];
    assert!(
        page.iter()
            .all(|(name, _)| of_agent.iter().any(|start| name.starts_with(start))),
        "{page:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_cannot_be_registered_is_counted() {
    let scene = Scene::new(&Config::default());
    let register = |name: &str| {
        let id = EndpointId::new("otlp", name);
        scene.endpoints.breaker(id, Default::default())
    };
    register("a:4317").unwrap();
    let error = register("b:4317").unwrap_err().to_string();
    assert!(error.contains("service.max_endpoints"), "{error}");
    shows(&scene, &[("registration_failures_total{}", 1.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_suspected_network_shows_until_the_first_success() {
    let scene = Scene::new(&Config::default());
    let network = scene.endpoints.network();
    for peer in ["a:80", "b:80", "c:80"] {
        shows(&scene, &[("network_suspected{}", 0.0)]);
        network.record(Instant::now(), peer, Outcome::Timeout);
    }
    shows(&scene, &[("network_suspected{}", 1.0)]);
    network.record(Instant::now(), "b:80", Outcome::Success);
    shows(&scene, &[("network_suspected{}", 0.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_only_observes_says_so() {
    let config = Config {
        breaker: BreakerConfig {
            mode: Some(Mode::Observe),
            ..BreakerConfig::default()
        },
        ..Config::default()
    };
    let scene = Scene::new(&config);
    scene.outage().await;
    scene.poll(Outcome::Success).await;
    shows(
        &scene,
        &[
            ("state{}", 2.0),
            ("enforcing{}", 0.0),
            ("requests_total{outcome=transport}", 5.0),
            ("request_duration_seconds{}", 6.0),
        ],
    );
    assert!(scene.sample("rejected_total{reason=open}").unwrap() > 0.0);
}

#[tokio::test(start_paused = true)]
async fn names_carry_no_credentials_and_survive_what_is_hostile() {
    let hostile = "http://u:secret@a/\u{1b}[0m\"} 1\n# TYPE x counter\\";
    let scene = Scene::at(hostile, &Config::default());
    scene.outage().await;
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&scene.telemetry.gather_now())
        .unwrap();
    assert!(!text.contains("secret"));
    assert!(!text.contains("\n# TYPE x counter"), "{text}");
}

#[tokio::test]
async fn without_metrics_there_are_no_instruments() {
    let watch = BreakerWatch::new();
    let endpoints = Arc::new(Endpoints::new(1, CancellationToken::new()));
    let telemetry = Telemetry::off();
    watch.begin(&telemetry, &endpoints, endpoints.max());
    assert!(telemetry.gather().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_documentation_lists_what_is_on_the_page() {
    let scene = Scene::new(&Config::default());
    scene.poll(Outcome::Success).await;
    advance(Duration::from_secs(15)).await;
    scene.outage().await;
    let documentation = include_str!("../../../docs/resilience.md");
    let listed: BTreeSet<&str> = documentation
        .lines()
        .filter(|line| line.starts_with("| `circuit_breaker_"))
        .flat_map(|line| {
            line.split('`')
                .filter(|word| word.starts_with("circuit_breaker_"))
        })
        .map(|word| word.split('{').next().unwrap())
        // Of the service.
        .filter(|name| *name != "circuit_breaker_shutdown_tasks_total")
        .collect();
    let page = scene.telemetry.gather_now();
    let shown: BTreeSet<&str> = page
        .iter()
        .map(|family| family.name())
        .filter(|name| name.starts_with("circuit_breaker_"))
        .collect();
    assert_eq!(listed, shown);
}
