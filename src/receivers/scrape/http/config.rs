//! The keys of [`super::Client`].

use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use url::Url;

use crate::net::{ClientTls, Renewable};
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode, Secret};

/// The range of `max_body_size`.
const BODY_SIZES: RangeInclusive<ByteSize> = ByteSize(1 << 10)..=ByteSize(1 << 30);

/// The configuration of a [`super::Client`].
#[derive(Debug, Clone)]
pub struct HttpClientConfig {
    /// `auth`.
    pub auth: Option<ClientAuthConfig>,
    /// `tls`.
    pub tls: ClientTls,
    /// `follow_redirects`.
    pub redirects: Redirects,
    /// `max_body_size`: the largest body after decompression, in bytes.
    pub max_body: u64,
}

/// Whether redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// A redirect is a failed request.
    None,
    /// Up to five redirects are followed, if scheme, host and port stay the same.
    SameOrigin,
}

/// How the client authenticates itself.
#[derive(Debug, Clone)]
pub enum ClientAuthConfig {
    /// `Authorization: Bearer`.
    Bearer(Credential),
    /// `Authorization: Basic`.
    Basic {
        /// The user's name.
        username: String,
        /// The user's password.
        password: Credential,
    },
}

/// A secret, or the path of the file that contains it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The secret, written in the configuration.
    Inline(Secret),
    /// The key of a file with the secret, and its path; white space around the secret is ignored.
    File(&'static str, PathBuf),
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
    /// The value of the `Authorization` header. The file is checked for changes at every request,
    /// since tokens are rotated. If it can't be read, the last token is used; the server will
    /// reject that once it has expired.
    ///
    /// # Errors
    ///
    /// When the file can't be read at the start, or its text can't stand in a header.
    pub(super) fn authorization(&self) -> anyhow::Result<Renewable<HeaderValue>> {
        let (Self::Bearer(credential)
        | Self::Basic {
            password: credential,
            ..
        }) = self;
        let files = match credential {
            Credential::Inline(_) => Vec::new(),
            Credential::File(_, path) => vec![path.clone()],
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
            Self::File(key, path) => {
                let text = fs::read_to_string(path)
                    .with_context(|| format!("auth::{key}: {}", path.display()))?;
                Ok(Secret::new(text.trim()))
            }
        }
    }

    /// Reads `key` or the key of a file, whose path below `auth` is `file_key`; both at once are
    /// an error.
    fn from_fields(
        fields: &mut Fields<'_>,
        key: &'static str,
        file_key: &'static str,
    ) -> Option<Self> {
        let last = file_key.rsplit("::").next().unwrap_or(file_key);
        let inline = fields.optional(key).map(Self::Inline);
        let file = fields.optional(last);
        let file = file.map(|path| Self::File(file_key, path));
        if inline.is_some() && file.is_some() {
            fields
                .map()
                .error::<()>(format_args!("`{key}` and `{last}` are both set: keep one"));
        }
        inline.or(file)
    }
}

/// Reads an `http` or `https` URL without credentials, query and fragment. Returns the text as
/// written, and the URL.
pub fn parse_endpoint(value: &PlacedNode<'_>) -> Option<(String, Url)> {
    const WANTED: &str = "a URL such as http://localhost:9000";
    let text: String = value.read()?;
    let Ok(url) = Url::parse(&text) else {
        return value.error(format_args!("expected {WANTED}, found `{text}`"));
    };
    if !url.username().is_empty() || url.password().is_some() {
        // The message must not quote the credentials.
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
            // An invalid `basic` has been reported by its reader.
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
        let password = Credential::from_fields(&mut fields, "password", "basic::password_file");
        fields.finish();
        let Some(password) = password else {
            return value.error("`password` or `password_file` is missing");
        };
        Some(Self(username?, password))
    }
}
