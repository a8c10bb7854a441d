//! A guard around requests by reqwest: breaker, timeout, retries, cache, all of it.
//!
//! ```sh
//! cargo run --example breaker_reqwest
//! ```
//!
//! The server, started here on a port of the loopback, answers, then says 503, then
//! answers again; the program polls it and prints what it was served.
#![allow(clippy::print_stdout, reason = "a demonstration prints")]

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use foghorn::resilience::{
    BreakerConfig, CacheConfig, Config, EndpointId, Endpoints, FetchError, Outcome, PollConfig,
    RetryConfig, Served, Transport, Trigger,
};
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/value", listener.local_addr()?);
    tokio::spawn(serve(listener));

    // Everything faster than in real life, so that the demonstration ends.
    let config = Config {
        breaker: BreakerConfig {
            cooldown: Some(Duration::from_secs(1)),
            ..Default::default()
        },
        retry: RetryConfig {
            max: Some(1),
            base: Some(Duration::from_millis(20)),
            ..Default::default()
        },
        cache: CacheConfig {
            ttl: Some(Duration::ZERO),
            ..Default::default()
        },
        ..Default::default()
    };
    let poll = PollConfig {
        interval: Some(Duration::from_millis(150)),
        timeout: Some(Duration::from_millis(50)),
    };

    // Cancelling the token ends every fetch; here nobody does.
    let endpoints = Endpoints::new(100, CancellationToken::new());
    let id = EndpointId::new("example", &url);
    let guard = endpoints.guard::<String>(id, config.resolve(&poll)?)?;
    let client = reqwest::Client::new();

    let mut tick = Instant::now();
    for _ in 0..36 {
        // The regular interval, or earlier where the guard has a reason.
        let wake = guard.wake_at().filter(|wake| *wake < tick);
        tokio::time::sleep_until(wake.unwrap_or(tick)).await;
        let trigger = match wake {
            Some(_) => Trigger::Wake,
            None => {
                tick += poll.interval.unwrap_or_default();
                Trigger::Tick
            }
        };
        let (client, url) = (client.clone(), url.clone());
        let served = guard
            .poll(trigger, move |_| fetch(client.clone(), url.clone()))
            .await;
        let state = guard.endpoint().breaker().state();
        match served {
            Served::New(value) => println!("{state:<12} new      {value}"),
            Served::Fresh { value, .. } => println!("{state:<12} cached   {value}"),
            Served::Stale {
                value,
                age,
                failure,
            } => println!("{state:<12} stale    {value}, {age:.1?} old: {failure}"),
            Served::Failed(failure) => println!("{state:<12} nothing  {failure}"),
        }
    }
    Ok(())
}

/// One attempt. The guard ends it at its timeout, so it needs none of its own.
async fn fetch(client: reqwest::Client, url: String) -> Result<String, FetchError> {
    let response = client
        .get(url)
        .send()
        .await
        .map_err(|error| classify(&error))?;
    let status = response.status();
    if !status.is_success() {
        let header = |name| text(response.headers(), name);
        return Err(FetchError::http_status(
            status.as_u16(),
            header(RETRY_AFTER),
            header(DATE),
        ));
    }
    response.text().await.map_err(|error| classify(&error))
}

/// An error without a status is one below HTTP, or a mistake of ours.
fn classify(error: &reqwest::Error) -> FetchError {
    let outcome = if error.is_builder() {
        Outcome::Local
    } else if error.is_timeout() {
        Outcome::Timeout
    } else if error.is_connect() {
        Outcome::Transport(Transport::Refused)
    } else if error.is_decode() {
        Outcome::Malformed
    } else {
        Outcome::Transport(Transport::Reset)
    };
    FetchError::new(outcome, error.to_string())
}

fn text(headers: &HeaderMap, name: reqwest::header::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A server that is well, then ill from its third request to its eighth, then well.
async fn serve(listener: TcpListener) {
    let requests = AtomicU32::new(0);
    while let Ok((mut stream, _)) = listener.accept().await {
        let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
        let mut request = [0; 1_024];
        let _ = stream.read(&mut request).await;
        let (status, body) = if (3..=8).contains(&number) {
            ("503 Service Unavailable", String::new())
        } else {
            ("200 OK", format!("value {number}"))
        };
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
        );
        let _ = stream.write_all(answer.as_bytes()).await;
        sleep(Duration::from_millis(1)).await;
    }
}
