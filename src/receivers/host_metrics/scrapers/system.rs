//! `system`: how long the host has been up.

use super::super::page::MetricPage;
use super::super::spec::MetricSpec;
use crate::host::{CountedReading, HostReading};
use crate::pdata::writer::MetricKind::Gauge;
use crate::pdata::writer::PointNumber;

pub(in super::super) const METRICS: &[MetricSpec] = &[MetricSpec::new(
    Gauge,
    "system.uptime",
    "s",
    &[],
    "The time the system has been running",
)];

pub(in super::super) fn write(
    reading: &HostReading,
    counted: &CountedReading,
    page: &mut MetricPage<'_>,
) {
    let uptime = reading.uptime.map(PointNumber::Double);
    page.single("system.uptime", counted.booted, uptime);
}
