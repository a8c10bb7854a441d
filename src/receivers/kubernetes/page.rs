//! Reads a page of a list.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::object::KubernetesObject;
use crate::receivers::scrape::json::{garbage, json};
use crate::resilience::FetchError;

/// One page of a list.
#[derive(Debug)]
pub(super) struct ListPage<T> {
    pub(super) objects: Vec<T>,
    /// Objects that can't be read.
    pub(super) invalid: u64,
    /// The uids of those of them that have one.
    pub(super) unread: Vec<String>,
    /// What the list is as of.
    pub(super) version: String,
    /// The token of the next page; `None` for the last one.
    pub(super) next: Option<String>,
    /// Objects that come after this page, if the server says so.
    pub(super) remaining: u64,
}

#[derive(Deserialize)]
struct ListBody<'a> {
    kind: String,
    metadata: ListMeta,
    /// A server without objects may write null.
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    #[serde(default, rename = "continue")]
    next: String,
    remaining_item_count: Option<i64>,
}

impl<T: KubernetesObject> ListPage<T> {
    /// Reads an answer. Of objects that can't be read only the number is kept.
    ///
    /// # Errors
    ///
    /// When the answer is no list.
    pub(super) fn read(body: &[u8]) -> Result<Self, FetchError> {
        let list: ListBody<'_> = json(body)?;
        if !list.kind.ends_with("List") {
            return Err(garbage("not the expected JSON: no list"));
        }
        let items = list.items.unwrap_or_default();
        let listed = items.len();
        let mut objects: Vec<T> = Vec::with_capacity(listed);
        let mut unread = Vec::new();
        for item in items {
            match serde_json::from_str(item.get()) {
                Ok(object) => objects.push(object),
                Err(_) => unread.extend(uid(item)),
            }
        }
        Ok(Self {
            invalid: (listed - objects.len()) as u64,
            unread,
            objects,
            version: list.metadata.resource_version,
            next: Some(list.metadata.next).filter(|next| !next.is_empty()),
            remaining: list
                .metadata
                .remaining_item_count
                .and_then(|count| u64::try_from(count).ok())
                .unwrap_or(0),
        })
    }
}

/// The uid of an object, whatever else it says.
fn uid(object: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Identified {
        metadata: Identity,
    }
    #[derive(Deserialize)]
    struct Identity {
        uid: String,
    }
    let object: Identified = serde_json::from_str(object.get()).ok()?;
    Some(object.metadata.uid)
}
