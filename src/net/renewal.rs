//! What is made of files, and made anew when they change: certificates, keys, tokens.
//!
//! There is no timer: whoever needs the value asks for it, and once the files were last
//! looked at long enough ago, asking looks at them again, on a thread that may block. All
//! who ask meanwhile wait for the same look, for a second at most; a file system that hangs
//! costs nobody more than that, and the value stays what it was.
//!
//! Files are compared by their content. A rotation that is under way, with a certificate whose
//! key isn't there yet, can't be used: the last good value stays, the log says so once, and
//! the next look finds the rest. What isn't a regular file can be read once only, so it is.

use std::fs::{self, File};
use std::hash::BuildHasher as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use foldhash::quality::RandomState;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

/// How often files are looked at, unless the configuration wants it more often. With the
/// patience for one look this stays within 10 s.
const INTERVAL: Duration = Duration::from_secs(5);

/// How long anybody waits for a look.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks that may be under way, in the whole process: those at a file system that hangs keep
/// their threads.
const LOOKS: usize = 8;

/// How much of a file is compared; certificates and tokens are far smaller.
const COMPARED: u64 = 1 << 20;

static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// A value that is made of files. Cheap to clone; clones share the value.
pub struct Renewable<T> {
    inner: Arc<RenewalInner<T>>,
}

struct RenewalInner<T> {
    files: Vec<PathBuf>,
    interval: Duration,
    make: Box<dyn Fn() -> anyhow::Result<T> + Send + Sync>,
    hash: RandomState,
    // Std: the sections clone and compare.
    state: Mutex<Known<T>>,
}

struct Known<T> {
    value: T,
    /// Of the files that it was made of.
    prints: Vec<Print>,
    looked: Instant,
    /// Since when somebody looks, and what tells that they are done.
    looking: Option<(Instant, watch::Receiver<()>)>,
    /// What could not be used, which was told.
    told: Option<Vec<Print>>,
}

/// What a file looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Print {
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
    /// A value that `make` makes of these files, and anew within 10 s of their change, or
    /// within `interval` where that is shorter. Without files it stays as it is.
    ///
    /// # Errors
    ///
    /// When it can't be made now.
    pub fn new(
        files: Vec<PathBuf>,
        interval: Option<Duration>,
        make: impl Fn() -> anyhow::Result<T> + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let hash = RandomState::default();
        // Before the files are read: a change in between is then found by the next look.
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

    /// The value as the files have it, as far as they were looked at in time.
    pub async fn current(&self) -> T {
        if let Some((until, mut done)) = self.look() {
            // Its end is the end of the sender, so both outcomes are the same.
            let _ = timeout_at(until, done.changed()).await;
        }
        self.inner.known().value.clone()
    }

    /// Begins a look where one is due. Returns for what to wait, and until when.
    fn look(&self) -> Option<(Instant, watch::Receiver<()>)> {
        let inner = &self.inner;
        if inner.files.is_empty() {
            return None;
        }
        let now = Instant::now();
        let mut known = inner.known();
        // The sender is gone where the look has ended, or was never begun.
        if let Some((begun, done)) = &known.looking
            && done.has_changed().is_ok()
        {
            return Some((*begun + PATIENCE, done.clone()));
        }
        if now.saturating_duration_since(known.looked) < inner.interval {
            return None;
        }
        let slot = LookSlot::take()?;
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
    /// Makes the value anew where the files have changed.
    fn renew(&self) {
        let prints = prints(&self.files, &self.hash);
        if self.known().prints == prints {
            return;
        }
        let made = (self.make)();
        let mut known = self.known();
        match made {
            Ok(value) => {
                known.value = value;
                known.prints = prints;
                known.told = None;
                drop(known);
                tracing::info!(files = ?self.files, "files have changed, and are in use as they are now");
            }
            Err(error) => {
                let is_news = known.told.as_ref() != Some(&prints);
                known.told = Some(prints);
                drop(known);
                if is_news {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "files have changed and can't be used: what was read before stays in use",
                    );
                }
            }
        }
    }

    /// Every section leaves it whole.
    fn known(&self) -> MutexGuard<'_, Known<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the looks that may be under way.
struct LookSlot;

impl LookSlot {
    fn take() -> Option<Self> {
        let free = |count: usize| (count < LOOKS).then_some(count + 1);
        let taken = UNDER_WAY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free);
        taken.ok().map(|_| Self)
    }
}

impl Drop for LookSlot {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::Relaxed);
    }
}

fn prints(files: &[PathBuf], hash: &RandomState) -> Vec<Print> {
    files.iter().map(|file| print_of(file, hash)).collect()
}

fn print_of(file: &Path, hash: &RandomState) -> Print {
    match fs::metadata(file) {
        Ok(metadata) if metadata.is_file() => {
            let mut content = Vec::new();
            let read =
                File::open(file).and_then(|file| file.take(COMPARED).read_to_end(&mut content));
            match read {
                Ok(_) => Print::Content(hash.hash_one(&content)),
                Err(_) => Print::Unreadable,
            }
        }
        Ok(_) => Print::Once,
        Err(_) => Print::Unreadable,
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;
    use tokio::time::sleep;

    use super::*;

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
}
