//! A stream of the process that a thread of its own writes, so that nobody waits for who
//! reads it.
//!
//! A pipe that nobody empties and a terminal that Ctrl-S has stopped let a write wait for
//! ever. So a line is only put into a bounded buffer; when that is full the line is dropped
//! and counted, and the thread says so once it gets on.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry::metrics::Meter;

/// What stays allotted of a buffer that was larger once.
const KEPT: usize = 16 << 10;

/// The way to the thread of one stream. Cheap to clone; the thread ends after the last of
/// them, when everything is written.
#[derive(Debug)]
pub struct Lines(Arc<SharedLines>);

#[derive(Debug)]
struct SharedLines {
    // Std: the sections copy a line, or swap two buffers.
    state: Mutex<LinesState>,
    /// There is something to write, or nothing will come any more.
    work: Condvar,
    /// Everything is written.
    idle: Condvar,
    /// Bytes that may wait, those included that are being written.
    capacity: usize,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct LinesState {
    waiting: Vec<u8>,
    /// Bytes that the thread is writing.
    writing: usize,
    handles: usize,
    /// Whether the thread waits for `work`, and nobody has told it of any yet.
    asleep: bool,
}

impl Lines {
    /// Starts the thread of a stream, before which `capacity` bytes may wait.
    ///
    /// # Errors
    ///
    /// When there can be no thread.
    pub fn new(name: &str, out: impl Write + Send + 'static, capacity: usize) -> io::Result<Self> {
        let shared = Arc::new(SharedLines {
            state: Mutex::new(LinesState {
                handles: 1,
                ..LinesState::default()
            }),
            work: Condvar::new(),
            idle: Condvar::new(),
            capacity,
            dropped: AtomicU64::new(0),
        });
        let lines = Self(Arc::clone(&shared));
        std::thread::Builder::new()
            .name(format!("foghorn-{name}"))
            .spawn(move || shared.run(out))?;
        Ok(lines)
    }

    /// Waits until everything is written, but no longer than `patience`; whether it is.
    pub fn flush_within(&self, patience: Duration) -> bool {
        let busy = |state: &mut LinesState| !state.waiting.is_empty() || state.writing > 0;
        let waited = self
            .0
            .idle
            .wait_timeout_while(self.0.lock(), patience, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Lines that found no room, or that could not be written.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Ordering::Relaxed)
    }

    /// Counts what is dropped by an instrument of `meter`.
    pub fn observe(&self, meter: &Meter) {
        let shared = Arc::clone(&self.0);
        meter
            .u64_observable_counter("foghorn_log_lines_dropped_total")
            .with_description("Lines of the agent's log that found no room or no reader.")
            .with_callback(move |observer| {
                observer.observe(shared.dropped.load(Ordering::Relaxed), &[]);
            })
            .build();
    }
}

impl Clone for Lines {
    fn clone(&self) -> Self {
        self.0.lock().handles += 1;
        Self(Arc::clone(&self.0))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.handles -= 1;
        // The log makes a handle for each line and drops it again; only the last one is news.
        if state.handles == 0 {
            self.0.wake(state);
        }
    }
}

impl Write for Lines {
    /// Takes all of it, or drops all of it where there is no room. Never waits, never fails.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        if state.waiting.len() + state.writing + bytes.len() > self.0.capacity {
            drop(state);
            self.0.drop_lines(bytes);
        } else {
            state.waiting.extend_from_slice(bytes);
            self.0.wake(state);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SharedLines {
    fn run(&self, mut out: impl Write) {
        let mut batch = Vec::new();
        let mut told = 0;
        while self.next(&mut batch) {
            let written = write(&mut out, &batch);
            if written < batch.len() {
                self.drop_lines(&batch[written..]);
            }
            {
                let mut state = self.lock();
                state.writing = 0;
                if state.waiting.is_empty() {
                    self.idle.notify_all();
                }
            }
            let dropped = self.dropped.load(Ordering::Relaxed);
            // Where nothing can be written, this would be lost, too, and so on for ever.
            if dropped > told && written == batch.len() {
                told = dropped;
                tracing::warn!(dropped, "log lines were dropped: nobody read them");
            }
            batch.clear();
            batch.shrink_to(KEPT);
        }
    }

    /// Waits for bytes and takes all that there are; `false` when no more will come.
    fn next(&self, batch: &mut Vec<u8>) -> bool {
        let mut state = self.lock();
        while state.waiting.is_empty() && state.handles > 0 {
            state.asleep = true;
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.asleep = false;
        std::mem::swap(&mut state.waiting, batch);
        state.writing = batch.len();
        !batch.is_empty()
    }

    /// Wakes the thread if it waits. While it writes it needs no call, since it looks again.
    fn wake(&self, mut state: MutexGuard<'_, LinesState>) {
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.work.notify_one();
        }
    }

    fn drop_lines(&self, bytes: &[u8]) {
        let ends = bytes.iter().filter(|byte| **byte == b'\n').count();
        // What doesn't end in a line break is one, too.
        let lines = (ends as u64).max(1);
        self.dropped.fetch_add(lines, Ordering::Relaxed);
    }

    /// Every store leaves the state whole, so a panic elsewhere spoils nothing.
    fn lock(&self) -> MutexGuard<'_, LinesState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes as much as can be, and returns how much that was.
fn write(out: &mut impl Write, bytes: &[u8]) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match out.write(rest) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    // What a stream keeps in a buffer of its own is as good as written.
    let _ = out.flush();
    written
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Longer than any of it takes; nothing here waits for it to be over.
    const LONG: Duration = Duration::from_secs(60);

    /// A stream whose reader takes one write whenever it is told to.
    struct Slow {
        take: mpsc::Receiver<io::Result<usize>>,
        begun: mpsc::Sender<()>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.begun.send(());
            // Once nobody tells it any more, it takes everything.
            let most = self.take.recv().unwrap_or(Ok(usize::MAX))?;
            let taken = &bytes[..bytes.len().min(most)];
            self.got.lock().unwrap().extend_from_slice(taken);
            Ok(taken.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Stream {
        lines: Lines,
        take: mpsc::Sender<io::Result<usize>>,
        begun: mpsc::Receiver<()>,
        got: Arc<Mutex<Vec<u8>>>,
    }

    fn stream(capacity: usize) -> Stream {
        let ((take, taken), (begin, begun)) = (mpsc::channel(), mpsc::channel());
        let got = Arc::default();
        let slow = Slow {
            take: taken,
            begun: begin,
            got: Arc::clone(&got),
        };
        Stream {
            lines: Lines::new("test", slow, capacity).unwrap(),
            take,
            begun,
            got,
        }
    }

    #[test]
    fn lines_beyond_the_capacity_are_dropped_and_counted_and_the_others_keep_their_order() {
        let Stream {
            mut lines,
            take,
            begun,
            got,
        } = stream(30);
        lines.write_all(b"line 0000\n").unwrap();
        begun.recv().unwrap();
        // 10 bytes are being written, and 20 may wait.
        for number in 1..=5 {
            let line = format!("line {number:04}\n");
            lines.write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(lines.dropped(), 3);
        assert!(!lines.flush_within(Duration::ZERO), "nobody reads");
        drop(take);
        assert!(lines.flush_within(LONG));
        let text = String::from_utf8(got.lock().unwrap().clone()).unwrap();
        assert_eq!(text, "line 0000\nline 0001\nline 0002\n");
        lines.write_all(b"line 0006\n").unwrap();
        assert!(lines.flush_within(LONG));
        assert_eq!(got.lock().unwrap().len(), 40);
    }

    #[test]
    fn what_a_stream_refuses_is_counted_line_by_line() {
        let Stream {
            mut lines,
            take,
            begun,
            got,
        } = stream(1000);
        lines.write_all(b"a\n").unwrap();
        begun.recv().unwrap();
        lines.write_all(b"b\nc\nd\n").unwrap();
        take.send(Ok(2)).unwrap();
        // Takes one line of three, and fails.
        take.send(Ok(2)).unwrap();
        take.send(Err(io::Error::other("the pipe broke"))).unwrap();
        assert!(lines.flush_within(LONG));
        assert_eq!(lines.dropped(), 2);
        assert_eq!(*got.lock().unwrap(), b"a\nb\n");
    }

    #[test]
    fn only_a_line_or_the_last_handle_wakes_the_thread() {
        let Stream {
            mut lines,
            take,
            begun,
            ..
        } = stream(1000);
        let asleep = |lines: &Lines| lines.0.lock().asleep;
        let wait_until_asleep = |lines: &Lines| {
            while !asleep(lines) {
                std::thread::yield_now();
            }
        };
        wait_until_asleep(&lines);
        drop(lines.clone());
        assert!(asleep(&lines), "a handle of several is no news");
        lines.write_all(b"a\n").unwrap();
        begun.recv().unwrap();
        lines.write_all(b"b\n").unwrap();
        assert!(!asleep(&lines), "it writes, and looks again afterwards");
        drop(take);
        assert!(lines.flush_within(LONG));
        wait_until_asleep(&lines);
        drop(lines);
        // The stream goes with the thread.
        while begun.recv().is_ok() {}
    }

    #[test]
    fn the_thread_ends_with_the_last_handle_when_all_is_written() {
        let Stream {
            mut lines,
            take,
            begun,
            got,
        } = stream(1000);
        let mut other = lines.clone();
        lines.write_all(b"a\n").unwrap();
        drop(lines);
        begun.recv().unwrap();
        other.write_all(b"b\n").unwrap();
        drop((other, take));
        // The stream goes with the thread.
        while begun.recv().is_ok() {}
        assert_eq!(*got.lock().unwrap(), b"a\nb\n");
    }
}
