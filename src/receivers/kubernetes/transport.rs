//! What an API server is asked by.

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::receivers::scrape::http::{Client, Fetch, FetchRequest, OpenAnswer};
use crate::resilience::FetchError;

/// What an API server is asked by.
pub trait ApiTransport: Fetch {
    /// Requests a body that has no end. Cancel safe: dropping the future, or the body, closes the
    /// connection.
    ///
    /// # Errors
    ///
    /// When no answer with status 2xx begins in time.
    fn open<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<Box<dyn BodyStream>, FetchError>>;
}

impl ApiTransport for Client {
    fn open<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<Box<dyn BodyStream>, FetchError>> {
        Box::pin(async move {
            let answer = Client::open(self, request).await?;
            Ok(Box::new(answer) as Box<dyn BodyStream>)
        })
    }
}

impl BodyStream for OpenAnswer {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, FetchError>> {
        Box::pin(OpenAnswer::next(self))
    }
}

/// A body as it comes.
pub trait BodyStream: Send + Sync {
    /// The next piece; `None` at the end. Cancel safe.
    ///
    /// # Errors
    ///
    /// When the connection breaks off.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, FetchError>>;
}
