//! What tests of several modules need.

use std::time::{Duration, SystemTime};

pub(crate) use super::pace::PATIENCE as PACE;
use crate::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::pdata::{Batch, Signal};

/// A batch of so many points.
pub(crate) fn points(items: usize) -> Batch {
    described(items, "")
}

/// A batch of so many empty log records, at most 60.
pub(crate) fn logs(items: u8) -> Batch {
    let nested = |tag: u8, inside: &[u8]| {
        let length = u8::try_from(inside.len()).unwrap();
        assert!(length < 0x80, "a length of one byte");
        [&[tag, length], inside].concat()
    };
    let records = [0x12, 0].repeat(usize::from(items));
    let request = nested(0x0a, &nested(0x12, &records));
    Batch::decode(Signal::Logs, request.into()).unwrap()
}

/// A batch of one point that weighs more than `bytes`.
pub(crate) fn giant(bytes: usize) -> Batch {
    described(1, &"x".repeat(bytes))
}

fn described(items: usize, description: &str) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("rig", "");
    let descriptor = MetricDescriptor {
        name: "m",
        unit: "",
        description,
    };
    writer.metric(MetricKind::Gauge, descriptor);
    for i in 0..items {
        writer.number(NumberPointData {
            attributes: &[],
            start: None,
            time: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
            value: Some(PointNumber::Int(i as i64)),
        });
    }
    writer.finish()
}
