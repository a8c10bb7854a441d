use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// The counts that every mixnode has.
const COUNTS: &str = r#""packets_processed": 5, "packets_forwarded": 5, "packets_dropped": 5"#;

fn node(id: &str, active: bool, processed: u64, latency_ms: f64) -> Mixnode {
    Mixnode {
        id: id.to_owned(),
        active,
        processed: Some(processed),
        forwarded: None,
        dropped: None,
        uptime_seconds: None,
        latency_ms: Some(latency_ms),
    }
}

#[test]
fn each_part_tells_what_it_knows() {
    let f = |part: ServicePath, body: &str, expected: InstanceReading| {
        assert_eq!(part.read(body.as_bytes(), 10).unwrap(), expected, "{body}");
    };
    f(
        ServicePath::ApiMetrics,
        r#"{"packets_processed": 5000, "packets_dropped": 10, "new": [{}]}"#,
        InstanceReading {
            processed: Some(5000),
            dropped: Some(10),
            ..InstanceReading::default()
        },
    );
    f(
        ServicePath::ApiNodes,
        r#"{"active_nodes": 5.0, "inactive_nodes": 2, "total_nodes": 7}"#,
        InstanceReading {
            peers: Some(7),
            active: Some(5),
            ..InstanceReading::default()
        },
    );
    f(
        ServicePath::ApiNetwork,
        r#"{"bytes_transmitted": 18446744073709551615, "bytes_received": null,
            "avg_latency_ms": 45.0, "peak_throughput": 10000}"#,
        InstanceReading {
            transmitted: Some(u64::MAX),
            latency_ms: Some(45.0),
            peak_throughput: Some(10000.0),
            ..InstanceReading::default()
        },
    );
    f(
        ServicePath::Status,
        r#"{"status": "operational", "active_nodes": 3, "connections": 4,
            "avg_latency_ms": 1.2, "packets_processed": 100, "timestamp": "1763000000"}"#,
        InstanceReading {
            active: Some(3),
            connections: Some(4),
            latency_ms: Some(1.2),
            processed: Some(100),
            ..InstanceReading::default()
        },
    );
    f(
        ServicePath::Mixnodes,
        "[]",
        InstanceReading {
            peers: Some(0),
            active: Some(0),
            processed: Some(0),
            dropped: Some(0),
            mixnodes: Some(Arc::from([])),
            ..InstanceReading::default()
        },
    );
}

#[test]
fn the_list_of_mixnodes_gives_sums_and_the_nodes_themselves() {
    let body = r#"[
        {"id": "mixnode-\u0000\n\"é", "status": "active", "packets_processed": 30,
         "packets_forwarded": 20, "packets_dropped": 1, "uptime_seconds": 12,
         "avg_latency_ms": 2.0},
        {"id": 7, "status": "stopped", "packets_processed": 5, "packets_forwarded": 0,
         "packets_dropped": 0, "avg_latency_ms": 1000},
        {"id": "8", "packets_processed": 0, "packets_forwarded": 0, "packets_dropped": 0}]"#;
    let reading = ServicePath::Mixnodes.read(body.as_bytes(), 3).unwrap();
    assert_eq!((reading.peers, reading.active), (Some(3), Some(1)));
    assert_eq!((reading.processed, reading.dropped), (Some(35), Some(1)));
    assert_eq!(reading.latency_ms, Some(2.0), "of the active nodes");
    let ids: Vec<String> = reading
        .mixnodes
        .unwrap()
        .iter()
        .map(|n| n.id.clone())
        .collect();
    assert_eq!(ids, ["mixnode-\0\n\"é", "7", "8"]);
}

#[test]
fn latency_is_weighted_by_packets_and_plain_where_there_are_none() {
    let f = |nodes: &[Mixnode], expected: Option<f64>| {
        assert_eq!(mean_latency(nodes), expected);
    };
    f(&[], None);
    f(&[node("a", false, 9, 5.0)], None);
    f(
        &[node("a", true, 0, 2.0), node("b", true, 0, 4.0)],
        Some(3.0),
    );
    f(
        &[node("a", true, 3, 2.0), node("b", true, 1, 4.0)],
        Some(2.5),
    );
    f(
        &[
            node("a", true, u64::MAX, 1.0),
            node("b", true, u64::MAX, 3.0),
        ],
        Some(2.0),
    );
}

#[test]
fn what_is_not_as_expected_is_a_failure_that_shows_no_body() {
    let f = |part: ServicePath, body: &str, reason: FailureReason, message: &str| {
        let error = part.read(body.as_bytes(), 2).unwrap_err();
        assert_eq!(
            (FailureReason::of(&error), error.message.as_str()),
            (reason, message)
        );
    };
    let no_json = |place: &str| format!("not the expected JSON, at {place}");
    f(
        ServicePath::ApiMetrics,
        "<html>secret",
        FailureReason::Parse,
        &no_json("line 1 column 1"),
    );
    f(
        ServicePath::ApiMetrics,
        r#"{"packets_processed": -5}"#,
        FailureReason::Parse,
        &no_json("line 1 column 24"),
    );
    f(
        ServicePath::ApiMetrics,
        r#"{"packets_processed": "5"}"#,
        FailureReason::Parse,
        &no_json("line 1 column 25"),
    );
    f(
        ServicePath::ApiMetrics,
        r#"{"packets_processed": 1.5}"#,
        FailureReason::Parse,
        &no_json("line 1 column 26"),
    );
    f(
        ServicePath::ApiMetrics,
        r#"{"error": "secret"}"#,
        FailureReason::Parse,
        "none of the expected fields is there",
    );
    f(
        ServicePath::Mixnodes,
        "{}",
        FailureReason::Parse,
        "not the expected JSON: no list",
    );
    f(
        ServicePath::Mixnodes,
        r#"[{"id": "secret"}, {"#,
        FailureReason::Parse,
        &no_json("line 1 column 20"),
    );
    f(
        ServicePath::Mixnodes,
        r#"[{"status": "secret"}, 7]"#,
        FailureReason::Parse,
        "none of the 2 mixnodes is as expected",
    );
    f(
        ServicePath::Mixnodes,
        &format!(r#"[{{"id": "{}", {COUNTS}}}]"#, "x".repeat(257)),
        FailureReason::Limit,
        "no mixnode has an id of 256 bytes or less",
    );
    f(
        ServicePath::Metrics,
        "# nothing\n",
        FailureReason::Parse,
        "none of the expected fields is there",
    );
}

#[test]
fn an_entry_that_can_not_be_used_is_rejected_alone_and_counted() {
    let f = |bad: &str, limit: u64, invalid: u64| {
        let body = format!(r#"[{{"id": "a", {COUNTS}}}, {bad}, {{"id": "b", {COUNTS}}}]"#);
        let reading = ServicePath::Mixnodes.read(body.as_bytes(), 3).unwrap();
        assert_eq!(reading.peers, Some(2), "{bad}");
        assert_eq!(reading.processed, Some(10), "{bad}");
        assert_eq!(reading.rejected, Rejected { invalid, limit }, "{bad}");
    };
    let long = "x".repeat(257);
    f(&format!(r#"{{"id": "{long}", {COUNTS}}}"#), 1, 0);
    for count in ["packets_processed", "packets_forwarded", "packets_dropped"] {
        for value in ["", "null", "-1", "0.5", r#""1""#, "1e999", "true", "[]"] {
            let counts = match value {
                "" => COUNTS.replace(count, "other"),
                _ => COUNTS.replace(
                    &format!(r#""{count}": 5"#),
                    &format!(r#""{count}": {value}"#),
                ),
            };
            f(&format!(r#"{{"id": "c", {counts}}}"#), 0, 1);
        }
    }
    for bad in [
        format!(r#"{{"status": "active", {COUNTS}}}"#),
        format!(r#"{{"id": "", {COUNTS}}}"#),
        format!(r#"{{"id": "c", {COUNTS}, "packets_dropped": 2}}"#),
        format!(r#"{{"id": "c", {COUNTS}, "avg_latency_ms": "1,5"}}"#),
        format!(r#"{{"id": "c", {COUNTS}, "uptime_seconds": -1}}"#),
        format!(r#"{{"id": "\ud83d", {COUNTS}}}"#),
        format!(r#"{{"id": "a", {COUNTS}}}"#),
        "null".to_owned(),
        "[]".to_owned(),
    ] {
        f(&bad, 0, 1);
    }
}

/// Lists that cost most to read, of about `size` bytes each.
fn worst_lists(size: usize) -> Vec<(&'static str, String)> {
    let list = |entry: &dyn Fn(usize) -> String| {
        let mut text = String::from("[");
        for number in 0.. {
            text.push_str(&entry(number));
            if text.len() >= size {
                break;
            }
            text.push(',');
        }
        text + "]"
    };
    let long = "x".repeat(240);
    vec![
        (
            "many small entries",
            list(&|n| format!(r#"{{"id":{n},{COUNTS}}}"#)),
        ),
        (
            "ids that differ at their end",
            list(&|n| format!(r#"{{"id":"{long}{n:09}",{COUNTS}}}"#)),
        ),
        ("one id", list(&|_| format!(r#"{{"id":"a",{COUNTS}}}"#))),
        ("no entry is one", list(&|_| "0".to_owned())),
        (
            "an entry that doesn't end well",
            list(&|n| format!(r#"{{"id":{n},"x":[[[["{{"]]]],"status":[]}}"#)),
        ),
        (
            "one long id",
            list(&|_| format!(r#"{{"id":"{}"}}"#, "x".repeat(size))),
        ),
        (
            "one deep entry",
            format!("[{}{}]", "[".repeat(size / 2), "]".repeat(size / 2)),
        ),
        (
            "escapes",
            list(&|_| format!(r#"{{"id":"a","x":"{}"}}"#, r#"\""#.repeat(size / 2))),
        ),
        (
            "blanks",
            list(&|_| format!(r#"{{{} "id":"a"}}"#, " ".repeat(size))),
        ),
        (
            "a long number",
            list(&|_| format!(r#"{{"id":"a","packets_processed":{}}}"#, "1".repeat(size))),
        ),
        (
            "unknown fields",
            list(&|_| format!(r#"{{"id":"a"{}}}"#, r#","x":0"#.repeat(size / 6))),
        ),
    ]
}

#[test]
fn work_on_a_list_at_most_doubles_with_its_size() {
    const SIZES: [usize; 5] = [1 << 12, 1 << 13, 1 << 14, 1 << 15, 1 << 16];
    let names: Vec<&str> = worst_lists(0).into_iter().map(|(name, _)| name).collect();
    for name in names {
        let steps = SIZES.map(|size| {
            let lists = worst_lists(size);
            let (_, text) = lists.into_iter().find(|(other, _)| *other == name).unwrap();
            steps::take();
            let _ = ServicePath::Mixnodes.read(text.as_bytes(), usize::MAX);
            steps::take()
        });
        assert!(
            steps[0] >= SIZES[0],
            "{name}: {steps:?} counts what is read"
        );
        for pair in steps.windows(2) {
            assert!(pair[1] <= 2 * pair[0] + 4096, "{name}: {steps:?}");
        }
    }
}

const PARTS: [ServicePath; 6] = [
    ServicePath::ApiMetrics,
    ServicePath::ApiNodes,
    ServicePath::ApiNetwork,
    ServicePath::Mixnodes,
    ServicePath::Metrics,
    ServicePath::Status,
];

/// Texts that resemble an answer.
fn nearly() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"id\"",
        "\"status\"",
        "\"packets_processed\"",
        "null",
        "-1",
        "1e308",
        "1e999",
        "18446744073709551616",
        "0.5",
        "\"\\ud800\"",
        "true",
        "\n",
        " ",
        "betanet_nodes_total",
        "betanet_avg_latency_ms",
        "NaN",
        "\"avg_latency_ms\"",
    ]);
    prop::collection::vec(word, 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for part in PARTS {
            let _ = part.read(&bytes, 10);
        }
    }

    #[test]
    fn no_text_that_is_nearly_right_makes_it_panic(text in nearly()) {
        for part in PARTS {
            if let Ok(reading) = part.read(text.as_bytes(), 10) {
                prop_assert!(reading.latency_ms.is_none_or(|ms| ms.is_finite() && ms >= 0.0));
            }
        }
    }
}
