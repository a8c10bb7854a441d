//! Slows senders down to the pace of their destination.
//!
//! An answer says that a request is queued, so a sender that waits for its answers could
//! fill any queue at the speed of memory, be refused, and send the same bytes again. Beyond
//! a quarter of a queue the answer therefore waits for the queue to shrink: a sender with
//! so many requests under way then sends what the destination takes, and the rest of the
//! queue is left for outages. It waits no longer than [`PATIENCE`], whatever the destination
//! does. Legs count as they do at admission: one that is calm is enough, unless another has
//! a veto.
//!
//! Local legs have no vote and set no pace beside one that has: a slow terminal would slow
//! down every destination. Where a sender's data goes to local legs only, the quickest of
//! them sets it, since a file would otherwise lose whatever comes faster than the disk.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::time::timeout;

use super::queue::Inlet;
use super::vote::Voter;
use crate::settings::WhenFull;

/// How long an answer waits at most: not noticed by who sends batches, and short enough for
/// the end of the agent.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// Waits until the queues of a pipeline's voters are calm, or for as long as patience lasts.
/// Cancel safe.
pub(super) async fn keep(voters: &[Voter]) {
    if !is_calm(voters) {
        let _ = timeout(PATIENCE, calm(voters)).await;
    }
}

/// Waits until one of these queues is calm, or for as long as patience lasts. Cancel safe.
pub(super) async fn keep_to_local(queues: &[Inlet]) {
    if !queues.is_empty() && !queues.iter().any(|queue| queue.is_calm()) {
        let calm = select_all(queues.iter().map(|queue| Box::pin(queue.calm())));
        let _ = timeout(PATIENCE, calm).await;
    }
}

fn is_calm(voters: &[Voter]) -> bool {
    let mut vetoes = those(voters, WhenFull::Refuse).peekable();
    let mut votes = those(voters, WhenFull::Auto).peekable();
    match vetoes.peek() {
        Some(_) => vetoes.all(|voter| voter.queue.is_calm()),
        None => votes.peek().is_none() || votes.any(|voter| voter.queue.is_calm()),
    }
}

async fn calm(voters: &[Voter]) {
    let [vetoes, votes] = [WhenFull::Refuse, WhenFull::Auto].map(|when| those(voters, when));
    let (mut vetoes, mut votes) = (vetoes.peekable(), votes.peekable());
    if vetoes.peek().is_some() {
        join_all(vetoes.map(|voter| voter.queue.calm())).await;
    } else if votes.peek().is_some() {
        select_all(votes.map(|voter| Box::pin(voter.queue.calm()))).await;
    }
}

fn those(voters: &[Voter], when_full: WhenFull) -> impl Iterator<Item = &Voter> {
    let of = move |voter: &&Voter| voter.when_full == when_full;
    voters.iter().filter(of)
}
