//! Objects of one kind: where they are, and what has changed of them.

use url::Url;

use super::listing::Listed;

/// Where the objects of one kind are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collection {
    /// The group and version, such as `/api/v1` or `/apis/apps/v1`.
    pub api: &'static str,
    /// Such as `pods`.
    pub resource: &'static str,
    /// The only namespace that is asked for; `None` for all.
    pub namespace: Option<String>,
    /// Only objects with such labels.
    pub label_selector: Option<String>,
    /// Only objects with such fields.
    pub field_selector: Option<String>,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq)]
pub enum CollectionChange<T> {
    /// Everything was listed: what isn't among it is gone.
    Listed(Listed<T>),
    /// An object was added, or has changed.
    Applied(T),
    /// An object is gone; that is what it was last.
    Deleted(T),
    /// An object was added or has changed, and can't be read.
    Invalid,
}

impl Collection {
    /// The collection at this server.
    #[must_use]
    pub fn url(&self, server: &Url) -> Url {
        let mut url = server.clone();
        let base = server.path().trim_end_matches('/').to_owned() + self.api;
        url.set_path(&base);
        if let Ok(mut path) = url.path_segments_mut() {
            if let Some(namespace) = &self.namespace {
                path.push("namespaces").push(namespace);
            }
            path.push(self.resource);
        }
        url
    }
}
