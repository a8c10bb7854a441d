//! The keys of a listening socket, the same for all listeners.
//!
//! ```yaml
//! endpoint: 0.0.0.0:4317          # also localhost:4317, [::1]:4317, :4317, fog-7:4317
//! tls:
//!   cert_file: /etc/foghorn/server.pem
//!   key_file: /etc/foghorn/server.key
//!   client_ca_file: /etc/foghorn/clients.pem   # clients must show a certificate
//! auth:
//!   bearer_token: ${env:TOKEN}    # or bearer_token_file, or basic: {username, password}
//! ```
//!
//! Without a host, or with `[::]`, it listens on every IPv6 and IPv4 address of the machine; on a
//! machine without IPv6, on 0.0.0.0.
//!
//! A host name is looked up when the configuration is read, and its first address is used. An
//! address that other machines can reach needs TLS and authentication (client certificates count
//! as that), or `allow_insecure_bind: true` if something else protects it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;

use crate::net::ServerTls;
use crate::yaml::{FromValue, PlacedNode, Secret, without_credentials};

/// The address of a listener, and how it is protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// The address; with port 0 the system chooses a free port.
    pub endpoint: SocketAddr,
    /// Allows an address beyond loopback without TLS and authentication.
    pub allow_insecure_bind: bool,
    /// TLS; `None` for plain text.
    pub tls: Option<Box<ServerTls>>,
    /// The credentials that a client must send; `None` if it needs none.
    pub auth: Option<ListenerAuthConfig>,
}

/// What the `authorization` header of a request must contain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenerAuthConfig {
    /// `Bearer` and this token.
    BearerToken(Secret),
    /// `Bearer` and the first line of this file.
    BearerTokenFile(PathBuf),
    /// `Basic` and these in base64.
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: Secret,
    },
}

impl ListenerConfig {
    /// A listener without TLS and authentication.
    pub fn plain(endpoint: SocketAddr) -> Self {
        Self {
            endpoint,
            allow_insecure_bind: false,
            tls: None,
            auth: None,
        }
    }

    /// A listener on a free port of loopback, for tests.
    pub fn ephemeral() -> Self {
        Self::plain(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
    }

    /// Reads the keys of a listener from a map that has other keys as well. `default` replaces an
    /// `endpoint` that isn't written; without a default that is an error.
    pub fn from_fields(
        fields: &mut crate::yaml::Fields<'_>,
        default: Option<SocketAddr>,
    ) -> Option<Self> {
        let endpoint = match default {
            Some(default) => Some(fields.or("endpoint", ListenAddress(default))),
            None => fields.required::<ListenAddress>("endpoint"),
        };
        Self::at(endpoint.map(|ListenAddress(address)| address), fields)
    }

    /// Reads the keys other than the address, for a listener whose address is written
    /// differently. They are read even if `endpoint` is `None`, so that every problem is
    /// reported.
    pub fn at(endpoint: Option<SocketAddr>, fields: &mut crate::yaml::Fields<'_>) -> Option<Self> {
        let allow_insecure_bind = fields.or("allow_insecure_bind", false);
        let tls = fields.value("tls").filter(|value| !value.is_null());
        let auth = fields.value("auth").filter(|value| !value.is_null());
        // Both are read even if one is invalid, so that every problem is reported.
        let tls = tls.map(|value| value.read().map(Box::new));
        let auth = auth.map(|value| value.read::<ListenerAuthConfig>());
        let config = Self {
            endpoint: endpoint?,
            allow_insecure_bind,
            tls: transposed(tls)?,
            auth: transposed(auth)?,
        };
        if config.is_protected() || allow_insecure_bind {
            return Some(config);
        }
        fields.map().error(format_args!(
            "{} is reachable from other machines: listen on 127.0.0.1, configure `tls` and \
             `auth`, or set allow_insecure_bind: true",
            config.endpoint
        ))
    }

    /// Reads an address in the Collector's form, where an empty host means every address, and
    /// looks up a host name.
    pub fn endpoint(value: &PlacedNode<'_>) -> Option<SocketAddr> {
        value.read().map(|ListenAddress(address)| address)
    }

    /// Whether strangers can't use it: the address is loopback, or clients must authenticate over
    /// TLS.
    fn is_protected(&self) -> bool {
        let certificates = self.tls.as_ref().is_some_and(|tls| tls.is_mutual());
        self.endpoint.ip().to_canonical().is_loopback()
            || certificates
            || (self.tls.is_some() && self.auth.is_some())
    }
}

impl FromValue for ListenerConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let config = Self::from_fields(&mut fields, None);
        fields.finish();
        config
    }
}

impl FromValue for ListenerAuthConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        if let Some(authenticator) = fields.foreign("authenticator") {
            return authenticator.error(
                "there are no authenticator extensions: use bearer_token, bearer_token_file or \
                 basic: {username, password}",
            );
        }
        let token = fields.optional("bearer_token").map(Self::BearerToken);
        let file = fields
            .optional("bearer_token_file")
            .map(Self::BearerTokenFile);
        let basic = fields.value("basic").and_then(|value| {
            let mut fields = value.fields()?;
            let username = fields.required::<String>("username");
            let password = fields.required("password");
            fields.finish();
            let (username, password) = (username?, password?);
            // In the header a colon ends the name, so a name with a colon could never match.
            if username.contains(':') {
                return value.error("`username` can't contain a colon");
            }
            Some(Self::Basic { username, password })
        });
        let found: Vec<Self> = [token, file, basic].into_iter().flatten().collect();
        let written = fields.map().entries().map_or(0, |entries| entries.len());
        let map = fields.map().clone();
        fields.finish();
        match <[Self; 1]>::try_from(found) {
            Ok([Self::BearerToken(token)]) if token.expose().is_empty() => {
                map.error("`bearer_token` is empty, which would let everybody in")
            }
            Ok([only]) => Some(only),
            // Invalid values have been reported by their readers.
            Err(found) if found.is_empty() && written > 0 => None,
            Err(_) => map.error(
                "use one of bearer_token, bearer_token_file and basic: {username, password}",
            ),
        }
    }
}

/// An address in the Collector's form, where an empty host means every address.
struct ListenAddress(SocketAddr);

/// The address of a host name or number. Blocks until the name server answers, since a listener
/// needs its address to start.
///
/// # Errors
///
/// When the host has no address, or isn't a valid host.
pub fn address_of(host: &str) -> Result<IpAddr, String> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    if host == "localhost" {
        return Ok(Ipv4Addr::LOCALHOST.into());
    }
    let is_name = host.contains(|c: char| c.is_ascii_alphabetic())
        && host.len() <= 253
        && host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !is_name {
        let host = without_credentials(host);
        return Err(format!("`{host}` is neither an IP address nor a host name"));
    }
    let found = (host, 0).to_socket_addrs();
    let first = found.map(|mut addresses| addresses.next());
    match first {
        Ok(Some(address)) => Ok(address.ip()),
        Ok(None) => Err(format!("no address for the host name `{host}`")),
        Err(error) => Err(format!("no address for the host name `{host}`: {error}")),
    }
}

impl FromValue for ListenAddress {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        if let Some(port) = value.text().and_then(|text| text.strip_prefix(':'))
            && let Ok(port) = port.parse::<u16>()
        {
            return Some(Self(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))));
        }
        if let Some((host, port)) = value.text().and_then(|text| text.rsplit_once(':'))
            && let Ok(port) = port.parse()
            && host.contains(|c: char| c.is_ascii_alphabetic())
            && !host.starts_with('[')
        {
            return match address_of(host) {
                Ok(address) => Some(Self(SocketAddr::new(address, port))),
                Err(message) => value.error(message),
            };
        }
        value.read().map(Self)
    }
}

/// `None` if a value is written and invalid.
fn transposed<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        None => Some(None),
        Some(None) => None,
        Some(read) => Some(read),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{Diagnostics, Entry, Node, NodeKind, SourceSpan};

    fn node(kind: NodeKind) -> Node {
        let span = SourceSpan {
            source: Arc::from("test"),
            line: 1,
            column: 1,
        };
        Node { kind, span }
    }

    fn scalar(text: &str) -> Node {
        node(NodeKind::Scalar {
            text: text.to_owned(),
            quoted: false,
        })
    }

    fn map<const N: usize>(entries: [(&str, Node); N]) -> Node {
        let entries = entries.map(|(key, value)| Entry {
            key: key.to_owned(),
            span: value.span.clone(),
            value,
        });
        node(NodeKind::Map(entries.into()))
    }

    /// The listener that is read, or the first problem.
    fn read(node: &Node) -> Result<ListenerConfig, String> {
        let diagnostics = Diagnostics::new();
        let config = PlacedNode::root(node, &diagnostics).read::<ListenerConfig>();
        match diagnostics.problems().first() {
            Some(problem) => Err(problem.message.clone()),
            None => Ok(config.unwrap()),
        }
    }

    #[test]
    fn endpoints_are_written_as_in_the_collector() {
        let f = |text: &str, expected: &str| {
            let config = map([
                ("endpoint", scalar(text)),
                ("allow_insecure_bind", scalar("true")),
            ]);
            assert_eq!(read(&config).unwrap().endpoint.to_string(), expected);
        };
        f("127.0.0.1:4317", "127.0.0.1:4317");
        f("localhost:4317", "127.0.0.1:4317");
        f("[::1]:4317", "[::1]:4317");
        f("0.0.0.0:0", "0.0.0.0:0");
        f(":4317", "[::]:4317");
    }

    #[test]
    fn a_host_name_is_looked_up_and_protected_like_its_address() {
        // Names that are resolved without a name server.
        assert_eq!(address_of("localhost"), Ok(IpAddr::from([127, 0, 0, 1])));
        assert_eq!(address_of("[::1]"), Ok("::1".parse().unwrap()));
        let long = format!("{}.invalid", "x".repeat(64));
        let refused = address_of(&long).unwrap_err();
        assert!(
            refused.starts_with("no address for the host name"),
            "{refused}"
        );
        assert!(address_of("a b").is_err());
        assert!(address_of("300.1.1.1").is_err());
        let message = read(&map([("endpoint", scalar(&format!("{long}:1")))]));
        assert!(
            message
                .unwrap_err()
                .contains("no address for the host name")
        );
        // The machine's own name is resolved as well.
        let name = rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned();
        if let Ok(address) = address_of(&name) {
            let at = map([("endpoint", scalar(&format!("{name}:1")))]);
            assert_eq!(read(&at).is_ok(), address.is_loopback(), "{address}");
        }
    }

    #[test]
    fn an_address_beyond_loopback_needs_protection() {
        let tls = || {
            map([
                ("cert_file", scalar("cert.pem")),
                ("key_file", scalar("key.pem")),
            ])
        };
        let mutual = || {
            map([
                ("cert_file", scalar("cert.pem")),
                ("key_file", scalar("key.pem")),
                ("client_ca_file", scalar("ca.pem")),
            ])
        };
        let auth = || map([("bearer_token", scalar("s3cret"))]);
        let beyond = || ("endpoint", scalar("0.0.0.0:4317"));
        let f = |config: Node, admitted: bool| {
            let read = read(&config);
            assert_eq!(read.is_ok(), admitted, "{read:?}");
            if let Err(message) = read {
                assert!(
                    message.contains("reachable from other machines"),
                    "{message}"
                );
            }
        };
        f(map([beyond()]), false);
        f(map([beyond(), ("tls", tls())]), false);
        f(map([beyond(), ("auth", auth())]), false);
        f(map([beyond(), ("tls", tls()), ("auth", auth())]), true);
        f(map([beyond(), ("tls", mutual())]), true);
        f(
            map([beyond(), ("allow_insecure_bind", scalar("true"))]),
            true,
        );
        f(map([("endpoint", scalar("[::1]:1"))]), true);
        f(map([("endpoint", scalar("[::ffff:127.0.0.1]:1"))]), true);
        f(map([("endpoint", scalar(":1"))]), false);
    }

    #[test]
    fn authentication_is_one_thing_and_never_empty() {
        let f = |auth: Node, expected: &str| {
            let config = map([("endpoint", scalar("127.0.0.1:0")), ("auth", auth)]);
            let message = read(&config).unwrap_err();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("s3cret"), "{message}");
        };
        f(map([]), "use one of bearer_token");
        f(
            map([
                ("bearer_token", scalar("s3cret")),
                ("bearer_token_file", scalar("file")),
            ]),
            "use one of bearer_token",
        );
        f(
            map([("bearer_token", scalar(""))]),
            "would let everybody in",
        );
        f(
            map([("basic", map([("username", scalar("u"))]))]),
            "`password` is missing",
        );
        f(
            map([(
                "basic",
                map([("username", scalar("a:b")), ("password", scalar("s3cret"))]),
            )]),
            "can't contain a colon",
        );
        f(
            map([("barer_token", scalar("s3cret"))]),
            "did you mean `bearer_token`?",
        );
    }
}
