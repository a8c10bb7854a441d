//! What both protocols do with a request once its body is there.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use super::body::Admitted;
use super::rejection::Rejection;
use crate::component::{BuildContext, Intake};
use crate::pdata::{Batch, Signal, json};

/// How the message in a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// Protocol buffers.
    Protobuf,
    /// The JSON mapping of OTLP.
    Json,
}

/// One protocol's way into the pipelines.
pub(super) struct Ingest {
    intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    requests: Counter<u64>,
    receiver: KeyValue,
    transport: KeyValue,
    /// The attributes of an accepted request, made once.
    accepted: BTreeMap<Signal, [KeyValue; 4]>,
    /// When the log last said that nothing was recognised. Std: the section reads a clock.
    told: Mutex<Option<Instant>>,
}

/// How much of a request was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    /// All that its sender meant.
    All,
    /// Nothing: it has keys, but none that lead to an item.
    Unrecognised,
}

/// Requests in which nothing is recognised are logged at most this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

impl Ingest {
    /// The way of `transport` (`grpc` or `http`) into these pipelines.
    pub(super) fn new(
        context: &BuildContext,
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
            intakes,
            requests,
            receiver: KeyValue::new("receiver", Arc::<str>::from(context.id.to_string())),
            transport: KeyValue::new("transport", transport),
            accepted: BTreeMap::new(),
            told: Mutex::default(),
        };
        ingest.accepted = Signal::ALL
            .map(|signal| (signal, ingest.attributes(Some(signal), "accepted")))
            .into();
        ingest
    }

    /// The pipelines of a signal.
    pub(super) fn intake(&self, signal: Signal) -> Result<&dyn Intake, Rejection> {
        match self.intakes.get(&signal) {
            Some(intake) => Ok(intake.as_ref()),
            None => Err(Rejection::UnconfiguredSignal(signal)),
        }
    }

    /// Decodes a request and hands it over. Resolves once the sender may forget it.
    pub(super) async fn take(
        &self,
        signal: Signal,
        encoding: Encoding,
        mut admitted: Admitted,
    ) -> Result<Taken, Rejection> {
        let batch = match encoding {
            Encoding::Protobuf => Batch::decode(signal, admitted.bytes)?,
            Encoding::Json => {
                let decoded = json::decode(signal, &admitted.bytes)?;
                if decoded.unrecognised {
                    self.tell_unrecognised(signal);
                    return Ok(Taken::Unrecognised);
                }
                decoded.batch
            }
        };
        // Room for what reading an irregular request will take.
        match batch.weight() - batch.size() {
            0 => {}
            more => admitted.admission.grow(more)?,
        }
        admitted.admission.accept(batch).await;
        Ok(Taken::All)
    }

    /// Says, once a minute at most, that senders send what nobody here can read.
    fn tell_unrecognised(&self, signal: Signal) {
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| now.duration_since(told) >= TELL_EVERY) {
            *told = Some(now);
            tracing::warn!(
                receiver = %self.receiver.value,
                %signal,
                "a request in JSON had keys, and nothing in it was recognised: is it of this signal?"
            );
        }
    }

    /// Counts a request by what became of it.
    pub(super) fn count(&self, signal: Option<Signal>, outcome: &Result<Taken, Rejection>) {
        match (
            signal.and_then(|signal| self.accepted.get(&signal)),
            outcome,
        ) {
            (Some(accepted), Ok(Taken::All)) => self.requests.add(1, accepted),
            _ => {
                let outcome = match outcome {
                    Ok(Taken::All) => "accepted",
                    Ok(Taken::Unrecognised) => "unrecognised",
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
