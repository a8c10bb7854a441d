//! Bounds what is in flight: a policy of admission, which refuses before anything is
//! decoded.
//!
//! ```yaml
//! processors:
//!   memory_limiter:
//!     in_flight: 64MiB           # encoded bytes between admission and delivery
//!     check_interval: 1s         # the memory in use is read at most this often
//!     limit_percentage: 75       # of the memory that the process may use; or:
//!     # limit_mib: 400
//!     spike_limit_mib: 80        # kept free; a fifth of the limit by default
//!     # spike_limit_percentage: 15
//! ```
//!
//! The Collector watches the memory of the whole process, and can exceed its limit, since it
//! measures after the memory is taken. Here room is reserved for every request before it is
//! decoded, so that `in_flight` is kept exactly. The memory in use is the backstop for
//! everything else, by the Collector's keys: admission refuses while it is above the limit less
//! what is kept free for spikes. In use is what is resident, less what the allocator keeps of
//! what was freed, so a burst that has passed doesn't count. While it refuses, the log says so
//! once a minute, and `/health` is `degraded` and says `requests are refused` at each pipeline
//! concerned; `/health` does so, too, until a minute after the last request for which there was no
//! room in `in_flight`. The default is 75 % of what the process may use, with nothing kept free: the machine's memory, or the
//! least limit of its control groups, from its own upwards, so that systemd's `MemoryMax=` and
//! a container's limit count (`memory.max`, or `memory.limit_in_bytes` of version 1).
//!
//! Pipelines that name the same `memory_limiter` share its bounds. A push is refused with
//! the advice to come back in a second, a scrape is skipped with the reason `limit`. A request
//! that alone needs more than `in_flight` is refused for good, as one that is larger than the
//! limit of bodies is. A request counts by its encoded bytes, once for each of the pipelines that
//! share the bounds and that it enters. One in an irregular encoding (see `pdata`) counts up to
//! eight times until it has been read, which is what reading it may take.
//!
//! Metrics: `foghorn_pipeline_in_flight_bytes`, and
//! `foghorn_receiver_refused_requests_total{reason="memory_limit|too_large"}` with
//! `foghorn_receiver_refused_bytes_total`.

mod usable;

use std::time::Duration;

use crate::component::{MemoryLimit, Policy, PolicyFactory};
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode};

/// The factory of `memory_limiter`.
pub const FACTORY: PolicyFactory = PolicyFactory {
    kind: "memory_limiter",
    summary: "bounds what is in flight, and refuses before it decodes",
    configure: |value| {
        let limiter: Limiter = value.read()?;
        Some(Policy::MemoryLimiter(limiter.0))
    },
};

const MIB: u64 = 1 << 20;
const DEFAULT_IN_FLIGHT: u64 = 64 * MIB;
const DEFAULT_PERCENTAGE: u64 = 75;

struct Limiter(MemoryLimit);

impl FromValue for Limiter {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let ByteSize(in_flight) = fields.or("in_flight", ByteSize(DEFAULT_IN_FLIGHT));
        let check_interval = fields.or("check_interval", Duration::from_secs(1));
        let resident = resident(&mut fields, usable::memory());
        fields.finish();
        if in_flight == 0 {
            return value.error("in_flight is 0, so nothing would be admitted: use at least 1MiB");
        }
        if check_interval.is_zero() {
            return value.error("check_interval is 0: use at least 100ms");
        }
        Some(Self(MemoryLimit {
            in_flight,
            resident: resident?,
            check_interval,
        }))
    }
}

/// Reads the keys of the backstop. `None` is an error that was reported; inside, none for
/// no backstop, where nobody knows how much memory there is.
#[expect(
    clippy::option_option,
    reason = "an error and an absent bound are two things"
)]
fn resident(fields: &mut Fields<'_>, usable: Option<u64>) -> Option<Option<u64>> {
    let limit_mib = fields.optional::<u64>("limit_mib").filter(|mib| *mib > 0);
    let percentage = fields
        .optional::<u64>("limit_percentage")
        .filter(|percentage| *percentage > 0);
    let spike_mib = fields.optional::<u64>("spike_limit_mib");
    let spike_percentage = fields.optional::<u64>("spike_limit_percentage");
    for (key, percentage) in [
        ("limit_percentage", percentage),
        ("spike_limit_percentage", spike_percentage),
    ] {
        if let Some(too_much) = percentage.filter(|percentage| *percentage > 100) {
            let map = fields.map();
            return map.error(format_args!(
                "{key}: {too_much} is out of range: use 1 to 100"
            ));
        }
    }
    let of_usable = |percentage: u64| usable.map(|usable| usable / 100 * percentage);
    // The absolute limit wins, as in the Collector.
    let limit = match (limit_mib, percentage) {
        (Some(mib), _) => Some(mib.saturating_mul(MIB)),
        (None, Some(percentage)) => of_usable(percentage),
        (None, None) => return Some(of_usable(DEFAULT_PERCENTAGE)),
    };
    let spike = match (spike_mib, spike_percentage) {
        (Some(mib), _) if mib > 0 => Some(mib.saturating_mul(MIB)),
        (_, Some(percentage)) if percentage > 0 => of_usable(percentage),
        _ => limit.map(|limit| limit / 5),
    };
    match (limit, spike) {
        (Some(limit), Some(spike)) if spike >= limit => fields.map().error(
            "the limit for spikes is not below the limit itself, so nothing would be admitted",
        ),
        (Some(limit), spike) => Some(Some(limit - spike.unwrap_or_default())),
        (None, _) => Some(None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{Diagnostics, Entry, Node, NodeKind, SourceSpan};

    fn read(keys: &[(&str, &str)]) -> Result<MemoryLimit, String> {
        let span = SourceSpan {
            source: Arc::from("test"),
            line: 1,
            column: 1,
        };
        let entries = keys.iter().map(|(key, text)| Entry {
            key: (*key).to_owned(),
            span: span.clone(),
            value: Node {
                kind: NodeKind::Scalar {
                    text: (*text).to_owned(),
                    quoted: false,
                },
                span: span.clone(),
            },
        });
        let node = Node {
            kind: NodeKind::Map(entries.collect()),
            span: span.clone(),
        };
        let diagnostics = Diagnostics::new();
        let read = Limiter::from_value(&PlacedNode::root(&node, &diagnostics));
        let problems = diagnostics.problems();
        match (read, problems.first()) {
            (Some(Limiter(limit)), None) => Ok(limit),
            (_, problem) => Err(problem.map_or_else(String::new, ToString::to_string)),
        }
    }

    #[test]
    fn an_empty_body_bounds_what_is_in_flight_and_the_process() {
        let limit = read(&[]).unwrap();
        assert_eq!(limit.in_flight, 64 * MIB);
        assert_eq!(limit.check_interval, Duration::from_secs(1));
        let usable = usable::memory().unwrap();
        assert_eq!(limit.resident, Some(usable / 100 * 75));
    }

    #[test]
    fn the_collectors_keys_mean_what_they_mean_there() {
        let f = |keys: &[(&str, &str)], expected_mib: u64| {
            let limit = read(keys).unwrap();
            assert_eq!(limit.resident, Some(expected_mib * MIB), "{keys:?}");
        };
        f(&[("limit_mib", "400")], 320);
        f(&[("limit_mib", "400"), ("spike_limit_mib", "100")], 300);
        f(&[("limit_mib", "400"), ("limit_percentage", "1")], 320);
        let half = read(&[("limit_percentage", "50"), ("spike_limit_percentage", "10")]);
        let usable = usable::memory().unwrap();
        assert_eq!(
            half.unwrap().resident,
            Some(usable / 100 * 50 - usable / 100 * 10)
        );
    }

    #[test]
    fn a_limit_that_would_admit_nothing_is_an_error() {
        let f = |keys: &[(&str, &str)], expected: &str| {
            let error = read(keys).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        f(&[("in_flight", "0")], "in_flight is 0");
        f(&[("check_interval", "0")], "check_interval is 0");
        f(&[("limit_percentage", "101")], "101 is out of range");
        f(
            &[("limit_mib", "10"), ("spike_limit_mib", "10")],
            "not below",
        );
        f(&[("limit_mb", "10")], "did you mean `limit_mib`?");
    }
}
