//! Reads what a Betanet service answers. Pure: bytes in, an [`InstanceReading`] out.
//!
//! A field may be absent or null, but for the counts of a mixnode. A field of another type, a
//! negative count, or an answer without any known field fails the whole answer; in the list of
//! mixnodes only their entry. Errors name
//! the place and never quote the body.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use serde::Deserialize;

use super::reading::{InstanceReading, Mixnode, Rejected};
use super::service_path::ServicePath;
use super::text;
use crate::receivers::scrape::FailureReason;
use crate::receivers::scrape::json::{Elements, JsonText, NonNegative, WholeNumber, garbage, json};
use crate::resilience::FetchError;
use crate::steps;

/// The longest id of a mixnode that is used, in bytes.
const MAX_ID: usize = 256;

impl ServicePath {
    /// Reads this path's answer. Of a list of more than `max_mixnodes`, those beyond count for the
    /// sums alone.
    pub(super) fn read(
        self,
        body: &[u8],
        max_mixnodes: usize,
    ) -> Result<InstanceReading, FetchError> {
        let reading = match self {
            Self::ApiMetrics => json::<ApiMetrics>(body)?.into(),
            Self::ApiNodes => json::<ApiNodes>(body)?.into(),
            Self::ApiNetwork => json::<ApiNetwork>(body)?.into(),
            Self::Status => json::<StatusDocument>(body)?.into(),
            Self::Metrics => text::read(body).map_err(garbage)?,
            Self::Mixnodes => return mixnodes(body, max_mixnodes),
        };
        if reading == InstanceReading::default() {
            return Err(garbage("none of the expected fields is there"));
        }
        Ok(reading)
    }
}

#[derive(Deserialize)]
struct ApiMetrics {
    packets_processed: Option<WholeNumber>,
    packets_dropped: Option<WholeNumber>,
}

impl From<ApiMetrics> for InstanceReading {
    fn from(answer: ApiMetrics) -> Self {
        Self {
            processed: count(answer.packets_processed),
            dropped: count(answer.packets_dropped),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct ApiNodes {
    active_nodes: Option<WholeNumber>,
    total_nodes: Option<WholeNumber>,
}

impl From<ApiNodes> for InstanceReading {
    fn from(answer: ApiNodes) -> Self {
        Self {
            peers: count(answer.total_nodes),
            active: count(answer.active_nodes),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct ApiNetwork {
    bytes_transmitted: Option<WholeNumber>,
    bytes_received: Option<WholeNumber>,
    avg_latency_ms: Option<NonNegative>,
    peak_throughput: Option<NonNegative>,
}

impl From<ApiNetwork> for InstanceReading {
    fn from(answer: ApiNetwork) -> Self {
        Self {
            transmitted: count(answer.bytes_transmitted),
            received: count(answer.bytes_received),
            latency_ms: amount(answer.avg_latency_ms),
            peak_throughput: amount(answer.peak_throughput),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct StatusDocument {
    active_nodes: Option<WholeNumber>,
    connections: Option<WholeNumber>,
    avg_latency_ms: Option<NonNegative>,
    packets_processed: Option<WholeNumber>,
}

impl From<StatusDocument> for InstanceReading {
    fn from(answer: StatusDocument) -> Self {
        Self {
            active: count(answer.active_nodes),
            connections: count(answer.connections),
            latency_ms: amount(answer.avg_latency_ms),
            processed: count(answer.packets_processed),
            ..Self::default()
        }
    }
}

#[derive(Deserialize)]
struct ListEntry {
    id: JsonText,
    status: Option<JsonText>,
    packets_processed: WholeNumber,
    packets_forwarded: WholeNumber,
    packets_dropped: WholeNumber,
    uptime_seconds: Option<NonNegative>,
    avg_latency_ms: Option<NonNegative>,
}

/// Reads the list of mixnodes. An entry that can't be used is left out and counted: as `invalid` if
/// it can't be read, has no id or that of an earlier entry, as `limit` if its id is too long. A list
/// in which no entry can be used fails. Of more than `max_mixnodes`, those whose ids come last have
/// no series of their own, which counts as `limit`, too: so the same ones have series whatever
/// order the list has.
fn mixnodes(body: &[u8], max_mixnodes: usize) -> Result<InstanceReading, FetchError> {
    let entries = Elements::of(body)?;
    let listed = entries.clone().count();
    let mut rejected = Rejected::default();
    let mut mixnodes = Vec::with_capacity(listed);
    for entry in entries {
        match json::<ListEntry>(entry) {
            Ok(entry) if entry.id.0.len() > MAX_ID => rejected.limit += 1,
            // An empty label is none, so its series would look like sums over all mixnodes.
            Ok(entry) if entry.id.0.is_empty() => {}
            Ok(entry) => mixnodes.push(Mixnode::from(entry)),
            Err(_) => {}
        }
    }
    // Two entries of one id would be one series with two values, so only the first is used.
    let mut ids = HashSet::with_capacity(mixnodes.len());
    let first: Vec<bool> = mixnodes
        .iter()
        .map(|node: &Mixnode| ids.insert(Id(&node.id)))
        .collect();
    drop(ids);
    let mut first = first.into_iter();
    mixnodes.retain(|_| first.next().unwrap_or(false));
    rejected.invalid = (listed - mixnodes.len()) as u64 - rejected.limit;

    if mixnodes.is_empty() && listed > 0 {
        return Err(match rejected.invalid {
            0 => {
                let message = format!("no mixnode has an id of {MAX_ID} bytes or less");
                FailureReason::Limit.error(message)
            }
            _ => garbage(format!("none of the {listed} mixnodes is as expected")),
        });
    }
    let mut reading = InstanceReading {
        peers: Some(mixnodes.len() as u64),
        active: Some(mixnodes.iter().filter(|node| node.active).count() as u64),
        processed: sum(&mixnodes, |node| node.processed),
        dropped: sum(&mixnodes, |node| node.dropped),
        latency_ms: mean_latency(&mixnodes),
        ..InstanceReading::default()
    };
    if mixnodes.len() > max_mixnodes {
        mixnodes.select_nth_unstable_by(max_mixnodes, |a, b| a.id.cmp(&b.id));
        let others = mixnodes.split_off(max_mixnodes);
        rejected.limit += others.len() as u64;
        reading.others = Some(others.into());
    }
    reading.mixnodes = Some(mixnodes.into());
    reading.rejected = rejected;
    Ok(reading)
}

impl From<ListEntry> for Mixnode {
    fn from(entry: ListEntry) -> Self {
        Self {
            active: entry.status.is_some_and(|status| status.0 == "active"),
            id: entry.id.0,
            processed: Some(entry.packets_processed.0),
            forwarded: Some(entry.packets_forwarded.0),
            dropped: Some(entry.packets_dropped.0),
            uptime_seconds: amount(entry.uptime_seconds),
            latency_ms: amount(entry.avg_latency_ms),
        }
    }
}

/// An id in the set of the ids that were read before.
#[derive(PartialEq, Eq)]
struct Id<'a>(&'a str);

impl Hash for Id<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        steps::count(self.0.len());
        self.0.hash(state);
    }
}

/// The sum over the mixnodes that report it: 0 for an empty list, `None` if no mixnode of the
/// list reports it.
fn sum(mixnodes: &[Mixnode], value: impl Fn(&Mixnode) -> Option<u64>) -> Option<u64> {
    if mixnodes.is_empty() {
        return Some(0);
    }
    mixnodes
        .iter()
        .filter_map(value)
        .reduce(u64::saturating_add)
}

/// The mean over the active mixnodes, weighted by the packets that they processed, since an idle
/// mixnode says little about how long a message takes. The plain mean if none has processed any.
fn mean_latency(mixnodes: &[Mixnode]) -> Option<f64> {
    let told: Vec<(f64, f64)> = mixnodes
        .iter()
        .filter(|node| node.active)
        .filter_map(|node| Some((node.latency_ms?, node.processed.unwrap_or(0) as f64)))
        .collect();
    let weights: f64 = told.iter().map(|(_, weight)| weight).sum();
    let mean = if weights > 0.0 {
        // Weights are made shares first, so that no product overflows.
        told.iter()
            .map(|(latency, weight)| latency * (weight / weights))
            .sum()
    } else if told.is_empty() {
        return None;
    } else {
        told.iter()
            .map(|(latency, _)| latency / told.len() as f64)
            .sum()
    };
    Some(mean)
}

fn count(value: Option<WholeNumber>) -> Option<u64> {
    value.map(|WholeNumber(count)| count)
}

fn amount(value: Option<NonNegative>) -> Option<f64> {
    value.map(|NonNegative(amount)| amount)
}

#[cfg(test)]
mod tests;
