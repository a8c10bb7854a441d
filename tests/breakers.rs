//! The breakers of a running agent as an operator meets them: a source and a destination
//! that nobody serves, the pages that tell of them, and the commands.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::net::TcpListener;

use reqwest::{Client, Method, StatusCode};
use serde_json::Value;

#[path = "support/agent.rs"]
mod agent;

use agent::Agent;

const TOKEN: &str = "correct-horse";

/// An agent whose source and destination refuse connections.
struct Rig {
    agent: Agent,
    client: Client,
    base: String,
    /// Where nothing listens.
    dead: String,
}

impl Rig {
    async fn start(http: &str) -> Self {
        // Bound and closed, so that nobody else has it for a while.
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let dead = format!("http://{}", socket.local_addr().unwrap());
        drop(socket);
        let agent = Agent::start(&format!(
            "
receivers:
  betanet: {{endpoints: ['{dead}'], dialect: native, collection_interval: 1h}}
processors:
  resilience:
exporters:
  prometheus:
  otlp_http/hub: {{endpoint: '{dead}'}}
service:
  http: {http}
  pipelines:
    metrics: {{receivers: [betanet], processors: [resilience], exporters: [prometheus, otlp_http/hub]}}
"
        ))
        .await;
        let metrics = agent.urls.iter().find(|url| url.ends_with("/metrics"));
        let base = metrics
            .unwrap()
            .strip_suffix("/metrics")
            .unwrap()
            .to_owned();
        Self {
            agent,
            client: Client::new(),
            base,
            dead,
        }
    }

    async fn ask(&self, method: Method, path: &str, token: Option<&str>) -> (StatusCode, String) {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> String {
        let (status, body) = self.ask(Method::GET, path, Some(TOKEN)).await;
        assert!(status.is_success(), "{path}: {status} {body}");
        body
    }

    async fn command(&self, id: &str, command: &str) -> Value {
        let path = format!("/breakers/{id}/{command}");
        let (status, body) = self.ask(Method::POST, &path, Some(TOKEN)).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The id of the destination's breaker, which is there from the start.
    async fn hub(&self) -> String {
        let list: Value = serde_json::from_str(&self.get("/breakers").await).unwrap();
        let mut breakers = list["breakers"].as_array().unwrap().iter();
        let hub = breakers.find(|breaker| breaker["component"] == "otlp_http/hub");
        hub.unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn sample(&self, page: &str, name: &str) -> Option<f64> {
        let series = format!(
            "{name}{{component=\"otlp_http/hub\",endpoint=\"{}\",signal=\"metrics\"}} ",
            self.dead
        );
        let value = page.lines().find_map(|line| line.strip_prefix(&series))?;
        Some(value.parse().unwrap())
    }
}

#[tokio::test]
async fn a_command_shows_on_every_page() {
    let auth = format!("{{endpoint: 127.0.0.1:0, auth: {{bearer_token: {TOKEN}}}}}");
    let rig = Rig::start(&auth).await;
    let hub = rig.hub().await;

    let line = rig.command(&hub, "force_open").await;
    assert_eq!(line["state"], "CoolingDown");
    let page = rig.get("/metrics").await;
    assert_eq!(rig.sample(&page, "circuit_breaker_state"), Some(2.0));
    assert!(rig.sample(&page, "circuit_breaker_last_opened").is_some());
    let remaining = rig.sample(&page, "circuit_breaker_open_remaining_seconds");
    assert_eq!(remaining, None, "no time ends it");
    let health: Value = serde_json::from_str(&rig.get("/health").await).unwrap();
    assert_eq!(health["status"], "degraded");
    let exporters = health["exporters"].as_array().unwrap();
    let line = exporters.iter().find(|line| line["id"] == "otlp_http/hub");
    assert_eq!(line.unwrap()["breaker"], "CoolingDown");
    assert!(line.unwrap()["health_score"].is_f64());

    rig.command(&hub, "reset").await;
    let page = rig.get("/metrics").await;
    assert_eq!(rig.sample(&page, "circuit_breaker_state"), Some(0.0));
    let transitions = page.lines().filter(|line| {
        line.starts_with("circuit_breaker_transitions_total{") && line.contains(&rig.dead)
    });
    assert!(transitions.count() >= 2, "{page}");
    rig.agent.stop().await;
}

#[tokio::test]
async fn commands_need_the_token_the_method_and_a_breaker() {
    let auth = format!("{{endpoint: 127.0.0.1:0, auth: {{bearer_token: {TOKEN}}}}}");
    let rig = Rig::start(&auth).await;
    let path = format!("/breakers/{}/force_open", rig.hub().await);
    let f = async |method: Method, path: &str, token: Option<&str>, expected: u16| {
        let (status, body) = rig.ask(method, path, token).await;
        assert_eq!(status, expected, "{path}: {body}");
    };
    f(Method::POST, &path, None, 401).await;
    f(Method::POST, &path, Some("wrong"), 401).await;
    f(Method::GET, &path, Some(TOKEN), 405).await;
    f(Method::POST, "/breakers/nobody:x/reset", Some(TOKEN), 404).await;
    f(Method::POST, "/breakers", Some(TOKEN), 405).await;
    f(Method::POST, "/metrics", Some(TOKEN), 405).await;
    let page = rig.get("/metrics").await;
    assert_eq!(rig.sample(&page, "circuit_breaker_state"), Some(0.0));
    rig.agent.stop().await;
}

#[tokio::test]
async fn without_a_token_nothing_is_commanded_and_the_answer_says_what_is_missing() {
    let rig = Rig::start("{endpoint: 127.0.0.1:0}").await;
    let path = format!("/breakers/{}/force_open", rig.hub().await);
    let (status, body) = rig.ask(Method::POST, &path, None).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert!(body.contains("service.http.auth"), "{body}");
    let page = rig.get("/metrics").await;
    assert_eq!(rig.sample(&page, "circuit_breaker_state"), Some(0.0));
    rig.agent.stop().await;
}

#[tokio::test]
async fn a_source_that_is_down_shows_from_its_first_poll_on() {
    let rig = Rig::start("{endpoint: 127.0.0.1:0}").await;
    // The first poll comes within a second, and its attempts are refused at once.
    let refused = |page: &str| {
        let mut lines = page.lines();
        lines.any(|line| {
            line.starts_with("circuit_breaker_requests_total{component=\"betanet\"")
                && line.contains("outcome=\"transport\"")
        })
    };
    let begun = tokio::time::Instant::now();
    let page = loop {
        let page = rig.get("/metrics").await;
        if refused(&page) {
            break page;
        }
        assert!(begun.elapsed().as_secs() < 20, "never asked: {page}");
        tokio::task::yield_now().await;
    };
    assert!(page.contains("circuit_breaker_request_duration_seconds_bucket{component=\"betanet\""));
    assert!(page.contains("circuit_breaker_monitoring_task_count 1\n"));
    rig.agent.stop().await;
}
