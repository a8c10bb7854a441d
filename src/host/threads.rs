//! Threads for reads that may never end.
//!
//! Opening or reading a file may block for ever (a FIFO, a `/proc` that a program serves, a
//! server that is down), and nothing can interrupt it. So reads have threads of their own. One
//! thread does all reads in turn as long as each ends quickly. A read that takes longer than
//! [`PATIENCE`] keeps its thread, and another thread goes on with the rest; when a read that hung
//! ends, its thread ends too. No code waits for a thread to end, and all receivers together have
//! at most as many threads as [`LIMITS`] adds up to.

mod batch;

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) use batch::{BlockingRead, Outstanding, ReadBatch, ReadOutcome};

/// How long one read may delay those behind it before another thread starts.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// How many reads of each [`ReadKind`] may run at once. Each kind has its own limit, so that
/// servers which hang don't keep the host's files from being read. lxcfs alone serves five of the
/// files.
const LIMITS: [usize; 4] = [6, 2, 4, 2];

/// What a read reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadKind {
    /// A file under `/proc`.
    File,
    /// The size of a filesystem on a disk.
    Disk,
    /// The size of a filesystem behind a network or a program.
    Network,
    /// The files of another process.
    Process,
}

/// The threads that do the reads, and their queue.
#[derive(Debug, Default)]
pub(crate) struct BlockingThreads {
    state: Mutex<ThreadsState>,
    work: Condvar,
}

#[derive(Debug, Default)]
struct ThreadsState {
    queue: VecDeque<Job>,
    /// For each [`ReadKind`], the reads that are running.
    running: [Vec<Arc<str>>; LIMITS.len()],
    threads: usize,
    /// Threads that wait for work: at most one.
    idle: usize,
    /// Threads that were notified of work and haven't woken yet.
    called: usize,
    batches: u64,
}

struct Job {
    kind: ReadKind,
    batch: u64,
    what: Arc<str>,
    read: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.what.fmt(f)
    }
}

impl ThreadsState {
    fn is_runnable(&self, job: &Job) -> bool {
        self.running[job.kind as usize].len() < LIMITS[job.kind as usize]
    }

    fn take(&mut self) -> Option<Job> {
        let at = self.queue.iter().position(|job| self.is_runnable(job))?;
        let job = self.queue.remove(at)?;
        self.running[job.kind as usize].push(Arc::clone(&job.what));
        Some(job)
    }

    fn running(&self) -> usize {
        self.running.iter().map(Vec::len).sum()
    }
}

impl BlockingThreads {
    /// The threads that all receivers of the process share.
    pub(crate) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<BlockingThreads>> = LazyLock::new(Arc::default);
        Arc::clone(&SHARED)
    }

    /// A number for a batch of jobs.
    fn number(&self) -> u64 {
        let mut state = lock(&self.state);
        state.batches += 1;
        state.batches
    }

    /// Queues jobs for one thread, which does them in turn.
    fn submit(self: &Arc<Self>, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let mut state = lock(&self.state);
        state.queue.extend(jobs);
        self.call_or_begin(state, |state| state.threads == 0);
    }

    /// Starts or wakes a thread if a read can run and no thread is about to take it.
    fn reinforce(self: &Arc<Self>) {
        let state = lock(&self.state);
        let runnable = state.queue.iter().any(|job| state.is_runnable(job));
        let looks = state.threads > state.running() + state.idle;
        if runnable && !looks {
            self.call_or_begin(state, |_| true);
        }
    }

    /// Calls the thread that waits for work. If none waits, starts one where it `may`.
    fn call_or_begin(
        self: &Arc<Self>,
        mut state: MutexGuard<'_, ThreadsState>,
        may: impl FnOnce(&ThreadsState) -> bool,
    ) {
        if state.idle > 0 {
            state.idle -= 1;
            state.called += 1;
            // Unlocked first, since the thread would wake only to wait for the lock.
            drop(state);
            self.work.notify_one();
        } else if may(&state) {
            self.begin(&mut state);
        }
    }

    fn begin(self: &Arc<Self>, state: &mut ThreadsState) {
        if state.threads == LIMITS.iter().sum::<usize>() {
            return;
        }
        let threads = Arc::clone(self);
        let begun = std::thread::Builder::new()
            .name("foghorn-reader".to_owned())
            .spawn(move || threads.work());
        // If no thread could be started, the reads end at their deadline.
        if begun.is_ok() {
            state.threads += 1;
        }
    }

    fn work(&self) {
        let _alive = ThreadCount(self);
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.take() {
                drop(state);
                let running = RunningRead(self, job.kind, Arc::clone(&job.what));
                (job.read)();
                drop(running);
                state = lock(&self.state);
                continue;
            }
            if state.idle + state.called > 0 {
                return;
            }
            state.idle = 1;
            while state.called == 0 {
                state = self
                    .work
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            state.called -= 1;
        }
    }

    /// Takes the jobs of a batch out of the queue, and drops them.
    fn withdraw(&self, batch: u64) {
        let mut state = lock(&self.state);
        let (mine, others): (VecDeque<Job>, _) = std::mem::take(&mut state.queue)
            .into_iter()
            .partition(|job| job.batch == batch);
        state.queue = others;
        // Dropping a job locks its batch, which comes before this lock.
        drop(state);
        drop(mine);
    }

    /// Whether every running read is one that `hangs` names.
    #[cfg(test)]
    pub(crate) fn only(&self, hangs: impl Fn(&str) -> bool) -> bool {
        let state = lock(&self.state);
        let mut running = state.running.iter().flatten();
        state.threads == state.running() + state.idle && running.all(|what| hangs(what))
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        lock(&self.state).threads
    }
}

/// Counts a thread while it lives, also if a read panics.
struct ThreadCount<'a>(&'a BlockingThreads);

impl Drop for ThreadCount<'_> {
    fn drop(&mut self) {
        lock(&self.0.state).threads -= 1;
    }
}

/// Counts a read while it runs.
struct RunningRead<'a>(&'a BlockingThreads, ReadKind, Arc<str>);

impl Drop for RunningRead<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        let running = &mut state.running[self.1 as usize];
        if let Some(at) = running.iter().position(|what| Arc::ptr_eq(what, &self.2)) {
            running.swap_remove(at);
        }
    }
}

/// No change under these locks can panic halfway, so a poisoned lock still holds correct state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
