//! Checks of a server's certificate that differ from the usual one.

use std::sync::Arc;

use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, verify_tls12_signature, verify_tls13_signature,
};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Requires something else of the certificate than the name of the host. It always checks that
/// the server has the key of the certificate.
#[derive(Debug)]
pub(super) struct UnusualVerifier {
    pub(super) provider: Arc<CryptoProvider>,
    pub(super) required: RequiredProof,
}

/// What the certificate must prove.
#[derive(Debug)]
pub(super) enum RequiredProof {
    /// Nothing: any certificate is accepted.
    Any,
    /// This name instead of that of the host; checked by the usual verifier.
    Name(ServerName<'static>, Arc<dyn ServerCertVerifier>),
}

impl ServerCertVerifier for UnusualVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.required {
            RequiredProof::Any => Ok(ServerCertVerified::assertion()),
            RequiredProof::Name(name, usual) => {
                usual.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
