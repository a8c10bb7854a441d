//! The work that the instruction counts are of.

use std::time::{Duration, SystemTime};

use foghorn::pdata::Batch;
use foghorn::pdata::writer::{
    AttributeValue, MetricDescriptor, MetricKind, MetricsWriter, PointNumber, NumberPointData,
};

/// One counter in `metrics` metrics of `points` points each, with four attributes a point,
/// written as a pull receiver writes it.
pub fn written(metrics: usize, points: usize) -> Batch {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let mut writer = MetricsWriter::new();
    writer.resource(&[
        ("service.name", "node".into()),
        ("service.instance.id", "10.0.0.1:9100".into()),
    ]);
    writer.scope("instructions", "1");
    for metric in 0..metrics {
        writer.metric(
            MetricKind::Counter,
            MetricDescriptor {
                name: &format!("http.server.requests.{metric}"),
                unit: "{request}",
                description: "Requests by route and outcome.",
            },
        );
        for point in 0..points {
            let route = format!("/api/v1/orders/{metric:03}/items/{point:03}");
            writer.number(NumberPointData {
                attributes: &[
                    ("http.request.method", "GET".into()),
                    ("http.route", route.as_str().into()),
                    ("http.response.status_code", AttributeValue::Int(200)),
                    ("server.address", "10.0.0.17".into()),
                ],
                start: Some(SystemTime::UNIX_EPOCH),
                time,
                value: Some(PointNumber::Double(point as f64 * 1.5)),
            });
        }
    }
    writer.finish()
}
