use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::exposition::read::ScrapeProtocol;
use crate::receivers::prometheus::relabel::NameScheme;
use crate::receivers::scrape::http::{Credential, Redirects};
use crate::yaml::{Diagnostics, parse};

/// A configuration and what was said about it.
fn read(text: &str) -> (Option<Config>, Vec<String>) {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics));
    let problems = diagnostics.problems();
    (config, problems.iter().map(ToString::to_string).collect())
}

fn right(text: &str) -> Config {
    let (config, problems) = read(text);
    assert_eq!(problems, [] as [&str; 0], "{text}");
    config.unwrap()
}

/// The only job, of which these keys are written.
fn job(keys: &str) -> ScrapeJob {
    right(&format!("scrape_configs: [{{job_name: j, {keys}}}]"))
        .jobs
        .remove(0)
}

#[test]
fn a_configuration_is_read_with_and_without_the_collectors_level() {
    let inner = "
global: {scrape_interval: 30s, external_labels: {region: eu}}
scrape_configs:
- job_name: a
  static_configs:
  - targets: ['a:1', 'b:2']
    labels: {env: dev}
- job_name: b
  scrape_interval: 1d
  scrape_timeout: 1m30s
";
    let nested = format!("config:{}", inner.replace('\n', "\n  "));
    for text in [inner, &nested] {
        let config = right(text);
        assert_eq!(config.external_labels["region"], "eu");
        let names: Vec<&str> = config.jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let times = config
            .jobs
            .iter()
            .map(|job| (job.interval.to_string(), job.timeout.to_string()));
        let times: Vec<_> = times.collect();
        assert_eq!(
            times,
            [("30s".into(), "10s".into()), ("1d".into(), "1m30s".into())]
        );
        let [DiscoveryConfig::Static(groups)] = &*config.jobs[0].discoveries else {
            panic!("{:?}", config.jobs[0].discoveries);
        };
        assert_eq!(groups[0].targets.len(), 2);
        assert_eq!(groups[0].labels["env"], "dev");
    }
}

#[test]
fn what_is_not_written_is_as_in_prometheus() {
    let job = job("");
    assert_eq!(job.interval.0, Duration::from_secs(60));
    assert_eq!(job.timeout.0, Duration::from_secs(10));
    assert_eq!((&*job.metrics_path, &*job.scheme), ("/metrics", "http"));
    assert_eq!(job.protocols, ScrapeProtocol::DEFAULT);
    assert!(!job.honor_labels && job.honor_timestamps && !job.track_timestamps_staleness);
    assert!(job.http.client.compresses && !job.native_histograms && !job.extra_metrics);
    assert_eq!((job.names, job.escaping), (NameScheme::Utf8, "allow-utf-8"));
    assert_eq!(job.http.client.redirects, Redirects::Any);
    assert!(job.discoveries.is_empty());
    // Only this has a bound here.
    assert_eq!(job.limits.body_size, 10 << 20);
    assert_eq!((job.limits.samples, job.limits.targets), (0, 0));
}

#[test]
fn jobs_take_from_global_what_they_do_not_say() {
    let config = right(
        "
global:
  scrape_interval: 15s
  scrape_timeout: 5s
  sample_limit: 7
  body_size_limit: 1MB
  scrape_protocols: [PrometheusText0.0.4]
  metric_name_validation_scheme: legacy
  scrape_native_histograms: true
scrape_configs:
- {job_name: a, scrape_interval: 3s}
- {job_name: b, sample_limit: 9, body_size_limit: 2KB, metric_name_validation_scheme: utf8, scrape_protocols: [PrometheusProto]}
",
    );
    let [a, b] = &*config.jobs else { panic!() };
    assert_eq!((a.interval.0.as_secs(), a.timeout.0.as_secs()), (3, 3));
    assert_eq!((b.interval.0.as_secs(), b.timeout.0.as_secs()), (15, 5));
    assert_eq!((a.limits.samples, a.limits.body_size), (7, 1 << 20));
    assert_eq!((b.limits.samples, b.limits.body_size), (9, 2048));
    assert_eq!((a.names, a.escaping), (NameScheme::Legacy, "underscores"));
    assert_eq!((b.names, b.escaping), (NameScheme::Utf8, "allow-utf-8"));
    assert_eq!(a.protocols, [ScrapeProtocol::PrometheusText0]);
    assert_eq!(b.protocols, [ScrapeProtocol::PrometheusProto]);
    assert!(a.native_histograms && b.native_histograms);
    let native = job("scrape_native_histograms: true");
    assert_eq!(native.protocols, ScrapeProtocol::PROTOBUF_FIRST);
}

#[test]
fn the_clients_keys_become_a_client() {
    let http = job("basic_auth: {username: me}, follow_redirects: false").http;
    assert_eq!(http.client.redirects, Redirects::None);
    assert!(http.client.auth.is_some());
    let http = job(
        "oauth2: {client_id: i, client_secret_file: /s, token_url: 'https://t/x', scopes: [a]}",
    )
    .http;
    let oauth2 = http.oauth2.unwrap();
    assert_eq!(
        (&*oauth2.client_id, &oauth2.scopes[..]),
        ("i", &["a".to_owned()][..])
    );
    let Credential::File("client_secret_file", path) = &oauth2.client_secret else {
        panic!("{oauth2:?}");
    };
    assert_eq!(path.to_str(), Some("/s"));
}

#[test]
fn every_discovery_is_read() {
    let job = job("
static_configs: [{targets: [a]}],
file_sd_configs: [{files: [/t/*.json, u.yml], refresh_interval: 1m}],
http_sd_configs: [{url: 'http://h/x?y=1', basic_auth: {username: u, password: p}}],
dns_sd_configs: [{names: [_x._tcp.a]}, {names: [a, b], type: a, port: 9100}]
");
    let [
        DiscoveryConfig::Static(_),
        DiscoveryConfig::Files(files),
        DiscoveryConfig::Http(http),
        DiscoveryConfig::Dns(srv),
        DiscoveryConfig::Dns(a),
    ] = &*job.discoveries
    else {
        panic!("{:?}", job.discoveries);
    };
    assert_eq!(files.refresh, Duration::from_secs(60));
    assert!(
        matches!(&files.files[0], PathPattern::Files { names, .. } if names.is_match("x.json"))
    );
    assert!(matches!(&files.files[1], PathPattern::File(path) if path.ends_with("u.yml")));
    assert_eq!(
        (&*http.text, http.refresh.as_secs()),
        ("http://h/x?y=1", 60)
    );
    assert!(http.http.client.auth.is_some());
    assert_eq!((srv.records, srv.port), (DnsRecords::Srv, 0));
    assert_eq!((a.records, a.port, a.names.len()), (DnsRecords::A, 9100, 2));
}

#[test]
fn patterns_of_files_are_read_as_go_reads_them() {
    let f = |pattern: &str, matched: &[&str], others: &[&str]| {
        let job = job(&format!("file_sd_configs: [{{files: ['/d/{pattern}']}}]"));
        let [DiscoveryConfig::Files(files)] = &*job.discoveries else {
            panic!();
        };
        let PathPattern::Files { names, .. } = &files.files[0] else {
            panic!("{pattern}");
        };
        for name in matched {
            assert!(names.is_match(name), "{pattern} should match {name}");
        }
        for name in others {
            assert!(!names.is_match(name), "{pattern} shouldn't match {name}");
        }
    };
    f(
        "*.json",
        &["a.json", ".json"],
        &["a.yml", "ajson", "a.json2"],
    );
    f("a*b*.yml", &["ab.yml", "axbx.yml"], &["b.yml"]);
    f("?.yaml", &["a.yaml", "é.yaml"], &["ab.yaml", ".yaml"]);
    f("[a-c].yml", &["b.yml"], &["d.yml", "-.yml"]);
    f("[^a-c].yml", &["d.yml"], &["b.yml"]);
    f(r"\*.yml", &["*.yml"], &["a.yml"]);
    f("[.&~].yml", &["..yml", "&.yml"], &["a.yml"]);
}

#[test]
fn what_is_not_supported_is_refused_at_its_place() {
    let f = |keys: &str, expected: &str| {
        let text = format!("scrape_configs:\n- job_name: j\n  {keys}\n");
        let (_, problems) = read(&text);
        assert_eq!(problems, [format!("t:3:{expected}")], "{keys}");
    };
    f(
        "consul_sd_configs: [{server: x}]",
        "3: scrape_configs::0::consul_sd_configs: this discovery isn't supported: let a program \
         that knows it write a file for file_sd_configs, or answer http_sd_configs",
    );
    f(
        "convert_classic_histograms_to_nhcb: true",
        "39: scrape_configs::0::convert_classic_histograms_to_nhcb: classic histograms stay what \
         they are: leave it out",
    );
    f(
        "native_histogram_bucket_limit: 5",
        "34: scrape_configs::0::native_histogram_bucket_limit: native histograms keep the buckets \
         that they have: leave it out",
    );
    f(
        "http_headers: {x: {values: [y]}}",
        "3: scrape_configs::0::http_headers: further headers aren't supported",
    );
    f(
        "oauth2: {client_id: i, token_url: 'http://t', claims: {a: b}}",
        "49: scrape_configs::0::oauth2::claims: tokens are got by client_id and client_secret alone",
    );
    f(
        "authorization: {type: basic, credentials: x}",
        "3: scrape_configs::0::authorization: use basic_auth for names and passwords",
    );
    f(
        "oauth2: {client_id: i, token_url: 'http://t', grant_type: 'urn:x'}",
        "61: scrape_configs::0::oauth2::grant_type: expected client_credentials, found `urn:x`",
    );
}

#[test]
fn what_is_wrong_is_told_at_its_place() {
    let f = |keys: &str, expected: &str| {
        let text = format!("scrape_configs:\n- job_name: j\n  {keys}\n");
        let (_, problems) = read(&text);
        assert_eq!(problems, [format!("t:3:{expected}")], "{keys}");
    };
    f(
        "scrape_intervall: 1m",
        "3: scrape_configs::0::scrape_intervall: unknown key `scrape_intervall`, did you mean \
         `scrape_interval`?",
    );
    f(
        "scrape_interval: 1.5m",
        "20: scrape_configs::0::scrape_interval: expected a duration such as 15s, 1m30s or 1d, \
         found `1.5m`",
    );
    f(
        "scrape_timeout: 2m",
        "19: scrape_configs::0::scrape_timeout: 2m is longer than scrape_interval (1m)",
    );
    f(
        "body_size_limit: 10",
        "20: scrape_configs::0::body_size_limit: expected a size such as 10MB, found `10`",
    );
    f(
        "scrape_protocols: [PrometheusText0.0.4, PrometheusText]",
        "43: scrape_configs::0::scrape_protocols::1: expected PrometheusProto, \
         OpenMetricsText1.0.0, OpenMetricsText0.0.1, PrometheusText1.0.0 or PrometheusText0.0.4, \
         found `PrometheusText`, did you mean `PrometheusProto`?",
    );
    f(
        "static_configs: [{targets: ['http://a:1/metrics']}]",
        "31: scrape_configs::0::static_configs::0::targets::0: `http://a:1/metrics` is no host: \
         write host:port, and the rest as scheme and metrics_path",
    );
    f(
        "file_sd_configs: [{files: [a.txt]}]",
        "30: scrape_configs::0::file_sd_configs::0::files::0: expected the path of a file that \
         ends with .json, .yml or .yaml",
    );
    f(
        "file_sd_configs: [{files: ['/a*/b.json']}]",
        "30: scrape_configs::0::file_sd_configs::0::files::0: a star can stand only in the last \
         part of the path",
    );
    f(
        "dns_sd_configs: [{names: [a], type: A}]",
        "20: scrape_configs::0::dns_sd_configs::0: `port` is missing: only SRV records have one \
         themselves",
    );
}

#[test]
fn what_is_wrong_with_the_whole_is_told_at_its_place() {
    let f = |text: &str, expected: &[&str]| {
        let (_, problems) = read(text);
        assert_eq!(problems, expected, "{text}");
    };
    f(
        "{}",
        &["t:1:1: `scrape_configs` is missing: there is nothing to scrape"],
    );
    f(
        "scrape_configs: [{job_name: a}, {job_name: a}]",
        &["t:1:33: scrape_configs::1: there are two jobs with the name `a`"],
    );
    f(
        "config: {scrape_configs: [{job_name: a}]}\nscrape_configs: []\n",
        &[
            "t:2:1: scrape_configs: `scrape_configs` stands in `config` or beside it, and here both are written",
        ],
    );
    f(
        "scrape_configs: [{job_name: a}]\nremote_write: [{url: x}]\nstorage: {tsdb: {}}\n",
        &[
            "t:2:1: remote_write: data leaves by the exporters of the pipeline: leave it out",
            "t:3:1: storage: warning: this has no effect: it doesn't concern scraping",
        ],
    );
    f(
        "config: {scrape_configs: [{job_name: a}]}\ntarget_allocator: {endpoint: x}\napi_server: {enabled: false}\ntrim_metric_suffixes: false\n",
        &[
            "t:2:1: target_allocator: there is no target allocator: give each agent the targets that it should scrape",
        ],
    );
}

#[test]
fn a_cluster_is_named_or_the_one_around_the_agent() {
    let of = |keys: &str| {
        let mut job = job(&format!("kubernetes_sd_configs: [{{{keys}}}]"));
        match job.discoveries.remove(0) {
            DiscoveryConfig::Kubernetes(cluster) => *cluster,
            other => panic!("{other:?}"),
        }
    };
    let own = of("role: node");
    assert_eq!((own.role, own.api_server), (KubernetesRole::Node, None));
    let named = of(
        "role: endpointslice, api_server: 'https://k:6443', authorization: {credentials: x}, \
         namespaces: {own_namespace: true, names: [a, b]}, attach_metadata: {node: false}, \
         selectors: [{role: pod, label: 'app=web'}, {role: service, field: 'metadata.name=a'}]",
    );
    assert_eq!(named.api_server.unwrap().as_str(), "https://k:6443/");
    assert_eq!(
        (named.namespaces, named.own_namespace),
        (vec!["a".to_owned(), "b".to_owned()], true)
    );
    assert_eq!(named.selectors.len(), 2);
    let f = |keys: &str, expected: &str| {
        let text =
            format!("scrape_configs: [{{job_name: j, kubernetes_sd_configs: [{{{keys}}}]}}]");
        let (_, problems) = read(&text);
        let [problem] = &*problems else {
            panic!("{keys}: {problems:?}");
        };
        assert!(problem.contains(expected), "{problem}");
    };
    f("namespaces: {}", "`role` is missing");
    f("role: pods", "did you mean `pod`?");
    f("role: endpoints", "use endpointslice");
    f("role: ingress", "this role isn't supported");
    f(
        "role: pod, kubeconfig_file: /k",
        "name the server with `api_server`",
    );
    f(
        "role: pod, attach_metadata: {node: true}",
        "aren't attached",
    );
    f(
        "role: pod, basic_auth: {username: x}",
        "for the server that `api_server` names",
    );
    f(
        "role: pod, selectors: [{role: node}]",
        "made of other kinds of object",
    );
    f(
        "role: pod, selectors: [{role: pod}, {role: pod}]",
        "another selector for this role",
    );
    f("role: pod, api_server: 'ftp://k'", "expected a URL");
}
