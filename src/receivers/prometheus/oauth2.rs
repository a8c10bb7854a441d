//! Tokens by OAuth 2's client credentials (RFC 6749, section 4.4).

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::config::{HttpConfig, OAuth2Config};
use crate::net::{ClientTls, Renewable};
use crate::receivers::scrape::FailureReason;
use crate::receivers::scrape::http::{
    Authorize, Client, Credential, FetchRequest, HttpClientConfig,
};
use crate::resilience::{FetchError, Outcome};
use crate::yaml::Secret;

/// The longest answer with a token, in bytes.
const LONGEST: u64 = 1 << 20;

/// How long before its end a token is got anew.
const EARLY: Duration = Duration::from_secs(10);

/// A client by these keys. `timeout` is that of one request.
///
/// # Errors
///
/// When a file that the configuration names can't be read or used.
pub(super) fn client(config: &HttpConfig, timeout: Duration) -> anyhow::Result<Client> {
    let client = Client::new(&config.client, timeout, [])?;
    // Who writes how TLS is spoken has servers that speak it.
    let client = match config.client.tls == ClientTls::default() {
        true => client,
        false => client.prepared_for_tls()?,
    };
    Ok(match &config.oauth2 {
        Some(oauth2) => client.authorized_by(Arc::new(TokenSource::new(oauth2, timeout)?)),
        None => client,
    })
}

/// Gets tokens, and keeps the last one.
struct TokenSource {
    config: OAuth2Config,
    secret: Renewable<Secret>,
    client: Client,
    /// A mutex that may wait: while a token is being got, other requests wait for the same one.
    state: Mutex<TokenState>,
}

#[derive(Default)]
struct TokenState {
    token: Option<KnownToken>,
    /// Whether the server wants the client's credentials in the body.
    in_body: bool,
}

struct KnownToken {
    authorization: HeaderValue,
    /// Until when it is used; `None` if the server didn't say how long it is valid.
    until: Option<Instant>,
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: String,
    #[serde(default)]
    token_type: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl TokenSource {
    fn new(config: &OAuth2Config, timeout: Duration) -> anyhow::Result<Self> {
        let credential = config.client_secret.clone();
        let files: Vec<PathBuf> = match &credential {
            Credential::Inline(_) => Vec::new(),
            Credential::File(_, path) => vec![path.clone()],
        };
        let client = HttpClientConfig {
            max_body: LONGEST,
            ..config.client.clone()
        };
        Ok(Self {
            secret: Renewable::new(files, Some(Duration::ZERO), move || read(&credential))?,
            client: Client::new(&client, timeout, [&config.token_url])?,
            config: config.clone(),
            state: Mutex::default(),
        })
    }

    /// The header with a token that is valid, which is got if need be.
    async fn valid(&self) -> Result<HeaderValue, FetchError> {
        let mut state = self.state.lock().await;
        let now = Instant::now();
        if let Some(token) = &state.token
            && token.until.is_none_or(|until| now < until)
        {
            return Ok(token.authorization.clone());
        }
        let token = match self.ask(state.in_body).await {
            // As Go does it: some servers don't know the header, and others not the body.
            Err(error) if !state.in_body && matches!(error.status, Some(400..=499)) => {
                let token = self.ask(true).await.map_err(|_| error)?;
                state.in_body = true;
                token
            }
            asked => asked?,
        };
        let authorization = token.authorization.clone();
        state.token = Some(token);
        Ok(authorization)
    }

    async fn ask(&self, in_body: bool) -> Result<KnownToken, FetchError> {
        let secret = self.secret.current().await;
        let (form, headers) = self.form(in_body, &secret)?;
        let request = FetchRequest::with(self.config.token_url.clone(), headers.into());
        let answer = self.client.post(&request, form.into()).await;
        let answer = answer.map_err(|error| self.of_token(error))?;
        // Without the parser's message, which may quote the token.
        let answer: TokenAnswer = serde_json::from_slice(&answer.body).map_err(|_| {
            let message = "the answer is no JSON with an access_token";
            self.of_token(FailureReason::Parse.error(message))
        })?;
        let scheme = match answer.token_type.to_ascii_lowercase().as_str() {
            "" | "bearer" => "Bearer",
            "mac" => "MAC",
            "basic" => "Basic",
            _ => &answer.token_type,
        };
        let text = Secret::new(format!("{scheme} {}", answer.access_token));
        let lives = answer.expires_in.filter(|seconds| *seconds > 0.0);
        let lives = lives.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        Ok(KnownToken {
            authorization: header(&text)?,
            until: lives.map(|lives| Instant::now() + lives.saturating_sub(EARLY)),
        })
    }

    /// The form that asks for a token, and its headers.
    fn form(
        &self,
        in_body: bool,
        secret: &Secret,
    ) -> Result<(String, Vec<(HeaderName, HeaderValue)>), FetchError> {
        let id = &self.config.client_id;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "client_credentials");
        if !self.config.scopes.is_empty() {
            form.append_pair("scope", &self.config.scopes.join(" "));
        }
        form.extend_pairs(&self.config.endpoint_params);
        let fixed = |name: HeaderName, value| (name, HeaderValue::from_static(value));
        let mut headers = vec![
            fixed(ACCEPT, "application/json"),
            fixed(CONTENT_TYPE, "application/x-www-form-urlencoded"),
        ];
        if in_body {
            form.append_pair("client_id", id);
            form.append_pair("client_secret", secret.expose());
        } else {
            let encoded = |text: &str| -> String {
                form_urlencoded::byte_serialize(text.as_bytes()).collect()
            };
            let pair = format!("{}:{}", encoded(id), encoded(secret.expose()));
            let text = Secret::new(format!("Basic {}", STANDARD.encode(pair)));
            headers.push((AUTHORIZATION, header(&text)?));
        }
        Ok((form.finish(), headers))
    }

    /// An error of a request for a token. It says nothing about the target that needs one.
    fn of_token(&self, error: FetchError) -> FetchError {
        FetchError {
            outcome: Outcome::Local,
            message: format!("no token from {}: {}", self.config.token_url, error.message),
            ..error
        }
    }
}

impl Authorize for TokenSource {
    fn authorization(&self) -> BoxFuture<'_, Result<HeaderValue, FetchError>> {
        Box::pin(self.valid())
    }

    fn refused(&self, value: &HeaderValue) {
        // Whoever holds the state is getting another token.
        if let Ok(mut state) = self.state.try_lock()
            && state
                .token
                .as_ref()
                .is_some_and(|token| token.authorization == value)
        {
            state.token = None;
        }
    }
}

fn read(credential: &Credential) -> anyhow::Result<Secret> {
    match credential {
        Credential::Inline(secret) => Ok(secret.clone()),
        Credential::File(key, path) => {
            let text = fs::read_to_string(path);
            let text = text.with_context(|| format!("oauth2::{key}: {}", path.display()))?;
            Ok(Secret::new(text.trim()))
        }
    }
}

/// A header that isn't shown.
fn header(text: &Secret) -> Result<HeaderValue, FetchError> {
    let mut header = HeaderValue::try_from(text.expose()).map_err(|_| {
        FetchError::new(
            Outcome::Local,
            "the credentials can't stand in an HTTP header",
        )
    })?;
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests;
