//! Reads the host itself, and other nodes by their node_exporter.
//!
//! ```yaml
//! receivers:
//!   node:
//!     node_id: fog-7             # default: the host's name
//!     exposition: semconv        # semconv | node_exporter (its names) | both
//!     semconv: v1                # v1 | v0 (as the Collector's hostmetrics) | both
//!     root_path: /               # where the host's files are, such as /hostfs in a container
//!     filesystems: {exclude: [/boot.*]}                # by mount point
//!     disks: {exclude: [dm-.*]}                        # by name
//!     networks: {include: [eth.*], exclude: []}        # by interface
//!     targets:                   # other nodes, each by its node_exporter
//!       - {node_id: node-2, url: http://node-2:9100/metrics}
//!     collection_interval: 15s   # and the other keys of `scrape` and its HTTP client
//! ```
//!
//! Patterns are regular expressions that must match the whole name; a list has at most 64. With
//! `include`, only the names that it matches are read; to read none, write `exclude: [".*"]`.
//! Without `include`, these are left out: virtual filesystems (except an overlay at `/`, the only one
//! that a container sees), filesystems behind a network or a program, partitions, loop devices,
//! and the interface `lo`. Names that `exclude` matches are never read.
//!
//! A value that the host doesn't offer is absent, never 0; a container in which half of `/proc`
//! is missing gives the other half. If `root_path` isn't `/`, the files of a namespace (networks,
//! sockets, mounts) are those of the host's `proc/1`. If `proc/1` can't be read, as with hidepid,
//! these parts fail with the reason `refused`.
//!
//! Files and filesystems are read on threads of their own, since any of them may hang. One that
//! doesn't answer within `timeout` fails with the reason `timeout`, delays no other, and isn't
//! read again until it has answered. All receivers of the process together let at most 6 files, 2
//! filesystems on disks, 4 behind a network and 2 processes hang; further reads of that kind fail with the
//! reason `limit`.
//!
//! When a disk, filesystem, interface or processor is no longer listed, its series end with a
//! tombstone; so do those of a filesystem that fails or hangs. A file that can't be read for once
//! ends no series. A filesystem that the agent has no permission to query is absent, and logged
//! once; one that is hidden by a later mount is absent. At most 512 disks, interfaces and
//! filesystems each are read; with more, the part fails with the reason `limit`.
//!
//! Metrics: `system.*` and `process.*` as the semantic conventions define them, with
//! `exposition: node_exporter` those of node_exporter in their place, with `both` beside them; and
//! the platform's gauges `node_cpu_usage`, `node_memory_usage`, `node_disk_usage`, `node_network_io`,
//! `system_uptime` and `system_total_nodes` with the label `node_id`. A target gives only these
//! gauges, computed from its node_exporter's metrics. `docs/node.md` lists all with unit,
//! attributes and source.

mod config;
mod emit;
mod remote;
mod selection;
mod semconv;
mod summary;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::JoinHandle;

use self::config::Config;
use self::emit::{Host, Scale};
use self::remote::Remote;
use self::summary::NodeSummary;
use crate::component::{BuildContext, Intake, Now, Receiver, ReceiverConfig, ReceiverFactory};
use crate::host::{self, BlockingThreads, HostAnswer, HostPoller, HostReader, HostReading};
use crate::pdata::Signal;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{Access, Client, FetchRequest};
use crate::receivers::scrape::{
    Controller, Nudge, PartFailure, Poll, PollPace, Reach, Scrape, ScrapeSeries, Scraper, SetBack,
    Target, TargetIdentity,
};
use crate::resilience::PollConfig;
use crate::yaml::GoDuration;

/// The factory of `node`.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "node",
    aliases: &[],
    summary: "reads the host's processors, memory, disks, filesystems and networks",
    signals: &[Signal::Metrics],
    configure: |value| Some(Box::new(Config::read(value)?)),
};

impl ReceiverConfig for Config {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let intake = context.metrics_intake(intakes)?;
        let urls = self.targets.iter().map(|target| &target.url);
        let settings = self.settings.guarded_by(context.guard.as_deref());
        let client = Client::new(&self.http, settings.timeout, urls)?;
        host::check_root(&self.root_path)?;
        let access = Access::new(context, Arc::new(client));
        let targets = self.scraped(context, settings.pace(), &access);
        Ok(Box::new(Controller::new(context, intake, targets)))
    }

    fn polls(&self) -> Option<PollConfig> {
        Some(self.settings.written)
    }

    fn endpoints(&self) -> usize {
        self.targets.len()
    }

    fn describe(&self) -> String {
        let mut text = format!("this host as {}", self.node_id());
        for target in &self.targets {
            text.push_str(", ");
            text.push_str(&target.text);
        }
        format!("{text} every {}", GoDuration(self.settings.interval))
    }
}

impl Config {
    fn node_id(&self) -> String {
        self.node_id.clone().unwrap_or_else(host::name)
    }

    /// One scrape target for this host and one for each other node.
    fn scraped(&self, context: &BuildContext, pace: PollPace, access: &Arc<Access>) -> Vec<Target> {
        let node_id = self.node_id();
        let mut local = Local::new(self, node_id.clone(), BlockingThreads::shared());
        let advice = format!(
            "a node_exporter is expected by receivers::{}::targets",
            context.id
        );
        let advice: Arc<str> = advice.into();
        let service = context.id.as_str();
        let mut targets = Vec::new();
        for target in &self.targets {
            let answered = Arc::new(AtomicBool::new(false));
            local.others.push(Arc::clone(&answered));
            let request = FetchRequest::new(target.url.clone(), "text/plain;version=0.0.4");
            let (filesystems, networks) = (self.filesystems.clone(), self.networks.clone());
            let read = move |page| remote::read(&page, &filesystems, &networks);
            targets.push(Target {
                endpoint: target.text.as_str().into(),
                identity: Arc::new(TargetIdentity::new(service, target.text.as_str())),
                reach: Reach::Remote,
                pace,
                series: ScrapeSeries::Own,
                advice: Arc::clone(&advice),
                nudge: Nudge::default(),
                scraper: Box::new(Remote::new(
                    target.node_id.clone(),
                    access.document(request, read),
                    answered,
                )),
            });
        }
        let identity = TargetIdentity {
            resource: vec![("host.name".into(), host::name().into())],
            ..TargetIdentity::new(service, node_id.as_str())
        };
        targets.insert(
            0,
            Target {
                endpoint: node_id.into(),
                identity: Arc::new(identity),
                reach: Reach::Local,
                pace,
                series: ScrapeSeries::Own,
                advice: "`root_path` says where the host's /proc is".into(),
                nudge: Nudge::default(),
                scraper: Box::new(local),
            },
        );
        targets
    }
}

/// How long reading the first counters may take. Later ones would be too young for the time that
/// they are recorded with.
const BASELINE: Duration = Duration::from_millis(500);

/// Reads this host.
struct Local {
    poller: HostPoller,
    host: Host,
    node_id: String,
    /// The gauges that have points and haven't been ended.
    shown: NodeSummary,
    timeout: Duration,
    /// For each other node, whether its last poll succeeded.
    others: Vec<Arc<AtomicBool>>,
    /// The task that reads the first counters, and when it began.
    baseline: Option<(Now, JoinHandle<HostReading>)>,
}

impl Local {
    fn new(config: &Config, node_id: String, threads: Arc<BlockingThreads>) -> Self {
        let reader = HostReader::new(&config.root_path, config.selection());
        Self {
            poller: HostPoller::new(reader, threads),
            host: Host::new(config.exposition, config.semconv, Scale::of_this_machine()),
            node_id,
            shown: NodeSummary::default(),
            timeout: config.settings.timeout,
            others: Vec::new(),
            baseline: None,
        }
    }
}

impl Scraper for Local {
    fn start(&mut self, now: Now) {
        // On a task of its own, and the controller doesn't wait for it: a file that hangs must
        // not delay other receivers or the start of the agent.
        let deadline = now.monotonic + BASELINE.min(self.timeout);
        let task = tokio::spawn(self.poller.counters(deadline));
        self.baseline = Some((now, task));
    }

    fn clock_set_back(&mut self, by: &SetBack) {
        self.host.clock_set_back(by);
    }

    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        let now = poll.now;
        Box::pin(async move {
            if let Some((then, task)) = &mut self.baseline {
                let then = *then;
                // The task ends by itself, after half a second at most.
                if let Ok(reading) = task.await {
                    self.host.baseline(reading, then);
                }
                self.baseline = None;
            }
            let HostAnswer {
                reading,
                failures,
                parts,
            } = self.poller.poll(now.monotonic + self.timeout).await;
            let failures: Vec<PartFailure> = failures.into_iter().map(Into::into).collect();
            if reading.is_empty() {
                // Every part failed, or there is no part at all.
                return Scrape::parts(failures.len(), failures);
            }
            // A gauge whose file was read, but gave no value, ends; a gauge whose file couldn't
            // be read keeps its last point.
            let mut ended = NodeSummary {
                cpu: self.shown.cpu.filter(|_| reading.cpus.is_some()),
                disk: self.shown.disk.filter(|_| reading.mounts.is_some()),
                network: self.shown.network.filter(|_| reading.interfaces.is_some()),
                ..NodeSummary::default()
            };
            let mut summary = self.host.write(reading, now, out);
            let others = self.others.iter();
            let answered = others.filter(|other| other.load(Ordering::Relaxed)).count();
            summary.nodes = Some(1 + answered as u64);
            summary.write(&self.node_id, now.wall, out);
            ended = ended.minus(&summary);
            if ended != NodeSummary::default() {
                out.ending(true);
                ended.write(&self.node_id, now.wall, out);
                out.ending(false);
            }
            self.shown = summary.or(self.shown.minus(&ended));
            Scrape::parts(parts, failures)
        })
    }
}

#[cfg(test)]
mod tests;
