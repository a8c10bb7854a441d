//! `node` beside the real node_exporter on the same machine: its names, labels and types, and the
//! platform's gauges from either.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/peers.rs"]
mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use agent::Agent;
use tokio::time::{Instant, sleep};

/// What a program may take before a test calls it dead: they start on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The real program. It ends with the test.
struct NodeExporter {
    process: Child,
    port: u16,
}

impl NodeExporter {
    async fn start(program: &Path) -> Self {
        let [port, ..] = peers::free_ports();
        let process = Command::new(program)
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--collector.filesystem.mount-points-include=^/$")
            // By default the root of a container is left out.
            .arg("--collector.filesystem.fs-types-exclude=^none$")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let exporter = Self { process, port };
        let begun = Instant::now();
        while reqwest::get(exporter.url()).await.is_err() {
            assert!(begun.elapsed() < PATIENCE, "node_exporter doesn't start");
            sleep(Duration::from_millis(20)).await;
        }
        exporter
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/metrics", self.port)
    }

    async fn page(&self) -> Page {
        Page::read(
            &reqwest::get(self.url())
                .await
                .unwrap()
                .text()
                .await
                .unwrap(),
        )
    }
}

impl Drop for NodeExporter {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A page in Prometheus's text format.
#[derive(Debug, Default)]
struct Page {
    types: BTreeMap<String, String>,
    /// By name and sorted labels, without those of the resource and scope.
    samples: BTreeMap<String, f64>,
}

impl Page {
    fn read(text: &str) -> Self {
        let mut page = Self::default();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').unwrap();
                page.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.starts_with('#') && !line.is_empty() {
                let (series, value) = line.rsplit_once(' ').unwrap();
                page.samples.insert(key(series), value.parse().unwrap());
            }
        }
        page
    }

    /// The names of families of which one is read from the files that `node` reads.
    fn families(&self) -> BTreeSet<&str> {
        const READ: [&str; 18] = [
            "node_boot_time_",
            "node_context_switches_",
            "node_cpu_guest_",
            "node_cpu_seconds_",
            "node_disk_",
            "node_filesystem_",
            "node_forks_",
            "node_intr_",
            "node_load1",
            "node_load15",
            "node_load5",
            "node_memory_",
            "node_network_receive_",
            "node_network_transmit_",
            "node_procs_blocked",
            "node_procs_running",
            "node_time_seconds",
            "node_uname_",
        ];
        /// What node_exporter takes from elsewhere: from sysfs, udev, netlink and mountinfo, or
        /// from another system.
        const ELSEWHERE: [&str; 6] = [
            "node_disk_info",
            "node_filesystem_mount_info",
            "node_filesystem_purgeable_bytes",
            "node_network_receive_nohandler_total",
            "node_network_transmit_queue_length",
            "node_disk_device_mapper_info",
        ];
        let names = self.types.keys().map(String::as_str);
        names
            .filter(|name| READ.iter().any(|read| name.starts_with(read)))
            .filter(|name| !ELSEWHERE.contains(name))
            .filter(|name| !PLATFORM.contains(name))
            .collect()
    }
}

/// The platform's own gauges.
const PLATFORM: [&str; 4] = [
    "node_cpu_usage",
    "node_disk_usage",
    "node_memory_usage",
    "node_network_io",
];

fn key(series: &str) -> String {
    let Some((name, labels)) = series.trim_end_matches('}').split_once('{') else {
        return series.to_owned();
    };
    let mut labels: Vec<&str> = labels
        .split("\",")
        .map(|label| label.trim_end_matches('"'))
        .collect();
    let of_resource = ["job=", "instance=", "host_name=", "otel_scope_"];
    labels.retain(|label| !of_resource.iter().any(|own| label.starts_with(own)));
    // To Prometheus a label with an empty value is none.
    labels.retain(|label| !label.is_empty() && !label.ends_with('='));
    labels.sort_unstable();
    match labels.is_empty() {
        true => name.to_owned(),
        false => format!("{name}{{{}}}", labels.join(",")),
    }
}

/// The agent's page, once it has a sample of which the name and labels begin like this.
async fn page_of(agent: &Agent, with: &str) -> Page {
    let begun = Instant::now();
    loop {
        let url = agent
            .urls
            .iter()
            .find(|url| url.ends_with("/metrics"))
            .unwrap();
        let text = reqwest::get(url).await.unwrap().text().await.unwrap();
        let page = Page::read(&text);
        if page.samples.keys().any(|series| series.starts_with(with)) {
            return page;
        }
        assert!(begun.elapsed() < PATIENCE, "no {with} in\n{text}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_names_labels_and_types_are_node_exporters() {
    let Some(program) = peers::find("node_exporter") else {
        return;
    };
    let exporter = NodeExporter::start(&program).await;
    let agent = Agent::start(
        "
receivers:
  node:
    exposition: node_exporter
    collection_interval: 1s
    initial_delay: 100ms
    filesystems: {include: [/]}
    networks: {include: ['.*']}
exporters: {prometheus: }
service:
  http: {endpoint: '127.0.0.1:0'}
  pipelines: {metrics: {receivers: [node], exporters: [prometheus]}}
",
    )
    .await;
    page_of(&agent, "node_cpu_seconds_total").await;
    // A value may jump and return between two readings, but what is wrong is wrong each time.
    let mut attempts = 0;
    let compared = loop {
        let before = exporter.page().await;
        // The time of our reading lies between the two of node_exporter.
        let newer = before.samples["node_time_seconds"];
        let ours = loop {
            let page = page_of(&agent, "node_time_seconds").await;
            if page.samples["node_time_seconds"] > newer {
                break page;
            }
            sleep(Duration::from_millis(20)).await;
        };
        let after = exporter.page().await;
        attempts += 1;
        match compare(&before, &ours, &after) {
            Ok(compared) => break compared,
            Err(wrong) => assert!(attempts < 8, "{wrong}"),
        }
    };
    agent.stop().await;
    println!("{compared} series are the same");
}

/// Compares our page with node_exporter's before and after it. Returns how many series there were,
/// or what is wrong.
fn compare(before: &Page, ours: &Page, after: &Page) -> Result<usize, String> {
    let theirs = before.families();
    let missing: Vec<_> = theirs.difference(&ours.families()).copied().collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    // Lines of /proc/meminfo that are younger than node_exporter have its names, too.
    let further = ours.types.keys().filter(|name| {
        name.starts_with("node_")
            && !theirs.contains(name.as_str())
            && !PLATFORM.contains(&name.as_str())
            && !name.starts_with("node_memory_")
    });
    let further: Vec<_> = further.collect();
    assert!(further.is_empty(), "nobody's: {further:?}");
    let mut wrong = Vec::new();
    let mut compared = 0;
    for name in theirs {
        if ours.types.get(name) != before.types.get(name) {
            wrong.push(format!("{name} is a {:?}", ours.types.get(name)));
        }
        let of = |page: &Page| -> BTreeMap<String, f64> {
            let own = page
                .samples
                .iter()
                .filter(|(series, _)| series.split('{').next() == Some(name));
            own.map(|(series, value)| (series.clone(), *value))
                .collect()
        };
        let (first, mine, last) = (of(before), of(ours), of(after));
        for (series, first) in &first {
            let Some(last) = last.get(series) else {
                continue;
            };
            let Some(value) = mine.get(series) else {
                wrong.push(format!("{series} is missing"));
                continue;
            };
            let Some(slack) = slack(name, *first, *last) else {
                continue;
            };
            compared += 1;
            let (low, high) = (first.min(*last) - slack, first.max(*last) + slack);
            if !(low..=high).contains(value) {
                wrong.push(format!("{series}: {value} is not in {first} to {last}"));
            }
        }
        let extra = mine.keys().filter(|series| !first.contains_key(*series));
        wrong.extend(extra.map(|series| format!("{series} is there")));
    }
    if !wrong.is_empty() {
        return Err(wrong.join("\n"));
    }
    assert!(compared > 60, "{compared} series only");
    Ok(compared)
}

/// How far a value may lie outside of the two that node_exporter read before and after it. `None`
/// for what is of one moment only, and may have any value between them.
fn slack(name: &str, first: f64, last: f64) -> Option<f64> {
    const OF_ONE_MOMENT: [&str; 6] = [
        "node_disk_io_now",
        "node_memory_Dirty_bytes",
        "node_memory_WritebackTmp_bytes",
        "node_memory_Writeback_bytes",
        "node_procs_blocked",
        "node_procs_running",
    ];
    if OF_ONE_MOMENT.contains(&name) {
        return None;
    }
    // The digits in which both write.
    let digits = 1e-9 * first.abs().max(last.abs());
    // Room comes and goes while others work; what doesn't move, such as a size, must be the same.
    let moves = [
        "node_filesystem_avail_bytes",
        "node_filesystem_files_free",
        "node_filesystem_free_bytes",
    ];
    let moves = moves.contains(&name) || name.starts_with("node_memory_");
    let moved = (first - last).abs();
    Some(match moves && moved > 0.0 {
        true => 2.0 * moved + 0.02 * first.abs().max(last.abs()),
        false => digits,
    })
}

/// How long the gauges are compared: a minute where `FOGHORN_MINUTE` is set.
fn span() -> Duration {
    match std::env::var_os("FOGHORN_MINUTE") {
        Some(_) => Duration::from_secs(60),
        None => Duration::from_secs(15),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gauges_are_the_same_from_node_exporter_and_from_our_own_readings() {
    let Some(program) = peers::find("node_exporter") else {
        return;
    };
    let exporter = NodeExporter::start(&program).await;
    let agent = Agent::start(&format!(
        "
receivers:
  node:
    node_id: here
    collection_interval: 250ms
    filesystems: {{include: [/]}}
    targets: [{{node_id: there, url: '{}'}}]
exporters: {{prometheus: }}
service:
  http: {{endpoint: '127.0.0.1:0'}}
  pipelines: {{metrics: {{receivers: [node], exporters: [prometheus]}}}}
",
        exporter.url()
    ))
    .await;
    // Both have values of an interval.
    page_of(&agent, "node_cpu_usage{node_id=\"there").await;
    page_of(&agent, "node_cpu_usage{node_id=\"here").await;
    let gauges = ["node_cpu_usage", "node_memory_usage", "node_disk_usage"];
    let mut sums: BTreeMap<(&str, &str), (f64, f64)> = BTreeMap::new();
    let begun = Instant::now();
    while begun.elapsed() < span() {
        let page = page_of(&agent, "node_cpu_usage").await;
        for gauge in gauges {
            for node in ["here", "there"] {
                let key = format!("{gauge}{{node_id=\"{node}}}");
                let Some(value) = page.samples.get(&key) else {
                    continue;
                };
                let (sum, count) = sums.entry((gauge, node)).or_default();
                *sum += value;
                *count += 1.0;
            }
        }
        sleep(Duration::from_millis(125)).await;
    }
    agent.stop().await;
    for gauge in gauges {
        let mean = |node: &'static str| {
            let (sum, count) = sums[&(gauge, node)];
            sum / count
        };
        let (here, there) = (mean("here"), mean("there"));
        println!("{gauge}: {here:.2} here, {there:.2} by node_exporter");
        assert!(
            (here - there).abs() <= 2.0,
            "{gauge}: {here} here, {there} there"
        );
    }
}
