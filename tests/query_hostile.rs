//! Queries that are meant to do harm, asked of the whole program: each is refused or answered
//! within seconds and bounded memory, and probes are answered meanwhile.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/process.rs"]
mod process;

use std::time::Duration;

use process::Process;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::Instant;

const AGENT: &str = "{receivers: {node: {collection_interval: 1s}}, processors: {window: }, \
    exporters: {prometheus: }, service: {pipelines: {metrics: {receivers: [node], \
    processors: [window], exporters: [prometheus]}}}}";

/// What an unoptimised program may take on a loaded machine; an optimised one takes less than
/// three seconds for each.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the program may take in all, with its test data.
const PEAK_KIB: u64 = 160 << 10;

/// The codes that a query may be answered with, whatever it is.
const CODES: [u16; 7] = [200, 400, 413, 414, 422, 431, 503];

/// An agent that remembers a few points of this host.
async fn agent() -> Process {
    let agent = Process::start(AGENT);
    let begun = Instant::now();
    while !agent.get("/api/v1/query?query=up").await.contains("\"up\"") {
        assert!(begun.elapsed() < PATIENCE, "nothing is remembered");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    agent
}

/// The status of the answer to a posted form.
async fn post(url: &str, path: &str, form: &[(&str, &str)]) -> u16 {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(form)
        .finish();
    let begun = Instant::now();
    let answer = reqwest::Client::new()
        .post(format!("{url}/api/v1/{path}"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    let took = begun.elapsed();
    let start = &form[0].1[..form[0].1.len().min(60)];
    assert!(took < PATIENCE, "{path} {start}: {took:?}");
    assert!(CODES.contains(&status), "{path} {start}: {status} {text}");
    if status != 413 {
        let answer: serde_json::Value = serde_json::from_str(&text).unwrap();
        let is_success = status == 200;
        assert_eq!(answer["status"] == "success", is_success, "{start}: {text}");
        assert_eq!(answer["error"].is_string(), !is_success, "{start}: {text}");
    }
    status
}

#[tokio::test]
async fn no_text_takes_the_agent_down() {
    let agent = agent().await;
    let url = agent.url();
    let f = async |query: &str, codes: &[u16]| {
        let status = post(url, "query", &[("query", query)]).await;
        let start = &query[..query.len().min(60)];
        assert!(codes.contains(&status), "{start}: {status}");
    };
    let deep = |open: &str, middle: &str, close: &str| {
        let (open, close) = (open.repeat(10_000), close.repeat(10_000));
        format!("{open}{middle}{close}")
    };
    // A form is a little longer than its text, so that the longest of these find no room.
    f(&deep("(", "up", ")"), &[400]).await;
    f(&deep("(", "", ""), &[400]).await;
    f(&deep("-", "up", ""), &[400]).await;
    f(&deep("abs(", "up", ")"), &[400, 413]).await;
    f(&deep("", "1", "+1"), &[400, 413]).await;
    f(&deep("sum(", "up", ""), &[400, 413]).await;
    f(&deep("{", "up", "}"), &[400, 413]).await;
    f(&deep("", "up", "[5m:]"), &[400, 413]).await;
    f(&"(".repeat(20_000), &[400]).await;
    f(&"x".repeat(60_000), &[200]).await;
    f(&"x".repeat(1 << 20), &[413]).await;
    f(&format!("up{{a=\"{}\"}}", "x".repeat(1 << 20)), &[413]).await;
    f(&format!("up{{a=\"{}\"}}", "x".repeat(60_000)), &[200]).await;
    for regex in [
        "(a+)+$",
        "(((a{1000}){1000}){1000}){1000}",
        "(?i)[\\p{L}]{1,1000}",
        "(x+x+)+y",
        "((((((((((a?){9}){9}){9}){9}){9}){9}){9}){9}){9}){9}",
    ] {
        f(&format!("{{__name__=~{regex:?}}}"), &[200, 400, 422]).await;
        let many = format!(
            "{{__name__=~\".+\",{}}}",
            format!("a=~{regex:?},").repeat(100)
        );
        f(&many, &[200, 400, 422]).await;
    }
    // More steps than there are microseconds in a million years.
    f("max_over_time(up[100000d:1ms])", &[422]).await;
    f("sum_over_time(up[290y])", &[200]).await;
    f(
        "max_over_time(max_over_time(max_over_time(up[1d:1s])[1d:1s])[1d:1s])",
        &[200, 422, 503],
    )
    .await;
    f("count_values(\"x\", {__name__=~\".+\"})", &[200]).await;
    f(
        "{__name__=~\".+\"} * on() group_left() {__name__=~\".+\"}",
        &[422],
    )
    .await;
    f(
        "label_replace(up, \"a\", \"$1$1$1$1\", \"job\", \"(.*)\")",
        &[200],
    )
    .await;
    for at in ["1e300", "-1e300", "99999999999999999999", "NaN", "Inf"] {
        f(&format!("up @ {at}"), &[200, 400]).await;
        f(&format!("up offset {at}"), &[200, 400]).await;
    }
    let whole = "sum by (a, \"b\") (rate(up{job=~\"n.*\", a!=\"\"}[5m:30s] offset -1m @ end())) \
                 / on (a) group_left (c) (up or vector(0x1F)) > bool 1e3 # the end";
    for end in (0..whole.len()).step_by(3) {
        f(&whole[..end], &[200, 400, 422]).await;
    }
    let status = post(
        url,
        "query_range",
        &[
            ("query", "up"),
            ("start", "0"),
            ("end", "1e12"),
            ("step", "1"),
        ],
    )
    .await;
    assert_eq!(status, 400);
    let matches = vec![("match[]", "{a=~\"(b{99}){9}\"}"); 800];
    for path in ["series", "labels"] {
        assert_eq!(post(url, path, &matches).await, 400, "{path}");
    }
    let peak = agent.peak_kib();
    assert!(peak < PEAK_KIB, "{peak} KiB");
    agent.stop().await;
}

/// What a query makes on its way is counted as what it answers is.
#[tokio::test]
async fn nothing_that_a_query_makes_takes_the_agent_down() {
    let agent = agent().await;
    let url = agent.url();
    let f = async |query: &str, codes: &[u16]| {
        let form = [("query", query), ("timeout", "2s")];
        let status = post(url, "query", &form).await;
        let start = &query[..query.len().min(60)];
        assert!(codes.contains(&status), "{start}: {status}");
    };
    let nested = |call: &str, times: usize| {
        let (open, close) = ("label_replace(".repeat(times), call.repeat(times));
        format!("count({open}up{close})")
    };
    // Ten times as long at each: ten gigabytes in the end.
    let longer = r#","a","$1$1$1$1$1$1$1$1$1$1","a","(.*)")"#;
    let text = r#","a","0123456789","job",".*")"#;
    let grows = nested(longer, 10).replace("(up,", &format!("(label_replace(up{text},"));
    f(&grows, &[422]).await;
    let sources = ",\"job\"".repeat(1_500);
    let separator = "s".repeat(15_000);
    let join = format!("label_join({{__name__=~\".+\"}},\"b\",\"{separator}\"{sources})");
    f(&format!("count({join})"), &[422]).await;
    f(
        "count_over_time(quantile_over_time(time(), up[1m])[2m:1ms])",
        &[200, 422, 503],
    )
    .await;
    f(&nested(r#","a","b","job","(.{9}){99}")"#, 230), &[400]).await;
    // The ends of each group are kept for each state.
    let groups = "(a)".repeat(5_000);
    f(&format!("up{{a=~\"{groups}\"}}"), &[400]).await;
    f(
        &nested(&format!(",\"a\",\"b\",\"job\",\"{groups}\")"), 1),
        &[400],
    )
    .await;
    let classes = format!(r#"a=~"{}","#, r"\\pL".repeat(20));
    f(&format!("up{{{}}}", classes.repeat(200)), &[400]).await;
    f(
        r#"count(label_replace({__name__=~".+"},"z","$1","__name__","((a|b|c){0,99}.*){30}"))"#,
        &[200, 422, 503],
    )
    .await;
    let names: Vec<String> = (0..7_000).map(|number| format!("a{number}")).collect();
    let names = names.join(",");
    f(&format!("sum by ({names}) ({{__name__=~\".+\"}})"), &[200]).await;
    f(
        &format!("sum without ({names}) ({{__name__=~\".+\"}})"),
        &[200, 422],
    )
    .await;
    f(
        "count({__name__=~\".+\"} and on () {__name__=~\".+\"})",
        &[200],
    )
    .await;
    let status = post(
        url,
        "query_range",
        &[
            ("query", "count_values(\"v\", vector(time()))"),
            ("start", "0"),
            ("end", "86340"),
            ("step", "60"),
        ],
    )
    .await;
    assert_eq!(status, 200);
    let peak = agent.peak_kib();
    assert!(peak < PEAK_KIB, "{peak} KiB");
    agent.stop().await;
}

#[tokio::test]
async fn heads_and_forms_of_a_mebibyte_are_refused() {
    let agent = agent().await;
    let address = agent.url().strip_prefix("http://").unwrap().to_owned();
    let long = "x".repeat(1 << 20);
    for (request, codes) in [
        (
            format!("GET /api/v1/query?query={long} HTTP/1.1\r\n"),
            ["414", "431"],
        ),
        (
            format!("GET /api/v1/query?query=up HTTP/1.1\r\nx: {long}\r\n"),
            ["414", "431"],
        ),
        (
            format!(
                "POST /api/v1/series HTTP/1.1\r\nhost: x\r\ncontent-length: 1048585\r\n\r\nmatch[]={long}"
            ),
            ["413", "413"],
        ),
    ] {
        let (mut read, mut write) = TcpStream::connect(&address).await.unwrap().into_split();
        // The server answers as soon as it knows, and doesn't take the rest.
        let sent = tokio::spawn(async move { write.write_all(request.as_bytes()).await });
        let mut answer = Vec::new();
        let _ = read.read_to_end(&mut answer).await;
        let _ = sent.await.unwrap();
        let answer = String::from_utf8_lossy(&answer);
        let code = answer.split(' ').nth(1).unwrap_or_default();
        assert!(codes.contains(&code), "{answer:?}");
    }
    agent.stop().await;
}

#[tokio::test]
async fn a_crowd_of_heavy_queries_waits_and_keeps_no_probe_out() {
    let agent = agent().await;
    let url = agent.url().to_owned();
    let heavy = "sum_over_time(count_values_of[1h:1s])".replace("count_values_of", "up");
    let ends = ("start", "end");
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (start, end) = ((now - 3_000).to_string(), now.to_string());
    let crowd: Vec<_> = (0..40)
        .map(|_| {
            let (url, heavy) = (url.clone(), heavy.clone());
            let (start, end) = (start.clone(), end.clone());
            tokio::spawn(async move {
                let form = [
                    ("query", heavy.as_str()),
                    (ends.0, &*start),
                    (ends.1, &*end),
                    ("step", "1"),
                    ("timeout", "5s"),
                ];
                post(&url, "query_range", &form).await
            })
        })
        .collect();
    while crowd.iter().any(|asked| !asked.is_finished()) {
        assert_eq!(agent.get("/livez").await, "alive\n");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for asked in crowd {
        assert!([200, 503].contains(&asked.await.unwrap()));
    }
    let in_flight = agent.own("foghorn_query_in_flight").await;
    assert!(
        in_flight.iter().all(|(_, count)| *count == 0.0),
        "{in_flight:?}"
    );
    let peak = agent.peak_kib();
    assert!(peak < PEAK_KIB, "{peak} KiB");
    agent.stop().await;
}
