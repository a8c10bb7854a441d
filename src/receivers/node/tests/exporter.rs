//! node_exporter's names.

use super::*;

fn fixture(exposition: Exposition) -> Fixture {
    let fixture = Fixture::empty(|config| config.exposition = exposition);
    for (file, text) in FILES {
        fixture.set(file, text);
    }
    fixture
}

#[tokio::test(start_paused = true)]
async fn the_host_has_node_exporters_names_in_place_of_the_conventions() {
    let mut fixture = fixture(Exposition::NodeExporter);
    fixture.start().await;
    let series = fixture.series().await;
    let f = |key: &str, expected: f64| assert_eq!(series.get(key), Some(&expected), "{key}");
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    f(
        r#"node_cpu_seconds_total{cpu="0",mode="iowait"}"#,
        100.0 / ticks,
    );
    f(r#"node_cpu_guest_seconds_total{cpu="0",mode="nice"}"#, 0.0);
    f("node_boot_time_seconds", 1000.0);
    f("node_memory_MemAvailable_bytes", 400.0 * 1024.0);
    f("node_load15", 2.5);
    f("node_time_seconds", 2010.0);
    f(
        r#"node_disk_written_bytes_total{device="sda"}"#,
        60.0 * 512.0,
    );
    f(r#"node_disk_io_time_seconds_total{device="sda"}"#, 0.9);
    f(r#"node_network_receive_drop_total{device="eth0"}"#, 2.0);
    f(r#"node_network_transmit_packets_total{device="eth0"}"#, 5.0);
    let root = r#"{device="/dev/root",device_error="",fstype="ext4",mountpoint="/"}"#;
    f(&format!("node_filesystem_readonly{root}"), 0.0);
    f(&format!("node_filesystem_device_error{root}"), 0.0);
    assert!(series[&format!("node_filesystem_size_bytes{root}")] > 0.0);
    assert!(
        series
            .keys()
            .any(|key| key.starts_with("node_uname_info{sysname="))
    );
    f(r#"node_memory_usage{node_id="n1"}"#, 60.0);
    assert!(
        !series.keys().any(|key| key.starts_with("system.")),
        "{series:?}"
    );
    assert!(
        !series.keys().any(|key| key.contains("discard")),
        "the kernel has none"
    );
}

#[tokio::test(start_paused = true)]
async fn both_expositions_are_the_one_and_the_other() {
    let mut all = Vec::new();
    for exposition in [
        Exposition::Semconv,
        Exposition::NodeExporter,
        Exposition::Both,
    ] {
        let mut fixture = fixture(exposition);
        // The filesystem behind the temporary directory differs from fixture to fixture.
        fixture.remove("mounts");
        fixture.start().await;
        all.push(fixture.series().await);
    }
    let [semconv, node_exporter, both] = all.try_into().unwrap();
    let mut joined = semconv;
    joined.extend(node_exporter);
    assert_eq!(both, joined);
}

#[tokio::test(start_paused = true)]
async fn a_counter_that_steps_back_is_held_and_what_is_gone_ends() {
    let mut fixture = fixture(Exposition::NodeExporter);
    fixture.start().await;
    fixture.series().await;
    fixture.set("net/dev", "eth0: 999 10 1 2 0 0 0 0 500 5 3 4 0 0 0 0\n");
    fixture.set("diskstats", "");
    let series = fixture.series().await;
    assert_eq!(
        series[r#"node_network_receive_bytes_total{device="eth0"}"#],
        1000.0
    );
    for name in ["node_disk_read_bytes_total", "node_disk_io_now"] {
        let key = format!(r#"{name}{{device="sda"}}"#);
        assert!(series[&key].is_nan(), "{key} ends");
    }
    let series = fixture.series().await;
    assert!(!series.keys().any(|key| key.contains("sda")));
}
