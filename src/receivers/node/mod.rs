//! Reads the host itself, and other nodes by their node_exporter.
//!
//! ```yaml
//! receivers:
//!   node:
//!     node_id: fog-7             # default: the host's name
//!     semconv: v1                # v1 | v0 (as the Collector's hostmetrics) | both
//!     root_path: /               # where the host's files are, such as /hostfs in a container
//!     filesystems: {include: [], exclude: [/boot.*]}   # by mount point
//!     disks: {include: [], exclude: []}                # by name
//!     networks: {include: [eth.*], exclude: []}        # by interface
//!     targets:                   # other nodes, each by its node_exporter
//!       - {node_id: node-2, url: http://node-2:9100/metrics}
//!     collection_interval: 15s   # and the other keys of `scrape` and its HTTP client
//! ```
//!
//! Patterns are regular expressions that match a whole name, at most 64 in a list. Left
//! out unless `include` names them are virtual filesystems (but the overlay at `/`, which
//! is all that a container sees), filesystems behind a network or a program, partitions
//! and loop devices, and the interface `lo`.
//!
//! What the host doesn't show is absent, never 0: a container with half a `/proc` gives
//! the other half. A filesystem that doesn't answer within `timeout` is a failed part with
//! the reason `timeout`, holds up nobody else, and isn't asked again before it answers.
//! A disk, filesystem, interface or processor that is listed no longer ends its series with
//! a tombstone; a file that can't be read for once ends none.
//! At most 512 disks, interfaces and filesystems each are read; more count as a failed
//! part with the reason `limit`.
//!
//! Metrics: `system.*` and `process.*` as the semantic conventions have them, and the
//! platform's gauges `node_cpu_usage`, `node_memory_usage`, `node_disk_usage`,
//! `node_network_io`, `system_uptime` and `system_total_nodes` with the label `node_id`.
//! A target gives these gauges of its node from the exporter's own names, and nothing else.
//! `docs/node.md` lists all with unit, attributes and source.

mod config;
mod emit;
mod epochs;
mod page;
mod proc;
mod reading;
mod remote;
mod summary;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, timeout_at};

use self::config::Config;
use self::emit::{Host, Scale};
use self::proc::Mount;
use self::reading::{Filesystem, PARTS, Reader, Reading};
use self::remote::Remote;
use self::summary::Summary;
use crate::component::{BuildContext, Intake, Now, Receiver, ReceiverConfig, ReceiverFactory};
use crate::pdata::Signal;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{Access, Client, Request};
use crate::receivers::scrape::{Controller, Failure, Reach, Reason, Scrape, Scraper, Target};
use crate::resilience::{PollConfig, Trigger};
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
        mut intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let intake = intakes
            .remove(&Signal::Metrics)
            .ok_or_else(|| anyhow::anyhow!("{}: stands in no metrics pipeline", context.id))?;
        let urls = self.targets.iter().map(|target| &target.url);
        let settings = match &context.guard {
            Some(guard) => self.settings.guarded_by(guard),
            None => self.settings,
        };
        let client = Client::new(&self.http, settings.timeout, urls)?;
        let targets = self.scraped(context, &Access::new(context, Arc::new(client)));
        Ok(Box::new(Controller::new(
            context, settings, intake, targets,
        )))
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
        self.node_id.clone().unwrap_or_else(host_name)
    }

    /// This host, and the other nodes.
    fn scraped(&self, context: &BuildContext, access: &Arc<Access>) -> Vec<Target> {
        let node_id = self.node_id();
        let mut local = Local::new(self, node_id.clone());
        let mut targets = Vec::new();
        for target in &self.targets {
            let answered = Arc::new(AtomicBool::new(false));
            local.others.push(Arc::clone(&answered));
            let request = Request {
                url: target.url.clone(),
                accept: "text/plain;version=0.0.4",
            };
            let (filesystems, networks) = (self.filesystems.clone(), self.networks.clone());
            let read = move |body: &[u8]| remote::read(body, &filesystems, &networks);
            targets.push(Target {
                endpoint: target.text.clone(),
                reach: Reach::Remote,
                resource: Vec::new(),
                advice: format!(
                    "a node_exporter is expected by receivers::{}::targets",
                    context.id
                ),
                scraper: Box::new(Remote::new(
                    target.node_id.clone(),
                    access.document(request, read),
                    answered,
                )),
            });
        }
        targets.insert(
            0,
            Target {
                endpoint: node_id,
                reach: Reach::Local,
                resource: vec![("host.name", host_name())],
                advice: "`root_path` says where the host's /proc is".to_owned(),
                scraper: Box::new(local),
            },
        );
        targets
    }
}

fn host_name() -> String {
    let names = rustix::system::uname();
    names.nodename().to_string_lossy().into_owned()
}

/// Reads this host.
struct Local {
    reader: Arc<Reader>,
    host: Host,
    node_id: String,
    /// What has points now that haven't been ended.
    shown: Summary,
    timeout: Duration,
    /// Whether each of the other nodes answered last time.
    others: Vec<Arc<AtomicBool>>,
    /// A reading that took too long and may still be under way.
    late: Option<JoinHandle<Everything>>,
    /// Filesystems, by mount point, that were asked and have not answered yet.
    hanging: HashMap<String, JoinHandle<Option<Filesystem>>>,
}

type Everything = (Reading, Vec<Mount>, Vec<Failure>);

impl Local {
    fn new(config: &Config, node_id: String) -> Self {
        Self {
            reader: Arc::new(Reader::new(config)),
            host: Host::new(config.semconv, Scale::of_this_machine()),
            node_id,
            shown: Summary::default(),
            timeout: config.settings.timeout,
            others: Vec::new(),
            late: None,
            hanging: HashMap::new(),
        }
    }

    /// Reads the files on a thread that may block.
    async fn read(&mut self, deadline: Instant) -> Result<Everything, Failure> {
        let failed = |reason, message: &str| Failure::new("proc", reason, message);
        if self.late.as_ref().is_some_and(|late| !late.is_finished()) {
            return Err(failed(Reason::Timeout, "the last reading still hangs"));
        }
        let reader = Arc::clone(&self.reader);
        let mut task = spawn_blocking(move || reader.all());
        match timeout_at(deadline, &mut task).await {
            Ok(Ok(everything)) => Ok(everything),
            Ok(Err(error)) => Err(failed(Reason::Refused, &error.to_string())),
            Err(_) => {
                self.late = Some(task);
                Err(failed(Reason::Timeout, "reading took too long"))
            }
        }
    }

    /// Asks filesystems that may hang, each on a thread of its own. One that hangs costs
    /// that thread and no further one.
    async fn ask(
        &mut self,
        mounts: Vec<Mount>,
        deadline: Instant,
        failures: &mut Vec<Failure>,
    ) -> Vec<Filesystem> {
        self.hanging.retain(|_, task| !task.is_finished());
        let mut tasks = Vec::new();
        for mount in mounts {
            let place = mount.mount_point.clone();
            if self.hanging.contains_key(&place) {
                failures.push(hangs(&place));
                continue;
            }
            let reader = Arc::clone(&self.reader);
            tasks.push((place, spawn_blocking(move || reader.room(mount))));
        }
        let mut filesystems = Vec::new();
        for (place, mut task) in tasks {
            match timeout_at(deadline, &mut task).await {
                Ok(answer) => filesystems.extend(answer.ok().flatten()),
                Err(_) => {
                    failures.push(hangs(&place));
                    self.hanging.insert(place, task);
                }
            }
        }
        filesystems
    }
}

fn hangs(mount_point: &str) -> Failure {
    Failure::new(
        format!("filesystem {mount_point}"),
        Reason::Timeout,
        "does not answer",
    )
}

impl Scraper for Local {
    fn start(&mut self, now: Now) {
        self.host.baseline(self.reader.counters(), now);
    }

    fn scrape<'a>(
        &'a mut self,
        now: Now,
        _trigger: Trigger,
        out: &'a mut MetricsWriter,
    ) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let deadline = now.monotonic + self.timeout;
            let (mut reading, to_ask, mut failures) = match self.read(deadline).await {
                Ok(everything) => everything,
                Err(failure) => return Scrape::whole(Err(failure)),
            };
            let asked = PARTS + to_ask.len();
            let answers = self.ask(to_ask, deadline, &mut failures).await;
            reading.filesystems.extend(answers);
            if reading.is_empty() {
                // Every part failed, or there is no part at all.
                return Scrape::parts(failures.len(), failures);
            }
            // A list that was read and gives no value has none; a file that can't be read
            // for once has its last one.
            let mut ended = Summary {
                cpu: self.shown.cpu.filter(|_| reading.cpus.is_some()),
                disk: self.shown.disk.filter(|_| reading.mounts.is_some()),
                network: self.shown.network.filter(|_| reading.interfaces.is_some()),
                ..Summary::default()
            };
            let mut summary = self.host.write(reading, now, out);
            let others = self.others.iter();
            let answered = others.filter(|other| other.load(Ordering::Relaxed)).count();
            summary.nodes = Some(1 + answered as u64);
            summary.write(&self.node_id, now.wall, out);
            ended = ended.minus(&summary);
            if ended != Summary::default() {
                out.ending(true);
                ended.write(&self.node_id, now.wall, out);
                out.ending(false);
            }
            self.shown = summary.or(self.shown.minus(&ended));
            Scrape::parts(asked, failures)
        })
    }
}

#[cfg(test)]
mod tests;
