//! The keys.

use std::time::Duration;

use crate::yaml::{FromValue, PlacedNode};

/// The most attributes in `match`.
const MOST_KEYS: usize = 16;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Config {
    /// What the gauges cover.
    pub(super) interval: Duration,
    /// Attributes of the resource that name its deployment, the best first; never empty.
    pub(super) matching: Vec<String>,
    pub(super) max_deployments: usize,
    /// Of each deployment.
    pub(super) max_replicas: usize,
    pub(super) max_series: usize,
    pub(super) expiration: Duration,
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const SECOND: Duration = Duration::from_secs(1);
        const HOUR: Duration = Duration::from_secs(3600);
        let mut fields = value.fields()?;
        let interval = fields.within("interval", 15 * SECOND, SECOND..=HOUR);
        let matching = match fields.value("match").filter(|value| !value.is_null()) {
            Some(written) => keys(&written),
            None => Some(vec!["deployment.id".into(), "k8s.deployment.name".into()]),
        };
        let max_deployments = fields.within("max_deployments", 10_000, 1..=1_000_000);
        let max_replicas = fields.within("max_replicas", 1000, 1..=100_000);
        let max_series = fields.within("max_series", 20_000, 1..=1_000_000);
        let expiration = fields.within("metric_expiration", 300 * SECOND, SECOND..=24 * HOUR);
        fields.finish();
        Some(Self {
            interval,
            matching: matching?,
            max_deployments,
            max_replicas,
            max_series,
            expiration,
        })
    }
}

fn keys(value: &PlacedNode<'_>) -> Option<Vec<String>> {
    let items = value.items()?;
    if items.is_empty() {
        return value.error("match is empty: name an attribute such as deployment.id");
    }
    if items.len() > MOST_KEYS {
        return value.error(format_args!("match has more than {MOST_KEYS} items"));
    }
    let mut keys: Vec<String> = Vec::with_capacity(items.len());
    for item in items {
        let key: String = item.read()?;
        if key.is_empty() {
            return item.error("an attribute has a name");
        }
        if keys.contains(&key) {
            return item.error(format_args!("{key:?} is there twice"));
        }
        keys.push(key);
    }
    Some(keys)
}
