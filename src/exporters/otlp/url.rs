//! Where an HTTP exporter sends to.

use std::fmt;

use reqwest::Url;

use crate::pdata::Signal;
use crate::yaml::{FromValue, PlacedNode, without_credentials};

/// An `http` or `https` URL without credentials. Its query may hold a key, so that nothing
/// shows it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct PushUrl(Url);

impl PushUrl {
    #[cfg(test)]
    pub(super) fn new(url: Url) -> Self {
        Self(url)
    }

    /// The URL itself, for the one place that sends to it.
    pub(super) fn expose(&self) -> &Url {
        &self.0
    }

    /// What the destination is called in metrics, health and the log.
    pub(super) fn name(&self) -> String {
        let mut url = self.0.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.as_str().trim_end_matches('/').to_owned()
    }

    /// The path of a signal below the base, as the OTLP specification says.
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
