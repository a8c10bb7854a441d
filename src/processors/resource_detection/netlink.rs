//! The network interfaces and their addresses, as the kernel lists them by netlink.
//!
//! `/proc` and `/sys` don't list the addresses of IPv4, and a container may not show them.

use std::io;
use std::net::IpAddr;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with,
};

/// An interface of this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct NetworkInterface {
    number: u32,
    pub(super) name: String,
    /// The kernel's flags of it.
    pub(super) flags: u32,
    /// Its address on the wire; empty if it has none.
    pub(super) hardware: Vec<u8>,
    pub(super) addresses: Vec<IpAddr>,
}

/// The most bytes of an answer: some ten thousand addresses.
const MAX_ANSWER: usize = 1 << 20;

/// Of `linux/netlink.h` and `linux/rtnetlink.h`.
const REQUEST_DUMP: u16 = 0x301;
const DONE: u16 = 3;
const FAILED: u16 = 2;
const NEW_LINK: u16 = 16;
const GET_LINK: u16 = 18;
const NEW_ADDRESS: u16 = 20;
const GET_ADDRESS: u16 = 22;

/// Asks the kernel.
pub(super) fn interfaces() -> io::Result<Vec<NetworkInterface>> {
    let mut interfaces = Vec::new();
    for message in dump(GET_LINK)?
        .iter()
        .filter(|message| message.kind == NEW_LINK)
    {
        interfaces.extend(link(&message.content));
    }
    for message in dump(GET_ADDRESS)?
        .iter()
        .filter(|message| message.kind == NEW_ADDRESS)
    {
        if let Some((number, address)) = address(&message.content) {
            let mut all = interfaces.iter_mut();
            if let Some(interface) = all.find(|interface| interface.number == number) {
                interface.addresses.push(address);
            }
        }
    }
    Ok(interfaces)
}

impl NetworkInterface {
    /// Whether it is up and leads out of the machine.
    pub(super) fn is_outward(&self) -> bool {
        const UP: u32 = 1;
        const LOOPBACK: u32 = 8;
        self.flags & (UP | LOOPBACK) == UP
    }

    /// Its address on the wire as `02-42-AC-11-00-02`.
    pub(super) fn hardware_text(&self) -> String {
        let octets: Vec<String> = self
            .hardware
            .iter()
            .map(|octet| format!("{octet:02X}"))
            .collect();
        octets.join("-")
    }
}

struct NetlinkMessage {
    kind: u16,
    content: Vec<u8>,
}

/// Asks for a list and waits for all of it; the kernel always answers.
fn dump(kind: u16) -> io::Result<Vec<NetlinkMessage>> {
    let socket = socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        SocketFlags::CLOEXEC,
        // Of netlink's protocols the first: routing.
        None,
    )?;
    // A header, and the family: any.
    let mut request = Vec::new();
    request.extend(20_u32.to_ne_bytes());
    request.extend(kind.to_ne_bytes());
    request.extend(REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 12]);
    send(&socket, &request, SendFlags::empty())?;
    let mut messages = Vec::new();
    let mut received = 0;
    let mut buffer = vec![0; 64 << 10];
    loop {
        let (length, _) = recv(&socket, &mut buffer[..], RecvFlags::empty())?;
        received += length;
        if length == 0 || received > MAX_ANSWER {
            return Err(io::Error::other(
                "the kernel's list of interfaces is too long",
            ));
        }
        let mut rest = &buffer[..length];
        while let Some((message, further)) = message(rest) {
            rest = further;
            match message.kind {
                DONE => return Ok(messages),
                FAILED => return Err(io::Error::other("the kernel refuses to list interfaces")),
                _ => messages.push(message),
            }
        }
    }
}

/// The first message, and what follows it.
fn message(bytes: &[u8]) -> Option<(NetlinkMessage, &[u8])> {
    const HEADER: usize = 16;
    let length = usize::try_from(word(bytes, 0)?).ok()?;
    let content = bytes.get(HEADER..length)?;
    let message = NetlinkMessage {
        kind: half(bytes, 4)?,
        content: content.to_vec(),
    };
    let further = bytes.get(aligned(length)..).unwrap_or_default();
    Some((message, further))
}

fn link(content: &[u8]) -> Option<NetworkInterface> {
    const HEADER: usize = 16;
    const ADDRESS: u16 = 1;
    const NAME: u16 = 3;
    let mut interface = NetworkInterface {
        number: word(content, 4)?,
        flags: word(content, 8)?,
        ..NetworkInterface::default()
    };
    for (kind, value) in fields(content.get(HEADER..)?) {
        match kind {
            NAME => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                interface.name = String::from_utf8_lossy(name).into_owned();
            }
            // A tunnel has the address of its end here, and a loopback nothing but zeros.
            ADDRESS if value.iter().any(|byte| *byte != 0) && ![4, 16].contains(&value.len()) => {
                interface.hardware = value.to_vec();
            }
            _ => {}
        }
    }
    Some(interface)
}

/// The interface's number and the address. Of the two ends of a point-to-point link the local one
/// counts.
fn address(content: &[u8]) -> Option<(u32, IpAddr)> {
    const HEADER: usize = 8;
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let number = word(content, 4)?;
    let fields = fields(content.get(HEADER..)?);
    let of = |wanted: u16| fields.iter().find(|(kind, _)| *kind == wanted);
    let (_, value) = of(LOCAL).or_else(|| of(ADDRESS))?;
    let four = <[u8; 4]>::try_from(*value).ok().map(IpAddr::from);
    let sixteen = || <[u8; 16]>::try_from(*value).ok().map(IpAddr::from);
    Some((number, four.or_else(sixteen)?))
}

/// The attributes of a message, by their types.
fn fields(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    const HEADER: usize = 4;
    let mut fields = Vec::new();
    while let (Some(length), Some(kind)) = (half(bytes, 0), half(bytes, 2)) {
        let Some(value) = bytes.get(HEADER..usize::from(length)) else {
            break;
        };
        fields.push((kind, value));
        bytes = bytes.get(aligned(length.into())..).unwrap_or_default();
    }
    fields
}

fn aligned(length: usize) -> usize {
    length.div_ceil(4) * 4
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?;
    Some(u16::from_ne_bytes(bytes.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    Some(u32::from_ne_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_interfaces_are_those_that_the_files_of_this_machine_list() {
        let found: BTreeMap<String, NetworkInterface> = interfaces()
            .unwrap()
            .into_iter()
            .map(|interface| (interface.name.clone(), interface))
            .collect();
        let loopback = &found["lo"];
        assert!(!loopback.is_outward());
        assert!(loopback.addresses.contains(&[127, 0, 0, 1].into()));
        assert_eq!(loopback.hardware_text(), "");
        let listed = std::fs::read_to_string("/proc/net/dev").unwrap();
        for line in listed.lines().filter(|line| line.contains(':')) {
            let name = line.split(':').next().unwrap().trim();
            let interface = found
                .get(name)
                .unwrap_or_else(|| panic!("{name} in {found:?}"));
            let file = format!("/sys/class/net/{name}/address");
            if let Ok(address) = std::fs::read_to_string(file)
                && !interface.hardware.is_empty()
            {
                let address = address.trim().replace(':', "-").to_uppercase();
                assert_eq!(interface.hardware_text(), address, "{name}");
            }
        }
    }

    #[test]
    fn torn_messages_end_the_list() {
        let mut bytes = Vec::new();
        bytes.extend(20_u32.to_ne_bytes());
        bytes.extend(NEW_LINK.to_ne_bytes());
        bytes.extend([0; 14]);
        assert!(message(&bytes).is_some());
        for end in 0..bytes.len() {
            assert!(message(&bytes[..end]).is_none(), "{end}");
        }
        // Lengths that are shorter than their own headers.
        for length in 0_u32..16 {
            let mut short = bytes.clone();
            short[..4].copy_from_slice(&length.to_ne_bytes());
            assert!(message(&short).is_none(), "{length}");
        }
        for length in 0_u16..4 {
            let mut field = length.to_ne_bytes().to_vec();
            field.extend([0; 6]);
            assert_eq!(fields(&field), [], "{length}");
        }
    }
}
