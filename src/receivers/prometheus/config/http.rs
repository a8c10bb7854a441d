//! The keys of Prometheus's HTTP client, for targets and for discoveries.
//!
//! ```yaml
//! basic_auth: {username: me, password_file: /run/password}   # one of these three
//! authorization: {type: Bearer, credentials_file: /run/token}
//! oauth2: {client_id: me, client_secret_file: /run/secret, token_url: https://id.example/token}
//! tls_config: {ca_file: /etc/ca.pem}
//! proxy_url: http://proxy.example:3128    # with no_proxy; or proxy_from_environment: true
//! follow_redirects: true     # anywhere, credentials only to the same scheme, host and port, or
//!                            # from http to https of the same host
//! enable_compression: true
//! ```
//!
//! Files are checked for changes at every request. `bearer_token` and `bearer_token_file` are the
//! former form of `authorization`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use url::Url;

use crate::net::ClientTls;
use crate::receivers::scrape::http::{
    ClientAuthConfig, ClientProxy, Credential, HttpClientConfig, Redirects,
};
use crate::yaml::{Fields, FromValue, PlacedNode, Secret, is_empty, is_false};

/// How requests are made.
#[derive(Debug, Clone)]
pub struct HttpConfig {
    /// The client, without `oauth2`.
    pub client: HttpClientConfig,
    /// `oauth2`.
    pub oauth2: Option<Box<OAuth2Config>>,
}

/// `oauth2`: a token by the client's credentials.
#[derive(Debug, Clone)]
pub struct OAuth2Config {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret`, or its file.
    pub client_secret: Credential,
    /// `scopes`.
    pub scopes: Vec<String>,
    /// `token_url`.
    pub token_url: Url,
    /// `endpoint_params`: further parameters of the request for a token.
    pub endpoint_params: BTreeMap<String, String>,
    /// How tokens are requested.
    pub client: HttpClientConfig,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            client: HttpClientConfig {
                redirects: Redirects::Any,
                ..HttpClientConfig::default()
            },
            oauth2: None,
        }
    }
}

/// What proves who asks.
enum Authentication {
    Header(ClientAuthConfig),
    OAuth2(Box<OAuth2Config>),
}

impl HttpConfig {
    /// Reads the client's keys among others. `None` if something is wrong, which has been
    /// reported.
    pub(super) fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let auth = authentication(fields);
        let (tls, proxy) = (tls(fields), proxy(fields));
        let redirects = match fields.or("follow_redirects", true) {
            true => Redirects::Any,
            false => Redirects::None,
        };
        let compresses = fields.or("enable_compression", true);
        fields.without_effect("enable_http2", is_false, "requests use HTTP/1.1");
        let headers = fields.foreign("http_headers");
        if let Some(value) = headers.filter(|value| !is_empty(value)) {
            value.error::<()>("further headers aren't supported");
        }
        let (auth, oauth2) = match auth? {
            None => (None, None),
            Some(Authentication::Header(auth)) => (Some(auth), None),
            Some(Authentication::OAuth2(oauth2)) => (None, Some(oauth2)),
        };
        let client = HttpClientConfig {
            auth,
            tls: tls?,
            redirects,
            proxy: proxy?,
            compresses,
            ..HttpClientConfig::default()
        };
        Some(Self { client, oauth2 })
    }
}

/// `basic_auth`, `authorization`, `oauth2`, and the older `bearer_token`. `None` if something is
/// wrong.
fn authentication(fields: &mut Fields<'_>) -> Option<Option<Authentication>> {
    let mut written = |key| fields.value(key).filter(|value| !value.is_null());
    let basic = written("basic_auth");
    let header = written("authorization");
    let oauth2 = written("oauth2");
    let token = credential(fields, "bearer_token", "bearer_token_file");
    let mut ways: Vec<Option<Authentication>> = Vec::new();
    ways.extend(basic.map(|value| basic_auth(&value).map(Authentication::Header)));
    ways.extend(header.map(|value| authorization(&value).map(Authentication::Header)));
    ways.extend(oauth2.map(|value| oauth2_config(&value).map(Authentication::OAuth2)));
    if ways.len() + usize::from(token.is_some()) > 1 {
        return fields.map().error(
            "of basic_auth, authorization, oauth2 and bearer_token several are set: keep one",
        );
    }
    if let Some(token) = token {
        let scheme = "Bearer".to_owned();
        let auth = ClientAuthConfig::Token { scheme, token };
        return Some(Some(Authentication::Header(auth)));
    }
    match ways.pop() {
        None => Some(None),
        Some(Some(way)) => Some(Some(way)),
        Some(None) => None,
    }
}

fn basic_auth(value: &PlacedNode<'_>) -> Option<ClientAuthConfig> {
    let mut fields = value.fields()?;
    let username = credential(&mut fields, "username", "username_file");
    let password = credential(&mut fields, "password", "password_file");
    no_references(&mut fields, &["username_ref", "password_ref"]);
    fields.finish();
    Some(ClientAuthConfig::Basic {
        username: username.unwrap_or_else(nothing),
        password: password.unwrap_or_else(nothing),
    })
}

fn authorization(value: &PlacedNode<'_>) -> Option<ClientAuthConfig> {
    let mut fields = value.fields()?;
    let scheme = fields.value("type").filter(|value| !value.is_null());
    let credentials = credential(&mut fields, "credentials", "credentials_file");
    no_references(&mut fields, &["credentials_ref"]);
    fields.finish();
    let text = match &scheme {
        Some(scheme) => scheme.read::<String>()?,
        None => String::new(),
    };
    let scheme = match text.trim() {
        "" => "Bearer",
        text => text,
    };
    if scheme.eq_ignore_ascii_case("basic") {
        return value.error("use basic_auth for names and passwords");
    }
    Some(ClientAuthConfig::Token {
        scheme: scheme.to_owned(),
        token: credentials.unwrap_or_else(nothing),
    })
}

fn oauth2_config(value: &PlacedNode<'_>) -> Option<Box<OAuth2Config>> {
    let mut fields = value.fields()?;
    let client_id: Option<String> = fields.required("client_id");
    let client_secret = credential(&mut fields, "client_secret", "client_secret_file");
    let token_url = fields.value("token_url").filter(|value| !value.is_null());
    let scopes = fields.or("scopes", Vec::new());
    let endpoint_params = fields.or("endpoint_params", BTreeMap::new());
    let (tls, proxy) = (tls(&mut fields), proxy(&mut fields));
    no_references(&mut fields, &["client_secret_ref"]);
    let grant = fields.value("grant_type").filter(|value| !value.is_null());
    if let Some(grant) = grant.filter(|grant| grant.text() != Some("")) {
        grant.choice(&[("client_credentials", ())])?;
    }
    for key in [
        "client_certificate_key_id",
        "client_certificate_key",
        "client_certificate_key_file",
        "client_certificate_key_ref",
        "signature_algorithm",
        "iss",
        "audience",
        "claims",
    ] {
        if let Some(value) = fields.foreign(key).filter(|value| !is_empty(value)) {
            value.error::<()>("tokens are got by client_id and client_secret alone");
        }
    }
    fields.finish();
    let Some(token_url) = token_url else {
        return value.error("`token_url` is missing");
    };
    Some(Box::new(OAuth2Config {
        client_id: client_id?,
        client_secret: client_secret.unwrap_or_else(nothing),
        scopes,
        token_url: http_url(&token_url)?,
        endpoint_params,
        client: HttpClientConfig {
            tls: tls?,
            proxy: proxy?,
            ..HttpClientConfig::default()
        },
    }))
}

fn tls(fields: &mut Fields<'_>) -> Option<ClientTls> {
    match fields.value("tls_config").filter(|value| !value.is_null()) {
        Some(value) => ClientTls::from_tls_config(&value),
        None => Some(ClientTls::default()),
    }
}

/// `proxy_url`, `no_proxy` and `proxy_from_environment`.
fn proxy(fields: &mut Fields<'_>) -> Option<ClientProxy> {
    let mut written = |key| {
        let value = fields.value(key);
        value.filter(|value| !value.is_null() && value.text() != Some(""))
    };
    let (url, except) = (written("proxy_url"), written("no_proxy"));
    let from_environment = fields.or("proxy_from_environment", false);
    let headers = fields.foreign("proxy_connect_header");
    if let Some(value) = headers.filter(|value| !is_empty(value)) {
        value.error::<()>("further headers for the proxy aren't supported");
    }
    match (url, except) {
        (None, Some(except)) => except.error("no_proxy needs proxy_url"),
        (Some(url), _) if from_environment => {
            url.error("proxy_url and proxy_from_environment are both set: keep one")
        }
        (Some(value), except) => {
            let text: Secret = value.read()?;
            let except = match except {
                Some(except) => except.read()?,
                None => String::new(),
            };
            ClientProxy::through(&text, except)
                .or_else(|| value.error("a proxy is the URL of a host with http:// or https://"))
        }
        (None, None) if from_environment => Some(ClientProxy::Environment),
        (None, None) => Some(ClientProxy::None),
    }
}

/// Keys that name secrets of a manager, which Prometheus itself has only for programs that embed
/// it.
fn no_references(fields: &mut Fields<'_>, keys: &[&'static str]) {
    for key in keys {
        if let Some(value) = fields.foreign(key).filter(|value| !value.is_null()) {
            value.error::<()>("there is no manager of secrets: use the key of a file");
        }
    }
}

/// Reads an `http` or `https` URL, which may have a query but no credentials.
pub(super) fn http_url(value: &PlacedNode<'_>) -> Option<Url> {
    let text: String = value.read()?;
    let url = Url::parse(&text).ok();
    let Some(url) = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    else {
        return value.error(format_args!(
            "expected a URL such as http://localhost:9000/targets, found {}",
            value.shown()
        ));
    };
    if !url.username().is_empty() || url.password().is_some() {
        return value.error("credentials don't belong in a URL: use `basic_auth`");
    }
    Some(url)
}

/// Reads a key or that of its file. Both at once are an error.
fn credential(
    fields: &mut Fields<'_>,
    key: &'static str,
    file_key: &'static str,
) -> Option<Credential> {
    let mut written = |key| {
        let value = fields.value(key);
        value.filter(|value| !value.is_null() && value.text() != Some(""))
    };
    match (written(key), written(file_key)) {
        (Some(_), Some(file)) => file.error(format_args!(
            "`{key}` and `{file_key}` are both set: keep one"
        )),
        (Some(text), None) => Secret::from_value(&text).map(Credential::Inline),
        (None, Some(path)) => {
            PathBuf::from_value(&path).map(|path| Credential::File(file_key, path))
        }
        (None, None) => None,
    }
}

fn nothing() -> Credential {
    Credential::Inline(Secret::new(""))
}
