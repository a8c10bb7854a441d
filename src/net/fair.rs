//! A connection whose peer can't hold a worker.
//!
//! Tokio stops a task after 128 operations, however large. hyper reads up to 64 KiB in one, and
//! reads on for as long as what has come is no whole answer: `100 Continue` again and again,
//! extensions of chunks, HTTP/2 frames of control. A peer that sends those without end used to
//! hold the worker for a second at a time. So the task gives way by bytes, too.

use std::io;
use std::pin::pin;
use std::task::{Context, Poll};

use super::watched_reads::{ReadWatch, WatchedReads};

/// How many bytes are read before other tasks get their turn. Reading the smallest answers out of
/// them takes hyper a millisecond; a page of 10 MiB gives way 160 times, which costs nothing.
pub(super) const TURN: usize = 64 * 1024;

/// A connection that lets other tasks run after every 64 KiB that it has read. A single read may
/// exceed that by the reader's buffer.
pub type Fair<S> = WatchedReads<S, Turns>;

/// How many bytes may be read in this turn.
#[derive(Debug)]
pub struct Turns(usize);

impl<S> Fair<S> {
    /// Wraps a connection. It belongs below TLS, so that a handshake gives way as well.
    pub fn fair(stream: S) -> Self {
        Self::new(stream, Turns(TURN))
    }
}

impl ReadWatch for Turns {
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0 > 0 {
            return Poll::Ready(());
        }
        self.0 = TURN;
        // Wakes the task once the runtime has looked at the sockets of the others. To wake it
        // here would put it behind the tasks that are ready, but before those whose sockets
        // nobody has looked at.
        pin!(tokio::task::yield_now()).poll(cx)
    }

    fn note(&mut self, read: Option<usize>, _: &mut Context<'_>) -> io::Result<()> {
        self.0 = match read {
            Some(read) => self.0.saturating_sub(read),
            // The others have their turn now.
            None => TURN,
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{AsyncRead, AsyncReadExt as _};

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
        assert_eq!(turns_beside(Fair::fair(tokio::io::repeat(b'x'))).await, 63);
    }
}
