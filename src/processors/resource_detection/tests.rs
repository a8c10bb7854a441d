use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1;
use prost::Message as _;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;
use tokio::task::yield_now;

use super::super::constant::Constant;
use super::super::testing::{OutputRecorder, context, read, sample};
use super::detection::Detector;
use super::docker::DockerDetector;
use super::found::Detected;
use super::kubernetes::KubernetesDetector;
use super::machine::ObservedMachine;
use super::system::SystemDetector;
use super::*;
use crate::pdata::samples::Style;

const TIMEOUT: Duration = Duration::from_secs(5);

/// A machine with these variables, whose files are in a directory of the test.
fn machine(variables: &'static [(&'static str, &'static str)]) -> (TempDir, ObservedMachine) {
    let root = tempfile::tempdir().unwrap();
    let mut machine = ObservedMachine::real();
    machine.root = root.path().to_owned();
    machine.variable = Arc::new(|name| {
        let mut all = variables.iter();
        let (_, value) = all.find(|(own, _)| *own == name)?;
        Some((*value).to_owned())
    });
    (root, machine)
}

fn config(detectors: Vec<Detector>, replaces: bool, machine: ObservedMachine) -> Config {
    Config {
        replaces,
        detection: Arc::new(Detection::new(detectors, TIMEOUT, machine)),
    }
}

fn processor(config: &Config) -> Box<dyn Processor> {
    let context = context("resource_detection");
    config.build(&context, Signal::Logs).unwrap()
}

/// Calls the processor whenever it wants it, until it wants nothing more.
async fn follow(processor: &mut Box<dyn Processor>, out: &mut OutputRecorder) {
    while processor.deadline().is_some() {
        // The paused clock doesn't move while a thread reads.
        yield_now().await;
        processor.on_deadline(Now::read(), out);
    }
}

fn key_value(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue {
            value: Some(any_value::Value::StringValue(value.to_owned())),
        }),
        ..Default::default()
    }
}

/// A record of a resource with these attributes, and a body of so many bytes.
fn record(attributes: &[(&str, &str)], bytes: usize) -> Batch {
    let attributes = attributes.iter().map(|(key, value)| key_value(key, value));
    let body = AnyValue {
        value: Some(any_value::Value::StringValue("x".repeat(bytes))),
    };
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(v1::Resource {
                attributes: attributes.collect(),
                ..Default::default()
            }),
            scope_logs: vec![ScopeLogs {
                log_records: vec![LogRecord {
                    body: Some(body),
                    ..Default::default()
                }],
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    Batch::decode(Signal::Logs, Bytes::from(request.encode_to_vec())).unwrap()
}

/// The attributes of a batch's resource.
fn attributes(batch: &Batch) -> Vec<KeyValue> {
    let bytes = batch.parts()[0].bytes().clone();
    let mut request = ExportLogsServiceRequest::decode(bytes).unwrap();
    request.resource_logs[0].resource.take().unwrap().attributes
}

fn found(pairs: &[(&str, Constant)]) -> FoundAttributes {
    let mut found = FoundAttributes::default();
    for (key, value) in pairs {
        found.put(key, value.clone());
    }
    found
}

fn deadline() -> Instant {
    Instant::now() + TIMEOUT
}

#[tokio::test(start_paused = true)]
async fn what_a_resource_has_is_replaced_or_kept_as_configured() {
    let f = async |replaces: bool, expected: &str| {
        let (_root, machine) = machine(&[("OTEL_RESOURCE_ATTRIBUTES", "a=found,b=found")]);
        let mut processor = processor(&config(vec![Detector::Env], replaces, machine));
        let mut out = OutputRecorder::default();
        processor.process(
            record(&[("a", "own"), ("c", "own")], 1),
            Now::read(),
            &mut out,
        );
        follow(&mut processor, &mut out).await;
        // Detection has ended, so that this one doesn't wait.
        processor.process(record(&[], 1), Now::read(), &mut out);
        let expected = [
            key_value("a", expected),
            key_value("c", "own"),
            key_value("b", "found"),
        ];
        assert_eq!(attributes(&out.emitted[0]), expected, "{replaces}");
        let expected = [key_value("a", "found"), key_value("b", "found")];
        assert_eq!(attributes(&out.emitted[1]), expected);
    };
    f(true, "found").await;
    f(false, "own").await;
}

#[tokio::test(start_paused = true)]
async fn without_anything_found_every_byte_stays() {
    let (_root, machine) = machine(&[]);
    let mut processor = processor(&config(vec![Detector::Env], true, machine));
    for seed in 0..50 {
        let batch = sample(Signal::Logs, seed, Style::ANY);
        let mut out = OutputRecorder::default();
        processor.process(batch.clone(), Now::read(), &mut out);
        follow(&mut processor, &mut out).await;
        let kept = out.emitted[0].parts().iter().zip(batch.parts());
        for (after, before) in kept {
            assert_eq!(after.bytes(), before.bytes(), "{seed}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn detection_is_made_once_whatever_pipelines_ask() {
    static READ: AtomicUsize = AtomicUsize::new(0);
    let (_root, mut machine) = machine(&[]);
    machine.variable = Arc::new(|name| {
        READ.fetch_add(
            usize::from(name == "OTEL_RESOURCE_ATTRIBUTES"),
            Ordering::Relaxed,
        );
        Some("a=found".to_owned())
    });
    let config = config(vec![Detector::Env], true, machine);
    for _ in 0..3 {
        let mut processor = processor(&config);
        let mut out = OutputRecorder::default();
        processor.process(record(&[], 1), Now::read(), &mut out);
        follow(&mut processor, &mut out).await;
        assert_eq!(attributes(&out.emitted[0]), [key_value("a", "found")]);
    }
    assert_eq!(READ.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn batches_wait_for_a_daemon_that_hangs_as_long_as_the_timeout() {
    let (root, machine) = machine(&[("OTEL_RESOURCE_ATTRIBUTES", "a=found")]);
    let run = root.path().join("var/run");
    fs::create_dir_all(&run).unwrap();
    let _silent = UnixListener::bind(run.join("docker.sock")).unwrap();
    let detectors = vec![Detector::Docker(DockerDetector::default()), Detector::Env];
    let mut processor = processor(&config(detectors, true, machine));
    let mut out = OutputRecorder::default();
    let begun = Instant::now();
    for size in [1, 2, 3] {
        processor.process(record(&[], size), Now::read(), &mut out);
    }
    while let Some(deadline) = processor.deadline() {
        assert!(out.emitted.is_empty());
        tokio::time::sleep_until(deadline).await;
        processor.on_deadline(Now::read(), &mut out);
    }
    let took = begun.elapsed();
    assert!((TIMEOUT..TIMEOUT + 2 * LOOK).contains(&took), "{took:?}");
    // In the order in which they came, with what the other detector has found.
    let sizes: Vec<u64> = out.emitted.iter().map(Batch::size).collect();
    assert!(sizes.is_sorted() && sizes.len() == 3, "{sizes:?}");
    for batch in &out.emitted {
        assert_eq!(attributes(batch), [key_value("a", "found")]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_bounded_and_passed_on_at_the_end() {
    let (_root, machine) = machine(&[("OTEL_RESOURCE_ATTRIBUTES", "a=found")]);
    let mut processor = processor(&config(vec![Detector::Env], true, machine));
    let mut out = OutputRecorder::default();
    // Nothing is detected before this test waits.
    for _ in 0..20 {
        processor.process(record(&[], 1 << 20), Now::read(), &mut out);
    }
    assert_eq!(out.emitted.len(), 5, "16 MiB wait");
    processor.drain(Now::read(), &mut out);
    assert_eq!(out.emitted.len(), 20);
    assert!(out.emitted.iter().all(|batch| attributes(batch).is_empty()));
    assert_eq!(processor.deadline(), None);
}

#[tokio::test(start_paused = true)]
async fn the_first_detector_that_finds_an_attribute_counts() {
    let (root, machine) = machine(&[
        ("OTEL_RESOURCE_ATTRIBUTES", "os.type=mine"),
        ("K8S_NODE_NAME", "node-1"),
    ]);
    fs::create_dir(root.path().join("etc")).unwrap();
    let detectors = vec![
        Detector::Env,
        Detector::System(read("hostname_sources: [os]").unwrap()),
        Detector::Kubernetes(KubernetesDetector::default()),
    ];
    let mut processor = processor(&config(detectors, true, machine));
    let mut out = OutputRecorder::default();
    processor.process(record(&[], 1), Now::read(), &mut out);
    follow(&mut processor, &mut out).await;
    let own = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let expected = [
        key_value("os.type", "mine"),
        key_value("host.name", &own),
        key_value("k8s.node.name", "node-1"),
    ];
    assert_eq!(attributes(&out.emitted[0]), expected);
}

#[tokio::test]
async fn the_machine_says_what_is_switched_on() {
    let (root, mut machine) = machine(&[]);
    for (path, text) in [
        ("etc/machine-id", "0123abcd\n"),
        (
            "etc/os-release",
            "NAME=Own\nVERSION_ID=1\nID=own\nBUILD_ID=\"b1\"\n",
        ),
        (
            "proc/cpuinfo",
            "processor: 0\nvendor_id: V\ncache size: 512 KB\n",
        ),
    ] {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    machine.interfaces = || Ok(Vec::new());
    let switches: Vec<String> = [
        "host.id",
        "os.name",
        "os.version",
        "os.build.id",
        "host.cpu.vendor.id",
        "host.cpu.family",
        "host.cpu.cache.l2.size",
        "host.ip",
    ]
    .iter()
    .map(|key| format!("{key}: {{enabled: true}}"))
    .collect();
    let yaml = format!(
        "resource_attributes: {{host.name: {{enabled: false}}, {}}}",
        switches.join(", ")
    );
    let system: SystemDetector = read(&yaml).unwrap();
    let detected = system.detect(&machine, deadline()).await;
    let text = Constant::text;
    let attributes = found(&[
        ("os.type", text("linux")),
        ("host.id", text("0123abcd")),
        ("os.name", text("own")),
        ("os.version", text("1")),
        ("os.build.id", text("b1")),
        ("host.cpu.vendor.id", text("V")),
        ("host.cpu.cache.l2.size", Constant::int(512)),
        ("host.ip", Constant::texts([])),
    ]);
    let problems = Vec::new();
    assert_eq!(
        detected,
        Detected {
            attributes,
            problems
        }
    );

    fs::remove_file(root.path().join("etc/machine-id")).unwrap();
    fs::remove_file(root.path().join("etc/os-release")).unwrap();
    machine.interfaces = || Err(std::io::Error::other("no socket"));
    let detected = system.detect(&machine, deadline()).await;
    let expected = [
        "host.id is absent: No such file or directory (os error 2)",
        "os.name is absent: the machine doesn't say",
        "os.version is absent: the machine doesn't say",
        "host.interface is absent: no socket",
    ];
    assert_eq!(detected.problems, expected);
    assert_eq!(detected.attributes.values().len(), 4);
}

/// A daemon at the usual place that gives each request its answer by the path.
fn daemon(root: &TempDir, answers: &'static [(&'static str, &'static str)]) {
    let run = root.path().join("var/run");
    fs::create_dir_all(&run).unwrap();
    let listener = UnixListener::bind(run.join("docker.sock")).unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let path = head.split(' ').nth(1).unwrap();
            let mut all = answers.iter();
            let answer = match all.find(|(begin, _)| path.starts_with(begin)) {
                Some((_, body)) => format!(
                    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
                    body.len()
                ),
                None => "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(),
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
}

#[tokio::test]
async fn docker_knows_its_host_and_the_container() {
    const INFO: &str = r#"{"ID":"x","Name":"docker-host","OSType":"linux","Containers":3}"#;
    const CONTAINER: &str =
        r#"{"Name":"/agent","Image":"sha256:12","Config":{"Image":"foghorn:1.2"}}"#;
    let all = "resource_attributes: {container.name: {enabled: true}, \
               container.image.name: {enabled: true}}";
    let text = Constant::text;
    let host = [
        ("host.name", text("docker-host")),
        ("os.type", text("linux")),
    ];

    let (root, here) = machine(&[]);
    daemon(&root, &[("/info", INFO), ("/containers/", CONTAINER)]);
    let docker: DockerDetector = read(all).unwrap();
    let detected = docker.detect(&here, deadline()).await;
    let mut expected = host.to_vec();
    expected.push(("container.name", text("agent")));
    expected.push(("container.image.name", text("foghorn:1.2")));
    assert_eq!(detected.attributes, found(&expected));
    assert_eq!(detected.problems, [""; 0]);

    // Outside of a container there is none of this name.
    let (root, here) = machine(&[]);
    daemon(&root, &[("/info", INFO)]);
    let detected = docker.detect(&here, deadline()).await;
    assert_eq!(detected.attributes, found(&host));
    let expected = "the container: absent, the daemon answers 404 Not Found";
    assert_eq!(detected.problems, [expected]);

    let (root, here) = machine(&[]);
    daemon(&root, &[("/info", "<html>")]);
    let detected = DockerDetector::default().detect(&here, deadline()).await;
    let expected = "host.name and os.type: absent, the daemon's answer isn't Docker's";
    assert_eq!(detected, Detected::failed(expected));
}

#[tokio::test(start_paused = true)]
async fn a_daemon_that_is_not_there_is_asked_again_only_where_its_socket_is() {
    let (root, here) = machine(&[]);
    let begun = Instant::now();
    let detected = DockerDetector::default().detect(&here, deadline()).await;
    assert!(detected.problems[0].contains("is the daemon's socket mounted?"));
    assert_eq!(begun.elapsed(), Duration::ZERO);

    let (_root, elsewhere) = machine(&[("DOCKER_HOST", "tcp://10.0.0.1:2375")]);
    let detected = DockerDetector::default()
        .detect(&elsewhere, deadline())
        .await;
    let expected = "DOCKER_HOST names no socket of this host (unix://): absent";
    assert_eq!(detected, Detected::failed(expected));

    // The daemon restarts: its socket is there, and nobody listens.
    let run = root.path().join("var/run");
    fs::create_dir_all(&run).unwrap();
    drop(UnixListener::bind(run.join("docker.sock")).unwrap());
    let detected = DockerDetector::default().detect(&here, deadline()).await;
    assert!(detected.problems[0].contains("refused"), "{detected:?}");
    // After 1 and 2 more seconds, and not after 4 more.
    assert_eq!(begun.elapsed(), Duration::from_secs(3));
}

#[test]
fn the_downward_api_names_the_node() {
    let (_root, machine) = machine(&[("K8S_NODE_NAME", "node-1"), ("MY_NODE", "node-2")]);
    let f = |yaml: &str, expected: &[(&str, Constant)]| {
        let detector: KubernetesDetector = read(yaml).unwrap();
        let detected = detector.detect(&machine);
        assert_eq!(detected.attributes, found(expected), "{yaml}");
        detected.problems
    };
    f("", &[("k8s.node.name", Constant::text("node-1"))]);
    f(
        "node_from_env_var: MY_NODE",
        &[("k8s.node.name", Constant::text("node-2"))],
    );
    f(
        "resource_attributes: {k8s.node.name: {enabled: false}}",
        &[],
    );
    let problems = f("node_from_env_var: NOWHERE", &[]);
    assert!(problems[0].starts_with("NOWHERE isn't set"), "{problems:?}");
}

#[test]
fn mistakes_are_named() {
    let f = |yaml: &str, expected: &[&str]| {
        let problems = read::<Config>(yaml).map(|_| ()).unwrap_err();
        assert_eq!(problems, expected, "{yaml}");
    };
    let elsewhere = |place: &str, name: &str| {
        format!(
            "{place}: the detector {name} isn't here: what this machine and its environment say \
             is detected, by env, system, docker and k8s_api"
        )
    };
    f(
        "detectors: []",
        &["detectors: names no detector, such as env or system"],
    );
    f(
        "detectors: [env, ec2]",
        &[&elsewhere("detectors::1", "ec2")],
    );
    f("gcp: {labels: [a]}", &[&elsewhere("gcp", "gcp")]);
    f(
        "detectors: [sytem]",
        &[
            "detectors::0: expected env, system, docker, k8s_api or k8snode, found `sytem`, did \
           you mean `system`?",
        ],
    );
    f(
        "system: {hostname_sources: [fqdn]}",
        &["system::hostname_sources::0: expected os, dns, cname or lookup, found `fqdn`"],
    );
    assert!(read::<Config>("{}").is_ok());
    assert!(read::<Config>("refresh_interval: 0s").is_ok());
}
