use std::sync::Mutex;
use std::time::Duration;

use tokio::time::{advance, sleep, timeout};

use super::super::testing::{RecordingIntake, controller};
use super::*;
use crate::component::{ComponentState, Health};
use crate::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::receivers::scrape::{
    FailureReason, NextPoll, Nudge, PartFailure, Poll, PollReason, PollSettings, Reach, Scrape,
    ScrapeSeries, Scraper, TargetIdentity, UnusableEntry,
};
use crate::resilience::{Endpoint, EndpointId, Endpoints, Force};

mod discovered;

/// A scraper that takes `takes` for each poll, then returns what the script says.
struct Scripted {
    polls: Arc<Mutex<Vec<Instant>>>,
    takes: Duration,
    answer: fn(usize) -> Scrape,
}

impl Scraper for Scripted {
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        let now = poll.now;
        Box::pin(async move {
            let poll = {
                let mut polls = self.polls.lock().unwrap();
                polls.push(now.monotonic);
                polls.len()
            };
            sleep(self.takes).await;
            let scrape = (self.answer)(poll);
            if scrape.up() {
                out.metric(
                    MetricKind::Gauge,
                    MetricDescriptor {
                        name: "poll",
                        unit: "",
                        description: "",
                    },
                );
                out.number(NumberPointData {
                    attributes: &[],
                    start: None,
                    time: now.wall,
                    value: Some(PointNumber::Int(poll as i64)),
                });
            }
            scrape
        })
    }
}

struct Rig {
    polls: Arc<Mutex<Vec<Instant>>>,
    intake: Arc<RecordingIntake>,
    health: Health,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

fn rig(takes: Duration, answer: fn(usize) -> Scrape) -> Rig {
    rig_with(|polls| {
        Box::new(Scripted {
            polls: Arc::clone(polls),
            takes,
            answer,
        })
    })
}

fn rig_with(scraper: impl FnOnce(&Arc<Mutex<Vec<Instant>>>) -> Box<dyn Scraper>) -> Rig {
    let polls = Arc::default();
    let intake = Arc::new(RecordingIntake::default());
    let health = Health::new();
    let target = Target {
        endpoint: "http://localhost:9000".into(),
        identity: Arc::new(TargetIdentity::new("scripted", "http://localhost:9000")),
        reach: Reach::Remote,
        pace: PollSettings::default().pace(),
        series: ScrapeSeries::Own,
        advice: "set the endpoint".into(),
        nudge: Nudge::default(),
        scraper: scraper(&polls),
    };
    let stop = CancellationToken::new();
    let targets = vec![target];
    let receiver = controller("scripted", Arc::clone(&intake), health.clone(), targets);
    Rig {
        polls,
        intake,
        health,
        task: tokio::spawn(receiver.run(stop.clone())),
        stop,
    }
}

fn refused() -> PartFailure {
    PartFailure::new("/mixnodes", FailureReason::Refused, "connection refused")
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_overruns_its_interval_skips_ticks_and_keeps_the_phase() {
    let rig = rig(Duration::from_secs(20), |_| Scrape::whole(Ok(())));
    let begun = Instant::now();
    sleep(Duration::from_secs(200)).await;
    let polls = rig.polls.lock().unwrap().clone();
    assert!(polls[0] - begun < Duration::from_secs(1));
    let gaps: Vec<u64> = polls[1..]
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).as_secs())
        .collect();
    assert!(
        gaps.len() >= 4 && gaps.iter().all(|gap| *gap == 30),
        "every second tick of 15 s: {gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_cancels_a_fetch_at_once() {
    let rig = rig(Duration::from_secs(1_000_000), |_| Scrape::whole(Ok(())));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(rig.polls.lock().unwrap().len(), 1, "it hangs");
    let begun = Instant::now();
    rig.stop.cancel();
    rig.task.await.unwrap();
    assert_eq!(Instant::now(), begun);
    assert!(rig.intake.batches().is_empty());
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_left_out_are_counted_by_reason_from_zero() {
    let rig = rig(Duration::ZERO, |poll| {
        let entries = [
            (UnusableEntry::Limit, 0),
            (UnusableEntry::Invalid, poll as u64),
        ];
        Scrape::parts(1, Vec::new()).rejecting(entries)
    });
    while rig.intake.batches().len() < 3 {
        sleep(Duration::from_secs(1)).await;
    }
    let series = rig.intake.last();
    let of =
        |reason: &str| series[&format!("scrape_entries_rejected_total{{reason=\"{reason}\"}}")];
    assert_eq!((of("limit"), of("invalid")), (0.0, 6.0));
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_counted_and_said_and_the_rest_is_delivered() {
    let rig = rig(Duration::from_secs(3), |poll| match poll {
        1 => Scrape::parts(2, vec![refused()]),
        2 => Scrape::parts(2, vec![refused(), refused()]),
        _ => Scrape::parts(2, Vec::new()),
    });
    let next = async |count: usize| {
        while rig.intake.batches().len() < count {
            sleep(Duration::from_millis(100)).await;
        }
        rig.intake.last()
    };
    let series = next(1).await;
    assert_eq!(series["up"], 1.0, "one part is data");
    assert_eq!(series["poll"], 1.0);
    assert_eq!(series["scrape_parts_failed"], 1.0);
    assert_eq!(series["scrape_samples_scraped"], 1.0);
    assert_eq!(series["scrape_duration_seconds"], 3.0);
    assert_eq!(series["scrape_failures_total{reason=\"refused\"}"], 1.0);
    assert_eq!(series["scrape_failures_total{reason=\"timeout\"}"], 0.0);

    assert_eq!(rig.health.reports()[0].state, ComponentState::Degraded);

    let series = next(2).await;
    assert_eq!(series["up"], 0.0);
    assert!(!series.contains_key("poll"), "no invented value");
    assert_eq!(series["scrape_samples_scraped"], 0.0);
    assert_eq!(series["scrape_failures_total{reason=\"refused\"}"], 3.0);
    let report = rig.health.reports().remove(0);
    assert_eq!(report.state, ComponentState::Failing);
    assert_eq!(
        report.last_error.unwrap(),
        "connection refused (/mixnodes, /mixnodes)"
    );

    assert_eq!(next(3).await["up"], 1.0);
    assert_eq!(rig.health.reports()[0].state, ComponentState::Working);
}

#[tokio::test(start_paused = true)]
async fn a_refused_admission_skips_the_scrape_and_is_counted() {
    let rig = rig(Duration::ZERO, |_| Scrape::whole(Ok(())));
    rig.intake.refuse(Some("memory_limit"));
    sleep(Duration::from_secs(2)).await;
    assert!(rig.polls.lock().unwrap().is_empty(), "nothing was asked");
    assert_eq!(
        rig.health.reports()[0].last_error.as_deref(),
        Some("scrape skipped: memory_limit (http://localhost:9000)")
    );
    rig.intake.refuse(None);
    advance(Duration::from_secs(30)).await;
    timeout(Duration::from_secs(30), async {
        while rig.intake.batches().is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    let series = rig.intake.last();
    assert_eq!(series["scrape_failures_total{reason=\"limit\"}"], 1.0);
}

/// A scraper that asks a breaker before each poll, then returns what the script says.
struct Guarded {
    inner: Scripted,
    endpoint: Arc<Endpoint>,
}

impl Scraper for Guarded {
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        self.inner.scrape(poll, out)
    }

    fn wish(&self) -> Option<NextPoll> {
        let at = self.endpoint.breaker().wake_at()?;
        Some(NextPoll {
            at,
            reason: PollReason::Breaker,
        })
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        vec![Arc::clone(&self.endpoint)]
    }
}

#[tokio::test(start_paused = true)]
async fn a_poller_hears_when_somebody_else_changes_its_breaker() {
    let endpoints = Endpoints::new(1, CancellationToken::new());
    let id = EndpointId::new("scripted", "http://localhost:9000");
    let endpoint = endpoints.breaker(id, Default::default()).unwrap();
    let scripted = |polls: &Arc<_>| Scripted {
        polls: Arc::clone(polls),
        takes: Duration::ZERO,
        answer: |_| Scrape::whole(Ok(())),
    };
    let rig = rig_with(|polls| {
        Box::new(Guarded {
            inner: scripted(polls),
            endpoint: Arc::clone(&endpoint),
        })
    });
    sleep(Duration::from_secs(40)).await;
    let before = rig.polls.lock().unwrap().len();
    let now = Instant::now();
    endpoint.breaker().force(Force::Reset, now);
    sleep(Duration::from_millis(1)).await;
    let polls = rig.polls.lock().unwrap().clone();
    assert_eq!(polls.get(before), Some(&now), "not at its next tick");
}
