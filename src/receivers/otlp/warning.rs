//! The answer to a request that was accepted, but has no item that is known here.
//!
//! It is a partial success that rejects nothing and has a message. OTLP defines that as a warning,
//! for which no client sends the request again.

use prost::Message as _;

const TEXT: &str = "nothing in this request was recognised: are its fields those of OTLP, and is it \
                    sent to the path of its signal?";

/// The response of an export, in protobuf.
pub(super) fn protobuf() -> Vec<u8> {
    let warning = SuccessWarning {
        error_message: TEXT.to_owned(),
    };
    WarningResponse {
        partial_success: Some(warning),
    }
    .encode_to_vec()
}

/// The same in JSON.
pub(super) fn json() -> Vec<u8> {
    let response = serde_json::json!({ "partialSuccess": { "errorMessage": TEXT } });
    response.to_string().into_bytes()
}

/// `Export{Metrics,Trace,Logs}ServiceResponse`, which differ in names only.
#[derive(Clone, PartialEq, prost::Message)]
struct WarningResponse {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<SuccessWarning>,
}

/// `Export{Metrics,Trace,Logs}PartialSuccess` that rejects nothing.
#[derive(Clone, PartialEq, prost::Message)]
struct SuccessWarning {
    #[prost(string, tag = "2")]
    error_message: String,
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;

    use super::*;

    #[test]
    fn the_warning_rejects_nothing_in_either_encoding() {
        let response = ExportMetricsServiceResponse::decode(&protobuf()[..]).unwrap();
        let partial = response.partial_success.unwrap();
        assert_eq!(partial.rejected_data_points, 0);
        assert_eq!(partial.error_message, TEXT);
        let said: serde_json::Value = serde_json::from_slice(&json()).unwrap();
        let expected = serde_json::json!({ "partialSuccess": { "errorMessage": TEXT } });
        assert_eq!(said, expected);
    }
}
