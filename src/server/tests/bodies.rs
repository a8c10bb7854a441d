//! Requests with bodies, for routes that read them.

use tokio::sync::mpsc as channel;

use super::*;

/// The most bytes that `/echo` takes.
const MAX: usize = 100;

/// Answers with what it was sent.
struct Echo;

impl Handler for Echo {
    fn methods(&self) -> &'static [Method] {
        &[Method::POST]
    }

    fn max_body(&self) -> Option<usize> {
        Some(MAX)
    }

    fn handle(&self, request: Request<Bytes>) -> BoxFuture<'static, Response> {
        Box::pin(async { plain(StatusCode::OK, request.into_body()) })
    }
}

/// The route of it.
pub(super) fn echo() -> Route {
    Route {
        handler: Arc::new(Echo),
        ..route(Listener::Agent, "/echo", "test")
    }
}

/// Says when it is dropped.
struct Dropped(channel::UnboundedSender<()>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

const POST: &str = "POST /echo HTTP/1.1\r\nhost: x\r\n";

fn of_length(length: usize) -> String {
    let body = "b".repeat(length);
    format!("{POST}connection: close\r\ncontent-length: {length}\r\n\r\n{body}")
}

/// In chunks of one byte.
fn chunked(length: usize) -> String {
    let body = "1\r\nb\r\n".repeat(length);
    format!("{POST}connection: close\r\ntransfer-encoding: chunked\r\n\r\n{body}0\r\n\r\n")
}

#[tokio::test]
async fn a_body_is_taken_whole_or_refused_at_its_bound() {
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![echo()]).await;
    for request in [of_length, chunked] {
        for length in [0, 1, MAX] {
            let answer = rig.ask(&request(length)).await;
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
            let (_, body) = answer.split_once("\r\n\r\n").unwrap();
            assert_eq!(body, "b".repeat(length));
        }
        let answer = rig.ask(&request(MAX + 1)).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
        assert!(answer.contains("longer than 100 bytes"), "{answer}");
    }
    // Nothing of such a body is awaited, and nothing behind it is taken for a request.
    let endless = format!("{POST}content-length: 99999999999\r\n\r\nGET /livez HTTP/1.1\r\n\r\n");
    let answer = rig.ask(&endless).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
}

/// Many clients read nothing before they have sent everything.
#[tokio::test]
async fn a_refusal_reaches_a_client_that_sends_its_whole_body_first() {
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![echo()]).await;
    for refused in [POST, "POST /nowhere HTTP/1.1\r\nhost: x\r\n"] {
        let length = 8 << 20;
        let head = format!("{refused}content-length: {length}\r\n\r\n");
        let mut stream = rig.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b'b'; length]).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_closes_is_left_in_the_end() {
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![echo()]).await;
    let started = Instant::now();
    let mut stream = rig.connect().await;
    stream.write_all(of_length(MAX).as_bytes()).await.unwrap();
    rest(&mut stream).await;
    while rig.open() > 0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(started.elapsed().as_secs(), 5);
}

/// It is left at a bound of bytes, or else a fast client would keep a worker busy.
#[tokio::test]
async fn a_client_that_never_ends_is_left_in_the_end() {
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![echo()]).await;
    let mut stream = rig.connect().await;
    let head = format!("{POST}content-length: 99999999999\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let part = vec![b'b'; 1 << 20];
    let mut sent = 0;
    while stream.write_all(&part).await.is_ok() {
        sent += 1;
        assert!(sent < 200, "{sent} MiB are read");
    }
    assert!(sent >= 64, "only {sent} MiB are read");
}

#[tokio::test]
async fn requests_follow_one_another_behind_bodies() {
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![echo()]).await;
    let mut stream = rig.connect().await;
    for body in ["one", "three"] {
        let request = format!("{POST}content-length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = one_answer(&mut stream).await;
        assert!(answer.ends_with(&format!("\r\n\r\n{body}")), "{answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_stays_away_is_answered_and_not_awaited() {
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![echo()]).await;
    let started = Instant::now();
    let answer = rig
        .ask(&format!("{POST}content-length: 9\r\n\r\nhalf"))
        .await;
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert_eq!(started.elapsed().as_secs(), 10);
}

#[tokio::test]
async fn work_ends_when_its_client_goes_away() {
    let (begun, mut begins) = channel::unbounded_channel();
    let (ended, mut ends) = channel::unbounded_channel();
    let endless = handler(move |_| {
        let (begun, ended) = (begun.clone(), Dropped(ended.clone()));
        async move {
            let _ended = ended;
            begun.send(()).unwrap();
            std::future::pending().await
        }
    });
    let endless = Route {
        handler: endless,
        ..route(Listener::Agent, "/endless", "test")
    };
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![endless]).await;
    let mut stream = rig.connect().await;
    let request = b"GET /endless HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    begins.recv().await.unwrap();
    assert!(ends.try_recv().is_err());
    drop(stream);
    ends.recv().await.unwrap();
}
