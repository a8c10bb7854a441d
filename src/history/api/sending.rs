//! Sends an answer that is longer than one piece.
//!
//! The points of such an answer are held until they are written, and its place with them, so that
//! slow readers can't pile up answers in memory. Whoever takes longer than a query may take is
//! cut off, however steadily it reads: its place belongs to others.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

use super::answer::AnswerPieces;
use super::metrics::{QueryMetrics, QueryRejection};
use super::places::{QueryPlace, QueryPlaces};
use crate::component::Body;

/// The rest of an answer.
struct UnsentAnswer {
    pieces: AnswerPieces,
    place: QueryPlace,
}

/// Where the rest waits for the client. Empty while a piece is made, and once it was taken away.
type Slot = Arc<Mutex<Option<UnsentAnswer>>>;

struct SentAnswer {
    first: Option<Bytes>,
    slot: Slot,
    done: bool,
    places: QueryPlaces,
    deadline: Instant,
    metrics: QueryMetrics,
    _reaper: AbortOnDropHandle<()>,
}

/// A body that begins with a piece that has been made. Dropping it gives the place back.
pub(super) fn body(
    first: Bytes,
    pieces: AnswerPieces,
    place: QueryPlace,
    (places, metrics): (&QueryPlaces, &QueryMetrics),
    deadline: Instant,
) -> Body {
    let slot: Slot = Arc::new(Mutex::new(Some(UnsentAnswer { pieces, place })));
    // A client that reads nothing asks for no piece, so something else has to look at the clock.
    let reaper = {
        let (slot, metrics) = (Arc::clone(&slot), metrics.clone());
        tokio::spawn(async move {
            sleep_until(deadline).await;
            if take(&slot).is_some() {
                metrics.rejected(QueryRejection::SlowClient);
            }
        })
    };
    let answer = SentAnswer {
        first: Some(first),
        slot,
        done: false,
        places: places.clone(),
        deadline,
        metrics: metrics.clone(),
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

impl SentAnswer {
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        if let Some(first) = self.first.take() {
            return Some(Ok(first));
        }
        if self.done {
            return None;
        }
        let Some(UnsentAnswer { mut pieces, place }) = take(&self.slot) else {
            let cut_off = "the answer was not taken in time";
            return Some(Err(io::Error::new(io::ErrorKind::TimedOut, cut_off)));
        };
        let work = move |_: &_| (pieces.next_piece(), pieces);
        let (place, (piece, pieces)) = self.places.run(place, self.deadline, work).await;
        if pieces.is_done() {
            // The next look finds the end, and no place is held for it.
            self.done = true;
        } else if Instant::now() < self.deadline {
            *lock(&self.slot) = Some(UnsentAnswer { pieces, place });
        } else {
            self.metrics.rejected(QueryRejection::SlowClient);
        }
        piece.map(Ok)
    }
}

fn take(slot: &Slot) -> Option<UnsentAnswer> {
    lock(slot).take()
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, Option<UnsentAnswer>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}
