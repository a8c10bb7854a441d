//! A whole agent that is asked about itself, and about the resources that send to it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/process.rs"]
mod process;
#[path = "support/strict.rs"]
mod strict;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use process::Process;
use serde_json::{Value, json};
use tokio::time::Instant;

/// What it may take to do a thing on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

const AGENT: &str = "
receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}
processors: {window: , aggregate: }
exporters: {prometheus: }
service:
  pipelines:
    metrics: {receivers: [otlp], processors: [window, aggregate], exporters: [prometheus]}
";

type LabelMap = BTreeMap<String, String>;

/// What a query comes to now: labels and values.
async fn query(agent: &Process, text: &str) -> Vec<(LabelMap, f64)> {
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("query", text)
        .finish();
    let answer: Value =
        serde_json::from_str(&agent.get(&format!("/api/v1/query?{form}")).await).unwrap();
    let found = answer["data"]["result"].as_array();
    let found = found.unwrap_or_else(|| panic!("{text}: {answer}"));
    let pairs = found.iter().map(|one| {
        let labels = serde_json::from_value(one["metric"].clone()).unwrap();
        let value: f64 = one["value"][1].as_str().unwrap().parse().unwrap();
        (labels, value)
    });
    pairs.collect()
}

/// The same once there is anything.
async fn query_until_found(agent: &Process, text: &str) -> Vec<(LabelMap, f64)> {
    let begun = Instant::now();
    loop {
        let found = query(agent, text).await;
        if !found.is_empty() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{text} stays empty");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Sends that a shop is up, which is in a cellar.
async fn send(agent: &Process) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let attribute = |(key, value)| json!({"key": key, "value": {"stringValue": value}});
    let resource = [
        ("service.name", "shop"),
        ("service.instance.id", "a"),
        ("host.name", "cellar"),
    ];
    let point = json!({"timeUnixNano": now.as_nanos().to_string(), "asDouble": 1});
    let body = json!({"resourceMetrics": [{
        "resource": {"attributes": resource.map(attribute)},
        "scopeMetrics": [{"metrics": [{"name": "up", "gauge": {"dataPoints": [point]}}]}],
    }]});
    let url = format!("http://{}/v1/metrics", agent.address("http").await);
    let request = reqwest::Client::new().post(url).body(body.to_string());
    let request = request.header("content-type", "application/json");
    assert!(request.send().await.unwrap().status().is_success());
}

#[tokio::test]
async fn an_agent_answers_for_itself_and_for_what_its_page_says_of_resources() {
    let agent = Process::start(AGENT);
    send(&agent).await;
    let joined = "up * on (job, instance) group_left (host_name) target_info";
    let joined = query_until_found(&agent, joined).await;
    let labels = json!({"job": "shop", "instance": "a", "host_name": "cellar"});
    let labels: LabelMap = serde_json::from_value(labels).unwrap();
    assert_eq!(joined, [(labels, 1.0)]);

    // The sample was taken on another thread, and its families one after the other.
    query_until_found(&agent, "target_info{job=\"foghorn\"}").await;
    let own = query(&agent, "{job=\"foghorn\"}").await;
    let page = strict::read(&agent.get("/metrics").await, false).unwrap();
    // A label with an empty value is none.
    let page = page.into_iter().map(|((name, mut labels), value)| {
        labels.retain(|_, value| !value.is_empty());
        ((name, labels), value)
    });
    let page: BTreeMap<(String, LabelMap), f64> = page.collect();
    for (mut labels, value) in own {
        assert_eq!(labels.remove("job").unwrap(), "foghorn");
        assert_eq!(labels.remove("instance").unwrap().len(), 36, "a UUID");
        let name = labels.remove("__name__").unwrap();
        let shown = page.get(&(name.clone(), labels.clone()));
        let shown = shown.unwrap_or_else(|| panic!("{name}{labels:?} isn't on the page"));
        // The others go on counting what is asked here.
        if name == "otelcol_receiver_accepted_metric_points" || name == "target_info" {
            assert_eq!(value, *shown, "{name}{labels:?}");
        }
    }
    let accepted = "otelcol_receiver_accepted_metric_points{receiver=\"otlp\"}";
    assert_eq!(query(&agent, accepted).await.len(), 1);
    let version = "count by (service_version) (otelcol_process_uptime \
        * on (job, instance) group_left (service_version) target_info)";
    let version = &query(&agent, version).await[0].0["service_version"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    let metadata: Value = serde_json::from_str(&agent.get("/api/v1/metadata").await).unwrap();
    let kind = |name: &str| metadata["data"][name][0]["type"].as_str().unwrap();
    assert_eq!(kind("otelcol_receiver_accepted_metric_points"), "counter");
    assert_eq!(kind("target_info"), "gauge");

    // Statistics are of what passes the pipeline, unless others are asked for by name.
    let aggregated = async |query: &str| {
        let page = agent.get(&format!("/metrics/aggregated{query}")).await;
        let samples = strict::read(&page, false).unwrap();
        let mut names: Vec<String> = samples.into_iter().map(|((name, _), _)| name).collect();
        names.dedup();
        names
    };
    assert_eq!(aggregated("").await, ["up"]);
    assert_eq!(
        aggregated("?match=otelcol_process_memory_rss").await,
        ["otelcol_process_memory_rss"]
    );
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_to_which_nobody_sends_anything_answers_for_itself() {
    let agent = Process::start(AGENT);
    assert_eq!(query(&agent, "otelcol_process_uptime").await.len(), 1);
    agent.stop().await;
}
