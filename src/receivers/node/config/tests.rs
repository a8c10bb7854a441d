use std::sync::Arc;

use super::*;
use crate::yaml::{Diagnostics, parse};

/// The configuration, or what is wrong with it.
fn read(text: &str) -> Result<Config, Vec<String>> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("test"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics));
    let problems = diagnostics.problems();
    if problems.is_empty() {
        Ok(config.unwrap())
    } else {
        let text =
            |problem: &crate::yaml::Problem| format!("{}: {}", problem.path, problem.message);
        Err(problems.iter().map(text).collect())
    }
}

#[test]
fn everything_has_a_default() {
    let config = read("{}").unwrap();
    assert_eq!(config.semconv, Semconv::V1);
    assert_eq!(config.root_path, PathBuf::from("/"));
    assert!(config.networks.admits("eth0", true) && !config.networks.admits("lo", false));
}

#[test]
fn a_pattern_matches_whole_names_and_beats_the_default() {
    let config = read("networks: {include: ['eth.*', lo], exclude: [eth1]}").unwrap();
    let f = |name: &str, by_default: bool, expected: bool| {
        assert_eq!(config.networks.admits(name, by_default), expected, "{name}");
    };
    f("eth0", true, true);
    f("eth1", true, false);
    f("eth10", true, true);
    f("veth0", true, false);
    f("lo", false, true);
}

#[test]
fn a_target_without_a_path_is_asked_for_its_metrics() {
    let config = read("targets: [{node_id: b, url: 'http://b:9100'}]").unwrap();
    assert_eq!(config.targets[0].url.as_str(), "http://b:9100/metrics");
    assert_eq!(config.targets[0].text, "http://b:9100");
}

#[test]
fn every_problem_is_told_with_its_path() {
    let f = |text: &str, expected: &[&str]| {
        assert_eq!(read(text).map(|_| ()).unwrap_err(), expected, "{text}");
    };
    f(
        "node_id: ''\nsemconv: v2\n",
        &[
            "node_id: is empty",
            "semconv: expected v1, v0 or both, found `v2`",
        ],
    );
    f(
        "networks: {include: []}",
        &[
            "networks::include: is empty, so nothing would be read: leave it out for what is read \
             by default, or write exclude: [\".*\"] to read nothing",
        ],
    );
    f(
        "disks: {include: ['(']}",
        &["disks::include::0: no regular expression: unclosed group"],
    );
    f(
        "disks: {exclude: ['(?:a{1000}){1000}']}",
        &[
            "disks::exclude::0: no regular expression: Compiled regex exceeds size limit of 1048576 bytes.",
        ],
    );
    f(
        "targets: [{node_id: a}, {url: 'http://b:9100'}]",
        &[
            "targets::0: `url` is missing",
            "targets::1: `node_id` is missing",
        ],
    );
    f(
        "targets: [{node_id: a, url: 'http://a:9100'}, {node_id: a, url: 'http://b:9100'}]",
        &["targets::1: http://a:9100 has the node_id `a` too"],
    );
}
