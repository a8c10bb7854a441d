//! `google.rpc.Status`, by which both OTLP protocols say why a request was not taken and
//! how long the sender should wait.

use std::time::Duration;

use prost::Message;

/// A status with the one kind of detail that OTLP gives a meaning to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RpcStatus {
    /// A gRPC code.
    pub code: u32,
    /// What happened, for people.
    pub message: String,
    /// The `RetryInfo` among the details: the same request may work after so long.
    pub retry_after: Option<Duration>,
}

const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

impl RpcStatus {
    /// The encoded message.
    pub fn encode(&self) -> Vec<u8> {
        let details = self.retry_after.map(|delay| wire::Any {
            type_url: RETRY_INFO.to_owned(),
            value: wire::RetryInfo {
                retry_delay: Some(wire::Duration {
                    seconds: i64::try_from(delay.as_secs()).unwrap_or(i64::MAX),
                    nanos: delay.subsec_nanos().cast_signed(),
                }),
            }
            .encode_to_vec(),
        });
        wire::Status {
            code: self.code.cast_signed(),
            message: self.message.clone(),
            details: details.into_iter().collect(),
        }
        .encode_to_vec()
    }

    /// Reads an encoded status; none where the bytes are something else. Advice that can't
    /// be read is as good as none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let status = wire::Status::decode(bytes).ok()?;
        let retry_after = status
            .details
            .iter()
            .filter(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))
            .find_map(|any| delay(&any.value));
        Some(Self {
            code: status.code.cast_unsigned(),
            message: status.message,
            retry_after,
        })
    }
}

fn delay(retry_info: &[u8]) -> Option<Duration> {
    let delay = wire::RetryInfo::decode(retry_info).ok()?.retry_delay?;
    let seconds = u64::try_from(delay.seconds).ok()?;
    let nanos = u32::try_from(delay.nanos)
        .ok()
        .filter(|nanos| *nanos < 1_000_000_000)?;
    Some(Duration::new(seconds, nanos))
}

/// The messages as they travel.
mod wire {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Status {
        #[prost(int32, tag = "1")]
        pub(super) code: i32,
        #[prost(string, tag = "2")]
        pub(super) message: String,
        #[prost(message, repeated, tag = "3")]
        pub(super) details: Vec<Any>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Any {
        #[prost(string, tag = "1")]
        pub(super) type_url: String,
        #[prost(bytes = "vec", tag = "2")]
        pub(super) value: Vec<u8>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct RetryInfo {
        #[prost(message, optional, tag = "1")]
        pub(super) retry_delay: Option<Duration>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Duration {
        #[prost(int64, tag = "1")]
        pub(super) seconds: i64,
        #[prost(int32, tag = "2")]
        pub(super) nanos: i32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_survives_the_wire_with_its_advice() {
        for retry_after in [
            None,
            Some(Duration::from_millis(1500)),
            Some(Duration::ZERO),
        ] {
            let status = RpcStatus {
                code: 14,
                message: "no room".to_owned(),
                retry_after,
            };
            assert_eq!(RpcStatus::decode(&status.encode()), Some(status));
        }
    }

    #[test]
    fn advice_that_makes_no_sense_is_none() {
        let f = |seconds, nanos| {
            let info = wire::RetryInfo {
                retry_delay: Some(wire::Duration { seconds, nanos }),
            };
            delay(&info.encode_to_vec())
        };
        assert_eq!(f(1, 5), Some(Duration::new(1, 5)));
        assert_eq!(f(-1, 0), None);
        assert_eq!(f(0, -1), None);
        assert_eq!(f(0, 1_000_000_000), None);
        assert_eq!(RpcStatus::decode(b"\xff\xff"), None);
    }
}
