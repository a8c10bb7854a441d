//! Bounds how long a connection may make the server wait.
//!
//! hyper has one timeout, for the head of a request. It would also close connections that merely
//! idle between two scrapes, and it doesn't apply to a client that never reads its answer. So
//! each connection has a [`ConnectionWatch`]: the socket records reads and writes in it, the
//! service records which request it answers, and [`ConnectionWatch::expired`] resolves when the
//! client has let the server wait for too long. There is no timeout for handlers, which are the
//! agent's own.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep_until};

use super::metrics::ConnectionRejection;

/// The timeouts of every connection.
const TIMEOUTS: Timeouts = Timeouts {
    head: Duration::from_secs(10),
    // Longer than usual scrape intervals, so that scrapers can keep their connection.
    idle: Duration::from_secs(120),
    write: Duration::from_secs(30),
};

/// How long the server waits for a client.
#[derive(Debug, Clone, Copy)]
pub(super) struct Timeouts {
    /// From the first byte of a request's head to its last, and from the start of a connection to
    /// the first byte.
    pub head: Duration,
    /// From the end of an answer to the first byte of the next request.
    pub idle: Duration,
    /// For the client to read the next part of an answer.
    pub write: Duration,
}

/// What a connection is waiting for. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub(super) struct ConnectionWatch {
    timeouts: Timeouts,
    // A std mutex: it is only held for a few loads and stores.
    state: Arc<Mutex<ConnectionState>>,
}

#[derive(Debug, Clone, Copy)]
struct ConnectionState {
    phase: ConnectionPhase,
    since: Instant,
    /// Since when the socket accepts no more bytes of an answer.
    blocked: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ConnectionPhase {
    /// Waiting for the head of a request.
    Head,
    /// The body of a request is being read, which has a deadline of its own.
    Body,
    /// A request is being answered.
    Busy,
    /// The answer has been handed to the socket; another request may follow.
    Idle,
}

/// Which connection is closed first if there are too many: the one with the lowest number, and of
/// these the one that has been in its state for longest.
///
/// 0: the client has to send a request; closing costs it least, since it can connect again. 1:
/// the client doesn't read its answer. 2: a request is being answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u8, Instant);

impl Default for ConnectionWatch {
    fn default() -> Self {
        Self::new(TIMEOUTS)
    }
}

impl ConnectionWatch {
    /// The watch of a new connection.
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

    /// Marks the connection as busy until the guard is dropped.
    pub(super) fn busy(&self) -> Busy {
        self.enter(ConnectionPhase::Busy);
        Busy(self.clone())
    }

    /// Resolves when a wait has taken too long, with the reason; with `None` if an idle
    /// connection reached its timeout, which isn't counted.
    ///
    /// It sets its timer when it is polled, so the same task must poll it after the connection.
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

    /// The TLS handshake is done: the time for the first head begins.
    pub(super) fn shaken(&self) {
        self.enter(ConnectionPhase::Head);
    }

    /// The rest of the request that has just begun is awaited.
    pub(super) fn receiving(&self) {
        self.enter(ConnectionPhase::Body);
    }

    /// The whole request is there.
    pub(super) fn received(&self) {
        self.enter(ConnectionPhase::Busy);
    }

    /// Compared to decide which connection is closed first.
    pub(super) fn rank(&self) -> Rank {
        let state = *self.lock();
        match (state.phase, state.blocked) {
            (_, Some(since)) => Rank(1, since),
            (ConnectionPhase::Head | ConnectionPhase::Body | ConnectionPhase::Idle, None) => {
                Rank(0, state.since)
            }
            (ConnectionPhase::Busy, None) => Rank(2, state.since),
        }
    }

    /// Whether a request is being answered, or its answer waits for the client to read.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        let busy = matches!(state.phase, ConnectionPhase::Body | ConnectionPhase::Busy);
        busy || state.blocked.is_some()
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
            ConnectionPhase::Body | ConnectionPhase::Busy => None,
        }
    }

    fn enter(&self, phase: ConnectionPhase) {
        let mut state = self.lock();
        state.phase = phase;
        state.since = Instant::now();
    }

    /// Bytes arrived.
    fn read(&self) {
        if self.lock().phase == ConnectionPhase::Idle {
            self.enter(ConnectionPhase::Head);
        }
    }

    /// Bytes were offered to the socket, and it accepted some or none.
    fn wrote(&self, taken: bool) {
        let mut state = self.lock();
        match (taken, state.blocked) {
            (true, Some(_)) => {
                state.blocked = None;
                // The answer was complete long ago, but the client has only now read it: the idle
                // time begins here.
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

/// Marks a connection as busy while it exists.
#[derive(Debug)]
pub(super) struct Busy(ConnectionWatch);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.enter(ConnectionPhase::Idle);
    }
}

/// A socket that records its reads and writes in the watch.
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
