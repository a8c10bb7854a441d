//! Decides by the `authorization` header whether a request is answered at all.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq as _;

use crate::settings::AuthConfig;
use crate::yaml::Secret;

/// What a client must present, ready to be compared.
#[derive(Debug)]
pub struct Credentials {
    scheme: &'static str,
    /// What follows the scheme.
    expected: Secret,
}

impl Credentials {
    /// Reads them, from a file where the configuration says so.
    ///
    /// # Errors
    ///
    /// When the file can't be read or holds no token. The message names it.
    pub fn load(config: &AuthConfig) -> Result<Self, String> {
        match config {
            AuthConfig::BearerToken(token) => Ok(Self {
                scheme: "Bearer",
                expected: token.clone(),
            }),
            AuthConfig::BearerTokenFile(path) => {
                let at = path.display();
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("bearer_token_file: {at}: {error}"))?;
                match text.lines().next().map(str::trim) {
                    Some(token) if !token.is_empty() => Ok(Self {
                        scheme: "Bearer",
                        expected: Secret::new(token),
                    }),
                    _ => Err(format!("bearer_token_file: {at}: the first line is empty")),
                }
            }
            AuthConfig::Basic { username, password } => Ok(Self {
                scheme: "Basic",
                expected: Secret::new(
                    BASE64_STANDARD.encode(format!("{username}:{}", password.expose())),
                ),
            }),
        }
    }

    /// Whether the headers carry them. Takes the same time wherever a wrong value differs;
    /// only its length can be told.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(value) = headers.get(AUTHORIZATION) else {
            return false;
        };
        let value = value.as_bytes();
        let Some((scheme, rest)) = value.split_at_checked(self.scheme.len()) else {
            return false;
        };
        scheme.eq_ignore_ascii_case(self.scheme.as_bytes())
            && rest.starts_with(b" ")
            && bool::from(rest.trim_ascii().ct_eq(self.expected.expose().as_bytes()))
    }

    /// The value of `www-authenticate` for a request without them.
    pub fn challenge(&self) -> &'static str {
        match self.scheme {
            "Basic" => "Basic realm=\"foghorn\", charset=\"UTF-8\"",
            _ => "Bearer realm=\"foghorn\"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())])
    }

    #[test]
    fn only_the_very_token_is_admitted() {
        let credentials =
            Credentials::load(&AuthConfig::BearerToken(Secret::new("s3cret"))).unwrap();
        let f = |value: &str, expected: bool| {
            assert_eq!(credentials.admit(&headers(value)), expected, "{value}");
        };
        f("Bearer s3cret", true);
        f("bearer  s3cret", true);
        f("Bearer s3creT", false);
        f("Bearer s3cre", false);
        f("Bearer s3cret2", false);
        f("Bearer", false);
        f("Bearers3cret", false);
        f("Basic s3cret", false);
        f("", false);
        assert!(!credentials.admit(&HeaderMap::new()));
    }

    #[test]
    fn basic_compares_name_and_password() {
        let credentials = Credentials::load(&AuthConfig::Basic {
            username: "Aladdin".to_owned(),
            password: Secret::new("open sesame"),
        })
        .unwrap();
        // The example of RFC 7617.
        assert!(credentials.admit(&headers("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")));
        assert!(!credentials.admit(&headers("Basic QWxhZGRpbjpvcGVuIHNlc2FtZA==")));
    }

    #[test]
    fn a_token_file_is_read_by_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let load = || Credentials::load(&AuthConfig::BearerTokenFile(path.clone()));
        assert!(load().unwrap_err().starts_with("bearer_token_file: "));
        std::fs::write(&path, "\n").unwrap();
        assert!(load().unwrap_err().ends_with("the first line is empty"));
        std::fs::write(&path, "abc\n").unwrap();
        assert!(load().unwrap().admit(&headers("Bearer abc")));
    }

    #[test]
    fn credentials_never_print_what_they_expect() {
        let credentials = Credentials::load(&AuthConfig::BearerToken(Secret::new("s3cret")));
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }
}
