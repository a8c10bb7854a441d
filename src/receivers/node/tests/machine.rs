//! Compares with this machine, whose files the tests parse independently.

use std::path::Path;
use std::time::SystemTime;

use super::*;
use crate::host::proc::Cpus;

/// Percent of the time that wasn't idle between two texts of `/proc/stat`.
fn independent_cpu(before: &str, after: &str) -> f64 {
    let line = |text: &str| -> Vec<f64> {
        let line = text.lines().find(|line| line.starts_with("cpu ")).unwrap();
        line.split_whitespace()
            .skip(1)
            .take(8)
            .map(|n| n.parse().unwrap())
            .collect()
    };
    let passed: Vec<f64> = line(after)
        .iter()
        .zip(line(before))
        .map(|(a, b)| a - b)
        .collect();
    let all: f64 = passed.iter().sum();
    100.0 * (all - passed[3] - passed[4]) / all
}

/// Bytes received and transmitted by all interfaces but the loopback.
fn independent_bytes(text: &str) -> f64 {
    let mut sum = 0.0;
    for line in text.lines().filter(|line| line.contains(':')) {
        let fields: Vec<&str> = line
            .split([':', ' '])
            .filter(|field| !field.is_empty())
            .collect();
        if fields[0] != "lo" {
            sum += fields[1].parse::<f64>().unwrap() + fields[9].parse::<f64>().unwrap();
        }
    }
    sum
}

#[tokio::test(start_paused = true)]
async fn the_summary_agrees_with_an_independent_reading_of_this_machine() {
    let real = |file: &str| fs::read_to_string(Path::new("/proc").join(file));
    let Ok(stat) = real("stat") else {
        println!("SKIPPED: this machine has no /proc");
        return;
    };
    let mut fixture = Fixture::empty(|_| {});
    let dev = real("net/dev").unwrap();
    fixture.set("stat", &stat);
    fixture.set("net/dev", &dev);
    fixture.start().await;
    // Wait until enough ticks have passed to distinguish busy from idle.
    let later = loop {
        let text = real("stat").unwrap();
        let ticks = |text: &str| {
            Cpus::parse(text)
                .unwrap()
                .total
                .unwrap()
                .iter()
                .sum::<u64>()
        };
        if ticks(&text) > ticks(&stat) + 20 {
            break text;
        }
    };
    let (dev_later, memory) = (real("net/dev").unwrap(), real("meminfo").unwrap());
    fixture.set("stat", &later);
    fixture.set("net/dev", &dev_later);
    fixture.set("meminfo", &memory);
    let series = fixture.series().await;
    let close = |key: &str, expected: f64| {
        let found = series[key];
        assert!(
            (found - expected).abs() < 1e-6,
            "{key}: {found}, not {expected}"
        );
    };
    close(
        r#"node_cpu_usage{node_id="n1"}"#,
        independent_cpu(&stat, &later),
    );
    let bytes = independent_bytes(&dev_later) - independent_bytes(&dev);
    close(r#"node_network_io{node_id="n1"}"#, bytes / 10.0);
    let field = |name: &str| -> f64 {
        let line = memory.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let total = field("MemTotal:");
    let used = 100.0 * (total - field("MemAvailable:")) / total;
    close(r#"node_memory_usage{node_id="n1"}"#, used);
}

#[tokio::test(start_paused = true)]
async fn this_machine_is_read_whole() {
    if !Path::new("/proc/stat").exists() {
        println!("SKIPPED: this machine has no /proc");
        return;
    }
    let mut fixture = Fixture::empty(|config| config.root_path = "/".into());
    fixture.start().await;
    let (batch, scrape) = fixture.poll().await;
    assert_eq!(scrape.failures(), []);
    let series = series(&batch);
    let found = names(&series);
    for name in [
        "system.cpu.time",
        "system.memory.usage",
        "system.uptime",
        "process.cpu.time",
    ] {
        assert!(found.contains(&name), "{name} in {found:?}");
    }
    assert!(series["process.memory.usage"] > 100_000.0);
    let uptime = series[r#"system_uptime{node_id="n1"}"#];
    let booted = starts(&batch, "system.cpu.time")[0] as f64;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64();
    // The fixture's wall clock is in 1970, so the boot time lies after it.
    assert!(uptime > 0.0 && booted <= now);
}
