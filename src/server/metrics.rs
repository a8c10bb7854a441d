//! The metrics of a listener.
//!
//! - `foghorn_http_requests_total{listener,path,code}`: answered requests; `path` is a
//!   registered one or `other`
//! - `foghorn_http_connections{listener}`: open connections
//! - `foghorn_http_connections_rejected_total{listener,reason}`: connections that were
//!   refused or ended; see [`ConnectionRejection`] for the reasons

use std::sync::Arc;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, UpDownCounter};

use crate::telemetry::Telemetry;

/// The instruments of one listener. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Metrics {
    listener: Arc<str>,
    requests: Counter<u64>,
    rejected: Counter<u64>,
    open: UpDownCounter<i64>,
}

/// Why a connection was refused, or closed without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionRejection {
    /// The listener had as many connections as its limit.
    Limit,
    /// It was closed to make room for a new one.
    Displaced,
    /// Accepting failed, usually for lack of file descriptors.
    Accept,
    /// The client disconnected before it was accepted.
    Gone,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// The head of a request took too long to arrive.
    SlowHead,
    /// The client didn't read its answer in time.
    SlowRead,
    /// The request wasn't valid HTTP, or its head was too large.
    Malformed,
}

impl ConnectionRejection {
    const ALL: [Self; 8] = [
        Self::Limit,
        Self::Displaced,
        Self::Accept,
        Self::Gone,
        Self::Handshake,
        Self::SlowHead,
        Self::SlowRead,
        Self::Malformed,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Limit => "connection_limit",
            Self::Displaced => "displaced",
            Self::Accept => "accept_error",
            Self::Gone => "client_gone",
            Self::Handshake => "tls_handshake",
            Self::SlowHead => "slow_head",
            Self::SlowRead => "slow_read",
            Self::Malformed => "malformed",
        }
    }
}

impl Metrics {
    /// Instruments for the listener of this name.
    pub(super) fn new(telemetry: &Telemetry, listener: &str) -> Self {
        let meter = telemetry.meter("foghorn.http");
        let metrics = Self {
            listener: listener.into(),
            requests: meter
                .u64_counter("foghorn_http_requests_total")
                .with_description("Requests answered by the agent's HTTP listeners")
                .build(),
            rejected: meter
                .u64_counter("foghorn_http_connections_rejected_total")
                .with_description("Connections refused or ended without an answer")
                .build(),
            open: meter
                .i64_up_down_counter("foghorn_http_connections")
                .with_description("Open connections of the agent's HTTP listeners")
                .build(),
        };
        // Created with 0: if the series appeared with its first event, `rate` would miss that.
        for reason in ConnectionRejection::ALL {
            metrics
                .rejected
                .add(0, &metrics.labels("reason", reason.as_str()));
        }
        metrics.open.add(0, &[metrics.label()]);
        metrics
    }

    pub(super) fn listener(&self) -> &str {
        &self.listener
    }

    pub(super) fn answered(&self, path: &Arc<str>, code: u16) {
        self.requests.add(
            1,
            &[
                self.label(),
                KeyValue::new("path", Arc::clone(path)),
                KeyValue::new("code", i64::from(code)),
            ],
        );
    }

    pub(super) fn rejected(&self, reason: ConnectionRejection) {
        self.rejected
            .add(1, &self.labels("reason", reason.as_str()));
    }

    pub(super) fn opened(&self) {
        self.open.add(1, &[self.label()]);
    }

    pub(super) fn closed(&self) {
        self.open.add(-1, &[self.label()]);
    }

    fn label(&self) -> KeyValue {
        KeyValue::new("listener", Arc::clone(&self.listener))
    }

    fn labels(&self, key: &'static str, value: &'static str) -> [KeyValue; 2] {
        [self.label(), KeyValue::new(key, value)]
    }
}
