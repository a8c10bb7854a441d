//! `batch`: joins small requests into larger ones, and cuts large ones.
//!
//! ```yaml
//! processors:
//!   batch:
//!     timeout: 200ms             # nothing waits longer; 0 = nothing waits
//!     send_batch_size: 8192      # items at which a batch leaves at once; 0 = nothing waits
//!     send_batch_max_size: 0     # larger ones are cut; 0 = never
//! ```
//!
//! Joining encoded requests copies nothing, so the only cost of a batch is the time that its
//! items wait. Cutting copies only the request that the border runs through, and
//! repeats what stands around the border: its resource, scope and metric.
//!
//! At most `send_batch_size` items are held, and their bytes count against the bounds of
//! admission, since they keep their leases. The Collector's `metadata_keys` is
//! refused: the headers of a request aren't kept here.
//!
//! Metrics, beside those of every processor, under the Collector's names:
//!
//! - `otelcol_processor_batch_batch_size_trigger_send{processor}`: times that the size was
//!   reached
//! - `otelcol_processor_batch_timeout_trigger_send{processor}`: times that the timeout was

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::time::Instant;

use crate::component::{BuildContext, Now, Output, Processor, ProcessorConfig, ProcessorFactory};
use crate::pdata::{Batch, Signal};
use crate::yaml::{FromValue, PlacedNode};

/// The factory of `batch`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "batch",
    aliases: &[],
    summary: "joins small requests into larger ones, and cuts large ones",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

/// The bounds of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Config {
    timeout: Duration,
    size: u64,
    /// None for no bound.
    max_size: Option<u64>,
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let timeout = fields.or("timeout", Duration::from_millis(200));
        let size = fields.or("send_batch_size", 8192);
        let max_size = fields.or("send_batch_max_size", 0);
        if let Some(keys) = fields.value("metadata_keys")
            && keys.items().is_none_or(|keys| !keys.is_empty())
        {
            return keys.error("batches aren't kept apart by client metadata: leave it out");
        }
        // It bounds the combinations of metadata_keys, so without those it has no effect in the
        // Collector, either.
        fields.optional::<u64>("metadata_cardinality_limit");
        fields.finish();
        if max_size > 0 && max_size < size {
            return value.error(format_args!(
                "send_batch_max_size {max_size} is less than send_batch_size {size}"
            ));
        }
        Some(Self {
            timeout,
            size,
            max_size: (max_size > 0).then_some(max_size),
        })
    }
}

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, signal: Signal) -> anyhow::Result<Box<dyn Processor>> {
        let triggers = Triggers::new(context);
        Ok(Box::new(Batcher::new(*self, signal, triggers)))
    }

    fn max_items(&self) -> Option<u64> {
        self.max_size
    }
}

/// Holds what has come since the last batch left.
struct Batcher {
    config: Config,
    held: Batch,
    /// Items in `held`, which would have to be summed up otherwise.
    items: u64,
    /// When what is held must leave: set by the first request that is held.
    deadline: Option<Instant>,
    triggers: Triggers,
}

impl Batcher {
    fn new(config: Config, signal: Signal, triggers: Triggers) -> Self {
        Self {
            config,
            held: Batch::empty(signal),
            items: 0,
            deadline: None,
            triggers,
        }
    }

    fn waits(&self) -> bool {
        !self.config.timeout.is_zero() && self.config.size > 0
    }

    /// Gives out what is held, in pieces where there is a largest size. A last piece that
    /// may still `wait` for company stays.
    fn flush(&mut self, wait: bool, out: &mut dyn Output) {
        self.deadline = None;
        let items = std::mem::take(&mut self.items);
        let signal = self.held.signal();
        let whole = std::mem::replace(&mut self.held, Batch::empty(signal));
        if whole.parts().is_empty() {
            return;
        }
        match self.config.max_size.filter(|max| items > *max) {
            None => out.emit(whole),
            Some(max) => {
                for piece in whole.divide(max) {
                    let items = piece.items();
                    if wait && items < self.config.size {
                        self.held = piece;
                        self.items = items;
                    } else {
                        out.emit(piece);
                    }
                }
            }
        }
    }
}

impl Processor for Batcher {
    fn process(&mut self, batch: Batch, now: Now, out: &mut dyn Output) {
        self.items += batch.items();
        self.held.append(batch);
        if !self.waits() {
            self.flush(false, out);
        } else if self.items >= self.config.size {
            self.triggers.size.add(1, &self.triggers.processor);
            self.flush(true, out);
        }
        // What stays behind a full batch is of the newest request: what was held before it
        // is less than `size`, and so in the first piece.
        if self.deadline.is_none() && !self.held.parts().is_empty() {
            self.deadline = Some(now.monotonic + self.config.timeout);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    fn on_deadline(&mut self, _: Now, out: &mut dyn Output) {
        self.triggers.timeout.add(1, &self.triggers.processor);
        self.flush(false, out);
    }

    fn drain(&mut self, _: Now, out: &mut dyn Output) {
        self.flush(false, out);
    }
}

/// Counts why batches left.
struct Triggers {
    processor: [KeyValue; 1],
    size: Counter<u64>,
    timeout: Counter<u64>,
}

impl Triggers {
    fn new(context: &BuildContext) -> Self {
        let meter = context.telemetry.meter("foghorn.processors.batch");
        Self {
            processor: [KeyValue::new("processor", context.id.to_string())],
            size: meter
                .u64_counter("otelcol_processor_batch_batch_size_trigger_send")
                .with_description("Number of times the batch was sent due to a size trigger")
                .build(),
            timeout: meter
                .u64_counter("otelcol_processor_batch_timeout_trigger_send")
                .with_description("Number of times the batch was sent due to a timeout trigger")
                .build(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{OutputRecorder, read, sample};
    use super::*;
    use crate::pdata::samples::Style;

    struct Bench {
        batcher: Batcher,
        now: Now,
        out: OutputRecorder,
    }

    impl Bench {
        fn new(yaml: &str) -> Self {
            let config: Config = read(yaml).unwrap();
            let context = super::super::testing::context("batch");
            let batcher = Batcher::new(config, Signal::Logs, Triggers::new(&context));
            Self {
                batcher,
                now: Now::read(),
                out: OutputRecorder::default(),
            }
        }

        /// The sizes of the batches that leave when so many items come.
        fn send(&mut self, items: u64) -> Vec<u64> {
            let batch = records(items);
            self.batcher.process(batch, self.now, &mut self.out);
            self.out.sizes()
        }

        /// The same after so many milliseconds.
        fn wait(&mut self, millis: u64) -> Vec<u64> {
            self.now.monotonic += Duration::from_millis(millis);
            if self
                .batcher
                .deadline()
                .is_some_and(|at| at <= self.now.monotonic)
            {
                self.batcher.on_deadline(self.now, &mut self.out);
            }
            self.out.sizes()
        }
    }

    /// A request of so many log records.
    fn records(items: u64) -> Batch {
        let mut batch = Batch::empty(Signal::Logs);
        for seed in 0.. {
            if batch.items() >= items {
                break;
            }
            batch.append(sample(Signal::Logs, seed, Style::CANONICAL));
        }
        batch.split_at(items).0
    }

    #[test]
    fn a_batch_leaves_when_it_is_large_enough() {
        let mut bench = Bench::new("send_batch_size: 10");
        assert!(bench.send(4).is_empty());
        assert!(bench.send(5).is_empty());
        assert_eq!(bench.send(7), [16]);
        assert!(bench.wait(1000).is_empty(), "nothing is left");
    }

    #[test]
    fn nothing_waits_longer_than_the_timeout() {
        let mut bench = Bench::new("timeout: 300ms");
        assert!(bench.send(1).is_empty());
        assert!(bench.wait(299).is_empty());
        assert!(bench.send(2).is_empty(), "the later one doesn't delay it");
        assert_eq!(bench.wait(1), [3]);
        assert_eq!(bench.batcher.deadline(), None);
    }

    #[test]
    fn pieces_have_the_largest_size_and_the_rest_waits_anew() {
        let mut bench = Bench::new("{send_batch_size: 10, send_batch_max_size: 12}");
        assert!(bench.send(9).is_empty());
        assert!(bench.wait(150).is_empty());
        assert_eq!(bench.send(20), [12, 12]);
        assert!(
            bench.wait(150).is_empty(),
            "5 are as young as their request"
        );
        assert_eq!(bench.wait(50), [5]);
        assert_eq!(bench.send(23), [12, 11], "11 are enough for a batch");
    }

    #[test]
    fn without_a_timeout_or_a_size_requests_are_only_cut() {
        for yaml in [
            "{timeout: 0, send_batch_max_size: 10000}",
            "{send_batch_size: 0}",
        ] {
            let mut bench = Bench::new(yaml);
            assert_eq!(bench.send(3), [3]);
            assert_eq!(bench.batcher.deadline(), None);
        }
        let mut bench = Bench::new("{send_batch_size: 0, send_batch_max_size: 5}");
        assert_eq!(bench.send(12), [5, 5, 2]);
    }

    #[test]
    fn what_is_joined_keeps_its_bytes() {
        let mut bench = Bench::new("send_batch_size: 1000000");
        let mut sent = Vec::new();
        for seed in 0..50 {
            let batch = sample(Signal::Logs, seed, Style::ANY);
            sent.extend(batch.parts().iter().map(|part| part.bytes().clone()));
            bench.batcher.process(batch, bench.now, &mut bench.out);
        }
        bench.batcher.drain(bench.now, &mut bench.out);
        let [joined] = bench.out.emitted.as_slice() else {
            panic!("not one batch");
        };
        let joined: Vec<_> = joined.parts().iter().map(|part| part.bytes()).collect();
        assert_eq!(joined, sent.iter().collect::<Vec<_>>());
    }

    #[test]
    fn mistakes_are_named() {
        let f = |yaml: &str, expected: &str| {
            assert_eq!(read::<Config>(yaml).unwrap_err(), [expected], "{yaml}");
        };
        f(
            "{send_batch_size: 10, send_batch_max_size: 5}",
            ": send_batch_max_size 5 is less than send_batch_size 10",
        );
        f(
            "send_batch_size: many",
            "send_batch_size: expected a whole number, found `many`",
        );
        f(
            "metadata_keys: [tenant]",
            "metadata_keys: batches aren't kept apart by client metadata: leave it out",
        );
        f(
            "send_batch_sise: 1",
            "send_batch_sise: unknown key `send_batch_sise`, did you mean `send_batch_size`?",
        );
        assert!(read::<Config>("{metadata_keys: [], metadata_cardinality_limit: 1000}").is_ok());
    }
}
