mod process;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message as _;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::pdata::Batch;
use crate::receivers::scrape::testing::{Series, series};
use crate::receivers::scrape::{FailureReason, PollReason};
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// The files of a small host with round numbers.
const FILES: [(&str, &str); 10] = [
    (
        "stat",
        "cpu 100 0 100 700 100 0 0 0 0 0\ncpu0 100 0 100 700 100 0 0 0 0 0\nbtime 1000\n\
         processes 42\nprocs_running 1\nprocs_blocked 0\n",
    ),
    (
        "meminfo",
        "MemTotal: 1000 kB\nMemFree: 300 kB\nMemAvailable: 400 kB\nBuffers: 10 kB\nCached: 90 kB\n\
         SReclaimable: 10 kB\nHugePages_Total: 4\nHugePages_Free: 1\n",
    ),
    ("loadavg", "0.5 1.5 2.5 1/2 3\n"),
    ("uptime", "600.25 1\n"),
    (
        "diskstats",
        "8 0 sda 10 1 20 3000 40 5 60 7000 2 900 1900\n8 1 loop0 0 0 0 0 0 0 0 0 0 0 0\n",
    ),
    (
        "net/dev",
        "lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\neth0: 1000 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n",
    ),
    ("net/tcp", "sl a b st\n0: A B 0A x\n"),
    (
        "swaps",
        "Filename Type Size Used Priority\n/swapfile file 2000 500 -2\n",
    ),
    (
        "vmstat",
        "pgpgin 7\npgpgout 8\npswpin 1\npswpout 2\npgfault 100\npgmajfault 3\n",
    ),
    ("mountinfo", "1 1 8:0 / / rw - ext4 /dev/sda rw\n"),
];

const ALL: &str = "{cpu: , disk: , filesystem: , load: , memory: , network: , paging: , \
                   processes: , system: , process: }";

struct HostFixture {
    root: TempDir,
    scraper: HostScraper,
    now: Now,
}

impl HostFixture {
    fn new(scrapers: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/1/net")).unwrap();
        fs::create_dir_all(root.path().join("etc")).unwrap();
        let text = format!(
            "{{root_path: {}, scrapers: {scrapers}}}",
            root.path().display()
        );
        let diagnostics = Diagnostics::new();
        let node = parse(&text, &Arc::from("test"), &diagnostics).unwrap();
        let config = Config::read(&PlacedNode::root(&node, &diagnostics)).unwrap();
        assert_eq!(diagnostics.problems(), []);
        let identity = Arc::new(TargetIdentity::new("host_metrics", "test"));
        let fixture = Self {
            root,
            scraper: HostScraper::new(&config, identity, Arc::default()),
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_secs(2000),
            },
        };
        for (file, text) in FILES {
            fixture.set(file, text);
        }
        fixture
    }

    /// The path of a host's file; the files of a namespace are below `proc/1`.
    fn path(&self, file: &str) -> PathBuf {
        let proc = self.root.path().join("proc");
        match file.starts_with("net/") || file == "mountinfo" {
            true => proc.join("1").join(file),
            false => proc.join(file),
        }
    }

    fn set(&self, file: &str, text: &str) {
        fs::write(self.path(file), text).unwrap();
    }

    /// A process of user 1000 with this command line; `ticks` in user mode. It began 100 seconds
    /// after the host.
    fn process(&self, pid: u32, name: &str, command: &str, ticks: u64) {
        self.process_since(100, pid, name, command, ticks);
    }

    /// The same, begun so many seconds after the host.
    fn process_since(&self, begun: u64, pid: u32, name: &str, command: &str, ticks: u64) {
        let begun = begun * rustix::param::clock_ticks_per_second();
        let folder = self.root.path().join(format!("proc/{pid}"));
        fs::create_dir_all(&folder).unwrap();
        let set = |file: &str, text: &str| fs::write(folder.join(file), text).unwrap();
        set(
            "stat",
            &format!("{pid} ({name}) S 1 0 0 0 -1 0 5 0 6 0 {ticks} 50 0 0 20 0 3 0 {begun} 0 0"),
        );
        set("status", "Name:\tx\nUid:\t1000\t1000\t1000\t1000\n");
        set("statm", "200 100 1 1 1 1 1\n");
        set("io", "rchar: 11\nwchar: 12\nsyscr: 13\nsyscw: 14\n");
        set("cmdline", command);
        let _ = std::os::unix::fs::symlink(format!("/bin/{name}"), folder.join("exe"));
    }

    /// Polls ten seconds later.
    async fn poll(&mut self) -> (Batch, Scrape) {
        let ten = Duration::from_secs(10);
        tokio::time::advance(ten).await;
        self.now.monotonic = Instant::now();
        self.now.wall += ten;
        let mut out = MetricsWriter::new();
        out.resource(&[("service.name", "host_metrics".into())]);
        out.scope("foghorn/host_metrics", "");
        let poll = Poll {
            now: self.now,
            reason: PollReason::Interval,
        };
        let mut scraping = self.scraper.scrape(poll, &mut out);
        let scrape = loop {
            // The paused clock doesn't move while a thread reads.
            tokio::select! {
                biased;
                scrape = &mut scraping => break scrape,
                () = tokio::task::yield_now() => {}
            }
        };
        drop(scraping);
        (out.finish(), scrape)
    }

    /// The series of a poll of which nothing fails.
    async fn series(&mut self) -> Series {
        let (batch, scrape) = self.poll().await;
        assert_eq!(scrape.failures(), []);
        series(&batch)
    }
}

fn request(batch: &Batch) -> ExportMetricsServiceRequest {
    ExportMetricsServiceRequest::decode(batch.parts()[0].bytes().clone()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_host_is_described_as_by_the_collector() {
    let mut fixture = HostFixture::new(ALL);
    fixture.set("../etc/passwd", "root:x:0:0::/:\nme:x:1000:1000::/:\n");
    let series = fixture.series().await;
    let f = |key: &str, expected: f64| {
        assert_eq!(series.get(key), Some(&expected), "{key} in {series:?}");
    };
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    f(r#"system.cpu.time{cpu="cpu0",state="wait"}"#, 100.0 / ticks);
    f(
        r#"system.disk.io{device="sda",direction="write"}"#,
        60.0 * 512.0,
    );
    f(r#"system.disk.merged{device="sda",direction="read"}"#, 1.0);
    f(r#"system.disk.pending_operations{device="sda"}"#, 2.0);
    f(r#"system.disk.weighted_io_time{device="sda"}"#, 1.9);
    f("system.cpu.load_average.15m", 2.5);
    f(r#"system.memory.usage{state="used"}"#, 600.0 * 1024.0);
    f(r#"system.memory.usage{state="cached"}"#, 100.0 * 1024.0);
    f(
        r#"system.memory.usage{state="slab_reclaimable"}"#,
        10.0 * 1024.0,
    );
    f(
        r#"system.network.packets{device="lo",direction="transmit"}"#,
        9.0,
    );
    f(
        r#"system.network.dropped{device="eth0",direction="transmit"}"#,
        4.0,
    );
    f(
        r#"system.network.connections{protocol="tcp",state="LISTEN"}"#,
        1.0,
    );
    f(
        r#"system.network.connections{protocol="tcp",state="DELETE"}"#,
        0.0,
    );
    f(
        r#"system.paging.usage{device="/swapfile",state="used"}"#,
        500.0 * 1024.0,
    );
    f(r#"system.paging.faults{type="minor"}"#, 97.0 * 4096.0);
    f(
        r#"system.paging.operations{direction="page_out",type="minor"}"#,
        8.0 * 4096.0,
    );
    f("system.processes.created", 42.0);
    f(r#"system.processes.count{status="running"}"#, 1.0);
    f("system.uptime", 600.25);
    for absent in ["loop0", "slab_unreclaimable", "hugepages", "utilization"] {
        assert!(!series.keys().any(|key| key.contains(absent)), "{absent}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_scraper_has_a_scope_and_each_process_a_resource() {
    let mut fixture = HostFixture::new(
        "{cpu: , process: {resource_attributes: {process.owner: {enabled: false}}}}",
    );
    fixture.process(7, "sleep", "sleep\09\0", 100);
    fixture.process(8, "kworker", "", 0);
    let (batch, scrape) = fixture.poll().await;
    assert_eq!(scrape.failures(), []);
    let request = request(&batch);
    let scopes: Vec<(usize, String, &str)> = request
        .resource_metrics
        .iter()
        .map(|resource| {
            let attributes = resource.resource.as_ref().unwrap().attributes.len();
            let scope = resource.scope_metrics[0]
                .scope
                .as_ref()
                .unwrap()
                .name
                .clone();
            (attributes, scope, resource.schema_url.as_str())
        })
        .collect();
    let scope = |name: &str| {
        format!(
            "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/\
             hostmetricsreceiver/internal/scraper/{name}scraper"
        )
    };
    let schema = "https://opentelemetry.io/schemas/1.9.0";
    assert_eq!(
        scopes,
        [
            (0, scope("cpu"), schema),
            (6, scope("process"), schema),
            (6, scope("process"), schema),
            // Of the series about the poll, which the controller writes.
            (2, "foghorn/host_metrics".to_owned(), ""),
        ]
    );
    let text = format!("{:?}", request.resource_metrics[1].resource);
    for part in ["sleep 9", "/bin/sleep", "process.parent_pid", "IntValue(7)"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_chosen_is_not_written() {
    let mut fixture = HostFixture::new(
        "{memory: {metrics: {system.memory.usage: {enabled: false}, \
         system.memory.linux.hugepages.usage: {enabled: true}}}, \
         network: {include: {interfaces: [eth0], match_type: strict}, \
         metrics: {system.network.connections: {enabled: false}}}}",
    );
    let series = fixture.series().await;
    let mut names: Vec<&str> = series.keys().map(String::as_str).collect();
    names.retain(|name| !name.contains("eth0"));
    assert_eq!(
        names,
        [
            r#"system.memory.linux.hugepages.usage{system.memory.linux.hugepages.state="free"}"#,
            r#"system.memory.linux.hugepages.usage{system.memory.linux.hugepages.state="used"}"#,
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn points_that_are_the_same_without_an_attribute_are_joined() {
    let f = |strategy: &'static str, expected: f64| async move {
        let mut fixture = HostFixture::new(&format!(
            "{{network: {{metrics: {{system.network.io: {{attributes: [device], \
             aggregation_strategy: {strategy}}}}}}}}}"
        ));
        let series = fixture.series().await;
        let key = r#"system.network.io{device="eth0"}"#;
        assert_eq!(series.get(key), Some(&expected), "{strategy}: {series:?}");
    };
    f("sum", 1500.0).await;
    f("avg", 750.0).await;
    f("min", 500.0).await;
    f("max", 1000.0).await;
}

#[tokio::test(start_paused = true)]
async fn utilization_is_of_the_interval_and_ends_when_a_counter_falls() {
    let mut fixture =
        HostFixture::new("{cpu: {metrics: {system.cpu.utilization: {enabled: true}}}}");
    let key = r#"system.cpu.utilization{cpu="cpu0",state="user"}"#;
    assert!(!fixture.series().await.contains_key(key), "no interval yet");
    fixture.set("stat", "cpu0 300 0 100 900 100 0 0 0 0 0\nbtime 1000\n");
    assert_eq!(fixture.series().await.get(key), Some(&0.5));
    fixture.set("stat", "cpu0 10 0 100 900 100 0 0 0 0 0\nbtime 1000\n");
    let (batch, _) = fixture.poll().await;
    assert!(series(&batch)[key].is_nan(), "a tombstone");
    let (batch, _) = fixture.poll().await;
    assert!(!series(&batch).contains_key(key));
}

#[tokio::test(start_paused = true)]
async fn disks_that_never_did_anything_take_no_room_from_the_others() {
    let mut fixture = HostFixture::new("{disk: }");
    let unused = (0..600).map(|number| format!("7 {number} loop{number} 0 0 0 0 0 0 0 0 0 0 0\n"));
    let used = "8 0 sda 10 1 20 3000 40 5 60 7000 2 900 1900\n".to_owned();
    let lines: Vec<String> = unused.chain([used]).collect();
    fixture.set("diskstats", &lines.concat());
    let series = fixture.series().await;
    let key = r#"system.disk.operations{device="sda",direction="read"}"#;
    assert_eq!(series.get(key), Some(&10.0));
    assert!(!series.keys().any(|key| key.contains("loop")));
}

#[tokio::test(start_paused = true)]
async fn a_host_that_shows_nothing_is_down() {
    let mut fixture = HostFixture::new("{cpu: , memory: }");
    for (file, _) in FILES {
        fs::remove_file(fixture.path(file)).unwrap();
    }
    let (batch, scrape) = fixture.poll().await;
    assert!(!scrape.up());
    assert_eq!(batch.items(), 0);
}
