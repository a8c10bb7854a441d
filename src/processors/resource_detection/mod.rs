//! `resource_detection`: adds what this machine says about itself to resources.
//!
//! ```yaml
//! processors:
//!   resource_detection:            # or resourcedetection
//!     detectors: [env, system]     # env (the default), system, docker, k8s_api (or k8snode)
//!     override: true               # false keeps attributes that a resource has already
//!     timeout: 5s                  # for all detectors together; 10ms to 5m
//!     system:
//!       hostname_sources: [dns, os]        # dns, os, cname, lookup; the first that knows the name
//!       resource_attributes:               # each can be switched
//!         host.name: {enabled: true}
//!         os.type: {enabled: true}
//!         host.id: {enabled: false}        # and so are the further ones
//!     docker:
//!       resource_attributes:
//!         container.name: {enabled: false}
//!     k8s_api:
//!       node_from_env_var: K8S_NODE_NAME
//! ```
//!
//! The keys are those of the Collector's processor; `docs/processors.md` lists each attribute, and
//! what differs. Of an attribute that several detectors find, the first one's value counts.
//!
//! - `env` reads `OTEL_RESOURCE_ATTRIBUTES`: `key=value,key=value`, with `%2C` for a comma.
//! - `system` reads the files under `/etc`, asks the kernel, and looks up the host's name.
//! - `docker` asks the daemon at `DOCKER_HOST`, or at `/var/run/docker.sock`.
//! - `k8s_api` takes the name of the node from the environment, where the downward API puts it.
//!
//! Detection begins with the first batch, not before, and is made once: all pipelines of one
//! processor share what it found. It holds up no start. Batches that come meanwhile wait, mostly
//! for some milliseconds and never longer than `timeout`, and at most 16 MiB of them: with
//! attributes that come later every series would end and begin again. What couldn't be read by
//! then is absent, which is logged, and stays so until the next start.
//!
//! Metrics, beside those of every processor:
//!
//! - `foghorn_resource_detection_results_total{processor,detector,outcome}`: how detection ended:
//!   `detected`, `failed` (something is absent) or `timeout`
//! - `foghorn_resource_detection_early_items_total{processor,reason}`: items that were passed on
//!   without attributes, because more than 16 MiB waited (`limit`) or the agent ended (`shutdown`)

mod config;
mod detection;
mod docker;
mod env;
mod found;
mod kubernetes;
mod lookups;
mod machine;
mod netlink;
mod switches;
mod system;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use self::config::Config;
use self::detection::{Detection, DetectionCounts};
use self::found::FoundAttributes;
use super::actions::Actions;
use crate::component::{BuildContext, Now, Output, Processor, ProcessorConfig, ProcessorFactory};
use crate::pdata::view::Resource;
use crate::pdata::{Action, Batch, Edit, Replacement, Signal};

/// The factory of `resource_detection`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "resource_detection",
    aliases: &["resourcedetection"],
    summary: "adds what this machine says about itself to resources",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

/// The most bytes of batches that wait for the end of detection.
const MAX_WAITING: u64 = 16 << 20;

/// How often batches that wait look whether detection has ended.
const LOOK: Duration = Duration::from_millis(20);

impl ProcessorConfig for Config {
    fn build(&self, context: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok(Box::new(ResourceDetection {
            detection: Arc::clone(&self.detection),
            replaces: self.replaces,
            counts: DetectionCounts::new(context),
            found: None,
            waiting: VecDeque::new(),
            next_look: None,
        }))
    }
}

struct ResourceDetection {
    detection: Arc<Detection>,
    /// Whether attributes that are there already are replaced.
    replaces: bool,
    counts: DetectionCounts,
    /// What was found, once detection has ended.
    found: Option<FoundEdit>,
    /// In the order in which they came.
    waiting: VecDeque<Batch>,
    next_look: Option<Instant>,
}

impl Processor for ResourceDetection {
    fn process(&mut self, batch: Batch, now: Now, out: &mut dyn Output) {
        self.detection.begin(&self.counts);
        self.waiting.push_back(batch);
        self.pass_on(now, out);
    }

    fn deadline(&self) -> Option<Instant> {
        self.next_look
    }

    fn on_deadline(&mut self, now: Now, out: &mut dyn Output) {
        self.pass_on(now, out);
    }

    fn drain(&mut self, now: Now, out: &mut dyn Output) {
        self.pass_on(now, out);
        self.next_look = None;
        for batch in self.waiting.drain(..) {
            self.counts.early(batch.items(), "shutdown");
            out.emit(batch);
        }
    }
}

impl ResourceDetection {
    /// Passes on what waits, if detection has ended, and otherwise what more than may wait.
    fn pass_on(&mut self, now: Now, out: &mut dyn Output) {
        if self.found.is_none() {
            let found = self.detection.found();
            self.found = found.map(|found| FoundEdit::new(found, self.replaces));
        }
        let Some(edit) = &mut self.found else {
            let mut bytes: u64 = self.waiting.iter().map(Batch::weight).sum();
            while bytes > MAX_WAITING
                && let Some(batch) = self.waiting.pop_front()
            {
                bytes -= batch.weight();
                self.counts.early(batch.items(), "limit");
                out.emit(batch);
            }
            self.next_look = (!self.waiting.is_empty()).then(|| now.monotonic + LOOK);
            return;
        };
        self.next_look = None;
        for mut batch in self.waiting.drain(..) {
            if let Some(edit) = &mut edit.0 {
                batch.edit(edit);
            }
            out.emit(batch);
        }
    }
}

/// Puts what was found into resources; nothing, if nothing was.
struct FoundEdit(Option<ResourceEdit>);

struct ResourceEdit {
    actions: Actions,
}

impl FoundEdit {
    fn new(found: &FoundAttributes, replaces: bool) -> Self {
        let values = found.values().to_vec();
        let any = !values.is_empty();
        Self(any.then(|| ResourceEdit {
            actions: Actions::putting(values, replaces),
        }))
    }
}

impl Edit for ResourceEdit {
    fn resource(&mut self, resource: Resource<'_>, new: &mut Replacement) -> Action {
        self.actions.apply(resource.attributes(), new);
        Action::Skip
    }
}
