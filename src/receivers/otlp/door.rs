//! What both protocols check a request against, and where they hand it over.

use std::sync::Arc;

use hyper::header::HeaderMap;

use super::body;
use super::ingest::Ingest;
use crate::server::Credentials;

/// The pipelines, credentials and limits of one listener. Cheap to clone.
#[derive(Clone)]
pub(super) struct ListenerContext {
    pub(super) ingest: Arc<Ingest>,
    /// The credentials that a request must carry; `None` if it needs none.
    pub(super) credentials: Option<Arc<Credentials>>,
    pub(super) limits: body::BodyLimits,
}

impl ListenerContext {
    /// Whether the headers carry the required credentials.
    pub(super) async fn admits(&self, headers: &HeaderMap) -> bool {
        match &self.credentials {
            None => true,
            Some(credentials) => credentials.admit(headers).await,
        }
    }
}
