use std::sync::Arc;

use super::*;
use crate::host::proc::mountinfo;
use crate::yaml::{Diagnostics, parse};

/// The configuration, or what is wrong with it.
fn read(text: &str) -> Result<Config, Vec<String>> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("test"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics));
    let problems = diagnostics.problems();
    let text = |problem: &crate::yaml::Problem| format!("{}: {}", problem.path, problem.message);
    match problems.is_empty() {
        true => Ok(config.unwrap()),
        false => Err(problems.iter().map(text).collect()),
    }
}

#[test]
fn the_collectors_defaults_hold() {
    let config = read("scrapers: {cpu: , process: , filesystem: }").unwrap();
    assert_eq!(config.settings.interval, Duration::from_secs(60));
    assert_eq!(config.root_path, PathBuf::from("/"));
    let scrapers = config.scrapers;
    assert!(scrapers.memory.is_none());
    let cpu = scrapers.cpu.unwrap();
    assert!(cpu.any(cpu::METRICS, &["system.cpu.time"]));
    assert!(!cpu.any(cpu::METRICS, &["system.cpu.utilization"]));
    let process = scrapers.process.unwrap();
    assert!(process.attributes.command_line && !process.attributes.cgroup);
    assert_eq!(process.muted, MutedErrors::default());
    assert!(process.names.admits("anything"));
}

#[test]
fn a_timeout_alone_doesnt_shorten_the_interval() {
    let f = |text: &str, seconds: u64| {
        let config = read(&format!("{{{text}scrapers: {{cpu: }}}}")).unwrap();
        assert_eq!(
            config.settings.interval,
            Duration::from_secs(seconds),
            "{text}"
        );
    };
    f("timeout: 30s, ", 60);
    f("timeout: 2m, ", 120);
    f("collection_interval: 10s, ", 10);
}

#[test]
fn metrics_are_switched_and_their_attributes_chosen() {
    let config = read(
        "scrapers: {cpu: {metrics: {system.cpu.time: {enabled: false}, system.cpu.utilization: \
         {enabled: true, attributes: [state], aggregation_strategy: max}}}}",
    );
    let cpu = config.unwrap().scrapers.cpu.unwrap();
    assert!(!cpu.any(cpu::METRICS, &["system.cpu.time"]));
    assert!(cpu.any(cpu::METRICS, &["system.cpu.utilization"]));
    let place = cpu::METRICS
        .iter()
        .position(|spec| spec.name == "system.cpu.utilization");
    let choice = cpu.at(place.unwrap()).unwrap();
    assert_eq!(choice.attributes.as_deref(), Some(&["state"][..]));
}

#[test]
fn names_are_included_and_excluded_as_in_the_collector() {
    let f = |network: &str, name: &str, expected: bool| {
        let config = read(&format!("scrapers: {{network: {{{network}}}}}")).unwrap();
        let names = config.scrapers.network.unwrap().names;
        assert_eq!(names.admits(name), expected, "{network} {name}");
    };
    f("", "lo", true);
    f(
        "include: {interfaces: [eth0], match_type: strict}",
        "eth0",
        true,
    );
    f(
        "include: {interfaces: [eth0], match_type: strict}",
        "eth01",
        false,
    );
    f(
        "include: {interfaces: [eth0], match_type: regexp}",
        "myeth01",
        true,
    );
    f(
        "exclude: {interfaces: [^lo$], match_type: regexp}",
        "lo",
        false,
    );
    f(
        "exclude: {interfaces: [^lo$], match_type: regexp}",
        "lo1",
        true,
    );
    f("exclude: {interfaces: []}", "lo", true);
    f(
        "include: {interfaces: [eth], match_type: regexp}, exclude: {interfaces: [eth1], match_type: strict}",
        "eth1",
        false,
    );
}

#[test]
fn filesystems_are_those_of_devices_and_mounted_for_the_first_time() {
    let infos = mountinfo(
        b"1 1 254:0 / / rw - ext4 /dev/vda rw\n\
          2 1 254:0 /some /bound rw - ext4 /dev/vda rw\n\
          3 1 0:5 / /proc rw - proc proc rw\n\
          4 1 0:9 / /data ro - nfs4 server:/x rw\n",
    );
    let f = |filter: &str, expected: &[&str]| {
        let config = read(&format!("scrapers: {{filesystem: {{{filter}}}}}")).unwrap();
        let filter = config.scrapers.filesystem.unwrap().filter;
        let admitted = infos.iter().filter(|info| filter.admits(info));
        let places: Vec<&str> = admitted
            .map(|info| info.mount.mount_point.as_str())
            .collect();
        assert_eq!(places, expected, "{filter:?}");
    };
    f("", &["/"]);
    f(
        "include_virtual_filesystems: true",
        &["/", "/bound", "/proc", "/data"],
    );
    f(
        "include_virtual_filesystems: true, exclude_fs_types: {fs_types: [proc], match_type: strict}",
        &["/", "/bound", "/data"],
    );
    f(
        "include_virtual_filesystems: true, include_devices: {devices: [^/dev], match_type: regexp}, \
         exclude_mount_points: {mount_points: [/], match_type: strict}",
        &["/bound"],
    );
}

#[test]
fn every_problem_is_told_with_its_path() {
    let f = |text: &str, expected: &[&str]| {
        assert_eq!(read(text).map(|_| ()).unwrap_err(), expected, "{text}");
    };
    f(
        "{}",
        &[": `scrapers` is missing: it says what is read, such as cpu"],
    );
    f(
        "scrapers: {}",
        &["scrapers: is empty: it says what is read, such as cpu"],
    );
    f(
        "scrapers: {cpus: }",
        &["scrapers::cpus: unknown key `cpus`, did you mean `cpu`?"],
    );
    f(
        "scrapers: {nfs: }",
        &["scrapers::nfs: isn't supported: leave it out"],
    );
    f(
        "scrapers: {cpu: {metrics: {system.cpu.tim: {enabled: true}}}}",
        &[
            "scrapers::cpu::metrics::system.cpu.tim: unknown key `system.cpu.tim`, did you mean `system.cpu.time`?",
        ],
    );
    f(
        "scrapers: {cpu: {metrics: {system.cpu.time: {attributes: [core]}}}}",
        &[
            "scrapers::cpu::metrics::system.cpu.time::attributes::0: expected cpu or state, found `core`",
        ],
    );
    f(
        "scrapers: {disk: {include: {devices: [sda]}}}",
        &["scrapers::disk::include: `match_type` is missing"],
    );
    f(
        "scrapers: {disk: {include: {devices: ['('], match_type: regexp}}}",
        &["scrapers::disk::include::devices::0: no regular expression: unclosed group"],
    );
    f(
        "scrapers: {process: {max_processes: 0, resource_attributes: {process.name: {enabled: true}}}}",
        &[
            "scrapers::process::max_processes: 0 is out of range: use 1 to 65536",
            "scrapers::process::resource_attributes::process.name: unknown key `process.name`, did you mean `process.owner`?",
        ],
    );
    f(
        "scrapers: {process: {metrics: {process.handles: {enabled: true}}}}",
        &["scrapers::process: process.handles has no effect: only Windows has handles"],
    );
}
