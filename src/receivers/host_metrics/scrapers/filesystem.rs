//! `filesystem`: how full filesystems are.

use super::super::page::{HostPoint, MetricPage};
use super::super::spec::MetricSpec;
use crate::host::proc::Mount;
use crate::host::{CountedReading, FilesystemSize, HostReading};
use crate::pdata::writer::MetricKind::{Gauge, UpDownCounter};
use crate::pdata::writer::PointNumber;

const WITH_STATE: &[&str] = &["device", "mode", "mountpoint", "type", "state"];

pub(in super::super) const METRICS: &[MetricSpec] = &[
    MetricSpec::new(
        UpDownCounter,
        "system.filesystem.inodes.usage",
        "{inodes}",
        WITH_STATE,
        "FileSystem inodes used.",
    ),
    MetricSpec::new(
        UpDownCounter,
        "system.filesystem.usage",
        "By",
        WITH_STATE,
        "Filesystem bytes used.",
    ),
    MetricSpec::new(
        Gauge,
        "system.filesystem.utilization",
        "1",
        &["device", "mode", "mountpoint", "type"],
        "Fraction of filesystem bytes used.",
    )
    .optional(),
];

/// Writes the filesystems of a reading, and ends the series of those in `gone`.
pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    gone: &[Mount],
    page: &mut MetricPage<'_>,
) {
    let answered = reading
        .filesystems
        .iter()
        .map(|filesystem| (&filesystem.mount, Some(filesystem.room)));
    let all: Vec<(&Mount, Option<FilesystemSize>)> = answered
        .chain(gone.iter().map(|mount| (mount, None)))
        .collect();
    let start = Some(counted.booted);

    let inodes = all.iter().flat_map(|(mount, room)| {
        let used = room.map(|room| room.files.saturating_sub(room.free_files));
        let states = [("used", used), ("free", room.map(|room| room.free_files))];
        states.map(|(state, files)| HostPoint {
            attributes: attributes(mount, Some(state)),
            start,
            value: files.map(PointNumber::count),
        })
    });
    page.metric("system.filesystem.inodes.usage", inodes);

    let usage = all.iter().flat_map(|(mount, room)| {
        let states = [
            ("used", room.map(|room| room.used())),
            ("free", room.map(|room| room.available)),
            ("reserved", room.map(|room| room.reserved)),
        ];
        states.map(|(state, bytes)| HostPoint {
            attributes: attributes(mount, Some(state)),
            start,
            value: bytes.map(PointNumber::count),
        })
    });
    page.metric("system.filesystem.usage", usage);

    let utilization = all.iter().filter_map(|(mount, room)| {
        // As in `df`, what is reserved for the superuser counts as neither used nor free.
        let part = match room {
            Some(room) => {
                let (used, free) = (room.used() as f64, room.available as f64);
                Some(PointNumber::Double(used / (used + free))).filter(|_| used + free > 0.0)
            }
            None => None,
        };
        (part.is_some() || room.is_none()).then(|| HostPoint {
            attributes: attributes(mount, None),
            start: None,
            value: part,
        })
    });
    page.metric("system.filesystem.utilization", utilization);
}

fn attributes<'a>(mount: &'a Mount, state: Option<&'a str>) -> Vec<(&'static str, &'a str)> {
    let mut attributes = vec![
        ("device", mount.device.as_str()),
        ("mode", if mount.read_only { "ro" } else { "rw" }),
        ("mountpoint", mount.mount_point.as_str()),
        ("type", mount.kind.as_str()),
    ];
    attributes.extend(state.map(|state| ("state", state)));
    attributes
}
