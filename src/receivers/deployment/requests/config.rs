//! The keys of `request_metrics`.

use std::collections::HashSet;

use url::Url;

use crate::receivers::deployment::reading::MOST_TEXT;
use crate::receivers::scrape::http::{HttpClientConfig, parse_endpoint};
use crate::traffic::DeploymentLabels;
use crate::yaml::{FromValue, PlacedNode};

/// The most URLs of all deployments together.
const MOST_URLS: usize = 10_000;

/// What is scraped for requests.
#[derive(Debug)]
pub(in crate::receivers::deployment) struct RequestMetricsConfig {
    /// Never empty.
    pub(in crate::receivers::deployment) deployments: Vec<ScrapedDeployment>,
    /// The most series of a page.
    pub(in crate::receivers::deployment) max_series: usize,
    pub(in crate::receivers::deployment) http: HttpClientConfig,
}

/// A deployment, and where its replicas expose their metrics.
#[derive(Debug)]
pub(in crate::receivers::deployment) struct ScrapedDeployment {
    pub(in crate::receivers::deployment) labels: DeploymentLabels,
    /// Each as it is written, too; never empty.
    pub(in crate::receivers::deployment) urls: Vec<(String, Url)>,
}

impl RequestMetricsConfig {
    /// All URLs.
    pub(in crate::receivers::deployment) fn urls(&self) -> impl Iterator<Item = &Url> {
        let urls = self
            .deployments
            .iter()
            .flat_map(|deployment| &deployment.urls);
        urls.map(|(_, url)| url)
    }
}

impl FromValue for RequestMetricsConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let scrape: Option<Self> = fields
            .required::<ScrapeKeys>("scrape")
            .map(|ScrapeKeys(config)| config);
        fields.finish();
        scrape
    }
}

struct ScrapeKeys(RequestMetricsConfig);

impl FromValue for ScrapeKeys {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let targets = fields.value("targets").filter(|value| !value.is_null());
        let deployments = match &targets {
            Some(targets) => read_targets(targets),
            None => fields.map().error("`targets` is missing"),
        };
        let max_series = fields.within("max_series", 1000, 1..=100_000);
        let http = HttpClientConfig::from_fields(&mut fields);
        fields.finish();
        Some(Self(RequestMetricsConfig {
            deployments: deployments?,
            max_series,
            http,
        }))
    }
}

fn read_targets(value: &PlacedNode<'_>) -> Option<Vec<ScrapedDeployment>> {
    const EXAMPLE: &str = "[{deployment_id: web, urls: [http://localhost:8080/metrics]}]";
    let items = value.items()?;
    if items.is_empty() {
        return value.error(format_args!("no target: use a list such as {EXAMPLE}"));
    }
    let mut seen = Seen::default();
    // Every target is read before any is rejected, so that all problems are told.
    let read: Vec<_> = items
        .iter()
        .map(|item| read_target(item, &mut seen))
        .collect();
    if seen.urls.len() > MOST_URLS {
        return value.error(format_args!("more than {MOST_URLS} urls"));
    }
    read.into_iter().collect()
}

/// What has been listed before.
#[derive(Default)]
struct Seen {
    urls: HashSet<String>,
    deployments: HashSet<DeploymentLabels>,
}

fn read_target(value: &PlacedNode<'_>, seen: &mut Seen) -> Option<ScrapedDeployment> {
    let mut fields = value.fields()?;
    let id: Option<String> = fields.required("deployment_id");
    let name: Option<String> = fields.optional("deployment_name");
    let namespace: Option<String> = fields.optional("k8s_namespace_name");
    let urls = match fields.value("urls").filter(|value| !value.is_null()) {
        Some(written) => read_urls(&written, seen),
        None => fields.map().error("`urls` is missing"),
    };
    fields.finish();
    let labels = DeploymentLabels {
        id: id?,
        name: name.filter(|name| !name.is_empty()),
        namespace: namespace.filter(|namespace| !namespace.is_empty()),
    };
    if labels.id.is_empty() || labels.id.len() > MOST_TEXT {
        return value.error(format_args!("a deployment_id has 1 to {MOST_TEXT} bytes"));
    }
    if !seen.deployments.insert(labels.clone()) {
        return value.error(format_args!("{} is listed twice", labels.id));
    }
    Some(ScrapedDeployment {
        labels,
        urls: urls?,
    })
}

fn read_urls(value: &PlacedNode<'_>, seen: &mut Seen) -> Option<Vec<(String, Url)>> {
    let items = value.items()?;
    if items.is_empty() {
        return value
            .error("no URL: name those of the replicas, such as http://10.0.0.7:8080/metrics");
    }
    let read: Vec<_> = items
        .iter()
        .map(|item| {
            let (text, url) = parse_endpoint(item)?;
            if !seen.urls.insert(url.to_string()) {
                // Its requests would count twice.
                return item.error(format_args!("{text} is listed twice"));
            }
            Some((text, url))
        })
        .collect();
    read.into_iter().collect()
}
