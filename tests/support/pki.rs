//! Certificates for tests: an authority, what it vouches for, and a stranger.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by tests that don't all ask for every file"
)]

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tempfile::TempDir;

/// A directory with `{name}.pem` and, but for the authorities, `{name}.key`:
///
/// | name | of | for |
/// |---|---|---|
/// | `ca`, `stranger-ca` | themselves | |
/// | `server`, `client` | `ca` | localhost, 127.0.0.1 |
/// | `elsewhere` | `ca` | elsewhere.example |
/// | `expired` | `ca` | localhost, 127.0.0.1, until 2001 |
/// | `stranger` | `stranger-ca` | localhost, 127.0.0.1 |
pub struct Pki(TempDir);

type Authority = CertifiedIssuer<'static, KeyPair>;

const HERE: [&str; 2] = ["localhost", "127.0.0.1"];

impl Pki {
    pub fn new() -> Self {
        let pki = Self(tempfile::tempdir().unwrap());
        let authority = pki.authority("ca");
        pki.issue("server", &HERE, &authority, |_| ());
        pki.issue("client", &HERE, &authority, |_| ());
        pki.issue("elsewhere", &["elsewhere.example"], &authority, |_| ());
        pki.issue("expired", &HERE, &authority, |params| {
            params.not_after = date_time_ymd(2001, 1, 1);
        });
        let stranger = pki.authority("stranger-ca");
        pki.issue("stranger", &HERE, &stranger, |_| ());
        pki
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A file in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn authority(&self, name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = CertifiedIssuer::self_signed(params, key).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), authority.pem()).unwrap();
        authority
    }

    fn issue(
        &self,
        name: &str,
        hosts: &[&str],
        authority: &Authority,
        change: impl FnOnce(&mut CertificateParams),
    ) {
        let key = KeyPair::generate().unwrap();
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, authority).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
