//! Counts the changes of certificates, keys, authorities and tokens.
//!
//! - `foghorn_file_renewals_total{outcome}`: `renewed`, or `unusable` where the content before
//!   stays in use

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use crate::net::RenewalCounts;

/// Registers the observer. The counts are those of the process.
pub(super) fn observe(meter: &Meter) {
    meter
        .u64_observable_counter("foghorn_file_renewals_total")
        .with_description("Changes of certificates, keys, authorities and tokens by outcome")
        .with_callback(|observer| {
            let RenewalCounts { renewed, unusable } = RenewalCounts::current();
            observer.observe(renewed, &[KeyValue::new("outcome", "renewed")]);
            observer.observe(unusable, &[KeyValue::new("outcome", "unusable")]);
        })
        .build();
}
