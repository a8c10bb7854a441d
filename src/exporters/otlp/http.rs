//! Sends a batch as one HTTP request in protobuf.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, Url};
use tokio::time::Instant;

use super::body::{self, AnswerBody, End, Secrets};
use super::payload::{self, Compression};
use super::{answer, partial};
use crate::component::{Delivered, ExportError, Exporter};
use crate::pdata::{Batch, Signal};

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
    secrets: Secrets,
}

impl Http {
    pub(super) fn new(settings: Settings, client: Client, partial: partial::Log) -> Self {
        Self {
            secrets: Secrets::of(&settings.headers),
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
        let begun = Instant::now();
        let sent = request.send().await;
        let mut response = sent.map_err(|error| self.transport(error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        // The status has come: whatever happens to the body, it doesn't change that.
        let deadline = body::deadline(begun, self.settings.timeout);
        let read = body::read(reqwest::Body::from(response), body::MAX_KEPT, deadline).await;
        let whole = matches!(read.end, End::Complete);
        let body = AnswerBody::new(&headers, read.bytes, whole);
        if !status.is_success() {
            let reason = body.reason(&self.secrets);
            return Err(answer::http_error(status.as_u16(), &headers, &reason));
        }
        if body.is_page() {
            return Err(answer::page(status.as_u16()));
        }
        let mut acceptance = body.acceptance(&self.secrets);
        if !whole && acceptance.remark.is_none() {
            acceptance.remark = Some("its answer broke off behind the status".to_owned());
        }
        Ok(self.partial.note(acceptance))
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
