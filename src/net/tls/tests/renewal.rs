//! Handshakes before and after files were replaced, over pipes in memory.

use std::fs;
use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};
use tokio::time::advance;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::{TlsConnector, client, server};

use super::super::pki::Pki;
use super::*;
use crate::net::RenewalCounts;

/// Within this time a change is in use.
const IN_USE: Duration = Duration::from_secs(10);

/// Certificates, and the files in use, which begin as copies of them: `shown.pem` and
/// `shown.key` of the listener, `own.pem` and `own.key` of the client, and the authorities
/// `servers.pem` and `clients.pem` that each trusts.
struct Files(Pki);

/// A connection after its handshake.
struct Connected {
    client: client::TlsStream<DuplexStream>,
    server: server::TlsStream<DuplexStream>,
}

impl Files {
    fn new() -> Self {
        let files = Self(Pki::new());
        files.put("server", "shown");
        files.put("client", "own");
        files.copy("ca.pem", "servers.pem");
        files.copy("ca.pem", "clients.pem");
        files
    }

    fn copy(&self, from: &str, to: &str) {
        fs::copy(self.0.path(from), self.0.path(to)).unwrap();
    }

    /// Replaces a certificate and its key.
    fn put(&self, from: &str, to: &str) {
        for end in ["pem", "key"] {
            self.copy(&format!("{from}.{end}"), &format!("{to}.{end}"));
        }
    }

    fn identity(&self, name: &str) -> Identity {
        Identity {
            certificate: Pem::file("cert_file", self.0.path(&format!("{name}.pem"))),
            key: Pem::file("key_file", self.0.path(&format!("{name}.key"))),
        }
    }

    fn listener(&self) -> Renewable<TlsAcceptor> {
        let tls = ServerTls {
            identity: self.identity("shown"),
            client_ca: Some(Pem::file("client_ca_file", self.0.path("clients.pem"))),
            versions: Versions::default(),
            reload_interval: None,
        };
        tls.acceptor(&[]).unwrap()
    }

    fn client(&self) -> Renewable<TlsConnector> {
        let tls = ClientTls {
            ca: Some(Pem::file("ca_file", self.0.path("servers.pem"))),
            identity: Some(self.identity("own")),
            ..ClientTls::default()
        };
        tls.renewable(|config| Ok(TlsConnector::from(Arc::new(config))))
            .unwrap()
    }

    /// The certificate of this name.
    fn certificate(&self, name: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(self.0.path(&format!("{name}.pem"))).unwrap()
    }
}

impl Connected {
    /// The handshake of the next connection, with the files as they are in use.
    async fn next(
        listener: &Renewable<TlsAcceptor>,
        client: &Renewable<TlsConnector>,
    ) -> io::Result<Self> {
        let (acceptor, connector) = (listener.current().await, client.current().await);
        let (near, far) = duplex(64 * 1024);
        let name = ServerName::try_from("localhost").unwrap();
        let shake = async {
            let mut client = connector.connect(name, near).await?;
            // A client of TLS 1.3 is done before the server has judged its certificate.
            client.write_all(b"hello").await?;
            Ok::<_, io::Error>(client)
        };
        let answer = async {
            let mut server = acceptor.accept(far).await?;
            server.read_exact(&mut [0; 5]).await?;
            Ok::<_, io::Error>(server)
        };
        let (client, server) = tokio::join!(shake, answer);
        Ok(Self {
            client: client?,
            server: server?,
        })
    }

    /// Whether bytes pass in both directions.
    async fn is_alive(&mut self) -> bool {
        let (mut there, mut back) = ([0; 4], [0; 4]);
        self.client.write_all(b"ping").await.unwrap();
        self.server.read_exact(&mut there).await.unwrap();
        self.server.write_all(b"pong").await.unwrap();
        self.client.read_exact(&mut back).await.unwrap();
        (&there, &back) == (b"ping", b"pong")
    }

    /// What the listener has shown.
    fn of_the_listener(&self) -> CertificateDer<'static> {
        let (_, connection) = self.client.get_ref();
        connection.peer_certificates().unwrap()[0].clone()
    }

    /// What the client has shown.
    fn of_the_client(&self) -> CertificateDer<'static> {
        let (_, connection) = self.server.get_ref();
        connection.peer_certificates().unwrap()[0].clone()
    }
}

#[tokio::test(start_paused = true)]
async fn the_next_connection_has_the_new_certificates_and_open_ones_go_on() {
    let files = Files::new();
    let (listener, client) = (files.listener(), files.client());
    let mut open = Connected::next(&listener, &client).await.unwrap();
    assert_eq!(open.of_the_listener(), files.certificate("server"));
    assert_eq!(open.of_the_client(), files.certificate("client"));
    // Each to what the other was: both are of the same authority and for the same names.
    files.put("client", "shown");
    files.put("server", "own");
    advance(IN_USE).await;
    let mut next = Connected::next(&listener, &client).await.unwrap();
    assert_eq!(next.of_the_listener(), files.certificate("client"));
    assert_eq!(next.of_the_client(), files.certificate("server"));
    assert!(next.is_alive().await);
    assert!(open.is_alive().await);
    assert_eq!(open.of_the_listener(), files.certificate("server"));
}

#[tokio::test(start_paused = true)]
async fn a_client_trusts_the_new_authority_and_no_longer_the_old() {
    let files = Files::new();
    let (listener, client) = (files.listener(), files.client());
    let mut open = Connected::next(&listener, &client).await.unwrap();
    files.copy("stranger-ca.pem", "servers.pem");
    advance(IN_USE).await;
    let refused = Connected::next(&listener, &client).await.err().unwrap();
    assert!(refused.to_string().contains("UnknownIssuer"), "{refused}");
    files.put("stranger", "shown");
    advance(IN_USE).await;
    let next = Connected::next(&listener, &client).await.unwrap();
    assert_eq!(next.of_the_listener(), files.certificate("stranger"));
    assert!(open.is_alive().await);
}

#[tokio::test(start_paused = true)]
async fn a_listener_trusts_clients_of_the_new_authority_and_no_longer_of_the_old() {
    let files = Files::new();
    let (listener, client) = (files.listener(), files.client());
    let mut open = Connected::next(&listener, &client).await.unwrap();
    files.copy("stranger-ca.pem", "clients.pem");
    advance(IN_USE).await;
    // The same client, which could resume its session with the listener as it was.
    assert!(Connected::next(&listener, &client).await.is_err());
    files.put("stranger", "own");
    advance(IN_USE).await;
    let next = Connected::next(&listener, &client).await.unwrap();
    assert_eq!(next.of_the_client(), files.certificate("stranger"));
    assert!(open.is_alive().await);
}

#[tokio::test(start_paused = true)]
async fn what_is_half_written_or_does_not_match_leaves_the_old_pair_in_use() {
    let files = Files::new();
    let half = |name: &str| {
        let text = fs::read(files.0.path(name)).unwrap();
        text[..text.len() / 2].to_vec()
    };
    let (certificate, key) = (half("client.pem"), half("client.key"));
    let f = async |what: &str, damage: &dyn Fn()| {
        files.put("server", "shown");
        let (listener, client) = (files.listener(), files.client());
        let before = RenewalCounts::current();
        damage();
        for _ in 0..3 {
            advance(IN_USE).await;
            let next = Connected::next(&listener, &client).await.unwrap();
            assert_eq!(
                next.of_the_listener(),
                files.certificate("server"),
                "{what}"
            );
        }
        // Of the whole process: other tests may add to it.
        let after = RenewalCounts::current();
        assert!(after.unusable > before.unusable, "{what}");
        // The rest of the change arrives.
        files.copy("ca.pem", "clients.pem");
        files.put("client", "shown");
        advance(IN_USE).await;
        let next = Connected::next(&listener, &client).await.unwrap();
        assert_eq!(
            next.of_the_listener(),
            files.certificate("client"),
            "{what}"
        );
    };
    let write = |name: &str, content: &[u8]| fs::write(files.0.path(name), content).unwrap();
    f("the certificate before its key", &|| {
        files.copy("client.pem", "shown.pem");
    })
    .await;
    f("the key before its certificate", &|| {
        files.copy("client.key", "shown.key");
    })
    .await;
    f("half a certificate", &|| write("shown.pem", &certificate)).await;
    f("half a key", &|| write("shown.key", &key)).await;
    f("an empty file", &|| write("shown.pem", b"")).await;
    f("no file", &|| {
        fs::remove_file(files.0.path("shown.key")).unwrap()
    })
    .await;
    f("half an authority", &|| write("clients.pem", &certificate)).await;
}
