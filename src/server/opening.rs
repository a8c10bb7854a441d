//! Bounds the wait for the first bytes of an HTTP/2 connection.
//!
//! HTTP/2 pings a client once both sides have sent their preface, and waits for that without a
//! limit. A client that connects and sends nothing would occupy a connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::metrics::{ConnectionRejection, Metrics};

/// How long the first bytes may take: as long as the head of an HTTP/1 request.
const DUE: Duration = Duration::from_secs(10);

/// A connection whose reads fail if its first bytes are late; counted as `slow_head`.
#[derive(Debug)]
pub struct TimedOpening<S> {
    stream: S,
    /// `None` once the client has sent those bytes.
    due: Option<Due>,
}

#[derive(Debug)]
struct Due {
    bytes: usize,
    timer: Pin<Box<Sleep>>,
    metrics: Metrics,
}

impl<S> TimedOpening<S> {
    /// A new connection, whose client has to send `bytes` bytes first.
    pub(super) fn new(stream: S, bytes: usize, metrics: Metrics) -> Self {
        let timer = Box::pin(sleep(DUE));
        Self {
            stream,
            due: Some(Due {
                bytes,
                timer,
                metrics,
            }),
        }
    }
}

impl Due {
    /// Whether the time is over; if so, counts it.
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let over = self.timer.as_mut().poll(cx).is_ready();
        if over {
            self.metrics.rejected(ConnectionRejection::SlowHead);
        }
        over
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedOpening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if let Some(due) = &mut self.due {
            due.bytes = due.bytes.saturating_sub(buf.filled().len() - before);
            if due.bytes == 0 {
                self.due = None;
            } else if due.is_over(cx) {
                self.due = None;
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedOpening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::telemetry::Telemetry;

    fn opening<S>(stream: S) -> TimedOpening<S> {
        TimedOpening::new(stream, 4, Metrics::new(&Telemetry::off(), "test"))
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_too_little_is_left_however_slowly_it_comes() {
        for step in [Duration::from_secs(4), Duration::MAX] {
            let (mut client, server) = duplex(64);
            let trickle = async {
                loop {
                    tokio::time::sleep(step).await;
                    client.write_all(b"x").await.unwrap();
                }
            };
            let (started, mut text) = (Instant::now(), String::new());
            let mut server = opening(server);
            tokio::select! {
                ended = server.read_to_string(&mut text) => {
                    assert_eq!(ended.unwrap_err().kind(), io::ErrorKind::TimedOut);
                }
                () = trickle => unreachable!("it never ends"),
            }
            assert_eq!(started.elapsed(), DUE);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_begun_may_be_silent() {
        let (mut client, server) = duplex(64);
        let mut server = opening(server);
        client.write_all(b"begun").await.unwrap();
        server.read_exact(&mut [0; 5]).await.unwrap();
        let day = Duration::from_secs(86_400);
        let silence = tokio::time::timeout(day, server.read_u8());
        assert!(silence.await.is_err());
    }
}
