//! Certificates and keys in PEM, in a file or in the configuration.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject as _};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::yaml::{Fields, Secret};

/// A PEM text or its file, and the key under which it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pem {
    key: &'static str,
    source: PemSource,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum PemSource {
    /// Read when the component is built, and when the file has changed.
    File(PathBuf),
    Inline(Secret),
}

/// A certificate with its chain, and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `cert_file` or `cert_pem`.
    pub certificate: Pem,
    /// `key_file` or `key_pem`.
    pub key: Pem,
}

impl Pem {
    /// The file that is written under `key`.
    pub fn file(key: &'static str, path: impl Into<PathBuf>) -> Self {
        Self {
            key,
            source: PemSource::File(path.into()),
        }
    }

    /// Reads `file_key` or the key for the text; both at once are an error.
    pub(super) fn from_fields(
        fields: &mut Fields<'_>,
        file_key: &'static str,
        text_key: &'static str,
    ) -> Option<Self> {
        let file: Option<PathBuf> = fields.optional(file_key);
        let text = fields.optional(text_key).map(|text| Self {
            key: text_key,
            source: PemSource::Inline(text),
        });
        if file.is_some() && text.is_some() {
            fields.map().error::<()>(format_args!(
                "`{file_key}` and `{text_key}` are both set: keep one"
            ));
        }
        file.map(|path| Self::file(file_key, path)).or(text)
    }

    /// The key, and the file's path if there is one; for errors, so without the content.
    pub(super) fn place(&self) -> String {
        match &self.source {
            PemSource::File(path) => format!("tls::{}: {}", self.key, path.display()),
            PemSource::Inline(_) => format!("tls::{}", self.key),
        }
    }

    /// The path, if it is a file.
    pub(super) fn path(&self) -> Option<PathBuf> {
        match &self.source {
            PemSource::File(path) => Some(path.clone()),
            PemSource::Inline(_) => None,
        }
    }

    /// Its certificates; an error if there are none.
    pub(super) fn certificates(&self) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let certificates = match &self.source {
            PemSource::File(path) => {
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect)
            }
            PemSource::Inline(text) => {
                CertificateDer::pem_slice_iter(text.expose().as_bytes()).collect()
            }
        };
        let certificates: Vec<_> = certificates
            .map_err(|error| unreadable(&error))
            .with_context(|| self.place())?;
        anyhow::ensure!(
            !certificates.is_empty(),
            "{}: there is no certificate in it",
            self.place()
        );
        Ok(certificates)
    }

    /// Its certificates as trusted authorities.
    pub(super) fn authorities(&self) -> anyhow::Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            roots.add(certificate).with_context(|| self.place())?;
        }
        Ok(roots)
    }

    fn private_key(&self) -> anyhow::Result<PrivateKeyDer<'static>> {
        match &self.source {
            PemSource::File(path) => PrivateKeyDer::from_pem_file(path),
            PemSource::Inline(text) => PrivateKeyDer::from_pem_slice(text.expose().as_bytes()),
        }
        .map_err(|error| unreadable(&error))
        .with_context(|| self.place())
    }
}

impl Identity {
    /// Reads the keys of a certificate and of its key. `Err` if only one of them is written,
    /// which has then been reported.
    pub(super) fn from_fields(fields: &mut Fields<'_>) -> Result<Option<Self>, ()> {
        let certificate = Pem::from_fields(fields, "cert_file", "cert_pem");
        let key = Pem::from_fields(fields, "key_file", "key_pem");
        match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Self { certificate, key })),
            (None, None) => Ok(None),
            (Some(_), None) => {
                fields
                    .map()
                    .error::<()>("`key_file` is missing: a certificate goes with its key");
                Err(())
            }
            (None, Some(_)) => {
                fields
                    .map()
                    .error::<()>("`cert_file` is missing: a key goes with its certificate");
                Err(())
            }
        }
    }

    /// The files that it is read from.
    pub(super) fn paths(&self) -> impl Iterator<Item = PathBuf> {
        [self.certificate.path(), self.key.path()]
            .into_iter()
            .flatten()
    }

    /// Reads the chain and the key. It isn't checked here whether they belong together.
    pub(super) fn load(
        &self,
    ) -> anyhow::Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        Ok((self.certificate.certificates()?, self.key.private_key()?))
    }
}

/// Why something isn't PEM, without the lines that the library's own error quotes: they may be
/// those of a key.
fn unreadable(error: &pem::Error) -> anyhow::Error {
    use pem::Error as E;
    match error {
        E::Io(error) => anyhow::anyhow!("{error}"),
        E::NoItemsFound => anyhow::anyhow!("nothing of the kind is in it"),
        E::MissingSectionEnd { .. } => anyhow::anyhow!("the end of a section is missing"),
        E::IllegalSectionStart { .. } => anyhow::anyhow!("the first line of a section is broken"),
        E::Base64Decode(_) => anyhow::anyhow!("a section isn't base64"),
        E::SectionTooLarge => anyhow::anyhow!("a section is too large"),
        _ => anyhow::anyhow!("it is no PEM"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of a file with this text, as one that can't be read.
    fn why(text: &str) -> [String; 2] {
        let pem = Pem {
            key: "key_pem",
            source: PemSource::Inline(Secret::new(text)),
        };
        let errors = [
            pem.certificates().map(drop).unwrap_err(),
            pem.private_key().map(drop).unwrap_err(),
        ];
        errors.map(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_wrong_with_pem_is_told_without_its_text() {
        let f = |text: &str, expected: &str| {
            let both = [
                format!("tls::key_pem: {expected}"),
                format!("tls::key_pem: {expected}"),
            ];
            assert_eq!(why(text), both, "{text}");
        };
        f(
            "-----BEGIN hunter2\n",
            "the first line of a section is broken",
        );
        f(
            "-----BEGIN hunter2-----\naGk=\n",
            "the end of a section is missing",
        );
        f(
            "-----BEGIN PRIVATE KEY-----\nhunter2!\n-----END PRIVATE KEY-----\n",
            "a section isn't base64",
        );
        assert_eq!(
            why("hunter2"),
            [
                "tls::key_pem: there is no certificate in it",
                "tls::key_pem: nothing of the kind is in it"
            ]
        );
    }
}
