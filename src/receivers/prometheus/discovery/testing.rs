//! What the tests of discoveries share.

use std::sync::Arc;

use opentelemetry::metrics::MeterProvider as _;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use tokio::sync::watch;

use super::{DiscoveryReport, Findings, FoundGroups};
use crate::receivers::prometheus::groups::ADDRESS;

/// What a discovery has found, and how to hand it on.
pub(super) fn findings() -> (Findings, watch::Receiver<Vec<FoundGroups>>) {
    let meter = SdkMeterProvider::default().meter("test");
    let failures = meter.u64_counter("failures").build();
    let (sender, receiver) = watch::channel(vec![FoundGroups::new()]);
    let report = DiscoveryReport::new("job/test".to_owned(), failures, Arc::from([]));
    (Findings::new(sender, 0, report), receiver)
}

/// Groups as `a:1 b:2 {x=1}`.
pub(super) fn shown(groups: &[FoundGroups]) -> Vec<String> {
    groups
        .iter()
        .flatten()
        .map(|group| {
            let targets = group.targets.iter().map(|target| target[ADDRESS].as_str());
            let labels = group
                .labels
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            format!(
                "{} {{{}}}",
                targets.collect::<Vec<_>>().join(" "),
                labels.collect::<Vec<_>>().join(",")
            )
        })
        .collect()
}

impl Findings {
    /// What was logged of it last, unless it works.
    pub(super) fn failing(&self) -> Option<&str> {
        self.report.failing.as_deref()
    }
}
