//! What both protocols do with a request once its body is there.

use std::collections::BTreeMap;
use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;

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
}

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
    ) -> Result<(), Rejection> {
        let batch = match encoding {
            Encoding::Protobuf => Batch::decode(signal, admitted.bytes)?,
            Encoding::Json => json::decode(signal, &admitted.bytes)?,
        };
        // Room for what reading an irregular request will take.
        match batch.weight() - batch.size() {
            0 => {}
            more => admitted.admission.grow(more)?,
        }
        admitted.admission.accept(batch).await;
        Ok(())
    }

    /// Counts a request by what became of it.
    pub(super) fn count(&self, signal: Option<Signal>, rejection: Option<&Rejection>) {
        match (
            signal.and_then(|signal| self.accepted.get(&signal)),
            rejection,
        ) {
            (Some(accepted), None) => self.requests.add(1, accepted),
            _ => {
                let outcome = rejection.map_or("accepted", Rejection::reason);
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
