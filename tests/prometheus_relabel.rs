//! Random relabelling rules on random label sets: a real Prometheus finds the same targets, with
//! the same labels and URLs, and drops the same ones.
//!
//! `FOGHORN_ROUNDS=10` compares ten times as many, `FOGHORN_SEED` others; each round has about a
//! thousand rules and 1,200 label sets.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/peers.rs"]
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use foghorn::receivers::prometheus::config::{Config, DiscoveryConfig};
use foghorn::receivers::prometheus::groups::TargetLabelMap;
use foghorn::receivers::prometheus::targets::ScrapeTarget;
use foghorn::yaml::{Diagnostics, PlacedNode, parse};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;
use tokio::time::Instant;

const JOBS: usize = 400;
const TARGETS: usize = 3;

/// Time for Prometheus to start and to find all targets.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of the targets of a job. Targets that become the same are one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// The URL, if it is told, and the labels that series get.
    active: BTreeSet<(String, TargetLabelMap)>,
    /// The addresses of those that rules dropped.
    dropped: BTreeSet<String>,
}

type Outcomes = BTreeMap<String, Outcome>;

#[tokio::test]
async fn prometheus_finds_the_same_targets_by_random_rules() {
    let Some(prometheus) = peers::find("prometheus") else {
        return;
    };
    let number = |name: &str, default: u64| {
        let written = std::env::var(name).ok();
        written.map_or(default, |written| written.parse().unwrap())
    };
    let first = number("FOGHORN_SEED", 1);
    for seed in first..first + number("FOGHORN_ROUNDS", 1) {
        let configuration = configuration(&mut StdRng::seed_from_u64(seed));
        let expected = ours(&configuration);
        let count = |outcome: &Outcome| outcome.active.len() + outcome.dropped.len();
        let found: usize = expected.values().map(count).sum();
        assert!(found > JOBS * TARGETS / 2, "only {found} targets are left");
        let directory = tempfile::tempdir().unwrap();
        let peer = Prometheus::start(&prometheus, directory.path(), &configuration);
        let deadline = Instant::now() + PATIENCE;
        let theirs = loop {
            let theirs = peer.outcomes().await;
            if theirs == expected || Instant::now() > deadline {
                break theirs;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        for (job, ours) in &expected {
            let rules = configuration
                .lines()
                .find(|line| line.contains(&format!("{job},")));
            let theirs = theirs.get(job);
            assert_eq!(
                theirs.unwrap_or(&Outcome::default()),
                ours,
                "with FOGHORN_SEED={seed}, theirs and ours of {}",
                rules.unwrap_or(job)
            );
        }
        assert_eq!(theirs.len(), expected.len());
        println!("seed {seed}: {JOBS} jobs, {found} targets compared");
    }
}

/// What this crate makes of a configuration.
fn ours(configuration: &str) -> Outcomes {
    let diagnostics = Diagnostics::new();
    let node = parse(configuration, &Arc::from("t"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics));
    assert_eq!(diagnostics.problems(), []);
    let mut outcomes = Outcomes::new();
    for job in &config.unwrap().jobs {
        let mut outcome = Outcome::default();
        let [DiscoveryConfig::Static(groups)] = &*job.discoveries else {
            panic!("static targets");
        };
        for group in groups {
            for target in &group.targets {
                match ScrapeTarget::of(job, target, &group.labels) {
                    Ok(Some(found)) => {
                        let labels = found
                            .public_labels()
                            .map(|(name, value)| (name.to_owned(), value.to_owned()))
                            .collect();
                        let address = found.label("__address__");
                        let url = found.url.as_ref().map(ToString::to_string);
                        let url = url.filter(|_| is_plain(address)).unwrap_or_default();
                        outcome.active.insert((url, labels));
                    }
                    Ok(None) => drop(outcome.dropped.insert(target["__address__"].clone())),
                    // In Prometheus these are neither active nor dropped.
                    Err(_) => {}
                }
            }
        }
        if outcome != Outcome::default() {
            outcomes.insert(job.name.clone(), outcome);
        }
    }
    outcomes
}

/// Whether two programs write the URL of an address alike.
fn is_plain(address: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let (host, port) = address.split_once(':').unwrap_or((address, "1"));
    !host.is_empty()
        && host.starts_with(|c: char| c.is_ascii_lowercase())
        && host.chars().all(is_plain)
        && port
            .parse::<u16>()
            .is_ok_and(|port| port != 80 && port != 443)
        && !port.starts_with(['0', '+'])
}

const NAMES: [&str; 9] = [
    "a",
    "b",
    "c",
    "d.1",
    "__meta_a",
    "__meta_é",
    "__param_p",
    "__x",
    "zone",
];

const ATOMS: [&str; 22] = [
    "(.*)",
    "(.+)",
    ".*",
    "(a|b)",
    "([a-z]+)",
    "([^;]*)",
    ";",
    "(?:x|y)?",
    "[0-9]{1,3}",
    r"(\d*)",
    r"\w+",
    "(?i)a",
    "(?P<n>.*?)",
    "a",
    "x",
    "[^a-c]",
    "(.)",
    "é",
    r"\.",
    "",
    "(?s:.)",
    "h.*",
];

const PIECES: [&str; 18] = [
    "$1", "${1}", "$2", "$n", "${n}", "$0", "x", "y_", "", "$$", "$", "${1", "$1x", "é", "-",
    "${9}", "$01", "a",
];

fn pick<'a>(random: &mut StdRng, from: &[&'a str]) -> &'a str {
    from[random.random_range(0..from.len())]
}

fn joined(random: &mut StdRng, from: &[&str], most: usize) -> String {
    let count = random.random_range(0..=most);
    (0..count).map(|_| pick(random, from)).collect()
}

/// A text as YAML and JSON write it alike.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// A configuration in which each job has rules and targets of its own.
fn configuration(random: &mut StdRng) -> String {
    let mut text = String::from("global: {scrape_interval: 1d}\nscrape_configs:\n");
    for job in 0..JOBS {
        let rules: Vec<String> = (0..random.random_range(1..5))
            .map(|_| rule(random))
            .collect();
        let params = match random.random_range(0..4) {
            0 => ", params: {p: [q, '1 2'], m: [n]}",
            _ => "",
        };
        write!(
            text,
            "- {{job_name: job{job}, relabel_configs: [{}]{params}, static_configs: [",
            rules.join(", ")
        )
        .unwrap();
        for target in 0..TARGETS {
            let host = pick(random, &["h", "a", "host"]);
            let labels: BTreeMap<&str, String> = (0..random.random_range(0..6))
                .map(|_| (pick(random, &NAMES), value(random)))
                .collect();
            let labels: Vec<String> = labels
                .iter()
                .map(|(name, value)| format!("{}: {}", quoted(name), quoted(value)))
                .collect();
            let comma = if target > 0 { ", " } else { "" };
            write!(
                text,
                "{comma}{{targets: ['{host}{target}:{}'], labels: {{{}}}}}",
                random.random_range(1000..9999),
                labels.join(", ")
            )
            .unwrap();
        }
        text.push_str("]}\n");
    }
    text
}

fn value(random: &mut StdRng) -> String {
    const PARTS: [&str; 16] = [
        "a", "b", "X", "xyz", "1", "42", ";", ".", "-", "é", "ß", " ", "$1", "İ", "ΣΑΣ", "\n",
    ];
    joined(random, &PARTS, 4)
}

/// A rule that Prometheus takes.
fn rule(random: &mut StdRng) -> String {
    let regex = quoted(&joined(random, &ATOMS, 3));
    let sources: Vec<String> = (0..random.random_range(0..4))
        .map(|_| {
            let others = ["__address__", "job", "instance", "none", "__scheme__"];
            let from = if random.random_range(0..3) == 0 {
                &others[..]
            } else {
                &NAMES
            };
            quoted(pick(random, from))
        })
        .collect();
    let sources = format!("source_labels: [{}]", sources.join(", "));
    let targets = [
        "a",
        "b",
        "t",
        "d.1",
        "job",
        "instance",
        "__param_p",
        "__meta_a",
        "__address__",
    ];
    let target = quoted(pick(random, &targets));
    match random.random_range(0..16) {
        0..6 => {
            let templates = ["t_$1", "${1}_x", "$1", "${n}", "$$", "a$2"];
            let target = match random.random_range(0..3) {
                0 => quoted(pick(random, &templates)),
                _ => target,
            };
            let mut rule = format!("{{{sources}, target_label: {target}");
            if random.random_range(0..4) > 0 {
                write!(rule, ", regex: {regex}").unwrap();
            }
            if random.random_range(0..4) > 0 {
                let replacement = quoted(&joined(random, &PIECES, 3));
                write!(rule, ", replacement: {replacement}").unwrap();
            }
            if random.random_range(0..4) == 0 {
                let separator = quoted(pick(random, &["", ",", "::", ";"]));
                write!(rule, ", separator: {separator}").unwrap();
            }
            rule.push('}');
            rule
        }
        6 => format!("{{{sources}, action: keep, regex: {regex}}}"),
        7 => format!("{{{sources}, action: DROP, regex: {regex}}}"),
        8 => format!("{{{sources}, action: keepequal, target_label: {target}}}"),
        9 => format!("{{{sources}, action: dropequal, target_label: {target}}}"),
        10 => {
            let modulus: u64 = match random.random_range(0..3) {
                0 => random.random_range(1..10),
                1 => u64::MAX,
                _ => random.random_range(1..1 << 40),
            };
            format!("{{{sources}, action: hashmod, modulus: {modulus}, target_label: {target}}}")
        }
        // No two names become the same: of such Prometheus keeps a random one.
        11 | 12 => {
            let maps = [
                ("__meta_(.+)", "m_$1"),
                ("(.*)", "m_${1}"),
                ("([a-z])", "$1$1"),
                ("(a|b)", "${1}.2"),
                ("d(.*)", "__meta_a$1"),
                ("__(?P<n>.*)__", "$n"),
            ];
            let (regex, replacement) = maps[random.random_range(0..maps.len())];
            let (regex, replacement) = (quoted(regex), quoted(replacement));
            format!("{{action: labelmap, regex: {regex}, replacement: {replacement}}}")
        }
        13 => format!(
            "{{action: labeldrop, regex: {}}}",
            quoted(pick(random, &["a|b", "__meta.*", "[a-c].*", "job"]))
        ),
        14 => format!(
            "{{action: labelkeep, regex: {}}}",
            quoted(pick(random, &["__.*|a", "_.*|[^x]+", ".*", "__.*"]))
        ),
        _ => {
            let action = pick(random, &["lowercase", "uppercase"]);
            format!("{{{sources}, action: {action}, target_label: {target}}}")
        }
    }
}

/// A Prometheus with this configuration. It ends when it is dropped.
struct Prometheus {
    url: String,
    process: Child,
}

impl Prometheus {
    fn start(program: &Path, directory: &Path, configuration: &str) -> Self {
        let file = directory.join("prometheus.yaml");
        std::fs::write(&file, configuration).unwrap();
        // It takes no port 0, so the port may be another's by the time it starts; then it ends,
        // and the test says so.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let log = std::fs::File::create(directory.join("log")).unwrap();
        let process = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .arg("--scrape.discovery-reload-interval=100ms")
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Self {
            url: format!("http://{address}"),
            process,
        }
    }

    /// What it has found until now.
    async fn outcomes(&self) -> Outcomes {
        let mut outcomes = Outcomes::new();
        let asked = reqwest::get(format!("{}/api/v1/targets", self.url)).await;
        let Ok(Ok(answer)) = asked.map(reqwest::Response::error_for_status) else {
            return outcomes;
        };
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        let labels = |labels: &Value| -> TargetLabelMap {
            let labels = labels.as_object().unwrap().iter();
            labels
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect()
        };
        for target in answer["data"]["activeTargets"].as_array().unwrap() {
            let job = target["scrapePool"].as_str().unwrap().to_owned();
            let url = target["scrapeUrl"].as_str().unwrap();
            let address = url.split("//").nth(1).unwrap().split('/').next().unwrap();
            let url = if is_plain(address) { url } else { "" };
            let outcome = outcomes.entry(job).or_default();
            outcome
                .active
                .insert((url.to_owned(), labels(&target["labels"])));
        }
        for target in answer["data"]["droppedTargets"].as_array().unwrap() {
            let mut labels = labels(&target["discoveredLabels"]);
            let job = labels.remove("job").unwrap();
            let address = labels.remove("__address__").unwrap();
            outcomes.entry(job).or_default().dropped.insert(address);
        }
        outcomes
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It is gone already where it couldn't start.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
