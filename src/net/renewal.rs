//! Values that are made from files and made again when those change: certificates, keys, tokens.
//!
//! There is no timer: the files are checked when the value is requested and the last check was
//! long enough ago, on a thread that may block. All requests meanwhile wait for the same check,
//! for a second at most. If the file system hangs, they get the old value after that second.
//!
//! Files are compared by their content. If the new files can't be used (a certificate whose key
//! hasn't been replaced yet), the last valid value stays, the log says so once, and a later check
//! finds the rest. A file that isn't a regular one, such as a pipe, can be read only once, and
//! is.

use std::fs::{self, File};
use std::hash::BuildHasher as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

/// How often files are checked, unless the configuration wants it more often. With [`PATIENCE`] a
/// change is in use within 10 s.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long a request for the value waits for a check.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many checks may run at once in the whole process: those of a file system that hangs keep
/// their threads.
const LOOKS: usize = 8;

/// How many bytes of a file are compared; certificates and tokens are far smaller.
const COMPARED: u64 = 1 << 20;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

static RENEWED: AtomicU64 = AtomicU64::new(0);
static UNUSABLE: AtomicU64 = AtomicU64::new(0);

/// How many changes of files this process has found, by what came of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalCounts {
    /// The new content is in use.
    pub renewed: u64,
    /// The new content can't be used. It counts once for as long as every check finds it.
    pub unusable: u64,
}

impl RenewalCounts {
    /// The counts at the moment.
    pub fn current() -> Self {
        Self {
            renewed: RENEWED.load(Ordering::Relaxed),
            unusable: UNUSABLE.load(Ordering::Relaxed),
        }
    }
}

/// A value that is made from files. Cheap to clone; clones share the value.
pub struct Renewable<T> {
    inner: Arc<RenewalInner<T>>,
}

struct RenewalInner<T> {
    files: Vec<PathBuf>,
    interval: Duration,
    make: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    hash: RandomState,
    // A std mutex: it is only held to clone and compare.
    state: Mutex<Known<T>>,
}

struct Known<T> {
    value: T,
    /// Of the files that the value was made from.
    prints: Vec<Fingerprint>,
    looked: Instant,
    /// When the running check began, and a channel that closes when it has ended.
    looking: Option<(Instant, watch::Receiver<()>)>,
    /// The files that couldn't be used and have been logged.
    told: Option<Vec<Fingerprint>>,
}

/// Identifies the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fingerprint {
    Unreadable,
    /// A pipe, or another file that can't be read twice.
    Once,
    Content(u64),
}

impl<T> Clone for Renewable<T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<T> std::fmt::Debug for Renewable<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Renewable")
            .field("files", &self.inner.files)
            .finish_non_exhaustive()
    }
}

impl<T: Clone + Send + 'static> Renewable<T> {
    /// Makes a value from these files by `make`, and again within 10 s of a change, or within
    /// `interval` if that is shorter. Without files the value never changes.
    ///
    /// # Errors
    ///
    /// When `make` fails now. If it fails later, the last value stays in use.
    pub fn new(
        files: Vec<PathBuf>,
        interval: Option<Duration>,
        make: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let hash = RandomState::default();
        // Before the files are read, so that the next check finds a change in between.
        let prints = prints(&files, &hash);
        let value = make()?;
        Ok(Self {
            inner: Arc::new(RenewalInner {
                files,
                interval: interval.unwrap_or(INTERVAL).min(INTERVAL),
                make: Box::new(make),
                hash,
                state: Mutex::new(Known {
                    value,
                    prints,
                    looked: Instant::now(),
                    looking: None,
                    told: None,
                }),
            }),
        })
    }

    /// The value; before that checks the files if that is due, and waits up to a second. Cancel
    /// safe: the check goes on.
    pub async fn current(&self) -> T {
        if let Some((until, mut done)) = self.look() {
            // The check ends by dropping the sender, so both outcomes mean that it has ended.
            let _ = timeout_at(until, done.changed()).await;
        }
        self.inner.known().value.clone()
    }

    /// Begins a check if one is due. Returns the channel to wait for, and until when.
    fn look(&self) -> Option<(Instant, watch::Receiver<()>)> {
        let inner = &self.inner;
        if inner.files.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut known = inner.known();
        // If the sender is dropped, the check has ended or never begun.
        if let Some((begun, done)) = &known.looking
            && done.has_changed().is_ok()
        {
            return Some((*begun + PATIENCE, done.clone()));
        }
        if now.saturating_duration_since(known.looked) < inner.interval {
            return None;
        }
        let slot = CheckPermit::take()?;
        let (end, done) = watch::channel(());
        known.looked = now;
        known.looking = Some((now, done.clone()));
        drop(known);
        let inner = Arc::clone(inner);
        spawn_blocking(move || {
            inner.renew();
            drop((slot, end));
        });
        Some((now + PATIENCE, done))
    }
}

impl<T> RenewalInner<T> {
    /// Makes the value again if the files have changed.
    fn renew(&self) {
        let prints = prints(&self.files, &self.hash);
        {
            let mut known = self.known();
            if known.prints == prints {
                // If the files that couldn't be used come back, that is news again.
                known.told = None;
                return;
            }
        }
        let made = (self.make)();
        let mut known = self.known();
        match made {
            Ok(value) => {
                known.value = value;
                known.prints = prints;
                known.told = None;
                drop(known);
                RENEWED.fetch_add(1, Ordering::Relaxed);
                tracing::info!(files = ?self.files, "files have changed, and are in use as they are now");
            }
            Err(error) => {
                let is_news = known.told.as_ref() != Some(&prints);
                known.told = Some(prints);
                drop(known);
                if is_news {
                    UNUSABLE.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "files have changed and can't be used: what was read before stays in use",
                    );
                }
            }
        }
    }

    /// No update can panic halfway, so a poisoned lock still holds a valid value.
    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the [`LOOKS`] checks that may run at once.
struct CheckPermit;

impl CheckPermit {
    fn take() -> Option<Self> {
        let free = |count: usize| (count < LOOKS).then_some(count + 1);
        let taken = UNDER_WAY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        taken.ok().map(|_| Self)
    }
}

impl Drop for CheckPermit {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

fn prints(files: &[PathBuf], hash: &RandomState) -> Vec<Fingerprint> {
    files.iter().map(|file| print_of(file, hash)).collect()
}

fn print_of(file: &Path, hash: &RandomState) -> Fingerprint {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => {
            let mut content = Vec::new();
            let read =
                File::open(file).and_then(|file| file.take(COMPARED).read_to_end(&mut content));
            match read {
                Ok(_) => Fingerprint::Content(hash.hash_one(&content)),
                Err(_) => Fingerprint::Unreadable,
            }
        }
        Ok(_) => Fingerprint::Once,
        Err(_) => Fingerprint::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tokio::time::sleep;

    use super::*;
    use crate::log_capture::LogCapture;

    /// The text of a file, which must not be empty, and how often it was made.
    fn text_of(file: &Path, interval: Option<Duration>) -> (Renewable<String>, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let (path, count) = (file.to_owned(), Arc::clone(&made));
        let make = move || {
            count.fetch_add(1, Ordering::Relaxed);
            let text = fs::read_to_string(&path)?;
            anyhow::ensure!(!text.is_empty(), "it is empty");
            Ok(text)
        };
        let text = Renewable::new(vec![file.to_owned()], interval, make);
        (text.context("it is there").unwrap(), made)
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_is_in_use_within_ten_seconds_and_what_is_unchanged_is_not_made_again() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "old").unwrap();
        let (text, made) = text_of(file.path(), None);
        for _ in 0..100 {
            sleep(Duration::from_secs(1)).await;
            assert_eq!(text.current().await, "old");
        }
        assert_eq!(made.load(Ordering::Relaxed), 1);
        fs::write(&file, "new").unwrap();
        sleep(Duration::from_secs(9)).await;
        assert_eq!(text.current().await, "new");
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn everybody_who_asks_after_a_long_silence_gets_the_new_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "old").unwrap();
        let (text, made) = text_of(file.path(), None);
        fs::write(&file, "new").unwrap();
        sleep(Duration::from_secs(3_600)).await;
        let asked = futures_util::future::join_all((0..20).map(|_| text.current())).await;
        assert_eq!(asked, ["new"; 20]);
        assert_eq!(made.load(Ordering::Relaxed), 2, "one look for all of them");
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_interval_is_kept_and_a_longer_one_is_ten_seconds_at_most() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (interval, wait) in [(1, 1), (3_600, 9)] {
            fs::write(&file, "old").unwrap();
            let (text, _) = text_of(file.path(), Some(Duration::from_secs(interval)));
            fs::write(&file, "new").unwrap();
            sleep(Duration::from_secs(wait)).await;
            assert_eq!(text.current().await, "new");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_can_not_be_used_leaves_the_last_good_value() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "old").unwrap();
        let (text, _) = text_of(file.path(), None);
        fs::write(&file, "").unwrap();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(text.current().await, "old");
        fs::remove_file(&file).unwrap();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(text.current().await, "old");
        fs::write(&file, "whole again").unwrap();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(text.current().await, "whole again");
    }

    #[tokio::test]
    async fn what_can_not_be_used_is_told_once_each_time_that_it_comes() {
        let (log, _guard) = LogCapture::begin();
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(&file, "old").unwrap();
        let (text, _) = text_of(file.path(), None);
        let f = |content: &str, expected: usize| {
            fs::write(&file, content).unwrap();
            text.inner.renew();
            assert_eq!(log.lines().len(), expected, "lines after `{content}`");
        };
        f("", 1);
        f("", 1);
        f("old", 1);
        f("", 2);
        f("", 2);
        f("new", 3);
    }
}
