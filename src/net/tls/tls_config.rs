//! `tls_config`: the keys of a client in Prometheus's words.
//!
//! ```yaml
//! tls_config:
//!   ca_file: /etc/foghorn/ca.pem   # instead of the system's authorities; or ca: the text
//!   cert_file: client.pem          # with key_file; or cert and key
//!   key_file: client.key
//!   server_name: db.example        # what the server's certificate must contain
//!   insecure_skip_verify: false    # accepts any certificate; warns
//!   min_version: TLS12             # TLS12 or TLS13; TLS10 and TLS11 aren't spoken
//!   max_version: TLS13
//! ```

use super::pem::{Identity, Pem};
use super::version::Versions;
use super::{ClientTls, server_name_of};
use crate::yaml::{Fields, PlacedNode};

impl ClientTls {
    /// Reads Prometheus's keys. What is wrong is reported with its place.
    pub fn from_tls_config(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let certificate = Pem::from_fields(&mut fields, "cert_file", "cert");
        let key = Pem::from_fields(&mut fields, "key_file", "key");
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Ok(Some(Identity { certificate, key })),
            (None, None) => Ok(None),
            _ => Err("a certificate goes with its key: set both, or neither"),
        };
        let skip_verify = fields.value("insecure_skip_verify");
        let server_name = fields.value("server_name");
        let server_name = server_name.filter(|value| !value.is_null() && value.text() != Some(""));
        let tls = Self {
            insecure_skip_verify: fields.or("insecure_skip_verify", false),
            ca: Pem::from_fields(&mut fields, "ca_file", "ca"),
            server_name_override: server_name.and_then(|name| server_name_of(&name)),
            versions: Versions::from_words(&mut fields),
            ..Self::default()
        };
        no_references(&mut fields);
        fields.finish();
        if tls.insecure_skip_verify
            && let Some(key) = skip_verify
        {
            key.warn("anyone on the way can read and change what passes: use ca_file");
        }
        match identity {
            Ok(identity) => Some(Self { identity, ..tls }),
            Err(message) => value.error(message),
        }
    }
}

/// Keys that name secrets of a manager, which Prometheus itself has only for programs that embed
/// it.
fn no_references(fields: &mut Fields<'_>) {
    for key in ["ca_ref", "cert_ref", "key_ref"] {
        if let Some(value) = fields.foreign(key).filter(|value| !value.is_null()) {
            value.error::<()>("there is no manager of secrets: use the key of a file");
        }
    }
}
