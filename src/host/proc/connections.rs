//! The numbers of sockets, from `/proc/net/tcp` and its siblings.

/// The states of TCP in the order of the kernel's numbers, from 1: the name in the
/// semantic conventions, and the older name.
pub(crate) const TCP_STATES: [(&str, &str); 11] = [
    ("established", "ESTABLISHED"),
    ("syn_sent", "SYN_SENT"),
    ("syn_received", "SYN_RECV"),
    ("fin_wait_1", "FIN_WAIT_1"),
    ("fin_wait_2", "FIN_WAIT_2"),
    ("time_wait", "TIME_WAIT"),
    ("closed", "CLOSE"),
    ("close_wait", "CLOSE_WAIT"),
    ("last_ack", "LAST_ACK"),
    ("listen", "LISTEN"),
    ("closing", "CLOSING"),
];

/// Sockets by transport and state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct SocketCounts {
    /// In the order of [`TCP_STATES`].
    pub(crate) tcp: [u64; TCP_STATES.len()],
    pub(crate) udp: u64,
}

impl SocketCounts {
    /// Adds the sockets of `/proc/net/tcp` or `tcp6`.
    pub(crate) fn add_tcp(&mut self, text: &str) {
        for state in states(text) {
            let count = usize::from(state)
                .checked_sub(1)
                .and_then(|state| self.tcp.get_mut(state));
            if let Some(count) = count {
                *count += 1;
            }
        }
    }

    /// Adds the counts of another file.
    pub(crate) fn add(&mut self, other: &Self) {
        for (count, more) in self.tcp.iter_mut().zip(other.tcp) {
            *count += more;
        }
        self.udp += other.udp;
    }

    /// Adds the sockets of `/proc/net/udp` or `udp6`.
    pub(crate) fn add_udp(&mut self, text: &str) {
        self.udp += states(text).count() as u64;
    }
}

/// The state of each socket: the fourth field of each line but the heading, in hexadecimal.
fn states(text: &str) -> impl Iterator<Item = u8> {
    text.lines().filter_map(|line| {
        let field = line.split_ascii_whitespace().nth(3)?;
        u8::from_str_radix(field, 16).ok()
    })
}
