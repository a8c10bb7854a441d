//! The TLS keys of clients and of listeners.
//!
//! ```yaml
//! tls:                             # of a client
//!   insecure: false                # true = no TLS at all, where the URL doesn't say
//!   insecure_skip_verify: false    # accepts any certificate; warns
//!   ca_file: /etc/foghorn/ca.pem   # instead of the system's authorities
//!   include_system_ca_certs_pool: false   # beside ca_file
//!   cert_file: client.pem          # with key_file: what we prove to be
//!   key_file: client.key
//!   server_name_override: collector.example
//!   min_version: "1.2"             # 1.2 or 1.3
//!   max_version: "1.3"
//! tls:                             # of a listener
//!   cert_file: server.pem
//!   key_file: server.key
//!   client_ca_file: clients.pem    # clients must show a certificate
//! ```
//!
//! `ca_pem`, `cert_pem` and `key_pem` take the text instead of a file's path. Other TLS keys of
//! the Collector's are accepted with a warning that says what the agent does instead.
//!
//! Files are read again within 10 s of a change, or within `reload_interval` if that is shorter
//! (0 counts as not written): by a listener for its next handshake, by a client for its next
//! connection. Open connections stay. If a file can't be used, such as a certificate whose key
//! hasn't been replaced yet, the files that were read before stay in use, and the log says so.
//! `foghorn_file_renewals_total{outcome}` counts both: `renewed` and `unusable`.
//! The only cryptographic provider in this process is rustls with aws-lc-rs.

mod pem;
mod tls_config;
mod verify;
mod version;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustls_platform_verifier::Verifier;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::ServerCertVerifier;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::server::{
    NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier,
};
use tokio_rustls::rustls::{ClientConfig, ServerConfig};

use self::verify::{RequiredProof, UnusualVerifier};
use self::version::Versions;
use super::renewal::Renewable;
use crate::yaml::{Fields, FromValue, PlacedNode, is_false};

pub use self::pem::{Identity, Pem};

/// How a client uses TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Whether to use no TLS if the URL's scheme doesn't decide that.
    pub insecure: bool,
    /// Whether every certificate is accepted.
    pub insecure_skip_verify: bool,
    /// Authorities to trust instead of the system's.
    pub ca: Option<Pem>,
    /// Whether the system's authorities are trusted beside `ca`.
    pub include_system_ca: bool,
    /// The client's own certificate.
    pub identity: Option<Identity>,
    /// The name that the server's certificate must contain, if it isn't the host's.
    pub server_name_override: Option<ServerName<'static>>,
    /// The versions that are offered.
    pub versions: Versions,
    /// How often the files are checked, if that is more often than by default.
    pub reload_interval: Option<Duration>,
}

/// How a listener uses TLS. Files are read when it is bound, and when they change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerTls {
    /// The certificate that the listener presents.
    pub identity: Identity,
    /// The authorities of clients' certificates; with these, clients without one are refused.
    pub client_ca: Option<Pem>,
    /// The versions that are accepted.
    pub versions: Versions,
    /// How often the files are checked, if that is more often than by default.
    pub reload_interval: Option<Duration>,
}

impl FromValue for ClientTls {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let skip_verify = fields.value("insecure_skip_verify");
        let identity = Identity::from_fields(&mut fields);
        let server_name = fields.value("server_name_override");
        let server_name = server_name.filter(|value| !value.is_null() && value.text() != Some(""));
        let tls = Self {
            insecure: fields.or("insecure", false),
            insecure_skip_verify: fields.or("insecure_skip_verify", false),
            ca: Pem::from_fields(&mut fields, "ca_file", "ca_pem"),
            include_system_ca: fields.or("include_system_ca_certs_pool", false),
            identity: None,
            server_name_override: server_name.and_then(|name| server_name_of(&name)),
            versions: Versions::from_fields(&mut fields),
            reload_interval: reload_interval(&mut fields),
        };
        fields.finish();
        // Only after the other keys have been read, so that every problem is reported.
        let tls = Self {
            identity: identity.ok()?,
            ..tls
        };
        if tls.insecure_skip_verify
            && let Some(key) = skip_verify
        {
            key.warn("anyone on the way can read and change what passes: use ca_file");
        }
        Some(tls)
    }
}

impl ClientTls {
    /// Reads the files and builds the configuration of a client. `server_name_override` applies
    /// even if the caller passes the name of the host that it connects to.
    ///
    /// # Errors
    ///
    /// When a file can't be read or is invalid. The message names its key and path, and doesn't
    /// quote it.
    pub fn client_config(&self) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let unusual = |required| {
            let provider = Arc::clone(&provider);
            Arc::new(UnusualVerifier { provider, required })
        };
        let mut verifier: Arc<dyn ServerCertVerifier> = match &self.ca {
            _ if self.insecure_skip_verify => unusual(RequiredProof::Any),
            Some(ca) if self.include_system_ca => Arc::new(
                Verifier::new_with_extra_roots(ca.certificates()?, Arc::clone(&provider))
                    .with_context(|| ca.place())?,
            ),
            Some(ca) => WebPkiServerVerifier::builder_with_provider(
                Arc::new(ca.authorities()?),
                Arc::clone(&provider),
            )
            .build()
            .with_context(|| ca.place())?,
            None => Arc::new(Verifier::new(Arc::clone(&provider))?),
        };
        if let Some(name) = &self.server_name_override {
            verifier = unusual(RequiredProof::Name(name.clone(), verifier));
        }
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions.supported())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        Ok(match &self.identity {
            Some(identity) => {
                let (chain, key) = identity.load()?;
                builder
                    .with_client_auth_cert(chain, key)
                    .with_context(|| identity.certificate.place())?
            }
            None => builder.with_no_client_auth(),
        })
    }
}

impl ClientTls {
    /// A value that `build` makes from the client's configuration, and makes again when the files
    /// have changed.
    ///
    /// # Errors
    ///
    /// As [`ClientTls::client_config`], or when `build` fails.
    pub fn renewable<T: Clone + Send + 'static>(
        &self,
        build: impl Fn(ClientConfig) -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Renewable<T>> {
        let identity = self.identity.iter().flat_map(Identity::paths);
        let files = self
            .ca
            .iter()
            .filter_map(Pem::path)
            .chain(identity)
            .collect();
        let tls = self.clone();
        Renewable::new(files, self.reload_interval, move || {
            build(tls.client_config()?)
        })
    }
}

impl FromValue for ServerTls {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let identity = Identity::from_fields(&mut fields);
        let client_ca = Pem::from_fields(&mut fields, "client_ca_file", "client_ca_pem");
        let versions = Versions::from_fields(&mut fields);
        let reload_interval = reload_interval(&mut fields);
        // Client authorities are always read again, whatever this key says.
        let _: Option<bool> = fields.optional("client_ca_file_reload");
        let whom = "clients are checked against client_ca_file";
        fields.without_effect("ca_file", |_| false, whom);
        fields.without_effect("ca_pem", |_| false, whom);
        fields.without_effect("include_system_ca_certs_pool", is_false, whom);
        fields.finish();
        let Some(identity) = identity.ok()? else {
            return value.error("`cert_file` is missing: a listener shows a certificate");
        };
        Some(Self {
            identity,
            client_ca,
            versions,
            reload_interval,
        })
    }
}

/// The name of a host, as a certificate can have it.
fn server_name_of(value: &PlacedNode<'_>) -> Option<ServerName<'static>> {
    match ServerName::try_from(value.read::<String>()?) {
        Ok(name) => Some(name),
        Err(_) => value.error("no certificate can prove this name: use the name of a host"),
    }
}

/// `reload_interval`; `None` if it is 0 or not written.
fn reload_interval(fields: &mut Fields<'_>) -> Option<Duration> {
    let interval: Option<Duration> = fields.optional("reload_interval");
    interval.filter(|interval| !interval.is_zero())
}

impl ServerTls {
    /// Whether clients must present a certificate.
    pub fn is_mutual(&self) -> bool {
        self.client_ca.is_some()
    }

    /// The files of the keys that name one.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> + use<'_> {
        let authorities = self.client_ca.iter().filter_map(Pem::path);
        self.identity.paths().chain(authorities)
    }

    /// The acceptor of handshakes; made again when the files have changed.
    ///
    /// # Errors
    ///
    /// As [`ServerTls::server_config`].
    pub fn acceptor(&self, alpn: &[&[u8]]) -> anyhow::Result<Renewable<TlsAcceptor>> {
        let files = self.files().collect();
        let tls = self.clone();
        let alpn: Vec<Vec<u8>> = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Renewable::new(files, self.reload_interval, move || {
            let alpn: Vec<&[u8]> = alpn.iter().map(Vec::as_slice).collect();
            Ok(TlsAcceptor::from(Arc::new(tls.server_config(&alpn)?)))
        })
    }

    /// Reads the files and builds the configuration of a server that offers the protocols in
    /// `alpn`.
    ///
    /// # Errors
    ///
    /// When a file can't be read or used. The message names its key and path, and doesn't quote
    /// it.
    pub fn server_config(&self, alpn: &[&[u8]]) -> anyhow::Result<ServerConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let clients: Arc<dyn ClientCertVerifier> = match &self.client_ca {
            None => Arc::new(NoClientAuth),
            Some(ca) => WebPkiClientVerifier::builder_with_provider(
                Arc::new(ca.authorities()?),
                Arc::clone(&provider),
            )
            .build()
            .with_context(|| ca.place())?,
        };
        let (chain, key) = self.identity.load()?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(self.versions.supported())?
            .with_client_cert_verifier(clients)
            .with_single_cert(chain, key)
            .with_context(|| self.identity.certificate.place())?;
        server.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(server)
    }
}

#[cfg(test)]
#[path = "../../../tests/support/pki.rs"]
pub(crate) mod pki;
#[cfg(test)]
mod tests;
