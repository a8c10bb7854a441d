use std::sync::Arc;

use super::*;
use crate::yaml::{Diagnostics, parse};

fn read(text: &str) -> Result<Option<Cors>, String> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
    let read = PlacedNode::root(&node, &diagnostics).read::<CorsKey>();
    match diagnostics.problems().first() {
        Some(problem) => Err(problem.to_string()),
        None => Ok(read.unwrap().0),
    }
}

fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
    let pairs = pairs.iter();
    pairs
        .map(|(name, value)| (name.clone(), value.parse().unwrap()))
        .collect()
}

fn preflight(cors: &Cors, origin: &str, method: &str, wanted: &str) -> HeaderMap {
    let asked = headers(&[
        (ORIGIN, origin),
        (ACCESS_CONTROL_REQUEST_METHOD, method),
        (ACCESS_CONTROL_REQUEST_HEADERS, wanted),
    ]);
    let response = cors.preflight(&Method::OPTIONS, &asked).unwrap();
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
    response.headers().clone()
}

#[test]
fn an_origin_is_allowed_by_its_pattern_and_told_so() {
    let cors = "{allowed_origins: ['https://app.example', 'https://*.fog.example:8443']}";
    let cors = read(cors).unwrap().unwrap();
    let f = |origin: &str, allowed: bool| {
        let answered = preflight(&cors, origin, "POST", "content-type");
        let told = answered.get(ACCESS_CONTROL_ALLOW_ORIGIN);
        let told = told.map(|value| value.to_str().unwrap());
        assert_eq!(told, allowed.then_some(origin), "{origin}");
        let credentials = answered.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        assert_eq!(credentials, allowed);
        let mut marked = HeaderMap::new();
        cors.mark(&headers(&[(ORIGIN, origin)]), &mut marked);
        assert_eq!(marked.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), allowed);
        assert_eq!(marked[VARY], "origin", "caches tell the origins apart");
    };
    f("https://app.example", true);
    f("HTTPS://App.Example", true);
    f("https://a.fog.example:8443", true);
    f("https://a.fog.example", false);
    f("https://fog.example:8443", false);
    f("http://app.example", false);
    f("https://app.example.evil", false);
    f("null", false);
}

#[test]
fn everybody_is_answered_with_a_star_and_without_credentials() {
    let cors = read("{allowed_origins: ['*'], max_age: 600}")
        .unwrap()
        .unwrap();
    let answered = preflight(&cors, "https://any.example", "POST", "content-type");
    assert_eq!(answered[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(answered[ACCESS_CONTROL_MAX_AGE], "600");
    assert_eq!(answered[ACCESS_CONTROL_ALLOW_METHODS], "POST");
    assert!(!answered.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
}

#[test]
fn only_the_headers_that_are_allowed_may_be_sent() {
    let f = |keys: &str, wanted: &str, allowed: bool| {
        let text = format!("{{allowed_origins: ['*'], {keys}}}");
        let cors = read(&text).unwrap().unwrap();
        let answered = preflight(&cors, "https://a.example", "POST", wanted);
        let told = answered.get(ACCESS_CONTROL_ALLOW_HEADERS);
        assert_eq!(told.is_some(), allowed, "{keys} {wanted}");
        assert!(told.is_none_or(|told| told == wanted));
    };
    f("", "content-type", true);
    f("", "Content-Type, X-Requested-With", true);
    f("", "x-tenant", false);
    f("allowed_headers: [X-Tenant]", "content-type,x-tenant", true);
    f("allowed_headers: [X-Tenant]", "authorization", false);
    f("allowed_headers: ['*']", "authorization", true);
}

#[test]
fn only_a_post_is_allowed_and_only_a_preflight_is_answered() {
    let cors = read("{allowed_origins: ['*'], exposed_headers: [x-a, x-b]}");
    let cors = cors.unwrap().unwrap();
    let answered = preflight(&cors, "https://a.example", "DELETE", "accept");
    assert!(!answered.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));
    let plain = headers(&[(ORIGIN, "https://a.example")]);
    assert!(cors.preflight(&Method::OPTIONS, &plain).is_none());
    assert!(cors.preflight(&Method::POST, &plain).is_none());
    let mut marked = HeaderMap::new();
    cors.mark(&plain, &mut marked);
    assert_eq!(marked[ACCESS_CONTROL_EXPOSE_HEADERS], "x-a, x-b");
}

#[test]
fn what_is_written_wrong_is_told_and_no_origin_is_no_cors() {
    assert!(read("{allowed_headers: [x-a]}").unwrap().is_none());
    let f = |text: &str, expected: &str| assert_eq!(read(text).unwrap_err(), expected);
    f(
        "{allowed_origins: ['https://*.a.*']}",
        "t:1:20: allowed_origins::0: an origin has one `*` at the most",
    );
    f(
        "{allowed_headers: ['a b']}",
        "t:1:20: allowed_headers::0: `a b` is no header name",
    );
}
