//! Decodes the body of a request and hands it to the pipelines, for both protocols.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use super::body::ReceivedBody;
use super::rejection::RequestRejection;
use crate::component::{Admission, BuildContext, Intake};
use crate::lane::Lane;
use crate::pdata::{Decoded, Signal, json};
use crate::telemetry::Throttle;

/// The encoding of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Protocol buffers.
    Protobuf,
    /// The JSON mapping of OTLP.
    Json,
}

/// Hands the requests of one protocol to the pipelines, and counts them.
pub(super) struct Ingest {
    /// Runs the inflating and decoding of large bodies.
    pub(super) lane: Lane,
    intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    requests: Counter<u64>,
    receiver: KeyValue,
    transport: KeyValue,
    /// The attributes of the counter for accepted requests, prepared once.
    accepted: BTreeMap<Signal, [KeyValue; 4]>,
    /// Requests in which nothing was recognised.
    unrecognised: Throttle,
}

/// How much of a request was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IngestOutcome {
    /// All of it.
    All,
    /// None, as far as this receiver can tell: it has unknown fields and no item. The pipelines
    /// get what was decoded all the same.
    Unrecognised,
}

impl Ingest {
    /// For the pipelines in `context`; `transport` is `grpc` or `http`.
    pub(super) fn new(
        context: &BuildContext,
        lane: Lane,
        transport: &'static str,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> Self {
        let requests = context
            .telemetry
            .meter("foghorn")
            .u64_counter("foghorn_otlp_requests_total")
            .with_description("Requests by what became of them: accepted, or why not")
            .build();
        let mut ingest = Self {
            lane,
            intakes,
            requests,
            receiver: KeyValue::new("receiver", Arc::<str>::from(context.id.to_string())),
            transport: KeyValue::new("transport", transport),
            accepted: BTreeMap::new(),
            unrecognised: Throttle::default(),
        };
        ingest.accepted = Signal::ALL
            .map(|signal| (signal, ingest.attributes(Some(signal), "accepted")))
            .into();
        ingest
    }

    /// The pipelines that take this signal.
    pub(super) fn intake(&self, signal: Signal) -> Result<&dyn Intake, RequestRejection> {
        match self.intakes.get(&signal) {
            Some(intake) => Ok(intake.as_ref()),
            None => Err(RequestRejection::UnconfiguredSignal(signal)),
        }
    }

    /// Decodes a request and hands it to the pipelines. Resolves when the sender may be told that
    /// its data was accepted.
    pub(super) async fn take(
        &self,
        signal: Signal,
        encoding: Encoding,
        admitted: ReceivedBody,
    ) -> Result<IngestOutcome, RequestRejection> {
        let (decoded, mut admission) = decode(&self.lane, signal, encoding, admitted).await?;
        let Decoded {
            batch,
            unrecognised,
        } = decoded;
        // Reading an irregular request will take more memory than its bytes.
        match batch.weight() - batch.size() {
            0 => {}
            more => admission.grow_memory(more)?,
        }
        admission.accept(batch).await;
        if unrecognised {
            if let Some(requests) = self.unrecognised.pass(1, Instant::now()) {
                self.tell_unrecognised(requests, Some(signal));
            }
            return Ok(IngestOutcome::Unrecognised);
        }
        Ok(IngestOutcome::All)
    }

    /// Logs that so many requests had only unknown keys; the last of them was of `signal`.
    fn tell_unrecognised(&self, requests: u64, signal: Option<Signal>) {
        tracing::warn!(
            receiver = %self.receiver.value,
            signal = signal.map(Signal::as_str),
            requests,
            "nothing in a request was recognised: is it OTLP, and of this signal?"
        );
    }

    /// Counts a request by its outcome.
    pub(super) fn count(
        &self,
        signal: Option<Signal>,
        outcome: &Result<IngestOutcome, RequestRejection>,
    ) {
        match (
            signal.and_then(|signal| self.accepted.get(&signal)),
            outcome,
        ) {
            (Some(accepted), Ok(IngestOutcome::All)) => self.requests.add(1, accepted),
            _ => {
                let outcome = match outcome {
                    Ok(IngestOutcome::All) => "accepted",
                    Ok(IngestOutcome::Unrecognised) => "unrecognised",
                    Err(rejection) => rejection.reason(),
                };
                self.requests.add(1, &self.attributes(signal, outcome));
            }
        }
    }

    fn attributes(&self, signal: Option<Signal>, outcome: &'static str) -> [KeyValue; 4] {
        [
            self.receiver.clone(),
            self.transport.clone(),
            KeyValue::new("signal", signal.map_or("none", Signal::as_str)),
            KeyValue::new("outcome", outcome),
        ]
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        if let Some(requests) = self.unrecognised.rest() {
            self.tell_unrecognised(requests, None);
        }
    }
}

impl Encoding {
    /// The largest body that is decoded on the worker, in bytes. That takes up to a millisecond;
    /// protobuf is only checked, JSON is translated.
    fn inline(self) -> usize {
        match self {
            Self::Protobuf => 1024 * 1024,
            Self::Json => 256 * 1024,
        }
    }
}

/// Decodes a body, in `lane` if it is large, and returns its admission with it.
async fn decode(
    lane: &Lane,
    signal: Signal,
    encoding: Encoding,
    admitted: ReceivedBody,
) -> Result<(Decoded, Box<dyn Admission>), RequestRejection> {
    let small = admitted.bytes.len() <= encoding.inline();
    // The closure owns the admission: if the sender disconnects, the body's room stays taken
    // until the work ends.
    let work = move || {
        let decoded = match encoding {
            Encoding::Protobuf => Decoded::protobuf(signal, admitted.bytes)?,
            Encoding::Json => json::decode(signal, &admitted.bytes)?,
        };
        Ok((decoded, admitted.admission))
    };
    if small { work() } else { lane.run(work).await }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use futures_util::future::BoxFuture;

    use super::*;
    use crate::component::Refusal;
    use crate::pdata::Batch;

    struct Room;

    impl Admission for Room {
        fn grow(&mut self, _: u64) -> Result<(), Refusal> {
            Ok(())
        }

        fn accept(self: Box<Self>, _: Batch) -> BoxFuture<'static, ()> {
            Box::pin(std::future::ready(()))
        }
    }

    #[tokio::test]
    async fn a_large_body_is_decoded_off_the_worker_and_a_small_one_on_it() {
        // What goes to a lane without threads never begins.
        let (nowhere, lane) = (Lane::new(0), Lane::new(1));
        let empty = json::decode(Signal::Metrics, b"{}").unwrap().batch;
        let f = async |encoding, bytes: Vec<u8>, on_worker: bool| {
            let admitted = || ReceivedBody {
                bytes: bytes.clone().into(),
                admission: Box::new(Room),
            };
            let once = decode(&nowhere, Signal::Metrics, encoding, admitted()).now_or_never();
            assert_eq!(once.is_some(), on_worker);
            let whole = decode(&lane, Signal::Metrics, encoding, admitted()).await;
            assert_eq!(whole.unwrap().0.batch.items(), empty.items());
        };
        let json = |size: usize| [br#"{"resourceMetrics":[]}"#.to_vec(), vec![b' '; size]].concat();
        f(Encoding::Json, json(200 * 1024), true).await;
        f(Encoding::Json, json(300 * 1024), false).await;
        // Two bytes that encode a resource without metrics.
        let protobuf = |size: usize| [0x0a, 0x00].repeat(size / 2);
        f(Encoding::Protobuf, protobuf(1000 * 1024), true).await;
        f(Encoding::Protobuf, protobuf(1100 * 1024), false).await;
    }
}
