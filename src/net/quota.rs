//! A connection whose peer may send only so much.
//!
//! HTTP/2 lets a peer send frames that nobody asked for, and most of them must be read and some
//! answered: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, interim answers, unknown types. h2 bounds
//! none of these. A peer that sends them without end never holds a worker, since its connection
//! gives way ([`fair`](super::fair)), but it costs half a processor for as long as the connection
//! lives.

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Context;

use tokio::time::Instant;

use super::watched_reads::ReadWatch;

/// How many bytes a peer may send without being asked: the settings at the beginning, and a burst
/// later.
const UNASKED: usize = 64 * 1024;

/// How many bytes a second are forgiven. A peer that pings each second sends 17.
const FORGIVEN: u128 = 1024;

/// The most bytes that a peer may send at any moment, whatever its answers were allowed.
const MOST: usize = 8 * 1024 * 1024;

/// How many bytes the peer of a connection may still send. Clones share them. As the watch of a
/// connection it lets reads fail once the peer has sent more. It belongs above TLS, whose own
/// records rustls bounds.
#[derive(Debug, Clone)]
pub struct Quota(Arc<Mutex<QuotaState>>);

#[derive(Debug)]
struct QuotaState {
    left: usize,
    /// When bytes were last forgiven.
    forgiven: Instant,
    exceeded: bool,
}

impl Quota {
    /// For a connection that has just been made.
    pub fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new(QuotaState {
            left: UNASKED,
            forgiven: now,
            exceeded: false,
        })))
    }

    /// Lets the peer send `bytes` more.
    pub fn allow(&self, bytes: usize) {
        self.with(|state| state.allow(bytes, MOST));
    }

    /// Whether the peer has sent more than it may, which has ended its connection.
    pub fn is_exceeded(&self) -> bool {
        self.with(|state| state.exceeded)
    }

    /// Takes note of `bytes` from the peer. False if it may not have sent them.
    fn spend(&self, bytes: usize, now: impl FnOnce() -> Instant) -> bool {
        self.with(|state| {
            if state.left < bytes {
                state.forgive(now());
            }
            state.exceeded |= state.left < bytes;
            state.left = state.left.saturating_sub(bytes);
            !state.exceeded
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut QuotaState) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl QuotaState {
    fn allow(&mut self, bytes: usize, most: usize) {
        self.left = self.left.saturating_add(bytes).min(most.max(self.left));
    }

    /// Time makes up for what comes unasked, not for long answers.
    fn forgive(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.forgiven);
        self.forgiven = now;
        let bytes = elapsed.as_millis() * FORGIVEN / 1000;
        self.allow(usize::try_from(bytes).unwrap_or(usize::MAX), UNASKED);
    }
}

/// Why a connection was ended that exceeded its [`Quota`].
#[derive(Debug)]
struct QuotaExceeded;

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the peer sends without end what nobody asked for")
    }
}

impl std::error::Error for QuotaExceeded {}

impl ReadWatch for Quota {
    fn note(&mut self, read: Option<usize>, _: &mut Context<'_>) -> io::Result<()> {
        if self.spend(read.unwrap_or(0), Instant::now) {
            Ok(())
        } else {
            Err(io::Error::other(QuotaExceeded))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_asked_for_may_come_and_little_else() {
        let begun = Instant::now();
        let quota = Quota::new(begun);
        assert!(quota.spend(UNASKED, || begun));
        quota.allow(1_000_000);
        assert!(quota.spend(1_000_000, || begun));
        assert!(!quota.spend(1, || begun) && quota.is_exceeded());
        quota.allow(1_000_000);
        assert!(!quota.spend(1, || begun), "the connection has ended");
    }

    #[test]
    fn a_peer_that_pings_twice_a_second_may_do_so_for_ever() {
        let begun = Instant::now();
        let quota = Quota::new(begun);
        let pings = 2 * 24 * 60 * 60;
        assert!((0..pings).all(|n| quota.spend(17, || begun + Duration::from_millis(500 * n))));
    }

    #[test]
    fn time_and_requests_allow_no_more_than_their_bounds() {
        let begun = Instant::now();
        let after_a_day = || begun + Duration::from_secs(86_400);
        let quota = Quota::new(begun);
        assert!(quota.spend(UNASKED, || begun));
        assert!(quota.spend(UNASKED, after_a_day) && !quota.spend(1, after_a_day));
        let quota = Quota::new(begun);
        for _ in 0..100 {
            quota.allow(MOST / 10);
        }
        assert!(quota.spend(MOST, || begun) && !quota.spend(1, || begun));
    }
}
