//! What a destination answered is what happened: no request is sent again once an answer to it
//! has begun, and what the answer says is heard in whatever form it comes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/agent.rs"]
mod agent;
#[path = "support/relay.rs"]
mod relay;
#[path = "support/wire.rs"]
mod wire;

use bytes::Bytes;
use foghorn::component::DropReason;
use http_body_util::Full;
use hyper::Response;
use relay::{PROTOCOLS, Reply, meet, rejecting_three};
use wire::{Trouble, trouble};

fn of_type(status: u16, content_type: &str, body: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::from(body.to_owned()))
        .unwrap()
}

fn grpc(status: &str, message: &str) -> Response<Full<Bytes>> {
    Response::builder()
        .header("grpc-status", status)
        .header("grpc-message", message)
        .body(Full::default())
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_status_is_what_happened_whatever_its_message_weighs() {
    for protocol in PROTOCOLS {
        let outcome = meet(protocol, &[|| rejecting_three(&"x".repeat(70 * 1024))]).await;
        assert_eq!((outcome.sent, outcome.points.len()), (5, 1), "{protocol}");
        assert_eq!(outcome.lost, Some((DropReason::RejectedByPeer, 3)));
    }
    let outcome = meet("grpc", &[|| rejecting_three(&"x".repeat(5 * 1024 * 1024))]).await;
    assert_eq!((outcome.sent, outcome.points.len()), (5, 1));
    // Without a message the status stands in the headers, with a text as long as it likes.
    let outcome = meet("grpc", &[|| grpc("0", "")]).await;
    assert_eq!((outcome.sent, outcome.points.len()), (8, 1));
    let outcome = meet("grpc", &[|| grpc("3", &"x".repeat(40 * 1024))]).await;
    assert_eq!(outcome.lost, Some((DropReason::Permanent, 8)));
    assert_eq!(outcome.points.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_success_whose_body_breaks_off_is_sent_and_not_sent_again() {
    for reply in [|| trouble(Trouble::Cut), || trouble(Trouble::Stall)] as [Reply; 2] {
        let outcome = meet("http", &[reply]).await;
        assert_eq!((outcome.sent, outcome.lost), (8, None));
        assert_eq!(outcome.points.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_a_status_is_counted_as_unconfirmed_and_not_sent_again() {
    for reply in [
        || trouble(Trouble::Cut),
        || trouble(Trouble::Stall),
        || grpc("ok", ""),
    ] as [Reply; 3]
    {
        let outcome = meet("grpc", &[reply]).await;
        assert_eq!(outcome.lost, Some((DropReason::Unconfirmed, 8)));
        assert_eq!((outcome.sent, outcome.points.len()), (0, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_before_any_answer_costs_an_attempt_only() {
    for protocol in PROTOCOLS {
        let outcome = meet(protocol, &[|| trouble(Trouble::HangUp)]).await;
        assert_eq!((outcome.sent, outcome.lost), (8, None), "{protocol}");
        assert_eq!(outcome.points.len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_partial_success_in_json_counts_what_it_rejects() {
    let outcome = meet(
        "http",
        &[|| {
            let answer =
                r#"{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "old"}}"#;
            of_type(200, "application/json", answer)
        }],
    )
    .await;
    assert_eq!((outcome.sent, outcome.points.len()), (5, 1));
    assert_eq!(outcome.lost, Some((DropReason::RejectedByPeer, 3)));
}

#[tokio::test(start_paused = true)]
async fn a_login_page_is_no_delivery() {
    let page = || {
        of_type(
            200,
            "text/html; charset=utf-8",
            "<!doctype html><title>Login",
        )
    };
    let outcome = meet("http", &[page]).await;
    // It comes again, and arrives once somebody has logged in.
    assert_eq!((outcome.sent, outcome.lost), (8, None));
    assert_eq!(outcome.points.len(), 2);
    assert!(outcome.said.contains("HTML page"), "{}", outcome.said);
}

#[tokio::test(start_paused = true)]
async fn why_a_peer_refuses_is_shown_whatever_form_it_says_it_in() {
    let f = async |reply: Reply, expected: &str| {
        let outcome = meet("http", &[reply]).await;
        assert_eq!(outcome.lost, Some((DropReason::Permanent, 8)));
        assert_eq!(outcome.said, expected);
    };
    f(
        || of_type(401, "application/json", r#"{"message": "no such tenant"}"#),
        "the peer answered HTTP 401: no such tenant",
    )
    .await;
    f(
        || of_type(400, "text/plain", "line 1\nBearer hunter2"),
        "the peer answered HTTP 400: line 1\\n[redacted]",
    )
    .await;
}
