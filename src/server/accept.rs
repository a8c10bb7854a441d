//! The accept loop. No error of accepting ends it.
//!
//! A process that runs out of file descriptors gets an error from every accept until it closes
//! some. A usual loop would end there, or spin; this one counts the error, pauses for longer each
//! time, and goes on.

use std::io;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::deadlines::ConnectionWatch;
use super::metrics::{ConnectionRejection, Metrics};
use super::refusals::{ConnectionLimit, Refusals};
use super::seats::OpenConnections;
use crate::component::Reporter;
use crate::descriptors;
use crate::telemetry::Throttle;

/// The pause after the first failed accept, and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// The limits of a listener.
#[derive(Debug)]
pub struct AcceptLimits {
    /// The most connections at a time. The file descriptors may allow fewer.
    pub connections: usize,
    /// What happens to a further connection.
    pub beyond: OverLimit,
    /// How long connections may take to end when the server stops.
    pub grace: Duration,
}

/// What happens to a connection beyond the limit.
#[derive(Debug)]
pub enum OverLimit {
    /// It is refused. The reporter's line in `/health` shows that, and the log once a minute.
    Refuse(Option<Reporter>),
    /// It is accepted, and another one is closed; the module `server` says which.
    Displace,
}

/// A source of connections; a trait so that tests can make accepting fail.
pub(super) trait Accept {
    /// One connection.
    type Connection;

    /// Waits for the next connection. Cancel safe.
    fn accept(&mut self) -> impl Future<Output = io::Result<Self::Connection>> + Send;

    /// Refuses a connection without waiting.
    fn refuse(&self, connection: Self::Connection);
}

/// Accepts connections, at most `share` at a time, and spawns `serve` for each until `stop`. Then
/// it closes the listening socket, waits for the connections to end, and aborts those that
/// outlive the grace. When it returns, none is left.
pub(super) async fn run<A, S, F>(
    mut acceptor: A,
    limits: AcceptLimits,
    share: usize,
    metrics: &Metrics,
    stop: &CancellationToken,
    serve: S,
) where
    A: Accept,
    S: Fn(A::Connection, ConnectionWatch) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let limit = ConnectionLimit::new(limits.connections, share);
    let mut seats = OpenConnections::new(metrics);
    let mut refusals = match limits.beyond {
        OverLimit::Displace => None,
        OverLimit::Refuse(reporter) => Some(Refusals::new(metrics.listener(), limit, reporter)),
    };
    let mut pause = PAUSE.0;
    let failures = Throttle::default();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = seats.one_left() => continue,
            () = over(refusals.as_mut()) => continue,
            accepted = acceptor.accept() => accepted,
        };
        match accepted {
            Ok(connection) => {
                pause = PAUSE.0;
                tell_rest(&failures, metrics);
                if seats.len() >= limit.most {
                    if let Some(refusals) = &mut refusals {
                        refusals.note(metrics);
                        acceptor.refuse(connection);
                        continue;
                    }
                    seats.displace();
                }
                seats.take(|watch| serve(connection, watch));
            }
            // The client disconnected before it was accepted.
            Err(error) if is_about_the_connection(&error) => {
                metrics.rejected(ConnectionRejection::Gone)
            }
            Err(error) => {
                metrics.rejected(ConnectionRejection::Accept);
                if refusals.is_none() && descriptors::are_exhausted(&error) {
                    // Closing one frees a descriptor for the next client.
                    seats.displace();
                }
                if let Some(failures) = failures.pass(1, Instant::now()) {
                    let listener = metrics.listener();
                    tracing::warn!(%error, listener, failures, "no connection can be accepted, will try again");
                }
                tokio::select! {
                    () = stop.cancelled() => break,
                    () = sleep(pause) => pause = (pause * 2).min(PAUSE.1),
                }
            }
        }
    }
    drop(acceptor);
    tell_rest(&failures, metrics);
    if timeout(limits.grace, seats.all_left()).await.is_err() {
        seats.clear().await;
    }
}

/// Logs the failures that no line has told, if there are any.
fn tell_rest(failures: &Throttle, metrics: &Metrics) {
    if let Some(failures) = failures.rest() {
        let listener = metrics.listener();
        tracing::warn!(listener, failures, "connections couldn't be accepted");
    }
}

/// Resolves when no connection has been refused for a minute; never if none was.
async fn over(refusals: Option<&mut Refusals>) {
    match refusals {
        Some(refusals) => refusals.over().await,
        None => std::future::pending().await,
    }
}

impl Accept for TcpListener {
    type Connection = TcpStream;

    async fn accept(&mut self) -> io::Result<TcpStream> {
        let (stream, _) = TcpListener::accept(self).await?;
        // Answers are written whole, so waiting for more data (Nagle) would only delay them. If
        // the call fails, the socket is closed, which the first read will show.
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    fn refuse(&self, connection: TcpStream) {
        const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\n\
            retry-after: 5\r\ncontent-length: 21\r\n\r\ntoo many connections\n";
        // Unread bytes would make closing send a reset, which could arrive before the answer. The
        // answer fits into the empty buffer of a new socket; if it doesn't, the client only sees
        // the close.
        let _ = connection.try_read(&mut [0; 4096]);
        let _ = connection.try_write(ANSWER);
    }
}

/// Whether accepting failed because of this connection only, so that the next may succeed.
fn is_about_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::pending;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::component::{ComponentState, Health, Subject};
    use crate::log_capture::LogCapture;
    use crate::telemetry::{Telemetry, TelemetrySettings};

    /// A source of these results, which then waits for ever.
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

    fn limits(beyond: OverLimit) -> AcceptLimits {
        AcceptLimits {
            connections: 2,
            beyond,
            grace: Duration::from_secs(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_descriptors_delays_and_is_counted() {
        let (log, _capturing) = LogCapture::begin();
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
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
        run(
            script,
            limits(OverLimit::Displace),
            usize::MAX,
            &metrics,
            &stop,
            |connection, _| {
                let told: Vec<_> = log.lines();
                let told = told
                    .iter()
                    .map(|line| line["failures"].as_u64())
                    .collect::<Vec<_>>();
                assert_eq!(
                    told,
                    [Some(1), Some(9)],
                    "at the first, and when it is over"
                );
                *served.lock().unwrap() = Some((connection, started.elapsed()));
                stop.cancel();
                async {}
            },
        )
        .await;
        let (connection, waited) = served.lock().unwrap().unwrap();
        assert_eq!(connection, 7);
        // The pauses are 50, 100, 200, 400 and 800 ms, then five times 1 s.
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
                run(
                    script,
                    limits(OverLimit::Refuse(None)),
                    usize::MAX,
                    &metrics,
                    &stop,
                    |_, _| {
                        let held = Arc::clone(&held);
                        async move {
                            pending::<()>().await;
                            drop(held);
                        }
                    },
                )
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
    #[tokio::test(start_paused = true)]
    async fn what_sets_the_limit_is_named() {
        let f = async |share: usize, expected: &str| {
            let telemetry = Telemetry::off();
            let (metrics, health) = (Metrics::new(&telemetry, "test"), Health::new());
            let id = "otlp".parse().unwrap();
            let reporter = health.reporter(Subject::Endpoint, &id, "grpc://test");
            let script = Script {
                results: (1..=4).map(Ok).collect(),
                refused: Arc::default(),
            };
            let limits = limits(OverLimit::Refuse(Some(reporter)));
            let stop = CancellationToken::new();
            let serving = run(script, limits, share, &metrics, &stop, |_, _| pending());
            // It isn't dropped, since its line in `/health` would go with it.
            let mut serving = std::pin::pin!(serving);
            let _ = timeout(Duration::from_secs(1), &mut serving).await;
            let error = health.reports().remove(0).last_error.unwrap();
            assert_eq!(error, format!("connections are refused: {expected}"));
        };
        f(2, "2 are open, the limit set by max_connections").await;
        f(
            1,
            "1 are open, the limit set by a quarter of the file descriptors that the process may \
             open",
        )
        .await;
    }

    #[tokio::test(start_paused = true)]
    async fn refusals_show_on_the_board_until_a_minute_has_passed_without_one() {
        let telemetry = Telemetry::off();
        let (metrics, health) = (Metrics::new(&telemetry, "test"), Health::new());
        let id = "otlp".parse().unwrap();
        let reporter = health.reporter(Subject::Endpoint, &id, "grpc://test");
        reporter.working();
        let script = Script {
            results: (1..=4).map(Ok).collect(),
            refused: Arc::default(),
        };
        let stop = CancellationToken::new();
        let task = tokio::spawn({
            let stop = stop.clone();
            async move {
                let limits = limits(OverLimit::Refuse(Some(reporter)));
                run(script, limits, usize::MAX, &metrics, &stop, |_, _| {
                    pending()
                })
                .await;
            }
        });
        let line = || health.reports().remove(0);
        sleep(Duration::from_secs(59)).await;
        assert_eq!(line().state, ComponentState::Degraded);
        assert_eq!(
            line().last_error.unwrap(),
            "connections are refused: 2 are open, the limit set by max_connections"
        );
        sleep(Duration::from_secs(2)).await;
        assert_eq!(line().state, ComponentState::Working);
        stop.cancel();
        task.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn without_descriptors_the_most_dispensable_connection_gives_its_own() {
        let telemetry = Telemetry::off();
        let metrics = Metrics::new(&telemetry, "test");
        let stop = CancellationToken::new();
        let script = Script {
            results: [Ok(1), Ok(2), emfile()].into_iter().collect(),
            refused: Arc::default(),
        };
        let open = Arc::new(());
        let task = tokio::spawn({
            let (stop, open) = (stop.clone(), Arc::clone(&open));
            async move {
                run(
                    script,
                    limits(OverLimit::Displace),
                    usize::MAX,
                    &metrics,
                    &stop,
                    |_, watch| {
                        let open = Arc::clone(&open);
                        async move {
                            let _held = (open, watch);
                            pending::<()>().await;
                        }
                    },
                )
                .await;
            }
        });
        sleep(Duration::from_secs(1)).await;
        // Held by the task, by this test, and by one of the two connections.
        assert_eq!(Arc::strong_count(&open), 3);
        stop.cancel();
        task.await.unwrap();
    }
}
