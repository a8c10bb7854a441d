//! Nothing shows a secret while the agent works. Its sources, destinations and proxies fail in
//! every way and quote what they were sent; then a canary is looked for in the log at its finest
//! level, in the first lines, on every page, and in what the local exporters write.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/frames.rs"]
mod frames;
#[path = "support/parrot.rs"]
mod parrot;
#[path = "support/pki.rs"]
mod pki;
#[path = "support/wire.rs"]
mod wire;

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use parrot::{echo, hangup};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// What every secret below begins with. What follows says whose it is.
const CANARY: &str = "kan4ri";

/// How long anything may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The configuration; `ECHO`, `HANGUP`, `DIR` and the texts of `PEM` are replaced.
const YAML: &str = r#"
extensions:
  health_check: {endpoint: 127.0.0.1:0}
receivers:
  betanet:
    endpoints: [http://ECHO/text]
    dialect: native
    parts: [mixnodes, metrics, status]
    collection_interval: 1s
    auth: {bearer_token: kan4ri!source}
  betanet/moved:
    endpoints: [http://ECHO/moved, http://ECHO/close, http://127.0.0.1:9/refused]
    dialect: native
    collection_interval: 1s
    auth: {basic: {username: me, password: kan4ri!moved}}
  betanet/loops:
    endpoints: [http://ECHO/loops]
    dialect: native
    collection_interval: 1s
    follow_redirects: same_origin
    auth: {basic: {username: me, password_file: DIR/password}}
  node:
    root_path: DIR
    collection_interval: 1s
    targets: [{node_id: other, url: http://ECHO/text}]
    auth: {bearer_token_file: DIR/token}
  otlp/tls:
    protocols:
      http:
        endpoint: 127.0.0.1:0
        auth: {basic: {username: me, password: kan4ri!listener}}
        tls: {cert_file: DIR/server.pem, key_pem: SERVER_KEY}
        response_headers: {x-answer: kan4ri!answer}
  otlp:
    protocols:
      grpc: {endpoint: 127.0.0.1:0, auth: {bearer_token: kan4ri!grpc}}
processors:
  resilience: {}
exporters:
  prometheus: {endpoint: 127.0.0.1:0, auth: {bearer_token: kan4ri!page}}
  file: {path: DIR/data.jsonl}
  debug: {verbosity: detailed, output_paths: [stdout]}
  otlp_http/text:
    metrics_endpoint: http://ECHO/text?key=kan4ri!query&other=kan4ri%2Fescaped
    headers: {authorization: Bearer kan4ri!text, x-key: kan4ri!key}
  otlp_http/html:
    metrics_endpoint: http://ECHO/html
    headers: {cookie: 'session="kan4ri!cookie"; theme=dark'}
  otlp_http/json:
    metrics_endpoint: http://ECHO/json
    headers: {authorization: Basic BASIC}
  otlp_http/raw:
    metrics_endpoint: http://ECHO/raw
    headers: {x-key: 'a "kan4ri!quoted" key'}
  otlp_http/moved:
    metrics_endpoint: http://ECHO/moved?key=kan4ri!moved-query
    headers: {x-key: kan4ri!moved}
  otlp_http/partial:
    metrics_endpoint: http://ECHO/partial
    headers: {x-key: kan4ri!partial}
  otlp_http/close:
    metrics_endpoint: http://ECHO/close?key=kan4ri!close
  otlp_http/refused:
    metrics_endpoint: http://127.0.0.1:9/m?key=kan4ri!refused
  otlp_http/tls:
    metrics_endpoint: https://ECHO/text?key=kan4ri!tls
    tls: {cert_pem: CLIENT_CERT, key_pem: CLIENT_KEY, ca_file: DIR/ca.pem}
  otlp_http/proxy:
    metrics_endpoint: http://fog.invalid/text
    proxy_url: http://me:kan4ri!proxy@ECHO
  otlp_http/tunnel:
    metrics_endpoint: https://fog.invalid/text?key=kan4ri!tunnel
  otlp_grpc/status:
    endpoint: http://ECHO
    headers: {x-mode: status, authorization: Bearer kan4ri!status}
  otlp_grpc/partial:
    endpoint: http://ECHO
    headers: {x-mode: partial, x-key: kan4ri!grpc-partial}
  otlp_grpc/text:
    endpoint: http://ECHO
    headers: {x-mode: text, authorization: Basic BASIC}
  otlp_grpc/hangup:
    endpoint: http://HANGUP
    headers: {x-key: kan4ri!hangup}
  otlp_grpc/tls:
    endpoint: https://ECHO
    tls: {cert_file: DIR/client.pem, key_file: DIR/client.key, ca_file: DIR/ca.pem}
  otlp_grpc/tunnel:
    endpoint: https://fog.invalid:4317
service:
  extensions: [health_check]
  http: {endpoint: 127.0.0.1:0, auth: {bearer_token: kan4ri!http}}
  telemetry:
    logs:
      level: trace,h2=trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace,opentelemetry=trace,opentelemetry_sdk=trace
      encoding: json
    metrics:
      readers:
        - pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0, auth: {bearer_token: kan4ri!reader}}}}
  pipelines:
    metrics:
      receivers: [betanet, betanet/moved, betanet/loops, node, otlp, otlp/tls]
      processors: [resilience]
      exporters: EXPORTERS
"#;

/// Exporters whose peers quote a secret in an error.
const QUOTED: [&str; 10] = [
    "otlp_grpc/hangup",
    "otlp_grpc/status",
    "otlp_grpc/text",
    "otlp_grpc/tunnel",
    "otlp_http/html",
    "otlp_http/json",
    "otlp_http/moved",
    "otlp_http/proxy",
    "otlp_http/raw",
    "otlp_http/text",
];

/// Others that fail.
const FAILING: [&str; 5] = [
    "otlp_grpc/tls",
    "otlp_http/close",
    "otlp_http/refused",
    "otlp_http/tls",
    "otlp_http/tunnel",
];

/// Exporters whose peers take the data and quote a secret in a partial success.
const PARTIAL: [&str; 2] = ["otlp_grpc/partial", "otlp_http/partial"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_shows_nowhere_whatever_its_peers_do_with_it() {
    let pki = pki::Pki::new();
    fs::write(pki.path("token"), "kan4ri!token-file\n").unwrap();
    fs::write(pki.path("password"), "kan4ri!password-file\n").unwrap();
    let echo = echo().await;
    let text = |name: &str| fs::read_to_string(pki.path(name)).unwrap();
    let exporters: Vec<&str> = QUOTED.into_iter().chain(FAILING).chain(PARTIAL).collect();
    let yaml = YAML
        .replace("ECHO", &echo.to_string())
        .replace("HANGUP", &hangup().await.to_string())
        .replace("BASIC", &STANDARD.encode("me:kan4ri!basic"))
        .replace(
            "SERVER_KEY",
            &serde_json::to_string(&text("server.key")).unwrap(),
        )
        .replace(
            "CLIENT_CERT",
            &serde_json::to_string(&text("client.pem")).unwrap(),
        )
        .replace(
            "CLIENT_KEY",
            &serde_json::to_string(&text("client.key")).unwrap(),
        )
        .replace(
            "EXPORTERS",
            &format!("[prometheus, file, debug, {}]", exporters.join(", ")),
        )
        .replace("DIR", pki.dir().to_str().unwrap());
    let secrets = Secrets::of(&[&text("server.key"), &text("client.key")]);
    let agent = Agent::start(pki.dir(), &yaml, echo).await;

    let mut pages = vec![agent.until_all_have_failed(&exporters).await];
    let addresses = agent.addresses();
    assert!(addresses.len() >= 3, "{addresses:?}");
    for address in addresses {
        for path in ["/metrics", "/breakers", "/health", "/kan3ri"] {
            pages.push(agent.get(&format!("http://{address}{path}")).await);
        }
    }
    agent.call_its_receivers(&pages[0]).await;
    let log = agent.stop().await;

    let error = |page: &str, exporter: &str| {
        let health: Value = serde_json::from_str(page).unwrap();
        let lines = health["exporters"].as_array().unwrap();
        let line = lines.iter().find(|line| line["id"] == exporter);
        line.unwrap()["last_error"].to_string()
    };
    // Without this the peers might quote nothing, and there would be nothing to hide.
    for exporter in QUOTED {
        let error = error(&pages[0], exporter);
        assert!(
            error.contains("[redacted]"),
            "{exporter} quotes nothing: {error}"
        );
    }
    for exporter in PARTIAL {
        let mut lines = log.lines().filter(|line| line.contains(exporter));
        assert!(lines.any(|line| line.contains("[redacted]")), "{exporter}");
    }
    let written = ["stdout", "data.jsonl"].map(text);
    let everything = pages.iter().chain(&written).chain([&log]);
    let leaks: Vec<&str> = everything.flat_map(|text| secrets.lines(text)).collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// What secrets look like, also encoded.
struct Secrets(Vec<String>);

impl Secrets {
    fn of(keys: &[&str]) -> Self {
        let bytes: Vec<String> = CANARY.bytes().map(|byte| byte.to_string()).collect();
        let hex: String = CANARY.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut found = vec![CANARY.to_owned(), bytes.join(", "), hex];
        // By where in a group of three bytes it begins: the digits that nothing else changes.
        for (before, digits) in [(0, 0..8), (1, 2..9), (2, 3..10)] {
            let text = [&b"\0\0"[..before], CANARY.as_bytes()].concat();
            found.push(STANDARD.encode(text)[digits].to_owned());
        }
        for key in keys {
            found.push(key.lines().nth(1).unwrap()[40..].to_owned());
        }
        Self(found)
    }

    /// The lines that show one.
    fn lines<'t>(&self, text: &'t str) -> impl Iterator<Item = &'t str> {
        text.lines()
            .filter(|line| self.0.iter().any(|secret| line.contains(secret)))
    }
}

/// A running `foghorn`, killed when it is dropped.
struct Agent {
    child: Child,
    dir: std::path::PathBuf,
    client: reqwest::Client,
}

impl Agent {
    async fn start(dir: &Path, yaml: &str, proxy: SocketAddr) -> Self {
        fs::write(dir.join("agent.yaml"), yaml).unwrap();
        let file = |name: &str| fs::File::create(dir.join(name)).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_foghorn"))
            .arg("--config")
            .arg(dir.join("agent.yaml"))
            .env(
                "HTTPS_PROXY",
                format!("http://me:kan4ri!environment@{proxy}"),
            )
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("log"))
            .spawn()
            .unwrap();
        let client = reqwest::Client::builder()
            .no_proxy()
            .danger_accept_invalid_certs(true);
        let agent = Self {
            child,
            dir: dir.to_owned(),
            client: client.build().unwrap(),
        };
        let begun = Instant::now();
        while !agent.read("stdout").contains("look at") {
            assert!(begun.elapsed() < PATIENCE, "{}", agent.read("log"));
            sleep(Duration::from_millis(20)).await;
        }
        agent
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.dir.join(name)).unwrap()
    }

    /// Of its own pages, from the first lines.
    fn url(&self) -> String {
        let lines = self.read("stdout");
        let line = lines.lines().find(|line| line.contains("look at")).unwrap();
        line.split_whitespace()
            .last()
            .unwrap()
            .replace("/metrics", "")
    }

    /// A page, with the token of each listener in turn.
    async fn get(&self, url: &str) -> String {
        let mut page = String::new();
        for token in ["kan4ri!http", "kan4ri!page", "kan4ri!reader"] {
            let request = self
                .client
                .get(format!("{url}?token={token}"))
                .bearer_auth(token);
            let Ok(answer) = request.send().await else {
                continue;
            };
            let refused = answer.status() == StatusCode::UNAUTHORIZED;
            page = answer.text().await.unwrap();
            if !refused {
                break;
            }
        }
        page
    }

    /// The page of `/health` once all exporters and sources have failed that do.
    async fn until_all_have_failed(&self, exporters: &[&str]) -> String {
        let begun = Instant::now();
        loop {
            let page = self.get(&format!("{}/health", self.url())).await;
            let health: Value = serde_json::from_str(&page).unwrap_or_default();
            let tried = |id: &str, line: &Value| {
                line["id"] == id
                    && (line["last_error"].is_string()
                        || PARTIAL.contains(&id) && line["state"] == "working")
            };
            let lines = |key: &str| health[key].as_array().cloned().unwrap_or_default();
            let missing: Vec<_> = exporters
                .iter()
                .filter(|id| !lines("exporters").iter().any(|line| tried(id, line)))
                .collect();
            let fine = lines("endpoints").into_iter().filter(|line| {
                let id = line["id"].as_str().unwrap_or_default();
                id.starts_with("http://")
                    && id.contains('/')
                    && line["last_error"].is_null()
                    && line["component"]
                        .as_str()
                        .is_some_and(|c| c.starts_with("betanet"))
            });
            if missing.is_empty() && fine.count() == 0 {
                return page;
            }
            assert!(begun.elapsed() < PATIENCE, "{missing:?} {page}");
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The listeners of its pages, from the first lines.
    fn addresses(&self) -> Vec<String> {
        let text = self.read("stdout");
        let first = text.lines().take_while(|line| line.starts_with(['f', ' ']));
        let words = first.flat_map(str::split_whitespace);
        let urls = words.filter_map(|word| word.strip_prefix("http://")?.split_once('/'));
        let mut found: Vec<String> = urls
            .filter(|(_, path)| ["metrics", "health"].contains(path))
            .map(|(address, _)| address.to_owned())
            .collect();
        found.dedup();
        found
    }

    /// Requests to its receivers, with the right credentials and with wrong ones.
    async fn call_its_receivers(&self, health: &str) {
        let health: Value = serde_json::from_str(health).unwrap();
        let address = |receiver: &str| {
            let mut lines = health["endpoints"].as_array().unwrap().iter();
            let line = lines.find(|line| line["component"] == receiver).unwrap();
            let (_, address) = line["id"].as_str().unwrap().split_once("://").unwrap();
            address.to_owned()
        };
        let mut grpc = wire::Client::grpc(&address("otlp")).await;
        for token in ["Bearer kan4ri!grpc", "Bearer kan4ri!wrong"] {
            let headers = [
                ("content-type", "application/grpc"),
                ("authorization", token),
            ];
            let path = wire::grpc_path("metrics");
            grpc.post(path, &headers, wire::framed(&[], false)).await;
        }
        let url = format!(
            "https://{}/v1/metrics?key=kan4ri!client",
            address("otlp/tls")
        );
        for password in ["kan4ri!listener", "kan4ri!wrong"] {
            let request = self.client.post(&url).basic_auth("me", Some(password));
            let answer = request
                .body("{kan4ri")
                .header(CONTENT_TYPE, "application/json");
            answer.send().await.unwrap();
        }
    }

    /// Ends it and returns its log.
    async fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let begun = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            assert!(begun.elapsed() < PATIENCE, "it doesn't end");
            sleep(Duration::from_millis(20)).await;
        }
        self.read("log")
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It is gone already where the test has ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
