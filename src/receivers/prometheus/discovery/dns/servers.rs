//! Asks name servers: by UDP, and by TCP where the answer is too long for that.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use simple_dns::rdata::OPT;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// How long one server is waited for, by UDP and by TCP each.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest answer by UDP that is asked for, in bytes.
const UDP_SIZE: u16 = 4096;

/// The most servers and search domains that are tried; resolvers know three and six.
const MOST: usize = 8;

/// The name servers of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NameServers {
    servers: Vec<SocketAddr>,
    search: Vec<String>,
    /// How many dots a name has that is tried without the search domains first.
    dots: usize,
}

impl NameServers {
    /// Reads a `resolv.conf`.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let servers = Self::parse(&fs::read_to_string(path)?);
        match servers.servers.is_empty() {
            true => Err(io::Error::other("no name server is listed")),
            false => Ok(servers),
        }
    }

    fn parse(text: &str) -> Self {
        let mut servers = Self {
            servers: Vec::new(),
            search: Vec::new(),
            dots: 1,
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => {
                    // A zone may follow an IPv6 address, for which there is no use here.
                    let address = words.next().and_then(|word| word.split('%').next());
                    let address = address.and_then(|word| word.parse::<IpAddr>().ok());
                    let address = address.map(|address| SocketAddr::new(address, 53));
                    servers.servers.extend(address);
                }
                Some("domain") => {
                    servers.search = words.next().into_iter().map(Into::into).collect()
                }
                Some("search") => servers.search = words.map(Into::into).collect(),
                Some("options") => {
                    let dots = words.find_map(|word| word.strip_prefix("ndots:"));
                    let dots = dots.and_then(|dots| dots.parse::<usize>().ok());
                    servers.dots = dots.map_or(servers.dots, |dots| dots.min(15));
                }
                _ => {}
            }
        }
        servers.servers.truncate(MOST);
        servers.search.truncate(MOST);
        servers
    }

    /// The answer about a name, or about that name in a search domain: the whole message. `None`
    /// if every server says that there is no such name.
    ///
    /// # Errors
    ///
    /// When no server gave a usable answer.
    pub(super) async fn look_up(&self, name: &str, kind: TYPE) -> Result<Option<Vec<u8>>, String> {
        let mut last_error = None;
        for candidate in self.candidates(name) {
            match self.ask_any(&candidate, kind).await {
                Ok(Some(answer)) => return Ok(Some(answer)),
                Ok(None) => {}
                Err(error) => last_error = Some(error),
            }
        }
        match last_error {
            None => Ok(None),
            Some(error) => Err(format!("{name}: {error}")),
        }
    }

    /// The complete names that a name may stand for, in the order in which they are tried.
    fn candidates(&self, name: &str) -> Vec<String> {
        if let Some(complete) = name.strip_suffix('.') {
            return vec![complete.to_owned()];
        }
        let domains = self.search.iter().map(|domain| domain.trim_matches('.'));
        let domains = domains.filter(|domain| !domain.is_empty());
        let mut names: Vec<String> = domains.map(|domain| format!("{name}.{domain}")).collect();
        let labels = 1 + name.matches('.').count();
        let place = if labels > self.dots { 0 } else { names.len() };
        names.insert(place, name.to_owned());
        names
    }

    async fn ask_any(&self, name: &str, kind: TYPE) -> Result<Option<Vec<u8>>, String> {
        let mut last_error = String::new();
        for server in &self.servers {
            match ask(*server, name, kind).await {
                Ok(answer) => return Ok(answer),
                Err(error) => last_error = format!("{server}: {error}"),
            }
        }
        Err(last_error)
    }
}

/// Asks one server about a complete name.
async fn ask(server: SocketAddr, name: &str, kind: TYPE) -> Result<Option<Vec<u8>>, String> {
    let id = rand::random();
    let question = question(id, name, kind).map_err(|error| error.to_string())?;
    let mut answer = in_time(ask_by_udp(server, &question, id)).await?;
    let is_cut = |answer: &[u8]| {
        Packet::parse(answer).is_ok_and(|answer| answer.has_flags(PacketFlag::TRUNCATION))
    };
    if is_cut(&answer) {
        answer = in_time(ask_by_tcp(server, &question)).await?;
    }
    let packet = Packet::parse(&answer).map_err(|error| error.to_string())?;
    if packet.id() != id {
        return Err("the answer is for another question".to_owned());
    }
    match packet.rcode() {
        RCODE::NoError => Ok(Some(answer)),
        RCODE::NameError => Ok(None),
        other => Err(format!("it answers {other:?}")),
    }
}

fn question(id: u16, name: &str, kind: TYPE) -> simple_dns::Result<Vec<u8>> {
    let mut question = Packet::new_query(id);
    question.set_flags(PacketFlag::RECURSION_DESIRED);
    question.questions.push(Question::new(
        Name::new(name)?,
        QTYPE::TYPE(kind),
        QCLASS::CLASS(CLASS::IN),
        false,
    ));
    *question.opt_mut() = Some(OPT {
        opt_codes: Vec::new(),
        udp_packet_size: UDP_SIZE,
        version: 0,
    });
    question.build_bytes_vec()
}

async fn ask_by_udp(server: SocketAddr, question: &[u8], id: u16) -> io::Result<Vec<u8>> {
    let local: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((local, 0)).await?;
    // From now on only what that server sends arrives.
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; usize::from(UDP_SIZE)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = buffer.get(..length).unwrap_or_default();
        // Anybody may have sent something in the server's name.
        if answer.starts_with(&id.to_be_bytes()) {
            return Ok(answer.to_vec());
        }
    }
}

async fn ask_by_tcp(server: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    let framed = [&length.to_be_bytes()[..], question].concat();
    stream.write_all(&framed).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn in_time<T>(asked: impl Future<Output = io::Result<T>>) -> Result<T, String> {
    match timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

#[cfg(test)]
impl NameServers {
    /// One server at any port, and no search domains.
    pub(super) fn at(server: SocketAddr) -> Self {
        Self {
            servers: vec![server],
            search: Vec::new(),
            dots: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_whom_to_ask_and_in_which_domains() {
        let servers = NameServers::parse(
            "# comment\nnameserver 10.0.0.1\nnameserver fe80::1%eth0\nnameserver nonsense\n\
             domain old\nsearch a.example b.example.\noptions rotate ndots:2\n",
        );
        let addresses = ["10.0.0.1:53", "[fe80::1]:53"].map(|a| a.parse().unwrap());
        assert_eq!(servers.servers, addresses);
        assert_eq!(servers.search, ["a.example", "b.example."]);
        assert_eq!(servers.dots, 2);
        let f = |name: &str, expected: &[&str]| assert_eq!(servers.candidates(name), expected);
        f("x.", &["x"]);
        f("x", &["x.a.example", "x.b.example", "x"]);
        f("x.y", &["x.y.a.example", "x.y.b.example", "x.y"]);
        f("x.y.z", &["x.y.z", "x.y.z.a.example", "x.y.z.b.example"]);
    }
}
