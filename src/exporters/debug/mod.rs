//! Prints data for people to read.
//!
//! ```yaml
//! exporters:
//!   debug:
//!     verbosity: basic         # basic | normal | detailed
//!     sampling_initial: 2      # batches printed in each second ...
//!     sampling_thereafter: 1   # ... and then every n-th; 1 prints all
//!     output_paths: [stderr]   # stderr | stdout
//!     queue_bytes: 16MiB       # encoded bytes that wait for a slow terminal; 64KiB to 1GiB
//!     use_internal_logger: true  # the Collector's; false without output_paths means stdout
//! ```
//!
//! `basic` prints one line per batch, `normal` one line per data point, span or log record,
//! `detailed` every field. The keys and their defaults are the Collector's. Batches that the
//! sampling leaves out count as delivered; the next line that is printed says how many they were.
//! `normal` prints a batch of more than 256 KiB in pieces, each with its headings, and of a single
//! item of more than 256 KiB it prints only the size.
//!
//! Metrics: the exporter's lines in the ledger, `foghorn_delivery_items_total`. Batches that
//! can't be printed, because the terminal is closed, are dropped with the reason `write_failed`;
//! those for which `queue_bytes` has no room, because the terminal is slow, with `queue_full`.

mod basic;
mod detailed;
mod normal;
mod printer;
mod sampler;

use std::fmt::Write as _;
use std::io;

use self::printer::Printer;
use self::sampler::Sampler;
use crate::component::{
    BuildContext, BuiltExporter, ComponentId, Discards, DropReason, ExporterConfig,
    ExporterFactory, Now, Sink,
};
use crate::pdata::{Batch, Signal};
use crate::settings::local_queue;
use crate::yaml::{FromValue, PlacedNode};

/// The factory of `debug`.
pub const FACTORY: ExporterFactory = ExporterFactory {
    kind: "debug",
    aliases: &["logging"],
    summary: "prints what passes, for people",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(Config::read(value)?)),
};

#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    verbosity: Verbosity,
    sampling_initial: u64,
    sampling_thereafter: u64,
    queue_bytes: u64,
    outputs: Vec<StandardStream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verbosity {
    Basic,
    Normal,
    Detailed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StandardStream {
    Stderr,
    Stdout,
}

impl Config {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let verbosity = fields.or("verbosity", Verbosity::Basic);
        let sampling_initial = fields.within("sampling_initial", 2, 0..=1_000_000);
        let sampling_thereafter = fields.within("sampling_thereafter", 1, 0..=1_000_000);
        let queue_bytes = local_queue(&mut fields);
        let internal = fields.or("use_internal_logger", true);
        let outputs = fields.optional::<Vec<StandardStream>>("output_paths");
        fields.finish();
        let default = if internal {
            StandardStream::Stderr
        } else {
            StandardStream::Stdout
        };
        Some(Self {
            verbosity,
            sampling_initial,
            sampling_thereafter,
            queue_bytes,
            outputs: outputs.unwrap_or_else(|| vec![default]),
        })
    }
}

impl FromValue for Verbosity {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.read::<String>()?.as_str() {
            "basic" => Some(Self::Basic),
            "normal" => Some(Self::Normal),
            "detailed" => Some(Self::Detailed),
            other => value.error(format_args!(
                "expected basic, normal or detailed, found `{other}`"
            )),
        }
    }
}

impl FromValue for StandardStream {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.read::<String>()?.as_str() {
            "stderr" => Some(Self::Stderr),
            "stdout" => Some(Self::Stdout),
            other => value.error(format_args!(
                "expected stderr or stdout, found `{other}`: the exporter `file` writes files"
            )),
        }
    }
}

impl ExporterConfig for Config {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        let outputs = self
            .outputs
            .iter()
            .map(|stream| -> Box<dyn io::Write + Send> {
                match stream {
                    StandardStream::Stderr => Box::new(io::stderr()),
                    StandardStream::Stdout => Box::new(io::stdout()),
                }
            })
            .collect();
        Ok(BuiltExporter::Local(Box::new(Debug::new(
            context.id.clone(),
            self,
            outputs,
        ))))
    }

    fn describe(&self) -> String {
        let names: Vec<_> = self
            .outputs
            .iter()
            .map(|stream| match stream {
                StandardStream::Stderr => "stderr",
                StandardStream::Stdout => "stdout",
            })
            .collect();
        format!("lines on {}", names.join(" and "))
    }
}

struct Debug {
    id: ComponentId,
    verbosity: Verbosity,
    sampler: Sampler,
    queue_bytes: u64,
    outputs: Vec<Box<dyn io::Write + Send>>,
    /// Batches that the sampling has left out since the last line.
    skipped: u64,
}

impl Debug {
    fn new(id: ComponentId, config: &Config, outputs: Vec<Box<dyn io::Write + Send>>) -> Self {
        Self {
            id,
            verbosity: config.verbosity,
            sampler: Sampler::new(config.sampling_initial, config.sampling_thereafter),
            queue_bytes: config.queue_bytes,
            outputs,
            skipped: 0,
        }
    }

    /// Prints a batch. Whether all outputs took all of it.
    fn print(&mut self, batch: &Batch, now: Now) -> bool {
        let time = humantime::format_rfc3339_millis(now.wall);
        let skipped = std::mem::take(&mut self.skipped);
        let mut printer = Printer::new(&mut self.outputs);
        // The printer keeps its errors, here and below.
        let _ = write!(printer, "{time} {}: {}", self.id, basic::summary(batch));
        if skipped > 0 {
            let _ = write!(printer, " ({skipped} batches before it not shown)");
        }
        let _ = printer.write_char('\n');
        match self.verbosity {
            Verbosity::Basic => {}
            Verbosity::Normal => normal::write(batch, &mut printer),
            Verbosity::Detailed => detailed::write(batch, &mut printer),
        }
        printer.finish()
    }
}

impl Sink for Debug {
    fn start(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn consume(&mut self, batch: Batch, now: Now, out: &mut dyn Discards) {
        if !self.sampler.admits(now.monotonic) {
            self.skipped += 1;
            return;
        }
        if !self.print(&batch, now) {
            out.discard(batch.items(), DropReason::WriteFailed);
        }
    }

    fn queue_bytes(&self) -> u64 {
        self.queue_bytes
    }

    fn may_block(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests;
