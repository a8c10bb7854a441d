//! Tests read the log here.
//!
//! **Architecture Invariant:** this module imports nothing else of the crate.

use std::io;
use std::sync::{Arc, LazyLock, Mutex};

use serde_json::Value;
use tracing::Dispatch;
use tracing::subscriber::DefaultGuard;

/// What this thread logs.
#[derive(Clone, Default)]
pub(crate) struct LogCapture(Arc<Mutex<Vec<u8>>>);

/// A second log, which nobody reads, beside every capture.
///
/// tracing remembers for each place in the code whether a log wants its lines. While the process
/// has only one log, it asks that of the thread that comes to the place first. If that is a test
/// without a capture, the lines of that place are lost to every other test. With two logs it
/// asks both.
static BESIDE: LazyLock<Dispatch> =
    LazyLock::new(|| Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish()));

impl LogCapture {
    /// Captures until the guard is dropped.
    pub(crate) fn begin() -> (Self, DefaultGuard) {
        LazyLock::force(&BESIDE);
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_writer(move || writer.clone());
        (log, tracing::subscriber::set_default(subscriber.finish()))
    }

    /// The fields of every line so far, `message` among them.
    pub(crate) fn lines(&self) -> Vec<Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines = text.lines().map(|line| {
            let mut line: Value = serde_json::from_str(line).unwrap();
            line["fields"].take()
        });
        lines.collect()
    }

    /// How many lines so far have this message.
    pub(crate) fn count(&self, message: &str) -> usize {
        let lines = self.lines().into_iter();
        lines.filter(|line| line["message"] == message).count()
    }
}

impl io::Write for LogCapture {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_another_thread_came_to_first_is_captured() {
        let place = || tracing::info!("here");
        let (log, _guard) = LogCapture::begin();
        std::thread::spawn(place).join().unwrap();
        place();
        assert_eq!(log.count("here"), 1);
    }
}
