//! Names, labels and configuration.

use super::*;

#[test]
fn the_platforms_names_come_out_exactly() {
    let mut rig = Rig::new("");
    let gauges = [
        "betanet_connected_peers",
        "betanet_mixnode_active",
        "betanet_peak_throughput",
        "betanet_packets_processed",
        "betanet_packets_dropped",
        "betanet_latency",
        "betanet_connections",
        "betanet_mixnode_uptime_seconds",
        "betanet_mixnode_latency_seconds",
        "betanet_network_connected_peers",
        "betanet_network_mixnode_active",
        "betanet_network_instances_fresh",
        "betanet_network_instances_expected",
        "node_cpu_usage",
        "node_memory_usage",
        "node_disk_usage",
        "node_network_io",
        "system_uptime",
        "system_total_nodes",
        "deployment_replica_count",
        "deployment_replicas_target",
        "deployment_health",
        "deployment_replica_status",
        "system_active_deployments",
        "deployment_request_rate",
        "deployment_error_rate",
        "deployment_latency",
        "deployment_latency_p95",
        "deployment_latency_p99",
        "up",
        "scrape_duration_seconds",
        "scrape_samples_scraped",
        "scrape_parts_failed",
    ];
    let counters = [
        "betanet_messages_total",
        "betanet_packets_dropped_total",
        "betanet_bytes_transmitted_total",
        "betanet_bytes_received_total",
        "betanet_mixnode_packets_processed_total",
        "betanet_mixnode_packets_forwarded_total",
        "betanet_mixnode_packets_dropped_total",
        "betanet_network_messages_total",
        "betanet_network_packets_dropped_total",
        "betanet_network_bytes_transmitted_total",
        "betanet_network_bytes_received_total",
        "scrape_failures_total",
    ];
    let mut metrics: Vec<Metric> = gauges
        .iter()
        .map(|name| gauge(name, vec![number(1, 1.0)]))
        .collect();
    metrics.extend(
        counters
            .iter()
            .map(|name| sum(name, CUMULATIVE, vec![number(1, 1.0)])),
    );
    metrics.push(histogram(
        "betanet_message_latency_seconds",
        CUMULATIVE,
        vec![buckets(1, 1, &[0.5], &[1, 0])],
    ));
    assert_eq!(rig.send(metrics), []);
    for format in [Format::Text, Format::OpenMetrics] {
        let page = rig.page(format);
        for name in gauges.iter().chain(&counters) {
            let line = format!("\n{name}{{instance=\"i\",job=\"s\"}} 1\n");
            assert!(page.contains(&line), "{name}\n{page}");
        }
        assert!(page.contains("# TYPE betanet_message_latency_seconds histogram"));
        assert!(page.contains("# TYPE betanet_packets_dropped gauge"));
    }
    let page = rig.page(Format::OpenMetrics);
    assert!(page.contains("# TYPE betanet_packets_dropped_total unknown"));
    assert!(page.contains("# TYPE betanet_messages counter"));
}

#[test]
fn job_instance_and_target_info_come_from_the_resource() {
    let mut rig = Rig::new("");
    let mut resource = service("shop", "host:1");
    resource.extend(attributes(&[
        ("service.namespace", "prod"),
        ("host.name", "h"),
        ("host_name", "i"),
    ]));
    rig.send_from(resource, "lib", vec![gauge("g", vec![number(1, 1.0)])]);
    let page = rig.page(Format::Text);
    assert_eq!(
        page,
        "# TYPE g gauge\n\
         g{instance=\"host:1\",job=\"prod/shop\",otel_scope_name=\"lib\"} 1\n\
         # HELP target_info Target metadata\n\
         # TYPE target_info gauge\n\
         target_info{host_name=\"h;i\",instance=\"host:1\",job=\"prod/shop\"} 1\n"
    );
}

#[test]
fn a_changed_resource_replaces_the_targets_info() {
    let mut rig = Rig::new("");
    for host in ["a", "b"] {
        let mut resource = service("s", "i");
        resource.push(attribute("host", host));
        rig.send_from(resource, "", vec![gauge("g", vec![number(1, 1.0)])]);
    }
    let page = rig.page(Format::Text);
    assert!(page.contains("target_info{host=\"b\""), "{page}");
    assert!(!page.contains("host=\"a\""), "{page}");
}

#[test]
fn a_resource_without_identity_has_no_target() {
    let mut rig = Rig::new("");
    let resource = attributes(&[("service.name", "s"), ("x", "y")]);
    rig.send_from(resource, "", vec![gauge("g", vec![number(1, 1.0)])]);
    assert_eq!(rig.page(Format::Text), "# TYPE g gauge\ng{job=\"s\"} 1\n");
}

#[test]
fn labels_are_translated_renamed_and_joined() {
    let f = |yaml: &str, labels: &[(&str, &str)], expected: &str, renamed: u64| {
        let mut rig = Rig::new(yaml);
        let lost = rig.send(vec![gauge("g", vec![with(number(1, 1.0), labels)])]);
        assert_eq!(lost, []);
        assert_eq!(rig.lines(), [expected]);
        assert_eq!(rig.conflicts().label, renamed);
    };
    f(
        "",
        &[("b.c", "2"), ("b_c", "3"), ("a", "1"), ("b-c", "1")],
        r#"g{a="1",b_c="1;2;3",instance="i",job="s"} 1"#,
        0,
    );
    f(
        "",
        &[("job", "x"), ("instance", "y")],
        r#"g{exported_instance="y",exported_job="x",instance="i",job="s"} 1"#,
        2,
    );
    f(
        "",
        &[("a", "first"), ("a", "second"), ("empty", ""), ("1st", "x")],
        r#"g{a="first",instance="i",job="s",key_1st="x"} 1"#,
        0,
    );
    f(
        "",
        &[("__name__", "x"), ("le", "stays")],
        r#"g{exported___name__="x",instance="i",job="s",le="stays"} 1"#,
        1,
    );
    f(
        "const_labels: {site: \"north \\\"1\\\"\"}",
        &[("site", "own")],
        r#"g{exported_site="own",instance="i",job="s",site="north \"1\""} 1"#,
        1,
    );
    f(
        "translation_strategy: NoTranslation",
        &[("b.c", "2")],
        r#"g{"b.c"="2",instance="i",job="s"} 1"#,
        0,
    );
    f(
        "resource_to_telemetry_conversion: {enabled: true}",
        &[("service.name", "mine")],
        r#"g{instance="i",job="s",service_instance_id="i",service_name="s"} 1"#,
        0,
    );
}

#[test]
fn scopes_are_labels_unless_switched_off() {
    let mut rig = Rig::new("");
    rig.send_from(vec![], "lib", vec![gauge("g", vec![number(1, 1.0)])]);
    assert_eq!(rig.lines(), ["g{otel_scope_name=\"lib\"} 1"]);
    let mut rig = Rig::new("without_scope_info: true");
    rig.send_from(vec![], "lib", vec![gauge("g", vec![number(1, 1.0)])]);
    assert_eq!(rig.lines(), ["g 1"]);
}

#[test]
fn configurations_are_read_as_the_collectors() {
    let config = config(
        "endpoint: 127.0.0.1:8889\nnamespace: ns\nsend_timestamps: true\n\
         metric_expiration: 180m\nenable_open_metrics: false\nadd_metric_suffixes: false\n\
         const_labels: {a.b: c}\nresource_to_telemetry_conversion: {enabled: true}\n",
    )
    .unwrap();
    assert!(matches!(config.listener, Listener::At(_)));
    assert_eq!(config.settings.expiration, Duration::from_secs(180 * 60));
    assert_eq!(
        config.settings.translation.const_labels,
        [("a_b".to_owned(), "c".to_owned())]
    );
    assert_eq!(config.describe(), "http://127.0.0.1:8889/metrics");
    let f = |yaml: &str, expected: &str| {
        let error = super::config(yaml).unwrap_err();
        assert!(error.ends_with(expected), "{error}");
    };
    f(
        "translation_strategy: NoTranslatio",
        "unknown strategy `NoTranslatio`, did you mean `NoTranslation`?",
    );
    f(
        "metric_expiration: 0s",
        "with 0 nothing would ever be shown: use a duration such as 5m",
    );
    f(
        "const_labels: {a.b: x, a_b: y}",
        "two labels come out as `a_b`",
    );
    f(
        "const_labels: {le: x}",
        "`le` has a meaning of its own in Prometheus",
    );
}
