//! Why a request was refused, and the answer in each protocol.
//!
//! The OTLP specification says which answers a sender retries. So a refusal that may pass is 503
//! or `UNAVAILABLE` with a time to wait, and one that won't is another 4xx or a code that no
//! client retries.

use std::time::Duration;

use hyper::StatusCode;

use crate::component::Refusal;
use crate::pdata::status::RpcStatus;
use crate::pdata::{Malformed, Signal, json};

/// Why a request was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum RequestRejection {
    /// The pipelines have no room for it now.
    #[error("no room: {0}")]
    Refused(Refusal),
    /// It needs more memory than the pipelines ever have for one request.
    #[error(
        "the request needs more memory than memory_limiter allows in flight: send less at a time"
    )]
    TooHeavy,
    /// It has more bytes than the protocol's limit allows.
    #[error("the request is larger than {limit} bytes, which is the limit here")]
    TooLarge { limit: u64 },
    /// It isn't valid in the protocol that it claims to use.
    #[error("{0}")]
    Malformed(String),
    /// Its compression is neither gzip nor zstd.
    #[error("the compression is unknown: use gzip, zstd or none")]
    UnsupportedCompression,
    /// Its content type isn't one of OTLP.
    #[error("the content type is not application/x-protobuf or application/json")]
    UnsupportedContentType,
    /// The credentials are missing or wrong.
    #[error("the credentials are missing or wrong")]
    Unauthenticated,
    /// The sender ended the connection before the body was complete.
    #[error("the request ended before its body was complete")]
    Interrupted,
    /// The body didn't arrive within `body_timeout`.
    #[error("the body did not arrive in time")]
    TooSlow,
    /// No pipeline takes this signal from this receiver.
    #[error("no pipeline takes {0} from this receiver")]
    UnconfiguredSignal(Signal),
    /// A gRPC method other than the three exports.
    #[error("the method is unknown: only Export of metrics, traces and logs is served")]
    UnknownMethod,
}

impl From<Refusal> for RequestRejection {
    fn from(refusal: Refusal) -> Self {
        match refusal.retry_after {
            Some(_) => Self::Refused(refusal),
            None => Self::TooHeavy,
        }
    }
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
    /// The value of the `outcome` label of `foghorn_otlp_requests_total`.
    pub(super) fn reason(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.reason,
            Self::TooLarge { .. } | Self::TooHeavy => "too_large",
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

    /// How long the sender should wait; `None` if waiting doesn't help.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    /// The HTTP status of the answer.
    pub(super) fn http_status(&self) -> StatusCode {
        match self {
            Self::Refused(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooLarge { .. } | Self::TooHeavy => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Malformed(_) | Self::Interrupted => StatusCode::BAD_REQUEST,
            Self::UnsupportedCompression | Self::UnsupportedContentType => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::UnconfiguredSignal(_) | Self::UnknownMethod => StatusCode::NOT_FOUND,
        }
    }

    /// The gRPC code of the answer.
    pub(super) fn grpc_code(&self) -> u32 {
        match self {
            Self::Refused(_) => code::UNAVAILABLE,
            // Clients retry this code only if a `RetryInfo` comes with it.
            Self::TooLarge { .. } | Self::TooHeavy => code::RESOURCE_EXHAUSTED,
            Self::Malformed(_) | Self::UnsupportedContentType => code::INVALID_ARGUMENT,
            Self::UnsupportedCompression | Self::UnconfiguredSignal(_) | Self::UnknownMethod => {
                code::UNIMPLEMENTED
            }
            Self::Unauthenticated => code::UNAUTHENTICATED,
            Self::Interrupted => code::CANCELLED,
            Self::TooSlow => code::DEADLINE_EXCEEDED,
        }
    }

    /// The answer in JSON, as a `google.rpc.Status`.
    pub(super) fn json_status(&self) -> Vec<u8> {
        let status = serde_json::json!({ "code": self.grpc_code(), "message": self.to_string() });
        status.to_string().into_bytes()
    }

    /// The answer in protobuf, as a `google.rpc.Status`; with a `RetryInfo` if waiting helps.
    pub(super) fn status(&self) -> Vec<u8> {
        RpcStatus {
            code: self.grpc_code(),
            message: self.to_string(),
            retry_after: self.retry_after(),
        }
        .encode()
    }
}

/// The gRPC codes that this receiver answers with.
mod code {
    pub(super) const CANCELLED: u32 = 1;
    pub(super) const INVALID_ARGUMENT: u32 = 3;
    pub(super) const DEADLINE_EXCEEDED: u32 = 4;
    pub(super) const RESOURCE_EXHAUSTED: u32 = 8;
    pub(super) const UNIMPLEMENTED: u32 = 12;
    pub(super) const UNAVAILABLE: u32 = 14;
    pub(super) const UNAUTHENTICATED: u32 = 16;
}
