//! A whole agent inside a program of one's own: metrics go in by calls, and its history is read by
//! calls. Nothing listens, and the end loses nothing.
//!
//! ```sh
//! cargo run --example embedded
//! ```
#![allow(clippy::print_stdout, reason = "a demonstration prints")]

use std::ops::Range;
use std::time::{Duration, SystemTime};

use foghorn::component::{Factories, ProgramInput};
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::pdata::Batch;
use foghorn::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use foghorn::receivers::embedded;
use foghorn::service::Service;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use foghorn::window::stats::{Method, Needs, Numbers, statistic};
use foghorn::window::{MatchOperator, Matcher, Shelf};

const CONFIG: &str = "
receivers:
  embedded:
processors:
  window:
    max_memory: 4MiB
exporters:
  debug:
    output_paths: [stdout]
service:
  http: {endpoint: none}
  pipelines:
    metrics: {receivers: [embedded], processors: [window], exporters: [debug]}
";

/// The components that the configuration may name: those of `foghorn`, with calls instead of its
/// receivers.
const COMPONENTS: Factories = Factories {
    receivers: &[embedded::FACTORY],
    ..FACTORIES
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let sources = Sources {
        configs: vec![format!("yaml:{CONFIG}")],
        sets: Vec::new(),
    };
    let loaded = Config::load(&sources, &|_| None, &COMPONENTS)?;
    let telemetry = Telemetry::new(&TelemetrySettings::default())?;
    let service = Service::build(&loaded.config, &telemetry)?;
    let input = service.input(&"embedded".parse()?);
    let input = input.ok_or_else(|| anyhow::anyhow!("no receiver takes calls"))?;
    let windows = service.windows();

    let running = service.start().await?;
    // Ends the agent, as a signal would: dropping the sender does, too.
    let (end, told) = tokio::sync::oneshot::channel::<()>();
    let agent = tokio::spawn(running.run(async { drop(told.await) }, std::future::pending()));

    work(&input).await?;
    drop(end);
    let drained = agent.await?;

    // Everything that was pushed has passed the window, since the pipelines are drained.
    println!("{}", median(&windows)?);
    for pipeline in drained.ledger.snapshot().pipelines {
        println!(
            "{}: {} points accepted",
            pipeline.pipeline, pipeline.accepted
        );
    }
    Ok(())
}

/// Pushes the depth of a tank at every second of the last minute, ten at a time.
async fn work(input: &ProgramInput) -> anyhow::Result<()> {
    let begin = SystemTime::now() - Duration::from_secs(60);
    for tenth in 0..6 {
        let seconds = tenth * 10..tenth * 10 + 10;
        input.push(readings(begin, seconds)).await?;
    }
    Ok(())
}

fn readings(begin: SystemTime, seconds: Range<u32>) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[("service.name", "tank".into())]);
    writer.scope("tank", "");
    let depth_of_tank = MetricDescriptor {
        name: "tank.depth",
        unit: "m",
        description: "How deep the water is.",
    };
    writer.metric(MetricKind::Gauge, depth_of_tank);
    for second in seconds {
        let depth = f64::from(second * 7 % 10) / 10.0;
        writer.number(NumberPointData {
            attributes: &[],
            start: None,
            time: begin + Duration::from_secs(second.into()),
            value: Some(PointNumber::Double(depth)),
        });
    }
    writer.finish()
}

/// The median of what the window remembers of the tank, in meters.
fn median(windows: &Shelf) -> anyhow::Result<String> {
    // Names are those of Prometheus, as on the page of the exporter `prometheus`.
    let named = Matcher::new(MatchOperator::Equal, "__name__", "tank_depth_meters")?;
    let p50 = statistic("p50", Method::Platform)?;
    let mut numbers = Numbers::default();
    let mut found = Vec::new();
    for (owner, store) in windows.all() {
        for snapshot in store
            .lock()
            .select(std::slice::from_ref(&named), 0, i64::MAX)
        {
            numbers.begin(0, i64::MAX);
            numbers.gather(snapshot.excerpt(), Needs::POINTS);
            let points = numbers.values().len();
            let median = p50.of(&mut numbers).unwrap_or(f64::NAN);
            found.push(format!(
                "{owner} remembers {points} depths; their median is {median} m"
            ));
        }
    }
    Ok(found.join("\n"))
}
