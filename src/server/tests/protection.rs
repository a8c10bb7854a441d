//! Certificates and credentials.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::net::pki::Pki;
use crate::net::{Identity, Pem, ServerTls};
use crate::settings::ListenerAuthConfig;
use crate::yaml::Secret;

impl Pki {
    fn listener(&self, mutual: bool) -> ListenerConfig {
        ListenerConfig {
            tls: Some(Box::new(ServerTls {
                identity: Identity {
                    certificate: Pem::file("cert_file", self.path("server.pem")),
                    key: Pem::file("key_file", self.path("server.key")),
                },
                client_ca: mutual.then(|| Pem::file("client_ca_file", self.path("ca.pem"))),
                versions: Default::default(),
                reload_interval: None,
            })),
            ..ListenerConfig::ephemeral()
        }
    }

    /// Requests `/livez` over TLS and returns all that comes back.
    async fn ask(&self, address: SocketAddr, client: Option<&str>) -> std::io::Result<String> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.pem")).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match client {
            None => config.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{name}.pem")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key")));
                config
                    .with_client_auth_cert(vec![chain.unwrap()], key.unwrap())
                    .unwrap()
            }
        };
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        let mut stream = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await?;
        let request = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

#[tokio::test]
async fn tls_serves_who_speaks_it_and_counts_who_does_not() {
    let pki = Pki::new();
    let rig = Rig::start(pki.listener(false)).await;
    assert!(
        pki.ask(rig.address, None)
            .await
            .unwrap()
            .ends_with("alive\n")
    );
    let answer = rig.get("/livez").await;
    assert!(!answer.contains("alive"), "{answer}");
    assert_eq!(rig.rejected("tls_handshake"), 1);
    rig.stop.cancel();
    rig.task.await.unwrap();
}

#[tokio::test]
async fn mutual_tls_admits_only_clients_that_the_authority_knows() {
    let pki = Pki::new();
    let rig = Rig::start(pki.listener(true)).await;
    assert!(
        pki.ask(rig.address, Some("client"))
            .await
            .unwrap()
            .ends_with("alive\n")
    );
    assert!(pki.ask(rig.address, None).await.is_err());
    assert!(pki.ask(rig.address, Some("stranger")).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_never_begins_is_cut_off() {
    let pki = Pki::new();
    let rig = Rig::start(pki.listener(false)).await;
    let _silent = rig.connect().await;
    tokio::time::sleep(Duration::from_secs(11)).await;
    assert_eq!(rig.rejected("tls_handshake"), 1);
}

#[tokio::test]
async fn files_that_can_not_be_used_are_named_with_their_key() {
    let pki = Pki::new();
    std::fs::write(pki.path("empty.pem"), "").unwrap();
    let f = async |change: fn(&mut ServerTls, &Pki), key: &str| {
        let mut config = pki.listener(false);
        change(config.tls.as_mut().unwrap(), &pki);
        let (routes, health) = (Routes::new(), Health::new());
        let bound = Server::bind(Some(&config), &routes, &health, &Telemetry::off()).await;
        let message = bound.err().unwrap().to_string();
        assert!(
            message.starts_with(&format!("service::http::{key}: ")),
            "{message}"
        );
    };
    f(
        |tls, _| tls.identity.certificate = Pem::file("cert_file", "/nowhere.pem"),
        "tls::cert_file",
    )
    .await;
    f(
        |tls, pki| tls.identity.certificate = Pem::file("cert_file", pki.path("empty.pem")),
        "tls::cert_file",
    )
    .await;
    // The key of another certificate.
    f(
        |tls, pki| tls.identity.key = Pem::file("key_file", pki.path("client.key")),
        "tls::cert_file",
    )
    .await;
    f(
        |tls, pki| tls.identity.key = Pem::file("key_file", pki.path("server.pem")),
        "tls::key_file",
    )
    .await;
    f(
        |tls, pki| tls.client_ca = Some(Pem::file("client_ca_file", pki.path("empty.pem"))),
        "tls::client_ca_file",
    )
    .await;
}

#[tokio::test]
async fn nothing_is_answered_without_the_token() {
    let rig = Rig::start(ListenerConfig {
        auth: Some(ListenerAuthConfig::BearerToken(Secret::new("s3cret"))),
        ..ListenerConfig::ephemeral()
    })
    .await;
    for path in ["/livez", "/nothing", "/"] {
        let answer = rig.get(path).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
        assert!(
            answer.contains("www-authenticate: Bearer realm=\"foghorn\"\r\n"),
            "{answer}"
        );
    }
    // Without credentials even the allowed methods aren't disclosed.
    let post = "POST /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    assert!(rig.ask(post).await.starts_with("HTTP/1.1 401"));
    let ask = async |token: &str| {
        let head = format!("GET /livez HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n");
        rig.ask(&(head + "connection: close\r\n\r\n")).await
    };
    assert!(ask("wrong").await.starts_with("HTTP/1.1 401"));
    assert!(ask("s3cret").await.ends_with("alive\n"));
}
