use std::net::SocketAddr;
use std::sync::Mutex;

use simple_dns::rdata::{A, AAAA, CNAME, MX, NS, SRV};
use simple_dns::{CLASS, Name, PacketFlag, RCODE, ResourceRecord};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};

use super::super::testing::findings;
use super::*;

/// What a server answers; `None` for nothing at all.
type Answers = Arc<Mutex<Box<dyn Fn(&str) -> Option<Reply> + Send>>>;

#[derive(Default)]
struct Reply {
    code: Option<RCODE>,
    records: Vec<RData<'static>>,
    /// Whether there is more than fits into a datagram.
    cut: bool,
}

fn reply(records: Vec<RData<'static>>) -> Option<Reply> {
    Some(Reply {
        records,
        ..Reply::default()
    })
}

/// A name server on loopback, by UDP and TCP.
async fn server(answers: &Answers) -> SocketAddr {
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = tcp.local_addr().unwrap();
    let udp = UdpSocket::bind(address).await.unwrap();
    let by_udp = Arc::clone(answers);
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = udp.recv_from(&mut buffer).await.unwrap();
            if let Some(answer) = answer(&by_udp, &buffer[..length], false) {
                udp.send_to(&answer, from).await.unwrap();
            }
        }
    });
    let by_tcp = Arc::clone(answers);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = tcp.accept().await.unwrap();
            let mut question = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut question).await.unwrap();
            let answer = answer(&by_tcp, &question, true).unwrap();
            let length = u16::try_from(answer.len()).unwrap().to_be_bytes();
            stream
                .write_all(&[&length[..], &answer].concat())
                .await
                .unwrap();
        }
    });
    address
}

fn answer(answers: &Answers, question: &[u8], by_tcp: bool) -> Option<Vec<u8>> {
    let question = Packet::parse(question).unwrap();
    assert!(question.has_flags(PacketFlag::RECURSION_DESIRED));
    let name = question.questions[0].qname.to_string();
    let reply = answers.lock().unwrap()(&name)?;
    let mut packet = Packet::new_reply(question.id());
    if let Some(code) = reply.code {
        *packet.rcode_mut() = code;
    }
    if reply.cut && !by_tcp {
        packet.set_flags(PacketFlag::TRUNCATION);
        return Some(packet.build_bytes_vec().unwrap());
    }
    for record in reply.records {
        let name = Name::new("a.example").unwrap();
        packet
            .answers
            .push(ResourceRecord::new(name, CLASS::IN, 60, record));
    }
    Some(packet.build_bytes_vec().unwrap())
}

fn name(text: &'static str) -> Name<'static> {
    Name::new(text).unwrap()
}

/// What is found for these names, each target's labels in a line.
struct Rig {
    discovery: DnsDiscovery,
    servers: NameServers,
    findings: Findings,
    found: tokio::sync::watch::Receiver<Vec<FoundGroups>>,
    answers: Answers,
}

impl Rig {
    async fn new(names: &[&str], records: DnsRecords) -> Self {
        let answers: Answers = Arc::new(Mutex::new(Box::new(|_| None)));
        let (findings, found) = findings();
        Self {
            discovery: DnsDiscovery::new(DnsConfig {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                records,
                port: 9100,
                refresh: Duration::from_secs(30),
            }),
            servers: NameServers::at(server(&answers).await),
            findings,
            found,
            answers,
        }
    }

    async fn look(
        &mut self,
        answers: impl Fn(&str) -> Option<Reply> + Send + 'static,
    ) -> Vec<String> {
        *self.answers.lock().unwrap() = Box::new(answers);
        self.discovery
            .look_up(&self.servers, &mut self.findings)
            .await;
        let groups = self.found.borrow().clone();
        let targets = groups.iter().flatten().flat_map(|group| &group.targets);
        targets
            .map(|labels| {
                let labels = labels.iter();
                let labels = labels.map(|(name, value)| {
                    format!("{}={value}", name.trim_start_matches("__meta_dns_"))
                });
                labels.collect::<Vec<_>>().join(" ")
            })
            .collect()
    }
}

#[tokio::test]
async fn records_become_targets_as_prometheus_writes_them() {
    let mut rig = Rig::new(&["_s._tcp.a"], DnsRecords::Srv).await;
    let srv = |_: &str| {
        let record = |port, target| {
            RData::SRV(SRV {
                priority: 1,
                weight: 1,
                port,
                target: name(target),
            })
        };
        reply(vec![record(9090, "b.example"), record(80, "a.example")])
    };
    assert_eq!(
        rig.look(srv).await,
        [
            "__address__=a.example:80 name=_s._tcp.a srv_record_port=80 srv_record_target=a.example.",
            "__address__=b.example:9090 name=_s._tcp.a srv_record_port=9090 srv_record_target=b.example.",
        ]
    );
    let mut rig = Rig::new(&["a"], DnsRecords::A).await;
    let addresses = |_: &str| {
        reply(vec![
            RData::CNAME(CNAME(name("b"))),
            RData::A(A {
                address: 0x0a00_0001,
            }),
        ])
    };
    assert_eq!(
        rig.look(addresses).await,
        ["__address__=10.0.0.1:9100 name=a"]
    );
    let mut rig = Rig::new(&["a"], DnsRecords::Aaaa).await;
    let addresses = |_: &str| reply(vec![RData::AAAA(AAAA { address: 1 })]);
    assert_eq!(rig.look(addresses).await, ["__address__=[::1]:9100 name=a"]);
    let mut rig = Rig::new(&["a"], DnsRecords::Mx).await;
    let servers = |_: &str| {
        reply(vec![RData::MX(MX {
            preference: 1,
            exchange: name("m.example"),
        })])
    };
    assert_eq!(
        rig.look(servers).await,
        ["__address__=m.example:9100 mx_record_target=m.example. name=a"]
    );
    let mut rig = Rig::new(&["a"], DnsRecords::Ns).await;
    let servers = |_: &str| reply(vec![RData::NS(NS(name("n.example")))]);
    assert_eq!(
        rig.look(servers).await,
        ["__address__=n.example:9100 name=a ns_record_target=n.example."]
    );
}

#[tokio::test]
async fn a_name_without_a_usable_answer_keeps_its_targets_and_one_that_is_gone_loses_them() {
    let mut rig = Rig::new(&["a", "b"], DnsRecords::A).await;
    let one = |address| reply(vec![RData::A(A { address })]);
    let both = move |_: &str| one(1);
    assert_eq!(rig.look(both).await.len(), 2);
    let failing = move |name: &str| match name {
        "a" => one(2),
        _ => Some(Reply {
            code: Some(RCODE::ServerFailure),
            ..Reply::default()
        }),
    };
    assert_eq!(
        rig.look(failing).await,
        [
            "__address__=0.0.0.2:9100 name=a",
            "__address__=0.0.0.1:9100 name=b"
        ]
    );
    assert!(rig.findings.failing().unwrap().contains("ServerFailure"));
    let gone = move |name: &str| match name {
        "a" => one(2),
        _ => Some(Reply {
            code: Some(RCODE::NameError),
            ..Reply::default()
        }),
    };
    assert_eq!(rig.look(gone).await, ["__address__=0.0.0.2:9100 name=a"]);
    assert_eq!(rig.findings.failing(), None);
}

#[tokio::test]
async fn an_answer_that_does_not_fit_comes_by_tcp() {
    let mut rig = Rig::new(&["a"], DnsRecords::A).await;
    let many = |_: &str| {
        Some(Reply {
            records: (0..1000).map(|address| RData::A(A { address })).collect(),
            cut: true,
            ..Reply::default()
        })
    };
    assert_eq!(rig.look(many).await.len(), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_silent_is_waited_for_two_seconds() {
    let mut rig = Rig::new(&["a"], DnsRecords::A).await;
    let begun = Instant::now();
    assert_eq!(rig.look(|_: &str| None).await, [] as [&str; 0]);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(
        rig.findings
            .failing()
            .unwrap()
            .ends_with("no answer within 2 s")
    );
}
