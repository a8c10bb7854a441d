//! Sends an answer that is longer than one piece.
//!
//! What such an answer is made of is held until it is written, and its place with it, so that
//! slow readers can't pile up answers in memory. Whoever takes longer than the deadline allows is
//! cut off, however steadily it reads: its place belongs to others.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use crate::component::{Body, full_body};
use crate::lane::Lane;

/// Bytes that are made at once, before the first is sent: most answers are no longer, and to make
/// each piece when there is room for it costs a thread's turn.
const AT_ONCE: usize = 256 << 10;

/// What an answer is made of, piece by piece.
pub(super) trait AnswerMaker: Send + Sync + 'static {
    /// The next piece; `None` at the end.
    fn next_piece(&mut self) -> Option<Bytes>;

    /// Whether all of it has been made.
    fn is_done(&self) -> bool;
}

/// How sending ended, where the client stayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendingEnd {
    /// Its last piece was made, for a client that had taken those before.
    Whole,
    /// The client hadn't taken it in time.
    CutOff,
}

/// An answer of which the first pieces are made.
pub(super) struct BegunAnswer<M> {
    made: VecDeque<Bytes>,
    maker: M,
}

impl<M: AnswerMaker> BegunAnswer<M> {
    /// Makes the first pieces, which may take long.
    pub(super) fn new(maker: M) -> Self {
        let mut begun = Self {
            made: VecDeque::new(),
            maker,
        };
        let mut bytes = 0;
        while bytes < AT_ONCE
            && let Some(piece) = begun.maker.next_piece()
        {
            bytes += piece.len();
            begun.made.push_back(piece);
        }
        begun
    }

    fn is_sent(&self) -> bool {
        self.made.is_empty() && self.maker.is_done()
    }
}

/// A body that begins with the pieces that are made. The others are made on the lane, each
/// when the client has room for it. `place` is dropped with what the answer is made of: after
/// the last piece, at the deadline, or when the body is dropped. `ended` is told how it ended,
/// once at most.
pub(super) fn body<M: AnswerMaker, P: Send + Sync + 'static>(
    mut answer: BegunAnswer<M>,
    place: P,
    lane: &Lane,
    deadline: Instant,
    ended: impl Fn(SendingEnd) + Send + Sync + 'static,
) -> Body {
    if answer.made.len() <= 1 && answer.maker.is_done() {
        ended(SendingEnd::Whole);
        return full_body(answer.made.pop_front().unwrap_or_default());
    }
    let ended: Arc<dyn Fn(SendingEnd) + Send + Sync> = Arc::new(ended);
    let slot = Arc::new(Slot::new((answer, place)));
    // A client that reads nothing asks for no piece, so something else has to look at the clock.
    let reaper = {
        let (slot, ended) = (Arc::clone(&slot), Arc::clone(&ended));
        tokio::spawn(async move {
            sleep_until(deadline).await;
            if slot.close() {
                ended(SendingEnd::CutOff);
            }
        })
    };
    let answer = SentAnswer {
        slot,
        done: false,
        lane: lane.clone(),
        ended,
        _reaper: AbortOnDropHandle::new(reaper),
    };
    let pieces = stream::unfold(Some(answer), |answer| async {
        let mut answer = answer?;
        let piece = answer.next().await?;
        let rest = piece.is_ok().then_some(answer);
        Some((piece.map(Frame::data), rest))
    });
    StreamBody::new(pieces).boxed()
}

struct SentAnswer<M, P> {
    slot: Arc<Slot<(BegunAnswer<M>, P)>>,
    done: bool,
    lane: Lane,
    ended: Arc<dyn Fn(SendingEnd) + Send + Sync>,
    _reaper: AbortOnDropHandle<()>,
}

impl<M: AnswerMaker, P: Send + Sync + 'static> SentAnswer<M, P> {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if self.done {
            return None;
        }
        let Some((mut answer, mut place)) = self.slot.take() else {
            let cut_off = "the answer was not taken in time";
            return Some(Err(io::Error::new(io::ErrorKind::TimedOut, cut_off)));
        };
        let mut piece = answer.made.pop_front();
        if piece.is_none() {
            let work = move || (answer.maker.next_piece(), answer, place);
            (piece, answer, place) = self.lane.run(work).await;
        }
        if answer.is_sent() {
            // The next look finds the end, and no place is held for it.
            self.done = true;
            (self.ended)(SendingEnd::Whole);
        } else if !self.slot.put_back((answer, place)) {
            (self.ended)(SendingEnd::CutOff);
        }
        piece.map(Ok)
    }
}

/// Where the rest of an answer waits for the client.
struct Slot<R>(Mutex<SlotState<R>>);

enum SlotState<R> {
    /// The client may ask for the next piece.
    Waiting(R),
    /// A piece is being made, or the last one was.
    Away,
    /// The time is over.
    Closed,
}

impl<R> Slot<R> {
    fn new(rest: R) -> Self {
        Self(Mutex::new(SlotState::Waiting(rest)))
    }

    fn take(&self) -> Option<R> {
        let mut state = self.lock();
        match std::mem::replace(&mut *state, SlotState::Away) {
            SlotState::Waiting(rest) => Some(rest),
            other => {
                *state = other;
                None
            }
        }
    }

    /// Lets the rest wait again, or drops it if the time is over. That is decided under the lock
    /// of [`close`](Self::close) and not by the clock: what came back just behind it would be
    /// kept until the client asks again.
    fn put_back(&self, rest: R) -> bool {
        let mut state = self.lock();
        let is_open = !matches!(*state, SlotState::Closed);
        if is_open {
            *state = SlotState::Waiting(rest);
        }
        is_open
    }

    /// Ends the time. Whether the rest was waiting, which drops it.
    fn close(&self) -> bool {
        let before = std::mem::replace(&mut *self.lock(), SlotState::Closed);
        matches!(before, SlotState::Waiting(_))
    }

    fn lock(&self) -> MutexGuard<'_, SlotState<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_after_the_deadline_is_not_kept() {
        let place = Arc::new(());
        let slot = Slot::new(Arc::clone(&place));
        let away = slot.take().unwrap();
        assert!(!slot.close(), "it is on its way");
        assert!(!slot.put_back(away));
        assert!(slot.take().is_none());
        assert_eq!(Arc::strong_count(&place), 1);
    }

    #[test]
    fn what_waits_at_the_deadline_is_dropped() {
        let place = Arc::new(());
        let slot = Slot::new(Arc::clone(&place));
        let away = slot.take().unwrap();
        assert!(slot.put_back(away));
        assert!(slot.close());
        assert_eq!(Arc::strong_count(&place), 1);
        assert!(!slot.close(), "it is told once");
    }
}
