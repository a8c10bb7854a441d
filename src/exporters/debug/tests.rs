use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use tokio::time::Instant;

use super::*;
use crate::pdata::writer::{
    AttributeValue, MetricDescriptor, MetricKind, MetricsWriter, NewHistogramPoint, NewNumber,
    NewNumberPoint,
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
        writer.number(NewNumberPoint {
            attributes: &[("state", state.into()), ("n", AttributeValue::Int(1))],
            start: None,
            time,
            value: Some(NewNumber::Double(value)),
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
    writer.histogram(NewHistogramPoint {
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
