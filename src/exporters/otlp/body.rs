//! Reads the body of a peer's answer by its content type.
//!
//! A body says what a partial success rejected, or why a request was refused. OTLP encodes both
//! like the request, in protobuf or JSON; but peers, and the proxies before them, also answer
//! protobuf with JSON, plain text or an HTML page. A body that can't be read is only logged and
//! never makes a success a failure: the peer has taken the request, and would get it twice.

use std::io::Read;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use prost::Message;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::secrets::Secrets;
use crate::pdata::status::RpcStatus;

/// How many bytes of an answer are kept: enough for a status and a partial success.
pub(super) const MAX_KEPT: usize = 64 * 1024;

/// The largest window of an answer in zstd, as a power of two: 8 MiB, which RFC 8878 asks every
/// decoder to support.
const LARGEST_WINDOW: u32 = 23;

/// The part of an answer's body that was kept.
#[derive(Debug, Default)]
pub(super) struct AnswerBody {
    form: Form,
    bytes: Vec<u8>,
    /// Whether `bytes` is the whole body.
    whole: bool,
}

/// What the content type says about the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Form {
    /// There is no content type.
    #[default]
    Unsaid,
    Protobuf,
    Json,
    Html,
    Other,
    /// Compressed, and nothing of it can be inflated.
    Compressed,
}

/// How the reading of an answer ended.
#[derive(Debug)]
pub(super) enum BodyEnd<E> {
    /// The peer ended it.
    Complete,
    /// The connection or the stream failed.
    Broken(E),
    /// It exceeded the longest size or the deadline.
    Endless,
}

/// The result of reading an answer.
pub(super) struct ReadAnswer<E> {
    pub(super) bytes: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) end: BodyEnd<E>,
}

/// Reads the body to its end, and keeps the first [`MAX_KEPT`] bytes. Stops after `longest`
/// bytes, or at `deadline`.
///
/// Cancel safe: dropping the future ends the stream.
pub(super) async fn read<B>(body: B, longest: usize, deadline: Instant) -> ReadAnswer<B::Error>
where
    B: hyper::body::Body<Data = Bytes>,
{
    let mut body = std::pin::pin!(body);
    let (mut bytes, mut trailers, mut length) = (Vec::new(), None, 0);
    let end = loop {
        let frame = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(error))) => break BodyEnd::Broken(error),
            Ok(None) => break BodyEnd::Complete,
            Err(_) => break BodyEnd::Endless,
        };
        match frame.into_data() {
            Ok(data) => {
                let room = MAX_KEPT - bytes.len();
                bytes.extend_from_slice(data.get(..room).unwrap_or(&data));
                length += data.len();
                if length > longest {
                    break BodyEnd::Endless;
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

/// When to stop reading an answer that has begun: shortly before the attempt's own timeout, which
/// would treat it as no answer and send the request again.
pub(super) fn deadline(begun: Instant, timeout: Duration) -> Instant {
    begun + timeout - timeout / 10
}

/// What the answer of a peer that took the request says beside the status.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct SuccessAnswer {
    /// Items that the peer rejected in a partial success.
    pub(super) rejected: u64,
    /// The peer's message about that, or what is unusual about the answer.
    pub(super) remark: Option<String>,
}

impl AnswerBody {
    /// A body, interpreted by the content type of its answer.
    pub(super) fn new(headers: &HeaderMap, bytes: Vec<u8>, whole: bool) -> Self {
        // None was asked for, and some peers compress all the same.
        let coding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
        let (bytes, whole) = match coding {
            Some(coding @ (b"gzip" | b"zstd")) => match inflate(&bytes, coding) {
                Some((inflated, ended)) => (inflated, whole && ended),
                None => {
                    return Self {
                        form: Form::Compressed,
                        bytes,
                        whole,
                    };
                }
            },
            _ => (bytes, whole),
        };
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

    /// The message of a gRPC answer, which comes after a frame header of `prefix` bytes.
    /// `encoding` is the answer's `grpc-encoding`: grpc-go, and so the Collector, compresses the
    /// answers to compressed requests, even for clients that don't say which compressions they
    /// read.
    pub(super) fn of_grpc(mut bytes: Vec<u8>, prefix: usize, encoding: &[u8]) -> Self {
        // The frame's length says whether the message is longer than what was kept.
        let length = bytes.get(1..prefix).map_or(0, |length| {
            let fold = |sum: usize, byte: &u8| sum.saturating_mul(256) + usize::from(*byte);
            length.iter().fold(0, fold)
        });
        let compressed = bytes.first() == Some(&1);
        bytes.drain(..prefix.min(bytes.len()));
        let whole = bytes.len() >= length;
        if !compressed {
            return Self {
                form: Form::Protobuf,
                whole,
                bytes,
            };
        }
        match inflate(&bytes, encoding) {
            Some((inflated, ended)) => Self {
                form: Form::Protobuf,
                whole: whole && ended,
                bytes: inflated,
            },
            None => Self {
                form: Form::Compressed,
                whole,
                bytes,
            },
        }
    }

    /// Whether it is an HTML page, such as a login or a proxy's notice. A simple peer may label
    /// its plain "ok" as `text/html`, so the first character must be `<`, too; some servers write
    /// a byte order mark before it.
    pub(super) fn is_page(&self) -> bool {
        let text = self.bytes.strip_prefix(b"\xef\xbb\xbf");
        let text = text.unwrap_or(&self.bytes).trim_ascii_start();
        self.form == Form::Html && text.starts_with(b"<")
    }

    /// Reads the body of an answer with a status of success.
    pub(super) fn acceptance(&self, secrets: &Secrets) -> SuccessAnswer {
        let odd = |remark: &str| SuccessAnswer {
            rejected: 0,
            remark: Some(remark.to_owned()),
        };
        let read = match self.form {
            _ if self.bytes.is_empty() => return SuccessAnswer::default(),
            Form::Json => partial_of_json(&self.bytes),
            Form::Protobuf | Form::Unsaid => partial_of_protobuf(&self.bytes, self.whole),
            Form::Html | Form::Other => {
                return odd("its answer is neither protobuf nor JSON, so what it says is unknown");
            }
            Form::Compressed => {
                return odd("its answer is compressed in a way that can't be read");
            }
        };
        match read {
            Some((rejected, message)) => SuccessAnswer {
                rejected,
                remark: (!message.is_empty()).then(|| secrets.shorten(&message)),
            },
            None if !self.whole => odd("its answer is too long or broke off, and can't be read"),
            None => odd("its answer can't be read"),
        }
    }

    /// Why the peer refused a request, for the log; empty if the body doesn't say.
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
            Form::Compressed => None,
            Form::Unsaid => match RpcStatus::decode(&self.bytes) {
                Some(status) => Some(status.message),
                // Text without a content type; bytes that aren't text are of no use in the log.
                None => std::str::from_utf8(&self.bytes).ok().map(str::to_owned),
            },
        };
        secrets.shorten(reason.unwrap_or_default().trim())
    }
}

/// The first [`MAX_KEPT`] bytes of what a message inflates to, and whether that is all of it;
/// `None` if nothing can be inflated.
fn inflate(bytes: &[u8], encoding: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut inflated = Vec::new();
    let decoder: Box<dyn Read + '_> = match encoding {
        b"gzip" => Box::new(flate2::bufread::GzDecoder::new(bytes)),
        b"zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
            decoder.window_log_max(LARGEST_WINDOW).ok()?;
            Box::new(decoder)
        }
        _ => return None,
    };
    // One byte more than is kept tells whether there is more.
    let read = decoder.take(MAX_KEPT as u64 + 1).read_to_end(&mut inflated);
    let ended = read.is_ok() && inflated.len() <= MAX_KEPT;
    inflated.truncate(MAX_KEPT);
    (ended || !inflated.is_empty()).then_some((inflated, ended))
}

/// The count and message of a partial success in JSON: 0 and empty if there is none, `None` if
/// the body isn't JSON.
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
    // The JSON mapping writes 64-bit numbers as strings.
    let rejected = match &rejected {
        Value::String(text) => text.parse().unwrap_or(0),
        number => number.as_u64().unwrap_or(0),
    };
    let message = find(&partial, &["errorMessage", "error_message"]);
    Some((rejected, message.as_str().unwrap_or_default().to_owned()))
}

/// The same for protobuf. If only the beginning of the body was kept, its fields are used all the
/// same: answers are long because of their message, and the count usually comes before it.
fn partial_of_protobuf(bytes: &[u8], whole: bool) -> Option<(u64, String)> {
    let partial = match (ExportResponse::decode(bytes), whole) {
        (Ok(response), _) => response.partial_success.unwrap_or_default(),
        (Err(_), true) => return None,
        (Err(_), false) => beginning(bytes)?,
    };
    let rejected = u64::try_from(partial.rejected).unwrap_or(0);
    Some((rejected, partial.error_message))
}

/// Reads a partial success whose end is missing.
fn beginning(mut bytes: &[u8]) -> Option<PartialSuccess> {
    /// The keys of fields: number and wire type.
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

/// `Export{Metrics,Trace,Logs}ServiceResponse`, which differ only in names.
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
