//! TLS as a client: the same keys for everything that connects.
//!
//! ```yaml
//! tls:
//!   insecure: false                # true = no TLS at all, where the URL doesn't say
//!   insecure_skip_verify: false    # accepts any certificate; warns
//!   ca_file: /etc/foghorn/ca.pem   # instead of the system's authorities
//!   cert_file: client.pem          # with key_file: what we prove to be
//!   key_file: client.key
//!   server_name_override: collector.example
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use rustls_platform_verifier::BuilderVerifierExt;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::yaml::{FromValue, Value};

/// What a client does about TLS.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientTls {
    /// Whether to speak plain text where the URL's scheme doesn't decide.
    pub insecure: bool,
    /// Whether any certificate will do.
    pub insecure_skip_verify: bool,
    /// Authorities to trust instead of the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The client's own certificate chain and key, as PEM.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name that the server must prove, where it isn't the host's.
    pub server_name_override: Option<String>,
}

impl FromValue for ClientTls {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let insecure = fields.or("insecure", false);
        let insecure_skip_verify = fields.or("insecure_skip_verify", false);
        let ca_file = fields.optional("ca_file");
        let cert_file: Option<PathBuf> = fields.optional("cert_file");
        let key_file: Option<PathBuf> = fields.optional("key_file");
        let server_name_override = fields.optional("server_name_override");
        fields.finish();
        if insecure_skip_verify {
            value.warn("insecure_skip_verify accepts any certificate: anyone on the way can read and change what is sent");
        }
        let identity = match (cert_file, key_file) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return value.error("cert_file needs a key_file beside it"),
            (None, Some(_)) => return value.error("key_file needs a cert_file beside it"),
        };
        Some(Self {
            insecure,
            insecure_skip_verify,
            ca_file,
            identity,
            server_name_override,
        })
    }
}

impl ClientTls {
    /// Reads the files and builds the configuration of a client.
    ///
    /// # Errors
    ///
    /// When a file can't be read or holds something else; names its key and path, never its
    /// content.
    pub fn client_config(&self) -> anyhow::Result<ClientConfig> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?;
        let builder = if self.insecure_skip_verify {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        } else if let Some(ca_file) = &self.ca_file {
            let mut roots = RootCertStore::empty();
            for certificate in certificates("ca_file", ca_file)? {
                roots
                    .add(certificate)
                    .with_context(|| format!("tls::ca_file: {}", ca_file.display()))?;
            }
            builder.with_root_certificates(roots)
        } else {
            builder.with_platform_verifier()?
        };
        Ok(match &self.identity {
            Some((cert_file, key_file)) => {
                let key = PrivateKeyDer::from_pem_file(key_file)
                    .with_context(|| format!("tls::key_file: {}", key_file.display()))?;
                builder
                    .with_client_auth_cert(certificates("cert_file", cert_file)?, key)
                    .with_context(|| format!("tls::cert_file: {}", cert_file.display()))?
            }
            None => builder.with_no_client_auth(),
        })
    }
}

fn certificates(key: &str, file: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let context = || format!("tls::{key}: {}", file.display());
    let certificates: Vec<_> = CertificateDer::pem_file_iter(file)
        .with_context(context)?
        .collect::<Result<_, _>>()
        .with_context(context)?;
    anyhow::ensure!(
        !certificates.is_empty(),
        "tls::{key}: {}: there is no certificate in it",
        file.display()
    );
    Ok(certificates)
}

/// Accepts whatever certificate the server shows, but still checks that it owns the key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
