use std::time::{Duration, UNIX_EPOCH};

use proptest::prelude::*;

use super::super::network::InstanceSums;
use super::*;
use crate::component::Now;

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn list(nodes: &[(&str, u64)]) -> InstanceReading {
    let mixnodes: Vec<Mixnode> = nodes
        .iter()
        .map(|(id, processed)| Mixnode {
            id: (*id).to_owned(),
            active: true,
            processed: Some(*processed),
            forwarded: Some(*processed),
            dropped: Some(0),
            uptime_seconds: None,
            latency_ms: None,
        })
        .collect();
    InstanceReading {
        processed: Some(0),
        dropped: Some(0),
        mixnodes: Some(mixnodes.into()),
        ..InstanceReading::default()
    }
}

#[test]
fn a_counter_that_goes_backwards_begins_anew_after_it_was_last_seen() {
    let mut instance = Instance::default();
    let mut f = |time: u64, processed: u64, start: u64| {
        let reading = InstanceReading {
            processed: Some(processed),
            ..InstanceReading::default()
        };
        instance.update(&reading, at(time), 10);
        let counter = instance.messages.unwrap();
        assert_eq!((counter.value, counter.start), (processed, at(start)));
    };
    f(10, 5000, 10);
    f(20, 6000, 10);
    f(30, 6000, 10);
    f(40, 7, 30);
    f(50, 8, 30);
    f(60, 0, 50);
}

#[test]
fn a_part_that_takes_over_and_counts_a_little_less_makes_no_restart() {
    let mut instance = Instance::default();
    let mut f = |time: u64, by: ServicePath, processed: u64, value: u64, start: u64| {
        let reading = InstanceReading {
            processed: Some(processed),
            packets_by: Some(by),
            ..InstanceReading::default()
        };
        instance.update(&reading, at(time), 10);
        let counter = instance.messages.unwrap();
        assert_eq!((counter.value, counter.start), (value, at(start)), "{time}");
    };
    f(10, ServicePath::Mixnodes, 5000, 5000, 10);
    f(20, ServicePath::Metrics, 4990, 5000, 10);
    f(30, ServicePath::Metrics, 4995, 5000, 10);
    f(40, ServicePath::Metrics, 5010, 5010, 10);
    f(50, ServicePath::Mixnodes, 5020, 5020, 10);
    f(60, ServicePath::Status, 4000, 5020, 10);
    // A lower count from the same part is a restart.
    f(70, ServicePath::Status, 3999, 3999, 60);
    f(80, ServicePath::Mixnodes, 1000, 1000, 70);
    f(90, ServicePath::Mixnodes, 0, 0, 80);
}

#[test]
fn what_a_poll_does_not_tell_stays_as_it_was() {
    let mut instance = Instance::default();
    let told = InstanceReading {
        processed: Some(5),
        ..InstanceReading::default()
    };
    instance.update(&told, at(1), 10);
    instance.update(&InstanceReading::default(), at(2), 10);
    instance.update(&told, at(3), 10);
    assert_eq!(instance.messages.unwrap().start, at(1));
}

#[test]
fn a_departed_mixnode_keeps_its_share_of_the_total() {
    let mut instance = Instance::default();
    let mut f = |nodes: &[(&str, u64)], total: u64| {
        instance.update(&list(nodes), at(1), 10);
        assert_eq!(instance.messages.unwrap().value, total, "{nodes:?}");
    };
    f(&[("a", 100), ("b", 10)], 110);
    f(&[("b", 15)], 115);
    f(&[("b", 15)], 115);
    f(&[("b", 3)], 118);
    f(&[], 118);
    f(&[("a", 101), ("c", 1)], 120);
    f(&[("a", 20), ("b", 4), ("c", 1)], 141);
}

#[test]
fn as_many_that_left_are_remembered_as_there_may_be_mixnodes() {
    let mut instance = Instance::default();
    for round in 0..100 {
        let ids = [format!("{round}-a"), format!("{round}-b")];
        instance.update(&list(&[(&ids[0], 1), (&ids[1], 1)]), at(round), 3);
        let known = &instance.mixnodes;
        assert!(known.left.len() <= 3 && known.order.len() == known.left.len());
    }
    // A mixnode that is remembered goes on; one that was forgotten is added again.
    instance.update(&list(&[("98-b", 2)]), at(100), 3);
    assert_eq!(instance.messages.unwrap().value, 201);
    instance.update(&list(&[("0-a", 1)]), at(101), 3);
    assert_eq!(instance.messages.unwrap().value, 202);
}

#[test]
fn each_latency_falls_into_its_bucket_and_bounds_belong_to_theirs() {
    let mut latency = LatencyHistogram::default();
    for seconds in [0.0, 0.001, 0.0011, 5.0, 5.1] {
        latency.observe(seconds, at(1));
    }
    assert_eq!(latency.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
}

proptest! {
    #[test]
    fn totals_never_fall_whatever_the_mixnodes_do(
        polls in prop::collection::vec(
            prop::collection::btree_map("[a-e]", prop_oneof![0..50u64, any::<u64>()], 0..5),
            1..40,
        ),
        limit in 1..5usize,
    ) {
        let mut instance = Instance::default();
        let mut total = 0;
        for (time, poll) in (0..).zip(&polls) {
            let mut nodes = Vec::new();
            for (id, processed) in poll {
                nodes.push((id.as_str(), *processed >> 3));
            }
            instance.update(&list(&nodes), at(time), limit);
            let counter = instance.messages.unwrap();
            prop_assert!(counter.value >= total);
            prop_assert_eq!(counter.start, at(0), "it never begins anew");
            total = counter.value;
            let plain = nodes.iter().map(|(_, processed)| processed).fold(0, |a: u64, b| a.saturating_add(*b));
            prop_assert!(total >= plain, "what is there is in it");
        }
    }
}

#[test]
fn starts_stay_as_long_ago_as_they_were_when_the_clock_is_set_back() {
    let second = Duration::from_secs;
    let years = second(2 * 365 * 24 * 3600);
    let before = Now::read();
    let now = Now {
        monotonic: before.monotonic + second(15),
        wall: before.wall + second(15) - years,
    };
    let reading = InstanceReading {
        processed: Some(100),
        ..InstanceReading::default()
    };
    let mut instance = Instance::default();
    instance.update(&reading, before.wall, 10);
    let mut network = InstanceSums::new(2);
    for member in 0..2 {
        network.update(member, Some((&instance, &reading)), before.wall);
    }
    let back = SetBack::between(before, now).unwrap();
    instance.clock_set_back(&back);
    for member in 0..2 {
        network.clock_set_back(member, &back);
    }
    let expected = now.wall - second(15);
    assert_eq!(instance.messages.unwrap().start, expected);
    assert_eq!(network.sums[0].start, Some(expected), "moved once");
    // It began anew before the next poll: when it was last seen is right as well.
    let fewer = InstanceReading {
        processed: Some(1),
        ..reading
    };
    instance.update(&fewer, now.wall, 10);
    let messages = instance.messages.unwrap();
    assert_eq!((messages.start, messages.value), (expected, 1));
}
