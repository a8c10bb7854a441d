//! Slows senders down to the pace of their destination.
//!
//! An answer says that a request is queued, so a sender that waits for its answers could
//! fill any queue at the speed of memory, be refused, and send the same bytes again. Beyond
//! a quarter of a queue the answer therefore waits for the queue to shrink: a sender with
//! so many requests under way then sends what the destination takes, and the rest of the
//! queue is left for outages. It waits no longer than [`PATIENCE`], whatever the destination
//! does. Legs count as they do at admission: one that is calm is enough, unless another has
//! a veto.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::time::timeout;

use super::admission::{Gate, Voter};
use crate::settings::WhenFull;

/// How long an answer waits at most: not noticed by who sends batches, and short enough for
/// the end of the agent.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Waits until the pipeline's queues are calm, or for as long as patience lasts. Cancel safe.
pub(super) async fn keep(gate: &Gate) {
    if !is_calm(gate) {
        let _ = timeout(PATIENCE, calm(gate)).await;
    }
}

fn is_calm(gate: &Gate) -> bool {
    let mut vetoes = vetoes(gate).peekable();
    match vetoes.peek() {
        Some(_) => vetoes.all(|voter| voter.queue.is_calm()),
        None => votes(gate).next().is_none() || votes(gate).any(|voter| voter.queue.is_calm()),
    }
}

async fn calm(gate: &Gate) {
    if vetoes(gate).next().is_some() {
        join_all(vetoes(gate).map(|voter| voter.queue.calm())).await;
    } else if votes(gate).next().is_some() {
        select_all(votes(gate).map(|voter| Box::pin(voter.queue.calm()))).await;
    }
}

fn vetoes(gate: &Gate) -> impl Iterator<Item = &Voter> {
    gate.voters
        .iter()
        .filter(|voter| voter.when_full == WhenFull::Refuse)
}

fn votes(gate: &Gate) -> impl Iterator<Item = &Voter> {
    gate.voters
        .iter()
        .filter(|voter| voter.when_full == WhenFull::Auto)
}
