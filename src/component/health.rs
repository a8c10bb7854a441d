//! Whether sources, destinations, pipelines and tasks work, as they themselves report it.
//!
//! The agent's state is derived from the lines on the board and stored nowhere, so it
//! can't disagree with them:
//!
//! | state | when |
//! |---|---|
//! | *unhealthy* | items were dropped for good behind the fan-out, and nothing was delivered on that way since; or a task died |
//! | *degraded* | a source or destination doesn't work as it should, a queue ages, or requests are refused for lack of room: what failed or was refused can still arrive |
//! | *healthy* | otherwise |
//!
//! A source or destination that hasn't been tried yet counts as working. One whose breaker isn't
//! Healthy counts as degraded even if its last attempt worked, since it is asked less or not at
//! all. The states of the breakers are read when `/health` is.

mod pipelines;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::ComponentId;
use crate::resilience::{self, Endpoint, Mode};

pub use self::pipelines::{
    LegReport, MemoryExcess, PipelineProbe, PipelineReport, REFUSAL_SHOWN, Shortage,
};

/// How many dead tasks are remembered by name. One is enough to be unhealthy.
const DEAD_TASKS: usize = 32;

/// The longest error that is kept, in bytes; errors quote what peers send.
const ERROR_LENGTH: usize = 512;

/// The board on which components report and from which `/health` reads. A handle: clones
/// share the board.
#[derive(Debug, Clone)]
pub struct Health {
    board: Arc<Board>,
}

#[derive(Debug)]
struct Board {
    started: Instant,
    // Std mutexes: every section is a few loads and stores.
    lines: Mutex<HealthLines>,
    life: Mutex<Life>,
}

/// The lines by number, so in the order in which they were added.
#[derive(Debug, Default)]
struct HealthLines {
    next: u64,
    by_number: BTreeMap<u64, Arc<Mutex<HealthLine>>>,
}

#[derive(Debug)]
struct HealthLine {
    report: HealthReport,
    /// The breakers before it: one of a destination, one for each part of a source.
    guards: Arc<[Arc<Endpoint>]>,
}

#[derive(Debug)]
struct Life {
    phase: Phase,
    pipelines: Option<Arc<dyn PipelineProbe>>,
    dead: Vec<String>,
    /// How many more are dead than are remembered by name.
    more_dead: usize,
}

/// Where the agent is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not everything is bound or running yet.
    Starting,
    /// Listeners are bound and pipelines run.
    Running,
    /// Told to stop; what is under way is being delivered.
    Draining,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A source that a receiver asks or listens for.
    Endpoint,
    /// A destination.
    Exporter,
}

/// Whether a source or destination works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ComponentState {
    /// Not tried yet.
    Unknown,
    /// The last attempt worked.
    Working,
    /// It works, but not as it should: a queue ages, a part of an answer is missing.
    Degraded,
    /// The last attempt failed.
    Failing,
}

/// The last that is known of one source or destination.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthReport {
    /// What it is about.
    pub subject: Subject,
    /// The component that reports.
    pub component: ComponentId,
    /// The source or destination, without credentials; the component's id where it has one
    /// destination only.
    pub id: String,
    /// Whether it works.
    pub state: ComponentState,
    /// The state of the breaker before it; of several, the one that lets least through.
    pub breaker: Option<resilience::BreakerState>,
    /// That breaker's judgement from 0 to 1; of several, the worst.
    pub health_score: Option<f64>,
    /// Attempts that failed since the last that worked.
    pub consecutive_failures: u64,
    /// Why the last failed attempt failed.
    pub last_error: Option<String>,
    /// When the last attempt failed.
    pub last_failure: Option<Instant>,
    /// When the last attempt worked.
    pub last_success: Option<Instant>,
}

/// The whole agent at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthSnapshot {
    /// The verdict.
    pub status: Status,
    /// Where the agent is in its life.
    pub phase: Phase,
    /// Since the start.
    pub uptime: Duration,
    /// Sources and destinations, in the order in which they began to report.
    pub reports: Vec<HealthReport>,
    /// Pipelines in the order of the configuration.
    pub pipelines: Vec<PipelineReport>,
    /// Tasks that ended although the agent wasn't stopping them.
    pub dead_tasks: Vec<String>,
}

/// The verdict on the agent or a pipeline, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// All that has been tried works.
    Healthy,
    /// Something doesn't, and the rest goes on.
    Degraded,
    /// Data is being lost for good.
    Unhealthy,
}

impl ComponentState {
    /// The word for it: `unknown`, `working`, `degraded` or `failing`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Working => "working",
            Self::Degraded => "degraded",
            Self::Failing => "failing",
        }
    }
}

impl Status {
    /// The word for it: `healthy`, `degraded` or `unhealthy`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "healthy",
            Self::Degraded => "degraded",
            Self::Unhealthy => "unhealthy",
        }
    }
}

/// One source's or destination's line on the board. It leaves the board when dropped.
#[derive(Debug)]
pub struct Reporter {
    board: Health,
    number: u64,
    line: Arc<Mutex<HealthLine>>,
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Health {
    /// An empty board, from which the agent's uptime counts.
    pub fn new() -> Self {
        Self {
            board: Arc::new(Board {
                started: Instant::now(),
                lines: Mutex::default(),
                life: Mutex::new(Life {
                    phase: Phase::Starting,
                    pipelines: None,
                    dead: Vec::new(),
                    more_dead: 0,
                }),
            }),
        }
    }

    /// Adds a line.
    pub fn reporter(&self, subject: Subject, component: &ComponentId, id: &str) -> Reporter {
        let report = HealthReport {
            subject,
            component: component.clone(),
            id: id.to_owned(),
            state: ComponentState::Unknown,
            breaker: None,
            health_score: None,
            consecutive_failures: 0,
            last_error: None,
            last_failure: None,
            last_success: None,
        };
        let line = Arc::new(Mutex::new(HealthLine {
            report,
            guards: Arc::from([]),
        }));
        let mut lines = lock(&self.board.lines);
        let number = lines.next;
        lines.next += 1;
        lines.by_number.insert(number, Arc::clone(&line));
        drop(lines);
        Reporter {
            board: self.clone(),
            number,
            line,
        }
    }

    /// Lets the board look into the pipelines, once they are built.
    pub fn watch(&self, pipelines: Arc<dyn PipelineProbe>) {
        lock(&self.board.life).pipelines = Some(pipelines);
    }

    /// Every pipeline as it stands; none before they are built.
    pub fn pipelines(&self, now: Instant) -> Vec<PipelineReport> {
        // The probe takes locks of its own, so it is asked without ours.
        let probe = lock(&self.board.life).pipelines.clone();
        probe.map_or_else(Vec::new, |probe| probe.pipelines(now))
    }

    /// A task of the agent panicked, or ended although the agent wasn't stopping it. Neither the
    /// task nor what depends on it works until the agent is restarted.
    pub fn task_died(&self, task: impl Into<String>) {
        let mut life = lock(&self.board.life);
        if life.dead.len() < DEAD_TASKS {
            life.dead.push(task.into());
        } else {
            life.more_dead += 1;
        }
    }

    /// What a task that died was there for is gone, such as the target that it polled: nobody
    /// misses it any more.
    pub fn dead_task_is_over(&self, task: &str) {
        let mut life = lock(&self.board.life);
        match life.dead.iter().position(|dead| dead == task) {
            Some(index) => drop(life.dead.remove(index)),
            None => life.more_dead = life.more_dead.saturating_sub(1),
        }
    }

    /// The tasks that died, such as `exporter otlp`. Of very many the last element says how many
    /// more there are.
    pub fn dead_tasks(&self) -> Vec<String> {
        let life = lock(&self.board.life);
        let more = (life.more_dead > 0).then(|| format!("{} more", life.more_dead));
        life.dead.iter().cloned().chain(more).collect()
    }

    /// The agent enters a phase of its life.
    pub fn enter(&self, phase: Phase) {
        lock(&self.board.life).phase = phase;
    }

    /// Where the agent is in its life.
    pub fn phase(&self) -> Phase {
        lock(&self.board.life).phase
    }

    /// Every line as it stands.
    pub fn reports(&self) -> Vec<HealthReport> {
        let lines: Vec<_> = {
            let lines = lock(&self.board.lines);
            lines.by_number.values().cloned().collect()
        };
        lines
            .iter()
            .map(|line| {
                let (mut report, guards) = {
                    let line = lock(line);
                    (line.report.clone(), Arc::clone(&line.guards))
                };
                // Breakers have locks of their own, so they are asked without ours.
                report.ask(&guards);
                report
            })
            .collect()
    }

    /// The whole agent as it stands.
    pub fn snapshot(&self, now: Instant) -> HealthSnapshot {
        let reports = self.reports();
        let pipelines = self.pipelines(now);
        let dead_tasks = self.dead_tasks();
        HealthSnapshot {
            status: verdict(&reports, &pipelines, &dead_tasks),
            phase: self.phase(),
            uptime: now.saturating_duration_since(self.board.started),
            reports,
            pipelines,
            dead_tasks,
        }
    }
}

impl HealthReport {
    fn ask(&mut self, guards: &[Arc<Endpoint>]) {
        let now = Instant::now();
        for guard in guards {
            let snapshot = guard.breaker().snapshot(now);
            let score = self.health_score.unwrap_or(1.0);
            self.health_score = Some(score.min(snapshot.health_score));
            if self.breaker.map(strictness) < Some(strictness(snapshot.state)) {
                self.breaker = Some(snapshot.state);
            }
            // A breaker that only observes lets every attempt through.
            let impaired = guard.breaker().mode() == Mode::Enforce
                && snapshot.state != resilience::BreakerState::Healthy;
            if impaired && self.state != ComponentState::Failing {
                self.state = ComponentState::Degraded;
            }
        }
    }
}

/// How little a breaker lets through.
fn strictness(state: resilience::BreakerState) -> u8 {
    match state {
        resilience::BreakerState::Healthy => 0,
        resilience::BreakerState::Degraded => 1,
        resilience::BreakerState::HalfOpen => 2,
        resilience::BreakerState::CoolingDown => 3,
    }
}

impl Reporter {
    /// The last attempt worked.
    pub fn working(&self) {
        let report = &mut lock(&self.line).report;
        report.state = ComponentState::Working;
        report.consecutive_failures = 0;
        report.last_success = Some(Instant::now());
    }

    /// The last attempt failed.
    pub fn failing(&self, error: impl Into<String>) {
        let report = &mut lock(&self.line).report;
        report.state = ComponentState::Failing;
        report.consecutive_failures += 1;
        report.last_error = Some(shortened(error.into()));
        report.last_failure = Some(Instant::now());
    }

    /// It works, but not as it should. The next [`Reporter::working`] takes it back.
    pub fn degraded(&self, reason: impl Into<String>) {
        let report = &mut lock(&self.line).report;
        report.state = ComponentState::Degraded;
        report.last_error = Some(shortened(reason.into()));
    }

    /// What the line is called, instead of what it was called.
    pub fn rename(&self, id: &str) {
        id.clone_into(&mut lock(&self.line).report.id);
    }

    /// These breakers stand before it, and are asked whenever somebody reads the line.
    pub fn guarded_by(&self, guards: impl IntoIterator<Item = Arc<Endpoint>>) {
        lock(&self.line).guards = guards.into_iter().collect();
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        let lines = &self.board.board.lines;
        lock(lines).by_number.remove(&self.number);
    }
}

fn verdict(reports: &[HealthReport], pipelines: &[PipelineReport], dead: &[String]) -> Status {
    let mut worst = Status::Healthy;
    if !dead.is_empty() {
        worst = Status::Unhealthy;
    }
    if reports.iter().any(|report| {
        matches!(
            report.state,
            ComponentState::Degraded | ComponentState::Failing
        )
    }) {
        worst = worst.max(Status::Degraded);
    }
    pipelines
        .iter()
        .map(PipelineReport::status)
        .fold(worst, Status::max)
}

fn shortened(mut error: String) -> String {
    if error.len() > ERROR_LENGTH {
        let end = (0..=ERROR_LENGTH)
            .rev()
            .find(|&i| error.is_char_boundary(i));
        error.truncate(end.unwrap_or(0));
        error.push_str("...");
    }
    error
}

/// A line is whole after every store, so a panic elsewhere spoils nothing.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
