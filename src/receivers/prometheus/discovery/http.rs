//! `http_sd_configs`: targets that a server lists.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{ACCEPT, HeaderName, HeaderValue};
use tokio::time::{Instant, sleep_until};

use super::groups::read_json;
use super::{Findings, FoundGroups, LONGEST};
use crate::lane::Lane;
use crate::receivers::prometheus::config::HttpDiscoveryConfig;
use crate::receivers::prometheus::groups::TargetGroup;
use crate::receivers::prometheus::oauth2;
use crate::receivers::scrape::http::{Client, Fetch as _, FetchRequest};

/// By which a server may learn how often it is asked.
const REFRESH_HEADER: HeaderName = HeaderName::from_static("x-prometheus-refresh-interval-seconds");

/// The label with the server's URL.
const URL: &str = "__meta_url";

/// The longest that an answer may take.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// An answer up to this many bytes is read on the worker.
const LARGE: usize = 64 * 1024;

/// Asks the server of one element of `http_sd_configs`.
pub(in crate::receivers::prometheus) struct HttpDiscovery {
    url: Arc<str>,
    refresh: Duration,
    client: Client,
    request: FetchRequest,
    lane: Lane,
    last: FoundGroups,
}

impl HttpDiscovery {
    /// # Errors
    ///
    /// When a file that the configuration names can't be read or used.
    pub(in crate::receivers::prometheus) fn new(
        config: &HttpDiscoveryConfig,
    ) -> anyhow::Result<Self> {
        let timeout = config.refresh.min(LONGEST_WAIT);
        let seconds = config.refresh.as_secs_f64().to_string();
        let headers = [
            (ACCEPT, HeaderValue::from_static("application/json")),
            (REFRESH_HEADER, HeaderValue::try_from(seconds)?),
        ];
        Ok(Self {
            client: oauth2::client(&config.http, timeout)?,
            request: FetchRequest {
                max_body: Some(LONGEST),
                ..FetchRequest::with(config.url.clone(), Arc::new(headers))
            },
            url: config.text.as_str().into(),
            refresh: config.refresh,
            lane: Lane::new(1),
            last: FoundGroups::new(),
        })
    }

    /// Asks each `refresh_interval` until it is dropped.
    pub(in crate::receivers::prometheus) async fn run(mut self, mut findings: Findings) {
        let mut next = Instant::now();
        loop {
            self.refresh(&mut findings).await;
            // What was missed isn't made up for.
            next = (next + self.refresh).max(Instant::now());
            sleep_until(next).await;
        }
    }

    async fn refresh(&mut self, findings: &mut Findings) {
        match self.ask().await {
            Ok(groups) => {
                self.last = Findings::unchanged(&self.last, groups);
                findings.found(self.last.clone());
                findings.works();
            }
            Err(error) => findings.failed(format_args!("{}: {error}", self.url)),
        }
    }

    async fn ask(&self) -> Result<Vec<TargetGroup>, String> {
        let answer = self.client.fetch(&self.request).await;
        let answer = answer.map_err(|error| error.message)?;
        if !is_json(answer.content_type.as_deref()) {
            let found = answer.content_type.unwrap_or_default();
            return Err(format!("unsupported content type `{found}`"));
        }
        let (url, body) = (Arc::clone(&self.url), answer.body);
        match body.len() {
            0..LARGE => read(&body, &url),
            _ => self.lane.run(move || read(&body, &url)).await,
        }
    }
}

fn read(body: &[u8], url: &str) -> Result<Vec<TargetGroup>, String> {
    let mut groups = read_json(body)?;
    for group in &mut groups {
        group.labels.insert(URL.to_owned(), url.to_owned());
    }
    Ok(groups)
}

/// Whether it is JSON in UTF-8, as Prometheus asks for.
fn is_json(content_type: Option<&str>) -> bool {
    let text = content_type.unwrap_or_default().trim().to_ascii_lowercase();
    let Some(rest) = text.strip_prefix("application/json") else {
        return false;
    };
    let charset = rest.strip_prefix(';').map(str::trim_start);
    rest.is_empty() || matches!(charset, Some("charset=utf-8" | "charset=\"utf-8\""))
}

#[cfg(test)]
mod tests;
