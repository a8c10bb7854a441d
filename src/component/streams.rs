//! HTTP/2 without a task for every stream.
//!
//! hyper hands each stream to an executor, which usually spawns it. On a runtime of several
//! workers a stream and its connection then run at the same time: another thread is woken
//! for a request of a few hundred bytes, and the connection writes the head, the body and
//! the trailers of one answer in system calls of their own, as it happens to see them. Here
//! the streams are polled by the task of their connection. All requests that came with one
//! read are worked on, and all their answers leave with one write; half of the cost of a
//! small request goes. Requests of one connection no longer run in parallel, those of
//! several do.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, Stream};
use hyper::rt::Executor;

/// The executor to build a connection with. Clones share their streams.
#[derive(Clone, Default)]
pub struct Streams {
    // Std: the section moves a pointer.
    begun: Arc<Mutex<Vec<BoxFuture<'static, ()>>>>,
}

/// A connection with its streams. As a future it ends when all of them have ended: those
/// of a client that went away without waiting for its answers outlive the connection.
pub struct Multiplexed<C> {
    /// None once it has ended.
    connection: Option<Pin<Box<C>>>,
    streams: Streams,
    running: FuturesUnordered<BoxFuture<'static, ()>>,
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
    /// The streams with the one connection that was built with this executor.
    pub fn of<C: Future>(self, connection: C) -> Multiplexed<C> {
        Multiplexed {
            connection: Some(Box::pin(connection)),
            streams: self,
            running: FuturesUnordered::new(),
        }
    }

    fn begun(&self) -> MutexGuard<'_, Vec<BoxFuture<'static, ()>>> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Multiplexed<C> {
    /// The connection, unless it has ended.
    pub fn connection(&mut self) -> Option<Pin<&mut C>> {
        self.connection.as_mut().map(Pin::as_mut)
    }
}

impl<C: Future> Future for Multiplexed<C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            while let Poll::Ready(Some(())) = Pin::new(&mut this.running).poll_next(cx) {}
            // Behind the streams, so that it writes what they have just answered.
            if let Some(connection) = this.connection()
                && connection.poll(cx).is_ready()
            {
                this.connection = None;
            }
            let mut begun = this.streams.begun();
            if begun.is_empty() {
                return if this.connection.is_none() && this.running.is_empty() {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                };
            }
            this.running.extend(begun.drain(..));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Waker;

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
}
