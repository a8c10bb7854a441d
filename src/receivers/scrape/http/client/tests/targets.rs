//! What Prometheus targets need beside what the others do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Answers with the head of the request as the body.
async fn echo() -> (Url, JoinSet<()>) {
    server(|stream, head| async move {
        let length = head.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        send(stream, &answer, head.as_bytes()).await;
    })
    .await
}

fn text(page: FetchedPage) -> String {
    String::from_utf8(page.body.to_vec())
        .unwrap()
        .to_ascii_lowercase()
}

#[tokio::test]
async fn a_request_has_the_headers_of_its_target_and_the_answer_says_its_type() {
    let (url, _tasks) = echo().await;
    let config = HttpClientConfig {
        user_agent: HeaderValue::from_static("Prometheus/3.0.0"),
        compresses: false,
        ..HttpClientConfig::default()
    };
    let client = Client::new(&config, Duration::from_secs(60), [&url]).unwrap();
    let accept = HeaderValue::from_static("application/openmetrics-text");
    let headers = [
        (ACCEPT, accept),
        scrape_timeout(Duration::from_millis(1500)),
    ];
    let request = FetchRequest {
        max_body: Some(1000),
        ..FetchRequest::with(url, Arc::new(headers))
    };
    let page = client.fetch(&request).await.unwrap();
    assert_eq!(
        page.content_type.as_deref(),
        Some("text/plain; version=0.0.4")
    );
    let head = text(page);
    for line in [
        "accept: application/openmetrics-text\r\n",
        "accept-encoding: identity\r\n",
        "x-prometheus-scrape-timeout-seconds: 1.5\r\n",
        "user-agent: prometheus/3.0.0\r\n",
        "connection: close\r\n",
    ] {
        assert!(head.contains(line), "{line} in {head}");
    }
    let short = FetchRequest {
        max_body: Some(10),
        ..request
    };
    let outcome = client.fetch(&short).await;
    let message = failed(outcome.map(|page| page.body.to_vec()), FailureReason::Limit);
    assert_eq!(message, "the body is larger than 10B");
}

#[tokio::test]
async fn the_timeout_is_that_of_the_request() {
    let (url, _tasks) = server(|stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let client = Client::new(
        &HttpClientConfig::default(),
        Duration::from_secs(60),
        [&url],
    )
    .unwrap();
    let request = FetchRequest {
        timeout: Some(Duration::from_millis(20)),
        ..FetchRequest::new(url, "*/*")
    };
    let outcome = client.fetch(&request).await;
    let message = failed(
        outcome.map(|page| page.body.to_vec()),
        FailureReason::Timeout,
    );
    assert_eq!(message, "no answer within 20ms");
}

#[tokio::test]
async fn a_redirect_leads_anywhere_and_takes_credentials_only_within_the_origin() {
    let (url, _a) = server(|mut stream, head| async move {
        // To the port that the query names, or within this one.
        let path = head.split(' ').nth(1).unwrap_or_default();
        let to = match path.split_once("?to=") {
            Some((_, port)) => format!("http://localhost:{port}/there"),
            None if path == "/x" => "/echo".to_owned(),
            None => {
                let length = head.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                return send(stream, &answer, head.as_bytes()).await;
            }
        };
        let answer = format!("HTTP/1.1 307 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    })
    .await;
    let (elsewhere, _b) = echo().await;
    let config = HttpClientConfig {
        auth: Some(ClientAuthConfig::Token {
            scheme: "Custom".to_owned(),
            token: Credential::Inline(Secret::new("token")),
        }),
        redirects: Redirects::Any,
        ..HttpClientConfig::default()
    };
    let client = Client::new(&config, Duration::from_secs(60), [&url]).unwrap();
    let seen = async |url: &Url| {
        let request = FetchRequest::new(url.clone(), "*/*");
        text(client.fetch(&request).await.unwrap())
    };
    let within = seen(&url).await;
    assert!(within.starts_with("get /echo ") && within.contains("authorization: custom token"));
    let mut away = url.clone();
    away.set_query(Some(&format!("to={}", elsewhere.port().unwrap())));
    let away = seen(&away).await;
    assert!(away.starts_with("get /there "), "{away}");
    assert!(!away.contains("authorization"), "{away}");
}

#[tokio::test]
async fn a_redirect_without_end_is_given_up() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let (url, _tasks) = server(|stream, _| async move {
        ASKED.fetch_add(1, Ordering::Relaxed);
        let answer = "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n";
        send(stream, answer, b"").await;
    })
    .await;
    let config = HttpClientConfig {
        redirects: Redirects::Any,
        ..HttpClientConfig::default()
    };
    failed(ask_as(config, &url).await, FailureReason::Status);
    assert_eq!(ASKED.load(Ordering::Relaxed), 10, "as Go's client");
}

#[tokio::test]
async fn a_redirect_that_comes_back_from_elsewhere_brings_no_credentials_along() {
    /// Where the query says: `?to=PORT` leads there, and `&back=PORT` from there on.
    async fn lead(mut stream: TcpStream, head: String) {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let to = match path.split_once("?to=") {
            Some((_, ports)) => match ports.split_once("&back=") {
                Some((port, back)) => format!("http://127.0.0.1:{port}/?to={back}"),
                None => format!("http://127.0.0.1:{ports}/there"),
            },
            None => {
                let length = head.len();
                let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                return send(stream, &answer, head.as_bytes()).await;
            }
        };
        let answer = format!("HTTP/1.1 307 x\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(answer.as_bytes()).await.unwrap();
    }
    let (mut url, _a) = server(lead).await;
    let (elsewhere, _b) = server(lead).await;
    let (own, other) = (url.port().unwrap(), elsewhere.port().unwrap());
    url.set_query(Some(&format!("to={other}&back={own}")));
    let config = HttpClientConfig {
        auth: Some(ClientAuthConfig::Token {
            scheme: "Bearer".to_owned(),
            token: Credential::Inline(Secret::new("token")),
        }),
        redirects: Redirects::Any,
        ..HttpClientConfig::default()
    };
    let client = Client::new(&config, Duration::from_secs(60), [&url]).unwrap();
    let request = FetchRequest::new(url.clone(), "*/*");
    let back = text(client.fetch(&request).await.unwrap());
    assert!(back.starts_with("get /there "), "{back}");
    assert!(back.contains(&format!("host: 127.0.0.1:{own}\r\n")));
    assert!(!back.contains("authorization"), "{back}");
}

#[test]
fn credentials_follow_a_host_from_http_to_https_and_nowhere_else() {
    let f = |from: &str, to: &str, expected: bool| {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        assert_eq!(may_know(&from, &to), expected, "{from} {to}");
    };
    f("http://a:80/x", "http://a/y", true);
    f("http://a/x", "https://a/x", true);
    f("http://a:9100/x", "https://a:9443/x", true);
    f("https://a/x", "http://a/x", false);
    f("http://a:9100/x", "http://a:9101/x", false);
    f("https://a:9100/x", "https://a:9101/x", false);
    f("http://a/x", "https://b.a/x", false);
}

#[tokio::test]
async fn a_header_may_come_several_times_and_stands_instead_of_the_clients_own() {
    let (url, _tasks) = echo().await;
    let [one, two] = ["one", "two"].map(HeaderValue::from_static);
    let name = HeaderName::from_static("x-several");
    let agent = HeaderValue::from_static("mine");
    let headers = [(name.clone(), one), (name, two), (USER_AGENT, agent)];
    let client = Client::new(
        &HttpClientConfig::default(),
        Duration::from_secs(60),
        [&url],
    )
    .unwrap();
    let request = FetchRequest::with(url, Arc::new(headers));
    let head = text(client.fetch(&request).await.unwrap());
    assert!(
        head.contains("x-several: one\r\nx-several: two\r\n"),
        "{head}"
    );
    assert_eq!(head.matches("user-agent: ").count(), 1, "{head}");
    assert!(head.contains("user-agent: mine\r\n"), "{head}");
}

/// The connections to a server that answers `each` requests on one and then closes it without
/// having said so.
async fn connections(config: &HttpClientConfig, each: fn() -> usize, requests: usize) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}/x", listener.local_addr().unwrap())).unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    let _server = JoinSet::from_iter([async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                for _ in 0..each() {
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let Ok(byte) = stream.read_u8().await else {
                            return;
                        };
                        head.push(byte);
                    }
                    stream.write_all(OK_HEAD.as_bytes()).await.unwrap();
                    stream.write_all(b"x").await.unwrap();
                }
            });
        }
    }]);
    let client = Client::new(config, Duration::from_secs(60), [&url]).unwrap();
    for _ in 0..requests {
        assert_eq!(fetched(&client, &url).await.unwrap(), b"x");
    }
    accepted.load(Ordering::Relaxed)
}

#[tokio::test]
async fn connections_are_kept_where_that_is_set_and_one_that_has_ended_costs_no_poll() {
    let kept = HttpClientConfig {
        keeps_connections: true,
        ..HttpClientConfig::default()
    };
    let never = HttpClientConfig::default();
    assert_eq!(connections(&kept, || usize::MAX, 20).await, 1);
    assert_eq!(connections(&never, || usize::MAX, 20).await, 20);
    assert_eq!(connections(&kept, || 1, 50).await, 50);
}

#[tokio::test]
async fn a_new_connection_that_ends_without_an_answer_is_a_failure() {
    let (url, _tasks) = server(|_, _| std::future::ready(())).await;
    let config = HttpClientConfig {
        keeps_connections: true,
        ..HttpClientConfig::default()
    };
    failed(ask_as(config, &url).await, FailureReason::Reset);
}

#[tokio::test]
async fn requests_go_through_the_proxy_that_is_configured_but_for_those_excepted() {
    let (proxy, _tasks) = echo().await;
    let url = Url::parse("http://target.example:9100/metrics").unwrap();
    let through = Secret::new(format!("HTTP://u:p@127.0.0.1:{}", proxy.port().unwrap()));
    let config = |except: &str| HttpClientConfig {
        proxy: ClientProxy::through(&through, except.to_owned()).unwrap(),
        ..HttpClientConfig::default()
    };
    let head = String::from_utf8(ask_as(config(""), &url).await.unwrap()).unwrap();
    assert!(
        head.starts_with("GET http://target.example:9100/metrics HTTP/1.1"),
        "{head}"
    );
    assert!(head.contains("proxy-authorization: Basic dTpw"), "{head}");
    let direct = Url::parse("http://127.0.0.1:1/").unwrap();
    failed(
        ask_as(config("127.0.0.1"), &direct).await,
        FailureReason::Refused,
    );
    assert!(!format!("{:?}", config("")).contains("u:p@"));
}

#[test]
fn a_proxy_is_used_as_it_is_written_or_refused_and_never_passed_by() {
    let through = |url: &str| ClientProxy::through(&Secret::new(url), String::new());
    for (url, is_secure) in [
        ("HTTPS://proxy.example", true),
        ("HtTp://proxy.example:3128", false),
        // Names outside of ASCII, which the reader of proxies takes for no URL.
        ("http://pr\u{f6}xy.example:3128", false),
        ("https://u:p\u{e4}ss@proxy.example", true),
    ] {
        let proxy = through(url).unwrap();
        assert_eq!(proxy.is_secure(), is_secure, "{url}");
        let matcher = proxy.matcher().unwrap().unwrap();
        let anywhere = Uri::from_static("http://anywhere.example/");
        assert!(matcher.intercept(&anywhere).is_some(), "{url}");
    }
    for url in [
        "socks5://proxy.example",
        "ftp://proxy.example",
        "proxy:3128",
        "http://",
    ] {
        assert!(through(url).is_none(), "{url}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_read_piece_by_piece() {
    let (url, _tasks) = server(|mut stream, _| async move {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(b"3\r\none\r\n").await.unwrap();
        let _ = stream.read_u8().await;
    })
    .await;
    let client = Client::new(
        &HttpClientConfig::default(),
        Duration::from_secs(60),
        [&url],
    )
    .unwrap();
    let mut answer = client.open(&FetchRequest::new(url, "*/*")).await.unwrap();
    assert_eq!(&answer.next().await.unwrap().unwrap()[..], b"one");
    let next = tokio::time::timeout(Duration::from_millis(20), answer.next()).await;
    assert!(next.is_err(), "it waits");
}

#[tokio::test]
async fn credentials_may_come_from_elsewhere_and_be_missing() {
    struct Source(Option<&'static str>);
    impl Authorize for Source {
        fn authorization(&self) -> BoxFuture<'_, Result<HeaderValue, FetchError>> {
            let value = self.0.map(HeaderValue::from_static);
            let missing = || FailureReason::Refused.error("no token");
            Box::pin(std::future::ready(value.ok_or_else(missing)))
        }
    }
    let (url, _tasks) = echo().await;
    let ask = async |source| {
        let client = Client::new(
            &HttpClientConfig::default(),
            Duration::from_secs(60),
            [&url],
        );
        let client = client.unwrap().authorized_by(Arc::new(Source(source)));
        fetched(&client, &url).await
    };
    let head = String::from_utf8(ask(Some("Bearer t")).await.unwrap()).unwrap();
    assert!(head.contains("authorization: Bearer t"), "{head}");
    assert_eq!(failed(ask(None).await, FailureReason::Refused), "no token");
}

#[tokio::test]
async fn after_a_401_other_credentials_are_tried_once_and_the_same_ones_never() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    /// Gives the next value when one was refused.
    struct Rotated(&'static [&'static str], AtomicUsize);
    impl Authorize for Rotated {
        fn authorization(&self) -> BoxFuture<'_, Result<HeaderValue, FetchError>> {
            let index = self.1.load(Ordering::Relaxed).min(self.0.len() - 1);
            let value = HeaderValue::from_static(self.0[index]);
            Box::pin(std::future::ready(Ok(value)))
        }

        fn refused(&self, value: &HeaderValue) {
            assert!(self.0.contains(&value.to_str().unwrap()));
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
    let (url, _tasks) = server(|stream, head| async move {
        ASKED.fetch_add(1, Ordering::Relaxed);
        let answer = match head.contains("authorization: right") {
            true => OK_HEAD,
            false => "HTTP/1.1 401 Unauthorized\r\ncontent-length: 1\r\n\r\n",
        };
        send(stream, answer, b"x").await;
    })
    .await;
    let f = async |values, requests, is_right: bool| {
        ASKED.store(0, Ordering::Relaxed);
        let client = Client::new(
            &HttpClientConfig::default(),
            Duration::from_secs(60),
            [&url],
        );
        let source = Rotated(values, AtomicUsize::new(0));
        let client = client.unwrap().authorized_by(Arc::new(source));
        let outcome = fetched(&client, &url).await;
        assert_eq!(outcome.is_ok(), is_right, "{outcome:?}");
        assert_eq!(ASKED.load(Ordering::Relaxed), requests);
    };
    f(&["right"], 1, true).await;
    f(&["wrong", "right"], 2, true).await;
    f(&["wrong"], 1, false).await;
    f(&["wrong", "wrong too", "right"], 2, false).await;
}

#[tokio::test]
async fn a_form_is_posted_with_its_type_and_credentials() {
    let (url, _tasks) = server(|mut stream, head| async move {
        let mut body = [0; 7];
        stream.read_exact(&mut body).await.unwrap();
        let text = format!("{head}{}", String::from_utf8_lossy(&body));
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
        send(stream, &answer, text.as_bytes()).await;
    })
    .await;
    let config = HttpClientConfig {
        auth: Some(ClientAuthConfig::Basic {
            username: Credential::Inline(Secret::new("u")),
            password: Credential::Inline(Secret::new("p")),
        }),
        ..HttpClientConfig::default()
    };
    let client = Client::new(&config, Duration::from_secs(60), [&url]).unwrap();
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    let request = FetchRequest::with(url, Arc::new([(CONTENT_TYPE, form)]));
    let page = client
        .post(&request, Bytes::from_static(b"a=1&b=2"))
        .await
        .unwrap();
    let seen = text(page);
    assert!(
        seen.starts_with("post /x http/1.1\r\n") && seen.ends_with("a=1&b=2"),
        "{seen}"
    );
    assert!(seen.contains("content-length: 7\r\n"), "{seen}");
    assert!(seen.contains("content-type: application/x-www-form-urlencoded\r\n"));
    assert!(seen.contains("authorization: basic dtpw\r\n"), "{seen}");
}
