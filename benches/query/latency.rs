//! How long senders and probes wait while heavy queries run, and while none do.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use super::history::points_of_now;
use super::peer::Client;
use super::process::Process;
use super::{Asked, middle};

/// Between two requests, and between two probes.
const INTERVAL: Duration = Duration::from_millis(20);

/// Times that senders are measured with queries, and without.
const PHASES: usize = 3;

/// As many as find places.
const CLIENTS: usize = 2;

/// What was waited in one phase, in milliseconds.
struct Waits {
    /// The 99th percentile of requests.
    ingest: f64,
    /// The 98th percentile of probes.
    livez: f64,
    /// Queries that were answered meanwhile.
    queries: usize,
}

/// Prints both for phases that alternate, `seconds` each.
pub(crate) fn measure(process: &Process, receiver: &str, heavy: &[Asked], seconds: u64) {
    let own = process.own_address();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..PHASES {
        without.push(phase(&own, receiver, &[], seconds));
        with.push(phase(&own, receiver, heavy, seconds));
    }
    let median = |waits: &[Waits], of: fn(&Waits) -> f64| {
        let mut waits: Vec<f64> = waits.iter().map(of).collect();
        waits.sort_by(f64::total_cmp);
        middle(&waits)
    };
    let answered: usize = with.iter().map(|waits| waits.queries).sum();
    println!("\n{answered} queries were answered by {CLIENTS} clients.");
    println!("\n| waited | with queries, ms | without, ms | ratio |\n|---|---|---|---|");
    for (what, of) in [
        (
            "1,000 points by OTLP, 99th percentile",
            (|waits| waits.ingest) as fn(&Waits) -> f64,
        ),
        ("`/livez`, 98th percentile", |waits| waits.livez),
    ] {
        let (with, without) = (median(&with, of), median(&without, of));
        println!(
            "| {what} | {with:.2} | {without:.2} | {:.2} |",
            with / without
        );
    }
}

fn phase(own: &str, receiver: &str, heavy: &[Asked], seconds: u64) -> Waits {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ask = |client: usize| {
            let mut agent = Client::new(own.to_owned());
            let mut answered = 0;
            let mut queries = heavy.iter().cycle().skip(client);
            while !over.load(Ordering::Relaxed)
                && let Some((path, form)) = queries.next()
            {
                let form: Vec<_> = form.iter().map(|(k, v)| (*k, v.as_str())).collect();
                agent.fetch(path, &form);
                answered += 1;
            }
            answered
        };
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| scope.spawn(move || ask(client)))
            .collect();
        let probes = scope.spawn(|| {
            let mut agent = Client::new(own.to_owned());
            paced(seconds, 98, || (), |()| agent.text("/livez"))
        });
        let mut sender = Client::new(receiver.to_owned());
        let kind = "application/x-protobuf";
        let ingest = paced(seconds, 99, points_of_now, |request| {
            sender.post("/v1/metrics", kind, &[], &request);
        });
        over.store(true, Ordering::Relaxed);
        let answered = clients.into_iter().map(|client| client.join().unwrap());
        Waits {
            ingest,
            queries: answered.sum(),
            livez: probes.join().unwrap(),
        }
    })
}

/// A percentile of what something takes that is done at each interval, in milliseconds.
fn paced<T, R>(
    seconds: u64,
    percent: usize,
    mut prepare: impl FnMut() -> T,
    mut done: impl FnMut(T) -> R,
) -> f64 {
    let begun = Instant::now();
    let mut waits = Vec::new();
    let mut next = begun;
    while next < begun + Duration::from_secs(seconds) {
        #[expect(
            clippy::disallowed_methods,
            reason = "a sender's own thread, which has nothing else to do"
        )]
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
        let prepared = prepare();
        let sent = Instant::now();
        let result = done(prepared);
        waits.push(sent.elapsed().as_secs_f64() * 1e3);
        drop(result);
        next = (next + INTERVAL).max(Instant::now());
    }
    waits.sort_by(f64::total_cmp);
    waits[(waits.len() * percent).div_ceil(100) - 1]
}
