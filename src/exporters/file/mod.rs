//! Writes OTLP as lines of JSON into a file, one request per line, in the order of arrival.
//!
//! ```yaml
//! exporters:
//!   file:
//!     path: /var/lib/foghorn/telemetry.jsonl  # required; `*.gz` and the like are not packed
//!     append: false            # true keeps what the file holds at start
//!     flush_interval: 1s       # 0 writes every batch at once
//!     create_directory: false  # true creates the parent directory, also after it was deleted
//!     queue_bytes: 16MiB       # encoded bytes that wait for a slow disk; 64KiB to 1GiB
//!     format: json             # the only one
//!     rotation:                # without it the file grows without end
//!       max_megabytes: 100     # of 2^20 bytes; the next request starts a new file
//!       max_backups: 100       # rotated files to keep; 0 keeps all
//!       max_days: 0            # age at which rotated files are removed; 0 keeps all
//!       localtime: false       # rotated files are named by UTC
//! ```
//!
//! The keys are the Collector's, and rotated files are named as the Collector names them:
//! `telemetry-2026-11-21T12-00-00.000.jsonl`. With `rotation` a file that exists at the start is
//! continued, as in the Collector. If another program moves the file away or truncates it
//! (logrotate with or without `copytruncate`), the exporter begins a new one.
//!
//! No incomplete line is left in the middle of the file: after a failed write the file is
//! truncated to its length before it or, if that fails too, the next write begins with a line
//! break. The items of a failed write are dropped and counted with the reason `write_failed`; the
//! log has one line when writing begins to fail and one when it works again. If a full file can't
//! be rotated, writing fails too, so that the file doesn't exceed its size.
//!
//! A slow disk delays no other exporter: requests for which `queue_bytes` has no room are dropped
//! and counted with the reason `queue_full`. Only senders whose data goes to local exporters
//! alone are slowed down, by up to 100 ms per request.
//!
//! Up to 256 KiB of text and that of one request of at most 256 KiB wait in memory for the next
//! flush; a crash loses them. The text of a larger request is written at once, in pieces, since it
//! may have ten times the request's size.
//!
//! Metrics: the exporter's lines in the ledger, `foghorn_delivery_items_total`.

mod output;
mod rotation;

use std::io::{self, BufWriter, Write as _};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use tokio::time::Instant;

use self::output::OutputFile;
use self::rotation::Rotation;
use crate::component::{
    BuildContext, BuiltExporter, Claimed, ComponentId, Discards, DropReason, ExporterConfig,
    ExporterFactory, Now, ResourceClaim, Sink,
};
use crate::pdata::{Batch, Part, Signal, json};
use crate::settings::local_queue;
use crate::yaml::PlacedNode;

/// The factory of `file`.
pub const FACTORY: ExporterFactory = ExporterFactory {
    kind: "file",
    aliases: &[],
    summary: "writes OTLP as JSON lines into a file, with rotation",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(Config::read(value)?)),
};

/// How many bytes wait in memory before they are written regardless of `flush_interval`.
const BUFFER: usize = 256 << 10;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    path: PathBuf,
    append: bool,
    create_directory: bool,
    flush_interval: Duration,
    queue_bytes: u64,
    rotation: Option<Rotation>,
}

impl Config {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let path = fields.required::<PathBuf>("path");
        let append = fields.or("append", false);
        let create_directory = fields.or("create_directory", false);
        let flush_interval = fields.or("flush_interval", Duration::from_secs(1));
        let queue_bytes = local_queue(&mut fields);
        if let Some(format) = fields.value("format").filter(|v| !v.is_null())
            && format.read::<String>().is_some_and(|text| text != "json")
        {
            format.error::<()>("only `json` is supported");
        }
        let rotation = fields.value("rotation").map(|value| Rotation::read(&value));
        fields.finish();
        let path = path?;
        if path.file_name().is_none() {
            return value.error(format_args!("`path` {} names no file", path.display()));
        }
        let rotation = match rotation {
            Some(read) => Some(read?),
            None => None,
        };
        Some(Self {
            path,
            append,
            create_directory,
            flush_interval,
            queue_bytes,
            rotation,
        })
    }
}

impl ExporterConfig for Config {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        output::check(&self.path, self.create_directory)
            .map_err(|problem| anyhow::anyhow!("path: {problem}"))?;
        Ok(BuiltExporter::Local(Box::new(FileSink::new(
            context.id.clone(),
            self.clone(),
        ))))
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        let claim = |path| ResourceClaim {
            key: "path",
            claimed: Claimed::File(path),
        };
        output::identity(&self.path)
            .map(claim)
            .into_iter()
            .collect()
    }

    fn describe(&self) -> String {
        format!("lines of OTLP/JSON in {}", self.path.display())
    }
}

struct FileSink {
    id: ComponentId,
    config: Config,
    output: Option<OutputFile>,
    /// Whole lines that haven't been written, and the number of items in them.
    lines: Vec<u8>,
    items: u64,
    /// When the lines must be written.
    due: Option<Instant>,
    /// Items lost since writing began to fail; `None` while it works.
    outage: Option<u64>,
}

impl FileSink {
    fn new(id: ComponentId, config: Config) -> Self {
        Self {
            id,
            config,
            output: None,
            lines: Vec::new(),
            items: 0,
            due: None,
            outage: None,
        }
    }

    fn flush(&mut self, now: Now, out: &mut dyn Discards) {
        self.due = None;
        if self.lines.is_empty() {
            return;
        }
        let written = match &mut self.output {
            Some(output) => output.write(&self.lines, now.wall),
            None => Err(never_opened()),
        };
        self.lines.clear();
        // Don't keep the memory that a burst needed.
        self.lines.shrink_to(2 * BUFFER);
        let items = std::mem::take(&mut self.items);
        self.settle(written, items, out);
    }

    /// Writes a part that is too large for memory as text.
    fn stream(&mut self, signal: Signal, part: &Part, now: Now, out: &mut dyn Discards) {
        self.flush(now, out);
        let written = match &mut self.output {
            Some(output) => {
                // Only a file that is rotated must know beforehand.
                let length = match self.config.rotation {
                    Some(_) => length(signal, part),
                    None => 0,
                };
                output.write_with(length, now.wall, |file| {
                    let mut line = BufWriter::with_capacity(BUFFER, file);
                    json::write_to(signal, part, &mut line)?;
                    line.write_all(b"\n")?;
                    line.flush()
                })
            }
            None => Err(never_opened()),
        };
        self.settle(written, part.items(), out);
    }

    /// Counts and tells what became of a write of so many items.
    fn settle(&mut self, written: io::Result<()>, items: u64, out: &mut dyn Discards) {
        match written {
            Ok(()) => {
                if let Some(lost) = self.outage.take() {
                    tracing::info!(component = %self.id, lost, "the file can be written again");
                }
            }
            Err(error) => {
                out.discard(items, DropReason::WriteFailed);
                if self.outage.is_none() {
                    tracing::error!(
                        component = %self.id,
                        path = %self.config.path.display(),
                        %error,
                        "can't write the file, batches are dropped until it works again"
                    );
                }
                *self.outage.get_or_insert(0) += items;
            }
        }
    }
}

impl Sink for FileSink {
    fn start(&mut self) -> anyhow::Result<()> {
        let path = &self.config.path;
        let append = self.config.append || self.config.rotation.is_some();
        let output = OutputFile::open(
            path.clone(),
            self.config.create_directory,
            append,
            self.config.rotation,
        )
        .with_context(|| format!("can't open {}", path.display()))?;
        self.output = Some(output);
        Ok(())
    }

    fn consume(&mut self, batch: Batch, now: Now, out: &mut dyn Discards) {
        for part in batch.parts() {
            if part.bytes().len() > BUFFER {
                self.stream(batch.signal(), part, now, out);
                continue;
            }
            json::write(batch.signal(), part, &mut self.lines);
            self.lines.push(b'\n');
            self.items += part.items();
            if self.lines.len() >= BUFFER {
                self.flush(now, out);
            }
        }
        if self.config.flush_interval.is_zero() {
            self.flush(now, out);
        } else if !self.lines.is_empty() && self.due.is_none() {
            self.due = Some(now.monotonic + self.config.flush_interval);
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn on_deadline(&mut self, now: Now, out: &mut dyn Discards) {
        self.flush(now, out);
    }

    fn close(&mut self, now: Now, out: &mut dyn Discards) {
        self.flush(now, out);
    }

    fn unsettled(&self) -> u64 {
        self.items
    }

    fn queue_bytes(&self) -> u64 {
        self.config.queue_bytes
    }

    fn may_block(&self) -> bool {
        true
    }
}

fn never_opened() -> io::Error {
    io::Error::other("it was never opened")
}

/// The length of a part's line.
fn length(signal: Signal, part: &Part) -> u64 {
    struct Count(u64);

    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(1);
    // Counting can't fail.
    let _ = json::write_to(signal, part, &mut count);
    count.0
}

#[cfg(test)]
mod tests;
