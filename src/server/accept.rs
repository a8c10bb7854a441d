//! The accept loop: it outlives every error that accepting can end in.
//!
//! A process that runs out of file descriptors gets an error from every accept until it
//! closes some. The usual loop ends there, or spins; this one waits a little longer each
//! time, counts, and goes on.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::metrics::{Metrics, Rejection};

/// The first pause after an accept that failed, and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Failing accepts are logged at most this often.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// How much a listener takes on.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time. What is beyond is refused.
    pub connections: usize,
    /// How long connections may take to end when the server stops.
    pub grace: Duration,
}

/// Where connections come from; a trait so that tests can let accepting fail.
pub(super) trait Accept {
    /// A connection.
    type Connection;

    /// Waits for the next connection. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Turns a connection away without waiting for anything.
    fn refuse(&self, connection: Self::Connection);
}

/// Accepts and spawns until `stop`, then closes the listening socket, lets the connections
/// end, and aborts those that outlive the grace. When it returns, none is left.
pub(super) async fn run<A, S, F>(
    mut acceptor: A,
    limits: Limits,
    metrics: &Metrics,
    stop: &CancellationToken,
    serve: S,
) where
    A: Accept,
    S: Fn(A::Connection) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    let mut pause = PAUSE.0;
    let mut logged: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                report(metrics, ended);
                continue;
            }
            accepted = acceptor.accept() => accepted,
        };
        match accepted {
            Ok(connection) if connections.len() >= limits.connections => {
                metrics.rejected(Rejection::Limit);
                acceptor.refuse(connection);
            }
            Ok(connection) => {
                pause = PAUSE.0;
                metrics.opened();
                connections.spawn(serve(connection));
            }
            // The client was gone before it was its turn.
            Err(error) if is_about_the_connection(&error) => metrics.rejected(Rejection::Gone),
            Err(error) => {
                metrics.rejected(Rejection::Accept);
                if logged.is_none_or(|at| at.elapsed() >= LOG_EVERY) {
                    logged = Some(Instant::now());
                    let listener = metrics.listener();
                    tracing::warn!(%error, listener, "no connection can be accepted, will try again");
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(pause) => pause = (pause * 2).min(PAUSE.1),
                }
            }
        }
    }
    drop(acceptor);
    let ended = async {
        while let Some(ended) = connections.join_next().await {
            report(metrics, ended);
        }
    };
    if timeout(limits.grace, ended).await.is_err() {
        connections.abort_all();
        while let Some(ended) = connections.join_next().await {
            report(metrics, ended);
        }
    }
}

impl Accept for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers are written whole, so there is nothing to wait for. A socket that
        // refuses this is closed by now, which its first read will show.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn refuse(&self, connection: TcpStream) {
        const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
            retry-after: 5\r\ncontent-length: 21\r\n\r\ntoo many connections\n";
        // Unread bytes would turn the close into a reset that overtakes the answer. The
        // answer itself fits into the empty buffer of a new socket; where it doesn't, the
        // client sees the close alone.
        let _ = connection.try_read(&mut [0; 4096]);
        let _ = connection.try_write(ANSWER);
    }
}

/// Whether an accept failed for reasons of this one connection, so that the next may work.
fn is_about_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn report(metrics: &Metrics, ended: Result<(), tokio::task::JoinError>) {
    metrics.closed();
    if let Err(error) = ended
        && error.is_panic()
    {
        let listener = metrics.listener();
        tracing::error!(%error, listener, "a connection was lost to a panic");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::pending;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::telemetry::{Settings, Telemetry};

    /// Hands out what it was given, then waits for ever.
    struct Script {
        results: VecDeque<io::Result<u32>>,
        refused: Arc<Mutex<Vec<u32>>>,
    }

    impl Accept for Script {
        type Connection = u32;

        async fn accept(&mut self) -> io::Result<u32> {
            match self.results.pop_front() {
                Some(result) => result,
                None => pending().await,
            }
        }

        fn refuse(&self, connection: u32) {
            self.refused.lock().unwrap().push(connection);
        }
    }

    fn emfile() -> io::Result<u32> {
        Err(io::Error::from_raw_os_error(
            rustix::io::Errno::MFILE.raw_os_error(),
        ))
    }

    const LIMITS: Limits = Limits {
        connections: 2,
        grace: Duration::from_secs(1),
    };

    #[tokio::test(start_paused = true)]
    async fn running_out_of_descriptors_delays_and_is_counted() {
        let telemetry = Telemetry::new(&Settings::default()).unwrap();
        let metrics = Metrics::new(&telemetry, "test");
        let stop = CancellationToken::new();
        let mut results: VecDeque<_> = (0..10).map(|_| emfile()).collect();
        results.push_back(Ok(7));
        let script = Script {
            results,
            refused: Arc::default(),
        };
        let started = Instant::now();
        let served = Arc::new(Mutex::new(None));
        run(script, LIMITS, &metrics, &stop, |connection| {
            *served.lock().unwrap() = Some((connection, started.elapsed()));
            stop.cancel();
            async {}
        })
        .await;
        let (connection, waited) = served.lock().unwrap().unwrap();
        assert_eq!(connection, 7);
        // 50, 100, 200, 400, 800 ms, and five times 1 s.
        assert_eq!(waited.as_millis() / 50, 6_550 / 50);
        let page = prometheus::TextEncoder::new()
            .encode_to_string(&telemetry.registry().gather())
            .unwrap();
        let line =
            "foghorn_http_connections_rejected_total{listener=\"test\",reason=\"accept_error\"} 10";
        assert!(page.contains(line), "{page}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_beyond_the_limit_is_refused_and_the_rest_is_aborted_after_the_grace() {
        let telemetry = Telemetry::off();
        let metrics = Metrics::new(&telemetry, "test");
        let stop = CancellationToken::new();
        let refused = Arc::new(Mutex::new(Vec::new()));
        let script = Script {
            results: (1..=4).map(Ok).collect(),
            refused: Arc::clone(&refused),
        };
        let held = Arc::new(());
        let task = {
            let (stop, held) = (stop.clone(), Arc::clone(&held));
            tokio::spawn(async move {
                run(script, LIMITS, &metrics, &stop, |_| {
                    let held = Arc::clone(&held);
                    async move {
                        pending::<()>().await;
                        drop(held);
                    }
                })
                .await;
            })
        };
        tokio::task::yield_now().await;
        sleep(Duration::from_millis(1)).await;
        assert_eq!(*refused.lock().unwrap(), [3, 4]);
        let stopped = Instant::now();
        stop.cancel();
        task.await.unwrap();
        assert_eq!(stopped.elapsed().as_secs(), 1);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
