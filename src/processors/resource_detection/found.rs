//! What detectors find.

use tokio::sync::oneshot;

use super::super::constant::Constant;

/// Attributes by their keys, each key once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FoundAttributes(Vec<(String, Constant)>);

/// What one detector found, and why something is absent that was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Detected {
    pub(super) attributes: FoundAttributes,
    pub(super) problems: Vec<String>,
}

impl FoundAttributes {
    pub(super) fn values(&self) -> &[(String, Constant)] {
        &self.0
    }

    /// Adds an attribute, or replaces the one with its key.
    pub(super) fn put(&mut self, key: &str, value: Constant) {
        match self.0.iter_mut().find(|(own, _)| own == key) {
            Some((_, own)) => *own = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// Adds those attributes of which there are none yet.
    pub(super) fn merge(&mut self, others: Self) {
        for (key, value) in others.0 {
            if self.0.iter().all(|(own, _)| *own != key) {
                self.0.push((key, value));
            }
        }
    }
}

impl Detected {
    /// Nothing, and why.
    pub(super) fn failed(problem: impl Into<String>) -> Self {
        Self {
            attributes: FoundAttributes::default(),
            problems: vec![problem.into()],
        }
    }
}

/// Does work that may block for ever on a thread of its own, which nobody waits for at the end.
/// `None` if there is no thread or the work panicked.
pub(super) async fn on_a_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    let thread = std::thread::Builder::new().name("foghorn-detect".to_owned());
    let spawned = thread.spawn(move || {
        // Whoever has gone doesn't need it.
        let _ = sender.send(work());
    });
    spawned.ok()?;
    receiver.await.ok()
}
