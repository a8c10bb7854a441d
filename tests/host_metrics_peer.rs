//! `host_metrics` beside the Collector's, on the same machine with the very same configuration:
//! the same metrics with the same types, units, attributes, resources and scopes, and values
//! between those that the Collector read before and after.
//!
//! What differs on purpose stands in `docs/host.md`, and here where it is left out.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/peers.rs"]
mod peers;
#[path = "support/twins.rs"]
mod twins;

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use twins::{PATIENCE, Twin, YAML_OF_BOTH};

/// Every metric of every scraper, but for those of Windows.
const YAML: &str = "
  host_metrics:
    collection_interval: 3s
    initial_delay: 100ms
    scrapers:
      cpu:
        metrics:
          system.cpu.frequency: {enabled: true}
          system.cpu.logical.count: {enabled: true}
          system.cpu.physical.count: {enabled: true}
          system.cpu.utilization: {enabled: true}
      disk:
        exclude: {devices: [^nothing$], match_type: regexp}
      filesystem:
        include_virtual_filesystems: true
        exclude_mount_points: {mount_points: [/proc], match_type: strict}
        metrics: {system.filesystem.utilization: {enabled: true}}
      load: {cpu_average: true}
      memory:
        metrics:
          system.linux.memory.available: {enabled: true}
          system.linux.memory.dirty: {enabled: true}
          system.memory.limit: {enabled: true}
          system.memory.linux.hugepages.limit: {enabled: true}
          system.memory.linux.hugepages.page_size: {enabled: true}
          system.memory.linux.hugepages.reserved: {enabled: true}
          system.memory.linux.hugepages.surplus: {enabled: true}
          system.memory.linux.hugepages.usage: {enabled: true}
          system.memory.linux.hugepages.utilization: {enabled: true}
          system.memory.linux.shared: {enabled: true}
          system.memory.page_size: {enabled: true}
          system.memory.utilization: {enabled: true}
      network:
        metrics:
          system.network.conntrack.count: {enabled: true}
          system.network.conntrack.max: {enabled: true}
          system.network.errors: {attributes: [device], aggregation_strategy: sum}
          system.network.packets: {attributes: [direction], aggregation_strategy: max}
      paging:
        metrics: {system.paging.utilization: {enabled: true}}
      processes:
      process:
        mute_process_exe_error: true
        mute_process_io_error: true
        resource_attributes: {process.cgroup: {enabled: true}}
        metrics:
          process.context_switches: {enabled: true}
          process.cpu.utilization: {enabled: true}
          process.disk.operations: {enabled: true}
          process.memory.utilization: {enabled: true}
          process.open_file_descriptors: {enabled: true}
          process.paging.faults: {enabled: true}
          process.signals_pending: {enabled: true}
          process.threads: {enabled: true}
          process.uptime: {enabled: true}
      system:
exporters:
  file: {path: '${env:OUT_FILE}', flush_interval: 50ms}
service:
  extensions: [health_check]
  telemetry: {metrics: {level: none}}
  pipelines:
    metrics: {receivers: [host_metrics], exporters: [file]}
";

/// One reading: metrics by the resource that they are of, as text, and their names.
type Reading = BTreeMap<(String, String), Metric>;

#[derive(Debug)]
struct Metric {
    /// Scope, schema, description, unit, and the kind of its points: what must be equal.
    head: String,
    is_monotonic: bool,
    unit: String,
    /// By attributes, as text.
    points: BTreeMap<String, f64>,
    nanos: u64,
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_the_collectors() {
    let Some(collector) = peers::find("otelcol") else {
        return;
    };
    let directory = tempfile::tempdir().unwrap();
    let yaml = format!("{YAML_OF_BOTH}{YAML}");
    let [here, there] = Twin::both(&collector, directory.path(), &yaml).await;
    // A process may change between two readings, but what is wrong is wrong in each.
    let mut attempts = 0;
    let begun = Instant::now();
    let compared = loop {
        let (ours, theirs) = (readings(&here).await, readings(&there).await);
        if let Some((before, mine, after)) = bracketed(&ours, &theirs) {
            attempts += 1;
            match compare(before, mine, after) {
                Ok(compared) => break compared,
                Err(wrong) => assert!(attempts < 5, "{wrong}"),
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no reading lies between two");
        // For other readings than these.
        sleep(Duration::from_secs(3)).await;
    };
    println!("{compared} series are the same");
}

/// What a program has written so far, in order.
async fn readings(twin: &Twin) -> Vec<Reading> {
    let lines = twin.lines_with("system.uptime").await;
    lines.iter().map(reading).collect()
}

fn reading(line: &Value) -> Reading {
    let mut reading = Reading::new();
    for resource in line["resourceMetrics"].as_array().unwrap() {
        let attributes = attributes(&resource["resource"]["attributes"]);
        for scope in resource["scopeMetrics"].as_array().unwrap() {
            let name = scope["scope"]["name"].as_str().unwrap_or_default();
            // The series about the polls are beside the Collector's metrics.
            if name == "foghorn/host_metrics" {
                continue;
            }
            for metric in scope["metrics"].as_array().unwrap() {
                let (key, metric) = read_metric(metric, name, &resource["schemaUrl"]);
                let before = reading.insert((attributes.clone(), key.clone()), metric);
                assert!(before.is_none(), "{key} is there twice for {attributes}");
            }
        }
    }
    reading
}

fn read_metric(metric: &Value, scope: &str, schema: &Value) -> (String, Metric) {
    let kind = ["sum", "gauge"]
        .into_iter()
        .find(|kind| metric.get(*kind).is_some());
    let kind = kind.unwrap();
    let data = &metric[kind];
    let is_monotonic = data["isMonotonic"] == true;
    let points = data["dataPoints"].as_array().unwrap();
    let types: Vec<bool> = points
        .iter()
        .map(|point| point.get("asInt").is_some())
        .collect();
    assert!(types.windows(2).all(|two| two[0] == two[1]), "{metric}");
    let head = format!(
        "{scope} {schema} {} {} {kind} {is_monotonic} {} integer: {}",
        metric["description"], metric["unit"], data["aggregationTemporality"], types[0],
    );
    let nanos = points[0]["timeUnixNano"].as_str().unwrap().parse().unwrap();
    let values = points.iter().filter_map(|point| {
        let value = match point.get("asInt") {
            Some(value) => value.as_str().unwrap().parse().unwrap(),
            None => number(point.get("asDouble")?)?,
        };
        Some((attributes(&point["attributes"]), value))
    });
    let metric_of = Metric {
        head,
        is_monotonic,
        unit: metric["unit"].as_str().unwrap_or_default().to_owned(),
        points: values.collect(),
        nanos,
    };
    (metric["name"].as_str().unwrap().to_owned(), metric_of)
}

/// `None` for what isn't a number: the Collector divides by zero for filesystems without blocks.
fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn attributes(list: &Value) -> String {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    let mut texts: Vec<String> = list
        .iter()
        .map(|attribute| format!("{}={}", attribute["key"], attribute["value"]))
        .collect();
    texts.sort();
    texts.join(",")
}

/// A reading of ours with the Collector's last before it and first after it, all of them whole:
/// with utilizations, which the first reading of a program doesn't have.
fn bracketed<'r>(
    ours: &'r [Reading],
    theirs: &'r [Reading],
) -> Option<(&'r Reading, &'r Reading, &'r Reading)> {
    let at = |reading: &Reading| reading[&(String::new(), "system.uptime".to_owned())].nanos;
    let whole = |reading: &&Reading| {
        reading.contains_key(&(String::new(), "system.cpu.utilization".to_owned()))
    };
    let mine = ours.iter().rev().skip(1).find(whole)?;
    let before = theirs
        .iter()
        .rev()
        .filter(whole)
        .find(|other| at(other) < at(mine))?;
    let after = theirs
        .iter()
        .filter(whole)
        .find(|other| at(other) > at(mine))?;
    Some((before, mine, after))
}

/// Compares metric by metric and returns how many series there were, or what is wrong.
fn compare(before: &Reading, mine: &Reading, after: &Reading) -> Result<usize, String> {
    let mut compared = 0;
    let mut wrong = Vec::new();
    for (key, theirs) in before {
        let Some(later) = after.get(key) else {
            continue;
        };
        if is_unsteady(&key.0) {
            continue;
        }
        let Some(ours) = mine.get(key) else {
            wrong.push(format!("{key:?} is missing"));
            continue;
        };
        if ours.head != theirs.head {
            wrong.push(format!("{key:?}: {}\nnot {}", ours.head, theirs.head));
        }
        for (attributes, first) in &theirs.points {
            let Some(last) = later.points.get(attributes) else {
                continue;
            };
            // These words of the Collector's for two of TCP's states are beside those that it
            // lists itself, which have its count here.
            if attributes.contains("FIN_WAIT") {
                continue;
            }
            compared += 1;
            match ours.points.get(attributes) {
                None => wrong.push(format!("{key:?} {attributes} is missing")),
                Some(value) if !fits(&key.1, theirs, *first, *value, *last) => wrong.push(format!(
                    "{key:?} {attributes}: {value} is not in {first} to {last}"
                )),
                Some(_) => {}
            }
        }
        for attributes in ours.points.keys() {
            let theirs =
                theirs.points.contains_key(attributes) || later.points.contains_key(attributes);
            // What has no blocks has no utilization here.
            if !theirs && !attributes.contains("FIN_WAIT") {
                wrong.push(format!("{key:?} {attributes} is there"));
            }
        }
    }
    // A process that lived between the two readings of the Collector is in neither.
    let lived = |resource: &str| {
        let mut of_both = before.keys().chain(after.keys());
        resource.is_empty() || of_both.any(|(other, _)| other == resource)
    };
    for key in mine.keys().filter(|(resource, _)| lived(resource)) {
        if !before.contains_key(key) && !after.contains_key(key) {
            wrong.push(format!("{key:?} is there"));
        }
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    let processes = mine
        .keys()
        .filter(|(resource, name)| !resource.is_empty() && name == "process.cpu.time");
    assert!(
        processes.count() > 3 && compared > 200,
        "{compared} series only"
    );
    Ok(compared)
}

/// Whether a process can't be found again: the kernel's workers change their names with their work,
/// and command lines are cut off here.
fn is_unsteady(resource: &str) -> bool {
    resource.contains("\"kworker/") || resource.len() > 4096
}

/// Whether a value is what time explains: a counter lies between the Collector's own, and so does
/// a level, but for what it may have moved meanwhile.
fn fits(name: &str, metric: &Metric, first: f64, value: f64, last: f64) -> bool {
    // The Collector rounds to some digits.
    let digits = 1e-6 * first.abs().max(last.abs()) + 1e-9;
    let (low, high) = (first.min(last), first.max(last));
    if metric.is_monotonic {
        return low - digits <= value && value <= high + digits;
    }
    if name.ends_with("cpu.utilization") {
        // Our interval is a part of the two of the Collector's that it overlaps, all three being of
        // one length; they aren't quite.
        const UNEVEN: f64 = 0.1;
        return -digits <= value && value <= first + last + UNEVEN;
    }
    // How much of it there may be beside what moved between the readings before and after.
    let slack = match (metric.unit.as_str(), name) {
        // A queue has the length of one moment.
        (_, "system.disk.pending_operations") => return value >= 0.0,
        (_, "process.memory.usage" | "process.memory.virtual") => 4e6,
        (_, "system.memory.usage" | "system.linux.memory.available") => 64e6,
        (_, "system.linux.memory.dirty" | "system.filesystem.usage") => 256e6,
        // Sizes.
        ("By", _) => 0.0,
        ("{processes}", _) => 15.0,
        ("{connections}" | "{threads}" | "{count}", _) => 5.0,
        ("{inodes}", _) => 1000.0,
        // In percent.
        (_, "process.memory.utilization") => 0.05,
        ("1", _) => 0.02,
        // The Collector has whole seconds.
        ("s", _) => 1.0,
        _ => 0.0,
    };
    // What doesn't move must be the same, or nearly.
    let slack = slack + 2.0 * (high - low) + digits;
    (low - slack..=high + slack).contains(&value)
}
