//! Disks and network interfaces.

use std::collections::BTreeMap;

use super::super::{CountUnit, SECTORS};
use super::ExporterPage;
use crate::host::{CountedOwner, CountedReading, HostReading};
use crate::pdata::writer::MetricKind::{Counter, Gauge};
use crate::pdata::writer::PointNumber;

impl ExporterPage<'_> {
    pub(super) fn write_disks(&mut self, reading: &HostReading, counted: &CountedReading) {
        const MAIN: [(&str, &str, CountUnit); 10] = [
            (
                "reads_completed_total",
                "The total number of reads completed successfully.",
                CountUnit::Units(1),
            ),
            (
                "reads_merged_total",
                "The total number of reads merged.",
                CountUnit::Units(1),
            ),
            (
                "read_bytes_total",
                "The total number of bytes read successfully.",
                SECTORS,
            ),
            (
                "read_time_seconds_total",
                "The total number of seconds spent by all reads.",
                CountUnit::Millis,
            ),
            (
                "writes_completed_total",
                "The total number of writes completed successfully.",
                CountUnit::Units(1),
            ),
            (
                "writes_merged_total",
                "The number of writes merged.",
                CountUnit::Units(1),
            ),
            (
                "written_bytes_total",
                "The total number of bytes written successfully.",
                SECTORS,
            ),
            (
                "write_time_seconds_total",
                "This is the total number of seconds spent by all writes.",
                CountUnit::Millis,
            ),
            (
                "io_time_seconds_total",
                "Total seconds spent doing I/Os.",
                CountUnit::Millis,
            ),
            (
                "io_time_weighted_seconds_total",
                "The weighted # of seconds spent doing I/Os.",
                CountUnit::Millis,
            ),
        ];
        const DISCARDS: [(&str, &str, CountUnit); 4] = [
            (
                "discards_completed_total",
                "The total number of discards completed successfully.",
                CountUnit::Units(1),
            ),
            (
                "discards_merged_total",
                "The total number of discards merged.",
                CountUnit::Units(1),
            ),
            (
                "discarded_sectors_total",
                "The total number of sectors discarded successfully.",
                CountUnit::Units(1),
            ),
            (
                "discard_time_seconds_total",
                "This is the total number of seconds spent by all discards.",
                CountUnit::Millis,
            ),
        ];
        const FLUSHES: [(&str, &str, CountUnit); 2] = [
            (
                "flush_requests_total",
                "The total number of flush requests completed successfully",
                CountUnit::Units(1),
            ),
            (
                "flush_requests_time_seconds_total",
                "This is the total number of seconds spent by all flush requests.",
                CountUnit::Millis,
            ),
        ];
        self.of_disks(&counted.disks, &MAIN);
        self.of_disks(&counted.discards, &DISCARDS);
        self.of_disks(&counted.flushes, &FLUSHES);
        if !counted.disks.is_empty() {
            let description = "The number of I/Os currently in progress.";
            self.begin(Gauge, "node_disk_io_now", description);
            let in_progress = reading.disks.iter().flatten();
            let in_progress: BTreeMap<&str, u64> = in_progress
                .map(|disk| (disk.name.as_str(), disk.in_progress))
                .collect();
            for disk in &counted.disks {
                let number = in_progress.get(disk.owner.as_str()).copied();
                let attributes = [("device", disk.owner.as_str().into())];
                self.point(&attributes, None, number.map(PointNumber::count));
            }
        }
    }

    pub(super) fn write_interfaces(&mut self, counted: &CountedReading) {
        const NAMES: [&str; 16] = [
            "receive_bytes",
            "receive_packets",
            "receive_errs",
            "receive_drop",
            "transmit_bytes",
            "transmit_packets",
            "transmit_errs",
            "transmit_drop",
            "receive_fifo",
            "receive_frame",
            "receive_compressed",
            "receive_multicast",
            "transmit_fifo",
            "transmit_colls",
            "transmit_carrier",
            "transmit_compressed",
        ];
        if counted.interfaces.is_empty() {
            return;
        }
        for (place, name) in NAMES.into_iter().enumerate() {
            let description = format!("Network device statistic {name}.");
            self.begin(Counter, &format!("node_network_{name}_total"), &description);
            for interface in &counted.interfaces {
                let attributes = [("device", interface.owner.as_str().into())];
                let value = interface
                    .values
                    .map(|values| PointNumber::count(values[place]));
                self.point(&attributes, Some(interface.starts[place]), value);
            }
        }
    }

    /// Writes a counter for each place of the counters of these disks.
    fn of_disks<const N: usize>(
        &mut self,
        disks: &[CountedOwner<String, N>],
        metrics: &[(&str, &str, CountUnit); N],
    ) {
        if disks.is_empty() {
            return;
        }
        for (place, (name, description, unit)) in metrics.iter().enumerate() {
            self.begin(Counter, &format!("node_disk_{name}"), description);
            for disk in disks {
                let attributes = [("device", disk.owner.as_str().into())];
                let value = disk.values.map(|values| unit.number(values[place]));
                self.point(&attributes, Some(disk.starts[place]), value);
            }
        }
    }
}
