//! Answers of plain text.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};

use crate::component::{Response, full_body};

/// An answer with this text.
pub(super) fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response {
    let mut response = Response::new(full_body(text));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}
