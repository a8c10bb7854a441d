//! Polls Betanet services: nodes, packets, bytes and latency of one or several instances.
//!
//! ```yaml
//! receivers:
//!   betanet:
//!     endpoints: [http://localhost:9000]   # one guard, one `up` for each
//!     dialect: auto          # v1 | native | auto: asks v1, and native after 404
//!     parts: [mixnodes]      # of native: mixnodes, metrics, status
//!     max_mixnodes: 1000     # that have series of their own; the sums are of all
//!     collection_interval: 15s   # and the other keys of `scrape` and of `scrape::http`
//! ```
//!
//! The parts of an instance (v1 has three paths) are requested at the same time and fail
//! independently. A value that only a failed part reports is absent, never 0. In native, only
//! `/mixnodes` is requested by default, and the detection of the dialect requests nothing else:
//! the Betanet server in use never answers the other two paths, and after such a request it
//! answers nothing at all. A value that several parts report is taken from the first of mixnodes,
//! metrics, status that answers and reports it. The parts may count packets a little differently:
//! when another part takes over and its count is lower, but more than half, the counter keeps its
//! value until the new count passes it.
//!
//! An entry of `/mixnodes` that can't be used is left out, and counted in
//! `scrape_entries_rejected_total`: with the reason `limit` if its id is longer than 256 bytes, with
//! `invalid` if it can't be read (a count that is missing, negative or no number, an empty id or
//! none) or if an earlier entry has its id. A list in which no entry can be used is a failed part.
//! Of more than `max_mixnodes`, those whose ids come last have no series of their own, and are
//! counted with the reason `limit`; they are part of all sums.
//!
//! The dialect of an instance is known once one of its paths has answered, until all of them
//! answer 404. If it is native, v1 is tried again after the breaker of a path has been open,
//! since another server may have started there.
//!
//! With `resilience` each path has a guard of its own. For a part that fails no points are sent;
//! its series keep their last points until `max_staleness` is over, and end at once without a
//! guard. The sums below cover only the parts and instances that answer.
//!
//! Metrics, each point with `betanet.instance`:
//!
//! | name | type | from |
//! |---|---|---|
//! | `betanet_connected_peers` | gauge | total_nodes |
//! | `betanet_mixnode_active` | gauge | active_nodes |
//! | `betanet_messages_total` | counter | packets_processed |
//! | `betanet_packets_dropped_total` | counter | packets_dropped |
//! | `betanet_bytes_{transmitted,received}_total` | counter | bytes_*; v1 only |
//! | `betanet_peak_throughput` | gauge | peak_throughput; v1 only |
//! | `betanet_message_latency_seconds` | histogram | each fresh avg_latency_ms, once |
//! | `betanet_packets_{processed,dropped}`, `betanet_latency` (ms) | gauge | as reported |
//! | `betanet_connections` | gauge | connections; native `status` only |
//! | `betanet_mixnode_packets_{processed,forwarded,dropped}_total`, `betanet_mixnode_{uptime,latency}_seconds` | by `mixnode_id` | native only |
//!
//! With several endpoints there are also, without `betanet.instance`, the counters
//! `betanet_network_{messages,packets_dropped,bytes_transmitted,bytes_received}_total`, the
//! gauges `betanet_network_{connected_peers,mixnode_active}` over the instances whose last
//! poll gave data, and `betanet_network_instances_{fresh,expected}`.
//!
//! Cumulative values are written as reported. A value lower than the last one means that the
//! counter restarted, and gives it a new start time. The sums over mixnodes and instances add up
//! by how much each one grew, so that they don't fall when one restarts or leaves; the gauges
//! show the plain sums. The series of a mixnode that leaves the list end with a tombstone.

mod network;
mod reading;
mod scraper;
mod service_path;
mod state;
mod text;
mod wire;
mod write;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use url::Url;

use self::network::InstanceSums;
use self::scraper::{BetanetScraper, PathSource};
use self::service_path::ServicePath;
use crate::component::{BuildContext, Intake, Receiver, ReceiverConfig, ReceiverFactory};
use crate::pdata::Signal;
use crate::receivers::scrape::http::{
    Access, Client, FetchRequest, FetchedPage, HttpClientConfig, parse_endpoint,
};
use crate::receivers::scrape::{
    Controller, Nudge, PollPace, PollSettings, Reach, ScrapeSeries, Target, TargetIdentity,
};
use crate::resilience::PollConfig;
use crate::yaml::{FromValue, GoDuration, PlacedNode};

/// The factory of `betanet`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "betanet",
    aliases: &[],
    summary: "polls Betanet services: nodes, packets, bytes and latency",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(Config::read(value)?)),
};

/// Used when `endpoints` is not written.
const DEFAULT_ENDPOINT: &str = "http://localhost:9000";

/// `dialect`: which paths of an instance are requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// v1, or native where v1's paths don't exist.
    Auto,
    /// `/api/v1/...`.
    V1,
    /// The paths that the Betanet HTTP server itself serves.
    Native,
}

/// A valid configuration.
#[derive(Debug)]
struct Config {
    endpoints: Vec<InstanceEndpoint>,
    dialect: Dialect,
    /// The parts requested in the native dialect; never empty.
    parts: Vec<ServicePath>,
    max_mixnodes: usize,
    scrape: PollSettings,
    http: HttpClientConfig,
}

/// One element of `endpoints`.
#[derive(Debug)]
struct InstanceEndpoint {
    /// The URL as the user wrote it.
    text: String,
    url: Url,
}

impl Config {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let endpoints = match fields.value("endpoints").filter(|value| !value.is_null()) {
            Some(written) => read_endpoints(&written),
            None => Url::parse(DEFAULT_ENDPOINT).ok().map(|url| {
                let text = DEFAULT_ENDPOINT.to_owned();
                vec![InstanceEndpoint { text, url }]
            }),
        };
        let dialect = fields.or("dialect", Dialect::Auto);
        let written_parts = fields.value("parts");
        let parts = match written_parts.as_ref().map(read_parts) {
            Some(parts) => parts,
            None => Some(vec![ServicePath::Mixnodes]),
        };
        if dialect == Dialect::V1
            && let Some(written) = &written_parts
        {
            written.error::<()>("parts belong to the native dialect: leave them out for v1");
        }
        let max_mixnodes = fields.within("max_mixnodes", 1000, 1..=100_000);
        let scrape = PollSettings::from_fields(&mut fields);
        let http = HttpClientConfig::from_fields(&mut fields);
        fields.finish();
        Some(Self {
            endpoints: endpoints?,
            dialect,
            parts: parts?,
            max_mixnodes,
            scrape,
            http,
        })
    }

    fn targets(&self, context: &BuildContext, pace: PollPace, access: &Arc<Access>) -> Vec<Target> {
        let advice = format!(
            "point it elsewhere with receivers::{}::endpoints, or with BETANET_URL in the \
             default configuration",
            context.id
        );
        let advice: Arc<str> = advice.into();
        let several = self.endpoints.len() > 1;
        let network = Arc::new(Mutex::new(InstanceSums::new(self.endpoints.len())));
        self.endpoints
            .iter()
            .enumerate()
            .map(|(member, endpoint)| Target {
                endpoint: endpoint.text.as_str().into(),
                identity: Arc::new(TargetIdentity::new(
                    context.id.as_str(),
                    endpoint.text.as_str(),
                )),
                reach: Reach::Remote,
                pace,
                series: ScrapeSeries::Own,
                advice: Arc::clone(&advice),
                nudge: Nudge::default(),
                scraper: Box::new(BetanetScraper::new(
                    endpoint.text.clone(),
                    self.dialect,
                    [&ServicePath::V1[..], &self.parts].map(|p| self.sources(endpoint, p, access)),
                    self.max_mixnodes,
                    several.then(|| (member, Arc::clone(&network))),
                )),
            })
            .collect()
    }

    fn sources(
        &self,
        endpoint: &InstanceEndpoint,
        parts: &[ServicePath],
        access: &Arc<Access>,
    ) -> Vec<PathSource> {
        let max_mixnodes = self.max_mixnodes;
        let source = |(part, request): (ServicePath, FetchRequest)| {
            let read = move |page: FetchedPage| part.read(&page.body, max_mixnodes);
            PathSource::new(part, access.document(request, read))
        };
        endpoint.requests(parts).into_iter().map(source).collect()
    }
}

impl ReceiverConfig for Config {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let intake = context.metrics_intake(intakes)?;
        let urls = self.endpoints.iter().map(|endpoint| &endpoint.url);
        let scrape = self.scrape.guarded_by(context.guard.as_deref());
        let client = Client::new(&self.http, scrape.timeout, urls)?;
        let access = Access::new(context, Arc::new(client));
        let targets = self.targets(context, scrape.pace(), &access);
        Ok(Box::new(Controller::new(context, intake, targets)))
    }

    fn polls(&self) -> Option<PollConfig> {
        Some(self.scrape.written)
    }

    fn endpoints(&self) -> usize {
        self.endpoints.len() * (ServicePath::V1.len() + self.parts.len())
    }

    fn describe(&self) -> String {
        let endpoints: Vec<&str> = self.endpoints.iter().map(|e| e.text.as_str()).collect();
        format!(
            "{} every {}",
            endpoints.join(", "),
            GoDuration(self.scrape.interval)
        )
    }
}

impl InstanceEndpoint {
    fn requests(&self, parts: &[ServicePath]) -> Vec<(ServicePath, FetchRequest)> {
        let base = self.url.path().trim_end_matches('/').to_owned();
        let request = |part: &ServicePath| {
            let mut url = self.url.clone();
            url.set_path(&format!("{base}{}", part.path()));
            (*part, FetchRequest::new(url, part.accept()))
        };
        parts.iter().map(request).collect()
    }
}

fn read_endpoints(value: &PlacedNode<'_>) -> Option<Vec<InstanceEndpoint>> {
    let items = value.items()?;
    if items.is_empty() {
        return value.error("no endpoint: use a list such as [http://localhost:9000]");
    }
    let read: Vec<_> = items.iter().map(parse_endpoint).collect();
    let mut endpoints: Vec<InstanceEndpoint> = Vec::new();
    for (item, read) in items.iter().zip(read) {
        let (text, url) = read?;
        let place = |url: &Url| (url.origin(), url.path().trim_end_matches('/').to_owned());
        if endpoints
            .iter()
            .any(|known| place(&known.url) == place(&url))
        {
            return item.error(format_args!("{text} is listed twice"));
        }
        endpoints.push(InstanceEndpoint { text, url });
    }
    Some(endpoints)
}

fn read_parts(value: &PlacedNode<'_>) -> Option<Vec<ServicePath>> {
    let mut parts: Vec<ServicePath> = value.read()?;
    parts.sort();
    parts.dedup();
    if parts.is_empty() {
        return value.error("no part: use a list such as [mixnodes]");
    }
    Some(parts)
}

impl FromValue for ServicePath {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("mixnodes") => Some(Self::Mixnodes),
            Some("metrics") => Some(Self::Metrics),
            Some("status") => Some(Self::Status),
            _ => value.error("expected mixnodes, metrics or status"),
        }
    }
}

impl FromValue for Dialect {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("auto") => Some(Self::Auto),
            Some("v1") => Some(Self::V1),
            Some("native") => Some(Self::Native),
            _ => value.error("expected auto, v1 or native"),
        }
    }
}

#[cfg(test)]
mod tests;
