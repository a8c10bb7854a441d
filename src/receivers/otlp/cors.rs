//! Cross-origin resource sharing: which web pages may send telemetry from a browser.
//!
//! ```yaml
//! cors:
//!   allowed_origins: [https://app.example, "https://*.example"]   # `*` stands for any text
//!   allowed_headers: [x-tenant]   # beside accept, content-type and x-requested-with; or "*"
//!   exposed_headers: []
//!   max_age: 7200                 # seconds for which a browser needn't ask again
//! ```
//!
//! Without `allowed_origins` no header of it is sent. It restricts only browsers, which obey it;
//! to authenticate senders, use `auth`.

use bytes::Bytes;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName,
    HeaderValue, ORIGIN, VARY,
};
use hyper::{Method, Response, StatusCode};

use crate::component::{Body, full_body};
use crate::yaml::{FromValue, PlacedNode};

/// Headers that a page may always send; JSON needs `content-type`.
const ALWAYS: [&str; 3] = ["accept", "content-type", "x-requested-with"];

/// The configuration of `cors`, with at least one allowed origin.
#[derive(Debug, Clone)]
pub(super) struct Cors {
    origins: Vec<Pattern>,
    headers: AllowedHeaders,
    /// The value of `Access-Control-Expose-Headers`; `None` exposes only those that browsers
    /// consider safe.
    exposed: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
}

#[derive(Debug, Clone)]
enum AllowedHeaders {
    Any,
    These(Vec<HeaderName>),
}

/// An allowed origin in lower case, or the texts before and after its `*`.
#[derive(Debug, Clone)]
enum Pattern {
    Any,
    Exactly(String),
    Between(String, String),
}

impl Cors {
    /// Answers a preflight request; `None` if the request isn't one.
    pub(super) fn preflight(&self, method: &Method, asked: &HeaderMap) -> Option<Response<Body>> {
        if method != Method::OPTIONS || !asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            return None;
        }
        let mut response = Response::new(full_body(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        headers.insert(
            VARY,
            HeaderValue::from_static(
                "origin, access-control-request-method, access-control-request-headers",
            ),
        );
        let wanted = asked.get(ACCESS_CONTROL_REQUEST_HEADERS);
        let posts =
            asked.get(ACCESS_CONTROL_REQUEST_METHOD) == Some(&HeaderValue::from_static("POST"));
        // Without the headers below the browser doesn't send the request, and tells its developer
        // why.
        if !(posts && self.headers.admit(wanted) && self.allow(asked, headers)) {
            return Some(response);
        }
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("POST"),
        );
        if let Some(wanted) = wanted {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
        }
        if let Some(max_age) = &self.max_age {
            headers.insert(ACCESS_CONTROL_MAX_AGE, max_age.clone());
        }
        Some(response)
    }

    /// Adds the headers that let the page read the answer to its request.
    pub(super) fn mark(&self, asked: &HeaderMap, headers: &mut HeaderMap) {
        headers.insert(VARY, HeaderValue::from_static("origin"));
        if self.allow(asked, headers)
            && let Some(exposed) = &self.exposed
        {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed.clone());
        }
    }

    fn allow(&self, asked: &HeaderMap, headers: &mut HeaderMap) -> bool {
        let Some(origin) = asked.get(ORIGIN) else {
            return false;
        };
        let Some(text) = origin.to_str().ok().map(str::to_ascii_lowercase) else {
            return false;
        };
        if self
            .origins
            .iter()
            .any(|allowed| matches!(allowed, Pattern::Any))
        {
            // With `*` browsers send no credentials along.
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            return true;
        }
        if !self.origins.iter().any(|allowed| allowed.matches(&text)) {
            return false;
        }
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        true
    }
}

impl AllowedHeaders {
    fn admit(&self, wanted: Option<&HeaderValue>) -> bool {
        let (Self::These(allowed), Some(wanted)) = (self, wanted) else {
            return true;
        };
        let Ok(wanted) = wanted.to_str() else {
            return false;
        };
        wanted.split(',').map(str::trim).all(|name| {
            ALWAYS
                .iter()
                .any(|always| always.eq_ignore_ascii_case(name))
                || allowed
                    .iter()
                    .any(|allowed| allowed.as_str().eq_ignore_ascii_case(name))
        })
    }
}

impl Pattern {
    fn matches(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(text) => origin == text,
            Self::Between(before, after) => {
                origin.len() >= before.len() + after.len()
                    && origin.starts_with(before)
                    && origin.ends_with(after)
            }
        }
    }
}

impl FromValue for Pattern {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let text = value.read::<String>()?.to_ascii_lowercase();
        match text.split_once('*') {
            _ if text == "*" => Some(Self::Any),
            None => Some(Self::Exactly(text)),
            Some((_, after)) if after.contains('*') => {
                value.error("an origin has one `*` at the most")
            }
            Some((before, after)) => Some(Self::Between(before.to_owned(), after.to_owned())),
        }
    }
}

/// A header name, or `None` for `*`.
struct Name(Option<HeaderName>);

impl FromValue for Name {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.read::<String>()?.as_str() {
            "*" => Some(Self(None)),
            text => match HeaderName::from_bytes(text.as_bytes()) {
                Ok(name) => Some(Self(Some(name))),
                Err(_) => value.error(format_args!("`{text}` is no header name")),
            },
        }
    }
}

/// The value of `cors`; `None` if no origin is allowed.
pub(super) struct CorsKey(pub(super) Option<Cors>);

impl FromValue for CorsKey {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let origins: Vec<Pattern> = fields.or("allowed_origins", Vec::new());
        let allowed: Vec<Name> = fields.or("allowed_headers", Vec::new());
        let exposed: Vec<Name> = fields.or("exposed_headers", Vec::new());
        let max_age: u64 = fields.or("max_age", 0);
        fields.finish();
        if origins.is_empty() {
            return Some(Self(None));
        }
        let these: Option<Vec<HeaderName>> = allowed.into_iter().map(|Name(name)| name).collect();
        let exposed: Vec<String> = exposed
            .into_iter()
            .map(|Name(name)| name.map_or_else(|| "*".to_owned(), |name| name.to_string()))
            .collect();
        Some(Self(Some(Cors {
            origins,
            headers: these.map_or(AllowedHeaders::Any, AllowedHeaders::These),
            exposed: HeaderValue::try_from(exposed.join(", "))
                .ok()
                .filter(|value| !value.is_empty()),
            max_age: (max_age > 0).then(|| HeaderValue::from(max_age)),
        })))
    }
}

#[cfg(test)]
mod tests;
