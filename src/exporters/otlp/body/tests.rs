use std::io::Write as _;

use super::*;

fn headers(content_type: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if !content_type.is_empty() {
        headers.insert(CONTENT_TYPE, content_type.parse().unwrap());
    }
    headers
}

fn body(content_type: &str, bytes: &[u8]) -> AnswerBody {
    AnswerBody::new(&headers(content_type), bytes.to_vec(), true)
}

fn partial(rejected: i64, message: &str) -> Vec<u8> {
    let partial_success = Some(PartialSuccess {
        rejected,
        error_message: message.to_owned(),
    });
    ExportResponse { partial_success }.encode_to_vec()
}

#[test]
fn a_partial_success_is_read_in_the_form_that_the_answer_says() {
    let f = |content_type: &str, bytes: &[u8], rejected: u64, remark: Option<&str>| {
        let acceptance = body(content_type, bytes).acceptance(&Secrets::default());
        let remark = remark.map(str::to_owned);
        assert_eq!(
            acceptance,
            SuccessAnswer { rejected, remark },
            "{content_type}"
        );
    };
    let protobuf = "application/x-protobuf";
    f(protobuf, &partial(3, "old"), 3, Some("old"));
    f("", &partial(3, "old"), 3, Some("old"));
    f(protobuf, &partial(-3, ""), 0, None);
    f(protobuf, b"", 0, None);
    let json = br#"{"partialSuccess": {"rejectedDataPoints": "3", "errorMessage": "old"}}"#;
    f("application/json", json, 3, Some("old"));
    f("Application/JSON; charset=utf-8", json, 3, Some("old"));
    let json = br#"{"partialSuccess": {"rejectedSpans": 4}}"#;
    f("application/json", json, 4, None);
    let json = br#"{"partial_success": {"rejected_log_records": 5}}"#;
    f("application/json", json, 5, None);
    for nothing in [&b"{}"[..], br#"{"partialSuccess":{}}"#, b"null", b""] {
        f("application/json", nothing, 0, None);
    }
}

#[test]
fn an_answer_that_can_not_be_read_is_a_success_with_a_remark() {
    let f = |content_type: &str, bytes: &[u8], expected: &str| {
        let SuccessAnswer { rejected, remark } =
            body(content_type, bytes).acceptance(&Secrets::default());
        assert_eq!(rejected, 0);
        assert_eq!(
            remark.as_deref(),
            Some(expected),
            "{content_type} {bytes:?}"
        );
    };
    f(
        "application/x-protobuf",
        b"\xff",
        "its answer can't be read",
    );
    f("application/json", b"{", "its answer can't be read");
    let odd = "its answer is neither protobuf nor JSON, so what it says is unknown";
    f("text/plain", b"ok", odd);
    // Flask labels a plain "ok" like this.
    f("text/html; charset=utf-8", b"ok", odd);
}

#[test]
fn the_count_of_a_partial_success_stands_even_where_its_message_is_too_long() {
    let mut framed = vec![0, 0, 0, 0, 0];
    framed.extend(partial(3, &"x".repeat(70 * 1024)));
    let length = u32::try_from(framed.len() - 5).unwrap();
    framed[1..5].copy_from_slice(&length.to_be_bytes());
    framed.truncate(MAX_KEPT);
    let acceptance = AnswerBody::of_grpc(framed, 5, b"").acceptance(&Secrets::default());
    assert_eq!(acceptance.rejected, 3);
    assert_eq!(acceptance.remark, Some(format!("{}...", "x".repeat(200))));
}

/// A message in its frame, marked as compressed.
fn compressed_frame(message: &[u8]) -> Vec<u8> {
    let mut framed = vec![1];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    framed
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(message).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_compressed_answer_of_grpc_says_what_it_says_without_compression() {
    let zstd = |message: &[u8]| zstd::encode_all(message, 0).unwrap();
    let f = |encoding: &str, message: Vec<u8>, rejected: u64, remark: Option<&str>| {
        let body = AnswerBody::of_grpc(compressed_frame(&message), 5, encoding.as_bytes());
        let expected = SuccessAnswer {
            rejected,
            remark: remark.map(str::to_owned),
        };
        assert_eq!(body.acceptance(&Secrets::default()), expected, "{encoding}");
    };
    // What the Collector answers to a request of which it took everything.
    f("gzip", gzip(b"\n\0"), 0, None);
    f("zstd", zstd(b"\n\0"), 0, None);
    f("gzip", gzip(&partial(3, "old")), 3, Some("old"));
    f("zstd", zstd(&partial(3, "old")), 3, Some("old"));
    f("gzip", gzip(b""), 0, None);
    let unread = Some("its answer is compressed in a way that can't be read");
    f("snappy", partial(3, "old"), 0, unread);
    f("", gzip(&partial(3, "old")), 0, unread);
    f("gzip", b"\x1f\x8b".to_vec(), 0, unread);
}

#[test]
fn an_answer_that_inflates_without_end_is_kept_up_to_the_bound() {
    let bomb = gzip(&partial(3, &"x".repeat(10 << 20)));
    let body = AnswerBody::of_grpc(compressed_frame(&bomb), 5, b"gzip");
    assert_eq!(body.bytes.len(), MAX_KEPT);
    assert_eq!(body.acceptance(&Secrets::default()).rejected, 3);
}

#[test]
fn every_beginning_of_an_answer_can_be_read() {
    let whole = partial(300, "m");
    for end in 0..whole.len() {
        let cut = AnswerBody::new(
            &headers("application/x-protobuf"),
            whole[..end].into(),
            false,
        );
        let rejected = cut.acceptance(&Secrets::default()).rejected;
        assert_eq!(rejected, if end >= 5 { 300 } else { 0 }, "{end}");
    }
}

#[test]
fn the_reason_of_a_refusal_is_shown_in_whatever_form_it_comes() {
    let f = |content_type: &str, bytes: &[u8], expected: &str| {
        let reason = body(content_type, bytes).reason(&Secrets::default());
        assert_eq!(reason, expected, "{content_type}");
    };
    let status = RpcStatus {
        message: "no such tenant".to_owned(),
        ..RpcStatus::default()
    };
    f("application/x-protobuf", &status.encode(), "no such tenant");
    f("", &status.encode(), "no such tenant");
    f(
        "application/json",
        br#"{"code": 16, "message": "no such tenant"}"#,
        "no such tenant",
    );
    f(
        "application/problem+json",
        br#"{"error": "no such tenant"}"#,
        r#"{"error": "no such tenant"}"#,
    );
    f(
        "text/plain; charset=utf-8",
        b"no such tenant\n",
        "no such tenant",
    );
    f("", b"no such tenant", "no such tenant");
    f("", b"", "");
    f("application/x-protobuf", b"\xff\xff", "");
    f("", b"\xff\xff", "");
}

#[test]
fn what_a_peer_says_is_shown_short_escaped_and_without_our_secrets() {
    let mut sent = HeaderMap::new();
    sent.insert("authorization", "Bearer hunter2".parse().unwrap());
    let secrets = Secrets::of(&sent);
    let f = |text: &str, expected: &str| {
        assert_eq!(
            body("text/plain", text.as_bytes()).reason(&secrets),
            expected
        );
    };
    f("a\nb\u{1b}[31m\u{202e}c", "a\\nb\\u{1b}[31m\\u{202e}c");
    f("`hunter2` is no token", "`[redacted]` is no token");
    f("got Bearer hunter2.", "got [redacted].");
    f(
        &"\u{e9}".repeat(1000),
        &format!("{}...", "\u{e9}".repeat(200)),
    );
    // Cutting the text off must not leave half a secret.
    let long = format!("{}hunter2", "x".repeat(197));
    f(&long, &format!("{}[re...", "x".repeat(197)));
}

#[test]
fn a_page_is_html_that_looks_like_it() {
    assert!(body("text/html; charset=utf-8", b"\n<!doctype html><title>Login").is_page());
    assert!(body("text/html", b"\xef\xbb\xbf\r\n<html>").is_page());
    assert!(!body("text/html", b"ok").is_page());
    assert!(!body("text/html", b"").is_page());
    assert!(!body("application/json", b"<").is_page());
}
