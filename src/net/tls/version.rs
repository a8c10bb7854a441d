//! The versions of TLS, and keys of the Collector's beside them that change nothing.

use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::yaml::{Fields, FromValue, PlacedNode};
use crate::yaml::{is_empty, is_false};

/// The versions from `min_version` to `max_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Versions {
    min: TlsVersion,
    max: TlsVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum TlsVersion {
    /// 1.0 or 1.1: accepted as the lowest version, but not spoken.
    Old,
    V12,
    V13,
}

impl Versions {
    /// Reads the two keys, and the Collector's keys for choices that rustls doesn't offer.
    pub(super) fn from_fields(fields: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let versions = Self {
            min: fields.or("min_version", default.min),
            max: fields.or("max_version", default.max),
        };
        versions.check(fields);
        let safe = "rustls offers none that isn't safe";
        fields.without_effect("cipher_suites", is_empty, safe);
        fields.without_effect("include_insecure_cipher_suites", is_false, safe);
        fields.without_effect("curve_preferences", is_empty, safe);
        if let Some(tpm) = fields.foreign("tpm") {
            let mut keys = tpm.entries().into_iter().flatten();
            if keys.any(|(key, value)| key.key == "enabled" && value.text() != Some("false")) {
                tpm.error::<()>("keys are not read from a TPM: use key_file or key_pem");
            }
        }
        versions
    }

    /// Reads the two keys with Prometheus's words: `TLS12` and so on.
    pub(super) fn from_words(fields: &mut Fields<'_>) -> Self {
        const WORDS: [(&str, TlsVersion); 4] = [
            ("TLS10", TlsVersion::Old),
            ("TLS11", TlsVersion::Old),
            ("TLS12", TlsVersion::V12),
            ("TLS13", TlsVersion::V13),
        ];
        let mut word = |key, default| {
            let value = fields.value(key).filter(|value| !value.is_null());
            let read = value.and_then(|value| value.choice(&WORDS));
            read.unwrap_or(default)
        };
        let default = Self::default();
        let versions = Self {
            min: word("min_version", default.min),
            max: word("max_version", default.max),
        };
        versions.check(fields);
        versions
    }

    fn check(self, fields: &mut Fields<'_>) {
        let (min_key, max_key) = (fields.value("min_version"), fields.value("max_version"));
        if self.max == TlsVersion::Old {
            if let Some(value) = max_key {
                value.error::<()>("TLS 1.2 is the lowest that is spoken");
            }
        } else if self.min > self.max {
            fields
                .map()
                .error::<()>("min_version is higher than max_version");
        } else if self.min == TlsVersion::Old
            && let Some(value) = min_key
        {
            value.warn("TLS 1.2 is the lowest that is spoken");
        }
    }

    pub(super) fn supported(self) -> &'static [&'static SupportedProtocolVersion] {
        const LATEST: &[&SupportedProtocolVersion] = &[&TLS13];
        const BOTH: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
        const EARLIER: &[&SupportedProtocolVersion] = &[&TLS12];
        match (self.min, self.max) {
            (TlsVersion::V13, _) => LATEST,
            (_, TlsVersion::V13) => BOTH,
            _ => EARLIER,
        }
    }
}

impl Default for Versions {
    fn default() -> Self {
        Self {
            min: TlsVersion::V12,
            max: TlsVersion::V13,
        }
    }
}

impl FromValue for TlsVersion {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("1.0" | "1.1") => Some(Self::Old),
            Some("1.2") => Some(Self::V12),
            Some("1.3") => Some(Self::V13),
            _ => value.error("expected 1.2 or 1.3"),
        }
    }
}
