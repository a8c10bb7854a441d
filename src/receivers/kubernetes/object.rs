//! What every object of the API has.

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// An object of a collection, as far as somebody reads it.
pub trait KubernetesObject: DeserializeOwned + Clone + Send + Sync + 'static {
    /// `metadata.uid`, which no other object has or will have.
    fn uid(&self) -> &str;
}

/// `metadata`, as far as most need it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ObjectMeta {
    /// No other object has it, or will have it.
    pub uid: String,
    /// Its name, which no other object of its kind in the namespace has.
    pub name: String,
    /// Its namespace, if it is in one.
    #[serde(default)]
    pub namespace: Option<String>,
}
