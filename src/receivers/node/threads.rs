//! Threads for reads that may never end.
//!
//! Opening or reading a file may block for ever (a FIFO, a `/proc` that a program serves, a
//! server that is down), and nothing can interrupt it. So reads have threads of their own. One
//! thread does all reads in turn as long as each ends quickly. A read that takes longer than
//! [`PATIENCE`] keeps its thread, and another thread goes on with the rest; when a read that hung
//! ends, its thread ends too. No code waits for a thread to end, and all receivers together have
//! at most as many threads as [`LIMITS`] adds up to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

/// How long one read may delay those behind it before another thread starts.
pub(super) const PATIENCE: Duration = Duration::from_millis(100);

/// How many reads of each [`ReadKind`] may run at once. Each kind has its own limit, so that
/// servers which hang don't keep the host's files from being read. lxcfs alone serves five of the
/// files.
const LIMITS: [usize; 3] = [6, 2, 4];

/// What a read reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadKind {
    /// A file under `/proc`.
    File,
    /// The size of a filesystem on a disk.
    Disk,
    /// The size of a filesystem behind a network or a program.
    Network,
}

/// The threads that do the reads, and their queue.
#[derive(Debug, Default)]
pub(super) struct BlockingThreads {
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
    inquiries: u64,
}

struct Job {
    kind: ReadKind,
    inquiry: u64,
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
    pub(super) fn shared() -> Arc<Self> {
        static SHARED: LazyLock<Arc<BlockingThreads>> = LazyLock::new(Arc::default);
        Arc::clone(&SHARED)
    }

    fn submit(self: &Arc<Self>, job: Job) {
        let mut state = lock(&self.state);
        state.queue.push_back(job);
        if !self.call(&mut state) && state.threads == 0 {
            self.begin(&mut state);
        }
    }

    /// Starts or wakes a thread if a read can run and no thread is about to take it.
    fn reinforce(self: &Arc<Self>) {
        let mut state = lock(&self.state);
        let runnable = state.queue.iter().any(|job| state.is_runnable(job));
        let looks = state.threads > state.running() + state.idle;
        if runnable && !looks && !self.call(&mut state) {
            self.begin(&mut state);
        }
    }

    fn call(&self, state: &mut ThreadsState) -> bool {
        if state.idle == 0 {
            return false;
        }
        state.idle -= 1;
        state.called += 1;
        self.work.notify_one();
        true
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

    /// Takes an inquiry's reads out of the queue, and returns which they were.
    fn withdraw(&self, inquiry: u64) -> BTreeSet<Arc<str>> {
        let mut state = lock(&self.state);
        let (mine, others) = std::mem::take(&mut state.queue)
            .into_iter()
            .partition(|job| job.inquiry == inquiry);
        state.queue = others;
        drop(state);
        let mine: VecDeque<Job> = mine;
        mine.into_iter().map(|job| Arc::clone(&job.what)).collect()
    }

    /// Whether every running read is one that `hangs` names.
    #[cfg(test)]
    pub(super) fn only(&self, hangs: impl Fn(&str) -> bool) -> bool {
        let state = lock(&self.state);
        let mut running = state.running.iter().flatten();
        state.threads == state.running() + state.idle && running.all(|what| hangs(what))
    }

    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
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

/// The reads of one receiver that haven't ended, by name: none is started twice.
pub(super) type Outstanding = Arc<Mutex<BTreeSet<Arc<str>>>>;

/// Removes a read from the outstanding ones when it has ended or was withdrawn.
struct OutstandingRead(Outstanding, Arc<str>);

impl Drop for OutstandingRead {
    fn drop(&mut self) {
        lock(&self.0).remove(&self.1);
    }
}

/// Reads that were requested together and share a deadline.
pub(super) struct ReadBatch<T> {
    threads: Arc<BlockingThreads>,
    outstanding: Outstanding,
    number: u64,
    deadline: Instant,
    sender: UnboundedSender<(Arc<str>, T)>,
    /// Not bounded, but holds at most one answer per read.
    answers: UnboundedReceiver<(Arc<str>, T)>,
    /// The reads that `next` hasn't returned, and whether each already hung before this inquiry.
    open: BTreeMap<Arc<str>, bool>,
    /// The reads that no thread had started by the deadline.
    withdrawn: BTreeSet<Arc<str>>,
}

/// How a read ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ReadOutcome<T> {
    /// It returned this.
    Told(T),
    /// It has not ended by the deadline, or still hangs from an earlier inquiry.
    Late,
    /// No thread started it by the deadline, because too many other reads hang.
    NotBegun,
}

impl<T: Send + 'static> ReadBatch<T> {
    pub(super) fn new(
        threads: &Arc<BlockingThreads>,
        outstanding: &Outstanding,
        deadline: Instant,
    ) -> Self {
        let (sender, answers) = unbounded_channel();
        let mut state = lock(&threads.state);
        state.inquiries += 1;
        let number = state.inquiries;
        drop(state);
        Self {
            threads: Arc::clone(threads),
            outstanding: Arc::clone(outstanding),
            number,
            deadline,
            sender,
            answers,
            open: BTreeMap::new(),
            withdrawn: BTreeSet::new(),
        }
    }

    /// Requests the read `what`, unless an earlier one of that name still hangs.
    pub(super) fn ask(
        &mut self,
        kind: ReadKind,
        what: &str,
        read: impl FnOnce() -> T + Send + 'static,
    ) {
        let what: Arc<str> = what.into();
        let hangs = !lock(&self.outstanding).insert(Arc::clone(&what));
        self.open.insert(Arc::clone(&what), hangs);
        if hangs {
            return;
        }
        let asked = OutstandingRead(Arc::clone(&self.outstanding), Arc::clone(&what));
        let sender = self.sender.clone();
        self.threads.submit(Job {
            kind,
            inquiry: self.number,
            what: Arc::clone(&what),
            read: Box::new(move || {
                let told = read();
                drop(asked);
                // After the deadline nobody receives it.
                let _ = sender.send((what, told));
            }),
        });
    }

    /// The next read that has ended or is late; `None` after all have been returned. Waits until
    /// the deadline at most.
    ///
    /// Cancel safe: an answer stays in the channel until a later call takes it.
    pub(super) async fn next(&mut self) -> Option<(Arc<str>, ReadOutcome<T>)> {
        let hung = self.open.iter().find(|(_, hangs)| **hangs);
        if let Some(what) = hung.map(|(what, _)| Arc::clone(what)) {
            self.open.remove(&what);
            return Some((what, ReadOutcome::Late));
        }
        while !self.open.is_empty() {
            let until = self.deadline.min(Instant::now() + PATIENCE);
            match timeout_at(until, self.answers.recv()).await {
                Ok(Some((what, told))) => {
                    self.open.remove(&what);
                    return Some((what, ReadOutcome::Told(told)));
                }
                Ok(None) | Err(_) if Instant::now() >= self.deadline => {
                    self.withdrawn
                        .append(&mut self.threads.withdraw(self.number));
                    let (what, _) = self.open.pop_first()?;
                    let answer = match self.withdrawn.contains(&what) {
                        true => ReadOutcome::NotBegun,
                        false => ReadOutcome::Late,
                    };
                    return Some((what, answer));
                }
                Ok(None) | Err(_) => self.threads.reinforce(),
            }
        }
        None
    }
}

impl<T> Drop for ReadBatch<T> {
    fn drop(&mut self) {
        self.threads.withdraw(self.number);
    }
}

/// No change under these locks can panic halfway, so a poisoned lock still holds correct state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
