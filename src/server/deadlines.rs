//! How long a connection may make the server wait.
//!
//! hyper has one timeout, for the head of a request, and it also ends connections that
//! merely idle between two scrapes; a client that never takes its answer may stay for
//! ever. So the connection is watched from outside: the socket notes what moves, the
//! service notes what it works on, and [`ConnectionWatch::expired`] ends when one of them waited
//! too long. Nothing is armed while a handler works: handlers are the agent's own.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::metrics::ConnectionRejection;

/// What every connection is given.
const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(10),
    // Longer than the usual interval of scrapes, so that they keep their connection.
    idle: Duration::from_secs(120),
    write: Duration::from_secs(30),
};

/// How long each thing may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From the first byte of a request's head to its last; also from the beginning of a
    /// connection to the first byte.
    pub head: Duration,
    /// Between two requests of one connection.
    pub idle: Duration,
    /// For the client to take the next part of an answer.
    pub write: Duration,
}

/// What the connection is waiting for. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(super) struct ConnectionWatch {
    timeouts: Timeouts,
    // A std mutex: every section is a few loads and stores.
    state: Arc<Mutex<ConnectionState>>,
}

#[derive(Debug, Clone, Copy)]
struct ConnectionState {
    phase: ConnectionPhase,
    since: Instant,
    /// Since when the client takes nothing, although something is there for it.
    blocked: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionPhase {
    /// The head of a request is due.
    Head,
    /// A request is being answered.
    Busy,
    /// An answer is out; another request may follow.
    Idle,
}

/// How dispensable a connection is, the most dispensable first, and since when.
///
/// A client that sends nothing costs least when it is closed: it can come back. Next are
/// those that don't take their answers, and last those whose request is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u8, Instant);

impl Default for ConnectionWatch {
    fn default() -> Self {
        Self::new(TIMEOUTS)
    }
}

impl ConnectionWatch {
    /// A connection that has just begun.
    pub(super) fn new(timeouts: Timeouts) -> Self {
        Self {
            timeouts,
            state: Arc::new(Mutex::new(ConnectionState {
                phase: ConnectionPhase::Head,
                since: Instant::now(),
                blocked: None,
            })),
        }
    }

    /// A request is being answered until the guard is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.enter(ConnectionPhase::Busy);
        Busy(self.clone())
    }

    /// Ends when something has taken too long, with the reason; `None` for a connection
    /// that idled, which is nobody's fault.
    ///
    /// It arms its timer when it is polled, so it must be polled after the connection, by
    /// the same task.
    pub(super) async fn expired(&self) -> Option<ConnectionRejection> {
        let mut timer = pin!(sleep_until(Instant::now()));
        poll_fn(|cx| {
            let Some((deadline, reason)) = self.deadline() else {
                return Poll::Pending;
            };
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            timer.as_mut().poll(cx).map(|()| reason)
        })
        .await
    }

    /// The handshake is done: from here on the head of a request has its time.
    pub(super) fn shaken(&self) {
        self.enter(ConnectionPhase::Head);
    }

    /// Which connection gives way first where there are too many.
    pub(super) fn rank(&self) -> Rank {
        let state = *self.lock();
        match (state.phase, state.blocked) {
            (_, Some(since)) => Rank(1, since),
            (ConnectionPhase::Head | ConnectionPhase::Idle, None) => Rank(0, state.since),
            (ConnectionPhase::Busy, None) => Rank(2, state.since),
        }
    }

    /// Whether a request is being answered, or its answer waits for the client.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.phase == ConnectionPhase::Busy || state.blocked.is_some()
    }

    fn deadline(&self) -> Option<(Instant, Option<ConnectionRejection>)> {
        let state = *self.lock();
        if let Some(since) = state.blocked {
            return Some((
                since + self.timeouts.write,
                Some(ConnectionRejection::SlowRead),
            ));
        }
        match state.phase {
            ConnectionPhase::Head => Some((
                state.since + self.timeouts.head,
                Some(ConnectionRejection::SlowHead),
            )),
            ConnectionPhase::Idle => Some((state.since + self.timeouts.idle, None)),
            ConnectionPhase::Busy => None,
        }
    }

    fn enter(&self, phase: ConnectionPhase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Bytes came in.
    fn read(&self) {
        if self.lock().phase == ConnectionPhase::Idle {
            self.enter(ConnectionPhase::Head);
        }
    }

    /// The socket was offered something, and took it or not.
    fn wrote(&self, taken: bool) {
        let mut state = self.lock();
        match (taken, state.blocked) {
            (true, Some(_)) => {
                state.blocked = None;
                // The handler was done long ago, and the client only now has its answer.
                if state.phase == ConnectionPhase::Idle {
                    state.since = Instant::now();
                }
            }
            (false, None) => state.blocked = Some(Instant::now()),
            _ => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request is being answered as long as this exists.
#[derive(Debug)]
pub(super) struct Busy(ConnectionWatch);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(ConnectionPhase::Idle);
    }
}

/// A socket that tells the watch what moves.
#[derive(Debug)]
pub(super) struct Watched<S> {
    socket: S,
    watch: ConnectionWatch,
}

impl<S> Watched<S> {
    pub(super) fn new(socket: S, watch: ConnectionWatch) -> Self {
        Self { socket, watch }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = ready!(Pin::new(&mut self.socket).poll_read(cx, buf));
        if buf.filled().len() > before {
            self.watch.read();
        }
        Poll::Ready(result)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write(cx, buf);
        self.watch.wrote(result.is_ready());
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.socket).poll_write_vectored(cx, bufs);
        self.watch.wrote(result.is_ready());
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.socket).poll_flush(cx);
        self.watch.wrote(result.is_ready());
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUTS: Timeouts = Timeouts {
        head: Duration::from_secs(10),
        idle: Duration::from_secs(120),
        write: Duration::from_secs(30),
    };

    #[tokio::test(start_paused = true)]
    async fn each_wait_has_its_own_deadline() {
        let f = async |prepare: fn(&ConnectionWatch),
                       seconds: u64,
                       reason: Option<ConnectionRejection>| {
            let watch = ConnectionWatch::new(TIMEOUTS);
            prepare(&watch);
            let started = Instant::now();
            assert_eq!(watch.expired().await, reason);
            assert_eq!(started.elapsed().as_secs(), seconds);
        };
        f(|_| {}, 10, Some(ConnectionRejection::SlowHead)).await;
        f(|watch| drop(watch.busy()), 120, None).await;
        f(
            |watch| {
                drop(watch.busy());
                watch.read();
            },
            10,
            Some(ConnectionRejection::SlowHead),
        )
        .await;
        f(
            |watch| watch.wrote(false),
            30,
            Some(ConnectionRejection::SlowRead),
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickle_of_bytes_does_not_extend_the_head() {
        let watch = ConnectionWatch::new(TIMEOUTS);
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_secs(3)).await;
                watch.read();
            }
        };
        let started = Instant::now();
        tokio::select! {
            reason = watch.expired() => assert_eq!(reason, Some(ConnectionRejection::SlowHead)),
            () = trickle => unreachable!("it never ends"),
        }
        assert_eq!(started.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_handler_may_take_its_time() {
        let watch = ConnectionWatch::new(TIMEOUTS);
        let _busy = watch.busy();
        let day = tokio::time::timeout(Duration::from_secs(86_400), watch.expired());
        assert!(day.await.is_err());
    }
}
