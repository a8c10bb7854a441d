//! Checks the `authorization` header of requests.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq as _;

use crate::net::Renewable;
use crate::settings::ListenerAuthConfig;
use crate::yaml::Secret;

/// The credentials that a listener's clients must send.
#[derive(Debug)]
pub struct Credentials {
    scheme: &'static str,
    /// The text after the scheme.
    expected: Renewable<Secret>,
}

impl Credentials {
    /// Reads the credentials. A token file is read again within 10 s of a change.
    ///
    /// # Errors
    ///
    /// When the file can't be read or holds no token. The message names it.
    pub fn load(config: &ListenerAuthConfig) -> anyhow::Result<Self> {
        let written = |secret: Secret| Renewable::new(Vec::new(), None, move || Ok(secret.clone()));
        let (scheme, expected) = match config {
            ListenerAuthConfig::BearerToken(token) => ("Bearer", written(token.clone())),
            ListenerAuthConfig::BearerTokenFile(path) => {
                let file = path.clone();
                let read = move || token_in(&file);
                ("Bearer", Renewable::new(vec![path.clone()], None, read))
            }
            ListenerAuthConfig::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose());
                ("Basic", written(Secret::new(BASE64_STANDARD.encode(pair))))
            }
        };
        Ok(Self {
            scheme,
            expected: expected?,
        })
    }

    /// Whether the headers carry the credentials. How long the comparison takes depends on the
    /// length of the value, but not on where it differs.
    pub async fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return false;
        };
        let value = value.as_bytes();
        let Some((scheme, rest)) = value.split_at_checked(self.scheme.len()) else {
            return false;
        };
        if !scheme.eq_ignore_ascii_case(self.scheme.as_bytes()) || !rest.starts_with(b" ") {
            return false;
        }
        let expected = self.expected.current().await;
        bool::from(rest.trim_ascii().ct_eq(expected.expose().as_bytes()))
    }

    /// The value of `www-authenticate` in the answer to a request without valid credentials.
    pub fn challenge(&self) -> &'static str {
        match self.scheme {
            "Basic" => "Basic realm=\"foghorn\", charset=\"UTF-8\"",
            _ => "Bearer realm=\"foghorn\"",
        }
    }
}

/// Reads the token in the first line of a file.
fn token_in(file: &Path) -> anyhow::Result<Secret> {
    let at = file.display();
    let text = std::fs::read_to_string(file).with_context(|| format!("bearer_token_file: {at}"))?;
    match text.lines().next().map(str::trim) {
        Some(token) if !token.is_empty() => Ok(Secret::new(token)),
        _ => anyhow::bail!("bearer_token_file: {at}: the first line is empty"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[tokio::test]
    async fn only_the_very_token_is_admitted() {
        let credentials =
            Credentials::load(&ListenerAuthConfig::BearerToken(Secret::new("s3cret"))).unwrap();
        let f = async |value: &str, expected: bool| {
            assert_eq!(
                credentials.admit(&headers(value)).await,
                expected,
                "{value}"
            );
        };
        f("Bearer s3cret", true).await;
        f("bearer  s3cret", true).await;
        f("Bearer s3creT", false).await;
        f("Bearer s3cre", false).await;
        f("Bearer s3cret2", false).await;
        f("Bearer", false).await;
        f("Bearers3cret", false).await;
        f("Basic s3cret", false).await;
        f("", false).await;
        assert!(!credentials.admit(&HeaderMap::new()).await);
    }

    #[tokio::test]
    async fn basic_compares_name_and_password() {
        let credentials = Credentials::load(&ListenerAuthConfig::Basic {
            username: "Aladdin".to_owned(),
            password: Secret::new("open sesame"),
        })
        .unwrap();
        // The example of RFC 7617.
        assert!(
            credentials
                .admit(&headers("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="))
                .await
        );
        assert!(
            !credentials
                .admit(&headers("Basic QWxhZGRpbjpvcGVuIHNlc2FtZA=="))
                .await
        );
    }

    #[tokio::test]
    async fn a_token_file_is_read_by_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let load = || Credentials::load(&ListenerAuthConfig::BearerTokenFile(path.clone()));
        assert!(
            load()
                .unwrap_err()
                .to_string()
                .starts_with("bearer_token_file: ")
        );
        std::fs::write(&path, "\n").unwrap();
        assert!(
            load()
                .unwrap_err()
                .to_string()
                .ends_with("the first line is empty")
        );
        std::fs::write(&path, "abc\n").unwrap();
        assert!(load().unwrap().admit(&headers("Bearer abc")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_revoked_token_is_refused_within_ten_seconds() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "old").unwrap();
        let credentials =
            Credentials::load(&ListenerAuthConfig::BearerTokenFile(path.clone())).unwrap();
        assert!(credentials.admit(&headers("Bearer old")).await);
        std::fs::write(&path, "new").unwrap();
        tokio::time::sleep(std::time::Duration::from_secs(9)).await;
        assert!(!credentials.admit(&headers("Bearer old")).await);
        assert!(credentials.admit(&headers("Bearer new")).await);
    }

    #[test]
    fn credentials_never_print_what_they_expect() {
        let credentials =
            Credentials::load(&ListenerAuthConfig::BearerToken(Secret::new("s3cret")));
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
