//! The keys of [`super::Client`].

use std::fmt;
use std::fs;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use crate::net::{ClientTls, Renewable, is_usable_proxy, proxies_of_environment};
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode, Secret};

/// The range of `max_body_size`.
const BODY_SIZES: RangeInclusive<ByteSize> = ByteSize(1 << 10)..=ByteSize(1 << 30);

/// What the client calls itself.
const USER_AGENT: &str = concat!("foghorn/", env!("CARGO_PKG_VERSION"));

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
    /// Through which proxy the requests go.
    pub proxy: ClientProxy,
    /// Whether a connection is kept for the next request to the same server.
    pub keeps_connections: bool,
    /// Whether answers may be compressed.
    pub compresses: bool,
    /// The value of `User-Agent`.
    pub user_agent: HeaderValue,
}

/// Through which proxy requests go. Its password is never shown.
#[derive(Clone, Default)]
pub enum ClientProxy {
    /// None, whatever the environment says.
    #[default]
    None,
    /// What the environment names.
    Environment,
    /// This one, made by [`ClientProxy::through`].
    Url {
        /// Its URL in normal form, which may have a user and a password.
        url: Secret,
        /// The hosts that are asked without it, as `NO_PROXY` lists them.
        except: String,
    },
}

/// Whether redirects are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirects {
    /// A redirect is a failed request.
    None,
    /// Up to five redirects are followed, if scheme, host and port stay the same.
    SameOrigin,
    /// Up to nine redirects are followed wherever they lead, as Prometheus does: after ten requests
    /// Go gives up. Credentials go only to the same scheme, host and port, or from `http` to
    /// `https` of the same host, and no further once a redirect has led elsewhere.
    Any,
}

/// How the client authenticates itself.
#[derive(Debug, Clone)]
pub enum ClientAuthConfig {
    /// `Authorization:` with a token.
    Token {
        /// The scheme, such as `Bearer`.
        scheme: String,
        /// The token.
        token: Credential,
    },
    /// `Authorization: Basic`.
    Basic {
        /// The user's name.
        username: Credential,
        /// The user's password.
        password: Credential,
    },
}

/// A secret, or the path of the file that contains it.
#[derive(Debug, Clone)]
pub enum Credential {
    /// The secret, written in the configuration.
    Inline(Secret),
    /// The path of the key that names a file with the secret, and the file's path; white space
    /// around the secret is ignored.
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
            ..default
        }
    }
}

impl ClientProxy {
    /// The proxy of this URL, as Prometheus reads it; `None` if no request would go through it.
    pub fn through(url: &Secret, except: String) -> Option<Self> {
        // In the form that every reader understands: no capitals, names in ASCII.
        let url = Url::parse(url.expose()).ok()?;
        let is_usable = matches!(url.scheme(), "http" | "https") && is_usable_proxy(url.as_str());
        let url = Secret::new(url.as_str());
        is_usable.then_some(Self::Url { url, except })
    }

    /// # Errors
    ///
    /// When the environment names a proxy that can't be used.
    pub(super) fn matcher(&self) -> anyhow::Result<Option<Arc<Matcher>>> {
        Ok(match self {
            Self::None => None,
            Self::Environment => Some(Arc::new(proxies_of_environment()?)),
            Self::Url { url, except } => {
                let matcher = Matcher::builder().all(url.expose()).no(except.clone());
                Some(Arc::new(matcher.build()))
            }
        })
    }

    /// Whether a connection to the proxy itself may use TLS.
    pub(super) fn is_secure(&self) -> bool {
        match self {
            Self::None => false,
            Self::Environment => true,
            Self::Url { url, .. } => url.expose().starts_with("https"),
        }
    }
}

impl fmt::Debug for ClientProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Environment => "Environment",
            Self::Url { .. } => "Url",
        })
    }
}

impl Redirects {
    /// The most that one request follows.
    pub(super) fn most(self) -> usize {
        match self {
            Self::None => 0,
            Self::SameOrigin => 5,
            Self::Any => 9,
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
            proxy: ClientProxy::None,
            keeps_connections: false,
            compresses: true,
            user_agent: HeaderValue::from_static(USER_AGENT),
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
        let credentials = match self {
            Self::Token { token, .. } => [Some(token), None],
            Self::Basic { username, password } => [Some(username), Some(password)],
        };
        let files = credentials
            .into_iter()
            .flatten()
            .filter_map(Credential::path);
        let config = self.clone();
        Renewable::new(files.collect(), Some(Duration::ZERO), move || {
            config.header()
        })
    }

    fn header(&self) -> anyhow::Result<HeaderValue> {
        let text = match self {
            Self::Token { scheme, token } => format!("{scheme} {}", token.read()?.expose()),
            Self::Basic { username, password } => {
                let (username, password) = (username.read()?, password.read()?);
                let pair = format!("{}:{}", username.expose(), password.expose());
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
                    .with_context(|| format!("{key}: {}", path.display()))?;
                Ok(Secret::new(text.trim()))
            }
        }
    }

    fn path(&self) -> Option<PathBuf> {
        match self {
            Self::Inline(_) => None,
            Self::File(_, path) => Some(path.clone()),
        }
    }

    /// Reads `key` or the key of a file, whose path is `file_key`; both at once are an error.
    pub(super) fn from_fields(
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
        let bearer =
            Credential::from_fields(&mut fields, "bearer_token", "auth::bearer_token_file");
        let basic = fields.value("basic").filter(|value| !value.is_null());
        fields.finish();
        let basic = match basic {
            // An invalid `basic` has been reported by its reader.
            Some(basic) => Some(basic.read::<BasicAuth>()?),
            None => None,
        };
        match (bearer, basic) {
            (Some(token), None) => Some(Self::Token {
                scheme: "Bearer".to_owned(),
                token,
            }),
            (None, Some(BasicAuth(username, password))) => Some(Self::Basic {
                username: Credential::Inline(Secret::new(username)),
                password,
            }),
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
        let password =
            Credential::from_fields(&mut fields, "password", "auth::basic::password_file");
        fields.finish();
        let Some(password) = password else {
            return value.error("`password` or `password_file` is missing");
        };
        Some(Self(username?, password))
    }
}
