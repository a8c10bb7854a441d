//! Reads the body of a peer's answer: as much as can matter, by its content type.
//!
//! A body says what a partial success rejected, or why a request was refused. OTLP writes both
//! in protobuf or JSON, whichever the request was in, but peers and the proxies before them
//! answer as they like: in JSON to protobuf, in plain text, or with a page for people. What
//! can't be read never changes what the status said, because the peer has taken the request
//! and would get it twice; it is only said aloud.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use prost::Message;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use crate::pdata::status::RpcStatus;
use crate::yaml::Secret;

/// How much of an answer is kept: it holds a status and perhaps a partial success.
pub(super) const MAX_KEPT: usize = 64 * 1024;

/// How much of a peer's text is shown, in characters.
const MAX_SHOWN: usize = 200;

/// An answer as far as it was read.
#[derive(Debug, Default)]
pub(super) struct AnswerBody {
    form: Form,
    bytes: Vec<u8>,
    /// Whether `bytes` are all of it.
    whole: bool,
}

/// What the peer says that its body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// Nothing is said.
    #[default]
    Unsaid,
    Protobuf,
    Json,
    Html,
    Other,
}

/// How the reading of an answer ended.
#[derive(Debug)]
pub(super) enum End<E> {
    /// The peer ended it.
    Complete,
    /// The connection or the stream broke.
    Broken(E),
    /// It was longer than what is waited for, in bytes or in time.
    Endless,
}

/// What was read of an answer.
pub(super) struct ReadAnswer<E> {
    pub(super) bytes: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: End<E>,
}

/// Reads to the end and keeps the first `MAX_KEPT` bytes. Gives up after `longest` bytes, and
/// at `deadline`.
pub(super) async fn read<B>(body: B, longest: usize, deadline: Instant) -> ReadAnswer<B::Error>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let (mut bytes, mut trailers, mut length) = (Vec::new(), None, 0);
    let end = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => break End::Broken(error),
            Ok(None) => break End::Complete,
            Err(_) => break End::Endless,
        };
        match frame.into_data() {
            Ok(data) => {
                let room = MAX_KEPT - bytes.len();
                bytes.extend_from_slice(data.get(..room).unwrap_or(&data));
                length += data.len();
                if length > longest {
                    break End::Endless;
                }
            }
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    };
    ReadAnswer {
        bytes,
        trailers,
        end,
    }
}

/// When to stop waiting for the rest of an answer that has begun. That is shortly before the
/// attempt's own timeout, which would take the answer for none and send the request again.
pub(super) fn deadline(begun: Instant, timeout: Duration) -> Instant {
    begun + timeout - timeout / 10
}

/// What a peer that took the request says beside the status.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Acceptance {
    /// Items that the peer rejected in a partial success.
    pub(super) rejected: u64,
    /// What it says about that, or what is odd about the answer.
    pub(super) remark: Option<String>,
}

impl AnswerBody {
    /// A body by the content type of its answer.
    pub(super) fn new(headers: &HeaderMap, bytes: Vec<u8>, whole: bool) -> Self {
        let form = headers.get(CONTENT_TYPE).map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            let essence = text.split(';').next().unwrap_or_default().trim();
            match &*essence.to_ascii_lowercase() {
                "application/x-protobuf" | "application/protobuf" => Form::Protobuf,
                "text/html" | "application/xhtml+xml" => Form::Html,
                json if json == "application/json" || json.ends_with("+json") => Form::Json,
                _ => Form::Other,
            }
        });
        Self {
            form: form.unwrap_or_default(),
            bytes,
            whole,
        }
    }

    /// The message of a gRPC answer, which stands behind `prefix` bytes.
    pub(super) fn of_grpc(mut bytes: Vec<u8>, prefix: usize) -> Self {
        // The length says whether more than was kept belongs to it.
        let length = bytes.get(1..prefix).map_or(0, |length| {
            let fold = |sum: usize, byte: &u8| sum.saturating_mul(256) + usize::from(*byte);
            length.iter().fold(0, fold)
        });
        bytes.drain(..prefix.min(bytes.len()));
        Self {
            form: Form::Protobuf,
            whole: bytes.len() >= length,
            bytes,
        }
    }

    /// Whether it is a page for people: a login, or the notice of a proxy. A home-made peer
    /// may say `text/html` of its "ok", so the first character has to agree.
    pub(super) fn is_page(&self) -> bool {
        let first = self.bytes.iter().find(|byte| !byte.is_ascii_whitespace());
        self.form == Form::Html && first == Some(&b'<')
    }

    /// Reads the answer of a peer that took the request.
    pub(super) fn acceptance(&self, secrets: &Secrets) -> Acceptance {
        let odd = |remark: &str| Acceptance {
            rejected: 0,
            remark: Some(remark.to_owned()),
        };
        let read = match self.form {
            _ if self.bytes.is_empty() => return Acceptance::default(),
            Form::Json => partial_of_json(&self.bytes),
            Form::Protobuf | Form::Unsaid => partial_of_protobuf(&self.bytes, self.whole),
            Form::Html | Form::Other => {
                return odd("its answer is neither protobuf nor JSON, so what it says is unknown");
            }
        };
        match read {
            Some((rejected, message)) => Acceptance {
                rejected,
                remark: (!message.is_empty()).then(|| secrets.shorten(&message)),
            },
            None if !self.whole => odd("its answer is too long or broke off, and can't be read"),
            None => odd("its answer can't be read"),
        }
    }

    /// Why the peer refused a request, fit for a log line; empty where it says nothing.
    pub(super) fn reason(&self, secrets: &Secrets) -> String {
        let text = || String::from_utf8_lossy(&self.bytes);
        let reason = match self.form {
            Form::Protobuf => RpcStatus::decode(&self.bytes).map(|status| status.message),
            Form::Json => {
                let message = serde_json::from_slice::<Value>(&self.bytes).ok();
                let message = message.as_ref().and_then(|value| value.get("message"));
                let message = message.and_then(Value::as_str).map(str::to_owned);
                Some(message.unwrap_or_else(|| text().into_owned()))
            }
            Form::Html | Form::Other => Some(text().into_owned()),
            Form::Unsaid => match RpcStatus::decode(&self.bytes) {
                Some(status) => Some(status.message),
                // Text that isn't marked as such; other bytes would only be noise.
                None => std::str::from_utf8(&self.bytes).ok().map(str::to_owned),
            },
        };
        secrets.shorten(reason.unwrap_or_default().trim())
    }
}

/// The headers of every request, which a peer may repeat in its answer.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Secret>);

impl Secrets {
    /// Every value, and what stands behind `Bearer` and the like.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let texts = headers.values().filter_map(|value| value.to_str().ok());
        let values = texts.flat_map(|text| [text, text.rsplit(' ').next().unwrap_or(text)]);
        // A shorter one stands in many words by chance.
        let values = values.filter(|text| text.len() >= 4).map(Secret::new);
        Self(values.collect())
    }

    /// A peer's text, fit for a log line: on one line, short, and without what is secret.
    pub(super) fn shorten(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.0 {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), "[redacted]");
            }
        }
        let mut shown = String::new();
        let mut characters = text.chars();
        for c in characters.by_ref().take(MAX_SHOWN) {
            match c {
                c if c.is_control() || is_invisible(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        if characters.next().is_some() {
            shown.push_str("...");
        }
        shown
    }
}

/// What a terminal obeys without showing it: marks of direction, joiners, line separators.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// The count and message of a partial success in JSON; no count and no message where it has
/// none, and nothing where it isn't JSON.
fn partial_of_json(bytes: &[u8]) -> Option<(u64, String)> {
    let answer: Value = serde_json::from_slice(bytes).ok()?;
    let find = |value: &Value, names: &[&str]| {
        let mut found = names.iter().filter_map(|name| value.get(name));
        found.next().cloned().unwrap_or_default()
    };
    let partial = find(&answer, &["partialSuccess", "partial_success"]);
    let rejected = find(
        &partial,
        &[
            "rejectedDataPoints",
            "rejectedSpans",
            "rejectedLogRecords",
            "rejected_data_points",
            "rejected_spans",
            "rejected_log_records",
        ],
    );
    // JSON writes numbers of 64 bits as text.
    let rejected = match &rejected {
        Value::String(text) => text.parse().unwrap_or(0),
        number => number.as_u64().unwrap_or(0),
    };
    let message = find(&partial, &["errorMessage", "error_message"]);
    Some((rejected, message.as_str().unwrap_or_default().to_owned()))
}

/// The same of protobuf. Where the bytes are only the beginning, what is in them counts: the
/// message is what makes answers long, and the count most often stands before it.
fn partial_of_protobuf(bytes: &[u8], whole: bool) -> Option<(u64, String)> {
    let partial = match (ExportResponse::decode(bytes), whole) {
        (Ok(response), _) => response.partial_success.unwrap_or_default(),
        (Err(_), true) => return None,
        (Err(_), false) => beginning(bytes)?,
    };
    let rejected = u64::try_from(partial.rejected).unwrap_or(0);
    Some((rejected, partial.error_message))
}

/// A partial success whose end is missing.
fn beginning(mut bytes: &[u8]) -> Option<PartialSuccess> {
    /// The keys of the fields: number and wire type.
    const PARTIAL: u64 = 0x0a;
    const REJECTED: u64 = 0x08;
    const MESSAGE: u64 = 0x12;
    let rest = &mut bytes;
    if decode_varint(rest)? != PARTIAL {
        return None;
    }
    decode_varint(rest)?;
    let mut partial = PartialSuccess::default();
    while let Some(key) = decode_varint(rest) {
        match key {
            REJECTED => partial.rejected = decode_varint(rest)?.cast_signed(),
            MESSAGE if decode_varint(rest).is_some() => {
                partial.error_message = String::from_utf8_lossy(rest).into_owned();
                break;
            }
            _ => break,
        }
    }
    Some(partial)
}

fn decode_varint(bytes: &mut &[u8]) -> Option<u64> {
    prost::encoding::decode_varint(bytes).ok()
}

/// `Export{Metrics,Trace,Logs}ServiceResponse`, which differ in names only.
#[derive(Clone, PartialEq, Message)]
struct ExportResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `Export{Metrics,Trace,Logs}PartialSuccess`.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

#[cfg(test)]
mod tests;
