//! Destinations that fail: acknowledged items are delivered unless they are given up, every lost
//! item has a reason, and the ledger balances. Time is paused, so that an outage of a minute takes
//! no real time.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/wire.rs"]
mod wire;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agent::Agent;
use base64::Engine as _;
use bytes::Bytes;
use foghorn::component::DropReason;
use foghorn::pdata::status::RpcStatus;
use http_body_util::Full;
use hyper::Response;
use relay::{
    PROTOCOLS, Reply, is_accepted, leg, meet, points, points_received, relay_to, send_metrics,
    settled,
};
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, timeout_at};
use wire::{Answer, Sink, Trouble, accepted, messages, trouble};

fn http(status: u16) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .body(Full::default())
        .unwrap()
}

fn unavailable_for_20s() -> Response<Full<Bytes>> {
    let mut response = http(503);
    let headers = response.headers_mut();
    headers.insert("retry-after", "20".parse().unwrap());
    response
}

/// The same by a clock of its own, which is years behind.
fn until_20s_later() -> Response<Full<Bytes>> {
    let mut response = http(503);
    let headers = response.headers_mut();
    let date = |date: &str| date.parse().unwrap();
    headers.insert("date", date("Sun, 06 Nov 1994 08:49:37 GMT"));
    headers.insert("retry-after", date("Sun, 06 Nov 1994 08:49:57 GMT"));
    response
}

fn grpc(code: u32, message: &str, advice: Option<u64>) -> Response<Full<Bytes>> {
    let details = RpcStatus {
        code,
        message: message.to_owned(),
        retry_after: advice.map(Duration::from_secs),
    };
    let details = base64::engine::general_purpose::STANDARD_NO_PAD.encode(details.encode());
    Response::builder()
        .header("grpc-status", code)
        .header("grpc-message", message)
        .header("grpc-status-details-bin", details)
        .body(Full::default())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn trouble_that_passes_costs_time_and_nothing_else() {
    let f = async |protocol: &str, replies: &[Reply], seconds: RangeInclusive<u64>| {
        let outcome = meet(protocol, replies).await;
        let what = format!("{protocol}, {seconds:?} s");
        assert_eq!((outcome.sent, outcome.lost), (8, None), "{what}");
        assert_eq!(outcome.points, vec![8; replies.len() + 1], "{what}");
        assert!(
            seconds.contains(&outcome.seconds),
            "{what}, {}",
            outcome.seconds
        );
    };
    for protocol in PROTOCOLS {
        f(protocol, &[], 0..=0).await;
        f(protocol, &[|| trouble(Trouble::HangUp)], 1..=1).await;
        // The attempt's five seconds, and then the wait.
        f(protocol, &[|| trouble(Trouble::Silence)], 6..=6).await;
    }
    // The agent never retries before the advised time, and at most a tenth later.
    f("http", &[unavailable_for_20s], 20..=22).await;
    f("http", &[until_20s_later], 20..=22).await;
    f("http", &[unavailable_for_20s, || http(503)], 22..=24).await;
    f("http", &[|| http(429), || http(502), || http(504)], 7..=7).await;
    f("grpc", &[|| grpc(14, "busy", Some(20))], 20..=22).await;
    f("grpc", &[|| grpc(14, "busy", None)], 1..=1).await;
    f("grpc", &[|| grpc(8, "quota", Some(20))], 20..=22).await;
    f(
        "grpc",
        &[
            || grpc(1, "", None),
            || grpc(4, "", None),
            || grpc(10, "", None),
        ],
        7..=7,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_will_never_take_is_lost_once_and_counted() {
    let f = async |protocol: &str, replies: &[Reply]| {
        let outcome = meet(protocol, replies).await;
        assert_eq!(outcome.lost, Some((DropReason::Permanent, 8)), "{protocol}");
        assert_eq!((outcome.sent, outcome.points), (0, vec![8]));
    };
    for status in [|| http(400), || http(401), || http(404), || http(500)] as [Reply; 4] {
        f("http", &[status]).await;
    }
    f("grpc", &[|| grpc(8, "quota", None)]).await;
    f("grpc", &[|| grpc(3, "no", Some(5))]).await;
    f("grpc", &[|| grpc(12, "", None)]).await;
    f("grpc", &[|| grpc(13, "", None)]).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_finds_too_large_comes_again_in_parts() {
    let f = async |protocol: &str, replies: &[Reply], points: &[u64]| {
        let outcome = meet(protocol, replies).await;
        assert_eq!((outcome.sent, outcome.lost), (8, None));
        assert_eq!(outcome.points, points, "{protocol}");
        assert_eq!(outcome.seconds, 0, "parts don't wait");
    };
    f("http", &[|| http(413)], &[8, 4, 4]).await;
    f("http", &[|| http(413), || http(413)], &[8, 4, 2, 2, 2, 2]).await;
    const LARGE: &str = "grpc: received message larger than max (9 vs. 8)";
    f("grpc", &[|| grpc(8, LARGE, None)], &[8, 4, 4]).await;
    f("grpc", &[|| grpc(11, LARGE, None)], &[8, 4, 4]).await;
}

/// A request each second of a minute while nothing listens at the destination, which is
/// back after that.
async fn outage(protocol: &str, key: &str) -> (usize, Vec<Answer>) {
    // Bound and not listening: nobody else gets the port, and who connects is refused.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let agent = relay_to(protocol, socket.local_addr().unwrap(), key).await;
    let mut acknowledged = Vec::new();
    let (mut count, mut refusals) = (0, Vec::new());
    for number in 0..60 {
        let request = points(number, 2);
        let answer = send_metrics(&agent, protocol, &request).await;
        if is_accepted(&answer) {
            acknowledged.extend(request);
            count += 1;
        } else {
            refusals.push(answer);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        leg(&agent);
    }
    let sink = Sink::listening(socket.listen(16).unwrap(), Arc::new(|_| accepted()));
    let leg = settled(&agent).await;
    assert_eq!((leg.sent, leg.dropped.total()), (2 * count, 0));
    assert!(
        messages(&sink.received()) == acknowledged,
        "each once, in order"
    );
    agent.stop().await;
    (usize::try_from(count).unwrap(), refusals)
}

#[tokio::test(start_paused = true)]
async fn an_outage_loses_nothing_while_the_queue_has_room() {
    for protocol in PROTOCOLS {
        let (acknowledged, refusals) = outage(protocol, "sending_queue: {queue_size: 100}").await;
        assert_eq!(acknowledged, 60, "{protocol} {refusals:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn senders_are_refused_with_advice_when_the_queue_is_full_and_nothing_else_is_lost() {
    for protocol in PROTOCOLS {
        let (acknowledged, refusals) = outage(protocol, "sending_queue: {queue_size: 25}").await;
        assert_eq!((acknowledged, refusals.len()), (25, 35), "{protocol}");
        for refusal in refusals {
            let advice = if protocol == "grpc" {
                assert_eq!(refusal.grpc_status(), Some(14));
                let details = refusal.headers["grpc-status-details-bin"].as_bytes();
                let details = base64::engine::general_purpose::STANDARD_NO_PAD
                    .decode(details)
                    .unwrap();
                RpcStatus::decode(&details).unwrap().retry_after.unwrap()
            } else {
                assert_eq!(refusal.status, 503);
                let seconds = refusal.headers["retry-after"].to_str().unwrap().parse();
                Duration::from_secs(seconds.unwrap())
            };
            assert!(advice > Duration::ZERO, "{refusal:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_destination_never_took_is_lost_by_a_reason_when_patience_ends() {
    let silent = Sink::scripted(Arc::new(|_| trouble(Trouble::Silence))).await;
    // With a breaker it would wait for as long as the queue has room.
    let agent = relay_to("grpc", silent.address, "breaker: {mode: off}").await;
    assert!(is_accepted(
        &send_metrics(&agent, "grpc", &points(1, 8)).await
    ));
    let begun = Instant::now();
    let leg = settled(&agent).await;
    assert_eq!(leg.dropped.of(DropReason::RetriesExhausted), 8);
    let seconds = begun.elapsed().as_secs();
    assert!((250..=300).contains(&seconds), "{seconds}");
    agent.stop().await;
}

/// Requests of two points each, in the order of their bytes.
fn sorted(requests: &[u8]) -> Vec<&[u8]> {
    let mut requests: Vec<_> = requests.chunks(points(0, 2).len()).collect();
    requests.sort_unstable();
    requests
}

/// Nothing but closed connections, with a request every 5 s.
#[tokio::test(start_paused = true)]
async fn ten_minutes_of_closed_connections_cost_a_few_of_them() {
    for protocol in PROTOCOLS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = relay_to(protocol, listener.local_addr().unwrap(), "breaker: {}").await;
        let down = tokio::spawn(async move {
            let mut connections = 0;
            let end = Instant::now() + Duration::from_secs(600);
            while let Ok(accepted) = timeout_at(end, listener.accept()).await {
                accepted.unwrap();
                connections += 1;
            }
            (listener, connections)
        });
        let mut acknowledged = Vec::new();
        for number in 0..120 {
            let request = points(number, 2);
            assert!(is_accepted(&send_metrics(&agent, protocol, &request).await));
            acknowledged.extend(request);
            tokio::time::sleep(Duration::from_secs(5)).await;
            leg(&agent);
        }
        let (listener, connections) = down.await.unwrap();
        // Five open the breaker; cooldowns of 5, 10, 20, 40 and then 46 s follow, each 30 %
        // shorter at most.
        assert!(
            (14..=27).contains(&connections),
            "{protocol}: {connections}"
        );
        let sink = Sink::listening(listener, Arc::new(|_| accepted()));
        let begun = Instant::now();
        let leg = settled(&agent).await;
        assert!(
            begun.elapsed() < Duration::from_secs(63),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!((leg.sent, leg.dropped.total()), (240, 0));
        // A request that was tried for too long has stepped aside.
        let taken = messages(&sink.received());
        assert!(sorted(&taken) == sorted(&acknowledged), "each once");
        agent.stop().await;
    }
}

/// Answers of one kind for a minute, and good ones after that, with a request each second.
#[tokio::test(start_paused = true)]
async fn a_minute_of_any_trouble_loses_nothing_and_causes_no_storm() {
    let f = async |protocol: &str, answers: bool, reply: Reply| {
        let troubled = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&troubled);
        let begun = Instant::now();
        let sink = Sink::scripted(Arc::new(move |_| {
            if begun.elapsed() >= Duration::from_secs(60) {
                return accepted();
            }
            count.fetch_add(1, Ordering::Relaxed);
            reply()
        }))
        .await;
        let agent = relay_to(protocol, sink.address, "breaker: {}").await;
        let mut acknowledged = Vec::new();
        for number in 0..60 {
            let request = points(number, 2);
            assert!(is_accepted(&send_metrics(&agent, protocol, &request).await));
            acknowledged.extend(request);
            tokio::time::sleep(Duration::from_secs(1)).await;
            leg(&agent);
        }
        let leg = settled(&agent).await;
        assert_eq!((leg.sent, leg.dropped.total()), (120, 0), "{protocol}");
        let troubled = troubled.load(Ordering::Relaxed);
        // Five that open it, and canaries after 5, 10, 20 and 40 s at the most.
        assert!((2..=10).contains(&troubled), "{protocol}: {troubled}");
        let taken = messages(&sink.received()[troubled..]);
        match answers {
            true => assert!(taken == acknowledged, "{protocol}: in order"),
            // A request may be what the peer doesn't answer, and then steps aside.
            false => assert!(
                sorted(&taken) == sorted(&acknowledged),
                "{protocol}: each once"
            ),
        }
        agent.stop().await;
    };
    for protocol in PROTOCOLS {
        f(protocol, false, || trouble(Trouble::HangUp)).await;
        f(protocol, false, || trouble(Trouble::Silence)).await;
    }
    f("http", true, || http(503)).await;
    f("http", true, unavailable_for_20s).await;
    f("http", true, || http(429)).await;
    f("grpc", true, || grpc(14, "busy", None)).await;
    f("grpc", true, || grpc(14, "busy", Some(20))).await;
    f("grpc", true, || grpc(8, "quota", Some(20))).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_hangs_is_not_asked_again() {
    for protocol in PROTOCOLS {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = relay_to(protocol, listener.local_addr().unwrap(), "breaker: {}").await;
        let begun = Instant::now();
        assert!(is_accepted(
            &send_metrics(&agent, protocol, &points(1, 8)).await
        ));
        // The connection is open and nobody answers, as after a firewall has forgotten it.
        let (_hanging, _) = listener.accept().await.unwrap();
        let sink = Sink::listening(listener, Arc::new(|_| accepted()));
        assert_eq!(settled(&agent).await.sent, 8, "{protocol}");
        assert_eq!(begun.elapsed().as_secs(), 6, "{protocol}");
        assert_eq!(sink.received().len(), 1);
        agent.stop().await;
    }
}

/// Requests that waited are joined, but not beyond what the batch processor cuts to.
#[tokio::test(start_paused = true)]
async fn nothing_is_joined_beyond_the_size_that_batches_are_cut_to() {
    let sink = Sink::scripted(Arc::new(|n| match n {
        0 => http(503),
        _ => accepted(),
    }))
    .await;
    let agent = Agent::start(&format!(
        "receivers:
  otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0'}}}}}}
processors:
  batch: {{timeout: 0s, send_batch_size: 4, send_batch_max_size: 4}}
exporters:
  otlp_http: {{endpoint: 'http://{}'}}
service:
  http: {{endpoint: none}}
  pipelines:
    metrics: {{receivers: [otlp], processors: [batch], exporters: [otlp_http]}}
",
        sink.address
    ))
    .await;
    for number in 0..9 {
        assert!(is_accepted(
            &send_metrics(&agent, "http", &points(number, 1)).await
        ));
    }
    assert!(is_accepted(
        &send_metrics(&agent, "http", &points(9, 7)).await
    ));
    settled(&agent).await;
    assert_eq!(points_received(&sink), [1, 1, 4, 4, 4, 3]);
    agent.stop().await;
}
