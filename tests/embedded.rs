//! An agent inside a program: what the program's calls hand over, and what they are told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, SystemTime};

use foghorn::component::{Factories, PushError};
use foghorn::components::FACTORIES;
use foghorn::config::{Config, Sources};
use foghorn::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use foghorn::pdata::{Batch, Signal};
use foghorn::receivers::embedded;
use foghorn::service::Service;
use foghorn::telemetry::{Telemetry, TelemetrySettings};
use tokio::sync::oneshot;

const COMPONENTS: Factories = Factories {
    receivers: &[embedded::FACTORY],
    ..FACTORIES
};

const CONFIG: &str = "
receivers: {embedded: }
processors: {window: }
exporters: {debug: {output_paths: [stderr]}}
service:
  http: {endpoint: none}
  pipelines:
    metrics: {receivers: [embedded], processors: [window], exporters: [debug]}
";

fn service(config: &str) -> Service {
    let sources = Sources {
        configs: vec![format!("yaml:{config}")],
        sets: Vec::new(),
    };
    let loaded = Config::load(&sources, &|_| None, &COMPONENTS).unwrap();
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    Service::build(&loaded.config, &telemetry).unwrap()
}

fn points(count: u32) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("test", "");
    let descriptor = MetricDescriptor {
        name: "depth",
        unit: "m",
        description: "",
    };
    writer.metric(MetricKind::Gauge, descriptor);
    for age in 0..count {
        writer.number(NumberPointData {
            attributes: &[],
            start: None,
            time: SystemTime::now() - Duration::from_secs((count - age).into()),
            value: Some(PointNumber::Int(i64::from(age))),
        });
    }
    writer.finish()
}

// Not with a paused clock: `debug` writes on a thread, and the grace would be over before it.
#[tokio::test]
async fn what_was_pushed_is_delivered_and_remembered_when_the_agent_has_ended() {
    let service = service(CONFIG);
    let input = service.input(&"embedded".parse().unwrap()).unwrap();
    let windows = service.windows();
    assert!(service.input(&"embedded/other".parse().unwrap()).is_none());

    let running = service.start().await.unwrap();
    let (end, told) = oneshot::channel::<()>();
    let agent = tokio::spawn(running.run(async { drop(told.await) }, std::future::pending()));
    for _ in 0..3 {
        input.push(points(2)).await.unwrap();
    }
    assert_eq!(
        input.push(Batch::empty(Signal::Logs)).await,
        Err(PushError::NoPipeline(Signal::Logs))
    );
    drop(end);
    let books = agent.await.unwrap().ledger.snapshot();
    assert_eq!(books.pipeline("metrics").unwrap().accepted, 6);
    assert_eq!(books.leg("metrics", "debug").unwrap().sent, 6);
    let stores = windows.all();
    assert_eq!(stores.len(), 1);
    let of_ours = {
        let windows = stores[0].1.lock();
        let rings = windows.rings();
        rings.filter(|ring| &*ring.name == "depth_meters").count()
    };
    assert_eq!(of_ours, 1);

    let after_the_end = input.push(points(1)).await;
    let Err(PushError::Refused(refusal)) = after_the_end else {
        panic!("{after_the_end:?}");
    };
    assert_eq!(refusal.reason, "shutdown");
}

#[test]
fn the_receiver_has_no_keys() {
    let sources = Sources {
        configs: vec![format!(
            "yaml:{}",
            CONFIG.replace("embedded: }", "embedded: {port: 1}}")
        )],
        sets: Vec::new(),
    };
    let invalid = Config::load(&sources, &|_| None, &COMPONENTS).unwrap_err();
    let problem = &invalid.problems[0];
    assert_eq!(problem.path, "receivers::embedded::port");
}
