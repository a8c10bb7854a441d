//! Requests of deployments, from what their replicas expose.

mod config;
mod page;
mod replica;
mod scraper;

use std::sync::Arc;

use tokio::time::Instant;

pub(super) use config::RequestMetricsConfig;

use self::page::RequestPage;
use self::scraper::{DeploymentTraffic, ReplicaScraper};
use super::target;
use crate::component::BuildContext;
use crate::receivers::scrape::http::{Access, FetchRequest};
use crate::receivers::scrape::{Nudge, PollPace, Target};

/// The text format, version 0.0.4.
const ACCEPT: &str = "text/plain;version=0.0.4";

impl RequestMetricsConfig {
    /// A target for each replica.
    pub(super) fn targets(
        &self,
        context: &BuildContext,
        pace: PollPace,
        access: &Arc<Access>,
    ) -> Vec<Target> {
        let advice: Arc<str> = format!(
            "its URL is written in receivers::{}::request_metrics::scrape::targets",
            context.id
        )
        .into();
        let now = Instant::now();
        let mut targets = Vec::new();
        for deployment in &self.deployments {
            let labels = deployment.labels.clone();
            let traffic = DeploymentTraffic::new(labels, deployment.urls.len(), pace.interval, now);
            for (member, (text, url)) in deployment.urls.iter().enumerate() {
                let most = self.max_series;
                let request = FetchRequest::new(url.clone(), ACCEPT);
                let page = access.document(request, move |page| {
                    RequestPage::read(&page.body, most).map(Arc::new)
                });
                let scraper = ReplicaScraper::new(page, member, Arc::clone(&traffic));
                targets.push(target(
                    context,
                    text,
                    pace,
                    Arc::clone(&advice),
                    Nudge::default(),
                    Box::new(scraper),
                ));
            }
        }
        targets
    }
}
