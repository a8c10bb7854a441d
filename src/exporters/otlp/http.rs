//! Sends a batch as an HTTP request in protobuf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Uri};
use tokio::time::{Instant, timeout_at};

use super::body::{self, AnswerBody, BodyEnd};
use super::payload::{self, BodyChunks, Compression};
use super::secrets::Secrets;
use super::url::PushUrl;
use super::{USER_AGENT as AGENT, answer, partial};
use crate::component::{Delivered, ExportError, Exporter};
use crate::net::{HttpClient, HttpError, Renewable};
use crate::pdata::{Batch, Signal};

/// How the exporter is set up; the keys are described in [`super`].
#[derive(Debug, Clone)]
pub(super) struct HttpSettings {
    /// The URL of each signal.
    pub(super) urls: BTreeMap<Signal, PushUrl>,
    pub(super) headers: HeaderMap,
    pub(super) compression: Compression,
    pub(super) timeout: Duration,
    pub(super) secrets: Arc<Secrets>,
}

/// Exports one signal over HTTP.
pub(super) struct Http {
    settings: HttpSettings,
    client: Renewable<HttpClient<BodyChunks>>,
    partial: partial::AnswerLog,
}

impl Http {
    pub(super) fn new(
        settings: HttpSettings,
        client: Renewable<HttpClient<BodyChunks>>,
        partial: partial::AnswerLog,
    ) -> Self {
        Self {
            settings,
            client,
            partial,
        }
    }

    async fn post(&self, batch: &Batch) -> Result<Delivered, ExportError> {
        let request = self.request(batch)?;
        let begun = Instant::now();
        let client = self.client.current().await;
        let sent = timeout_at(begun + self.settings.timeout, client.send(request)).await;
        let sent = sent.map_err(|_| answer::timed_out(self.settings.timeout))?;
        let mut response = sent.map_err(|error| self.unanswered(&error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        // The status is known, and a body that breaks off doesn't change it.
        let deadline = body::deadline(begun, self.settings.timeout);
        let read = body::read(response.into_body(), body::MAX_KEPT, deadline).await;
        let whole = matches!(read.end, BodyEnd::Complete);
        let body = AnswerBody::new(&headers, read.bytes, whole);
        if !status.is_success() {
            let reason = body.reason(&self.settings.secrets);
            return Err(answer::http_error(status.as_u16(), &headers, &reason));
        }
        if body.is_page() {
            return Err(answer::page(status.as_u16()));
        }
        let mut acceptance = body.acceptance(&self.settings.secrets);
        if !whole && acceptance.remark.is_none() {
            acceptance.remark = Some("its answer broke off behind the status".to_owned());
        }
        Ok(self.partial.note(acceptance))
    }

    fn request(&self, batch: &Batch) -> Result<Request<BodyChunks>, ExportError> {
        let Some(url) = self.settings.urls.get(&batch.signal()) else {
            let message = format!("there is no URL for {}", batch.signal());
            return Err(answer::unsendable(message));
        };
        let compression = self.settings.compression;
        let body = payload::http(batch, compression).map_err(answer::unsendable)?;
        let mut request = Request::new(body);
        *request.method_mut() = Method::POST;
        let uri = url.expose().as_str().parse::<Uri>();
        *request.uri_mut() = uri.map_err(answer::unsendable)?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static(AGENT));
        headers.extend(self.settings.headers.clone());
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        headers.insert(CONTENT_TYPE, protobuf);
        if let Some(encoding) = compression.header() {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
        }
        Ok(request)
    }

    fn unanswered(&self, error: &HttpError) -> ExportError {
        match error.connecting() {
            Some(connecting) => answer::unconnected(connecting, &self.settings.secrets),
            None => answer::transport(error),
        }
    }
}

impl Exporter for Http {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let outcome = self.post(batch).await;
            outcome.map_err(|error| self.settings.secrets.redacted(error))
        })
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{HttpClientSettings, Resolver};

    #[tokio::test]
    async fn an_error_of_connecting_names_the_addresses_and_not_the_query() {
        let client = HttpClient::new(
            &HttpClientSettings {
                resolver: Resolver::with(|_| {
                    Ok(vec![[127, 0, 0, 9].into(), [127, 0, 0, 8].into()])
                }),
                connect_timeout: Duration::from_secs(60),
                proxies: None,
                max_idle: None,
                idle_timeout: None,
            },
            None,
        );
        let url = "http://fog.example:1/v1/metrics?key=secret";
        let url = PushUrl::new(url.parse().unwrap());
        let settings = HttpSettings {
            urls: BTreeMap::from([(Signal::Metrics, url)]),
            headers: HeaderMap::new(),
            compression: Compression::None,
            timeout: Duration::from_secs(60),
            secrets: Arc::default(),
        };
        let partial = partial::AnswerLog::new("otlp_http".parse().unwrap());
        let client = Renewable::new(Vec::new(), None, move || Ok(client.clone())).unwrap();
        let http = Http::new(settings, client, partial);
        let batch = Batch::empty(Signal::Metrics);
        let error = http.post(&batch).await.unwrap_err();
        assert_eq!(error.message, "127.0.0.9:1 refuses, 127.0.0.8:1 refuses");
    }
}
