//! What a breaker costs the calls that it guards, beside the crates `failsafe` and
//! `recloser` in the same run.
//!
//! ```sh
//! cargo bench --bench breaker
//! ```
//!
//! `admission` is the question alone: may I? `call` is the question, a call that does
//! nothing and succeeds, and the answer. Foghorn's breaker takes the time from its caller,
//! who has read the clock once for a whole poll; `foghorn, own clock` reads it for each
//! call, as the others do by themselves. Threads share one breaker. Figures are CPU time
//! for one operation, which other programs on the machine disturb less than wall time; but
//! for `page`, which is one of the agent's own pages for so many endpoints.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use failsafe::CircuitBreaker as _;
use foghorn::breakers::BreakerWatch;
use foghorn::exposition;
use foghorn::resilience::{
    Breaker, BreakerSettings, Completion, EndpointId, Endpoints, Outcome, Settings,
};
use foghorn::telemetry::{self, Telemetry};
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

const DONE: Completion = Completion::new(Outcome::Success, Duration::from_micros(50));

fn admission(c: &mut Criterion) {
    let mut group = c.benchmark_group("admission");
    let now = Instant::now();
    let breaker = Breaker::new(BreakerSettings::default(), 1, now);
    let failsafe = failsafe::Config::new().build();
    for threads in threads() {
        group.bench_function(BenchmarkId::new("foghorn", threads), |b| {
            b.iter_custom(|count| {
                together(threads, count, || {
                    let _ = black_box(breaker.acquire(black_box(now)));
                })
            });
        });
        group.bench_function(BenchmarkId::new("failsafe", threads), |b| {
            b.iter_custom(|count| {
                together(threads, count, || {
                    black_box(failsafe.is_call_permitted());
                })
            });
        });
    }
    group.finish();
}

fn call(c: &mut Criterion) {
    let mut group = c.benchmark_group("call");
    let now = Instant::now();
    let breaker = Breaker::new(BreakerSettings::default(), 1, now);
    let failsafe = failsafe::Config::new().build();
    let recloser = recloser::Recloser::custom().build();
    let work = || black_box(Ok::<u32, u32>(1));
    for threads in threads() {
        group.bench_function(BenchmarkId::new("foghorn", threads), |b| {
            b.iter_custom(|count| {
                together(threads, count, || {
                    if let Ok(permit) = breaker.acquire(black_box(now)) {
                        let _ = work();
                        permit.record(now, black_box(DONE));
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("foghorn, own clock", threads), |b| {
            b.iter_custom(|count| {
                together(threads, count, || {
                    let now = clock();
                    if let Ok(permit) = breaker.acquire(now) {
                        let _ = work();
                        permit.record(now, black_box(DONE));
                    }
                })
            });
        });
        group.bench_function(BenchmarkId::new("failsafe", threads), |b| {
            b.iter_custom(|count| {
                together(threads, count, || {
                    let _ = black_box(failsafe.call(work));
                })
            });
        });
        group.bench_function(BenchmarkId::new("recloser", threads), |b| {
            b.iter_custom(|count| {
                together(threads, count, || {
                    let _ = black_box(recloser.call(work));
                })
            });
        });
    }
    group.finish();
}

/// Rejection by an open breaker, which is what an outage costs the callers.
fn rejection(c: &mut Criterion) {
    let now = Instant::now();
    let breaker = Breaker::new(BreakerSettings::default(), 1, now);
    for _ in 0..5 {
        if let Ok(permit) = breaker.acquire(now) {
            permit.record(now, Completion::new(Outcome::ServerError, Duration::ZERO));
        }
    }
    assert!(breaker.acquire(now).is_err());
    c.bench_function("rejection", |b| {
        b.iter(|| black_box(breaker.acquire(black_box(now)).is_err()));
    });
}

/// The agent's own page of many endpoints: observed and gathered, and with that turned into
/// what the encoder writes.
fn page(c: &mut Criterion) {
    let mut group = c.benchmark_group("page");
    group.sample_size(10);
    for count in [10, 10_000] {
        let watch = BreakerWatch::new();
        let endpoints = Endpoints::new(count, CancellationToken::new());
        let endpoints = Arc::new(endpoints.observed_by(watch.observer()));
        for index in 0..count {
            let url = format!("http://node-{index}.example.org:9100/metrics");
            let id = EndpointId::new("node", &url);
            drop(endpoints.guard::<()>(id, Settings::default()));
        }
        let Ok(telemetry) = Telemetry::new(&telemetry::TelemetrySettings::default()) else {
            return;
        };
        watch.begin(&telemetry, &endpoints, count);
        group.bench_function(BenchmarkId::new("gathered", count), |b| {
            b.iter(|| black_box(telemetry.gather_now()));
        });
        group.bench_function(BenchmarkId::new("families", count), |b| {
            b.iter(|| black_box(exposition::families(&telemetry.gather_now())));
        });
    }
    group.finish();
}

/// One, two, and as many threads as there are processors.
fn threads() -> Vec<usize> {
    let most = std::thread::available_parallelism().map_or(1, usize::from);
    let mut threads = vec![1, 2, most];
    threads.sort_unstable();
    threads.dedup();
    threads
}

/// The CPU time that each of so many threads takes for `count` operations: the longest.
fn together(threads: usize, count: u64, operation: impl Fn() + Sync) -> Duration {
    let barrier = std::sync::Barrier::new(threads);
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    barrier.wait();
                    let start = cpu_time();
                    for _ in 0..count {
                        operation();
                    }
                    cpu_time().saturating_sub(start)
                })
            })
            .collect();
        let times = running.into_iter().filter_map(|thread| thread.join().ok());
        times.max().unwrap_or_default()
    })
}

/// What this thread has used of a processor.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        u32::try_from(time.tv_nsec).unwrap_or(0),
    )
}

/// The real clock: the runtime's own also asks whether a test has paused it.
#[expect(clippy::disallowed_types, reason = "a benchmark measures real time")]
fn clock() -> Instant {
    Instant::from_std(std::time::Instant::now())
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .measurement_time(Duration::from_secs(2))
        .warm_up_time(Duration::from_millis(500));
    targets = admission, call, rejection, page
}
criterion_main!(benches);
