//! Reads what a Betanet service answers. Pure: bytes in, an [`InstanceReading`] out.
//!
//! A field may be absent or null. A field of another type, a negative count, or an answer without
//! any known field fails the whole answer; in the list of mixnodes only their entry. Errors name
//! the place and never quote the body.

use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{Error as _, Visitor};
use serde::{Deserialize, Deserializer};

use super::json::{Elements, garbage, json};
use super::reading::{InstanceReading, Mixnode, Rejected};
use super::service_path::ServicePath;
use super::text;
use crate::receivers::scrape::FailureReason;
use crate::resilience::FetchError;
use crate::steps;

/// The longest id of a mixnode that is used, in bytes.
const MAX_ID: usize = 1024;

impl ServicePath {
    /// Reads this path's answer. A list of more than `max_mixnodes` fails with the reason
    /// `limit`.
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
    packets_processed: Option<WholeNumber>,
    packets_forwarded: Option<WholeNumber>,
    packets_dropped: Option<WholeNumber>,
    uptime_seconds: Option<NonNegative>,
    avg_latency_ms: Option<NonNegative>,
}

/// Reads the list of mixnodes. An entry that can't be used is left out and counted: as `parse` if
/// it can't be read, has no id or that of an earlier entry, as `limit` if its id is too long. A list in
/// which no entry can be used fails.
fn mixnodes(body: &[u8], max_mixnodes: usize) -> Result<InstanceReading, FetchError> {
    let entries = Elements::of(body)?;
    let listed = entries.clone().count();
    if listed > max_mixnodes {
        let message = format!("lists {listed} mixnodes, more than max_mixnodes ({max_mixnodes})");
        return Err(FailureReason::Limit.error(message));
    }
    let mut rejected = Rejected::default();
    let mut mixnodes = Vec::with_capacity(listed);
    for entry in entries {
        match json::<ListEntry>(entry) {
            Ok(entry) if entry.id.0.len() > MAX_ID => rejected.limit += 1,
            // An empty label is none, so its series would look like sums over all mixnodes.
            Ok(entry) if entry.id.0.is_empty() => rejected.parse += 1,
            Ok(entry) => mixnodes.push(Mixnode::from(entry)),
            Err(_) => rejected.parse += 1,
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
    rejected.parse = (listed - mixnodes.len()) as u64 - rejected.limit;

    if mixnodes.is_empty() && listed > 0 {
        return Err(match rejected.parse {
            0 => FailureReason::Limit
                .error(format!("no mixnode has an id of {MAX_ID} bytes or less")),
            _ => garbage(format!("none of the {listed} mixnodes is as expected")),
        });
    }
    Ok(InstanceReading {
        peers: Some(mixnodes.len() as u64),
        active: Some(mixnodes.iter().filter(|node| node.active).count() as u64),
        processed: sum(&mixnodes, |node| node.processed),
        dropped: sum(&mixnodes, |node| node.dropped),
        latency_ms: mean_latency(&mixnodes),
        mixnodes: Some(mixnodes.into()),
        rejected,
        ..InstanceReading::default()
    })
}

impl From<ListEntry> for Mixnode {
    fn from(entry: ListEntry) -> Self {
        Self {
            active: entry.status.is_some_and(|status| status.0 == "active"),
            id: entry.id.0,
            processed: count(entry.packets_processed),
            forwarded: count(entry.packets_forwarded),
            dropped: count(entry.packets_dropped),
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

/// A whole number that isn't negative, also when it is written like `5.0`.
struct WholeNumber(u64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonNumber).and_then(|number| {
            // As doubles, u64's bounds are 0 and 2^64.
            match number {
                Ok(whole) => Ok(Self(whole)),
                Err(double) if double.fract() == 0.0 && double < 18_446_744_073_709_551_616.0 => {
                    Ok(Self(double as u64))
                }
                Err(_) => Err(D::Error::custom("not a whole number")),
            }
        })
    }
}

/// A finite number that isn't negative.
struct NonNegative(f64);

impl<'de> Deserialize<'de> for NonNegative {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(JsonNumber)?;
        Ok(Self(
            number.map_or_else(|double| double, |whole| whole as f64),
        ))
    }
}

/// Reads a number that isn't negative: `Ok` if it is written as a whole number, else `Err`.
struct JsonNumber;

impl Visitor<'_> for JsonNumber {
    type Value = Result<u64, f64>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number that isn't negative")
    }

    fn visit_u64<E>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Ok(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        if value.is_finite() && value >= 0.0 {
            Ok(Err(value))
        } else {
            Err(E::custom("out of range"))
        }
    }
}

/// An id or a state: a text, or a whole number that is taken as its digits.
struct JsonText(String);

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = JsonText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_str<E>(self, value: &str) -> Result<JsonText, E> {
        Ok(JsonText(value.to_owned()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonText, E> {
        Ok(JsonText(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonText, E> {
        Ok(JsonText(value.to_string()))
    }
}

#[cfg(test)]
mod tests;
