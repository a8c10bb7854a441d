//! The configurations in `otel-config/`: those that are for use load without a warning and
//! start; each in `otel-config/invalid/` gives exactly the problems that stand beside it.
//!
//! `FOGHORN_BLESS=1` writes the `.expected` files anew, for a reading of the difference.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use foghorn::component::{AGENT, AgentPage, Claimed, Listener};
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Loaded, Sources};
use foghorn::service::{Service, TaskOutcome};
use foghorn::telemetry::Telemetry;

/// Overrides that let a configuration start in a test: free ports on loopback, and sources where
/// nobody answers.
const OVERRIDES: &[(&str, &[&str])] = &[
    (
        "betanet-instances",
        &["receivers.betanet.endpoints=[http://127.0.0.1:9, http://127.0.0.1:9/b]"],
    ),
    (
        "collector",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "service.telemetry.metrics.readers=[{pull: {exporter: {prometheus: {port: 0}}}}]",
            "extensions.health_check.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
            "exporters.otlp.endpoint=127.0.0.1:9",
            "exporters.otlphttp.endpoint=http://127.0.0.1:9",
            "exporters.prometheus.endpoint=127.0.0.1:0",
            "exporters.file.path=${env:DIRECTORY}/telemetry.jsonl",
        ],
    ),
    // Everything else it takes from its environment.
    ("collector-local", &["service.http.endpoint=127.0.0.1:0"]),
    ("container", &["service.http.endpoint=127.0.0.1:0"]),
    (
        "default",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
        ],
    ),
    (
        "deployment",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "receivers.deployment.control_plane.endpoint=http://127.0.0.1:9",
            "receivers.deployment.request_metrics.scrape.targets=[{deployment_id: web, urls: [http://127.0.0.1:9/metrics]}]",
        ],
    ),
    (
        "file-and-debug",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "exporters.file.path=${env:DIRECTORY}/telemetry.jsonl",
        ],
    ),
    (
        "gateway",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.grpc.tls.cert_file=${env:DIRECTORY}/server.pem",
            "receivers.otlp.protocols.grpc.tls.key_file=${env:DIRECTORY}/server.key",
            "receivers.otlp.protocols.http.tls.cert_file=${env:DIRECTORY}/server.pem",
            "receivers.otlp.protocols.http.tls.key_file=${env:DIRECTORY}/server.key",
            "exporters.otlp_grpc.endpoint=http://127.0.0.1:9",
            "exporters.file.path=${env:DIRECTORY}/telemetry.jsonl",
        ],
    ),
    (
        "host-metrics",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "exporters.otlp_grpc.endpoint=http://127.0.0.1:9",
        ],
    ),
    (
        "kubernetes",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "receivers.deployment.control_plane.endpoint=http://127.0.0.1:9",
        ],
    ),
    ("node-only", &["service.http.endpoint=127.0.0.1:0"]),
    ("prometheus", &["service.http.endpoint=127.0.0.1:0"]),
    (
        "prometheus-endpoint",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "exporters.prometheus.endpoint=127.0.0.1:0",
        ],
    ),
    (
        "request-metrics",
        &[
            "service.http.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
            "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
        ],
    ),
];

#[test]
fn every_configuration_for_use_loads_without_a_warning_and_starts() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let files = yaml_files(&folder());
    assert!(files.len() >= 5, "only {} files", files.len());
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let directory = tempfile::tempdir().unwrap();
        let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        fs::write(directory.path().join("server.pem"), own.cert.pem()).unwrap();
        fs::write(
            directory.path().join("server.key"),
            own.signing_key.serialize_pem(),
        )
        .unwrap();
        let overrides = OVERRIDES.iter().find(|(known, _)| *known == name);
        let (_, sets) = overrides.unwrap_or_else(|| panic!("{name} has no overrides"));
        let loaded = load(&file, sets, directory.path());
        assert_eq!(loaded.warnings, [], "{name}");

        // What is shown of it must be as good as the file.
        let shown = foghorn::yaml::print(&loaded.tree, &loaded.secrets);
        let sources = Sources {
            configs: vec![format!("yaml:{shown}")],
            sets: Vec::new(),
        };
        Config::load(&sources, &|_| None, &FACTORIES).unwrap_or_else(|e| panic!("{name}: {e}"));

        runtime.block_on(async {
            let service = Service::build(&loaded.config, &Telemetry::off())
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let routes = service.routes();
            let running = service
                .start()
                .await
                .unwrap_or_else(|error| panic!("{name}: {error}"));
            let registered: Vec<Claimed> = routes
                .all()
                .into_iter()
                .filter(|route| route.owner != AGENT)
                .map(|route| Claimed::Page(route.listener, route.path))
                .collect();
            assert_eq!(sorted(registered), sorted(pages(&loaded.config)), "{name}");
            assert_eq!(
                running.urls().is_empty(),
                loaded.config.service.http.listener.is_none(),
                "{name}: {:?}",
                running.urls()
            );
            let drained = running
                .run(std::future::ready(()), std::future::pending())
                .await;
            for end in &drained.tasks {
                assert_eq!(end.outcome, TaskOutcome::Completed, "{name}: {end:?}");
            }
            assert!(drained.tasks.len() >= 3, "{name}: {:?}", drained.tasks);
        });
    }
}

#[tokio::test]
async fn a_reader_of_the_collector_shows_the_agents_own_metrics() {
    let directory = tempfile::tempdir().unwrap();
    let (_, sets) = OVERRIDES
        .iter()
        .find(|(name, _)| *name == "collector")
        .unwrap();
    let loaded = load(&folder().join("collector.yaml"), sets, directory.path());
    let telemetry = Telemetry::new(&foghorn::telemetry::TelemetrySettings::default()).unwrap();
    let service = Service::build(&loaded.config, &telemetry).unwrap();
    let running = service.start().await.unwrap();
    let metrics = |url: &&String| url.ends_with("/metrics");
    let pages: Vec<String> = running.urls().iter().filter(metrics).cloned().collect();
    // The agent's own, the exporter's, and the reader's.
    assert_eq!(pages.len(), 3, "{pages:?}");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let agent =
        tokio::spawn(running.run(async move { drop(stopped.await) }, std::future::pending()));
    let mut with_own = 0;
    for page in pages {
        let text = reqwest::get(&page).await.unwrap().text().await.unwrap();
        with_own += usize::from(text.contains("\notelcol_process_uptime"));
    }
    assert_eq!(with_own, 2);
    stop.send(()).unwrap();
    agent.await.unwrap();
}

#[tokio::test]
async fn the_agent_serves_exactly_the_pages_that_nobody_else_may_have() {
    let directory = tempfile::tempdir().unwrap();
    let (_, sets) = OVERRIDES
        .iter()
        .find(|(name, _)| *name == "node-only")
        .unwrap();
    let loaded = load(&folder().join("node-only.yaml"), sets, directory.path());
    let service = Service::build(&loaded.config, &Telemetry::off()).unwrap();
    let running = service.start().await.unwrap();
    let index = running.urls()[0].replace("/metrics", "/");
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let agent =
        tokio::spawn(running.run(async move { drop(stopped.await) }, std::future::pending()));
    let text = reqwest::get(&index).await.unwrap().text().await.unwrap();
    let listed: BTreeSet<&str> = text.lines().filter_map(|l| l.strip_prefix("  ")).collect();
    assert_eq!(listed, AgentPage::ALL.map(AgentPage::path).into());
    stop.send(()).unwrap();
    agent.await.unwrap();
}

/// A page shows a whole configuration or a part of one; a part is laid over the default.
#[test]
fn every_configuration_that_a_page_shows_is_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_dir(root.join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = docs.map(|entry| entry.unwrap().path()).collect();
    pages.push(root.join("README.md"));
    pages.retain(|page| page.extension().is_some_and(|e| e == "md"));
    let sections = ["receivers:", "processors:", "exporters:", "service:"];
    let mut found = 0;
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        let blocks = text.split("```yaml\n").skip(1);
        for block in blocks.map(|rest| rest.split("```").next().unwrap()) {
            if !sections.iter().any(|section| block.starts_with(section)) {
                continue;
            }
            found += 1;
            let mut configs = vec![format!("yaml:{block}")];
            let whole = block.contains("pipelines:");
            if !whole {
                configs.insert(0, "otel-config/default.yaml".to_owned());
            }
            let sources = Sources {
                configs,
                sets: Vec::new(),
            };
            let token = |name: &str| name.contains("TOKEN").then(|| "s3cret".to_owned());
            let loaded = Config::load(&sources, &token, &FACTORIES)
                .unwrap_or_else(|error| panic!("{}: {error}\n{block}", page.display()));
            if whole {
                assert_eq!(loaded.warnings, [], "{}", page.display());
            }
        }
    }
    assert!(found >= 4, "only {found} blocks");
}

#[test]
fn every_broken_configuration_gives_exactly_its_problems() {
    let found = compare("invalid", |loaded| match loaded {
        Ok(_) => Err("it is accepted".to_owned()),
        Err(invalid) => Ok(invalid.to_string()),
    });
    assert!(found >= 40, "only {found} files");
}

#[test]
fn what_changes_nothing_here_is_taken_with_exactly_its_warnings() {
    compare("warned", |loaded| {
        let warnings = loaded.map_err(|invalid| invalid.to_string())?.warnings;
        let lines: Vec<String> = warnings.iter().map(ToString::to_string).collect();
        Ok(lines.join("\n"))
    });
}

/// Compares what is said about the configurations of a folder with what stands beside them;
/// returns how many there are.
fn compare(
    within: &str,
    said: impl Fn(Result<Loaded, foghorn::config::Invalid>) -> Result<String, String>,
) -> usize {
    let files = yaml_files(&folder().join(within));
    let count = files.len();
    let bless = std::env::var_os("FOGHORN_BLESS").is_some();
    let mut differences = Vec::new();
    for file in files {
        let sources = Sources {
            configs: vec![format!("otel-config/{within}/{}", name_of(&file))],
            sets: Vec::new(),
        };
        let found = match said(Config::load(&sources, &environment, &FACTORIES)) {
            Ok(found) => format!("{found}\n"),
            Err(problem) => {
                differences.push(format!("{}: {problem}", name_of(&file)));
                continue;
            }
        };
        let expected = file.with_extension("expected");
        if bless {
            fs::write(&expected, &found).unwrap();
            continue;
        }
        match fs::read_to_string(&expected) {
            Ok(expected) if expected == found => {}
            Ok(expected) => differences.push(format!("expected:\n{expected}found:\n{found}")),
            Err(error) => differences.push(format!("{}: {error}", expected.display())),
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    count
}

#[test]
fn no_expected_message_is_left_without_its_configuration() {
    for within in ["invalid", "warned"] {
        for entry in fs::read_dir(folder().join(within)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "expected") {
                assert!(path.with_extension("yaml").exists(), "{}", path.display());
            }
        }
    }
}

#[test]
fn a_guard_that_is_not_as_it_looks_is_a_warning() {
    let f = |processors: &str, pipelines: &str, expected: &[&str]| {
        let text = format!(
            "receivers: {{betanet: {{collection_interval: 20s}}, otlp: {{protocols: {{grpc: }}}}}}
processors:
  batch:
{processors}
exporters: {{debug: }}
service:
  pipelines:
{pipelines}"
        );
        let sources = Sources {
            configs: vec![format!("yaml:{text}")],
            sets: Vec::new(),
        };
        let loaded =
            Config::load(&sources, &|_| None, &FACTORIES).unwrap_or_else(|e| panic!("{e}"));
        let warnings: Vec<String> = loaded
            .warnings
            .iter()
            .map(|warning| format!("{}: {}", warning.path, warning.message))
            .filter(|warning| !warning.contains("does not run"))
            .collect();
        assert_eq!(warnings, expected, "{text}");
        loaded.config
    };
    let guarded = |config: &Config| {
        let ids = config.guards.keys().map(ToString::to_string);
        ids.collect::<Vec<_>>()
    };

    let one = "    metrics: {receivers: [betanet], processors: [resilience], exporters: [debug]}";
    let config = f("  resilience:", one, &[]);
    assert_eq!(guarded(&config), ["betanet"]);
    f(
        "  resilience: {cache: {ttl: 20s}, breaker: {min_health_score: 1}}",
        one,
        &[
            "processors::resilience::cache::ttl: `cache.ttl` is 20s, not above the collection \
             interval of 20s: no poll will ever be answered from the cache",
            "processors::resilience::breaker::min_health_score: `breaker.min_health_score` is 1: \
             an endpoint that was degraded will never be healthy",
        ],
    );
    let config = f(
        "  resilience:",
        "    metrics: {receivers: [betanet], exporters: [debug]}
    metrics/b: {receivers: [betanet], processors: [batch, resilience], exporters: [debug]}",
        &[
            "service::pipelines::metrics: receiver \"betanet\" is guarded here too, by \
             \"resilience\" of service::pipelines::metrics/b",
            "service::pipelines::metrics/b: \"resilience\" acts at the edges of the pipeline \
             wherever it stands: put it before \"batch\"",
        ],
    );
    assert_eq!(guarded(&config), ["betanet"]);
    let config = f(
        "  resilience:\n  resilience/same:",
        "    metrics: {receivers: [otlp], processors: [resilience], exporters: [debug]}
    metrics/b: {receivers: [betanet], processors: [resilience], exporters: [debug]}
    metrics/c: {receivers: [betanet], processors: [resilience/same], exporters: [debug]}",
        &["service::pipelines::metrics: \"resilience\" guards nothing: no receiver here pulls"],
    );
    assert_eq!(
        guarded(&config),
        ["betanet"],
        "two that say the same are one"
    );
    let none = "    metrics: {receivers: [betanet], exporters: [debug]}";
    assert_eq!(guarded(&f("", none, &[])), [""; 0]);
}

/// The pages that a configuration claims for what it is made of.
fn pages(config: &Config) -> Vec<Claimed> {
    let exporters = config.exporters.values().flat_map(|config| config.claims());
    let extensions = config
        .extensions
        .values()
        .flat_map(|config| config.claims());
    let claimed = exporters.chain(extensions).map(|claim| claim.claimed);
    let readers = config.service.telemetry.pages.iter().map(|page| {
        let listener = Listener::At(page.listener.clone());
        Claimed::Page(listener, AgentPage::Metrics.path().to_owned())
    });
    let is_page = |claimed: &Claimed| matches!(claimed, Claimed::Page(..));
    claimed.filter(is_page).chain(readers).collect()
}

fn sorted(mut claimed: Vec<Claimed>) -> Vec<Claimed> {
    claimed.sort_by_key(|claimed| format!("{claimed:?}"));
    claimed
}

/// The environment of the broken configurations.
fn environment(name: &str) -> Option<String> {
    match name {
        "TOKEN" => Some("hunter2".to_owned()),
        "INTERVAL" => Some("soon".to_owned()),
        _ => None,
    }
}

fn load(file: &Path, sets: &[&str], directory: &Path) -> Loaded {
    let sources = Sources {
        configs: vec![file.to_str().unwrap().to_owned()],
        sets: sets.iter().map(|set| (*set).to_owned()).collect(),
    };
    let environment = |name: &str| match name {
        "DIRECTORY" => directory.to_str().map(str::to_owned),
        "OUT_FILE" => Some(format!("{}/out.jsonl", directory.display())),
        "HEALTH_PORT" | "OTLP_GRPC_PORT" | "OTLP_HTTP_PORT" | "PROMETHEUS_PORT" => {
            Some("0".to_owned())
        }
        "GATEWAY_TOKEN" | "UPSTREAM_TOKEN" => Some("s3cret".to_owned()),
        "BETANET_URL" => Some("http://127.0.0.1:9".to_owned()),
        _ => None,
    };
    Config::load(&sources, &environment, &FACTORIES)
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("otel-config")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files
}

fn name_of(file: &Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}
