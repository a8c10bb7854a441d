//! Connects through the HTTP proxy that the environment names.
//!
//! `HTTPS_PROXY` and `NO_PROXY` are read as by the Collector, whether the destination uses TLS or
//! not; loopback never goes through a proxy. The proxy is asked for a tunnel to the destination
//! (CONNECT), in which TLS and HTTP/2 run as they would without it.
//!
//! `hyper_util` has such a tunnel too. It was rejected: it reads the proxy's answer into a buffer
//! and drops the bytes after it, which without TLS are the destination's first frame; and its
//! errors don't say what the proxy answered.

use std::fmt;
use std::io;
use std::net::IpAddr;

use anyhow::{Context, bail};
use hyper::Uri;
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::secrets::Secrets;
use super::target::GrpcEndpoint;

/// The longest head of a proxy's answer, in bytes.
const LONGEST_HEAD: usize = 8192;

/// A proxy. Its password is never shown.
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    /// The value of `Proxy-Authorization`, if the proxy's URL has credentials.
    pub(super) authorization: Option<Vec<u8>>,
}

impl Proxy {
    /// The proxy for a destination; `None` if it is reached directly.
    ///
    /// # Errors
    ///
    /// When the proxy's URL isn't `http://` or has no host.
    pub(super) fn of(matcher: &Matcher, target: &GrpcEndpoint) -> anyhow::Result<Option<Self>> {
        let address: Option<IpAddr> = target.host.parse().ok();
        if target.host == "localhost" || address.is_some_and(|address| address.is_loopback()) {
            return Ok(None);
        }
        let destination: Uri = format!("https://{target}")
            .parse()
            .context("the endpoint is no address for a proxy")?;
        let Some(found) = matcher.intercept(&destination) else {
            return Ok(None);
        };
        let uri = found.uri();
        if uri.scheme_str() != Some("http") {
            bail!("HTTPS_PROXY: gRPC goes through proxies of http:// alone, or use otlp_http");
        }
        let host = uri.host().context("HTTPS_PROXY: the proxy has no host")?;
        Ok(Some(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(80),
            authorization: found.basic_auth().map(|value| value.as_bytes().to_vec()),
        }))
    }

    /// Asks for a tunnel to the destination, over a connection to the proxy.
    ///
    /// # Errors
    ///
    /// When the proxy refuses, or its answer isn't HTTP.
    pub(super) async fn tunnel(
        &self,
        socket: &mut TcpStream,
        target: &GrpcEndpoint,
    ) -> io::Result<()> {
        let mut request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n").into_bytes();
        if let Some(authorization) = &self.authorization {
            request.extend_from_slice(b"Proxy-Authorization: ");
            request.extend_from_slice(authorization);
            request.extend_from_slice(b"\r\n");
        }
        request.extend_from_slice(b"\r\n");
        socket.write_all(&request).await?;

        // Read byte by byte, since bytes after the head belong to the destination.
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() >= LONGEST_HEAD {
                return Err(io::Error::other("the proxy's answer has no end"));
            }
            head.push(socket.read_u8().await?);
        }
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let mut words = line.split(|byte| *byte == b' ');
        match (words.next(), words.next()) {
            (Some(version), Some([b'2', _, _])) if version.starts_with(b"HTTP/1.") => Ok(()),
            _ => {
                let authorization = self.authorization.as_deref().unwrap_or_default();
                let secrets = Secrets::default().and_credentials(authorization);
                let line = secrets.shorten(&String::from_utf8_lossy(line));
                Err(io::Error::other(format!(
                    "the proxy gives no tunnel: {line}"
                )))
            }
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({}:{})", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    fn matcher(proxy: &str) -> Matcher {
        Matcher::builder().https(proxy).no("quiet.example").build()
    }

    #[test]
    fn the_environment_names_a_proxy_for_all_but_loopback_and_exceptions() {
        let f = |proxy: &str, target: &str, expected: Option<(&str, u16)>| {
            let target = GrpcEndpoint::parse(target).unwrap();
            let found = Proxy::of(&matcher(proxy), &target).unwrap();
            let found = found.as_ref().map(|proxy| (&*proxy.host, proxy.port));
            assert_eq!(found, expected, "{target}");
        };
        let proxy = "http://proxy.example:3128";
        f(proxy, "fog.example:4317", Some(("proxy.example", 3128)));
        f(
            proxy,
            "http://fog.example:4317",
            Some(("proxy.example", 3128)),
        );
        f(proxy, "10.0.0.1:4317", Some(("proxy.example", 3128)));
        f(proxy, "quiet.example:4317", None);
        f(proxy, "localhost:4317", None);
        f(proxy, "127.0.0.1:4317", None);
        f(proxy, "[::1]:4317", None);
        f(
            "http://proxy.example",
            "fog.example:1",
            Some(("proxy.example", 80)),
        );
        let target = GrpcEndpoint::parse("fog.example:4317").unwrap();
        assert!(Proxy::of(&matcher("https://proxy.example"), &target).is_err());
    }

    /// The request that a proxy with this answer gets, and the result of the tunnel.
    async fn asked(proxy: &str, answer: &'static [u8]) -> (String, io::Result<Vec<u8>>) {
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
        let target = GrpcEndpoint::parse("fog.example:4317").unwrap();
        let proxy = Proxy::of(&matcher(proxy), &target).unwrap().unwrap();
        let mut socket = TcpStream::connect(address).await.unwrap();
        let outcome = proxy.tunnel(&mut socket, &target).await;
        let mut rest = Vec::new();
        let outcome = match outcome {
            Ok(()) => socket.read_to_end(&mut rest).await.map(|_| rest),
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
        for (answer, expected) in [
            (
                &b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..],
                "407",
            ),
            (b"SSH-2.0-x\r\n\r\n", "no tunnel: SSH"),
            (
                b"HTTP/1.1 407 who is we:hunter2\r\n\r\n",
                "407 who is [redacted]",
            ),
            (b"HTTP/1.1 200 never", "end of file"),
        ] {
            let (_, outcome) = asked("http://we:hunter2@proxy.example:1", answer).await;
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
