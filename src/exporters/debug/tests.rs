use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use super::*;
use crate::pdata::costly;
use crate::pdata::writer::{
    AttributeValue, HistogramPointData, MetricDescriptor, MetricKind, MetricsWriter,
    NumberPointData, PointNumber,
};
use crate::settings::LOCAL_QUEUE;

/// A terminal whose contents the test can read.
#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Gone;

impl io::Write for Gone {
    fn write(&mut self, _bytes: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[derive(Default)]
struct Lost(Vec<(u64, DropReason)>);

impl Discards for Lost {
    fn discard(&mut self, items: u64, reason: DropReason) {
        self.0.push((items, reason));
    }
}

fn config(verbosity: Verbosity) -> Config {
    Config {
        verbosity,
        sampling_initial: 2,
        sampling_thereafter: 1,
        queue_bytes: LOCAL_QUEUE.0,
        outputs: vec![StandardStream::Stderr],
    }
}

fn now() -> Now {
    Now {
        monotonic: Instant::now(),
        wall: UNIX_EPOCH + Duration::from_millis(1_795_262_400_123),
    }
}

fn batch() -> Batch {
    let mut writer = MetricsWriter::new();
    let time = UNIX_EPOCH + Duration::from_secs(1_795_262_400);
    writer.resource(&[("service.name", "node".into())]);
    writer.scope("foghorn", "1");
    writer.metric(
        MetricKind::Counter,
        MetricDescriptor {
            name: "c",
            unit: "By",
            description: "",
        },
    );
    for (state, value) in [("idle", 1.5), ("\u{1b}[2J", 2.0)] {
        writer.number(NumberPointData {
            attributes: &[("state", state.into()), ("n", AttributeValue::Int(1))],
            start: None,
            time,
            value: Some(PointNumber::Double(value)),
        });
    }
    writer.metric(
        MetricKind::Histogram,
        MetricDescriptor {
            name: "h",
            unit: "",
            description: "",
        },
    );
    writer.histogram(HistogramPointData {
        attributes: &[],
        start: None,
        time,
        sum: 2.5,
        bounds: &[1.0],
        buckets: &[1, 2],
    });
    writer.finish()
}

fn printed(verbosity: Verbosity) -> String {
    let screen = Screen::default();
    let mut sink = Debug::new(
        "debug".parse().unwrap(),
        &config(verbosity),
        vec![Box::new(screen.clone())],
    );
    let mut lost = Lost::default();
    sink.consume(batch(), now(), &mut lost);
    assert!(lost.0.is_empty());
    let bytes = screen.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

const SUMMARY: &str =
    "2026-11-21T12:00:00.123Z debug: metrics, 1 resource, 2 metrics, 3 data points\n";

#[tokio::test(start_paused = true)]
async fn basic_is_a_line_a_batch() {
    assert_eq!(printed(Verbosity::Basic), SUMMARY);
}

#[tokio::test(start_paused = true)]
async fn normal_is_a_line_a_point_and_a_terminal_is_safe_from_it() {
    let expected = r"ResourceMetrics #0 service.name=node
ScopeMetrics #0 foghorn@1
c{state=idle,n=1} 1.5
c{state=\u{1b}[2J,n=1} 2
h{} count=3 sum=2.5 le1=1 2
";
    assert_eq!(printed(Verbosity::Normal), format!("{SUMMARY}{expected}"));
}

#[tokio::test(start_paused = true)]
async fn detailed_is_everything() {
    let expected = r#"resourceMetrics #0
  resource
    attributes
      service.name: "node"
  scopeMetrics #0
    scope
      name: "foghorn"
      version: "1"
    metrics #0
      name: "c"
      unit: "By"
      sum
        dataPoints #0
          attributes
            state: "idle"
            n: 1
          timeUnixNano: 2026-11-21T12:00:00.000000000Z
          asDouble: 1.5
        dataPoints #1
          attributes
            state: "\u{1b}[2J"
            n: 1
          timeUnixNano: 2026-11-21T12:00:00.000000000Z
          asDouble: 2
        aggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE (2)
        isMonotonic: true
    metrics #1
      name: "h"
      histogram
        dataPoints #0
          timeUnixNano: 2026-11-21T12:00:00.000000000Z
          count: 3
          sum: 2.5
          bucketCounts: [1, 2]
          explicitBounds: [1]
        aggregationTemporality: AGGREGATION_TEMPORALITY_CUMULATIVE (2)
"#;
    assert_eq!(printed(Verbosity::Detailed), format!("{SUMMARY}{expected}"));
}

#[tokio::test(start_paused = true)]
async fn what_the_sampling_left_out_is_told() {
    let screen = Screen::default();
    let mut sink = Debug::new(
        "debug".parse().unwrap(),
        &Config {
            sampling_thereafter: 3,
            ..config(Verbosity::Basic)
        },
        vec![Box::new(screen.clone())],
    );
    for _ in 0..5 {
        sink.consume(batch(), now(), &mut Lost::default());
    }
    let bytes = screen.0.lock().unwrap().clone();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.lines().count(), 3);
    assert!(
        text.ends_with("(2 batches before it not shown)\n"),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_nobody_can_read_is_counted_as_lost() {
    let mut sink = Debug::new(
        "debug".parse().unwrap(),
        &config(Verbosity::Basic),
        vec![Box::new(Gone)],
    );
    let mut lost = Lost::default();
    sink.consume(batch(), now(), &mut lost);
    assert_eq!(lost.0, [(3, DropReason::WriteFailed)]);
}

/// Remembers how much it got in each call.
#[derive(Clone, Default)]
struct Calls(Screen, Arc<Mutex<Vec<usize>>>);

impl io::Write for Calls {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.1.lock().unwrap().push(bytes.len());
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is printed of a request, without the first line, and the longest call.
fn printed_of(verbosity: Verbosity, request: Vec<u8>) -> (String, usize) {
    let calls = Calls::default();
    let outputs: Vec<Box<dyn io::Write + Send>> = vec![Box::new(calls.clone())];
    let mut sink = Debug::new("debug".parse().unwrap(), &config(verbosity), outputs);
    let batch = Batch::decode(Signal::Metrics, request.into()).unwrap();
    sink.consume(batch, now(), &mut Lost::default());
    let text = String::from_utf8(calls.0.0.lock().unwrap().clone()).unwrap();
    let (_, text) = text.split_once('\n').unwrap();
    let longest = calls.1.lock().unwrap().iter().copied().max();
    (text.to_owned(), longest.unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_costly_request_is_printed_in_pieces() {
    let size = 1 << 20;
    for request in [costly::irregular(size), costly::regular(size)].concat() {
        let mut whole = String::new();
        let batch = Batch::decode(Signal::Metrics, request.clone().into()).unwrap();
        detailed::write(&batch, &mut whole);
        let (text, longest) = printed_of(Verbosity::Detailed, request);
        assert!(text == whole, "{} and {}", text.len(), whole.len());
        assert!(longest < 1 << 19, "{longest}");
    }
}

#[tokio::test(start_paused = true)]
async fn normal_shows_large_batches_in_pieces_and_tells_of_items_that_are_too_large() {
    // Attributes that make as many points as large as they should be.
    let points = |count: usize, bytes: usize| {
        let text = costly::field(1, &vec![b'v'; bytes]);
        let attribute = [costly::field(1, b"k"), costly::field(2, &text)].concat();
        let point = costly::field(1, &costly::field(7, &attribute));
        costly::metric(
            &[
                costly::field(1, b"m"),
                costly::field(5, &point.repeat(count)),
            ]
            .concat(),
        )
    };
    let lines = |text: &str| {
        text.lines()
            .filter(|line| line.starts_with("m{k=vv"))
            .count()
    };
    let (text, longest) = printed_of(Verbosity::Normal, points(10_000, 500));
    assert_eq!(lines(&text), 10_000);
    assert!(longest < 1 << 19, "{longest}");
    let (text, _) = printed_of(Verbosity::Normal, points(4, 1 << 19));
    assert_eq!(lines(&text), 0);
    assert_eq!(text.matches("too large to be shown").count(), 4, "{text}");
    // A resource that would be copied for each of its points.
    let resource = costly::field(1, &costly::field(1, &[]).repeat(1 << 19));
    let points = costly::field(1, &costly::field(5, &[])).repeat(100_000);
    let metric = [costly::field(1, b"m"), costly::field(5, &points)].concat();
    let scopes = costly::field(2, &costly::field(2, &metric));
    let fat = costly::field(1, &[resource, scopes].concat());
    let (text, _) = printed_of(Verbosity::Normal, fat);
    assert!(text.contains("too large to be shown"));
    assert!(text.lines().count() < 64, "{}", text.lines().count());
}
