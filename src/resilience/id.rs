//! What an endpoint is called, in labels and in logs.

use std::fmt;
use std::sync::Arc;

/// What names an endpoint: the labels `component` and `endpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId {
    // Shared by every copy of the name and by the labels of its metrics.
    component: Arc<str>,
    url: Arc<str>,
    signal: Option<&'static str>,
}

impl EndpointId {
    /// Names the endpoint at `url` of a component such as `betanet` or `otlp_http/eu`.
    /// Credentials, query and fragment are left out: they may be secret, and two URLs that
    /// differ in them alone are one endpoint.
    pub fn new(component: &str, url: &str) -> Self {
        let url = url.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = match url.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, url),
        };
        let (authority, path) = match rest.find('/') {
            Some(slash) => rest.split_at(slash),
            None => (rest, ""),
        };
        let host = authority.rsplit('@').next().unwrap_or_default();
        let url = match scheme {
            Some(scheme) => format!("{scheme}://{host}{path}"),
            None => format!("{host}{path}"),
        };
        Self {
            component: component.into(),
            url: url.into(),
            signal: None,
        }
    }

    /// The same for one of the signals that go there, such as `metrics`.
    pub fn carrying(mut self, signal: &'static str) -> Self {
        self.signal = Some(signal);
        self
    }

    /// The same for one of several endpoints that share this URL, such as what a probe probes. The
    /// name follows the URL as a fragment.
    pub fn of_instance(mut self, instance: &str) -> Self {
        self.url = format!("{}#{instance}", self.url).into();
        self
    }

    /// Which signal it is for, where each is on its own.
    pub fn signal(&self) -> Option<&'static str> {
        self.signal
    }

    /// The receiver's or exporter's id.
    pub fn component(&self) -> &str {
        &self.component
    }

    /// The URL without credentials and query.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Component and URL as shared texts, for labels: cloning them copies nothing.
    pub fn labels(&self) -> (Arc<str>, Arc<str>) {
        (Arc::clone(&self.component), Arc::clone(&self.url))
    }

    /// Scheme, host and port, which siblings share.
    pub(super) fn origin(&self) -> String {
        let scheme = self.url.split_once("://").map_or("", |(scheme, _)| scheme);
        format!("{scheme}://{}", self.peer())
    }

    /// Host and port, for what is common to all endpoints of one peer.
    pub fn peer(&self) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap_or(("", &self.url));
        let authority = rest.split(['/', '#']).next().unwrap_or_default();
        let port = match scheme {
            "https" => "443",
            _ => "80",
        };
        // A colon after the bracket of an IPv6 address, or the only one.
        let has_port = authority
            .rsplit_once(':')
            .is_some_and(|(host, _)| !host.contains(':') || host.ends_with(']'));
        if has_port {
            authority.to_owned()
        } else {
            format!("{authority}:{port}")
        }
    }
}

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.component, self.url)?;
        match self.signal {
            Some(signal) => write!(f, " {signal}"),
            None => Ok(()),
        }
    }
}
