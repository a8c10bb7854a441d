//! A destination, and the exporter that pushes to it.

use std::collections::VecDeque;
use std::fmt;
use std::future::pending;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::Shared;
use crate::component::{
    BuildContext, BuiltExporter, Delivered, ExportError, Exporter, ExporterConfig, Remedy,
    RemoteExporter,
};
use crate::pdata::Batch;
use crate::resilience::{BreakerConfig, Edge, Mode, Outcome, Transport};
use crate::settings::{DeliverySettings, RetryOnFailure};

/// The reaction of a fake peer to an attempt.
#[derive(Debug, Clone, Copy)]
pub(in crate::service::tests) enum Reply {
    Take,
    /// Takes the request after this many seconds.
    TakeAfter(u64),
    Reject(u64),
    /// Asks to come back later, with or without a time in seconds.
    Retry(Option<u64>),
    /// Refuses the connection.
    Refuse,
    /// Answers that there are too many requests; come back after this many seconds.
    Throttle(u64),
    /// Fails on this machine, before the peer is asked.
    Local,
    Split,
    /// Asks to split the request, and for no other within this many seconds.
    SplitFor(u64),
    /// Asks to split the request, after this many seconds.
    SplitAfter(u64),
    Permanent,
    /// Refuses the request for good, and asks for no other within this many seconds.
    RefuseFor(u64),
    Hang,
    /// Asks to come back later, after this many seconds.
    RetryAfterThought(u64),
    Panic,
}

/// A remote exporter that follows a script, and records the attempts.
#[derive(Clone)]
pub(in crate::service::tests) struct Remote {
    pub(in crate::service::tests) delivery: DeliverySettings,
    script: Shared<VecDeque<Reply>>,
    rule: Arc<dyn Fn(&Batch) -> Reply + Send + Sync>,
    attempts: Shared<Vec<Attempt>>,
    under_way: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
struct Attempt {
    at: Instant,
    items: u64,
    /// How many attempts were running when it began, with itself.
    side_by_side: usize,
}

impl Remote {
    /// Follows the script, then takes every request.
    pub(in crate::service::tests) fn script(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self {
            script: Arc::new(Mutex::new(replies.into_iter().collect())),
            ..Self::rule(|_| Reply::Take)
        }
    }

    pub(in crate::service::tests) fn rule(
        rule: impl Fn(&Batch) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self {
            delivery: DeliverySettings {
                retry: RetryOnFailure {
                    randomization_factor: 0.0,
                    ..RetryOnFailure::default()
                },
                ..DeliverySettings::default()
            },
            script: Arc::default(),
            rule: Arc::new(rule),
            attempts: Arc::default(),
            under_way: Arc::default(),
        }
    }

    /// Takes requests while `up` is true of the time since now, and else refuses the connection.
    pub(in crate::service::tests) fn up_when(
        up: impl Fn(Duration) -> bool + Send + Sync + 'static,
    ) -> Self {
        let begun = Instant::now();
        Self::rule(move |_| match up(begun.elapsed()) {
            true => Reply::Take,
            false => Reply::Refuse,
        })
    }

    /// The same with this breaker.
    pub(in crate::service::tests) fn breaker(self, config: BreakerConfig) -> Self {
        self.with(|delivery| {
            delivery.breaker = config.resolve(Edge::Destination, delivery.timeout).unwrap();
        })
    }

    /// The same without a breaker.
    pub(in crate::service::tests) fn unguarded(self) -> Self {
        self.breaker(BreakerConfig {
            mode: Some(Mode::Off),
            ..BreakerConfig::default()
        })
    }

    pub(in crate::service::tests) fn with(
        mut self,
        change: impl FnOnce(&mut DeliverySettings),
    ) -> Self {
        change(&mut self.delivery);
        self
    }

    /// Sets the reply to the next attempt.
    pub(in crate::service::tests) fn next(&self, reply: Reply) {
        self.script.lock().unwrap().push_back(reply);
    }

    /// The number of items of each attempt.
    pub(in crate::service::tests) fn attempts(&self) -> Vec<u64> {
        self.each(|attempt| attempt.items)
    }

    /// The time of each attempt in seconds since the first.
    pub(in crate::service::tests) fn times(&self) -> Vec<f64> {
        let first = self.attempts.lock().unwrap()[0].at;
        self.each(|attempt| attempt.at.duration_since(first).as_secs_f64())
    }

    /// The same in whole seconds.
    pub(in crate::service::tests) fn seconds(&self) -> Vec<u64> {
        self.times().into_iter().map(|at| at as u64).collect()
    }

    /// How many attempts were running when each began, with itself.
    pub(in crate::service::tests) fn side_by_side(&self) -> Vec<usize> {
        self.each(|attempt| attempt.side_by_side)
    }

    fn each<T>(&self, read: impl FnMut(&Attempt) -> T) -> Vec<T> {
        self.attempts.lock().unwrap().iter().map(read).collect()
    }
}

/// Counts an attempt as running while it lives.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Remote")
    }
}

impl ExporterConfig for Remote {
    fn build(&self, context: &BuildContext) -> anyhow::Result<BuiltExporter> {
        let remotes = context.signals.iter().map(|signal| RemoteExporter {
            signal: *signal,
            exporter: Box::new(self.clone()),
            // Each exporter has another host.
            endpoint: format!("http://{}:4318", context.id.as_str().replace('/', ".")),
            delivery: self.delivery.clone(),
        });
        Ok(BuiltExporter::Remote(remotes.collect()))
    }

    fn describe(&self) -> String {
        "rig".to_owned()
    }
}

impl Exporter for Remote {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn export<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<Delivered, ExportError>> {
        Box::pin(async move {
            let side_by_side = self.under_way.fetch_add(1, Ordering::Relaxed) + 1;
            let _under_way = UnderWay(Arc::clone(&self.under_way));
            self.attempts.lock().unwrap().push(Attempt {
                at: Instant::now(),
                items: batch.items(),
                side_by_side,
            });
            let scripted = self.script.lock().unwrap().pop_front();
            let fail = |remedy, outcome, after: Option<u64>| {
                let advice = after.map(Duration::from_secs);
                Err(ExportError::new(remedy, outcome, "as scripted").advised(advice))
            };
            match scripted.unwrap_or_else(|| (self.rule)(batch)) {
                Reply::Take => Ok(Delivered { rejected: 0 }),
                Reply::TakeAfter(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    Ok(Delivered { rejected: 0 })
                }
                Reply::Reject(rejected) => Ok(Delivered { rejected }),
                Reply::Retry(after) => fail(Remedy::Retry, Outcome::Unavailable, after),
                Reply::Refuse => {
                    let refused = Outcome::Transport(Transport::Refused);
                    fail(Remedy::Retry, refused, None)
                }
                Reply::Throttle(after) => fail(Remedy::Retry, Outcome::Throttled, Some(after)),
                Reply::Local => fail(Remedy::Retry, Outcome::Local, None),
                Reply::Split => fail(Remedy::Split, Outcome::ClientError, None),
                Reply::SplitFor(after) => fail(Remedy::Split, Outcome::ClientError, Some(after)),
                Reply::SplitAfter(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    fail(Remedy::Split, Outcome::ClientError, None)
                }
                Reply::Permanent => fail(Remedy::None, Outcome::ClientError, None),
                Reply::RefuseFor(after) => fail(Remedy::None, Outcome::ClientError, Some(after)),
                Reply::Hang => pending().await,
                Reply::RetryAfterThought(seconds) => {
                    tokio::time::sleep(Duration::from_secs(seconds)).await;
                    fail(Remedy::Retry, Outcome::Unavailable, None)
                }
                Reply::Panic => panic!("the exporter broke"),
            }
        })
    }

    fn shutdown(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }
}
