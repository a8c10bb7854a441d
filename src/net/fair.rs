//! A connection whose peer can't hold a worker.
//!
//! Tokio stops a task after 128 operations, however large. hyper reads up to 64 KiB in one, and
//! reads on for as long as what has come is no whole answer: `100 Continue` again and again,
//! extensions of chunks, HTTP/2 frames of control. A peer that sends those without end used to
//! hold the worker for a second at a time. So the task gives way by bytes, too.

use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How many bytes are read before other tasks get their turn. Reading the smallest answers out of
/// them takes hyper a millisecond; a page of 10 MiB gives way 160 times, which costs nothing.
pub(super) const TURN: usize = 64 * 1024;

/// A connection that lets other tasks run after every 64 KiB that it has read. A single read may
/// exceed that by the reader's buffer.
#[derive(Debug)]
pub struct Fair<S> {
    stream: S,
    /// How many bytes may be read in this turn.
    left: usize,
}

impl<S> Fair<S> {
    /// Wraps a connection. It belongs below TLS, so that a handshake gives way as well.
    pub fn new(stream: S) -> Self {
        Self { stream, left: TURN }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Fair<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            self.left = TURN;
            // Wakes the task once the runtime has looked at the sockets of the others. To wake
            // it here would put it behind the tasks that are ready, but before those whose
            // sockets nobody has looked at.
            if pin!(tokio::task::yield_now()).poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        match polled {
            Poll::Ready(Ok(())) => {
                let read = buffer.filled().len() - before;
                self.left = self.left.saturating_sub(read);
            }
            // The others have their turn now.
            Poll::Pending => self.left = TURN,
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Fair<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::AsyncReadExt as _;

    use super::*;

    /// How often another task ran while 4 MiB were read, 64 KiB each time, from a peer that never
    /// lets its reader wait.
    async fn turns_beside(mut stream: impl AsyncRead + Unpin) -> usize {
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let other = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        let mut buffer = vec![0; TURN];
        for _ in 0..64 {
            stream.read_exact(&mut buffer).await.unwrap();
        }
        other.abort();
        turns.load(Ordering::Relaxed)
    }

    #[tokio::test]
    async fn a_peer_that_never_stops_leaves_a_turn_to_others_every_64_kib() {
        assert_eq!(turns_beside(tokio::io::repeat(b'x')).await, 0, "as it was");
        assert_eq!(turns_beside(Fair::new(tokio::io::repeat(b'x'))).await, 63);
    }
}
