//! Targets that come and go.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::component::BuildContext;
use crate::log_capture::LogCapture;
use crate::receivers::scrape::http::{Access, Asked, Document, Fetch, FetchRequest, FetchedPage};
use crate::receivers::scrape::testing::{Series, series};
use crate::receivers::scrape::{Candidate, Discovery, PollPace, Reach, TargetSets};
use crate::resilience::{self, FetchError};
use crate::telemetry::{Telemetry, TelemetrySettings};

/// Seconds.
fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A target: its instance, and the interval in seconds.
type Spec = (&'static str, u64);

/// Every poll: whose it was, when, and why.
type Polls = Arc<Mutex<Vec<(&'static str, Instant, PollReason)>>>;

/// Answers every request at once, but for an instance that hangs.
struct Pages;

impl Fetch for Pages {
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        let hangs = request.url.host_str() == Some("hangs");
        Box::pin(async move {
            if hangs {
                sleep(seconds(100_000)).await;
            }
            Ok(b"page".to_vec().into())
        })
    }
}

/// Writes one gauge for each poll that has a page.
struct Gauge {
    instance: &'static str,
    polls: Polls,
    page: Document<()>,
    shown: bool,
}

impl Gauge {
    fn write(time: std::time::SystemTime, out: &mut MetricsWriter) {
        let descriptor = MetricDescriptor {
            name: "answer",
            unit: "",
            description: "",
        };
        out.metric(MetricKind::Gauge, descriptor);
        out.number(NumberPointData {
            attributes: &[],
            start: None,
            time,
            value: Some(PointNumber::Int(42)),
        });
    }
}

impl Scraper for Gauge {
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let polled = (self.instance, poll.now.monotonic, poll.reason);
            self.polls.lock().unwrap().push(polled);
            let panics = self.instance.starts_with("panics") && self.shown;
            assert!(!panics, "as it is told to");
            if let Asked::New(()) = self.page.ask(&poll).await {
                Self::write(poll.now.wall, out);
                self.shown = true;
            }
            Scrape::whole(self.page.failure().cloned().map_or(Ok(()), Err))
        })
    }

    fn end(&mut self, now: Now, out: &mut MetricsWriter) {
        if self.shown {
            Self::write(now.wall, out);
            assert!(self.instance != "panics twice", "as it is told to");
        }
    }

    fn wish(&self) -> Option<NextPoll> {
        self.page.wish()
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        self.page.endpoint().cloned().into_iter().collect()
    }
}

/// Finds what the test says.
struct Told(mpsc::UnboundedReceiver<(&'static str, Vec<Candidate>)>);

impl Discovery for Told {
    fn run(
        mut self: Box<Self>,
        sets: TargetSets,
        stop: CancellationToken,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            while let Some(Some((group, found))) = stop.run_until_cancelled(self.0.recv()).await {
                sets.set(group, found);
            }
        })
    }
}

struct Found {
    polls: Polls,
    intake: Arc<RecordingIntake>,
    context: BuildContext,
    access: Arc<Access>,
    tell: mpsc::UnboundedSender<(&'static str, Vec<Candidate>)>,
    stop: CancellationToken,
    task: JoinHandle<()>,
    seen: usize,
}

impl Found {
    fn new(max: usize) -> Self {
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        // Every poll asks, however little after the last one it comes.
        let keys = resilience::Config {
            cache: resilience::CacheConfig {
                ttl: Some(Duration::ZERO),
                ..Default::default()
            },
            ..Default::default()
        };
        let settings = keys.resolve(&Default::default()).unwrap();
        let context = BuildContext {
            guard: Some(Arc::new(settings)),
            ..BuildContext::standalone("finder".parse().unwrap(), telemetry)
        };
        let intake = Arc::new(RecordingIntake::default());
        let (tell, told) = mpsc::unbounded_channel();
        let controller = Controller::new(&context, Arc::clone(&intake) as _, Vec::new());
        let receiver = Box::new(controller.discovering(Box::new(Told(told)), max));
        let stop = CancellationToken::new();
        Self {
            polls: Arc::default(),
            access: Access::new(&context, Arc::new(Pages)),
            task: tokio::spawn(receiver.run(stop.clone())),
            stop,
            context,
            intake,
            tell,
            seen: 0,
        }
    }

    fn find(&self, specs: &[Spec]) {
        self.find_in("g", specs);
    }

    fn find_in(&self, group: &'static str, specs: &[Spec]) {
        let candidate = |spec: &Spec| {
            let (polls, access) = (Arc::clone(&self.polls), Arc::clone(&self.access));
            Candidate::new(*spec, move |spec| target(*spec, &polls, &access))
        };
        let found = specs.iter().map(candidate).collect();
        self.tell.send((group, found)).unwrap();
    }

    /// Whose polls came within the next time, and how many each.
    async fn polled(&self, wait: Duration) -> BTreeMap<&'static str, usize> {
        let before = self.polls.lock().unwrap().len();
        sleep(wait).await;
        let mut counts = BTreeMap::new();
        for (instance, ..) in &self.polls.lock().unwrap()[before..] {
            *counts.entry(*instance).or_default() += 1;
        }
        counts
    }

    /// The series of the batches since the last call, each with its instance.
    fn batches(&mut self) -> Vec<Series> {
        let batches = self.intake.batches();
        let new = batches[self.seen..].iter().map(series).collect();
        self.seen = batches.len();
        new
    }

    /// The agent's own metric of this receiver, with this reason if there is one.
    fn own(&self, name: &str, reason: Option<&str>) -> Option<f64> {
        let families = self.context.telemetry.gather_now();
        let family = families.iter().find(|family| family.name() == name)?;
        let metric = family.get_metric().iter().find(|metric| {
            let mut labels = metric.get_label().iter();
            reason.is_none_or(|reason| labels.any(|label| label.value() == reason))
        })?;
        let counter = metric.get_counter().get_value();
        Some(counter + metric.get_gauge().get_value())
    }

    fn guarded(&self) -> Vec<String> {
        let endpoints = self.context.endpoints.all();
        let names = endpoints
            .iter()
            .map(|endpoint| endpoint.id().url().to_owned());
        names.collect()
    }
}

impl Drop for Found {
    fn drop(&mut self) {
        self.stop.cancel();
        self.task.abort();
    }
}

fn target((instance, interval): Spec, polls: &Polls, access: &Arc<Access>) -> Target {
    let host = instance.replace(' ', "-");
    let url = format!("http://{host}:9100/metrics");
    let pace = PollPace {
        interval: seconds(interval),
        ..PollSettings::default().pace()
    };
    let request = FetchRequest {
        timeout: Some(pace.timeout),
        ..FetchRequest::new(url.parse().unwrap(), "*/*")
    };
    let identity = TargetIdentity {
        labels: vec![("zone".into(), "z".into())],
        ..TargetIdentity::new("job", instance)
    };
    Target {
        endpoint: url.into(),
        identity: Arc::new(identity),
        reach: Reach::Remote,
        pace,
        series: match instance {
            "own" => ScrapeSeries::Own,
            _ => ScrapeSeries::Prometheus,
        },
        advice: "".into(),
        nudge: Nudge::default(),
        scraper: Box::new(Gauge {
            instance,
            polls: Arc::clone(polls),
            page: access.document(request, |_| Ok(())),
            shown: false,
        }),
    }
}

/// What Prometheus writes about a scrape.
const PROMETHEUS: [&str; 5] = [
    "scrape_duration_seconds{zone=\"z\"}",
    "scrape_samples_post_metric_relabeling{zone=\"z\"}",
    "scrape_samples_scraped{zone=\"z\"}",
    "scrape_series_added{zone=\"z\"}",
    "up{zone=\"z\"}",
];

#[tokio::test(start_paused = true)]
async fn a_target_has_its_own_pace_guard_and_series_from_when_it_is_found() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10), ("b", 20)]);
    let polled = rig.polled(seconds(200)).await;
    assert!((19..=21).contains(&polled["a"]), "{polled:?}");
    assert!((9..=11).contains(&polled["b"]), "{polled:?}");
    assert_eq!(
        rig.guarded(),
        ["http://a:9100/metrics", "http://b:9100/metrics"]
    );
    assert_eq!(rig.context.endpoints.pollers().count(), 2);
    let last = rig.batches().pop().unwrap();
    let names: Vec<&str> = last.keys().map(String::as_str).collect();
    assert_eq!(names[0], "answer");
    assert_eq!(names[1..], PROMETHEUS);
    assert_eq!(last["up{zone=\"z\"}"], 1.0);
    assert_eq!(last["scrape_samples_scraped{zone=\"z\"}"], 1.0);
    let reasons = rig.polls.lock().unwrap();
    assert!(reasons.iter().all(|poll| poll.2 == PollReason::Interval));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_leaves_ends_all_its_series_once_at_its_next_tick() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10), ("b", 10)]);
    rig.polled(seconds(60)).await;
    let others = rig.polled(seconds(60)).await["b"];
    rig.find(&[("b", 10)]);
    rig.batches();
    let polled = rig.polled(seconds(60)).await;
    assert_eq!(polled, BTreeMap::from([("b", others)]), "undisturbed");
    let ended: Vec<Series> = rig
        .batches()
        .into_iter()
        .filter(|batch| batch["up{zone=\"z\"}"].is_nan())
        .collect();
    assert_eq!(ended.len(), 1, "once");
    assert_eq!(ended[0].len(), 6);
    assert!(ended[0].values().all(|value| value.is_nan()), "{ended:?}");
    assert_eq!(rig.guarded(), ["http://b:9100/metrics"]);
    assert_eq!(rig.context.endpoints.pollers().count(), 1);
    let health = rig.context.health.reports();
    assert_eq!(health.len(), 1, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn all_series_about_polls_end_with_a_target_whichever_they_are() {
    let mut rig = Found::new(10);
    rig.find(&[("own", 10)]);
    rig.polled(seconds(60)).await;
    let last = rig.batches().pop().unwrap();
    assert!(last.contains_key("scrape_failures_total{zone=\"z\",reason=\"dns\"}"));
    rig.find(&[]);
    sleep(seconds(15)).await;
    let ended = rig.batches().pop().unwrap();
    assert!(ended.values().all(|value| value.is_nan()));
    assert!(ended.keys().eq(last.keys()), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_returns_before_its_next_tick_goes_on_as_if_it_had_never_been_away() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 60)]);
    rig.polled(seconds(200)).await;
    rig.batches();
    let ticks = |rig: &Found| rig.polls.lock().unwrap().last().unwrap().1;
    let before = ticks(&rig);
    sleep(seconds(60) - (Instant::now() - before) + seconds(20)).await;
    rig.find(&[]);
    sleep(seconds(10)).await;
    rig.find(&[("a", 60)]);
    sleep(seconds(60)).await;
    let after = ticks(&rig);
    assert_eq!((after - before).as_secs() % 60, 0, "on its phase");
    let all = rig.batches().into_iter();
    assert!(
        all.flatten().all(|(_, value)| !value.is_nan()),
        "nothing ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_changes_ends_at_once_and_begins_anew_with_a_guard() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 600)]);
    rig.polled(seconds(700)).await;
    rig.batches();
    rig.find(&[("a", 10)]);
    let polled = rig.polled(seconds(62)).await;
    assert!((6..=8).contains(&polled["a"]), "{polled:?}");
    let batches = rig.batches();
    assert!(batches[0].values().all(|value| value.is_nan()));
    assert!(batches[1..].iter().all(|batch| batch["answer"] == 42.0));
    assert_eq!(rig.guarded(), ["http://a:9100/metrics"]);
    assert_eq!(rig.context.endpoints.registration_failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_delays_no_other() {
    let rig = Found::new(10);
    rig.find(&[("hangs", 10), ("a", 10)]);
    let polled = rig.polled(seconds(100)).await;
    assert!((9..=11).contains(&polled["a"]), "{polled:?}");
    assert!(polled["hangs"] >= 5, "it has its timeouts: {polled:?}");
    let failures = "foghorn_scrape_failures_total";
    assert!(rig.own(failures, Some("timeout")).unwrap() >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_poller_and_all_its_series_until_its_target_is_gone() {
    let mut rig = Found::new(10);
    rig.find(&[("panics", 10), ("a", 10)]);
    let polled = rig.polled(seconds(100)).await;
    assert_eq!(polled["panics"], 2);
    assert!(polled["a"] >= 9, "{polled:?}");
    let dead = "poller of http://panics:9100/metrics in receiver finder";
    assert_eq!(rig.context.health.dead_tasks(), [dead]);
    assert_eq!(rig.context.health.reports().len(), 1, "that of the other");
    assert_eq!(rig.guarded(), ["http://a:9100/metrics"]);
    let ended: Vec<Series> = rig
        .batches()
        .into_iter()
        .filter(|batch| batch["up{zone=\"z\"}"].is_nan())
        .collect();
    let [ended] = &ended[..] else {
        panic!("it ends once: {ended:?}")
    };
    assert!(ended["answer"].is_nan() && ended.len() == 6, "{ended:?}");
    // It isn't begun again while it is found.
    rig.find_in("h", &[("b", 10)]);
    let polled = rig.polled(seconds(100)).await;
    assert_eq!(polled.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(rig.context.health.dead_tasks(), [dead]);
    rig.find(&[("a", 10)]);
    rig.polled(seconds(20)).await;
    assert_eq!(rig.context.health.dead_tasks(), [""; 0], "nobody misses it");
}

#[tokio::test(start_paused = true)]
async fn a_scraper_that_panics_at_its_end_too_leaves_no_series_about_its_polls() {
    let mut rig = Found::new(10);
    rig.find(&[("panics twice", 10)]);
    rig.polled(seconds(100)).await;
    assert_eq!(rig.context.health.dead_tasks().len(), 1);
    assert_eq!(rig.guarded(), [""; 0]);
    let ended = rig.batches().pop().unwrap();
    let names: Vec<&str> = ended.keys().map(String::as_str).collect();
    assert_eq!(names, PROMETHEUS);
    assert!(ended.values().all(|value| value.is_nan()));
}

#[tokio::test(start_paused = true)]
async fn a_discovery_ends_with_its_receiver_however_that_ends() {
    struct Endless(Arc<()>);
    impl Discovery for Endless {
        fn run(self: Box<Self>, _: TargetSets, _: CancellationToken) -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let _held = self.0;
                std::future::pending().await
            })
        }
    }
    let rig = Found::new(10);
    let held = Arc::new(());
    let controller = Controller::new(&rig.context, Arc::clone(&rig.intake) as _, Vec::new());
    let discovery = Box::new(Endless(Arc::clone(&held)));
    let receiver = Box::new(controller.discovering(discovery, 10));
    let task = tokio::spawn(receiver.run(CancellationToken::new()));
    sleep(seconds(1)).await;
    task.abort();
    sleep(seconds(1)).await;
    assert_eq!(Arc::strong_count(&held), 1);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_targets_are_left_out_and_told_until_there_is_room() {
    let (log, _guard) = LogCapture::begin();
    let rig = Found::new(2);
    rig.find_in("g", &[("a", 10), ("b", 10)]);
    sleep(seconds(20)).await;
    rig.find_in("h", &[("c", 10), ("d", 10)]);
    let polled = rig.polled(seconds(60)).await;
    assert_eq!(polled.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
    let message = "more targets were found than may be polled: the rest is left out";
    assert_eq!(log.count(message), 1, "{:?}", log.lines());
    let left_out = "foghorn_scrape_targets_rejected_total";
    assert_eq!(rig.own(left_out, Some("limit")), Some(2.0));
    assert_eq!(rig.own("foghorn_scrape_targets", None), Some(2.0));
    // The other group isn't told again: it is remembered.
    rig.find_in("g", &[("a", 10)]);
    sleep(seconds(15)).await;
    let polled = rig.polled(seconds(60)).await;
    assert_eq!(polled.keys().copied().collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn tombstones_for_which_there_is_no_room_come_when_there_is() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10)]);
    rig.polled(seconds(30)).await;
    rig.batches();
    rig.intake.refuse(Some("memory_limit"));
    rig.find(&[]);
    sleep(seconds(15)).await;
    assert_eq!(rig.batches(), Vec::<Series>::new());
    rig.intake.refuse(None);
    sleep(seconds(2)).await;
    let [ended] = &rig.batches()[..] else {
        panic!("one batch")
    };
    assert!(ended.values().all(|value| value.is_nan()));
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_no_series() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10), ("hangs", 10)]);
    rig.polled(seconds(60)).await;
    rig.find(&[("hangs", 10)]);
    rig.batches();
    let begun = Instant::now();
    rig.stop.cancel();
    (&mut rig.task).await.unwrap();
    assert_eq!(Instant::now(), begun, "at once");
    assert_eq!(rig.batches(), Vec::<Series>::new());
}

#[tokio::test]
async fn what_waits_for_a_poll_is_small() {
    let rig = Found::new(10);
    let controller = Controller::new(&rig.context, Arc::clone(&rig.intake) as _, Vec::new());
    let target = target(("a", 10), &rig.polls, &rig.access);
    let poller = Poller::new(&controller.context, target, Arc::default(), Now::read());
    let (mut poller, stop) = (Box::new(poller), CancellationToken::new());
    let waiting = poller.run(&stop);
    assert!(size_of_val(&waiting) <= 1024, "{}", size_of_val(&waiting));
}

/// Wishes for a poll when it is told to.
struct Watching {
    news: Arc<Mutex<Option<Instant>>>,
    polls: Polls,
}

impl Scraper for Watching {
    fn scrape<'a>(&'a mut self, poll: Poll, _: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        let polled = ("watching", poll.now.monotonic, poll.reason);
        self.polls.lock().unwrap().push(polled);
        *self.news.lock().unwrap() = None;
        Box::pin(std::future::ready(Scrape::whole(Ok(()))))
    }

    fn wish(&self) -> Option<NextPoll> {
        let at = (*self.news.lock().unwrap())?;
        Some(NextPoll {
            at,
            reason: PollReason::Demand,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_scraper_with_news_is_polled_at_once_after_a_nudge() {
    let (news, polls) = (Arc::default(), Polls::default());
    let nudge = Nudge::default();
    let scraper = Watching {
        news: Arc::clone(&news),
        polls: Arc::clone(&polls),
    };
    let target = Target {
        endpoint: "http://localhost:1".into(),
        identity: Arc::default(),
        reach: Reach::Remote,
        pace: PollSettings::default().pace(),
        series: ScrapeSeries::Own,
        advice: "".into(),
        nudge: nudge.clone(),
        scraper: Box::new(scraper),
    };
    let intake = Arc::new(RecordingIntake::default());
    let receiver = controller("watching", intake, Health::new(), vec![target]);
    let stop = CancellationToken::new();
    let task = tokio::spawn(receiver.run(stop.clone()));
    sleep(seconds(40)).await;
    let before = polls.lock().unwrap().len();
    let now = Instant::now();
    *news.lock().unwrap() = Some(now);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(
        polls.lock().unwrap().len(),
        before,
        "nobody looks by itself"
    );
    nudge.ask_again();
    sleep(Duration::from_millis(1)).await;
    let last = *polls.lock().unwrap().last().unwrap();
    assert_eq!(last.2, PollReason::Demand);
    assert_eq!(last.1 - now, Duration::from_millis(10));
    stop.cancel();
    task.await.unwrap();
}
