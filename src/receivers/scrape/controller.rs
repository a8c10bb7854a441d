//! Runs the pollers of a receiver, a task for each target, and lets targets in and out as its
//! discovery finds them.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Meter, UpDownCounter};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tracing::{debug, warn};

use super::discovery::{Discovery, TargetKey, TargetSets};
use super::link::Link;
use super::poller::{Instruments, Poller, PollerContext};
use super::roster::Roster;
use super::target::Target;
use crate::component::{BuildContext, Intake, Now, Receiver};
use crate::resilience;
use crate::telemetry::Throttle;

/// How many found targets a receiver polls unless its configuration says otherwise.
pub const DEFAULT_MAX_TARGETS: usize = 10_000;

/// How long to wait after a change of the targets before the next one is taken: a discovery may
/// tell of ten thousand one by one, and each time all of them are looked at.
const REST: Duration = Duration::from_secs(1);

/// The same where a target waits for the end of another, which should leave no gap: ten thousand
/// may end one by one.
const SHORT_REST: Duration = Duration::from_millis(100);

/// A running pull receiver: polls all of its targets.
pub struct Controller {
    context: Arc<PollerContext>,
    is_guarded: bool,
    meter: Meter,
    fixed: Vec<Target>,
    discovery: Option<FoundBy>,
}

/// A discovery, and how many of the targets that it finds are polled.
struct FoundBy {
    discovery: Box<dyn Discovery>,
    max: usize,
}

/// A poller's task has ended.
struct PollerEnd {
    /// `None` for a target that no discovery found.
    key: Option<TargetKey>,
    /// Whether the poller panicked.
    panicked: bool,
}

impl Controller {
    /// A receiver that polls `targets` as long as it runs, and hands the metrics to `intake`.
    pub fn new(context: &BuildContext, intake: Arc<dyn Intake>, targets: Vec<Target>) -> Self {
        let meter = context.telemetry.meter("foghorn/scrape");
        let guard = context.guard.as_deref();
        let host = rustix::system::uname();
        Self {
            context: Arc::new(PollerContext {
                instruments: Instruments::new(&meter, &context.id),
                scope: format!("foghorn/{}", context.id.kind()),
                host: host.nodename().to_string_lossy().into_owned(),
                staleness: guard.map_or(Duration::ZERO, resilience::Settings::max_staleness),
                id: context.id.clone(),
                intake,
                health: context.health.clone(),
                endpoints: Arc::clone(&context.endpoints),
            }),
            is_guarded: guard.is_some(),
            meter,
            fixed: targets,
            discovery: None,
        }
    }

    /// Polls besides what `discovery` finds, at most `max` targets at a time.
    pub fn discovering(self, discovery: Box<dyn Discovery>, max: usize) -> Self {
        Self {
            discovery: Some(FoundBy { discovery, max }),
            ..self
        }
    }
}

impl Receiver for Controller {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        // An endpoint that can't be reached doesn't keep the agent from starting.
        Box::pin(std::future::ready(Ok(())))
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let mut pollers = Pollers {
                context: self.context,
                is_guarded: self.is_guarded,
                tasks: JoinSet::new(),
                stop,
            };
            for target in self.fixed {
                let link = Arc::new(Link::new(target.nudge.clone()));
                pollers.begin(None, target, link);
            }
            if let Some(found_by) = self.discovery {
                follow(&mut pollers, found_by, &self.meter).await;
            }
            while pollers.next_end().await.is_some() {}
        })
    }
}

/// The tasks of the pollers.
struct Pollers {
    context: Arc<PollerContext>,
    is_guarded: bool,
    tasks: JoinSet<PollerEnd>,
    stop: CancellationToken,
}

impl Pollers {
    fn begin(&mut self, key: Option<TargetKey>, target: Target, link: Arc<Link>) {
        let name = self.poller_name(&target.endpoint);
        let mut poller = Box::new(Poller::new(&self.context, target, link, Now::read()));
        let (health, stop) = (self.context.health.clone(), self.stop.clone());
        self.tasks.spawn(async move {
            // A poller that panics is no reason for the others to end.
            let running = AssertUnwindSafe(poller.run(&stop)).catch_unwind();
            let panicked = running.await.is_err();
            if panicked {
                health.task_died(name);
                Box::pin(poller.bury(&stop)).await;
            }
            PollerEnd { key, panicked }
        });
    }

    /// What `/health` calls a poller that panicked.
    fn poller_name(&self, endpoint: &str) -> String {
        format!("poller of {endpoint} in receiver {}", self.context.id)
    }

    /// The next poller that has ended; `None` if none is left.
    async fn next_end(&mut self) -> Option<PollerEnd> {
        loop {
            // Nobody aborts these tasks one by one, so each has a result.
            if let Ok(ended) = self.tasks.join_next().await? {
                return Some(ended);
            }
        }
    }
}

/// Polls what a discovery finds, until the agent stops.
async fn follow(pollers: &mut Pollers, found_by: FoundBy, meter: &Meter) {
    let FoundBy { discovery, max } = found_by;
    let stop = pollers.stop.clone();
    let sets = TargetSets::new(max);
    let finding = AssertUnwindSafe(discovery.run(sets.clone(), stop.clone())).catch_unwind();
    // It ends with this future, too.
    let mut finding = AbortOnDropHandle::new(tokio::spawn(finding));
    let mut finds = true;
    let mut following = Following {
        roster: Roster::new(max, pollers.is_guarded),
        counts: TargetCounts::new(meter, pollers),
        throttle: Throttle::default(),
    };
    // When the next change may be taken, if there is one to take.
    let mut due: Option<Instant> = None;
    // When the last one was taken.
    let mut taken: Option<Instant> = None;
    let rested = |taken: Option<Instant>, rest| taken.map_or_else(Instant::now, |at| at + rest);
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            // Before a change is taken, so that all who have ended by then are known.
            Some(ended) = pollers.next_end(), if !pollers.tasks.is_empty() => {
                if following.note(&ended) {
                    let at = rested(taken, SHORT_REST);
                    due = Some(due.map_or(at, |due| due.min(at)));
                }
            }
            () = sets.changed(), if due.is_none() => due = Some(rested(taken, REST)),
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                due = None;
                following.take(&sets, pollers);
                taken = Some(Instant::now());
            }
            ended = &mut finding, if finds => {
                finds = false;
                if !matches!(ended, Ok(Ok(()))) {
                    let id = &pollers.context.id;
                    pollers.context.health.task_died(format!("discovery of receiver {id}"));
                }
            }
        }
    }
    if finds {
        // It has been told to stop, too.
        let _ = finding.await;
    }
    if let Some(left_out) = following.throttle.rest() {
        following.warn(pollers, left_out);
    }
}

/// The found targets that are polled, and what is told of them.
struct Following {
    roster: Roster,
    counts: TargetCounts,
    throttle: Throttle,
}

impl Following {
    fn take(&mut self, sets: &TargetSets, pollers: &mut Pollers) {
        let changes = self.roster.take(&sets.found());
        for endpoint in changes.buried {
            let name = pollers.poller_name(&endpoint);
            pollers.context.health.dead_task_is_over(&name);
        }
        let begun = changes.admitted.len();
        for new in changes.admitted {
            pollers.begin(Some(new.key), new.target, new.link);
        }
        debug!(receiver = %pollers.context.id, begun, polled = self.roster.count(), "targets changed");
        self.counts.polled.add(begun as i64, &self.counts.receiver);
        if changes.newly_left_out > 0 {
            let counts = &self.counts;
            counts.left_out.add(changes.newly_left_out, &counts.limit);
            if let Some(left_out) = self.throttle.pass(changes.newly_left_out, Instant::now()) {
                self.warn(pollers, left_out);
            }
        }
    }

    /// Takes note of a poller that has ended. Whether a target may begin now that had to wait.
    fn note(&mut self, ended: &PollerEnd) -> bool {
        let Some(key) = ended.key else {
            return false;
        };
        match ended.panicked {
            true => self.roster.died(key),
            false => self.roster.ended(key),
        }
        self.counts.polled.add(-1, &self.counts.receiver);
        self.roster.awaits_ends()
    }

    fn warn(&self, pollers: &Pollers, left_out: u64) {
        warn!(
            receiver = %pollers.context.id,
            left_out,
            polled = self.roster.count(),
            "more targets were found than may be polled: the rest is left out",
        );
    }
}

/// The agent's own metrics of the targets that a receiver has found.
struct TargetCounts {
    polled: UpDownCounter<i64>,
    left_out: Counter<u64>,
    receiver: [KeyValue; 1],
    limit: [KeyValue; 2],
}

impl TargetCounts {
    fn new(meter: &Meter, pollers: &Pollers) -> Self {
        let receiver = KeyValue::new("receiver", pollers.context.id.to_string());
        let counts = Self {
            polled: meter
                .i64_up_down_counter("foghorn_scrape_targets")
                .with_description("Targets that were found and are polled")
                .build(),
            left_out: meter
                .u64_counter("foghorn_scrape_targets_rejected_total")
                .with_description("Targets that were found and left out")
                .build(),
            limit: [receiver.clone(), KeyValue::new("reason", "limit")],
            receiver: [receiver],
        };
        counts.polled.add(0, &counts.receiver);
        counts.left_out.add(0, &counts.limit);
        counts
    }
}

#[cfg(test)]
mod tests;
