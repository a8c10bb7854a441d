//! What runs, and how well: deployments from a control plane, and their requests from what their
//! replicas expose.
//!
//! ```yaml
//! receivers:
//!   deployment:
//!     control_plane:
//!       type: fog                        # fog | kubernetes
//!       endpoint: http://localhost:8000  # of kubernetes: default, the cluster it runs in
//!       # namespace: shop                # of kubernetes; default: all
//!       max_deployments: 10000           # 1 to 1000000
//!       details: false                   # of fog: also asks for each deployment
//!       auth: {bearer_token_file: /run/token}  # and the other keys of `scrape::http`
//!     request_metrics:
//!       scrape:
//!         targets:
//!           - deployment_id: 9f1c
//!             deployment_name: web       # may be left out, as k8s_namespace_name
//!             urls: [http://10.0.0.7:8080/metrics, http://10.0.0.8:8080/metrics]
//!         max_series: 1000               # of requests, on one page; 1 to 100000
//!     collection_interval: 15s           # and the other keys of `scrape`
//! ```
//!
//! `docs/deployment.md` says how control planes are asked. In short: a list is read in all of its
//! pages, or has failed; a list of Kubernetes is followed by a watch, so that a change shows within
//! two seconds. A list that isn't whole ends no series: they end when lists have failed for
//! `max_staleness`, without `resilience` for five minutes. Of more than `max_deployments` those that
//! come last are left out. An entry that can't be used costs itself, and leaves the series of the
//! deployment that it may be of as they are.
//!
//! Metrics, with the labels `deployment_id`, and where they are known `deployment_name` and
//! `k8s_namespace_name`:
//!
//! | name | from the fog | from Kubernetes |
//! |---|---|---|
//! | `deployment_replica_count` | running_replicas | status.readyReplicas |
//! | `deployment_replicas_target` | target_replicas | spec.replicas |
//! | `deployment_health` | details: 1 healthy, 0.5 degraded, 0 unhealthy | 1 where as many are available as wanted, 0.5 where some are, else 0 |
//! | `deployment_replica_status{status,node_id}` | details: replicas by status and node | `ready`, `available`, `unavailable` |
//! | `k8s.deployment.pod.desired`, `k8s.deployment.pod.available` | | spec.replicas, status.availableReplicas |
//! | `deployment_request_rate`, `deployment_error_rate` | scraped: requests per second, and those with a status of 500 or above | |
//! | `deployment_latency`, `deployment_latency_p95`, `deployment_latency_p99` | scraped: milliseconds | |
//!
//! and `system_active_deployments`: those whose status is `running`, or that have an available
//! replica.
//!
//! Requests come from `http_requests_total{status|code}` and the histogram
//! `http_request_duration_seconds`; [`crate::traffic`] says how replicas are added up. They cover
//! the time between the last two pages of each replica.

mod config;
mod fog;
mod kubernetes;
mod reading;
mod requests;
#[cfg(test)]
mod tests;
mod write;

use std::sync::Arc;
use std::time::Duration;

use self::config::Config;
use crate::component::{BuildContext, ReceiverFactory};
use crate::pdata::Signal;
use crate::receivers::scrape::{
    Nudge, PollPace, Reach, ScrapeSeries, Scraper, Target, TargetIdentity,
};

/// The factory of `deployment`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "deployment",
    aliases: &[],
    summary: "deployments from a control plane, and their requests from their replicas",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

/// How long the series of deployments stay without a guard while lists fail: as long as Prometheus
/// looks back. With a guard it is `max_staleness`.
const UNGUARDED_STALENESS: Duration = Duration::from_secs(300);

/// A target whose series say only the receiver and the endpoint.
fn target(
    context: &BuildContext,
    endpoint: &str,
    pace: PollPace,
    advice: Arc<str>,
    nudge: Nudge,
    scraper: Box<dyn Scraper>,
) -> Target {
    Target {
        endpoint: endpoint.into(),
        identity: Arc::new(TargetIdentity::new(context.id.as_str(), endpoint)),
        reach: Reach::Remote,
        pace,
        series: ScrapeSeries::Own,
        advice,
        nudge,
        scraper,
    }
}
