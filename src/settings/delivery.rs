//! The keys of the delivery, the same for every remote exporter. The exporter reads them with its
//! own and hands them to the pipeline.
//!
//! ```yaml
//! timeout: 5s                # of one attempt
//! breaker:
//!   mode: enforce            # enforce | observe | off
//!   cooldown: 5s             # doubles with each canary that fails
//!   max_cooldown: 60s        # and all the other keys of a breaker: see `guard`
//! retry_on_failure:
//!   enabled: true
//!   initial_interval: 5s
//!   multiplier: 1.5
//!   randomization_factor: 0.5
//!   max_interval: 30s
//!   max_elapsed_time: 300s   # in which attempts are allowed; 0 = for ever
//! sending_queue:
//!   enabled: true
//!   sizer: requests          # requests | items | bytes: what queue_size counts
//!   queue_size: 1000         # of all pipelines that lead to the exporter, shared fairly
//!   queue_bytes: 32MiB       # the same, encoded, whatever the sizer
//!   when_full: auto          # auto | refuse | drop
//!   block_on_overflow: false # true: senders wait for room before `when_full` applies
//!   num_consumers: 1
//!   batch:
//!     max_size: 4MiB         # without a unit in `sizer`: items or bytes
//!     max_items: 8192
//! ```

use std::time::Duration;

use super::guard::destination;
use crate::resilience::{BreakerSettings, Edge};
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode};
use crate::yaml::{is_empty, is_false, is_zero};

/// How requests are queued, joined, attempted and retried.
#[derive(Debug, Clone, PartialEq)]
pub struct DeliverySettings {
    /// How long one attempt may take.
    pub timeout: Duration,
    /// When no attempts are made.
    pub breaker: BreakerSettings,
    /// Which failed attempts are repeated, and when.
    pub retry: RetryOnFailure,
    /// Which requests wait.
    pub queue: QueueSettings,
}

/// The value of `retry_on_failure`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryOnFailure {
    /// If false, a request is dropped after one failed attempt.
    pub enabled: bool,
    /// The wait before the first retry.
    pub initial_interval: Duration,
    /// The factor by which each wait is longer than the one before.
    pub multiplier: f64,
    /// A wait is drawn evenly from `interval * (1 ± this)`.
    pub randomization_factor: f64,
    /// The longest interval, before the wait is drawn.
    pub max_interval: Duration,
    /// How long a request may fail before it is dropped, counting only the time in which attempts
    /// were allowed; `None` for ever.
    pub max_elapsed_time: Option<Duration>,
}

/// The default of a local exporter's `queue_bytes`.
pub const LOCAL_QUEUE: ByteSize = ByteSize(16 << 20);

/// Reads `queue_bytes` among a local exporter's own keys.
pub fn local_queue(fields: &mut Fields<'_>) -> u64 {
    let bounds = ByteSize(64 << 10)..=ByteSize(1 << 30);
    fields.within("queue_bytes", LOCAL_QUEUE, bounds).0
}

/// The value of `sending_queue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueSettings {
    /// The most requests that wait or are being sent.
    pub requests: u64,
    /// The most bytes of these, encoded.
    pub bytes: u64,
    /// The most items of these; `None` for no bound.
    pub items: Option<u64>,
    /// What happens to senders if the queue is full.
    pub when_full: WhenFull,
    /// Whether a sender waits for room before `when_full` applies: until its deadline, and
    /// for 30 s at most.
    pub block_on_overflow: bool,
    /// How many requests are sent at a time; with more than one they may arrive out of order.
    pub num_consumers: usize,
    /// Waiting requests are joined up to this many encoded bytes.
    pub join_bytes: u64,
    /// Waiting requests are joined up to this many items.
    pub join_items: u64,
}

/// What happens to senders if the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// Senders are refused if no queue of the pipeline has room. If another one has, the full
    /// queue drops the request for itself alone.
    Auto,
    /// Senders are refused.
    Refuse,
    /// New requests are dropped and counted; their senders get no error.
    Drop,
}

impl DeliverySettings {
    /// Reads `timeout`, `breaker`, `retry_on_failure` and `sending_queue` among an exporter's
    /// own keys.
    pub fn from_fields(fields: &mut Fields<'_>) -> Self {
        let default = Self::default();
        let (breaker, timeout) = destination(fields, default.timeout);
        Self {
            timeout,
            breaker,
            retry: fields.or("retry_on_failure", default.retry),
            queue: fields.or("sending_queue", default.queue),
        }
    }
}

impl Default for DeliverySettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            breaker: BreakerSettings::defaults(Edge::Destination),
            retry: RetryOnFailure::default(),
            queue: QueueSettings::default(),
        }
    }
}

impl Default for RetryOnFailure {
    fn default() -> Self {
        Self {
            enabled: true,
            initial_interval: Duration::from_secs(5),
            multiplier: 1.5,
            randomization_factor: 0.5,
            max_interval: Duration::from_secs(30),
            max_elapsed_time: Some(Duration::from_secs(300)),
        }
    }
}

impl Default for QueueSettings {
    fn default() -> Self {
        Self {
            requests: 1000,
            bytes: 32 << 20,
            items: None,
            when_full: WhenFull::Auto,
            block_on_overflow: false,
            num_consumers: 1,
            join_bytes: 4 << 20,
            join_items: 8192,
        }
    }
}

impl QueueSettings {
    /// The same with `enabled: false`: one request is sent, none waits, none is joined. What
    /// happens to the senders of others stays.
    pub fn disabled(self) -> Self {
        Self {
            requests: 1,
            join_bytes: 0,
            join_items: 0,
            when_full: self.when_full,
            block_on_overflow: self.block_on_overflow,
            ..Self::default()
        }
    }
}

impl FromValue for RetryOnFailure {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let default = Self::default();
        let mut fields = value.fields()?;
        let max_elapsed_time = fields
            .optional("max_elapsed_time")
            .map_or(default.max_elapsed_time, |time: Duration| {
                (!time.is_zero()).then_some(time)
            });
        let initial: Option<Duration> = fields.optional("initial_interval");
        let max: Option<Duration> = fields.optional("max_interval");
        let settings = Self {
            enabled: fields.or("enabled", default.enabled),
            multiplier: fields.within("multiplier", default.multiplier, 1.0..=10.0),
            randomization_factor: fields.within(
                "randomization_factor",
                default.randomization_factor,
                0.0..=1.0,
            ),
            // A default is adapted to the other key if that is written.
            initial_interval: initial
                .unwrap_or_else(|| default.initial_interval.min(max.unwrap_or(Duration::MAX))),
            max_interval: max
                .unwrap_or_else(|| default.max_interval.max(initial.unwrap_or(Duration::ZERO))),
            max_elapsed_time,
        };
        fields.finish();
        if settings.initial_interval.is_zero() {
            return value.error("initial_interval is 0: use at least 1ms");
        }
        if settings.initial_interval > settings.max_interval {
            return value.error("initial_interval is longer than max_interval");
        }
        Some(settings)
    }
}

impl FromValue for QueueSettings {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let default = Self::default();
        let mut fields = value.fields()?;
        let enabled = fields.or("enabled", true);
        let written = fields.optional("sizer");
        let sizer = written.unwrap_or(Sizer::Requests);
        // The Collector's `queue_size` counts in units of `sizer`; `queue_bytes` is Foghorn's
        // own.
        let size = fields.optional::<ByteSize>("queue_size").map(|size| size.0);
        let mut settings = Self {
            requests: default.requests,
            bytes: fields.or("queue_bytes", ByteSize(default.bytes)).0,
            when_full: fields.or("when_full", default.when_full),
            block_on_overflow: fields.or("block_on_overflow", default.block_on_overflow),
            num_consumers: fields.within("num_consumers", default.num_consumers, 1..=100),
            ..default
        };
        match (sizer, size) {
            (Sizer::Requests, Some(size)) => settings.requests = size,
            (Sizer::Bytes, Some(size)) => settings.bytes = size,
            // A request has at least one item, so this bounds the requests as well.
            (Sizer::Items, Some(size)) => {
                settings.items = Some(size);
                settings.requests = size;
            }
            (_, None) => {}
        }
        if let Some(batch) = fields.value("batch") {
            settings.read_batch(&batch, written);
        }
        let queued = "a sender is answered once it is queued";
        fields.without_effect("wait_for_result", is_false, queued);
        if let Some(storage) = fields.foreign("storage").filter(|value| !value.is_null()) {
            storage.error::<()>(
                "there are no storage extensions, and the queue lives in memory: leave it out",
            );
        }
        let unseen = "requests are joined whatever metadata they came with";
        fields.without_effect("metadata_keys", is_empty, unseen);
        fields.finish();
        if size == Some(0) {
            return value.error("queue_size is 0: use at least 1, or enabled: false");
        }
        if settings.bytes == 0 {
            return value.error("queue_bytes is 0: nothing could wait");
        }
        Some(if enabled {
            settings
        } else {
            settings.disabled()
        })
    }
}

impl QueueSettings {
    fn read_batch(&mut self, value: &PlacedNode<'_>, queue: Option<Sizer>) {
        let Some(mut fields) = value.fields() else {
            return;
        };
        // A number without a unit counts in units of `sizer`, as in the Collector.
        let max_size = fields.value("max_size");
        let has_unit = max_size.and_then(|value| value.text()?.parse::<u64>().err());
        let usual = match has_unit {
            Some(_) => Sizer::Bytes,
            None => queue.unwrap_or(Sizer::Items),
        };
        let sizer = fields.or("sizer", usual);
        if let Some(ByteSize(max)) = fields.optional("max_size") {
            match sizer {
                Sizer::Bytes => self.join_bytes = max,
                Sizer::Items => self.join_items = max,
                Sizer::Requests => {
                    value.error::<()>(
                        "sizer: requests has no meaning for a batch: use items or bytes",
                    );
                }
            }
        }
        self.join_items = fields.or("max_items", self.join_items);
        let at_once = "requests that wait are joined, and nothing waits in order to be joined: \
                       use the batch processor for that";
        fields.without_effect("min_size", is_zero, at_once);
        fields.without_effect("flush_timeout", is_zero, at_once);
        let unseen = "requests are joined whatever metadata they came with";
        fields.without_effect("partition", |_| false, unseen);
        fields.finish();
    }
}

/// What the sizes of the queue count.
#[derive(Debug, Clone, Copy)]
enum Sizer {
    Requests,
    Items,
    Bytes,
}

impl FromValue for Sizer {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("requests") => Some(Self::Requests),
            Some("items") => Some(Self::Items),
            Some("bytes") => Some(Self::Bytes),
            _ => value.error("expected requests, items or bytes"),
        }
    }
}

impl FromValue for WhenFull {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.text() {
            Some("auto") => Some(Self::Auto),
            Some("refuse") => Some(Self::Refuse),
            Some("drop") => Some(Self::Drop),
            _ => value.error("expected auto, refuse or drop"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{Diagnostics, parse};

    fn queue(text: &str) -> (Option<QueueSettings>, Vec<String>) {
        let diagnostics = Diagnostics::new();
        let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
        let read = PlacedNode::root(&node, &diagnostics).read();
        let problems = diagnostics.problems();
        (read, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_size_counts_what_the_sizer_says() {
        let f = |text: &str, requests: u64, bytes: u64, items: Option<u64>| {
            let (read, problems) = queue(text);
            assert_eq!(problems, [""; 0], "{text}");
            let read = read.unwrap();
            assert_eq!(
                (read.requests, read.bytes, read.items),
                (requests, bytes, items),
                "{text}"
            );
        };
        f("{}", 1000, 32 << 20, None);
        f("{queue_size: 7}", 7, 32 << 20, None);
        f("{sizer: requests, queue_size: 7}", 7, 32 << 20, None);
        f("{sizer: bytes, queue_size: 7MiB}", 1000, 7 << 20, None);
        f(
            "{sizer: items, queue_size: 70000}",
            70_000,
            32 << 20,
            Some(70_000),
        );
        f("{sizer: items}", 1000, 32 << 20, None);
        f(
            "{enabled: false, sizer: items, queue_size: 5}",
            1,
            32 << 20,
            None,
        );
    }

    #[test]
    fn without_a_queue_senders_are_still_treated_as_written() {
        let f = |text: &str, when_full: WhenFull, waits: bool| {
            let (read, problems) = queue(text);
            assert_eq!(problems, [""; 0], "{text}");
            let read = read.unwrap();
            assert_eq!(
                (read.requests, read.when_full, read.block_on_overflow),
                (1, when_full, waits),
                "{text}"
            );
        };
        f("{enabled: false}", WhenFull::Auto, false);
        f(
            "{enabled: false, when_full: refuse}",
            WhenFull::Refuse,
            false,
        );
        f(
            "{enabled: false, when_full: drop, block_on_overflow: true}",
            WhenFull::Drop,
            true,
        );
    }

    #[test]
    fn what_is_joined_is_counted_as_in_the_collector() {
        let f = |text: &str, bytes: u64, items: u64| {
            let (read, problems) = queue(text);
            assert_eq!(problems, [""; 0], "{text}");
            let read = read.unwrap();
            assert_eq!((read.join_bytes, read.join_items), (bytes, items), "{text}");
        };
        f("{batch: {max_size: 500}}", 4 << 20, 500);
        f("{batch: {max_size: 1MiB}}", 1 << 20, 8192);
        f("{sizer: bytes, batch: {max_size: 500}}", 500, 8192);
        f(
            "{sizer: bytes, batch: {sizer: items, max_size: 500}}",
            4 << 20,
            500,
        );
        f("{batch: {sizer: bytes, max_size: 500}}", 500, 8192);
    }

    #[test]
    fn a_queue_without_room_is_an_error_of_the_key_that_says_so() {
        let f = |text: &str, expected: &str| {
            let (read, problems) = queue(text);
            assert_eq!(problems, [expected], "{text}");
            assert_eq!(read, None, "{text}");
        };
        let size = "t:1:1: queue_size is 0: use at least 1, or enabled: false";
        f("{queue_size: 0}", size);
        f("{sizer: items, queue_size: 0}", size);
        f("{sizer: bytes, queue_size: 0}", size);
        f(
            "{queue_bytes: 0}",
            "t:1:1: queue_bytes is 0: nothing could wait",
        );
    }

    #[test]
    fn what_nothing_here_does_is_said() {
        let f = |text: &str, expected: &str| {
            let (_, problems) = queue(text);
            assert_eq!(problems, [expected], "{text}");
        };
        f(
            "{storage: file_storage}",
            "t:1:11: storage: there are no storage extensions, and the queue lives in memory: \
             leave it out",
        );
        f(
            "{wait_for_result: true}",
            "t:1:19: wait_for_result: warning: this has no effect: a sender is answered once it \
             is queued",
        );
        f(
            "{sizer: spans}",
            "t:1:9: sizer: expected requests, items or bytes",
        );
        f(
            "{batch: {sizer: requests, max_size: 5}}",
            "t:1:2: batch: sizer: requests has no meaning for a batch: use items or bytes",
        );
    }
}
