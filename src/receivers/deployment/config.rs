//! The keys.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tracing::warn;
use url::Url;

use super::fog::FogScraper;
use super::kubernetes::{KubernetesScraper, follower};
use super::requests::RequestMetricsConfig;
use super::{UNGUARDED_STALENESS, target};
use crate::component::{BuildContext, Intake, Receiver, ReceiverConfig};
use crate::net::ClientTls;
use crate::pdata::Signal;
use crate::receivers::kubernetes::{FollowLimits, InCluster};
use crate::receivers::scrape::http::{Access, Client, HttpClientConfig, parse_endpoint};
use crate::receivers::scrape::{Controller, Nudge, PollPace, PollSettings, Target};
use crate::resilience::{self, Endpoint, EndpointId, PollConfig};
use crate::yaml::{FromValue, GoDuration, PlacedNode};

/// A valid configuration: at least one of the two is there.
#[derive(Debug)]
pub(super) struct Config {
    control_plane: Option<ControlPlaneConfig>,
    requests: Option<RequestMetricsConfig>,
    scrape: PollSettings,
}

#[derive(Debug)]
struct ControlPlaneConfig {
    kind: PlaneKind,
    /// As the user wrote it, and read; `None` for the cluster that the agent runs in.
    endpoint: Option<(String, Url)>,
    max_deployments: usize,
    http: HttpClientConfig,
}

#[derive(Debug)]
enum PlaneKind {
    Fog { details: bool },
    Kubernetes { namespace: Option<String> },
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let is_written =
            |value: &Option<PlacedNode<'_>>| value.as_ref().is_some_and(|value| !value.is_null());
        let plane = fields.value("control_plane");
        let requests = fields.value("request_metrics");
        let (has_plane, has_requests) = (is_written(&plane), is_written(&requests));
        let config = Self {
            control_plane: fields.optional("control_plane"),
            requests: fields.optional("request_metrics"),
            scrape: PollSettings::from_fields(&mut fields),
        };
        if !has_plane && !has_requests {
            fields.map().error::<()>(
                "neither `control_plane` nor `request_metrics` is set: there is nothing to collect",
            );
        }
        fields.finish();
        let is_read = has_plane == config.control_plane.is_some()
            && has_requests == config.requests.is_some()
            && (has_plane || has_requests);
        is_read.then_some(config)
    }
}

impl FromValue for ControlPlaneConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        #[derive(Clone, Copy, PartialEq)]
        enum Kind {
            Fog,
            Kubernetes,
        }
        let mut fields = value.fields()?;
        let kind = match fields.value("type").filter(|value| !value.is_null()) {
            Some(written) => {
                written.choice(&[("fog", Kind::Fog), ("kubernetes", Kind::Kubernetes)])
            }
            None => fields.map().error("`type` is missing: fog or kubernetes"),
        };
        let written = fields.value("endpoint").filter(|value| !value.is_null());
        let endpoint = written.as_ref().map(parse_endpoint);
        let namespace = fields.value("namespace").filter(|value| !value.is_null());
        let details = fields.value("details").filter(|value| !value.is_null());
        let max_deployments = fields.within("max_deployments", 10_000, 1..=1_000_000);
        let http = HttpClientConfig::from_fields(&mut fields);
        if kind == Some(Kind::Fog) {
            if let Some(namespace) = &namespace {
                namespace.error::<()>("namespace belongs to type: kubernetes");
            }
            if endpoint.is_none() {
                fields.map().error::<()>("`endpoint` is missing");
            }
        }
        if kind == Some(Kind::Kubernetes)
            && let Some(details) = &details
        {
            details.error::<()>("details belong to type: fog");
        }
        let kind = kind.map(|kind| match kind {
            Kind::Fog => PlaneKind::Fog {
                details: fields.or("details", false),
            },
            Kind::Kubernetes => PlaneKind::Kubernetes {
                namespace: fields.optional("namespace"),
            },
        });
        fields.finish();
        let endpoint = match endpoint {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self {
            kind: kind?,
            endpoint,
            max_deployments,
            http,
        })
    }
}

impl ReceiverConfig for Config {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let intake = context.metrics_intake(intakes)?;
        let targets = self.targets(context, &InCluster::from_environment)?;
        Ok(Box::new(Controller::new(context, intake, targets)))
    }

    fn polls(&self) -> Option<PollConfig> {
        Some(self.scrape.written)
    }

    fn endpoints(&self) -> usize {
        let urls = self.requests.iter().flat_map(RequestMetricsConfig::urls);
        usize::from(self.control_plane.is_some()) + urls.count()
    }

    fn describe(&self) -> String {
        let mut sources = Vec::new();
        if let Some(plane) = &self.control_plane {
            sources.push(match (&plane.endpoint, &plane.kind) {
                (Some((text, _)), _) => text.clone(),
                (None, _) => "this cluster".to_owned(),
            });
        }
        if let Some(requests) = &self.requests {
            sources.push(format!("{} replicas", requests.urls().count()));
        }
        let every = GoDuration(self.scrape.interval);
        format!("{} every {every}", sources.join(" and "))
    }
}

impl Config {
    /// `cluster` says where the agent runs, if that is needed.
    pub(super) fn targets(
        &self,
        context: &BuildContext,
        cluster: &dyn Fn() -> anyhow::Result<InCluster>,
    ) -> anyhow::Result<Vec<Target>> {
        let scrape = self.scrape.guarded_by(context.guard.as_deref());
        let pace = scrape.pace();
        let mut targets = Vec::new();
        if let Some(plane) = &self.control_plane {
            targets.push(plane.target(context, pace, cluster)?);
        }
        if let Some(requests) = &self.requests {
            let client = Client::new(&requests.http, pace.timeout, requests.urls())?;
            let access = Access::new(context, Arc::new(client));
            targets.extend(requests.targets(context, pace, &access));
        }
        Ok(targets)
    }
}

impl ControlPlaneConfig {
    fn target(
        &self,
        context: &BuildContext,
        pace: PollPace,
        cluster: &dyn Fn() -> anyhow::Result<InCluster>,
    ) -> anyhow::Result<Target> {
        let advice: Arc<str> = format!(
            "it is written in receivers::{}::control_plane::endpoint",
            context.id
        )
        .into();
        match &self.kind {
            PlaneKind::Fog { details } => {
                let (text, url) = self.endpoint.as_ref().context("`endpoint` is missing")?;
                let client = Client::new(&self.http, pace.timeout, [url])?;
                let access = Access::new(context, Arc::new(client));
                let scraper = FogScraper::new(
                    &access,
                    url.clone(),
                    self.max_deployments,
                    *details,
                    pace.interval,
                );
                let nudge = Nudge::default();
                Ok(target(
                    context,
                    text,
                    pace,
                    advice,
                    nudge,
                    Box::new(scraper),
                ))
            }
            PlaneKind::Kubernetes { namespace } => {
                let (text, url, http) = self.api_server(cluster)?;
                let client = Client::new(&http, pace.timeout, [&url])?;
                let endpoint = endpoint(context, &url);
                let limits = FollowLimits {
                    objects: self.max_deployments,
                    event: usize::try_from(self.http.max_body).unwrap_or(usize::MAX),
                    list: pace.interval.max(Duration::from_secs(30)),
                };
                let namespace = namespace.clone();
                let client = Arc::new(client);
                let follower = follower(client, &url, namespace, limits, endpoint.clone());
                let nudge = Nudge::default();
                let guard = context.guard.as_deref();
                let scraper = KubernetesScraper::new(
                    follower,
                    self.max_deployments,
                    endpoint,
                    nudge.clone(),
                    guard.map_or(UNGUARDED_STALENESS, resilience::Settings::max_staleness),
                    pace.timeout,
                );
                Ok(target(
                    context,
                    &text,
                    pace,
                    advice,
                    nudge,
                    Box::new(scraper),
                ))
            }
        }
    }

    /// The API server as it is written, its URL, and how to speak to it. What isn't written is that
    /// of the cluster that the agent runs in; but only its own API server gets its token.
    fn api_server(
        &self,
        cluster: &dyn Fn() -> anyhow::Result<InCluster>,
    ) -> anyhow::Result<(String, Url, HttpClientConfig)> {
        let mut http = self.http.clone();
        let (text, url, own) = match &self.endpoint {
            Some((text, url)) => {
                let own = cluster().ok().filter(|cluster| cluster.is_at(url));
                (text.clone(), url.clone(), own)
            }
            None => {
                let own = cluster().context("`endpoint` is missing")?;
                let url = own.url.clone();
                let text = url.as_str().trim_end_matches('/').to_owned();
                (text, url, Some(own))
            }
        };
        if let Some(own) = own {
            http.auth = http.auth.or_else(|| Some(own.auth()));
            if http.tls == ClientTls::default() {
                http.tls = own.tls();
            }
        }
        Ok((text, url, http))
    }
}

/// The guarded endpoint of an API server, if the receiver is guarded.
fn endpoint(context: &BuildContext, url: &Url) -> Option<Arc<Endpoint>> {
    let settings = context.guard.as_ref()?;
    let id = EndpointId::new(context.id.as_str(), url.as_str());
    match context.endpoints.guard::<()>(id, (**settings).clone()) {
        Ok(guard) => Some(Arc::clone(guard.endpoint())),
        Err(error) => {
            // The registry counts it. Requests without a guard are better than none.
            warn!("{error}: it is asked without a guard");
            None
        }
    }
}
