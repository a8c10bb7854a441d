//! How many requests a deployment gets, how many of them fail, and how long they take: from what
//! its replicas count.
//!
//! Two components derive this, one from pages that it scrapes and one from histograms that pass by
//! it. Both hand over what each series of a replica counts in all. From one reading to the next
//! this becomes a [`Growth`], a [`ReplicaTraffic`] holds the growth of the last interval, and a
//! [`TrafficSum`] adds the replicas up.
//!
//! - A total that falls has begun anew: what it counted since then is its growth.
//! - The rate of a replica is its growth over the time between its own readings, by its own clock,
//!   so that replicas may report at different times and at different intervals.
//! - A replica of which nothing is heard any more leaves the sum ([`ReplicaPresence`]).
//! - Without requests the rates are 0, and latencies are absent.
//!
//! Quantiles are interpolated as Prometheus's `histogram_quantile` does. Of histograms with
//! different explicit bounds those bounds are used that they share; what can't be added at all, such
//! as an exponential histogram beside explicit ones, is left out where fewer observations are.
//!
//! **Architecture Invariant:** nothing here knows a component, a clock or a socket. It imports only
//! `pdata`, to write the gauges, and `window`, for buckets.

mod gauges;
mod growth;
mod labels;
mod observed;
mod reading;
mod replica;
mod sum;
#[cfg(test)]
mod tests;
mod unit;

pub use gauges::{TrafficChange, write_gauges};
pub use growth::Growth;
pub use labels::DeploymentLabels;
pub use observed::ObservedLatency;
pub use reading::{LatencyReading, UnreadableBuckets};
pub use replica::{ReplicaPresence, ReplicaTraffic};
pub use sum::{TrafficSum, TrafficValues};
pub use unit::LatencyUnit;
