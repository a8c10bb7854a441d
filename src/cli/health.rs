//! `foghorn health`: asks a running agent how it is, for the health checks of containers.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::Request;
use serde::Deserialize;
use tokio::time::timeout;
use url::Url;

use crate::net::{HttpClient, HttpClientSettings, Resolver, share_for_connecting};

/// How long the answer may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer that is read, in bytes.
const LONGEST: usize = 16 << 20;

/// What `/health` answers, as far as it is shown.
#[derive(Deserialize)]
struct HealthAnswer {
    status: String,
    #[serde(default)]
    endpoints: Vec<EndpointAnswer>,
    #[serde(default)]
    exporters: Vec<EndpointAnswer>,
}

#[derive(Deserialize)]
struct EndpointAnswer {
    id: String,
    component: String,
    state: String,
    last_error: Option<String>,
}

/// What the agent at this URL says of itself; of a URL without a path its page `/health`.
///
/// # Errors
///
/// When it doesn't answer within 5 s, or not with a status of 2xx.
pub(super) fn ask(mut url: Url) -> anyhow::Result<String> {
    if url.path() == "/" {
        url.set_path("/health");
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let answer = runtime.block_on(async { timeout(TIMEOUT, body(&url)).await });
    // A name server may hang.
    runtime.shutdown_background();
    let late = |_| anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs());
    let read = answer.map_err(late).flatten().and_then(|body| {
        let answer: HealthAnswer =
            serde_json::from_slice(&body).context("not the page of an agent")?;
        Ok(answer.shown())
    });
    read.with_context(|| url.to_string())
}

/// The body of an answer with a status of 2xx.
async fn body(url: &Url) -> anyhow::Result<Bytes> {
    let settings = HttpClientSettings {
        resolver: Resolver::system(),
        connect_timeout: share_for_connecting(TIMEOUT),
        proxies: None,
        max_idle: None,
        idle_timeout: None,
    };
    let client: HttpClient<Empty<Bytes>> = HttpClient::new(&settings, None);
    let request = Request::get(url.as_str()).body(Empty::new())?;
    let answer = client.send(request).await;
    let answer = answer.map_err(|error| match error.connecting() {
        // Its message names the cause already.
        Some(error) => anyhow::anyhow!("{error}"),
        None => anyhow::Error::new(error),
    })?;
    anyhow::ensure!(answer.status().is_success(), "answered {}", answer.status());
    let body = Limited::new(answer.into_body(), LONGEST).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer breaks off: {error}"))?;
    Ok(body.to_bytes())
}

impl HealthAnswer {
    /// The status, and a line for each endpoint with an error.
    fn shown(&self) -> String {
        let mut text = format!("{}\n", self.status);
        for endpoint in self.endpoints.iter().chain(&self.exporters) {
            let EndpointAnswer {
                id,
                component,
                state,
                last_error,
            } = endpoint;
            if let Some(error) = last_error.as_ref().filter(|_| state != "working") {
                // Writing to a string doesn't fail.
                let _ = writeln!(text, "  {component} {id} is {state}: {error}");
            }
        }
        text
    }
}
