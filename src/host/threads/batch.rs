//! The reads of one poll: handed over together, and answered together.
//!
//! The reading thread wakes who waits for a batch once, when all of its reads have ended. A
//! receiver that is woken for every file of the host would be woken fifteen times a poll. If a
//! read hangs, what the others gave is looked for every [`PATIENCE`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use super::{BlockingThreads, Job, PATIENCE, ReadKind, lock};

/// One read, which may never end.
pub(crate) struct BlockingRead<T> {
    pub(crate) kind: ReadKind,
    /// What is read; unique among the reads of a receiver.
    pub(crate) what: String,
    /// The part of a poll that fails with this read.
    pub(crate) part: String,
    /// Reads. What is to be read next because of it is requested by the thread itself, which
    /// saves waking the receiver in between.
    pub(crate) read: Box<ReadCall<T>>,
}

/// Returns what was read, and further reads.
pub(crate) type ReadCall<T> = dyn FnOnce() -> (T, Vec<BlockingRead<T>>) + Send;

/// The reads of one receiver that haven't ended, by name: none is started twice.
pub(crate) type Outstanding = Arc<Mutex<BTreeSet<Arc<str>>>>;

/// Reads that were requested together and share a deadline.
pub(crate) struct ReadBatch<T> {
    shared: Arc<SharedBatch<T>>,
    deadline: Instant,
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReadOutcome<T> {
    /// It returned this.
    Told(T),
    /// It has not ended by the deadline, still hangs from an earlier batch, or panicked.
    Late,
    /// No thread started it by the deadline, because too many other reads hang.
    NotBegun,
}

/// What the threads know of a batch.
struct SharedBatch<T> {
    threads: Arc<BlockingThreads>,
    outstanding: Outstanding,
    number: u64,
    // Locked before the state of the threads, never after it.
    state: Mutex<BatchState<T>>,
    /// No read is open any more.
    complete: Notify,
}

struct BatchState<T> {
    /// The parts of the reads that haven't ended, by the names of the reads.
    open: BTreeMap<Arc<str>, String>,
    /// At most one entry per read.
    ended: VecDeque<(String, ReadOutcome<T>)>,
    /// Nothing more may be requested: the deadline is over, or nobody waits any more.
    closed: bool,
}

impl<T: Send + 'static> ReadBatch<T> {
    /// Requests these reads, except those that still hang from an earlier batch.
    pub(crate) fn new(
        threads: &Arc<BlockingThreads>,
        outstanding: &Outstanding,
        deadline: Instant,
        reads: Vec<BlockingRead<T>>,
    ) -> Self {
        let shared = Arc::new(SharedBatch {
            threads: Arc::clone(threads),
            outstanding: Arc::clone(outstanding),
            number: threads.number(),
            state: Mutex::new(BatchState {
                open: BTreeMap::new(),
                ended: VecDeque::new(),
                closed: false,
            }),
            complete: Notify::new(),
        });
        shared.request(reads);
        Self { shared, deadline }
    }

    /// The next read that has ended or is late, by its part; `None` after all have been returned.
    /// Waits until the deadline at most.
    ///
    /// Cancel safe: what has ended stays until a later call takes it.
    pub(crate) async fn next(&mut self) -> Option<(String, ReadOutcome<T>)> {
        loop {
            let now = Instant::now();
            {
                let mut state = lock(&self.shared.state);
                if let Some(ended) = state.ended.pop_front() {
                    return Some(ended);
                }
                if state.open.is_empty() {
                    return None;
                }
            }
            if now >= self.deadline {
                self.shared.close();
                continue;
            }
            let until = self.deadline.min(now + PATIENCE);
            let waited = timeout_at(until, self.shared.complete.notified()).await;
            if waited.is_err() && self.shared.is_stuck() {
                self.shared.threads.reinforce();
            }
        }
    }
}

#[cfg(test)]
impl<T> ReadBatch<T> {
    pub(crate) fn threads(&self) -> Arc<BlockingThreads> {
        Arc::clone(&self.shared.threads)
    }
}

impl<T> Drop for ReadBatch<T> {
    fn drop(&mut self) {
        lock(&self.shared.state).closed = true;
        self.shared.threads.withdraw(self.shared.number);
    }
}

impl<T: Send + 'static> SharedBatch<T> {
    fn request(self: &Arc<Self>, reads: Vec<BlockingRead<T>>) {
        let mut state = lock(&self.state);
        if state.closed {
            return;
        }
        let mut jobs = Vec::with_capacity(reads.len());
        for read in reads {
            let BlockingRead {
                kind,
                what,
                part,
                read,
            } = read;
            let what: Arc<str> = what.into();
            if !lock(&self.outstanding).insert(Arc::clone(&what)) {
                state.ended.push_back((part, ReadOutcome::Late));
                continue;
            }
            state.open.insert(Arc::clone(&what), part);
            let mut open = OpenRead {
                batch: Arc::clone(self),
                what: Arc::clone(&what),
                outcome: ReadOutcome::NotBegun,
            };
            jobs.push(Job {
                kind,
                batch: self.number,
                what,
                read: Box::new(move || {
                    open.begin();
                    let (told, further) = read();
                    open.batch.request(further);
                    open.end(told);
                }),
            });
        }
        // Still locked, so that nothing is submitted after the batch was closed.
        self.threads.submit(jobs);
    }
}

impl<T> SharedBatch<T> {
    /// Ends all reads that are still open.
    fn close(&self) {
        lock(&self.state).closed = true;
        // Those that no thread has begun end here.
        self.threads.withdraw(self.number);
        let mut state = lock(&self.state);
        for (_, part) in std::mem::take(&mut state.open) {
            state.ended.push_back((part, ReadOutcome::Late));
        }
    }

    /// Whether no read has ended since somebody looked.
    fn is_stuck(&self) -> bool {
        lock(&self.state).ended.is_empty()
    }
}

/// A read that hasn't ended. It ends when this is dropped: after reading, by a panic, or when the
/// read is withdrawn.
struct OpenRead<T> {
    batch: Arc<SharedBatch<T>>,
    what: Arc<str>,
    outcome: ReadOutcome<T>,
}

impl<T> OpenRead<T> {
    /// From here on it is late until it ends.
    fn begin(&mut self) {
        self.outcome = ReadOutcome::Late;
    }

    fn end(mut self, told: T) {
        self.outcome = ReadOutcome::Told(told);
    }
}

impl<T> Drop for OpenRead<T> {
    fn drop(&mut self) {
        // First, so that whoever takes the outcome may request the read again.
        lock(&self.batch.outstanding).remove(&self.what);
        let outcome = std::mem::replace(&mut self.outcome, ReadOutcome::Late);
        let mut state = lock(&self.batch.state);
        // After the deadline it is no longer open, and nobody wants the outcome.
        if let Some(part) = state.open.remove(&self.what) {
            state.ended.push_back((part, outcome));
        }
        if state.open.is_empty() {
            drop(state);
            self.batch.complete.notify_one();
        }
    }
}
