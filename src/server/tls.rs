//! TLS for listeners: rustls with aws-lc-rs, the one provider in this process.

use std::path::Path;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{
    NoClientAuth, WebPkiClientVerifier, danger::ClientCertVerifier,
};
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use crate::component::TlsConfig;

/// Reads the files and prepares handshakes that offer the protocols of `alpn`.
///
/// # Errors
///
/// When a file can't be read or used. The message names its key and path, never its content.
pub(super) fn acceptor(config: &TlsConfig, alpn: &[&[u8]]) -> Result<TlsAcceptor, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let chain = certificates("cert_file", &config.cert_file)?;
    let key = PrivateKeyDer::from_pem_file(&config.key_file)
        .map_err(|error| message("key_file", &config.key_file, error))?;
    let clients: Arc<dyn ClientCertVerifier> = match &config.client_ca_file {
        None => Arc::new(NoClientAuth),
        Some(path) => {
            let mut authorities = RootCertStore::empty();
            for certificate in certificates("client_ca_file", path)? {
                authorities
                    .add(certificate)
                    .map_err(|error| message("client_ca_file", path, error))?;
            }
            WebPkiClientVerifier::builder_with_provider(authorities.into(), Arc::clone(&provider))
                .build()
                .map_err(|error| message("client_ca_file", path, error))?
        }
    };
    let mut server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_client_cert_verifier(clients)
        .with_single_cert(chain, key)
        .map_err(|error| message("cert_file", &config.cert_file, error))?;
    server.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(TlsAcceptor::from(Arc::new(server)))
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect)
        .map_err(|error| message(key, path, error))?;
    if certificates.is_empty() {
        return Err(message(key, path, "there is no certificate in it"));
    }
    Ok(certificates)
}

fn message(key: &str, path: &Path, reason: impl std::fmt::Display) -> String {
    format!("tls::{key}: {}: {reason}", path.display())
}
