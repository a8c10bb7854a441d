//! Clients of Prometheus that are pointed at an agent, with nothing special configured: promtool,
//! vmalert, the Python package `prometheus-api-client`, and the requests that Grafana's data source sends. The same requests go to a real
//! Prometheus that holds the same points.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "query_clients/grafana.rs"]
mod grafana;
#[path = "support/peers.rs"]
mod peers;
#[path = "support/process.rs"]
mod process;

use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use process::Process;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::time::Instant;

/// What it may take to do a thing on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Without its own metrics, so that it holds the same points as a Prometheus that is sent them.
const AGENT: &str = "{receivers: {otlp: {protocols: {http: {endpoint: '127.0.0.1:0'}}}}, \
    processors: {window: {out_of_order_window: 1h}}, exporters: {prometheus: }, \
    service: {telemetry: {metrics: {level: none}}, pipelines: {metrics: {receivers: [otlp], \
    processors: [window], exporters: [prometheus]}}}}";

/// Minutes of points that are sent, the last of them a minute ago.
const MINUTES: u64 = 10;

/// An agent that has taken a few series by OTLP.
struct Scene {
    agent: Process,
    /// Seconds since 1970 of the last point.
    last: u64,
}

impl Scene {
    async fn start() -> Self {
        let agent = Process::start(AGENT);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let last = now.as_secs() - 60;
        let url = format!("http://{}/v1/metrics", agent.address("http").await);
        send(&url, &points(last)).await;
        Self { agent, last }
    }

    fn url(&self) -> String {
        self.agent.url().to_owned()
    }
}

/// Sends OTLP as JSON.
async fn send(url: &str, body: &Value) {
    let client = reqwest::Client::new();
    let request = client.post(url).header("content-type", "application/json");
    let answer = request.body(body.to_string()).send().await.unwrap();
    let status = answer.status();
    assert!(
        status.is_success(),
        "{status}: {}",
        answer.text().await.unwrap()
    );
}

/// A counter and a gauge of two services, and a histogram, a point a minute.
fn points(last: u64) -> Value {
    let times = (0..MINUTES).rev().map(|minute| last - 60 * minute);
    let start = (last - 60 * MINUTES) * 1_000_000_000;
    let numbers = |attribute: &str, value: &dyn Fn(u64) -> f64| -> Vec<Value> {
        let points = times.clone().zip(0..).map(|(time, n)| {
            json!({
                "timeUnixNano": (time * 1_000_000_000).to_string(),
                "startTimeUnixNano": start.to_string(),
                "asDouble": value(n),
                "attributes": [{"key": "code", "value": {"stringValue": attribute}}],
            })
        });
        points.collect()
    };
    let waits: Vec<Value> = (0..)
        .zip(times.clone())
        .map(|(n, time): (u64, u64)| {
            json!({
                "timeUnixNano": (time * 1_000_000_000).to_string(),
                "startTimeUnixNano": start.to_string(),
                "count": (4 * n).to_string(),
                "sum": 3.5 * n as f64,
                "explicitBounds": [0.5, 1.5],
                "bucketCounts": [n.to_string(), (2 * n).to_string(), n.to_string()],
            })
        })
        .collect();
    let resource = |service: &str, metrics: Value| {
        let name = json!({"key": "service.name", "value": {"stringValue": service}});
        json!({"resource": {"attributes": [name]}, "scopeMetrics": [{"metrics": metrics}]})
    };
    let requests = [
        numbers("200", &|n| (60 * n) as f64),
        numbers("500", &|n| (6 * n) as f64),
    ]
    .concat();
    json!({"resourceMetrics": [
        resource("shop", json!([
            {"name": "requests", "description": "Requests so far", "sum": {
                "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": requests}},
            {"name": "temperature", "unit": "Cel", "gauge": {
                "dataPoints": numbers("x", &|n| 20.0 + n as f64 / 4.0)}},
            {"name": "wait", "unit": "s", "histogram": {
                "aggregationTemporality": 2, "dataPoints": waits}},
        ])),
        resource("bank", json!([
            {"name": "temperature", "unit": "Cel", "gauge": {
                "dataPoints": numbers("x", &|n| 30.0 - n as f64)}},
        ])),
    ]})
}

/// A program that is killed when this is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The URL of a server that is content with whatever it is sent, once for each connection.
async fn sink() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                // What is sent fits into the buffers of the socket, so nobody waits for its end.
                let _ = stream.read(&mut [0; 1024]).await;
                let content = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
                let _ = stream.write_all(content).await;
                let _ = stream.shutdown().await;
                // Closed by the client, so that it can read the answer before it is told of an end.
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    url
}

/// What promtool prints, and whether it is content.
async fn promtool(program: &Path, arguments: &[&str]) -> (bool, String) {
    let (program, arguments) = (
        program.to_owned(),
        arguments.iter().map(|a| (*a).to_owned()),
    );
    let arguments: Vec<String> = arguments.collect();
    let run = move || Command::new(program).arg("query").args(arguments).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn promtool_reads_the_history_of_an_agent() {
    let Some(program) = peers::find("promtool") else {
        return;
    };
    let scene = Scene::start().await;
    let url = scene.url();
    let (start, end) = ((scene.last - 300).to_string(), scene.last.to_string());
    let f = async |arguments: &[&str], expected: &[&str]| {
        let (ok, said) = promtool(&program, arguments).await;
        assert!(ok, "{arguments:?}: {said}");
        for expected in expected {
            assert!(
                said.contains(expected),
                "{arguments:?}: {expected} in {said}"
            );
        }
    };
    f(
        &["instant", &url, "temperature_celsius", "--time", &end],
        &["job=\"shop\"", "=> 22.25 @[", "job=\"bank\"", "=> 21 @["],
    )
    .await;
    f(
        &[
            "instant",
            &url,
            "sum by (code) (rate(requests_total[5m]))",
            "--time",
            &end,
        ],
        &["{code=\"200\"} => 1 @[", "{code=\"500\"} => 0.1 @["],
    )
    .await;
    f(
        &[
            "instant",
            &url,
            "histogram_quantile(0.5, wait_seconds_bucket)",
            "--time",
            &end,
        ],
        &["=> 1 @["],
    )
    .await;
    f(
        &[
            "range",
            &url,
            "max(temperature_celsius)",
            "--start",
            &start,
            "--end",
            &end,
            "--step",
            "1m",
        ],
        &["{} =>\n26 @[", "22.25 @["],
    )
    .await;
    f(
        &[
            "series",
            &url,
            "--match",
            "temperature_celsius{job=~\"sh.*\"}",
        ],
        &["__name__=\"temperature_celsius\"", "job=\"shop\""],
    )
    .await;
    f(&["labels", &url, "job"], &["bank\nshop"]).await;
    f(&["instant", &url, "target_info"], &[]).await;
    let (ok, said) = promtool(&program, &["instant", &url, "rate("]).await;
    assert!(!ok && said.contains("bad_data"), "{said}");
    scene.agent.stop().await;
}

#[tokio::test]
async fn vmalert_evaluates_rules_over_the_history_of_an_agent() {
    let Some(program) = peers::find("vmalert") else {
        return;
    };
    let scene = Scene::start().await;
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.yaml");
    let mut file = std::fs::File::create(&rules).unwrap();
    file.write_all(
        b"groups: [{name: shop, interval: 1s, rules: [\
            {alert: Errors, expr: 'sum by (code) (rate(requests_total{code=\"500\"}[5m])) > 0.05'},\
            {alert: Never, expr: 'temperature_celsius > 100'},\
            {record: 'job:temperature:max', expr: 'max by (job) (temperature_celsius)'}]}]",
    )
    .unwrap();
    let sink = sink().await;
    let [port, ..] = peers::free_ports();
    let child = Command::new(program)
        .arg(format!("-datasource.url={}", scene.url()))
        .arg(format!("-rule={}", rules.display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{port}"))
        .arg(format!("-notifier.url={sink}"))
        .arg(format!("-remoteWrite.url={sink}"))
        .arg("-evaluationInterval=1s")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let begun = Instant::now();
    let rules = loop {
        assert!(begun.elapsed() < PATIENCE, "no rule was evaluated");
        tokio::time::sleep(Duration::from_millis(100)).await;
        let Ok(answer) = reqwest::get(format!("http://127.0.0.1:{port}/api/v1/rules")).await else {
            continue;
        };
        let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        let rules = answer["data"]["groups"][0]["rules"].clone();
        let all = rules.as_array().cloned().unwrap_or_default();
        let evaluated = |rule: &Value| rule["lastEvaluation"].as_str() > Some("0001-01-02");
        if all.len() == 3 && all.iter().all(evaluated) {
            break all;
        }
    };
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_eq!(rule["lastError"], "", "{rule}");
        let (samples, state) = match rule["name"].as_str().unwrap() {
            "Errors" => (1, json!("firing")),
            "Never" => (0, json!("inactive")),
            _ => (2, json!("")),
        };
        assert_eq!(rule["lastSamples"], samples, "{rule}");
        assert_eq!(rule["state"], state, "{rule}");
    }
    scene.agent.stop().await;
}

#[tokio::test]
async fn the_python_client_reads_the_history_of_an_agent() {
    let Some(program) = peers::find("prometheus-api-client-python") else {
        return;
    };
    let scene = Scene::start().await;
    let (url, last) = (scene.url(), scene.last.to_string());
    let mut python = Command::new(program);
    python.args(["-c", include_str!("query_clients/client.py"), &url, &last]);
    let run = tokio::task::spawn_blocking(move || python.output());
    let output = run.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    scene.agent.stop().await;
}

/// The status and the answer, without what a scope or the time of the answer adds.
async fn ask(url: &str, (method, path, parameters): &grafana::Asked) -> (u16, Value) {
    let client = reqwest::Client::new();
    let form = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    let request = if *method == "POST" {
        let request = client.post(format!("{url}/api/v1/{path}"));
        let form_type = "application/x-www-form-urlencoded";
        request.header("content-type", form_type).body(form)
    } else {
        client.get(format!("{url}/api/v1/{path}?{form}"))
    };
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (
        status,
        serde_json::from_str(&text).unwrap_or(Value::String(text)),
    )
}

#[tokio::test]
async fn what_grafana_asks_is_answered_as_prometheus_answers_it() {
    let Some(program) = peers::find("prometheus") else {
        return;
    };
    let scene = Scene::start().await;
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("prometheus.yml");
    // As the agent's page and history have it: translated, and with late points.
    std::fs::write(
        &config,
        "storage: {tsdb: {out_of_order_time_window: 1h}}\n\
         otlp: {translation_strategy: UnderscoreEscapingWithSuffixes}\n",
    )
    .unwrap();
    let [port, ..] = peers::free_ports();
    let child = Command::new(program)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!(
            "--storage.tsdb.path={}",
            directory.path().join("data").display()
        ))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .arg("--web.enable-otlp-receiver")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _running = Running(child);
    let theirs = format!("http://127.0.0.1:{port}");
    let begun = Instant::now();
    while !reqwest::get(format!("{theirs}/-/ready"))
        .await
        .is_ok_and(|a| a.status().is_success())
    {
        assert!(begun.elapsed() < PATIENCE, "Prometheus doesn't start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    send(
        &format!("{theirs}/api/v1/otlp/v1/metrics"),
        &points(scene.last),
    )
    .await;
    let ours = scene.url();
    let mut differences = Vec::new();
    for asked in grafana::requests(scene.last) {
        let (expected_status, mut expected) = ask(&theirs, &asked).await;
        let (status, mut found) = ask(&ours, &asked).await;
        // The parser says other words, and no place. Only ranges have an order there.
        for answer in [&mut expected, &mut found] {
            let is_of_parser = answer["error"]
                .as_str()
                .is_some_and(|e| e.contains("parse error"));
            if is_of_parser || asked.1 == "query" && answer["errorType"] == "execution" {
                answer["error"] = Value::Null;
            }
            let is_range = answer["data"]["resultType"] == "matrix";
            let place = match asked.1 {
                "query" if !is_range => "/data/result",
                "series" => "/data",
                _ => continue,
            };
            if let Some(Value::Array(list)) = answer.pointer_mut(place)
                && !list.iter().any(Value::is_number)
            {
                list.sort_by_key(Value::to_string);
            }
        }
        if (status, &found) != (expected_status, &expected) {
            differences.push(format!(
                "{asked:?}\n  expected {expected_status} {expected}\n  found    {status} {found}"
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    // What differs by design: which program it is, and where the connection is tested.
    let (status, info) = ask(&ours, &("GET", "status/buildinfo", vec![])).await;
    assert_eq!(status, 200);
    let version = info["data"]["version"].as_str().unwrap();
    assert!(version.starts_with("3."), "{info}");
    let (status, metadata) = ask(
        &ours,
        &("GET", "metadata", vec![("limit", "1000".to_owned())]),
    )
    .await;
    assert_eq!(status, 200);
    let known = &metadata["data"]["requests_total"][0];
    assert_eq!(known["type"], "counter");
    assert_eq!(known["help"], "Requests so far");
    let front = reqwest::get(format!("{ours}/")).await.unwrap();
    assert_eq!(front.status(), 200);
    scene.agent.stop().await;
}
