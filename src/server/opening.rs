//! Bounds the wait for the first bytes of an HTTP/2 connection.
//!
//! HTTP/2 pings a client once both sides have sent their preface, and waits for that without a
//! limit. A client that connects and sends nothing would occupy a connection for ever.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

use super::metrics::{ConnectionRejection, Metrics};
use crate::net::{ReadWatch, WatchedReads};

/// How long the first bytes may take: as long as the head of an HTTP/1 request.
const DUE: Duration = Duration::from_secs(10);

/// A connection whose reads fail if its first bytes are late; counted as `slow_head`.
pub type TimedOpening<S> = WatchedReads<S, Opening>;

/// Waits for the first bytes; for none any more once the client has sent them.
#[derive(Debug)]
pub struct Opening(Option<Due>);

#[derive(Debug)]
struct Due {
    bytes: usize,
    timer: Pin<Box<Sleep>>,
    metrics: Metrics,
}

impl Opening {
    /// Of a client that has to send `bytes` bytes first, from now on.
    pub(super) fn new(bytes: usize, metrics: Metrics) -> Self {
        Self(Some(Due {
            bytes,
            timer: Box::pin(sleep(DUE)),
            metrics,
        }))
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

impl ReadWatch for Opening {
    fn note(&mut self, read: Option<usize>, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(due) = &mut self.0 else {
            return Ok(());
        };
        due.bytes = due.bytes.saturating_sub(read.unwrap_or(0));
        if due.bytes == 0 {
            self.0 = None;
        } else if due.is_over(cx) {
            self.0 = None;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
    use tokio::time::Instant;

    use super::*;
    use crate::telemetry::Telemetry;

    fn opening<S>(stream: S) -> TimedOpening<S> {
        let metrics = Metrics::new(&Telemetry::off(), "test");
        WatchedReads::new(stream, Opening::new(4, metrics))
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
