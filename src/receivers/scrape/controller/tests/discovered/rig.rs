//! A receiver whose discovery finds what the test says.

use std::collections::BTreeMap;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::*;
use crate::receivers::scrape::http::{Asked, Document, Fetch, FetchRequest, FetchedPage};
use crate::receivers::scrape::testing::series;
use crate::resilience::{self, FetchError};
use crate::telemetry::{Telemetry, TelemetrySettings};

/// Seconds.
pub(super) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A target: its instance, and the interval in seconds.
pub(super) type Spec = (&'static str, u64);

/// Every poll: whose it was, when, and why.
pub(super) type Polls = Arc<Mutex<Vec<(&'static str, Instant, PollReason)>>>;

/// Answers every request at once, but for an instance that hangs.
pub(super) struct Pages;

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
pub(super) struct Gauge {
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
pub(super) struct Told(mpsc::UnboundedReceiver<(&'static str, Vec<Candidate>)>);

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

pub(super) struct Found {
    pub(super) polls: Polls,
    pub(super) intake: Arc<RecordingIntake>,
    pub(super) context: BuildContext,
    pub(super) access: Arc<Access>,
    pub(super) tell: mpsc::UnboundedSender<(&'static str, Vec<Candidate>)>,
    pub(super) stop: CancellationToken,
    pub(super) task: JoinHandle<()>,
    pub(super) seen: usize,
}

impl Found {
    pub(super) fn new(max: usize) -> Self {
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

    pub(super) fn find(&self, specs: &[Spec]) {
        self.find_in("g", specs);
    }

    pub(super) fn find_in(&self, group: &'static str, specs: &[Spec]) {
        let candidate = |spec: &Spec| {
            let (polls, access) = (Arc::clone(&self.polls), Arc::clone(&self.access));
            Candidate::new(*spec, move |spec| target(*spec, &polls, &access))
        };
        let found = specs.iter().map(candidate).collect();
        self.tell.send((group, found)).unwrap();
    }

    /// Whose polls came within the next time, and how many each.
    pub(super) async fn polled(&self, wait: Duration) -> BTreeMap<&'static str, usize> {
        let before = self.polls.lock().unwrap().len();
        sleep(wait).await;
        let mut counts = BTreeMap::new();
        for (instance, ..) in &self.polls.lock().unwrap()[before..] {
            *counts.entry(*instance).or_default() += 1;
        }
        counts
    }

    /// The series of the batches since the last call, each with its instance.
    pub(super) fn batches(&mut self) -> Vec<Series> {
        let batches = self.intake.batches();
        let new = batches[self.seen..].iter().map(series).collect();
        self.seen = batches.len();
        new
    }

    /// The agent's own metric of this receiver, with this reason if there is one.
    pub(super) fn own(&self, name: &str, reason: Option<&str>) -> Option<f64> {
        let families = self.context.telemetry.gather_now();
        let family = families.iter().find(|family| family.name() == name)?;
        let metric = family.get_metric().iter().find(|metric| {
            let mut labels = metric.get_label().iter();
            reason.is_none_or(|reason| labels.any(|label| label.value() == reason))
        })?;
        let counter = metric.get_counter().get_value();
        Some(counter + metric.get_gauge().get_value())
    }

    pub(super) fn guarded(&self) -> Vec<String> {
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

pub(super) fn target((instance, interval): Spec, polls: &Polls, access: &Arc<Access>) -> Target {
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
pub(super) const PROMETHEUS: [&str; 5] = [
    "scrape_duration_seconds{zone=\"z\"}",
    "scrape_samples_post_metric_relabeling{zone=\"z\"}",
    "scrape_samples_scraped{zone=\"z\"}",
    "scrape_series_added{zone=\"z\"}",
    "up{zone=\"z\"}",
];
