//! Asks one instance: which dialect it speaks, and each part on its own.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::{BoxFuture, join_all};

use super::network::Network;
use super::state::Instance;
use super::wire::{Part, Reading};
use super::{Dialect, write};
use crate::component::{ComponentId, Now};
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{self, Fetch, Request};
use crate::receivers::scrape::{Failure, Scrape, Scraper};

/// One instance, as the controller polls it.
pub(super) struct BetanetScraper {
    /// The endpoint as configured.
    pub(super) name: String,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) dialect: Dialect,
    pub(super) v1: Vec<(Part, Request)>,
    pub(super) native: Vec<(Part, Request)>,
    pub(super) max_mixnodes: usize,
    /// Which dialect the instance was found to speak.
    pub(super) found: Option<Dialect>,
    pub(super) state: Instance,
    /// All instances together, where there are several, and which of them this is.
    pub(super) network: Option<(usize, Arc<Mutex<Network>>)>,
}

/// What the parts of one dialect gave.
type Outcomes = Vec<(Part, Result<Reading, Failure>)>;

impl BetanetScraper {
    /// Asks the parts of the dialect that is spoken, and finds out which one that is.
    async fn ask(&mut self) -> Outcomes {
        let known = match self.dialect {
            Dialect::Auto => self.found,
            fixed => Some(fixed),
        };
        let outcomes = match known {
            Some(Dialect::Native) => self.ask_parts(&self.native).await,
            _ => self.ask_parts(&self.v1).await,
        };
        // Only the server itself can say that it doesn't know the paths of a dialect;
        // that it can't be reached decides nothing.
        let unknown_here = outcomes.iter().all(|(_, outcome)| {
            outcome
                .as_ref()
                .is_err_and(|failure| failure.status == Some(404))
        });
        let answered = outcomes.iter().any(|(_, outcome)| outcome.is_ok());
        match (self.dialect, known) {
            (Dialect::Auto, None | Some(Dialect::V1)) if unknown_here => {
                self.found = Some(Dialect::Native);
                self.ask_parts(&self.native).await
            }
            (Dialect::Auto, Some(Dialect::Native)) if unknown_here => {
                // Another server now: the next poll probes again.
                self.found = None;
                outcomes
            }
            (Dialect::Auto, None) if answered => {
                self.found = Some(Dialect::V1);
                outcomes
            }
            _ => outcomes,
        }
    }

    /// Asks all at once, so that it takes as long as the slowest.
    async fn ask_parts(&self, parts: &[(Part, Request)]) -> Outcomes {
        let max_mixnodes = self.max_mixnodes;
        let asked = parts.iter().map(async |(part, request)| {
            let read = |body: &[u8]| part.read(body, max_mixnodes);
            (*part, http::get(&*self.fetch, request, read).await)
        });
        join_all(asked).await
    }
}

impl Scraper for BetanetScraper {
    fn scrape<'a>(&'a mut self, now: Now, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let outcomes = self.ask().await;
            let asked = outcomes.len();
            let (reading, failures) = join(outcomes);
            let answered = failures.len() < asked;
            if answered {
                let gone = self.state.update(&reading, now.wall, self.max_mixnodes);
                write::instance(out, now.wall, &self.name, &reading, &self.state, &gone);
            }
            if let Some((member, network)) = &self.network {
                let poll = answered.then_some((&self.state, &reading));
                lock(network).update(*member, poll, now.wall);
            }
            Scrape::parts(asked, failures)
        })
    }

    fn write_shared(&mut self, now: Now, receiver: &ComponentId, out: &mut MetricsWriter) {
        if let Some((_, network)) = &self.network {
            out.resource(&[("service.name", receiver.as_str().into())]);
            out.scope("foghorn/betanet", env!("CARGO_PKG_VERSION"));
            write::network(out, now.wall, &lock(network));
        }
    }
}

/// Puts the parts together, the best source of a value first.
fn join(mut outcomes: Outcomes) -> (Reading, Vec<Failure>) {
    outcomes.sort_by_key(|(part, _)| *part);
    let mut reading = Reading::default();
    let mut failures = Vec::new();
    let parts: Vec<Part> = outcomes.iter().map(|(part, _)| *part).collect();
    for (part, outcome) in outcomes {
        match outcome {
            Ok(told) => {
                let better = parts.iter().take_while(|better| **better != part);
                let told = better.fold(told, |told, better| told.without_what(*better));
                reading = reading.or(told);
            }
            Err(failure) => failures.push(failure),
        }
    }
    (reading, failures)
}

/// Sums are whole after every update, so a panic elsewhere spoils nothing.
fn lock(network: &Mutex<Network>) -> std::sync::MutexGuard<'_, Network> {
    network.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
