//! Sends a batch as one HTTP request in protobuf.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Limited};
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url};

use super::payload::{self, Compression};
use super::{answer, partial};
use crate::component::{Delivered, ExportError, Exporter};
use crate::pdata::{Batch, Signal};

/// An answer holds a status and perhaps a partial success: what is longer is something else.
const MAX_ANSWER: usize = 64 * 1024;

/// How the exporter is set up; see the module of the component for the keys.
#[derive(Debug)]
pub(super) struct Settings {
    /// Where each signal goes.
    pub(super) urls: BTreeMap<Signal, Url>,
    pub(super) headers: HeaderMap,
    pub(super) compression: Compression,
    pub(super) timeout: Duration,
}

/// The exporter.
pub(super) struct Http {
    settings: Settings,
    client: Client,
    partial: partial::Log,
}

impl Http {
    pub(super) fn new(settings: Settings, client: Client, partial: partial::Log) -> Self {
        Self {
            settings,
            client,
            partial,
        }
    }

    async fn post(&self, batch: &Batch) -> Result<Delivered, ExportError> {
        let Some(url) = self.settings.urls.get(&batch.signal()) else {
            let message = format!("there is no URL for {}", batch.signal());
            return Err(answer::unsendable(message));
        };
        let compression = self.settings.compression;
        let body = payload::http(batch, compression).map_err(answer::unsendable)?;
        let mut request = self
            .client
            .post(url.clone())
            .headers(self.settings.headers.clone())
            .header(
                CONTENT_TYPE,
                HeaderValue::from_static("application/x-protobuf"),
            )
            .timeout(self.settings.timeout)
            .body(reqwest::Body::wrap(body));
        if let Some(encoding) = compression.header() {
            request = request.header(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        let sent = request.send().await;
        let mut response = sent.map_err(|error| self.transport(error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let body = Limited::new(reqwest::Body::from(response), MAX_ANSWER);
        let body = body.collect().await.map(|body| body.to_bytes());
        match (status.is_success(), body) {
            (true, Ok(body)) => Ok(self.partial.note(answer::delivered(&body))),
            (true, Err(error)) => match error.downcast::<reqwest::Error>() {
                // The connection broke before the peer had said all it wanted to: it may
                // not have taken the request.
                Ok(error) => Err(self.transport(*error)),
                // What is too long can't be read, and counts as what can't be read does.
                Err(_) => Ok(Delivered::default()),
            },
            (false, body) => Err(answer::http_error(
                status.as_u16(),
                &headers,
                &body.unwrap_or_default(),
            )),
        }
    }

    /// reqwest's own text names the URL, which may hold a secret in its query.
    fn transport(&self, error: reqwest::Error) -> ExportError {
        if error.is_timeout() {
            return answer::timed_out(self.settings.timeout);
        }
        answer::transport(&error.without_url())
    }
}

impl Exporter for Http {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(self.post(batch))
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
