//! Peers' texts without the secrets of the requests that they answer.
//!
//! A peer that refuses a request may quote it: the value of a header, the user and password that
//! it decoded from one, the URL with its query. A proxy may do the same with its own credentials.
//! These texts come with the status, in the body, in the debug data of a connection that HTTP/2
//! ends, and some are escaped for JSON or HTML.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_PAD_INDIFFERENT;
use hyper::Uri;
use hyper::header::HeaderMap;
use hyper_util::client::proxy::matcher::Matcher;
use percent_encoding::percent_decode_str;

use crate::component::ExportError;
use crate::yaml::Secret;

/// How much of a peer's text is shown, in characters.
const MAX_SHOWN: usize = 200;

/// The shortest secret. Shorter texts occur by chance within other words.
const SHORTEST: usize = 4;

/// The shortest part of a secret that is a secret of its own. It is longer than `Bearer` and
/// other words that stand in many headers.
const SHORTEST_PART: usize = 8;

/// The secrets of every request of an exporter.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Takes every header value, and of values such as `Bearer x` also the last word.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut secrets = Self::default();
        for value in headers.values() {
            secrets.credentials(value.as_bytes());
        }
        secrets.sorted()
    }

    /// Adds what the requests to a URL carry beside the headers: its query, and the credentials
    /// of the proxy that they go through.
    pub(super) fn and_of_url(mut self, url: &Uri, proxies: &Matcher) -> Self {
        if let Some(query) = url.query() {
            self.text(query);
            for pair in query.split('&') {
                let value = pair.split_once('=').map_or(pair, |(_, value)| value);
                self.text(value);
                self.text(&percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy());
            }
        }
        let proxy = proxies.intercept(url);
        if let Some(authorization) = proxy.as_ref().and_then(|proxy| proxy.basic_auth()) {
            self.credentials(authorization.as_bytes());
        }
        self.sorted()
    }

    /// Adds the credentials of a proxy, as the value of a header.
    pub(super) fn and_credentials(mut self, authorization: &[u8]) -> Self {
        self.credentials(authorization);
        self.sorted()
    }

    fn redact(&self, mut text: String) -> String {
        for secret in &self.0 {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "[redacted]");
            }
        }
        text
    }

    /// Replaces the secrets in the message of an error.
    pub(super) fn redacted(&self, error: ExportError) -> ExportError {
        ExportError {
            message: self.redact(error.message),
            ..error
        }
    }

    /// Makes a peer's text fit for the log: one line, short, with secrets replaced.
    pub(super) fn shorten(&self, text: &str) -> String {
        let text = self.redact(text.to_owned());
        let mut shown = String::new();
        let mut characters = text.chars();
        for c in characters.by_ref().take(MAX_SHOWN) {
            match c {
                c if c.is_control() || is_invisible(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        if characters.next().is_some() {
            shown.push_str("...");
        }
        shown
    }

    /// Adds the value of a header. Of `Basic`, it also adds the decoded user and password.
    fn credentials(&mut self, value: &[u8]) {
        let Ok(value) = std::str::from_utf8(value) else {
            return;
        };
        self.text(value);
        let Some((scheme, encoded)) = value.split_once(' ') else {
            return;
        };
        let decoded = STANDARD_PAD_INDIFFERENT.decode(encoded.trim()).ok();
        let pair = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
        if let Some(pair) = pair.filter(|_| scheme.eq_ignore_ascii_case("basic")) {
            self.text(&pair);
            if let Some((_, password)) = pair.split_once(':') {
                self.text(password);
            }
        }
    }

    /// Adds a text, its last word, and its long parts between the characters that JSON, HTML and
    /// URLs escape, since an escaped text doesn't contain the whole.
    fn text(&mut self, text: &str) {
        let is_escaped = |c: char| !c.is_alphanumeric() && !"-_.~!*".contains(c);
        let last_word = text.rsplit(' ').next().unwrap_or(text);
        let parts = text.split(is_escaped).filter(|p| p.len() >= SHORTEST_PART);
        let found = [text, last_word].into_iter().chain(parts);
        self.0
            .extend(found.filter(|text| text.len() >= SHORTEST).map(Secret::new));
    }

    /// The longest first, so that the replacement of a part doesn't hide the whole.
    fn sorted(mut self) -> Self {
        let by_length = |secret: &Secret| std::cmp::Reverse(secret.expose().len());
        self.0.sort_by_key(by_length);
        self.0.dedup();
        self
    }
}

/// Characters that a terminal acts on without showing them: marks of direction, joiners, line
/// separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use hyper::header::{AUTHORIZATION, COOKIE, HeaderValue};

    use super::*;

    fn secrets() -> Secrets {
        let header = |text| HeaderValue::from_static(text);
        let headers = HeaderMap::from_iter([
            // me:open sesame
            (AUTHORIZATION, header("Basic bWU6b3BlbiBzZXNhbWU=")),
            (COOKIE, header("session=\"4f00b8c1\"; theme=dark")),
        ]);
        let proxies = Matcher::builder().all("http://we:h%21dden@127.0.0.1:3128");
        let url = Uri::from_static("http://127.0.0.1:9/v1/logs?key=s3%2Fcret&tenant=a");
        Secrets::of(&headers).and_of_url(&url, &proxies.build())
    }

    #[test]
    fn what_a_peer_quotes_of_a_request_is_redacted_in_every_form() {
        let f = |text: &str, expected: &str| assert_eq!(secrets().shorten(text), expected);
        f("bad Basic bWU6b3BlbiBzZXNhbWU=", "bad [redacted]");
        f("bad me:open sesame", "bad [redacted]");
        f("`open sesame` is wrong", "`[redacted]` is wrong");
        f(
            r#"no {"session":"4f00b8c1"}"#,
            r#"no {"session":"[redacted]"}"#,
        );
        f("no &quot;4f00b8c1&quot;", "no &quot;[redacted]&quot;");
        f(
            "GET /v1/logs?key=s3%2Fcret&tenant=a",
            "GET /v1/logs?[redacted]",
        );
        f("key s3%2Fcret", "key [redacted]");
        f("key s3/cret", "key [redacted]");
        // we:h!dden
        f("407 for Basic d2U6aCFkZGVu", "407 for [redacted]");
        f("who is we:h!dden?", "who is [redacted]?");
        f("h!dden", "[redacted]");
        f("tenant a is over its quota", "tenant a is over its quota");
    }

    #[test]
    fn a_text_is_one_short_line() {
        let f = |text: &str, expected: &str| assert_eq!(secrets().shorten(text), expected);
        f("a\nb\u{202e}", "a\\nb\\u{202e}");
        f(&"x".repeat(201), &format!("{}...", "x".repeat(200)));
    }
}
