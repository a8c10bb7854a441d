//! Why a request was not taken, and how each protocol says so.
//!
//! The OTLP specification tells senders which answers to retry. So what can work later is
//! 503 or `UNAVAILABLE` with advice on how long to wait, and what never will is another 4xx
//! or a code that no client retries.

use std::time::Duration;

use hyper::StatusCode;

use crate::component::Refusal;
use crate::pdata::status::RpcStatus;
use crate::pdata::{Malformed, Signal, json};

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestRejection {
    /// The pipelines have no room at the moment.
    #[error("no room: {0}")]
    Refused(#[from] Refusal),
    /// More bytes than the protocol's limit allows.
    #[error("the request is larger than {limit} bytes, which is the limit here")]
    TooLarge { limit: u64 },
    /// Not the protocol that it claims to be.
    #[error("{0}")]
    Malformed(String),
    /// Compressed in a way that isn't spoken here.
    #[error("the compression is unknown: use gzip, zstd or none")]
    UnsupportedCompression,
    /// No OTLP content type.
    #[error("the content type is not application/x-protobuf or application/json")]
    UnsupportedContentType,
    /// The credentials are missing or wrong.
    #[error("the credentials are missing or wrong")]
    Unauthenticated,
    /// The sender ended the request halfway.
    #[error("the request ended before its body was complete")]
    Interrupted,
    /// The body didn't arrive in time.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// This signal stands in no pipeline.
    #[error("no pipeline takes {0} from this receiver")]
    UnconfiguredSignal(Signal),
    /// A gRPC method other than the three exports.
    #[error("the method is unknown: only Export of metrics, traces and logs is served")]
    UnknownMethod,
}

impl From<json::InvalidJson> for RequestRejection {
    fn from(invalid: json::InvalidJson) -> Self {
        Self::Malformed(invalid.to_string())
    }
}

impl From<Malformed> for RequestRejection {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed.to_string())
    }
}

impl RequestRejection {
    /// The `reason` label of the counter of refused requests.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason,
            Self::TooLarge { .. } => "too_large",
            Self::Malformed(_) => "malformed",
            Self::UnsupportedCompression => "unsupported_compression",
            Self::UnsupportedContentType => "unsupported_content_type",
            Self::Unauthenticated => "unauthenticated",
            Self::Interrupted => "interrupted",
            Self::TooSlow => "too_slow",
            Self::UnconfiguredSignal(_) => "unconfigured_signal",
            Self::UnknownMethod => "unknown_method",
        }
    }

    /// How long the sender should wait, where waiting can help.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => Some(refusal.retry_after),
            _ => None,
        }
    }

    /// The status of an HTTP answer.
    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Self::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) | Self::Interrupted => StatusCode::BAD_REQUEST,
            Self::UnsupportedCompression | Self::UnsupportedContentType => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnconfiguredSignal(_) | Self::UnknownMethod => StatusCode::NOT_FOUND,
        }
    }

    /// The code of a gRPC answer.
    pub(super) fn grpc_code(&self) -> u32 {
        match self {
            Self::Refused(_) => code::UNAVAILABLE,
            // Without RetryInfo no client retries it.
            Self::TooLarge { .. } => code::RESOURCE_EXHAUSTED,
            Self::Malformed(_) | Self::UnsupportedContentType => code::INVALID_ARGUMENT,
            Self::UnsupportedCompression | Self::UnconfiguredSignal(_) | Self::UnknownMethod => {
                code::UNIMPLEMENTED
            }
            Self::Unauthenticated => code::UNAUTHENTICATED,
            Self::Interrupted => code::CANCELLED,
            Self::TooSlow => code::DEADLINE_EXCEEDED,
        }
    }

    /// The answer as JSON, in the mapping of `google.rpc.Status`.
    pub(super) fn json_status(&self) -> Vec<u8> {
        let status = serde_json::json!({ "code": self.grpc_code(), "message": self.to_string() });
        status.to_string().into_bytes()
    }

    /// The answer as an encoded `google.rpc.Status`, with a `RetryInfo` where waiting helps.
    pub(super) fn status(&self) -> Vec<u8> {
        RpcStatus {
            code: self.grpc_code(),
            message: self.to_string(),
            retry_after: self.retry_after(),
        }
        .encode()
    }
}

/// The codes of gRPC that this receiver answers with.
mod code {
    pub(super) const CANCELLED: u32 = 1;
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const UNAUTHENTICATED: u32 = 16;
}
