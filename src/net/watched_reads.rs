//! A connection whose reads are watched.
//!
//! What is to be known of a peer shows in what is read from it: whether it leaves others their
//! turns, how much it sends, when its first bytes come. A watch sees that; the rest of a
//! connection is handed on here, once for all of them.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What is asked before every read of a connection, and told after it.
pub trait ReadWatch: Unpin {
    /// Whether something may be read now. While this is pending, nothing is.
    fn poll_turn(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    /// Learns how many bytes a read gave; `None` if it waits for more, with `cx`. A read that
    /// failed gave 0.
    ///
    /// # Errors
    ///
    /// If the connection isn't to be read any more: the read fails with this.
    fn note(&mut self, read: Option<usize>, cx: &mut Context<'_>) -> io::Result<()>;
}

/// A connection, and what watches its reads.
#[derive(Debug)]
pub struct WatchedReads<S, W> {
    stream: S,
    watch: W,
}

impl<S, W> WatchedReads<S, W> {
    /// Wraps a connection.
    pub fn new(stream: S, watch: W) -> Self {
        Self { stream, watch }
    }
}

impl<S: AsyncRead + Unpin, W: ReadWatch> AsyncRead for WatchedReads<S, W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.watch.poll_turn(cx).is_pending() {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let read = buffer.filled().len() - before;
        match self.watch.note(polled.is_ready().then_some(read), cx) {
            Ok(()) => polled,
            Err(error) => Poll::Ready(Err(error)),
        }
    }
}

impl<S: AsyncWrite + Unpin, W: Unpin> AsyncWrite for WatchedReads<S, W> {
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
