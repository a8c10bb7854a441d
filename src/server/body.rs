//! Reads the body of a request, within a bound and a time.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use hyper::StatusCode;
use hyper::header::{CONNECTION, HeaderValue};
use tokio::time::timeout;

use super::deadlines::ConnectionWatch;
use super::texts::plain;
use crate::component::Response;

/// How long a body may take, from the end of the head to its last byte.
const DUE: Duration = Duration::from_secs(10);

/// Why a body was not read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnreadBody {
    /// It is longer than this.
    TooLong(usize),
    /// It took longer than [`DUE`].
    Late,
    /// Its encoding is wrong, or the client has gone.
    Broken,
}

/// Reads a body of at most `max` bytes. Until it is there, the watch knows that the client is
/// awaited. Cancel safe: what was read is lost with the connection.
pub(super) async fn read<B>(
    body: B,
    max: usize,
    watch: &ConnectionWatch,
) -> Result<Bytes, UnreadBody>
where
    B: hyper::body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    // Known from `Content-Length`, so that nothing of it need be read.
    if body.size_hint().lower() > max as u64 {
        return Err(UnreadBody::TooLong(max));
    }
    watch.receiving();
    let read = timeout(DUE, Limited::new(body, max).collect()).await;
    watch.received();
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(UnreadBody::TooLong(max)),
        Ok(Err(_)) => Err(UnreadBody::Broken),
        Err(_) => Err(UnreadBody::Late),
    }
}

impl UnreadBody {
    /// The answer, after which the connection closes: the rest of the body would be read as the
    /// next request.
    pub(super) fn response(&self) -> Response {
        let (status, text) = match self {
            Self::TooLong(max) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                format!("the body is longer than {max} bytes\n"),
            ),
            Self::Late => (
                StatusCode::REQUEST_TIMEOUT,
                format!("the body took longer than {} s\n", DUE.as_secs()),
            ),
            Self::Broken => (
                StatusCode::BAD_REQUEST,
                "the body can't be read\n".to_owned(),
            ),
        };
        let mut response = plain(status, text);
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
        response
    }
}
