//! The addresses of host names.
//!
//! The system's resolver (`getaddrinfo`) knows what a machine is set up with: `/etc/hosts`, search
//! domains, and whatever else `nsswitch.conf` names. But it blocks a thread until it is done, which
//! with a silent name server takes 10 s and more, and can't be interrupted. So lookups have threads
//! of their own, at most [`THREADS`] for the whole process and none while nobody asks. However many
//! ask for one name, it is looked up once at a time. Who asks waits for as long as he can afford;
//! what finds no thread until then fails like what gets no answer.
//!
//! An answer that comes when nobody waits any more is kept for the next who asks within
//! [`KEPT`]: where the first of two name servers is silent, each lookup outlives a timeout of a few
//! seconds, and none would ever be of use.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

/// Lookups that may hang at once.
const THREADS: usize = 8;

/// Names that may wait for a thread.
const MAX_WAITING: usize = 4096;

/// How long a thread waits for the next name.
const IDLE: Duration = Duration::from_secs(10);

/// How long after the question an answer that came too late is still good.
const KEPT: Duration = Duration::from_secs(120);

/// Why a name has no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The system says so.
    #[error("no address for the host name: {message}")]
    Refused {
        /// In its words.
        message: String,
        /// Whether it is a fault of this machine, such as too many open files.
        local: bool,
    },
    /// Nothing came within the time that there was.
    #[error("the name server hasn't answered within {0:?}")]
    Silent(Duration),
    /// Too many names wait for their lookup already.
    #[error("{MAX_WAITING} names wait for the name server already")]
    Busy,
}

/// What one lookup came to.
type LookupResult = Result<Arc<[IpAddr]>, LookupError>;

/// How a name is looked up; may block.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Looks names up. Clones share their threads and lookups.
#[derive(Clone)]
pub struct Resolver(Arc<SharedResolver>);

struct SharedResolver {
    lookup: Box<LookUp>,
    // Std mutex: held to look at a table, and never across a lookup.
    lookups: Mutex<Lookups>,
    asked: Condvar,
}

#[derive(Default)]
struct Lookups {
    /// Every name that waits for a thread or has one.
    under_way: HashMap<Arc<str>, LookupUnderWay>,
    waiting: VecDeque<Arc<str>>,
    late: HashMap<Arc<str>, (Instant, LookupResult)>,
    threads: usize,
    idle: usize,
}

struct LookupUnderWay {
    since: Instant,
    answer: watch::Sender<Option<LookupResult>>,
}

impl Resolver {
    /// The one that everything in this process shares.
    pub fn system() -> Self {
        static SYSTEM: LazyLock<Resolver> = LazyLock::new(|| {
            Resolver::with(|name| {
                let addresses = (name, 0).to_socket_addrs()?;
                Ok(addresses.map(|address| address.ip()).collect())
            })
        });
        SYSTEM.clone()
    }

    /// One that looks names up by `lookup`, which may block.
    pub fn with(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(SharedResolver {
            lookup: Box::new(lookup),
            lookups: Mutex::default(),
            asked: Condvar::new(),
        }))
    }

    /// The addresses of a host, in the order in which the system prefers them. An address is
    /// its own, and `localhost` is loopback by definition (RFC 6761).
    ///
    /// Cancel safe: the lookup goes on.
    ///
    /// # Errors
    ///
    /// When there are none, or none within `limit`.
    pub async fn resolve(&self, host: &str, limit: Duration) -> LookupResult {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok([address].into());
        }
        if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Ok([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into());
        }
        let mut answer = match self.ask(host)? {
            LookupState::Known(answer) => return answer,
            LookupState::Waits(answer) => answer,
        };
        let answered = timeout(limit, answer.wait_for(Option::is_some)).await;
        match answered {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(LookupError::Busy)),
            // Its thread panicked.
            Ok(Err(_)) => Err(failed("the lookup was lost", false)),
            Err(_) => Err(LookupError::Silent(limit)),
        }
    }

    fn ask(&self, host: &str) -> Result<LookupState, LookupError> {
        let now = Instant::now();
        let mut lookups = self.0.lock();
        if let Some((since, answer)) = lookups.late.remove(host)
            && now.saturating_duration_since(since) < KEPT
        {
            return Ok(LookupState::Known(answer));
        }
        if let Some(lookup) = lookups.under_way.get(host) {
            return Ok(LookupState::Waits(lookup.answer.subscribe()));
        }
        if lookups.waiting.len() >= MAX_WAITING {
            lookups.forget_unwanted();
            if lookups.waiting.len() >= MAX_WAITING {
                return Err(LookupError::Busy);
            }
        }
        let name: Arc<str> = host.into();
        let (sender, answer) = watch::channel(None);
        let lookup = LookupUnderWay {
            since: now,
            answer: sender,
        };
        lookups.under_way.insert(Arc::clone(&name), lookup);
        lookups.waiting.push_back(Arc::clone(&name));
        if lookups.idle >= lookups.waiting.len() || lookups.threads >= THREADS {
            self.0.asked.notify_one();
        } else {
            lookups.threads += 1;
            if let Err(error) = self.spawn() {
                lookups.threads -= 1;
                if lookups.threads == 0 {
                    lookups.under_way.remove(&name);
                    lookups.waiting.retain(|waiting| *waiting != name);
                    return Err(failed(format!("no thread: {error}"), true));
                }
            }
        }
        Ok(LookupState::Waits(answer))
    }

    fn spawn(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        // Not joined: one that hangs must not hold up the end of the process.
        std::thread::Builder::new()
            .name("foghorn-names".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || shared.work())
            .map(drop)
    }

    /// Threads that there are.
    #[cfg(test)]
    pub(super) fn threads(&self) -> usize {
        self.0.lock().threads
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

/// What there is when a name has been asked for.
enum LookupState {
    Known(LookupResult),
    Waits(watch::Receiver<Option<LookupResult>>),
}

impl SharedResolver {
    fn lock(&self) -> MutexGuard<'_, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up one name after the other, until there has been none for a while.
    fn work(&self) {
        let mut thread = Thread {
            shared: self,
            at: None,
        };
        while let Some(name) = self.next() {
            thread.at = Some(Arc::clone(&name));
            let found = (self.lookup)(&name);
            thread.at = None;
            self.lock().finish(&name, answer(found));
        }
    }

    /// The next name that somebody still waits for.
    fn next(&self) -> Option<Arc<str>> {
        let mut lookups = self.lock();
        loop {
            while let Some(name) = lookups.waiting.pop_front() {
                let lookup = lookups.under_way.get(&name);
                if lookup.is_some_and(|lookup| lookup.answer.receiver_count() > 0) {
                    return Some(name);
                }
                lookups.under_way.remove(&name);
            }
            lookups.idle += 1;
            let waited = self.asked.wait_timeout(lookups, IDLE);
            let (guard, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            lookups = guard;
            lookups.idle -= 1;
            if waited.timed_out() && lookups.waiting.is_empty() {
                return None;
            }
        }
    }
}

/// Counts a thread, also when its lookup panics.
struct Thread<'a> {
    shared: &'a SharedResolver,
    /// What it is looking up.
    at: Option<Arc<str>>,
}

impl Drop for Thread<'_> {
    fn drop(&mut self) {
        let mut lookups = self.shared.lock();
        lookups.threads -= 1;
        if let Some(name) = self.at.take() {
            lookups.under_way.remove(&name);
        }
    }
}

impl Lookups {
    fn finish(&mut self, name: &Arc<str>, answer: LookupResult) {
        let Some(lookup) = self.under_way.remove(name) else {
            return;
        };
        if lookup.answer.receiver_count() > 0 {
            lookup.answer.send_replace(Some(answer));
        } else if answer.is_ok() {
            // Names of an agent are those of its configuration: this is a bound, no policy.
            if self.late.len() >= MAX_WAITING {
                self.late.clear();
            }
            self.late.insert(Arc::clone(name), (lookup.since, answer));
        }
    }

    /// Takes out what nobody waits for any more.
    fn forget_unwanted(&mut self) {
        let Self {
            under_way, waiting, ..
        } = self;
        waiting.retain(|name| {
            let wanted = under_way
                .get(name)
                .is_some_and(|lookup| lookup.answer.receiver_count() > 0);
            if !wanted {
                under_way.remove(name);
            }
            wanted
        });
    }
}

fn answer(found: io::Result<Vec<IpAddr>>) -> LookupResult {
    match found {
        Ok(addresses) if addresses.is_empty() => Err(failed("it has none", false)),
        Ok(mut addresses) => {
            // One for each kind of socket, on some systems.
            let mut seen = std::collections::HashSet::new();
            addresses.retain(|address| seen.insert(*address));
            Ok(addresses.into())
        }
        // EMFILE and ENFILE, which have no kind.
        Err(error) => Err(failed(
            error.to_string(),
            matches!(error.raw_os_error(), Some(23 | 24)),
        )),
    }
}

fn failed(message: impl Into<String>, local: bool) -> LookupError {
    LookupError::Refused {
        message: message.into(),
        local,
    }
}

#[cfg(test)]
mod tests;
