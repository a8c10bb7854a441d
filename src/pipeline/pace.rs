//! Slows senders down to the pace of their destination.
//!
//! An answer says that a request is queued, so a sender that waits for its answers could
//! fill any queue as fast as this machine copies memory, be refused, and send the same bytes
//! again. When more than a quarter of a queue is taken, the answer therefore waits for the queue
//! to shrink: the sender then sends as fast as the destination takes requests, and the rest of
//! the queue is left for outages. An answer waits no longer than [`PATIENCE`], even if the queue
//! doesn't shrink. Where legs have `when_full: refuse`, the queue of each of these must be at
//! most a quarter full; where none has, one leg with `when_full: auto` is enough.
//!
//! Local legs have no influence beside a remote one: a slow terminal would slow down every
//! destination. Where a sender's data goes to local legs only, the answer waits until one of
//! them is calm, since a file would otherwise lose whatever comes faster than the disk writes.

use std::time::Duration;

use futures_util::future::{join_all, select_all};
use tokio::time::timeout;

use super::queue::Inlet;
use super::vote::Voter;
use crate::settings::WhenFull;

/// How long an answer waits at most: too short to matter to a sender of batches, and to the
/// agent's shutdown.
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
