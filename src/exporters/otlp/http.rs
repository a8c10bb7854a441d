//! Sends a batch as an HTTP request in protobuf.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Client;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use tokio::time::Instant;

use super::body::{self, AnswerBody, BodyEnd};
use super::payload::{self, Compression};
use super::secrets::Secrets;
use super::url::PushUrl;
use super::{answer, partial};
use crate::component::{Delivered, ExportError, Exporter};
use crate::net::{Names, Renewable};
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
    client: Renewable<Client>,
    names: Names,
    partial: partial::AnswerLog,
}

impl Http {
    /// `names` is the resolver that the client uses.
    pub(super) fn new(
        settings: HttpSettings,
        client: Renewable<Client>,
        names: Names,
        partial: partial::AnswerLog,
    ) -> Self {
        Self {
            settings,
            client,
            names,
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
            .current()
            .await
            .post(url.expose().clone())
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
        // The status is known, and a body that breaks off doesn't change it.
        let deadline = body::deadline(begun, self.settings.timeout);
        let read = body::read(reqwest::Body::from(response), body::MAX_KEPT, deadline).await;
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

    /// The error must not contain the URL, which reqwest adds: its query may hold a secret.
    fn transport(&self, error: reqwest::Error) -> ExportError {
        let before_it = error.is_connect();
        let mut failure = if error.is_timeout() && !before_it {
            answer::timed_out(self.settings.timeout)
        } else {
            answer::transport(&error.without_url())
        };
        if before_it && let Some(tried) = self.names.tried() {
            failure.message = format!("{} ({tried})", failure.message);
        }
        failure
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
    use crate::net::Resolver;

    #[tokio::test]
    async fn an_error_of_connecting_says_what_the_name_was_found_to_mean() {
        let resolver = Resolver::with(|_| Ok(vec![[127, 0, 0, 9].into(), [127, 0, 0, 8].into()]));
        let names = Names::new(resolver, Duration::from_secs(60));
        let client = Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .dns_resolver(Arc::new(names.clone()));
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
        let client = client.build().unwrap();
        let client = Renewable::new(Vec::new(), None, move || Ok(client.clone())).unwrap();
        let http = Http::new(settings, client, names, partial);
        let batch = Batch::empty(Signal::Metrics);
        let error = http.post(&batch).await.unwrap_err();
        assert!(
            error
                .message
                .ends_with(" (fog.example is 127.0.0.9, 127.0.0.8)"),
            "{}",
            error.message
        );
        assert!(!error.message.contains("secret"));
    }
}
