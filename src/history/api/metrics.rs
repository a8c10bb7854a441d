//! What the API counts of itself.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, UpDownCounter};

use super::refusal::RefusalKind;
use crate::telemetry::Telemetry;

/// The instruments of the API. Clones share them.
#[derive(Clone)]
pub(super) struct QueryMetrics {
    requests: Counter<u64>,
    seconds: Counter<f64>,
    stages: UpDownCounter<i64>,
    rejected: Counter<u64>,
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryStage {
    /// It waits for a place.
    Waiting,
    /// It has one.
    Running,
}

/// Why a request was given up for something else than what it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueryRejection {
    /// No place was free in time.
    NoPlace,
    /// It took longer than it may.
    Timeout,
    /// It would have held more than it may.
    Limit,
    /// The client went away before there was an answer.
    ClientGone,
    /// The client took its answer too slowly.
    SlowClient,
}

impl QueryStage {
    const ALL: [Self; 2] = [Self::Waiting, Self::Running];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
        }
    }
}

impl QueryRejection {
    const ALL: [Self; 5] = [
        Self::NoPlace,
        Self::Timeout,
        Self::Limit,
        Self::ClientGone,
        Self::SlowClient,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::NoPlace => "no_place",
            Self::Timeout => "timeout",
            Self::Limit => "limit",
            Self::ClientGone => "client_gone",
            Self::SlowClient => "slow_client",
        }
    }
}

impl QueryMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let meter = telemetry.meter("foghorn.query");
        let metrics = Self {
            requests: meter
                .u64_counter("foghorn_query_requests_total")
                .with_description("Requests to the query API that were answered")
                .build(),
            seconds: meter
                .f64_counter("foghorn_query_seconds_total")
                .with_description("Time from a request to the query API to the start of its answer")
                .build(),
            stages: meter
                .i64_up_down_counter("foghorn_query_in_flight")
                .with_description("Requests to the query API that wait for a place or hold one")
                .build(),
            rejected: meter
                .u64_counter("foghorn_query_rejected_total")
                .with_description("Requests to the query API that were given up")
                .build(),
        };
        // Created with 0: if the series appeared with its first event, `rate` would miss that.
        for reason in QueryRejection::ALL {
            let label = KeyValue::new("reason", reason.as_str());
            metrics.rejected.add(0, &[label]);
        }
        for stage in QueryStage::ALL {
            metrics.stages.add(0, &[metrics.stage(stage)]);
        }
        metrics
    }

    /// A request has its answer, or the first piece of it.
    pub(super) fn answered(
        &self,
        endpoint: &'static str,
        refused: Option<RefusalKind>,
        took: Duration,
    ) {
        let outcome = refused.map_or("success", RefusalKind::as_str);
        let endpoint = KeyValue::new("endpoint", endpoint);
        let labels = [endpoint.clone(), KeyValue::new("outcome", outcome)];
        self.requests.add(1, &labels);
        self.seconds.add(took.as_secs_f64(), &[endpoint]);
    }

    pub(super) fn rejected(&self, reason: QueryRejection) {
        let label = KeyValue::new("reason", reason.as_str());
        self.rejected.add(1, &[label]);
    }

    pub(super) fn entered(&self, stage: QueryStage) {
        self.stages.add(1, &[self.stage(stage)]);
    }

    pub(super) fn left(&self, stage: QueryStage) {
        self.stages.add(-1, &[self.stage(stage)]);
    }

    fn stage(&self, stage: QueryStage) -> KeyValue {
        KeyValue::new("stage", stage.as_str())
    }
}
