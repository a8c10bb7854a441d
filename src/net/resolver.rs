//! Resolves host names to addresses.
//!
//! The system's resolver (`getaddrinfo`) uses what the machine is configured with: `/etc/hosts`,
//! search domains, and whatever else `nsswitch.conf` names. But it blocks a thread until it is
//! done, which takes 10 s and more if the name server is silent, and can't be interrupted. So
//! lookups have their own threads, at most [`THREADS`] for the whole process and none while there
//! are no lookups. A name is looked up only once at a time, however many callers ask for it. Each
//! caller waits until its own limit; a lookup that gets no thread until then fails like one
//! without an answer.
//!
//! An answer that arrives when no caller waits any more is kept for the next one within [`KEPT`].
//! If the first of two name servers is silent, every lookup takes longer than a timeout of a few
//! seconds, and without this no caller would ever get an answer.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::descriptors;

/// The most lookups that run at once.
const THREADS: usize = 8;

/// The most names that wait for a thread.
const MAX_WAITING: usize = 4096;

/// How long an idle thread waits for the next lookup before it ends.
const IDLE: Duration = Duration::from_secs(10);

/// How long after the question a late answer may still be used.
const KEPT: Duration = Duration::from_secs(120);

/// Why a name couldn't be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LookupError {
    /// The system returned an error.
    #[error("no address for the host name: {message}")]
    Refused {
        /// The system's message.
        message: String,
        /// Whether the cause is on this machine, such as too many open files.
        local: bool,
    },
    /// No answer within this time.
    #[error("the name server hasn't answered within {0:?}")]
    Silent(Duration),
    /// Too many names wait for a thread already.
    #[error("{MAX_WAITING} names wait for the name server already")]
    Busy,
}

/// The result of a lookup.
type LookupResult = Result<Arc<[IpAddr]>, LookupError>;

/// The function that looks a name up; it may block.
type LookUp = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// Resolves names. Clones share their threads and lookups.
#[derive(Clone)]
pub struct Resolver(Arc<SharedResolver>);

struct SharedResolver {
    lookup: Box<LookUp>,
    // A std mutex: it is never held during a lookup.
    lookups: Mutex<Lookups>,
    asked: Condvar,
}

#[derive(Default)]
struct Lookups {
    /// The names that wait for a thread or have one.
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
    /// The resolver that the whole process shares.
    pub fn system() -> Self {
        static SYSTEM: LazyLock<Resolver> = LazyLock::new(|| {
            Resolver::with(|name| {
                let addresses = (name, 0).to_socket_addrs()?;
                Ok(addresses.map(|address| address.ip()).collect())
            })
        });
        SYSTEM.clone()
    }

    /// A resolver that uses `lookup`, which may block.
    pub fn with(lookup: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        Self(Arc::new(SharedResolver {
            lookup: Box::new(lookup),
            lookups: Mutex::default(),
            asked: Condvar::new(),
        }))
    }

    /// The addresses of a host, in the system's order of preference. An IP address is returned as
    /// it is, and `localhost` is always loopback (RFC 6761).
    ///
    /// Cancel safe: the lookup goes on.
    ///
    /// # Errors
    ///
    /// When the host has no address, or no answer arrives within `limit`.
    pub async fn resolve(&self, host: &str, limit: Duration) -> LookupResult {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok([address].into());
        }
        if host.trim_end_matches('.').eq_ignore_ascii_case("localhost") {
            return Ok([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()].into());
        }
        let mut answer = match self.ask(host)? {
            AskedLookup::Known(answer) => return answer,
            AskedLookup::Waits(answer) => answer,
        };
        let answered = timeout(limit, answer.wait_for(Option::is_some)).await;
        match answered {
            Ok(Ok(answer)) => answer.clone().unwrap_or(Err(LookupError::Busy)),
            // Only a name that no caller waits for is forgotten without an answer.
            Ok(Err(_)) => Err(lost()),
            Err(_) => Err(LookupError::Silent(limit)),
        }
    }

    fn ask(&self, host: &str) -> Result<AskedLookup, LookupError> {
        let now = Instant::now();
        let mut lookups = self.0.lock();
        if let Some((since, answer)) = lookups.late.remove(host)
            && now.saturating_duration_since(since) < KEPT
        {
            return Ok(AskedLookup::Known(answer));
        }
        if let Some(lookup) = lookups.under_way.get(host) {
            return Ok(AskedLookup::Waits(lookup.answer.subscribe()));
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
        Ok(AskedLookup::Waits(answer))
    }

    fn spawn(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.0);
        // Never joined: a thread that hangs must not delay the end of the process.
        std::thread::Builder::new()
            .name("foghorn-names".to_owned())
            .stack_size(512 * 1024)
            .spawn(move || shared.work())
            .map(drop)
    }

    /// The number of threads.
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

/// The state of a name when a caller asks for it.
enum AskedLookup {
    Known(LookupResult),
    Waits(watch::Receiver<Option<LookupResult>>),
}

impl SharedResolver {
    fn lock(&self) -> MutexGuard<'_, Lookups> {
        self.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs lookups until none has come for [`IDLE`]. A lookup that panics doesn't end the thread:
    /// a name that waits while all threads are taken is left to them.
    fn work(&self) {
        while let Some(name) = self.next() {
            let found = catch_unwind(AssertUnwindSafe(|| (self.lookup)(&name)));
            let answer = found.map_or_else(|_| Err(lost()), answer);
            self.lock().finish(&name, answer);
        }
    }

    /// The next name that a caller still waits for; `None` after [`IDLE`]. The thread no longer
    /// counts then. If it were counted until its end, a name that is asked for in between could
    /// be left to threads that take no more.
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
                lookups.threads -= 1;
                return None;
            }
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
            // Only a bound: an agent asks for the few names of its configuration.
            if self.late.len() >= MAX_WAITING {
                self.late.clear();
            }
            self.late.insert(Arc::clone(name), (lookup.since, answer));
        }
    }

    /// Removes the names that no caller waits for any more.
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
            // Some systems return each address once per socket type.
            let mut seen = std::collections::HashSet::new();
            addresses.retain(|address| seen.insert(*address));
            Ok(addresses.into())
        }
        Err(error) => {
            let local = descriptors::are_exhausted(&error);
            Err(failed(error.to_string(), local))
        }
    }
}

/// The error of a lookup that panicked.
fn lost() -> LookupError {
    failed("the lookup was lost", false)
}

fn failed(message: impl Into<String>, local: bool) -> LookupError {
    LookupError::Refused {
        message: message.into(),
        local,
    }
}

#[cfg(test)]
mod tests;
