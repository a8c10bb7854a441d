//! Ten thousand targets that were found, and what each of them holds while it waits for its poll:
//! resident memory of this process before and after, so nothing else may run in it.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic")]

use std::sync::Arc;
use std::time::Duration;

use foghorn::component::{Admission, BuildContext, Intake, Origin, Receiver, Refusal};
use foghorn::pdata::writer::MetricsWriter;
use foghorn::receivers::scrape::{
    Candidate, Controller, Discovery, FirstPoll, Nudge, Poll, PollPace, Reach, Scrape,
    ScrapeSeries, Scraper, Target, TargetIdentity, TargetSets,
};
use foghorn::telemetry::Telemetry;
use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

const TARGETS: usize = 10_000;

/// What an idle target may hold: its task, its schedule, its line on `/health`, its identity and
/// the spec that it was made from. Its guard and what its scraper remembers come on top.
const BOUND: usize = 3_072;

/// Twice as many as may be polled.
struct Many;

#[derive(Hash)]
struct Spec(usize);

struct Waiting;

struct Nowhere;

impl Discovery for Many {
    fn run(self: Box<Self>, sets: TargetSets, _: CancellationToken) -> BoxFuture<'static, ()> {
        let specs = (0..2 * TARGETS).map(|index| Candidate::new(Spec(index), Spec::target));
        sets.set("many", specs.collect());
        Box::pin(std::future::ready(()))
    }
}

impl Spec {
    fn target(&self) -> Target {
        let instance = format!("node-{}.example.org:9100", self.0);
        Target {
            endpoint: format!("http://{instance}/metrics").into(),
            identity: Arc::new(TargetIdentity::new("node", instance)),
            reach: Reach::Remote,
            pace: PollPace {
                interval: Duration::from_secs(24 * 3600),
                timeout: Duration::from_secs(10),
                first: FirstPoll::After(Duration::from_secs(3600)),
            },
            series: ScrapeSeries::Prometheus,
            advice: "".into(),
            nudge: Nudge::default(),
            scraper: Box::new(Waiting),
        }
    }
}

impl Scraper for Waiting {
    fn scrape<'a>(&'a mut self, _: Poll, _: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        unreachable!("its first poll is in an hour")
    }
}

impl Intake for Nowhere {
    fn try_admit(&self, _: Origin, _: u64) -> Result<Box<dyn Admission>, Refusal> {
        unreachable!("nothing is polled")
    }
}

#[tokio::test]
async fn an_idle_target_holds_at_most_three_kibibytes() {
    let context = BuildContext::standalone("many".parse().unwrap(), Telemetry::off());
    let controller = Controller::new(&context, Arc::new(Nowhere), Vec::new());
    let receiver = Box::new(controller.discovering(Box::new(Many), TARGETS));
    let before = resident();
    let stop = CancellationToken::new();
    let task = tokio::spawn(receiver.run(stop.clone()));
    while context.endpoints.pollers().count() < TARGETS as u64 {
        tokio::task::yield_now().await;
    }
    let each = (resident() - before) / TARGETS;
    println!("{each} bytes for each of {TARGETS} targets");
    assert!((500..=BOUND).contains(&each), "{each} bytes");
    assert_eq!(context.health.reports().len(), TARGETS);
    stop.cancel();
    task.await.unwrap();
    assert_eq!(context.endpoints.pollers().count(), 0);
    assert!(context.health.dead_tasks().is_empty());
}

/// Resident memory in bytes.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    let kibibytes: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kibibytes * 1_024
}
