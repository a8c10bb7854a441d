//! How long wire attempts take: `circuit_breaker_request_duration_seconds{component,endpoint,signal}`.
//!
//! The endpoints count the durations, and this shows them. A histogram of the SDK was rejected: it
//! can't be observed from figures that are kept elsewhere, and never forgets a series. With targets
//! that come and go its table filled up, and those that came later were folded into one series.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Histogram, LabelPair, Metric, MetricFamily, MetricType};

use crate::resilience::{DurationHistogram, EndpointId, Endpoints};
use crate::telemetry::Telemetry;

const NAME: &str = "circuit_breaker_request_duration_seconds";
const HELP: &str = "How long wire attempts took, each retry on its own.";

/// Shows the durations of every endpoint on the agent's page.
pub(super) fn observe(telemetry: &Telemetry, endpoints: &Arc<Endpoints>) {
    let labels = ["component", "endpoint"].map(str::to_owned).to_vec();
    // These are valid names.
    if let Ok(desc) = Desc::new(NAME.to_owned(), HELP.to_owned(), labels, HashMap::new()) {
        let endpoints = Arc::downgrade(endpoints);
        telemetry.collect(Box::new(DurationCollector { desc, endpoints }));
    }
}

/// Reads the registry when somebody asks.
struct DurationCollector {
    desc: Desc,
    endpoints: Weak<Endpoints>,
}

impl Collector for DurationCollector {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let endpoints = self.endpoints.upgrade().map(|endpoints| endpoints.all());
        let asked = endpoints.iter().flatten().filter_map(|endpoint| {
            let durations = endpoint.durations();
            (durations.count > 0).then(|| metric(endpoint.id(), &durations))
        });
        let metrics: Vec<Metric> = asked.collect();
        if metrics.is_empty() {
            return Vec::new();
        }
        let mut family = MetricFamily::default();
        family.set_name(NAME.to_owned());
        family.set_help(HELP.to_owned());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics);
        vec![family]
    }
}

fn metric(id: &EndpointId, durations: &DurationHistogram) -> Metric {
    let label = |name: &str, value: &str| {
        let mut label = LabelPair::default();
        label.set_name(name.to_owned());
        label.set_value(value.to_owned());
        label
    };
    let mut labels = vec![
        label("component", id.component()),
        label("endpoint", id.url()),
    ];
    labels.extend(id.signal().map(|signal| label("signal", signal)));
    let buckets = durations.buckets.iter().map(|(bound, count)| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound.as_secs_f64());
        bucket.set_cumulative_count(*count);
        bucket
    });
    let mut histogram = Histogram::default();
    histogram.set_sample_count(durations.count);
    histogram.set_sample_sum(durations.sum.as_secs_f64());
    histogram.set_bucket(buckets.collect());
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}
