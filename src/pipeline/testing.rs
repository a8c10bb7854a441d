//! What tests of several modules need.

use std::time::{Duration, SystemTime};

pub(crate) use super::pace::PATIENCE as PACE;
use crate::pdata::Batch;
use crate::pdata::writer::{Descriptor, MetricKind, MetricsWriter, Number, NumberPoint};

/// A batch of so many points.
pub(crate) fn points(items: usize) -> Batch {
    described(items, "")
}

/// A batch of one point that weighs more than `bytes`.
pub(crate) fn giant(bytes: usize) -> Batch {
    described(1, &"x".repeat(bytes))
}

fn described(items: usize, description: &str) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("rig", "");
    let descriptor = Descriptor {
        name: "m",
        unit: "",
        description,
    };
    writer.metric(MetricKind::Gauge, descriptor);
    for i in 0..items {
        writer.number(NumberPoint {
            attributes: &[],
            start: None,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            value: Some(Number::Int(i as i64)),
        });
    }
    writer.finish()
}
