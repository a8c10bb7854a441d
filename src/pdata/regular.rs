//! Re-encodes what the walk found irregular, so that views can read it.
//!
//! prost does it: it merges what protobuf says is to be merged, keeps the last member of a
//! oneof, and drops groups and the unknown fields of the messages concerned. Only resources
//! that are irregular themselves pass through it; the others are copied as they stand.

use bytes::Bytes;
use opentelemetry_proto::tonic::logs::v1::ResourceLogs;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::ResourceSpans;
use prost::Message;

use super::wire::{GROUP, LEN, put_varint, take, varint};
use super::{Signal, walk};

/// A regular encoding of `request`, which the walk has accepted.
///
/// The owned structs in between take some fifty bytes for each byte of a request that is
/// made to be costly, and three for an ordinary one, for one resource at a time.
pub(super) fn encode(signal: Signal, request: &[u8]) -> Bytes {
    let mut out = Vec::with_capacity(request.len());
    let mut buf = request;
    // The walk has validated everything: `None` never comes before the end.
    while let Some(()) = field(signal, &mut buf, &mut out) {}
    out.into()
}

fn field(signal: Signal, buf: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = *buf;
    let key = varint(buf)?;
    let (number, wire) = (key >> 3, key as u32 & 7);
    match wire {
        GROUP => {
            // The only reader of groups here is prost's, which takes them for unknown.
            *buf = start;
            let wire = prost::encoding::WireType::StartGroup;
            varint(buf)?;
            let context = prost::encoding::DecodeContext::default();
            prost::encoding::skip_field(wire, number as u32, buf, context).ok()?;
            return Some(());
        }
        LEN => {
            let length = varint(buf)?;
            let content = take(buf, length)?;
            if number == 1 && !is_regular(signal, start, buf) {
                put_varint(out, key);
                let encoded = through_prost(signal, content)?;
                put_varint(out, encoded.len() as u64);
                out.extend_from_slice(&encoded);
                return Some(());
            }
        }
        _ => super::wire::skip_scalar(wire, buf)?,
    }
    out.extend_from_slice(start.get(..start.len() - buf.len())?);
    Some(())
}

/// Whether the field between `start` and `rest`, taken as a request, is regular.
fn is_regular(signal: Signal, start: &[u8], rest: &[u8]) -> bool {
    start
        .get(..start.len() - rest.len())
        .and_then(|field| walk::request(signal, field).ok())
        .is_some_and(|walked| walked.regular)
}

fn through_prost(signal: Signal, resource: &[u8]) -> Option<Vec<u8>> {
    Some(match signal {
        Signal::Metrics => ResourceMetrics::decode(resource).ok()?.encode_to_vec(),
        Signal::Traces => ResourceSpans::decode(resource).ok()?.encode_to_vec(),
        Signal::Logs => ResourceLogs::decode(resource).ok()?.encode_to_vec(),
    })
}
