//! Connects through an HTTP proxy.
//!
//! A proxy is asked for a tunnel to the destination (CONNECT), in which TLS and HTTP run as they
//! would without it. An `http` URL needs none: there the request itself goes to the proxy.
//!
//! `hyper_util` has such a tunnel too. It was rejected: it reads the proxy's answer into a buffer
//! and drops the bytes after it, which without TLS are the destination's first frame; and its
//! errors don't say what the proxy answered.

use std::fmt;
use std::io;

use hyper::Uri;
use hyper::header::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest head of a proxy's answer, in bytes.
const LONGEST_HEAD: usize = 8192;

/// A proxy. Its password is never shown.
#[derive(Clone)]
pub struct Proxy {
    /// Its host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection to the proxy itself uses TLS.
    pub tls: bool,
    /// The value of `Proxy-Authorization`, if the proxy's URL has credentials.
    pub authorization: Option<HeaderValue>,
}

/// Why a proxy gave no tunnel.
#[derive(Debug, thiserror::Error)]
pub enum ProxyError {
    /// It refused, or its answer isn't HTTP. The answer isn't shown here, since it may quote the
    /// password.
    #[error("the proxy gives no tunnel")]
    Refused {
        /// The first line of its answer.
        answer: String,
    },
    /// Its answer is longer than 8 KiB.
    #[error("the proxy's answer has no end")]
    Endless,
    /// The connection failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its URL can't be used.
    #[error(transparent)]
    Unknown(#[from] UnknownProxy),
}

/// The scheme of a proxy's URL is neither `http` nor `https`, or it has no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a proxy is the URL of a host with http:// or https://")]
pub struct UnknownProxy;

/// A variable of the environment that names a proxy. Its value may have a password and isn't shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0} isn't the URL of a host with http:// or https://")]
pub struct UnknownVariable(&'static str);

/// The variables that name proxies, in both spellings.
const VARIABLES: [[&str; 2]; 3] = [
    ["ALL_PROXY", "all_proxy"],
    ["HTTP_PROXY", "http_proxy"],
    ["HTTPS_PROXY", "https_proxy"],
];

/// The proxies that the environment names. The library would take one that it can't read for none,
/// and requests would go past the proxy without a word.
///
/// # Errors
///
/// When a variable names something that is no usable proxy.
pub fn proxies_of_environment() -> Result<Matcher, UnknownVariable> {
    check(|name| std::env::var(name).ok())?;
    Ok(Matcher::from_env())
}

/// Looks at the variables as the library does: the first spelling that is set counts.
fn check(variable: impl Fn(&str) -> Option<String>) -> Result<(), UnknownVariable> {
    for names in VARIABLES {
        let set = names
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)));
        if let Some((name, value)) = set.filter(|(_, value)| !value.is_empty())
            && !is_usable(&value)
        {
            return Err(UnknownVariable(name));
        }
    }
    Ok(())
}

/// Whether requests would go through the proxy of this URL.
pub fn is_usable(url: &str) -> bool {
    let matcher = Matcher::builder().all(url).build();
    let anywhere = Uri::from_static("http://anywhere.invalid/");
    matches!(Proxy::of(&matcher, &anywhere), Ok(Some(_)))
}

impl Proxy {
    /// The proxy for a destination; `None` if it is reached directly.
    ///
    /// # Errors
    ///
    /// When the URL of the proxy can't be used.
    pub fn of(matcher: &Matcher, destination: &Uri) -> Result<Option<Self>, UnknownProxy> {
        let Some(found) = matcher.intercept(destination) else {
            return Ok(None);
        };
        let uri = found.uri();
        let (tls, default_port) = match uri.scheme_str() {
            Some("http") => (false, 80),
            Some("https") => (true, 443),
            _ => return Err(UnknownProxy),
        };
        let host = host_of(uri).ok_or(UnknownProxy)?;
        Ok(Some(Self {
            host: host.to_owned(),
            port: uri.port_u16().unwrap_or(default_port),
            tls,
            authorization: found.basic_auth().cloned(),
        }))
    }

    /// Asks for a tunnel to a destination, `host:port`, over a connection to the proxy.
    ///
    /// # Errors
    ///
    /// When the proxy refuses, or its answer isn't HTTP.
    pub async fn tunnel<S>(&self, stream: &mut S, target: &str) -> Result<(), ProxyError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization.as_bytes());
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        stream.write_all(&request).await?;
        stream.flush().await?;

        // Read byte by byte, since bytes after the head belong to the destination.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= LONGEST_HEAD {
                return Err(ProxyError::Endless);
            }
            head.push(stream.read_u8().await?);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        match (words.next(), words.next()) {
            (Some(version), Some([b'2', _, _])) if version.starts_with(b"HTTP/1.") => Ok(()),
            _ => Err(ProxyError::Refused {
                answer: String::from_utf8_lossy(line).into_owned(),
            }),
        }
    }
}

/// The host of a URI; an IPv6 address without brackets.
pub(super) fn host_of(uri: &Uri) -> Option<&str> {
    let host = uri.host()?;
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    Some(inner.unwrap_or(host)).filter(|host| !host.is_empty())
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    fn matcher(proxy: &str) -> Matcher {
        Matcher::builder().all(proxy).no("quiet.example").build()
    }

    #[test]
    fn the_url_of_a_proxy_says_where_it_is() {
        let f = |proxy: &str, destination: &'static str, expected: Option<(&str, u16, bool)>| {
            let destination = Uri::from_static(destination);
            let found = Proxy::of(&matcher(proxy), &destination).unwrap();
            let found = found.as_ref().map(|p| (&*p.host, p.port, p.tls));
            assert_eq!(found, expected, "{destination}");
        };
        let (proxy, target) = ("http://proxy.example:3128", "https://fog.example");
        f(proxy, target, Some(("proxy.example", 3128, false)));
        f(
            proxy,
            "http://10.0.0.1:4318",
            Some(("proxy.example", 3128, false)),
        );
        f(proxy, "https://quiet.example:4317", None);
        f(
            "http://proxy.example",
            target,
            Some(("proxy.example", 80, false)),
        );
        f(
            "https://proxy.example",
            target,
            Some(("proxy.example", 443, true)),
        );
        f("http://[::1]:3128", target, Some(("::1", 3128, false)));
        let destination = Uri::from_static("https://fog.example");
        let found = Proxy::of(&matcher("socks5://proxy.example"), &destination);
        assert_eq!(found.err(), Some(UnknownProxy));
    }

    #[test]
    fn a_variable_that_names_no_usable_proxy_is_told_and_never_ignored() {
        let f = |set: &[(&str, &str)], expected: Option<&'static str>| {
            let variable = |name: &str| {
                let found = set.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            };
            let found = check(variable).err();
            assert_eq!(found, expected.map(UnknownVariable), "{set:?}");
        };
        f(&[], None);
        f(&[("HTTP_PROXY", "")], None);
        f(&[("HTTP_PROXY", "proxy.example:3128")], None);
        f(&[("https_proxy", "HTTPS://proxy.example")], None);
        f(&[("ALL_PROXY", "http://pr oxy")], Some("ALL_PROXY"));
        f(
            &[("all_proxy", "socks5://proxy.example")],
            Some("all_proxy"),
        );
        f(
            &[("HTTPS_PROXY", "ftp://proxy.example")],
            Some("HTTPS_PROXY"),
        );
        // As the library reads them, the first spelling hides the second.
        f(&[("HTTP_PROXY", ""), ("http_proxy", "ftp://x")], None);
    }

    /// The request that a proxy with this answer gets, and the result of the tunnel.
    async fn asked(proxy: &str, answer: &'static [u8]) -> (String, Result<Vec<u8>, ProxyError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(socket.read_u8().await.unwrap());
            }
            socket.write_all(answer).await.unwrap();
            String::from_utf8(request).unwrap()
        });
        let destination = Uri::from_static("https://fog.example:4317");
        let proxy = Proxy::of(&matcher(proxy), &destination).unwrap().unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let outcome = proxy.tunnel(&mut socket, "fog.example:4317").await;
        let mut rest = Vec::new();
        let outcome = match outcome {
            Ok(()) => Ok(socket.read_to_end(&mut rest).await.map(|_| rest).unwrap()),
            Err(error) => Err(error),
        };
        (server.await.unwrap(), outcome)
    }

    #[tokio::test]
    async fn a_tunnel_begins_behind_the_proxys_answer() {
        let (request, outcome) = asked(
            "http://user:secret@proxy.example:3128",
            b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nfrom the destination",
        )
        .await;
        assert_eq!(outcome.unwrap(), b"from the destination");
        assert_eq!(
            request,
            "CONNECT fog.example:4317 HTTP/1.1\r\nHost: fog.example:4317\r\n\
             Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n"
        );
    }

    #[tokio::test]
    async fn a_proxy_that_refuses_or_talks_nonsense_is_an_error_that_says_so() {
        let f = async |answer: &'static [u8], expected: &str| {
            let (_, outcome) = asked("http://we:hunter2@proxy.example:1", answer).await;
            let message = match outcome.unwrap_err() {
                ProxyError::Refused { answer } => answer,
                error => error.to_string(),
            };
            assert!(message.contains(expected), "{message}");
        };
        f(b"HTTP/1.1 407 Who are you\r\n\r\n", "407 Who are you").await;
        f(b"SSH-2.0-x\r\n\r\n", "SSH-2.0-x").await;
        f(b"HTTP/1.1 200 never", "end of file").await;
        f(&[b'x'; 10_000], "has no end").await;
        // It may not go on for ever about what it will do.
        f(&[b' '; LONGEST_HEAD], "has no end").await;
    }
}
