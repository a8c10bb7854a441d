//! The series of counters, disks and interfaces that restart, disappear and return.

use super::*;

#[tokio::test(start_paused = true)]
async fn counters_that_fall_begin_a_new_epoch_and_no_negative_value() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    let (batch, _) = fixture.poll().await;
    assert_eq!(starts(&batch, "system.network.io"), [1000, 1000]);
    assert_eq!(starts(&batch, "system.cpu.time"), [1000; 8]);
    // The interface was reset and has received 300 bytes since.
    fixture.set("net/dev", "eth0: 300 0 0 0 0 0 0 0 500 0 0 0 0 0 0 0\n");
    fixture.set("stat", "cpu 1 0 0 0 0 0 0 0\ncpu0 1 0 100 700 100 0 0 0\n");
    let (batch, _) = fixture.poll().await;
    assert_eq!(starts(&batch, "system.network.io"), [2010, 1000]);
    assert_eq!(starts(&batch, "system.cpu.time")[..2], [2010, 1000]);
    let series = series(&batch);
    assert!(series[r#"node_network_io{node_id="n1"}"#].is_nan());
    assert!(
        !names(&series).contains(&"node_cpu_usage"),
        "absent, not negative"
    );
}

/// One processor and one interface with large counts.
const BUSY: [(&str, &str); 3] = [
    (
        "stat",
        "cpu 100 0 100 700000 1000 0 0 0\ncpu0 100 0 100 700000 1000 0 0 0\nbtime 1000\n",
    ),
    (
        "net/dev",
        "eth0: 5000000000000 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n",
    ),
    (
        "diskstats",
        "8 0 sda 1000 1 20000 3000 40 5 60 7000 0 900 0\n",
    ),
];

#[tokio::test(start_paused = true)]
async fn counters_that_step_back_a_little_are_held_until_they_are_passed() {
    let mut fixture = Fixture::new();
    for (file, text) in BUSY {
        fixture.set(file, text);
    }
    fixture.start().await;
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let cpu =
        |mode: &str| format!(r#"system.cpu.time{{cpu.logical_number="0",cpu.mode="{mode}"}}"#);
    let received =
        r#"system.network.io{network.interface.name="eth0",network.io.direction="receive"}"#;
    let read = r#"system.disk.operations{system.device="sda",disk.io.direction="read"}"#;
    let rates =
        ["node_cpu_usage", "node_network_io"].map(|name| format!(r#"{name}{{node_id="n1"}}"#));
    let utilization = r#"system.cpu.utilization{cpu.logical_number="0",cpu.mode="user"}"#;
    let mut f = async |idle: u64,
                       iowait: u64,
                       bytes: u64,
                       reads: u64,
                       shown: [u64; 4],
                       told: Option<bool>| {
        let cpu_line = format!("100 0 100 {idle} {iowait} 0 0 0");
        fixture.set(
            "stat",
            format!("cpu {cpu_line}\ncpu0 {cpu_line}\nbtime 1000\n"),
        );
        fixture.set(
            "net/dev",
            format!("eth0: {bytes} 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n"),
        );
        let disk = format!("8 0 sda {reads} 1 20000 3000 40 5 60 7000 0 900 0\n");
        fixture.set("diskstats", &disk);
        let (batch, _) = fixture.poll().await;
        for name in [
            "system.cpu.time",
            "system.network.io",
            "system.disk.operations",
        ] {
            let starts = starts(&batch, name);
            assert!(
                starts.iter().all(|start| *start == 1000),
                "{name}: {starts:?}"
            );
        }
        let series = series(&batch);
        let found = [&cpu("idle"), &cpu("iowait"), received, read].map(|key| series[key]);
        let [idle, iowait, bytes, reads] = shown.map(|value| value as f64);
        assert_eq!(found, [idle / ticks, iowait / ticks, bytes, reads]);
        for rate in rates.iter().map(String::as_str).chain([utilization]) {
            let found = series.get(rate).map(|value| !value.is_nan());
            assert_eq!(found, told, "{rate}");
        }
    };
    let tib = 5_000_000_000_000;
    f(
        700_900,
        1001,
        tib + 20_000,
        1005,
        [700_900, 1001, tib + 20_000, 1005],
        Some(true),
    )
    .await;
    // The counters are held, and the rates end.
    f(
        700_850,
        1000,
        tib + 10_000,
        1004,
        [700_900, 1001, tib + 20_000, 1005],
        Some(false),
    )
    .await;
    // Two values in a row below the held one give an interval again.
    f(
        700_880,
        1000,
        tib + 15_000,
        1004,
        [700_900, 1001, tib + 20_000, 1005],
        Some(true),
    )
    .await;
    f(
        700_950,
        1002,
        tib + 25_000,
        1006,
        [700_950, 1002, tib + 25_000, 1006],
        Some(true),
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_host_with_a_new_boot_time_begins_every_counter_anew() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    fixture.poll().await;
    fixture.set(
        "stat",
        "cpu 99 0 100 700 100 0 0 0\ncpu0 99 0 100 800 100 0 0 0\nbtime 2005\n",
    );
    fixture.set("net/dev", "eth0: 999 11 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n");
    let (batch, _) = fixture.poll().await;
    assert_eq!(starts(&batch, "system.network.io"), [2010, 2010]);
    assert_eq!(starts(&batch, "system.cpu.time"), [2010; 8]);
    assert_eq!(starts(&batch, "system.disk.operations"), [2010, 2010]);
    let series = series(&batch);
    let received =
        r#"system.network.io{network.interface.name="eth0",network.io.direction="receive"}"#;
    assert_eq!(series[received], 999.0);
    let rate = series.get(r#"node_network_io{node_id="n1"}"#);
    assert!(rate.is_none_or(|rate| rate.is_nan()), "{rate:?}");
}

/// The series that a poll ends, without those of the summary, which end when one of the values
/// that they are computed from is missing.
fn ended(series: &Series) -> Vec<&str> {
    let ended = series.iter().filter(|(_, value)| value.is_nan());
    let ended = ended.filter(|(key, _)| !key.starts_with("node_"));
    ended.map(|(key, _)| key.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_disappears_ends_its_series_once() {
    let f = async |file: &str, gone: &str, device: &str, names: &[&str]| {
        let mut fixture = Fixture::new();
        let text = FILES.iter().find(|(name, _)| *name == file).unwrap().1;
        fixture.start().await;
        let whole = fixture.series().await;
        assert_eq!(ended(&whole), [""; 0]);
        fixture.set(file, gone);
        let found = fixture.series().await;
        let of_it = format!("=\"{device}\"");
        let expected: Vec<&str> = whole
            .keys()
            .map(String::as_str)
            .filter(|key| key.contains(&of_it))
            .collect();
        assert_eq!(ended(&found), expected, "{device}");
        for name in names {
            assert!(expected.iter().any(|key| key.starts_with(name)), "{name}");
        }
        let silent = fixture.series().await;
        assert!(!silent.keys().any(|key| key.contains(&of_it)), "only once");
        // What comes back has series again.
        fixture.set(file, text);
        let back = fixture.series().await;
        assert_eq!(ended(&back), [""; 0]);
        assert!(expected.iter().all(|key| back.contains_key(*key)));
    };
    f(
        "diskstats",
        "",
        "sda",
        &[
            "system.disk.io",
            "system.disk.operations",
            "system.disk.io_time",
        ],
    )
    .await;
    f(
        "net/dev",
        "lo: 9 9 9 9 0 0 0 0 9 9 9 9 0 0 0 0\n",
        "eth0",
        &["system.network.io", "system.network.errors"],
    )
    .await;
    f(
        "mounts",
        "/dev/root / ext4 rw 0 0\n",
        "/again",
        &["system.filesystem.usage", "system.filesystem.utilization"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_processor_that_is_unplugged_ends_its_series() {
    let mut fixture = Fixture::new();
    let two = "cpu 2 0 0 0 0 0 0 0\ncpu0 1 0 0 0 0 0 0 0\ncpu1 1 0 0 0 0 0 0 0\n";
    fixture.set("stat", two);
    fixture.start().await;
    fixture.set(
        "stat",
        "cpu 4 0 0 0 0 0 0 0\ncpu0 2 0 0 0 0 0 0 0\ncpu1 2 0 0 0 0 0 0 0\n",
    );
    let whole = fixture.series().await;
    fixture.set("stat", "cpu 3 0 0 0 0 0 0 0\ncpu0 3 0 0 0 0 0 0 0\n");
    let found = fixture.series().await;
    let of_it = whole.keys().filter(|key| {
        key.contains("cpu.logical_number=1,") || key.contains("cpu.logical_number=\"1\"")
    });
    assert_eq!(ended(&found), of_it.collect::<Vec<_>>());
    assert_eq!(
        ended(&found).len(),
        16,
        "time and utilization in eight modes"
    );
}

#[tokio::test(start_paused = true)]
async fn a_remounted_filesystem_ends_the_series_of_its_old_mode() {
    let mut fixture = Fixture::new();
    fixture.start().await;
    fixture.series().await;
    fixture.set(
        "mounts",
        "/dev/root / ext4 ro 0 0\n/dev/root /again ext4 rw 0 0\n",
    );
    let found = fixture.series().await;
    let ended = ended(&found);
    assert_eq!(ended.len(), 6, "{ended:?}");
    assert!(
        ended
            .iter()
            .all(|key| key.contains("mode=\"rw\"") && key.contains("mountpoint=\"/\""))
    );
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_read_for_once_is_not_gone() {
    for file in ["diskstats", "net/dev", "mounts", "stat"] {
        let mut fixture = Fixture::new();
        fixture.start().await;
        let (before, _) = fixture.poll().await;
        let text = FILES.iter().find(|(name, _)| *name == file).unwrap().1;
        fixture.remove(file);
        let without = fixture.series().await;
        assert_eq!(ended(&without), [""; 0], "{file}");
        fixture.set(file, text);
        let (after, _) = fixture.poll().await;
        for name in ["system.disk.io", "system.network.io", "system.cpu.time"] {
            assert_eq!(
                starts(&after, name),
                starts(&before, name),
                "{name} goes on"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn starts_move_once_with_a_clock_that_is_set_back_and_never_lie_in_the_future() {
    let mut fixture = Fixture::new();
    fixture.now.wall = UNIX_EPOCH + Duration::from_secs(12_000);
    fixture.set(
        "stat",
        "cpu 1 0 0 0 0 0 0 0\ncpu0 1 0 0 0 0 0 0 0\nbtime 11000\n",
    );
    fixture.start().await;
    let (batch, _) = fixture.poll().await;
    assert_eq!(starts(&batch, "system.network.io"), [11_000, 11_000]);
    let before = fixture.now;
    fixture.now.wall -= Duration::from_secs(2_000);
    let back = SetBack::between(before, fixture.now).unwrap();
    fixture.node.clock_set_back(&back);
    for _ in 0..3 {
        let (batch, _) = fixture.poll().await;
        assert_eq!(starts(&batch, "system.network.io"), [9_000, 9_000]);
        assert_eq!(starts(&batch, "system.cpu.time"), [9_000; 8]);
    }
}
