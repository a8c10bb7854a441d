//! `network`: what interfaces received and transmitted, and the connections of TCP.

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use crate::host::proc::TCP_STATES;
use crate::host::{CountedReading, HostReading, place_of};
use crate::pdata::writer::MetricKind::{Counter, UpDownCounter};
use crate::pdata::writer::PointNumber;

const DIRECTED: &[&str] = &["device", "direction"];

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        UpDownCounter,
        "system.network.connections",
        "{connections}",
        &["protocol", "state"],
        "The number of connections.",
    ),
    MetricSpec::new(
        UpDownCounter,
        "system.network.conntrack.count",
        "{entries}",
        &[],
        "The count of entries in conntrack table.",
    )
    .optional(),
    MetricSpec::new(
        UpDownCounter,
        "system.network.conntrack.max",
        "{entries}",
        &[],
        "The limit for entries in the conntrack table.",
    )
    .optional(),
    MetricSpec::new(
        Counter,
        "system.network.dropped",
        "{packets}",
        DIRECTED,
        "The number of packets dropped.",
    ),
    MetricSpec::new(
        Counter,
        "system.network.errors",
        "{errors}",
        DIRECTED,
        "The number of errors encountered.",
    ),
    MetricSpec::new(
        Counter,
        "system.network.io",
        "By",
        DIRECTED,
        "The number of bytes transmitted and received.",
    ),
    MetricSpec::new(
        Counter,
        "system.network.packets",
        "{packets}",
        DIRECTED,
        "The number of packets transferred.",
    ),
];

pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    page: &mut MetricPage<'_>,
) {
    /// The names of a direction's counters, in their order.
    const NAMES: [&str; 4] = [
        "system.network.io",
        "system.network.packets",
        "system.network.errors",
        "system.network.dropped",
    ];
    let booted = counted.booted;
    if let Some(connections) = &reading.connections {
        // The Collector shows a state that Linux doesn't have, always with 0.
        let states = TCP_STATES.iter().zip(connections.tcp);
        let states = states.map(|((_, state), count)| (*state, count));
        let points = states
            .chain([("DELETE", 0)])
            .map(|(state, count)| HostPoint {
                attributes: vec![("protocol", "tcp"), ("state", state)],
                start: Some(booted),
                value: Some(PointNumber::count(count)),
            });
        page.metric("system.network.connections", points);
    }
    let (count, most) = (reading.tracked, reading.most_tracked);
    page.single(
        "system.network.conntrack.count",
        booted,
        count.map(PointNumber::count),
    );
    page.single(
        "system.network.conntrack.max",
        booted,
        most.map(PointNumber::count),
    );
    for (name, place) in NAMES.into_iter().zip(0..) {
        let points = counted.interfaces.iter().flat_map(|interface| {
            ["receive", "transmit"]
                .into_iter()
                .zip(0..)
                .map(move |(direction, way)| {
                    let place = place_of(way, place);
                    HostPoint {
                        attributes: vec![
                            ("device", interface.owner.as_str()),
                            ("direction", direction),
                        ],
                        start: Some(interface.starts[place]),
                        value: interface
                            .values
                            .map(|values| PointNumber::count(values[place])),
                    }
                })
        });
        page.metric(name, points);
    }
}
