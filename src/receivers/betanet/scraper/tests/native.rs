//! The native dialect, when parts of it or entries of its list can't be used.

use super::*;

const COUNTS: &str = r#""packets_processed": 30, "packets_forwarded": 20, "packets_dropped": 2"#;

#[tokio::test(start_paused = true)]
async fn a_value_comes_from_the_best_part_that_answers() {
    let script = Arc::new(Script::default());
    script.set("/mixnodes", 0, Answer::Body(MIXNODES));
    let metrics = "betanet_nodes_total 4\nbetanet_packets_processed_total 900\n";
    script.set("/metrics", 0, Answer::Body(metrics));
    let status =
        r#"{"connections": 3, "active_nodes": 2, "packets_processed": 800, "avg_latency_ms": 9}"#;
    script.set("/status", 0, Answer::Body(status));
    let mut scraper = scraper(&script, |config| {
        config.dialect = Dialect::Native;
        config.parts = vec![
            ServicePath::Mixnodes,
            ServicePath::Metrics,
            ServicePath::Status,
        ];
    });
    let told = async |scraper: &mut Box<dyn Scraper>| -> Series {
        let (scrape, found) = polled(scraper).await;
        assert!(scrape.up());
        let told = found.into_iter().filter(|(key, value)| {
            !value.is_nan() && !key.contains("mixnode_id") && !key.contains("latency")
        });
        told.collect()
    };
    let by_mixnodes = [
        ("betanet_connected_peers", 2.0),
        ("betanet_connections", 3.0),
        ("betanet_messages_total", 40.0),
        ("betanet_mixnode_active", 1.0),
        ("betanet_packets_dropped", 3.0),
        ("betanet_packets_dropped_total", 3.0),
        ("betanet_packets_processed", 40.0),
    ];
    expect(&told(&mut scraper).await, &by_mixnodes);
    script.set("/mixnodes", 0, Answer::Fails(FailureReason::Timeout));
    let by_metrics = [
        ("betanet_connected_peers", 4.0),
        ("betanet_connections", 3.0),
        ("betanet_messages_total", 900.0),
        ("betanet_mixnode_active", 2.0),
        ("betanet_packets_processed", 900.0),
    ];
    expect(&told(&mut scraper).await, &by_metrics);
    script.set("/metrics", 0, Answer::Status(500));
    let by_status = [
        ("betanet_connections", 3.0),
        // Status counts a little less: the counter waits for it.
        ("betanet_messages_total", 900.0),
        ("betanet_mixnode_active", 2.0),
        ("betanet_packets_processed", 800.0),
    ];
    expect(&told(&mut scraper).await, &by_status);
}

#[tokio::test(start_paused = true)]
async fn a_mixnode_that_can_not_be_used_leaves_the_others() {
    let script = Arc::new(Script::default());
    let list = format!(
        r#"[{{"id": "m-1", {COUNTS}}}, {{"id": "{}", {COUNTS}}}, {{"id": "m-1", {COUNTS}}},
            {{"id": "m-2", "packets_processed": 1, "packets_dropped": 1}}]"#,
        "x".repeat(5000)
    );
    script.set("/mixnodes", 0, Answer::Body(list.leak()));
    let mut scraper = scraper(&script, |config| config.dialect = Dialect::Native);
    let (scrape, found) = polled(&mut scraper).await;
    assert!(scrape.up() && scrape.failures().is_empty());
    assert_eq!(found["betanet_connected_peers"], 1.0);
    assert_eq!(found["betanet_messages_total"], 30.0);
}

#[tokio::test(start_paused = true)]
async fn mixnodes_beyond_the_bound_have_no_series_and_are_part_of_all_sums() {
    let script = Arc::new(Script::default());
    let list = |ids: &[&str], processed: u64| {
        let entries: Vec<String> = ids
            .iter()
            .map(|id| {
                format!(
                    r#"{{"id": "{id}", "status": "active", "packets_processed": {processed},
                        "packets_forwarded": 0, "packets_dropped": 1}}"#
                )
            })
            .collect();
        Answer::Body(format!("[{}]", entries.join(",")).leak())
    };
    let mut scraper = scraper(&script, |config| {
        config.dialect = Dialect::Native;
        config.max_mixnodes = 2;
    });
    let told = async |scraper: &mut Box<dyn Scraper>| {
        let (scrape, found) = polled(scraper).await;
        assert!(scrape.up() && scrape.failures().is_empty());
        assert_eq!(found["betanet_connected_peers"], 4.0);
        let nodes = found.keys().filter_map(|key| {
            key.strip_prefix("betanet_mixnode_packets_processed_total{mixnode_id=")
        });
        let nodes: Vec<String> = nodes.map(str::to_owned).collect();
        assert_eq!(
            nodes,
            ["\"a\"}", "\"b\"}"],
            "the same ones, whatever the order"
        );
        found["betanet_messages_total"]
    };
    script.set("/mixnodes", 0, list(&["d", "b", "c", "a"], 10));
    assert_eq!(told(&mut scraper).await, 40.0);
    script.set("/mixnodes", 0, list(&["a", "c", "d", "b"], 15));
    assert_eq!(told(&mut scraper).await, 60.0);
    // All have restarted, those without series too.
    script.set("/mixnodes", 0, list(&["c", "a", "b", "d"], 1));
    assert_eq!(told(&mut scraper).await, 64.0);
}
