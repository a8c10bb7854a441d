//! Configurations as people write them for the OpenTelemetry Collector, after its
//! documentation and with components that both have: the Collector says that they are valid,
//! and Foghorn starts with them as they are.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/peers.rs"]
mod peers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::service::{Service, TaskOutcome};
use foghorn::telemetry::Telemetry;

/// Each file, and what it is warned of: keys that are taken and mean nothing here.
const CONFIGURATIONS: &[(&str, &[&str])] = &[
    ("agent", &[]),
    (
        "gateway",
        &[
            "exporters::otlp_http/secondary::sending_queue::batch::flush_timeout",
            "exporters::otlp_http/secondary::sending_queue::batch::min_size",
            "service::telemetry::logs::initial_fields",
        ],
    ),
    ("logs", &["exporters::file::rotation::localtime"]),
    ("page", &["processors::filter::error_mode"]),
];

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/collector/{name}.yaml"))
}

#[test]
fn every_file_is_tried() {
    let mut found: Vec<String> = fs::read_dir(file("").parent().unwrap())
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    found.sort();
    let tried: Vec<&str> = CONFIGURATIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(found, tried);
}

#[test]
fn the_collector_takes_them() {
    let Some(collector) = peers::find("otelcol") else {
        return;
    };
    for (name, _) in CONFIGURATIONS {
        let mut validate = Command::new(&collector);
        let output = validate
            .arg("validate")
            .arg("--config")
            .arg(file(name))
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[tokio::test]
async fn foghorn_starts_with_them_as_they_are() {
    for (name, warnings) in CONFIGURATIONS {
        let load = |text: String| {
            let sources = Sources {
                configs: vec![text],
                sets: Vec::new(),
            };
            Config::load(&sources, &|_| None, &FACTORIES).unwrap_or_else(|e| panic!("{name}: {e}"))
        };
        let loaded = load(file(name).to_str().unwrap().to_owned());
        let warned: Vec<String> = loaded.warnings.iter().map(|w| w.path.clone()).collect();
        assert_eq!(warned, *warnings, "{name}");

        // Only the ports are others, which tests share with each other.
        let directory = tempfile::tempdir().unwrap();
        let mut text = fs::read_to_string(file(name)).unwrap();
        for port in ["4317", "4318", "8889", "13133"] {
            for host in ["localhost", "127.0.0.1"] {
                text = text.replace(&format!("{host}:{port}"), &format!("{host}:0"));
            }
        }
        let out = directory.path().join("logs.jsonl");
        text = text
            .replace("port: 8888", "port: 0")
            .replace("./logs.jsonl", out.to_str().unwrap())
            .replace(
                "service:\n",
                "service:\n  http: {endpoint: '127.0.0.1:0'}\n",
            );
        let loaded = load(format!("yaml:{text}"));
        let service = Service::build(&loaded.config, &Telemetry::off())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let running = service
            .start()
            .await
            .unwrap_or_else(|e| panic!("{name}: {e}"));
        let stopped = std::future::ready(());
        let drained = running.run(stopped, std::future::pending()).await;
        for end in &drained.tasks {
            assert_eq!(end.outcome, TaskOutcome::Completed, "{name}: {end:?}");
        }
        assert!(drained.tasks.len() >= 3, "{name}: {:?}", drained.tasks);
    }
}
