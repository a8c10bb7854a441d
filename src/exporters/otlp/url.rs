//! The URLs of the HTTP exporter.

use std::fmt;

use url::Url;

use crate::pdata::Signal;
use crate::yaml::{FromValue, PlacedNode, without_credentials};

/// An `http` or `https` URL without credentials. Its `Debug` and `Display` leave out the query,
/// which may contain a key.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PushUrl(Url);

impl PushUrl {
    #[cfg(test)]
    pub(super) fn new(url: Url) -> Self {
        Self(url)
    }

    /// The URL with its query, for sending.
    pub(super) fn expose(&self) -> &Url {
        &self.0
    }

    /// The name of the destination in metrics, `/health` and the log.
    pub(super) fn name(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The URL of a signal below this base, as the OTLP specification says.
    pub(super) fn append(&self, signal: Signal) -> Self {
        let mut url = self.0.clone();
        let base = self.0.path().trim_end_matches('/');
        url.set_path(&format!("{base}/v1/{signal}"));
        Self(url)
    }
}

impl fmt::Display for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(self.0.as_str()))
    }
}

impl fmt::Debug for PushUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromValue for PushUrl {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let url = Url::parse(&value.read::<String>()?).ok();
        match url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            Some(url) if !url.username().is_empty() || url.password().is_some() => {
                value.error("credentials don't belong into the URL: use headers")
            }
            Some(url) => Some(Self(url)),
            None => value.error("expected a URL such as http://collector:4318"),
        }
    }
}
