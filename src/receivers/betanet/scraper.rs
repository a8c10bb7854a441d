//! Polls one instance: finds out its dialect, and requests each part by itself.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, join_all};
use tokio::time::Instant;

use super::network::InstanceSums;
use super::reading::{InstanceReading, Rejected};
use super::service_path::ServicePath;
use super::state::Instance;
use super::{Dialect, write};
use crate::component::{ComponentId, Now};
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{Asked, Document};
use crate::receivers::scrape::{
    FailureReason, NextPoll, Poll, PollReason, Scrape, Scraper, SetBack, UnusableEntry,
};
use crate::resilience::Endpoint;

/// Polls one instance for the controller.
pub(super) struct BetanetScraper {
    /// The endpoint as configured.
    name: String,
    dialect: Dialect,
    v1: Vec<PathSource>,
    native: Vec<PathSource>,
    max_mixnodes: usize,
    /// The dialect that the instance was found to speak; `None` while unknown.
    found: Option<Dialect>,
    /// The dialect whose parts were requested last.
    spoken: Dialect,
    /// Whether the next tick tries v1 again: another server may have started there.
    probes: bool,
    state: Instance,
    /// The values whose series have points and haven't been ended.
    shown: InstanceReading,
    /// The sums over all instances, if there are several, and the index of this one in them.
    network: Option<(usize, Arc<Mutex<InstanceSums>>)>,
}

/// One path of the instance.
pub(super) struct PathSource {
    part: ServicePath,
    document: Document<InstanceReading>,
    /// The answer whose series haven't been ended.
    last: Option<InstanceReading>,
    /// Whether its breaker was open after the last request.
    given_up: bool,
}

/// What a poll asked the parts of one dialect, and what they answered.
struct Round {
    dialect: Dialect,
    answers: Vec<(ServicePath, InstanceReading)>,
    scrape: Scrape,
}

impl BetanetScraper {
    pub(super) fn new(
        name: String,
        dialect: Dialect,
        [v1, native]: [Vec<PathSource>; 2],
        max_mixnodes: usize,
        network: Option<(usize, Arc<Mutex<InstanceSums>>)>,
    ) -> Self {
        Self {
            name,
            spoken: match dialect {
                Dialect::Auto => Dialect::V1,
                fixed => fixed,
            },
            dialect,
            v1,
            native,
            max_mixnodes,
            found: None,
            probes: false,
            state: Instance::default(),
            shown: InstanceReading::default(),
            network,
        }
    }

    /// Requests the parts of the dialect that the instance speaks, and finds out which that is.
    async fn ask(&mut self, poll: &Poll) -> Round {
        let at_tick = Poll {
            reason: PollReason::Interval,
            ..*poll
        };
        let dialect = match (self.dialect, poll.reason) {
            (Dialect::Auto, PollReason::Interval) => match self.found {
                Some(Dialect::Native) if !std::mem::take(&mut self.probes) => Dialect::Native,
                _ => Dialect::V1,
            },
            (Dialect::Auto, _) => self.spoken,
            (fixed, _) => fixed,
        };
        let mut round = self.ask_in(dialect, poll).await;
        if self.dialect == Dialect::Auto {
            match dialect {
                Dialect::Native if self.native.iter().all(PathSource::is_unknown) => {
                    // It may be another server now: the next poll tries v1.
                    self.found = None;
                }
                Dialect::Native => {}
                _ if self.v1.iter().any(PathSource::answers) => self.found = Some(Dialect::V1),
                _ if speaks_another(&self.v1) => {
                    self.found = Some(Dialect::Native);
                    round = self.ask_in(Dialect::Native, &at_tick).await;
                }
                // The attempt with v1 gave no decision: repeat it at the next tick, until the
                // breakers of all v1 paths are open.
                _ if self.found == Some(Dialect::Native) => {
                    let given_up = |source: &PathSource| source.document.is_given_up();
                    self.probes = !self.v1.iter().all(given_up);
                    round = self.ask_in(Dialect::Native, poll).await;
                }
                _ => {}
            }
        }
        self.spoken = round.dialect;
        self.look_back();
        round
    }

    /// Requests the parts that are due at the same time: it takes as long as the slowest.
    async fn ask_in(&mut self, dialect: Dialect, poll: &Poll) -> Round {
        let sources = self.sources_mut(dialect);
        let asking = sources.iter_mut().map(|source| source.ask(poll));
        let asked: Vec<_> = join_all(asking).await;
        let mut answers = Vec::new();
        let (mut failures, mut earlier) = (Vec::new(), Vec::new());
        let mut is_idle = true;
        for (source, asked) in sources.iter().zip(asked) {
            let failure = source.document.failure().cloned();
            match asked {
                Asked::NotDue => earlier.extend(failure),
                Asked::New(_) | Asked::Same | Asked::Failed => {
                    is_idle = false;
                    failures.extend(failure);
                }
            }
            if let Asked::New(answer) = asked {
                answers.push((source.part, answer));
            }
        }
        let scrape = Scrape::parts(sources.len(), failures).beside(earlier);
        Round {
            dialect,
            answers,
            scrape: if is_idle { scrape.idle() } else { scrape },
        }
    }

    /// After the requests: if a breaker that was open has closed again, another server may have
    /// started there, so the next tick tries v1. Once the dialect is known, the endpoints of the
    /// other dialect's paths are removed.
    fn look_back(&mut self) {
        let mut came_back = false;
        let sources = self.sources_mut(self.spoken);
        for source in &mut *sources {
            let given_up = source.document.is_given_up();
            came_back |= source.given_up && !given_up;
            source.given_up = given_up;
        }
        let answers = sources.iter().any(PathSource::answers);
        self.probes |= came_back;
        let probing = self.spoken == Dialect::Native && self.probes;
        if self.dialect == Dialect::Auto && answers && !probing {
            let other = match self.spoken {
                Dialect::Native => &mut self.v1,
                _ => &mut self.native,
            };
            other.iter_mut().for_each(PathSource::retire);
        }
    }

    fn sources(&self) -> &[PathSource] {
        match self.spoken {
            Dialect::Native => &self.native,
            _ => &self.v1,
        }
    }

    fn sources_mut(&mut self, dialect: Dialect) -> &mut [PathSource] {
        match dialect {
            Dialect::Native => &mut self.native,
            _ => &mut self.v1,
        }
    }

    /// Joins the last answers of the parts that `counts` selects.
    fn join(&self, counts: impl Fn(&PathSource) -> bool) -> InstanceReading {
        let told = self.sources().iter().filter(|source| counts(source));
        let told = told.filter_map(|source| Some((source.part, source.last.clone()?)));
        join(told.collect(), &self.standing())
    }

    /// The answers of the parts that answered their last request.
    fn standing(&self) -> Vec<(ServicePath, &InstanceReading)> {
        let answering = self.sources().iter().filter(|source| source.answers());
        let told = answering.filter_map(|source| Some((source.part, source.last.as_ref()?)));
        told.collect()
    }
}

impl Scraper for BetanetScraper {
    fn clock_set_back(&mut self, by: &SetBack) {
        self.state.clock_set_back(by);
        if let Some((member, network)) = &self.network {
            lock(network).clock_set_back(*member, by);
        }
    }

    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        let now = poll.now;
        Box::pin(async move {
            let round = self.ask(&poll).await;
            let later = Instant::now();
            for source in self.sources_mut(round.dialect) {
                if source.document.ends(later) {
                    source.last = None;
                }
            }
            let mut rejected = Rejected::default();
            if !round.answers.is_empty() {
                let told = join(round.answers, &self.standing());
                rejected = told.rejected;
                self.state.update(&told, now.wall, self.max_mixnodes);
                write::instance(out, now.wall, &self.name, &told, &self.state);
            }
            let shown = self.join(|_| true);
            let ended = std::mem::replace(&mut self.shown, shown).minus(&self.shown);
            if ended != InstanceReading::default() {
                out.ending(true);
                write::instance(out, now.wall, &self.name, &ended, &self.state);
                out.ending(false);
            }
            if let Some((member, network)) = &self.network {
                let fresh = self.sources().iter().any(PathSource::answers);
                let reading = self.join(PathSource::answers);
                let poll = fresh.then_some((&self.state, &reading));
                lock(network).update(*member, poll, now.wall);
            }
            if round.dialect == Dialect::Native {
                let rejected = [
                    (UnusableEntry::Invalid, rejected.invalid),
                    (UnusableEntry::Limit, rejected.limit),
                ];
                round.scrape.rejecting(rejected)
            } else {
                round.scrape
            }
        })
    }

    fn end(&mut self, now: Now, out: &mut MetricsWriter) {
        write::instance(out, now.wall, &self.name, &self.shown, &self.state);
    }

    fn wish(&self) -> Option<NextPoll> {
        let sources = self.sources().iter();
        NextPoll::first(sources.filter_map(|source| source.document.wish()))
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        let sources = self.sources().iter();
        sources
            .filter_map(|source| source.document.endpoint().cloned())
            .collect()
    }

    fn write_shared(&mut self, now: Now, receiver: &ComponentId, out: &mut MetricsWriter) {
        if let Some((_, network)) = &self.network {
            out.resource(&[("service.name", receiver.as_str().into())]);
            out.scope("foghorn/betanet", env!("CARGO_PKG_VERSION"));
            write::network(out, now.wall, &mut lock(network));
        }
    }
}

impl PathSource {
    pub(super) fn new(part: ServicePath, document: Document<InstanceReading>) -> Self {
        Self {
            part,
            document,
            last: None,
            given_up: false,
        }
    }

    /// Requests the path if it is due.
    async fn ask(&mut self, poll: &Poll) -> Asked<InstanceReading> {
        let asked = self.document.ask(poll).await;
        if let Asked::New(answer) = &asked {
            self.last = Some(answer.clone());
        }
        asked
    }

    fn answers(&self) -> bool {
        self.document.answers()
    }

    /// Whether the server answered 404.
    fn is_unknown(&self) -> bool {
        let failure = self.document.failure();
        failure.is_some_and(|failure| failure.status == Some(404))
    }

    fn retire(&mut self) {
        self.document.retire();
        self.last = None;
        self.given_up = false;
    }
}

/// Whether the server knows none of these paths. Only an answer of 404 shows that: a failed
/// connection proves nothing, and neither does a part whose breaker is open.
fn speaks_another(sources: &[PathSource]) -> bool {
    sources.iter().any(PathSource::is_unknown)
        && sources.iter().all(|source| {
            let failure = source.document.failure();
            source.is_unknown()
                || failure.is_some_and(|failure| failure.reason == FailureReason::Breaker)
        })
}

/// Joins answers. A value that several parts report is taken from the first part, in the order of
/// [`ServicePath`], that answers and reports it; also if this poll requested only later parts, so
/// that the value doesn't alternate between the counts of two parts.
fn join(
    mut answers: Vec<(ServicePath, InstanceReading)>,
    standing: &[(ServicePath, &InstanceReading)],
) -> InstanceReading {
    answers.sort_by_key(|(part, _)| *part);
    answers
        .into_iter()
        .fold(InstanceReading::default(), |reading, (part, told)| {
            let rejected = told.rejected;
            let better = standing.iter().filter(|(better, _)| *better < part);
            let left = better.fold(told, |told, (_, known)| told.minus(known));
            reading.or(InstanceReading {
                rejected,
                packets_by: left.processed.or(left.dropped).map(|_| part),
                ..left
            })
        })
}

/// No update can panic halfway, so a poisoned lock still holds correct sums.
fn lock(network: &Mutex<InstanceSums>) -> std::sync::MutexGuard<'_, InstanceSums> {
    network.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
