//! Connects to a host that may have several addresses.
//!
//! Some of them may never answer: an IPv6 address without a route, a machine that is down. So the
//! next address is tried in parallel after [`STAGGER`], or at once if the one before has failed,
//! and the first connection is used (RFC 8305). IPv6 and IPv4 addresses alternate, since mostly a
//! whole family can't be reached.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::resolver::{LookupError, Resolver};

/// The time between starting one address and the next.
const STAGGER: Duration = Duration::from_millis(250);

/// The most addresses of one host that are tried.
const MAX_TRIED: usize = 16;

/// Why no connection could be made.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The host name couldn't be resolved.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// No address accepted the connection.
    #[error("{0}")]
    Connect(#[source] DialFailures),
}

/// The addresses that were tried, with the error of each. The first error is the `source`.
#[derive(Debug)]
pub struct DialFailures(Vec<(SocketAddr, io::Error)>);

impl DialFailures {
    /// In the order in which they failed.
    pub fn attempts(&self) -> &[(SocketAddr, io::Error)] {
        &self.0
    }

    /// Whether none of the addresses answered at all.
    pub fn is_silent(&self) -> bool {
        let silent = |(_, error): &(_, io::Error)| error.kind() == io::ErrorKind::TimedOut;
        self.0.iter().all(silent)
    }
}

impl fmt::Display for DialFailures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, error)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            match error.kind() {
                io::ErrorKind::TimedOut => write!(f, "{comma}{address} doesn't answer")?,
                // Written without the system's error number.
                io::ErrorKind::ConnectionRefused => write!(f, "{comma}{address} refuses")?,
                _ => write!(f, "{comma}{address}: {error}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for DialFailures {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.first().map(|(_, error)| error as _)
    }
}

/// Connects to a port of a host until `deadline`. Cancel safe: dropping the future closes the
/// sockets.
///
/// # Errors
///
/// When the name can't be resolved, or no address accepts the connection in time.
pub async fn dial(
    resolver: &Resolver,
    host: &str,
    port: u16,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let limit = deadline.saturating_duration_since(Instant::now());
    let addresses = resolver.resolve(host, limit).await?;
    let addresses = by_turns(&addresses)
        .map(|address| SocketAddr::new(address, port))
        .collect();
    let socket = race(addresses, deadline, TcpStream::connect).await;
    socket.map_err(DialError::Connect)
}

/// Alternates between the families, beginning with that of the first address.
fn by_turns(addresses: &[IpAddr]) -> impl Iterator<Item = IpAddr> {
    let first_is_v6 = addresses.first().is_some_and(IpAddr::is_ipv6);
    let of = |v6: bool| {
        addresses
            .iter()
            .filter(move |address| address.is_ipv6() == v6)
    };
    let (mut ours, mut others) = (of(first_is_v6), of(!first_is_v6));
    let mut turn = false;
    std::iter::from_fn(move || {
        turn = !turn;
        let next = if turn {
            ours.next().or_else(|| others.next())
        } else {
            others.next().or_else(|| ours.next())
        };
        next.copied()
    })
    .take(MAX_TRIED)
}

/// Connects to the addresses by `connect`, each [`STAGGER`] after the one before, until one
/// succeeds.
async fn race<S, F>(
    addresses: Vec<SocketAddr>,
    deadline: Instant,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<S, DialFailures>
where
    F: Future<Output = io::Result<S>>,
{
    let mut left = addresses.into_iter();
    let mut under_way = FuturesUnordered::new();
    let mut silent: Vec<SocketAddr> = Vec::new();
    let mut failed = Vec::new();
    let mut next_at = Instant::now();
    loop {
        if Instant::now() >= next_at
            && let Some(address) = left.next()
        {
            silent.push(address);
            let connecting = connect(address);
            under_way.push(async move { (address, connecting.await) });
            next_at = Instant::now() + STAGGER;
        }
        let more = left.len() > 0;
        if under_way.is_empty() && !more {
            return Err(DialFailures(failed));
        }
        tokio::select! {
            biased;
            Some((address, result)) = under_way.next() => match result {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    silent.retain(|waiting| *waiting != address);
                    failed.push((address, error));
                    next_at = Instant::now();
                }
            },
            () = sleep_until(deadline) => {
                let timed_out = |address| (address, io::ErrorKind::TimedOut.into());
                failed.extend(silent.into_iter().map(timed_out));
                return Err(DialFailures(failed));
            }
            () = sleep_until(next_at), if more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Mutex;

    use super::*;

    const V6: &str = "[2001:db8::1]:4317";
    const V4: &str = "192.0.2.1:4317";
    const OTHER: &str = "192.0.2.2:4317";

    /// How an address reacts to a connection.
    #[derive(Clone, Copy)]
    enum Peer {
        Swallows,
        Refuses,
        Takes(u64),
    }

    /// Which address was connected after how many ms, and when each was tried.
    async fn raced(peers: &[(&str, Peer)]) -> (Result<SocketAddr, DialFailures>, u128, Vec<u128>) {
        let peers: Vec<(SocketAddr, Peer)> = peers
            .iter()
            .map(|(address, peer)| (address.parse().unwrap(), *peer))
            .collect();
        let begun = Instant::now();
        let asked = Mutex::new(Vec::new());
        let connect = |address| {
            asked.lock().unwrap().push(begun.elapsed().as_millis());
            let peer = peers.iter().find(|(known, _)| *known == address);
            let peer = peer.unwrap().1;
            async move {
                match peer {
                    Peer::Swallows => pending().await,
                    Peer::Refuses => Err(io::ErrorKind::ConnectionRefused.into()),
                    Peer::Takes(ms) => {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                        Ok(address)
                    }
                }
            }
        };
        let addresses = peers.iter().map(|(address, _)| *address).collect();
        let won = race(addresses, begun + Duration::from_secs(4), connect).await;
        let took = begun.elapsed().as_millis();
        (won, took, asked.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_address_is_tried_after_250_ms_beside_one_that_swallows() {
        let (won, took, asked) = raced(&[(V6, Peer::Swallows), (V4, Peer::Takes(20))]).await;
        assert_eq!(won.unwrap().to_string(), V4);
        assert_eq!((took, asked), (270, vec![0, 250]));
        let both = [V6, V4].map(|address| (address, Peer::Swallows));
        let [first, second] = both;
        let (won, took, _) = raced(&[first, second, (OTHER, Peer::Takes(1))]).await;
        assert_eq!(won.unwrap().to_string(), OTHER);
        assert_eq!(took, 501);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_refuses_costs_no_time_and_one_that_is_slow_may_still_win() {
        let (won, took, _) = raced(&[(V6, Peer::Refuses), (V4, Peer::Takes(3))]).await;
        assert_eq!((won.unwrap().to_string(), took), (V4.to_owned(), 3));
        let (won, took, asked) = raced(&[(V6, Peer::Takes(300)), (V4, Peer::Takes(100))]).await;
        assert_eq!((won.unwrap().to_string(), took), (V6.to_owned(), 300));
        assert_eq!(asked, [0, 250]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_says_what_was_tried() {
        let (won, took, _) = raced(&[(V6, Peer::Swallows), (V4, Peer::Refuses)]).await;
        let tried = won.unwrap_err();
        assert_eq!(
            tried.to_string(),
            "192.0.2.1:4317 refuses, [2001:db8::1]:4317 doesn't answer"
        );
        assert!(!tried.is_silent());
        assert_eq!(took, 4_000);
        let (won, ..) = raced(&[(V6, Peer::Swallows)]).await;
        assert!(won.unwrap_err().is_silent());
    }

    #[test]
    fn the_families_take_turns() {
        let f = |addresses: &[&str], expected: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|a| a.parse().unwrap()).collect();
            let turns: Vec<String> = by_turns(&addresses).map(|a| a.to_string()).collect();
            assert_eq!(turns, expected);
        };
        f(
            &["::1", "::2", "::3", "1.1.1.1"],
            &["::1", "1.1.1.1", "::2", "::3"],
        );
        f(
            &["1.1.1.1", "1.1.1.2", "::1"],
            &["1.1.1.1", "::1", "1.1.1.2"],
        );
        f(&["1.1.1.1"], &["1.1.1.1"]);
        let many: Vec<IpAddr> = (0..200).map(|last| [10, 0, 0, last].into()).collect();
        assert_eq!(by_turns(&many).count(), MAX_TRIED);
    }
}
