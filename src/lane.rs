//! Threads for work that takes long, so that it doesn't occupy a worker of the runtime.
//!
//! There are few workers, often one. Work that computes for longer than a request takes, or reads
//! a file, runs on a thread that may block. A [`Lane`] bounds how many threads one purpose uses,
//! so that it leaves enough for the others.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How much is added to the niceness of background threads. While everybody wants a processor, such
/// a thread gets a tenth of what others do, and it gives way at once to one that wakes up.
const NICENESS: i32 = 10;

/// The threads of one purpose. Cheap to clone; clones share the bound.
#[derive(Debug, Clone)]
pub struct Lane {
    free: Arc<Semaphore>,
    in_background: bool,
}

impl Lane {
    /// Runs at most `threads` pieces of work at a time.
    pub fn new(threads: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(threads)),
            in_background: false,
        }
    }

    /// As [`new`](Self::new), for work that takes long and isn't urgent: it runs when nobody else
    /// wants the processor. Each piece of work has a thread of its own, since the priority of a
    /// thread can be lowered and not raised again.
    pub fn in_background(threads: usize) -> Self {
        Self {
            in_background: true,
            ..Self::new(threads)
        }
    }

    /// Runs work on a thread, in the order of the calls. If it panics, so does this.
    ///
    /// Cancel safe: work that still waits for one of these threads is dropped; other work runs to
    /// its end, and occupies its thread until then.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        // The semaphore is never closed, so this can't fail.
        let permit = Arc::clone(&self.free).acquire_owned().await;
        let work = move || {
            let value = work();
            drop(permit);
            value
        };
        let in_background = self.in_background;
        let running = spawn_blocking(move || {
            if in_background {
                on_a_thread_of_its_own(work)
            } else {
                Some(work())
            }
        });
        // In two steps, since a panic's payload can't be shared between threads and must not be
        // held across an await.
        let ended = match running.await {
            Ok(value) => value,
            Err(error) => {
                if let Ok(panic) = error.try_into_panic() {
                    resume_unwind(panic);
                }
                None
            }
        };
        match ended {
            Some(value) => value,
            // The runtime is shutting down, and drops this future, too.
            None => std::future::pending().await,
        }
    }

    /// As [`run`](Self::run), for work that asks now and then whether to go on: until this
    /// future is dropped, and with it what would become of the work.
    pub async fn run_while_awaited<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut dyn FnMut() -> bool) -> T + Send + 'static,
    ) -> T {
        let awaited = Awaited(Arc::new(AtomicBool::new(true)));
        let asked = Arc::clone(&awaited.0);
        let work = move || work(&mut || asked.load(Ordering::Relaxed));
        let value = self.run(work).await;
        drop(awaited);
        value
    }
}

/// Runs work on a new thread of low priority, and waits for it. If the system has no thread left,
/// the work is done here. It is handed over when the thread is there, since a thread that can't be
/// made drops what it was to do. `None` stands for work that was lost, which can't happen.
fn on_a_thread_of_its_own<T, W>(work: W) -> Option<T>
where
    T: Send,
    W: FnOnce() -> T + Send,
{
    thread::scope(|scope| {
        let (give, given) = mpsc::channel::<W>();
        let thread = thread::Builder::new().name("background".to_owned());
        let spawned = thread.spawn_scoped(scope, move || {
            lower_priority();
            given.recv().ok().map(|work| work())
        });
        let Ok(running) = spawned else {
            return Some(work());
        };
        give.send(work).ok()?;
        running.join().unwrap_or_else(|panic| resume_unwind(panic))
    })
}

/// Lowers the priority of this thread. What can't be lowered does its work all the same.
fn lower_priority() {
    if let Ok(before) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, before + NICENESS);
    }
}

/// True until this is dropped.
struct Awaited(Arc<AtomicBool>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[tokio::test]
    async fn no_more_run_at_a_time_than_there_are_threads_and_the_worker_is_free() {
        let lane = Lane::new(2);
        let running = Arc::new(Mutex::new((0_usize, 0_usize)));
        let (release, gate) = mpsc::channel::<()>();
        let gate = Arc::new(Mutex::new(gate));
        let tasks: Vec<_> = (0..6)
            .map(|_| {
                let (lane, running, gate) = (lane.clone(), Arc::clone(&running), Arc::clone(&gate));
                tokio::spawn(async move {
                    lane.run(move || {
                        let mut counts = running.lock().unwrap();
                        *counts = (counts.0 + 1, counts.1.max(counts.0 + 1));
                        drop(counts);
                        gate.lock().unwrap().recv().unwrap();
                        running.lock().unwrap().0 -= 1;
                    })
                    .await;
                })
            })
            .collect();
        // The one worker of this runtime gets here although every thread waits.
        tokio::task::yield_now().await;
        for _ in 0..6 {
            release.send(()).unwrap();
        }
        for task in tasks {
            task.await.unwrap();
        }
        assert!(running.lock().unwrap().1 <= 2);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_is_told() {
        let lane = Lane::new(1);
        let (begun, begins) = mpsc::channel();
        let task = {
            let lane = lane.clone();
            tokio::spawn(async move {
                let work = move |proceed: &mut dyn FnMut() -> bool| {
                    begun.send(proceed()).unwrap();
                    while proceed() {
                        std::thread::yield_now();
                    }
                };
                lane.run_while_awaited(work).await;
            })
        };
        let begins = tokio::task::spawn_blocking(move || begins.recv());
        assert!(begins.await.unwrap().unwrap());
        task.abort();
        assert_eq!(lane.run(|| 7).await, 7, "its thread is free again");
    }

    #[tokio::test]
    async fn a_panic_goes_on_where_the_work_is_waited_for() {
        for lane in [Lane::new(1), Lane::in_background(1)] {
            let task = {
                let lane = lane.clone();
                tokio::spawn(async move { lane.run(|| panic!("broken")).await })
            };
            assert!(task.await.unwrap_err().is_panic());
            assert_eq!(lane.run(|| 7).await, 7, "its thread is free again");
        }
    }

    #[tokio::test]
    async fn work_in_the_background_has_a_lower_priority_and_no_other_work() {
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        let lowered = (before + NICENESS).min(19);
        assert_eq!(Lane::in_background(1).run(priority).await, lowered);
        assert_eq!(Lane::new(1).run(priority).await, before);
    }
}
