//! HTTP/2 without a task for each stream.
//!
//! hyper hands each stream to an executor, which usually spawns it. On a runtime with several
//! workers a stream and its connection then run at the same time: a thread is woken for a request
//! of a few hundred bytes, and the connection may write the head, the body and the trailers of
//! one answer in separate system calls. Here the task of the connection polls its streams. All
//! requests that arrive with one read are processed together, and their answers leave with one
//! write, which halves the cost of a small request. The requests of one connection no longer run
//! in parallel; those of different connections do.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream};
use futures_util::task::AtomicWaker;
use hyper::rt::Executor;

/// How often a connection and its streams are polled in a row while they wake each other. A
/// request needs two: one to read and answer it, one to write the answer. A bound is needed,
/// since the runtime wakes a task at once whose socket has been read for long.
const ROUNDS: usize = 4;

/// The executor that the connection is built with. Clones share their streams.
#[derive(Clone, Default)]
pub struct Streams {
    // A std mutex: it is only held to move a pointer.
    begun: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

/// A connection and its streams. As a future it ends when all of them have ended; the streams of
/// a client that disconnected before its answers end after the connection.
pub struct Multiplexed<C> {
    /// `None` once the connection has ended.
    connection: Option<Pin<Box<C>>>,
    streams: Streams,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    bell: Arc<Bell>,
    /// Wakes `bell`.
    waker: Waker,
}

/// Wakes the task of the connection. During a poll it only records that another poll is needed,
/// since the runtime would hand a task that wakes itself to another worker.
#[derive(Default)]
struct Bell {
    state: AtomicU8,
    task: AtomicWaker,
}

/// The states of a [`Bell`]: a wake wakes the task; the task is polling; it is polling and was
/// woken.
const RESTING: u8 = 0;
const POLLING: u8 = 1;
const RUNG: u8 = 2;

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let state = &self.state;
        if let Err(RESTING) =
            state.compare_exchange(POLLING, RUNG, Ordering::AcqRel, Ordering::Acquire)
        {
            self.task.wake();
        }
    }
}

impl Bell {
    fn poll_begins(&self) {
        self.state.store(POLLING, Ordering::Release);
    }

    /// False if it was woken during the poll.
    fn may_rest(&self) -> bool {
        let rested =
            self.state
                .compare_exchange(POLLING, RESTING, Ordering::AcqRel, Ordering::Acquire);
        rested.is_ok()
    }

    fn rest(&self) {
        self.state.store(RESTING, Ordering::Release);
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        self.begun().push(Box::pin(stream));
    }
}

impl Streams {
    /// Joins the streams with the connection that was built with this executor.
    pub fn of<C: Future>(self, connection: C) -> Multiplexed<C> {
        let bell = Arc::<Bell>::default();
        Multiplexed {
            connection: Some(Box::pin(connection)),
            streams: self,
            running: FuturesUnordered::new(),
            waker: Waker::from(Arc::clone(&bell)),
            bell,
        }
    }

    fn begun(&self) -> MutexGuard<'_, Vec<BoxFuture<'static, ()>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Multiplexed<C> {
    /// The connection; `None` once it has ended.
    pub fn connection(&mut self) -> Option<Pin<&mut C>> {
        self.connection.as_mut().map(Pin::as_mut)
    }
}

impl<C: Future> Future for Multiplexed<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self {
            connection,
            streams,
            running,
            bell,
            waker,
        } = &mut *self;
        bell.task.register(cx.waker());
        let inner = &mut Context::from_waker(waker);
        for _ in 0..ROUNDS {
            bell.poll_begins();
            while let Poll::Ready(Some(())) = Pin::new(&mut *running).poll_next(inner) {}
            // After the streams, so that it writes the answers they have just given.
            if let Some(open) = connection
                && open.as_mut().poll(inner).is_ready()
            {
                *connection = None;
            }
            let mut begun = streams.begun();
            if !begun.is_empty() {
                running.extend(begun.drain(..));
                continue;
            }
            if connection.is_none() && running.is_empty() {
                return Poll::Ready(());
            }
            if bell.may_rest() {
                return Poll::Pending;
            }
        }
        // Let other tasks run in between.
        bell.rest();
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use tokio::sync::oneshot;

    use super::*;

    #[test]
    fn streams_run_with_their_connection_and_outlive_it() {
        let streams = Streams::default();
        let ended = Arc::new(AtomicUsize::new(0));
        let (release, released) = oneshot::channel::<()>();
        let (first, saw_first) = oneshot::channel();
        let connection = {
            let (streams, ended) = (streams.clone(), Arc::clone(&ended));
            async move {
                let (executor, counted) = (streams.clone(), Arc::clone(&ended));
                streams.execute(async move {
                    executor.execute(async move {
                        let _ = released.await;
                        counted.fetch_add(1, Ordering::Relaxed);
                    });
                    ended.fetch_add(1, Ordering::Relaxed);
                    let _ = first.send(());
                });
                let _ = saw_first.await;
            }
        };
        let mut connection = streams.of(connection);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());
        assert_eq!(
            ended.load(Ordering::Relaxed),
            1,
            "one begun by the connection"
        );
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());
        assert!(connection.connection().is_none());
        let _ = release.send(());
        assert!(Pin::new(&mut connection).poll(&mut cx).is_ready());
        assert_eq!(ended.load(Ordering::Relaxed), 2);
    }

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Counter(AtomicUsize);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn streams_and_connection_wake_each_other_without_waking_their_task() {
        let streams = Streams::default();
        let (ask, asked) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let (leave, left) = oneshot::channel::<()>();
        let connection = {
            let streams = streams.clone();
            async move {
                streams.execute(async move {
                    let _ = asked.await;
                    let _ = answer.send(());
                });
                let _ = ask.send(());
                let _ = answered.await;
                let _ = left.await;
            }
        };
        let mut connection = streams.of(connection);
        let counter = Arc::<Counter>::default();
        let waker = Waker::from(Arc::clone(&counter));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());
        assert_eq!(
            counter.0.load(Ordering::Relaxed),
            0,
            "they are done with each other"
        );
        let _ = leave.send(());
        assert_eq!(
            counter.0.load(Ordering::Relaxed),
            1,
            "from outside they are woken"
        );
        assert!(Pin::new(&mut connection).poll(&mut cx).is_ready());
    }

    #[test]
    fn what_wakes_itself_for_ever_leaves_the_thread_to_others() {
        let restless = std::future::poll_fn(|cx: &mut Context<'_>| {
            cx.waker().wake_by_ref();
            Poll::<()>::Pending
        });
        let mut connection = Streams::default().of(restless);
        let counter = Arc::<Counter>::default();
        let waker = Waker::from(Arc::clone(&counter));
        let mut cx = Context::from_waker(&waker);
        assert!(Pin::new(&mut connection).poll(&mut cx).is_pending());
        assert_eq!(counter.0.load(Ordering::Relaxed), 1, "it comes back");
    }
}
