use std::fs;
use std::path::PathBuf;
use std::time::UNIX_EPOCH;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use proptest::prelude::*;
use prost::Message as _;
use tempfile::TempDir;
use tokio::time::Instant;

use super::config::Exposition;
use super::config::NameFilter;
use super::semconv::Semconv;
use super::*;
use crate::host::PATIENCE;
use crate::pdata::Batch;
use crate::receivers::scrape::http::HttpClientConfig;
use crate::receivers::scrape::testing::{Series, series};
use crate::receivers::scrape::{FailureReason, PollReason, PollSettings};

mod exporter;
mod life;
mod machine;
mod trouble;

/// The files of a small host with round numbers.
const FILES: [(&str, &str); 9] = [
    (
        "stat",
        "cpu 100 0 100 700 100 0 0 0 0 0\ncpu0 100 0 100 700 100 0 0 0 0 0\nbtime 1000\n",
    ),
    (
        "meminfo",
        "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 400 kB\nBuffers: 10 kB\nCached: 90 kB\n",
    ),
    ("loadavg", "0.5 1.5 2.5 1/2 3\n"),
    ("uptime", "600.25 1\n"),
    ("diskstats", "8 0 sda 10 1 20 3000 40 5 60 7000 0 900 0\n"),
    (
        "net/dev",
        "lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\neth0: 1000 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n",
    ),
    ("net/tcp", "sl a b st\n0: A B 0A x\n"),
    ("net/udp", "sl a b st\n0: A B 07 x\n"),
    (
        "mounts",
        "/dev/root / ext4 rw 0 0\n/dev/root /again ext4 rw 0 0\nproc /proc proc rw 0 0\n",
    ),
];

struct Fixture {
    root: TempDir,
    node: Local,
    now: Now,
}

impl Fixture {
    /// A host that has no files yet.
    fn empty(change: impl FnOnce(&mut Config)) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/1/net")).unwrap();
        fs::create_dir_all(root.path().join("again")).unwrap();
        let mut config = Config {
            settings: PollSettings::default(),
            node_id: None,
            root_path: root.path().to_owned(),
            exposition: Exposition::Semconv,
            semconv: Semconv::V1,
            filesystems: NameFilter::default(),
            disks: NameFilter::default(),
            networks: NameFilter::default(),
            targets: Vec::new(),
            http: HttpClientConfig::default(),
        };
        change(&mut config);
        Self {
            node: Local::new(&config, "n1".to_owned(), Arc::default()),
            root,
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(2000),
            },
        }
    }

    fn new() -> Self {
        let fixture = Self::empty(|_| {});
        for (file, text) in FILES {
            fixture.set(file, text);
        }
        fixture
    }

    /// The path of a host's file; the files of a namespace are below `proc/1`.
    fn path(&self, file: &str) -> PathBuf {
        let proc = self.root.path().join("proc");
        match file.starts_with("net/") || file == "mounts" {
            true => proc.join("1").join(file),
            false => proc.join(file),
        }
    }

    fn set(&self, file: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(file), text).unwrap();
    }

    fn remove(&self, file: &str) {
        fs::remove_file(self.path(file)).unwrap();
    }

    /// Puts a FIFO in the place of a file: opening it hangs.
    fn hang(&self, file: &str) {
        let path = self.path(file);
        let _ = fs::remove_file(&path);
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
    }

    /// Ends the hang: the read gets an empty file.
    fn release(&self, file: &str) {
        drop(
            fs::OpenOptions::new()
                .write(true)
                .open(self.path(file))
                .unwrap(),
        );
    }

    async fn start(&mut self) {
        self.start_beside(&[]).await;
    }

    /// Starts, and waits until the first counters are read.
    async fn start_beside(&mut self, hanging: &[&str]) {
        self.node.start(self.now);
        let done = |node: &Local| {
            let baseline = node.baseline.as_ref();
            baseline.is_none_or(|(_, task)| task.is_finished())
        };
        while !done(&self.node) {
            let quiet = self
                .node
                .poller
                .threads
                .only(|what| hanging.contains(&what));
            tokio::task::yield_now().await;
            let quiet = quiet
                && self
                    .node
                    .poller
                    .threads
                    .only(|what| hanging.contains(&what));
            if quiet && !hanging.is_empty() && !done(&self.node) {
                tokio::time::advance(PATIENCE).await;
            }
        }
    }

    /// Polls ten seconds later.
    async fn poll(&mut self) -> (Batch, Scrape) {
        self.poll_beside(&[]).await
    }

    /// Polls ten seconds later while the reads in `hanging` hang. The paused clock doesn't move
    /// while any other read is running.
    async fn poll_beside(&mut self, hanging: &[&str]) -> (Batch, Scrape) {
        let ten = Duration::from_secs(10);
        tokio::time::advance(ten).await;
        self.now.monotonic = Instant::now();
        self.now.wall += ten;
        let mut out = MetricsWriter::new();
        out.resource(&[]);
        out.scope("test", "");
        let threads = Arc::clone(&self.node.poller.threads);
        let poll = Poll {
            now: self.now,
            reason: PollReason::Interval,
        };
        let mut scraping = self.node.scrape(poll, &mut out);
        let scrape = loop {
            // Checked before and after looking for an answer: no answer is there, and none will
            // come.
            let quiet = threads.only(|what| hanging.contains(&what));
            tokio::select! {
                biased;
                scrape = &mut scraping => break scrape,
                () = tokio::task::yield_now() => {}
            }
            let quiet = quiet && threads.only(|what| hanging.contains(&what));
            if quiet && !hanging.is_empty() {
                tokio::time::advance(PATIENCE).await;
            }
        };
        drop(scraping);
        (out.finish(), scrape)
    }

    /// The series of a poll that must not fail, without those of the agent's process.
    async fn series(&mut self) -> Series {
        let (batch, scrape) = self.poll().await;
        assert_eq!(scrape.failures(), []);
        let mut series = series(&batch);
        series.retain(|name, _| !name.starts_with("process."));
        series
    }
}

fn names(series: &Series) -> Vec<&str> {
    let mut names: Vec<_> = series
        .keys()
        .map(|key| key.split('{').next().unwrap())
        .collect();
    names.dedup();
    names
}

/// Start times in seconds of a metric's points.
fn starts(batch: &Batch, name: &str) -> Vec<u64> {
    let bytes = batch.parts()[0].bytes().clone();
    let request = ExportMetricsServiceRequest::decode(bytes).unwrap();
    let metrics = &request.resource_metrics[0].scope_metrics[0].metrics;
    let metric = metrics.iter().find(|metric| metric.name == name).unwrap();
    let Some(Data::Sum(sum)) = &metric.data else {
        panic!("{metric:?}")
    };
    assert!(sum.is_monotonic);
    let nanos = sum
        .data_points
        .iter()
        .map(|point| point.start_time_unix_nano);
    nanos.map(|nanos| nanos / 1_000_000_000).collect()
}

#[tokio::test(start_paused = true)]
async fn the_summary_is_of_the_interval() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    // 300 of 1000 ticks with work, 40,000 and 10,000 bytes in 10 s.
    fixture.set("stat", "cpu 300 0 200 1300 200 0 0 0 0 0\nbtime 1000\n");
    fixture.set("net/dev", "eth0: 41000 0 0 0 0 0 0 0 10500 0 0 0 0 0 0 0\n");
    let series = fixture.series().await;
    let f = |key: &str, expected: f64| assert_eq!(series.get(key), Some(&expected), "{key}");
    f(r#"node_cpu_usage{node_id="n1"}"#, 30.0);
    f(r#"node_memory_usage{node_id="n1"}"#, 60.0);
    f(r#"node_network_io{node_id="n1"}"#, 5000.0);
    f(
        r#"node_network_io{node_id="n1",direction="receive"}"#,
        4000.0,
    );
    f(
        r#"node_network_io{node_id="n1",direction="transmit"}"#,
        1000.0,
    );
    f(r#"system_uptime{node_id="n1"}"#, 600.25);
    f(r#"system_total_nodes{node_id="n1"}"#, 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_host_is_described_in_the_current_conventions() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    let series = fixture.series().await;
    let f = |key: &str, expected: f64| assert_eq!(series.get(key), Some(&expected), "{key}");
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    f(
        r#"system.cpu.time{cpu.logical_number="0",cpu.mode="iowait"}"#,
        100.0 / ticks,
    );
    f("system.cpu.logical.count", 1.0);
    f(
        r#"system.memory.usage{system.memory.state="used"}"#,
        600.0 * 1024.0,
    );
    f(
        r#"system.memory.utilization{system.memory.state="free"}"#,
        0.3,
    );
    f("system.memory.limit", 1000.0 * 1024.0);
    f(
        r#"system.disk.io{system.device="sda",disk.io.direction="write"}"#,
        60.0 * 512.0,
    );
    f(
        r#"system.disk.operations{system.device="sda",disk.io.direction="read"}"#,
        10.0,
    );
    f(r#"system.disk.io_time{system.device="sda"}"#, 0.9);
    f(
        r#"system.network.io{network.interface.name="eth0",network.io.direction="receive"}"#,
        1000.0,
    );
    f(
        r#"system.network.packet.dropped{network.interface.name="eth0",network.io.direction="transmit"}"#,
        4.0,
    );
    f(
        r#"system.network.connection.count{network.transport="tcp",network.connection.state="listen"}"#,
        1.0,
    );
    f("system.cpu.load_average.15m", 2.5);
    f("system.uptime", 600.25);
    assert!(!series.keys().any(|key| key.contains("\"lo\"")));
}

#[tokio::test(start_paused = true)]
async fn the_older_conventions_are_the_collectors() {
    let mut fixture = Fixture::empty(|config| config.semconv = Semconv::V0);
    for (file, text) in FILES {
        fixture.set(file, text);
    }
    fixture.start().await;
    let series = fixture.series().await;
    for key in [
        r#"system.cpu.time{cpu="cpu0",state="wait"}"#,
        r#"system.memory.usage{state="buffered"}"#,
        r#"system.disk.io{device="sda",direction="write"}"#,
        r#"system.network.packets{device="eth0",direction="receive"}"#,
        r#"system.network.connections{protocol="tcp",state="LISTEN"}"#,
    ] {
        assert!(series.contains_key(key), "{key}");
    }
    assert!(!series.keys().any(|key| key.contains("cpu.mode")));
}

#[tokio::test(start_paused = true)]
async fn both_conventions_are_the_one_and_the_other() {
    let mut all = Vec::new();
    for semconv in [Semconv::V1, Semconv::V0, Semconv::Both] {
        let mut fixture = Fixture::empty(|config| config.semconv = semconv);
        for (file, text) in FILES {
            fixture.set(file, text);
        }
        // The filesystem behind the temporary directory differs from fixture to fixture.
        fixture.remove("mounts");
        fixture.start().await;
        all.push(fixture.series().await);
    }
    let [v1, v0, both] = all.try_into().unwrap();
    let mut joined = v1;
    joined.extend(v0);
    assert_eq!(both, joined);
}

#[tokio::test(start_paused = true)]
async fn two_mounts_of_a_device_count_once_in_the_summary() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    let (_, scrape) = fixture.poll().await;
    assert!(scrape.up());
    let stat = rustix::fs::statvfs(fixture.root.path()).unwrap();
    let used = (stat.f_blocks - stat.f_bfree) as f64;
    let expected = 100.0 * used / (used + stat.f_bavail as f64);
    let series = fixture.series().await;
    let usage = series[r#"node_disk_usage{node_id="n1"}"#];
    assert!((usage - expected).abs() < 0.5, "{usage}, not {expected}");
    let places = series
        .keys()
        .filter(|key| key.starts_with("system.filesystem.usage") && key.contains("\"used\""));
    assert_eq!(places.count(), 2, "each mount has its series");
}

#[tokio::test(start_paused = true)]
async fn what_is_missing_is_absent_and_the_rest_comes() {
    let of = |file: &str| match file {
        "stat" => &[
            "system.cpu.time",
            "system.cpu.utilization",
            "node_cpu_usage",
        ][..],
        "meminfo" => &["system.memory.usage", "node_memory_usage"],
        "loadavg" => &["system.cpu.load_average.1m"],
        "uptime" => &["system.uptime", "system_uptime"],
        "diskstats" => &["system.disk.io", "system.disk.io_time"],
        "net/dev" => &["system.network.io", "node_network_io"],
        "mounts" => &["system.filesystem.usage", "node_disk_usage"],
        _ => &[],
    };
    let moving = "cpu 200 0 100 800 100 0 0 0\ncpu0 200 0 100 800 100 0 0 0\nbtime 1000\n";
    for (file, _) in FILES {
        let mut fixture = Fixture::new();
        fixture.start().await;
        fixture.set("stat", moving);
        fixture.remove(file);
        let series = fixture.series().await;
        let found = names(&series);
        for (other, _) in FILES {
            for name in of(other) {
                assert_eq!(found.contains(name), other != file, "{name} without {file}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_garbled_is_a_failed_part_and_the_rest_comes() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    fixture.set("meminfo", "\u{0}\u{1}MemTotal: -1 kB\n");
    let (batch, scrape) = fixture.poll().await;
    assert!(scrape.up());
    assert_eq!(scrape.failures().len(), 1);
    assert_eq!(scrape.failures()[0].part, "memory");
    assert_eq!(scrape.failures()[0].reason, FailureReason::Parse);
    let series = series(&batch);
    let found = names(&series);
    assert!(found.contains(&"system.cpu.time"));
    assert!(
        !found
            .iter()
            .any(|name| name.contains("memory") && !name.starts_with("process"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_host_that_shows_nothing_is_down() {
    let mut fixture = Fixture::empty(|_| {});
    fixture.start().await;
    let (batch, scrape) = fixture.poll().await;
    assert!(!scrape.up());
    assert_eq!(batch.items(), 0, "the agent's process alone is no host");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_files_are_survived(
        files in prop::collection::vec(
            (prop::sample::select(FILES.map(|(file, _)| file).to_vec()), "[0-9a-z:. \n-]{0,300}"),
            0..12,
        ),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut fixture = Fixture::new();
            fixture.start().await;
            for (file, text) in &files {
                fixture.set(file, text);
            }
            for _ in 0..2 {
                let (batch, _) = fixture.poll().await;
                for (key, value) in series(&batch) {
                    let percent = key.starts_with("node_") && !key.contains("network");
                    assert!(!percent || (0.0..=100.0).contains(&value), "{key} is {value}");
                    assert!(value >= 0.0, "{key} is {value}");
                }
            }
        });
    }
}
