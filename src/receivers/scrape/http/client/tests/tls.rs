//! Requests over TLS, and the errors of handshakes that fail.

use std::sync::Arc;

use tokio_rustls::TlsAcceptor;

use super::*;
use crate::net::pki::Pki;
use crate::net::{ClientTls, ServerTls};
use crate::yaml::{Diagnostics, FromValue, PlacedNode, parse};

fn read<T: FromValue>(yaml: &str) -> T {
    let diagnostics = Diagnostics::new();
    let node = parse(yaml, &Arc::from("test"), &diagnostics).unwrap();
    let value = PlacedNode::root(&node, &diagnostics).read();
    value.unwrap_or_else(|| panic!("{yaml}: {:?}", diagnostics.problems()))
}

/// A server that answers `ok` to every client that completes the handshake.
async fn serve(tls: ServerTls) -> (Url, JoinSet<()>) {
    let acceptor = TlsAcceptor::from(Arc::new(tls.server_config(&[b"http/1.1"]).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            match acceptor.accept(stream).into_fallible().await {
                Ok(mut stream) => {
                    let _ = stream.read(&mut [0; 1024]).await;
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
                    let _ = stream.write_all(answer).await;
                    let _ = stream.shutdown().await;
                }
                // Read until the client has closed: a reset could arrive before the alert.
                Err((_, mut stream)) => {
                    while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
                }
            }
        }
    });
    (Url::parse(&format!("https://{address}/")).unwrap(), tasks)
}

/// Requests a server that has the keys `server` with a client that has the keys `client`. `{dir}`
/// stands for the directory of the certificates.
async fn ask(pki: &Pki, server: &str, client: &str) -> Result<Vec<u8>, FetchError> {
    let dir = pki.dir().display().to_string();
    let (url, _tasks) = serve(read(&server.replace("{dir}", &dir))).await;
    let config = HttpClientConfig {
        tls: read::<ClientTls>(&client.replace("{dir}", &dir)),
        ..HttpClientConfig::default()
    };
    let client = Client::new(&config, Duration::from_secs(10), [&url]).unwrap();
    fetched(&client, &url).await
}

const SERVER: &str = "{cert_file: '{dir}/server.pem', key_file: '{dir}/server.key'}";
const MUTUAL: &str = "{cert_file: '{dir}/server.pem', key_file: '{dir}/server.key', \
                      client_ca_file: '{dir}/ca.pem'}";

#[tokio::test]
async fn a_server_that_proves_what_is_asked_is_read() {
    let pki = Pki::new();
    let f = async |server: &str, client: &str| {
        let answer = ask(&pki, server, client).await;
        assert_eq!(answer.as_deref(), Ok(&b"ok"[..]), "{server} {client}");
    };
    f(SERVER, "{ca_file: '{dir}/ca.pem'}").await;
    f(SERVER, "{ca_file: '{dir}/ca.pem', max_version: '1.2'}").await;
    f(SERVER, "{ca_file: '{dir}/ca.pem', min_version: '1.3'}").await;
    f(
        SERVER,
        "{ca_file: '{dir}/ca.pem', include_system_ca_certs_pool: true}",
    )
    .await;
    f(
        MUTUAL,
        "{ca_file: '{dir}/ca.pem', cert_file: '{dir}/client.pem', key_file: '{dir}/client.key'}",
    )
    .await;
    f(
        "{cert_file: '{dir}/elsewhere.pem', key_file: '{dir}/elsewhere.key'}",
        "{ca_file: '{dir}/ca.pem', server_name_override: elsewhere.example}",
    )
    .await;
    f(
        "{cert_file: '{dir}/stranger.pem', key_file: '{dir}/stranger.key'}",
        "{insecure_skip_verify: true}",
    )
    .await;
    f(
        "{cert_file: '{dir}/expired.pem', key_file: '{dir}/expired.key'}",
        "{insecure_skip_verify: true, ca_file: '{dir}/ca.pem'}",
    )
    .await;
    let authority = std::fs::read_to_string(pki.path("ca.pem")).unwrap();
    let text = authority.replace('\n', "\\n");
    f(SERVER, &format!("{{ca_pem: \"{text}\"}}")).await;
}

#[tokio::test]
async fn without_proof_the_reason_is_tls_and_says_what_is_wrong() {
    let pki = Pki::new();
    let f = async |server: &str, client: &str, words: &str| {
        let message = failed(ask(&pki, server, client).await, FailureReason::Tls);
        let expected = message.starts_with("TLS failed: ") && message.contains(words);
        assert!(expected, "{server} {client}: {message}");
    };
    f(
        SERVER,
        "{ca_file: '{dir}/stranger-ca.pem'}",
        "UnknownIssuer",
    )
    .await;
    f(
        "{cert_file: '{dir}/expired.pem', key_file: '{dir}/expired.key'}",
        "{ca_file: '{dir}/ca.pem'}",
        "expired",
    )
    .await;
    f(
        "{cert_file: '{dir}/elsewhere.pem', key_file: '{dir}/elsewhere.key'}",
        "{ca_file: '{dir}/ca.pem'}",
        "not valid for name",
    )
    .await;
    f(
        SERVER,
        "{ca_file: '{dir}/ca.pem', server_name_override: elsewhere.example}",
        "not valid for name",
    )
    .await;
    f(MUTUAL, "{ca_file: '{dir}/ca.pem'}", "CertificateRequired").await;
    f(
        MUTUAL,
        "{ca_file: '{dir}/ca.pem', cert_file: '{dir}/stranger.pem', \
         key_file: '{dir}/stranger.key'}",
        "fatal alert",
    )
    .await;
    f(
        "{cert_file: '{dir}/server.pem', key_file: '{dir}/server.key', min_version: '1.3'}",
        "{ca_file: '{dir}/ca.pem', max_version: '1.2'}",
        "ProtocolVersion",
    )
    .await;
}

#[test]
fn a_file_that_is_none_is_named_with_its_key() {
    let pki = Pki::new();
    std::fs::write(pki.path("empty.pem"), "").unwrap();
    let url = Url::parse("https://localhost/").unwrap();
    let f = |client: &str, expected: &str| {
        let dir = pki.dir().display().to_string();
        let config = HttpClientConfig {
            tls: read::<ClientTls>(&client.replace("{dir}", &dir)),
            ..HttpClientConfig::default()
        };
        let outcome = Client::new(&config, Duration::from_secs(1), [&url]);
        let message = format!("{:#}", outcome.unwrap_err());
        let expected = expected.replace("{dir}", &dir);
        assert!(message.starts_with(&expected), "{message}");
    };
    f(
        "{ca_file: '{dir}/none.pem'}",
        "tls::ca_file: {dir}/none.pem: ",
    );
    f(
        "{ca_file: '{dir}/empty.pem'}",
        "tls::ca_file: {dir}/empty.pem: ",
    );
    f(
        "{ca_pem: none}",
        "tls::ca_pem: there is no certificate in it",
    );
    f(
        "{cert_file: '{dir}/client.pem', key_file: '{dir}/empty.pem'}",
        "tls::key_file: {dir}/empty.pem: ",
    );
    f(
        "{cert_file: '{dir}/client.pem', key_file: '{dir}/server.key'}",
        "tls::cert_file: {dir}/client.pem: ",
    );
}
