//! What series do when what they tell of begins anew, goes and comes back.

use super::*;

#[tokio::test(start_paused = true)]
async fn counters_that_fall_begin_a_new_epoch_and_no_negative_value() {
    let mut fixture = Fixture::new();
    fixture.start();
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
    assert_eq!(series[r#"node_network_io{node_id="n1"}"#], 30.0);
    assert!(
        !names(&series).contains(&"node_cpu_usage"),
        "absent, not negative"
    );
}

/// The series that a poll ends.
fn ended(series: &Series) -> Vec<&str> {
    let ended = series.iter().filter(|(_, value)| value.is_nan());
    ended.map(|(key, _)| key.as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_disappears_ends_its_series_once() {
    let f = async |file: &str, gone: &str, device: &str, names: &[&str]| {
        let mut fixture = Fixture::new();
        let text = FILES.iter().find(|(name, _)| *name == file).unwrap().1;
        fixture.start();
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
    fixture.start();
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
    fixture.start();
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
        fixture.start();
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
