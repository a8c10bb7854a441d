//! The keys of [`super::Client`].

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::HeaderValue;

use crate::net::{ClientTls, Renewable};
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode, Secret};

/// What `max_body_size` may be.
const BODY_SIZES: RangeInclusive<ByteSize> = ByteSize(1 << 10)..=ByteSize(1 << 30);

/// How to ask, whatever the URL.
#[derive(Debug, Clone)]
pub struct HttpClientConfig {
    /// `auth`.
    pub auth: Option<ClientAuthConfig>,
    /// `tls`.
    pub tls: ClientTls,
    /// `follow_redirects`.
    pub redirects: Redirects,
    /// `max_body_size`, in bytes, decoded.
    pub max_body: u64,
}

/// Whether a redirect is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// A redirect is a failure.
    None,
    /// Where it stays with the scheme, host and port that were asked.
    SameOrigin,
}

/// Who we are.
#[derive(Debug, Clone)]
pub enum ClientAuthConfig {
    /// `Authorization: Bearer`.
    Bearer(Credential),
    /// `Authorization: Basic`.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: Credential,
    },
}

/// A secret, or the file that holds it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// Written in the configuration.
    Inline(Secret),
    /// In a file, without the white space around it.
    File(PathBuf),
}

impl HttpClientConfig {
    /// Reads the client's keys among a receiver's own.
    pub fn from_fields(fields: &mut Fields<'_>) -> Self {
        let default = Self::default();
        Self {
            auth: fields.optional("auth"),
            tls: fields.or("tls", default.tls),
            redirects: fields.or("follow_redirects", default.redirects),
            max_body: fields
                .within("max_body_size", ByteSize(default.max_body), BODY_SIZES)
                .0,
        }
    }
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            auth: None,
            tls: ClientTls::default(),
            redirects: Redirects::None,
            max_body: 10 << 20,
        }
    }
}

impl ClientAuthConfig {
    /// The value of the `Authorization` header. Files are looked at for every request, since
    /// tokens are rotated; one that can't be read is used as it was, and the server tells
    /// when it has expired.
    pub(super) fn authorization(&self) -> anyhow::Result<Renewable<HeaderValue>> {
        let (Self::Bearer(credential)
        | Self::Basic {
            password: credential,
            ..
        }) = self;
        let files = match credential {
            Credential::Inline(_) => Vec::new(),
            Credential::File(path) => vec![path.clone()],
        };
        let config = self.clone();
        Renewable::new(files, Some(Duration::ZERO), move || config.header())
    }

    fn header(&self) -> anyhow::Result<HeaderValue> {
        let text = match self {
            Self::Bearer(token) => format!("Bearer {}", token.read()?.expose()),
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.read()?.expose());
                format!("Basic {}", STANDARD.encode(pair))
            }
        };
        let mut header = HeaderValue::try_from(text)
            .map_err(|_| anyhow::anyhow!("the credential can't stand in an HTTP header"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl Credential {
    fn read(&self) -> anyhow::Result<Secret> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("can't read the credential {}", path.display()))?;
                Ok(Secret::new(text.trim()))
            }
        }
    }

    /// Reads `key` or `key_file`, of which one may be written.
    fn from_fields(
        fields: &mut Fields<'_>,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<Self> {
        let inline = fields.optional(key).map(Self::Inline);
        let file = fields.optional(file_key).map(Self::File);
        if inline.is_some() && file.is_some() {
            fields.map().error::<()>(format_args!(
                "`{key}` and `{file_key}` are both set: keep one"
            ));
        }
        inline.or(file)
    }
}

/// Reads an `http` or `https` URL without credentials, query and fragment, and gives it
/// back with the text as it was written.
pub fn parse_endpoint(value: &PlacedNode<'_>) -> Option<(String, Url)> {
    const WANTED: &str = "a URL such as http://localhost:9000";
    let text: String = value.read()?;
    let Ok(url) = Url::parse(&text) else {
        return value.error(format_args!("expected {WANTED}, found `{text}`"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The message must not show them.
        return value.error("credentials don't belong in a URL: use `auth`");
    }
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return value.error(format_args!("expected {WANTED}, found `{text}`"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return value.error(format_args!(
            "expected a URL without query and fragment, found `{text}`"
        ));
    }
    Some((text, url))
}

impl FromValue for Redirects {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("none") => Some(Self::None),
            Some("same_origin") => Some(Self::SameOrigin),
            _ => value.error("expected none or same_origin"),
        }
    }
}

impl FromValue for ClientAuthConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let bearer = Credential::from_fields(&mut fields, "bearer_token", "bearer_token_file");
        let basic = fields.value("basic").filter(|value| !value.is_null());
        fields.finish();
        let basic = match basic {
            // What is wrong with it has been said.
            Some(basic) => Some(basic.read::<BasicAuth>()?),
            None => None,
        };
        match (bearer, basic) {
            (Some(token), None) => Some(Self::Bearer(token)),
            (None, Some(BasicAuth(username, password))) => Some(Self::Basic { username, password }),
            (Some(_), Some(_)) => value.error("both a bearer token and basic are set: keep one"),
            (None, None) => {
                value.error("set bearer_token, bearer_token_file or basic: {username, password}")
            }
        }
    }
}

struct BasicAuth(String, Credential);

impl FromValue for BasicAuth {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let username: Option<String> = fields.required("username");
        let password = Credential::from_fields(&mut fields, "password", "password_file");
        fields.finish();
        let Some(password) = password else {
            return value.error("`password` or `password_file` is missing");
        };
        Some(Self(username?, password))
    }
}
