//! Reads what a watch tells.

use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::KubernetesObject;
use crate::receivers::scrape::json::{garbage, json};
use crate::resilience::FetchError;

/// One event of a watch.
#[derive(Debug, PartialEq)]
pub(super) enum WatchEvent<T> {
    /// An object was added or changed, and the collection's version is this now.
    Applied(T, String),
    /// An object is gone.
    Deleted(T, String),
    /// Nothing but that the collection's version is this now.
    Bookmark(String),
    /// An object that can't be read.
    Invalid(String),
    /// The watch has failed, with an HTTP status.
    Failed {
        code: u16,
        reason: String,
        retry_after: Option<Duration>,
    },
}

#[derive(Deserialize)]
struct EventBody<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Versioned {
    metadata: VersionMeta,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct VersionMeta {
    resource_version: String,
}

#[derive(Deserialize)]
struct FailedStatus {
    code: Option<u16>,
    reason: Option<String>,
    details: Option<StatusDetails>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusDetails {
    retry_after_seconds: Option<u32>,
}

impl<T: KubernetesObject> WatchEvent<T> {
    /// Reads one line.
    ///
    /// # Errors
    ///
    /// When it is no event.
    pub(super) fn read(line: &[u8]) -> Result<Self, FetchError> {
        let event: EventBody<'_> = json(line)?;
        let object = event.object.get();
        if event.kind == "ERROR" {
            let status: FailedStatus = json(object.as_bytes())?;
            let details = status
                .details
                .and_then(|details| details.retry_after_seconds);
            return Ok(Self::Failed {
                code: status.code.unwrap_or(500),
                reason: status.reason.unwrap_or_default(),
                retry_after: details.map(|seconds| Duration::from_secs(u64::from(seconds))),
            });
        }
        let version = json::<Versioned>(object.as_bytes())?
            .metadata
            .resource_version;
        let read = || serde_json::from_str::<T>(object).ok();
        Ok(match event.kind.as_str() {
            "BOOKMARK" => Self::Bookmark(version),
            "ADDED" | "MODIFIED" => match read() {
                Some(object) => Self::Applied(object, version),
                None => Self::Invalid(version),
            },
            "DELETED" => match read() {
                Some(object) => Self::Deleted(object, version),
                None => Self::Invalid(version),
            },
            _ => return Err(garbage("a watch event of an unknown type")),
        })
    }
}
