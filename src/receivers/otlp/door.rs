//! What stands behind a listener, whatever is spoken there.

use std::sync::Arc;

use hyper::header::HeaderMap;

use super::body;
use super::ingest::Ingest;
use crate::server::Credentials;

/// The way in, and what a request must have to pass. Cheap to clone.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) ingest: Arc<Ingest>,
    /// What a request must carry, if anything.
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) limits: body::BodyLimits,
}

impl Door {
    /// Whether the headers carry what they must.
    pub(super) async fn admits(&self, headers: &HeaderMap) -> bool {
        match &self.credentials {
            None => true,
            Some(credentials) => credentials.admit(headers).await,
        }
    }
}
