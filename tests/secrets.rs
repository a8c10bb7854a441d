//! Nothing that can carry a secret shows it: a canary stands in every key of every component,
//! in turn, and is looked for in errors of the configuration and of the start, warnings, dumps,
//! first lines and what `Debug` prints. `secrets_at_work.rs` looks at what comes later.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use foghorn::cli;
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::service::Service;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use foghorn::yaml::{Diagnostics, Node, NodeKind, parse, print};

/// No host name, so that nobody looks it up, and no word of ours.
const CANARY: &str = "kan4ri!";

/// Every component, with the keys that its documentation lists.
const SAMPLES: [&str; 4] = [
    "
receivers:
  betanet:
    endpoints: [http://127.0.0.1:9]
    dialect: native
    parts: [mixnodes]
    max_mixnodes: 10
    collection_interval: 15s
    initial_delay: 1s
    timeout: 2s
    auth: {bearer_token: x}
    tls: {ca_file: ca.pem, insecure_skip_verify: false}
    follow_redirects: none
    max_body_size: 1MiB
  betanet/two:
    endpoints: [http://127.0.0.1:9/two]
    auth: {basic: {username: u, password: x}}
    tls: {ca_pem: x, cert_pem: x, key_pem: x}
  deployment:
    control_plane:
      type: fog
      endpoint: http://127.0.0.1:9
      max_deployments: 5
      details: true
      auth: {bearer_token: x}
      max_body_size: 1MiB
    request_metrics:
      scrape:
        targets: [{deployment_id: a, deployment_name: b, urls: [http://127.0.0.1:9/m]}]
        max_series: 10
        auth: {basic: {username: u, password: x}}
  deployment/two:
    control_plane:
      type: kubernetes
      endpoint: http://127.0.0.1:9
      namespace: a
      auth: {basic: {username: u, password: x}}
  node:
    node_id: fog-7
    semconv: v1
    root_path: /
    filesystems: {include: [/.*], exclude: [/boot.*]}
    disks: {include: [a], exclude: []}
    networks: {include: [eth.*], exclude: []}
    targets: [{node_id: node-2, url: http://127.0.0.1:9/metrics}]
    auth: {bearer_token_file: /run/token}
processors:
  resilience:
    breaker: {failure_threshold: 5, cooldown: 5s}
    retry: {max: 3, base: 1s}
    cache: {max_staleness: 1m}
  memory_limiter: {check_interval: 1s, limit_mib: 400}
exporters:
  prometheus:
    endpoint: 127.0.0.1:0
    auth: {bearer_token: x}
    namespace: a
    const_labels: {a: b}
    send_timestamps: false
    metric_expiration: 5m
    translation_strategy: UnderscoreEscapingWithSuffixes
service:
  http: {endpoint: 127.0.0.1:0, auth: {basic: {username: u, password: x}}}
  shutdown: {grace: 5s, abort: 2s}
  max_endpoints: 10
  pipelines:
    metrics:
      receivers: [betanet, betanet/two, deployment, deployment/two, node]
      processors: [resilience, memory_limiter]
      exporters: [prometheus]
",
    "
extensions:
  health_check: {endpoint: 127.0.0.1:0, path: /}
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 127.0.0.1:0
        max_recv_msg_size_mib: 4
        keepalive: {server_parameters: {time: 2h, timeout: 20s}}
        auth: {bearer_token: x}
        tls: {cert_pem: x, key_pem: x, client_ca_pem: x, min_version: '1.2'}
        if_taken: fail
      http:
        endpoint: 127.0.0.1:0
        auth: {basic: {username: u, password: x}}
        tls: {cert_file: a, key_file: b}
        metrics_url_path: /v1/metrics
        cors: {allowed_origins: [http://a.example], allowed_headers: [x-tenant]}
        response_headers: {a: b}
processors:
  batch: {timeout: 1s, send_batch_size: 10}
  attributes: {actions: [{key: a, value: b, action: insert}]}
  resource: {attributes: [{key: a, value: b, action: upsert}]}
  filter: {metrics: {exclude: {match_type: strict, metric_names: [a]}}}
  cardinality: {max_series: 10}
  request_metrics: {interval: 15s, match: [deployment.id], max_series: 10}
exporters:
  otlp_grpc:
    endpoint: 127.0.0.1:9
    authority: fog.example
    compression: gzip
    headers: {authorization: Bearer x, x-tenant: x}
    tls: {ca_pem: x, cert_pem: x, key_pem: x, server_name_override: a}
    timeout: 5s
    keepalive: {time: 10s, timeout: 10s}
    breaker: {mode: enforce}
    retry_on_failure: {initial_interval: 1s}
    sending_queue: {queue_size: 10, when_full: refuse}
  otlp_http:
    endpoint: http://127.0.0.1:9
    metrics_endpoint: http://127.0.0.1:9/m
    headers: {api-key: x}
    proxy_url: http://127.0.0.1:9
    tls: {insecure: true}
    cookies: {a: b}
    auth: {authenticator: x}
  file: {path: x.jsonl, rotation: {max_megabytes: 10}}
  debug: {verbosity: basic, output_paths: [stderr]}
service:
  http: {endpoint: none}
  extensions: [health_check]
  pipelines:
    metrics:
      receivers: [otlp]
      processors: [batch, attributes, resource, filter, cardinality, request_metrics]
      exporters: [otlp_grpc, otlp_http, file, debug]
",
    "
receivers:
  otlp: {protocols: {http: {endpoint: 127.0.0.1:0}}}
exporters:
  debug:
service:
  http: {endpoint: none}
  telemetry:
    logs: {level: info, encoding: json, output_paths: [stderr], initial_fields: {a: b}}
    metrics:
      level: normal
      address: 127.0.0.1:0
      readers:
        - pull: {exporter: {prometheus: {host: 127.0.0.1, port: 0, auth: {bearer_token: x}}}}
        - periodic:
            exporter:
              otlp:
                endpoint: http://127.0.0.1:9
                headers: [{name: authorization, value: x}]
                headers_list: a=x
    traces:
      processors: [{batch: {exporter: {otlp: {headers: {authorization: x}}}}}]
    resource: {service.name: a}
  pipelines:
    metrics: {receivers: [otlp], exporters: [debug]}
",
    "
receivers:
  otlp: {protocols: {http: {endpoint: 127.0.0.1:0}}}
exporters:
  otlphttp:
    endpoint: http://127.0.0.1:9
    headers: {authorization: Bearer x}
    compression: none
service:
  http: {endpoint: none}
  pipelines:
    metrics: {receivers: [otlp], exporters: [otlphttp]}
",
];

/// Keys whose values are secret, whatever they are and whatever is below.
const SECRET: [&str; 12] = [
    "api-key",
    "auth",
    "basic",
    "bearer_token",
    "ca_pem",
    "cert_pem",
    "client_ca_pem",
    "cookies",
    "headers",
    "headers_list",
    "key_pem",
    "password",
];

/// A sample without what keeps it from starting here: certificates and a token that aren't there,
/// and an authenticator.
fn startable(sample: &str) -> String {
    const MISSING: [&str; 4] = [
        "tls: {ca",
        "tls: {cert",
        "auth: {authenticator",
        "auth: {bearer_token_file",
    ];
    let is_missing = |line: &str| MISSING.iter().any(|key| line.trim_start().starts_with(key));
    let sample = sample.replace("tls: {ca_pem: x,", "tls: {insecure: true} #");
    let lines = sample.lines().filter(|line| !is_missing(line));
    lines.map(|line| format!("{line}\n")).collect()
}

/// A way to a node: positions in lists and maps.
type Steps = Vec<usize>;

/// Every node below, the keys that lead to it, and the way.
fn places(node: &Node, keys: &[String], steps: &Steps, found: &mut Vec<(Vec<String>, Steps)>) {
    let children: Vec<(String, &Node)> = match &node.kind {
        NodeKind::List(items) => items.iter().map(|item| ("-".to_owned(), item)).collect(),
        NodeKind::Map(entries) => entries
            .iter()
            .map(|entry| (entry.key.clone(), &entry.value))
            .collect(),
        _ => Vec::new(),
    };
    for (position, (key, child)) in children.into_iter().enumerate() {
        let keys = [keys, &[key]].concat();
        let steps = [steps.as_slice(), &[position]].concat();
        places(child, &keys, &steps, found);
        found.push((keys, steps));
    }
}

/// The text of a configuration in which something else stands at a place.
fn planted(tree: &Node, steps: &Steps, canary: &str) -> String {
    const MARK: &str = "PLANTED0HERE";
    let mut tree = tree.clone();
    let mut at = &mut tree;
    for step in steps {
        at = match &mut at.kind {
            NodeKind::List(items) => &mut items[*step],
            NodeKind::Map(entries) => &mut entries[*step].value,
            other => panic!("nothing is below {other:?}"),
        };
    }
    at.kind = NodeKind::Scalar {
        text: MARK.to_owned(),
        quoted: false,
    };
    print(&tree, &[]).replace(MARK, &format!("'{canary}'"))
}

/// All that is said of a configuration: problems, or what it comes to.
fn said(text: &str) -> String {
    let sources = Sources {
        configs: vec![format!("yaml:{text}")],
        sets: Vec::new(),
    };
    let environment = |_: &str| Some(CANARY.to_owned());
    match Config::load(&sources, &environment, &FACTORIES) {
        Err(invalid) => format!("{invalid}\n{invalid:?}"),
        Ok(loaded) => format!(
            "{:?}\n{}\n{}",
            loaded.warnings,
            print(&loaded.tree, &loaded.secrets),
            started(&loaded.config)
        ),
    }
}

/// What is said when it starts: why it can't, or the first lines.
fn started(config: &Config) -> String {
    // Some of what is planted is a path in the current directory.
    std::env::set_current_dir(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    let said = runtime.block_on(async {
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        match Service::build(config, &telemetry) {
            Err(errors) => errors.to_string(),
            Ok(service) => match service.start().await {
                Err(error) => error.to_string(),
                Ok(running) => cli::welcome(config, running.urls()),
            },
        }
    });
    runtime.shutdown_background();
    said
}

/// Plants a canary at every place of every sample that is asked for; returns how many.
fn plant(canary: &str, wanted: impl Fn(&[String]) -> bool) -> usize {
    let mut count = 0;
    let mut leaks = Vec::new();
    let samples = SAMPLES.map(str::to_owned).into_iter();
    for sample in samples.chain(SAMPLES.map(startable)) {
        let tree = parse(&sample, &Arc::from("sample"), &Diagnostics::new()).unwrap();
        let mut found = Vec::new();
        places(&tree, &[], &Vec::new(), &mut found);
        for (keys, steps) in found.into_iter().filter(|(keys, _)| wanted(keys)) {
            let text = planted(&tree, &steps, canary);
            let said = said(&text);
            let lines = said.lines().filter(|line| line.contains(CANARY));
            leaks.extend(lines.map(|line| format!("{}: {line}", keys.join("::"))));
            count += 1;
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
    count
}

#[test]
fn every_sample_starts_without_what_is_missing_here() {
    for sample in SAMPLES.map(startable) {
        let said = said(&sample);
        assert!(said.contains(" runs with "), "{said}");
    }
}

#[test]
fn what_stands_under_the_key_of_a_secret_is_shown_nowhere() {
    let is_secret = |keys: &[String]| {
        let last = keys.last().map(String::as_str);
        keys.iter().any(|key| SECRET.contains(&key.as_str()))
            && !matches!(last, Some("username" | "name" | "bearer_token_file"))
    };
    assert!(plant(CANARY, is_secret) > 30);
    assert!(plant(&format!("authorization=Bearer {CANARY}"), is_secret) > 30);
}

#[test]
fn what_a_url_carries_is_shown_nowhere() {
    let query = format!("http://127.0.0.1:9/p?key={CANARY}");
    assert!(plant(&query, |_| true) > 200);
    let password = format!("http://me:{CANARY}@127.0.0.1:9/p");
    assert!(plant(&password, |_| true) > 200);
    let bare = format!("me:{CANARY}@127.0.0.1:9");
    assert!(plant(&bare, |_| true) > 200);
}

#[test]
fn what_comes_from_the_environment_is_in_no_error_and_no_secret_of_it_in_a_dump() {
    // The name of the variable says what it holds. The name of a node is a label of its series,
    // and first lines and errors of the start name files, whatever the variable is called.
    let is_public = |keys: &[String]| {
        let last = keys.last().map(String::as_str);
        matches!(
            last,
            Some("node_id" | "bearer_token_file" | "path" | "root_path")
        )
    };
    assert!(plant("${env:API_TOKEN}", |keys| !is_public(keys)) > 200);
}

#[test]
fn what_a_component_was_configured_with_can_be_printed_without_its_secrets() {
    for sample in SAMPLES {
        let text = sample
            .replace(": x", &format!(": '{CANARY}'"))
            .replace("Bearer x", &format!("Bearer {CANARY}"))
            .replace("127.0.0.1:9/m", &format!("127.0.0.1:9/m?key={CANARY}"));
        let sources = Sources {
            configs: vec![format!("yaml:{text}")],
            sets: Vec::new(),
        };
        if let Ok(loaded) = Config::load(&sources, &|_| None, &FACTORIES) {
            assert!(!format!("{:?}", loaded.config).contains(CANARY));
            assert!(!format!("{:?}", loaded.tree).contains(CANARY));
        }
    }
}

#[test]
fn a_set_that_is_none_is_not_repeated() {
    let sources = Sources {
        configs: Vec::new(),
        sets: vec![format!(
            "exporters.otlp.headers.authorization:Bearer {CANARY}"
        )],
    };
    let invalid = Config::load(&sources, &|_| None, &FACTORIES).unwrap_err();
    assert!(!invalid.to_string().contains(CANARY), "{invalid}");
}
