//! `target_info` beside the points of its resource.

use super::*;
use crate::window::ValueKind;

const MOVED: &[(&str, &str)] = &[
    ("service.name", "shop"),
    ("service.instance.id", "a"),
    ("host.name", "cellar"),
];

impl Rig {
    fn targets(&self) -> Vec<String> {
        self.held_of(|name| name == "target_info")
    }
}

/// The mark that a gauge has ended.
fn end(name: &str, millis: i64) -> String {
    let time = at(millis);
    format!(
        r#"{{"name":"{name}","gauge":{{"dataPoints":[{{"timeUnixNano":"{time}","flags":1}}]}}}}"#
    )
}

#[test]
fn a_resource_has_target_info_with_its_attributes_for_as_long_as_it_sends() {
    let mut rig = Rig::new("{}");
    for millis in [0, 5_000, 14_990, 30_000, 95_000] {
        rig.take_of(MOVED, &gauge("x", millis, 1.0));
    }
    assert_eq!(
        rig.targets(),
        ["target_info{host_name=cellar,instance=a,job=shop} 0:1 14990:1 30000:1 95000:1"]
    );
    let metrics: Vec<(String, ValueKind, String)> = {
        let all = rig.windows.all();
        let windows = all[0].1.lock();
        let metrics = windows.metrics();
        let metrics = metrics.filter(|(name, _)| ***name == *"target_info");
        metrics
            .map(|(name, info)| (name.to_string(), info.kind, info.description.to_string()))
            .collect()
    };
    let expected = ("target_info", ValueKind::Gauge, "Target metadata");
    let (name, kind, help) = expected;
    assert_eq!(metrics, [(name.to_owned(), kind, help.to_owned())]);
}

#[test]
fn a_day_that_is_pushed_at_once_has_target_info_at_all_of_its_times() {
    const HOUR: i64 = 3_600_000;
    let mut rig = Rig::new("{}");
    let points: Vec<String> = (-24..0)
        .map(|hour| format!(r#"{{"timeUnixNano":"{}","asDouble":1}}"#, at(hour * HOUR)))
        .collect();
    let metric = |name: &str| {
        format!(
            r#"{{"name":"{name}","gauge":{{"dataPoints":[{}]}}}}"#,
            points.join(",")
        )
    };
    rig.take(&[metric("x"), metric("y")].join(","));
    let held = rig.targets();
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].matches(":1").count(), 24, "{held:?}");
}

#[test]
fn a_job_and_instance_have_one_target_info_at_a_time() {
    let mut rig = Rig::new("{}");
    rig.take(&gauge("x", 0, 1.0));
    rig.take_of(MOVED, &gauge("x", 5_000, 1.0));
    rig.take_of(MOVED, &gauge("x", 15_000, 1.0));
    rig.take(&gauge("x", 30_000, 1.0));
    assert_eq!(
        rig.targets(),
        [
            "target_info{host_name=cellar,instance=a,job=shop} 15000:1 30000:stale",
            "target_info{instance=a,job=shop} 0:1 15000:stale 30000:1",
        ]
    );
}

#[test]
fn target_info_ends_when_all_that_a_resource_says_is_that_series_end() {
    let mut rig = Rig::new("{}");
    rig.take(&[gauge("x", 0, 1.0), gauge("y", 0, 1.0)].join(","));
    rig.take(&[end("x", 15_000), gauge("y", 15_000, 1.0)].join(","));
    rig.take(&end("y", 30_000));
    rig.take(&end("y", 31_000));
    let all = "target_info{instance=a,job=shop} 0:1 15000:1 30000:stale";
    assert_eq!(rig.targets(), [all]);
    rig.take(&gauge("y", 32_000, 1.0));
    assert_eq!(rig.targets(), [format!("{all} 32000:1")]);
}

#[test]
fn a_resource_without_a_name_or_an_instance_has_no_target_info() {
    let mut rig = Rig::new("{}");
    rig.take_of(&[("service.name", "shop")], &gauge("x", 0, 1.0));
    rig.take_of(&[("service.instance.id", "a")], &gauge("x", 0, 1.0));
    assert_eq!(rig.targets(), [] as [String; 0]);
}

#[test]
fn target_info_that_finds_no_room_is_refused_once_for_each_of_its_points() {
    let mut rig = Rig::new("{max_series: 1}");
    for millis in [0, 1_000, 2_000, 15_000] {
        rig.take(&gauge("x", millis, 1.0));
    }
    assert_eq!(rig.targets(), [] as [String; 0]);
    assert_eq!(rig.refused(), [("max_series", 2)]);
}

#[test]
fn target_info_that_the_store_has_forgotten_comes_back() {
    let mut rig = Rig::new("{series_ttl: 60s}");
    rig.take(&gauge("x", 0, 1.0));
    for (_, store) in rig.windows.all() {
        let mut windows = store.lock();
        windows.advance(rig.now.uptime_millis() + 60_000, T + 60_000);
        assert_eq!(windows.expire(), 2);
    }
    rig.take(&gauge("x", 60_000, 1.0));
    assert_eq!(rig.targets(), ["target_info{instance=a,job=shop} 60000:1"]);
}
