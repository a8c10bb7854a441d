//! The deployment receiver against control planes and replicas on loopback, which answer as they
//! should, and make trouble.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use foghorn::component::{Admission, BuildContext, Intake, Origin, Refusal};
use foghorn::pdata::{Batch, Signal};
use foghorn::receivers::deployment;
use foghorn::telemetry::Telemetry;
use foghorn::yaml::{self, Diagnostics, PlacedNode};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

#[path = "support/control_plane.rs"]
mod control_plane;
#[path = "support/series.rs"]
mod series;

use control_plane::{ControlPlane, Plane, PlaneOptions, PlaneTrouble, deployed};

/// Hands every batch to the test.
struct Pass(mpsc::UnboundedSender<Batch>);

impl Intake for Pass {
    fn try_admit(&self, _origin: Origin, _bytes: u64) -> Result<Box<dyn Admission>, Refusal> {
        Ok(Box::new(Pass(self.0.clone())))
    }
}

impl Admission for Pass {
    fn grow(&mut self, _bytes: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        // The test may have seen enough.
        let _ = self.0.send(batch);
        Box::pin(std::future::ready(()))
    }
}

/// A receiver at work, and the series that it shows.
struct Rig {
    batches: mpsc::UnboundedReceiver<Batch>,
    shown: BTreeMap<String, f64>,
    /// Series that have ended, in their order.
    ended: Vec<String>,
    _stop: tokio_util::sync::DropGuard,
    _task: JoinHandle<()>,
}

impl Rig {
    fn start(text: &str) -> Self {
        let diagnostics = Diagnostics::new();
        let node = yaml::parse(text, &Arc::from("test"), &diagnostics).unwrap();
        let config = (deployment::FACTORY.configure)(&PlacedNode::root(&node, &diagnostics));
        assert_eq!(diagnostics.problems(), [], "{text}");
        let (sender, batches) = mpsc::unbounded_channel();
        let context = BuildContext::standalone("deployment".parse().unwrap(), Telemetry::off());
        let intake: Arc<dyn Intake> = Arc::new(Pass(sender));
        let intakes = BTreeMap::from([(Signal::Metrics, intake)]);
        let receiver = config.unwrap().build(&context, intakes).unwrap();
        let stop = CancellationToken::new();
        Self {
            batches,
            shown: BTreeMap::new(),
            ended: Vec::new(),
            _task: tokio::spawn(receiver.run(stop.clone())),
            _stop: stop.drop_guard(),
        }
    }

    /// Takes the next batch.
    async fn take(&mut self) {
        let batch = timeout(Duration::from_secs(20), self.batches.recv()).await;
        let batch = batch.unwrap_or_else(|_| panic!("nothing comes: {:#?}", self.shown));
        let batch = batch.unwrap();
        let series = series::read(batch.parts().iter().map(|part| part.bytes().as_ref()));
        for (name, value) in series {
            if value.is_nan() {
                self.shown.remove(&name);
                self.ended.push(name);
            } else {
                self.shown.insert(name, value);
            }
        }
    }

    /// Takes batches until something is so.
    async fn until(&mut self, what: &str, is_so: impl Fn(&BTreeMap<String, f64>) -> bool) {
        let late = Instant::now() + Duration::from_secs(20);
        while !is_so(&self.shown) {
            assert!(Instant::now() < late, "{what}: {:#?}", self.shown);
            self.take().await;
        }
    }

    fn value(&self, name: &str) -> Option<f64> {
        self.shown.get(name).copied()
    }

    /// How many deployments are shown.
    fn deployments(&self) -> usize {
        let names = self.shown.keys();
        names
            .filter(|name| name.starts_with("deployment_replica_count{"))
            .count()
    }

    fn failures(&self, reason: &str) -> f64 {
        self.value(&format!("scrape_failures_total{{reason=\"{reason}\"}}"))
            .unwrap_or(0.0)
    }

    fn rejected(&self, reason: &str) -> Option<f64> {
        self.value(&format!(
            "scrape_entries_rejected_total{{reason=\"{reason}\"}}"
        ))
    }
}

async fn plane(plane: Plane, token: Option<&str>, page: usize) -> Arc<ControlPlane> {
    let options = PlaneOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        plane,
        token: token.map(str::to_owned),
        page,
    };
    ControlPlane::start(options).await.unwrap()
}

fn count(id: &str, name: &str) -> String {
    format!("deployment_replica_count{{deployment_id={id:?},deployment_name={name:?}}}")
}

fn of_cluster(metric: &str, id: &str, name: &str) -> String {
    format!(
        "{metric}{{deployment_id={id:?},deployment_name={name:?},k8s_namespace_name=\"default\"}}"
    )
}

#[tokio::test]
async fn deployments_of_the_fog_come_from_all_pages_and_end_when_they_leave() {
    let server = plane(Plane::Fog, Some("s3cret"), 1000).await;
    for n in 0..130 {
        server.set(&format!("d-{n:03}"), Some(deployed("web", 3, 2)));
    }
    server.set("d-007", Some(deployed("web", 2, 0)));
    let mut rig = Rig::start(&format!(
        "{{control_plane: {{type: fog, endpoint: '{}', details: true,
          auth: {{bearer_token: s3cret}}}}, collection_interval: 400ms}}",
        server.url()
    ));
    rig.until("all are there", |shown| shown.contains_key("up"))
        .await;
    assert_eq!(rig.deployments(), 130);
    let of = |metric: &str, id: &str, more: &str| {
        format!("{metric}{{deployment_id={id:?},deployment_name=\"web\"{more}}}")
    };
    for (series, value) in [
        (of("deployment_replica_count", "d-001", ""), 2.0),
        (of("deployment_replicas_target", "d-001", ""), 3.0),
        (of("deployment_health", "d-001", ""), 0.5),
        (of("deployment_health", "d-007", ""), 0.0),
        (
            of(
                "deployment_replica_status",
                "d-001",
                ",status=\"running\",node_id=\"node-0\"",
            ),
            1.0,
        ),
        (
            of(
                "deployment_replica_status",
                "d-001",
                ",status=\"failed\",node_id=\"node-0\"",
            ),
            1.0,
        ),
        ("system_active_deployments".to_owned(), 129.0),
        ("up".to_owned(), 1.0),
    ] {
        assert_eq!(rig.value(&series), Some(value), "{series}");
    }
    let lists: Vec<_> = server
        .asked()
        .into_iter()
        .filter(|asked| asked.path == "/api/deployment/list")
        .map(|asked| asked.query["offset"].clone())
        .collect();
    assert_eq!(lists[..2], ["0", "100"]);

    server.set("d-001", None);
    server.set("d-002", Some(deployed("web", 3, 3)));
    let (gone, kept) = (count("d-001", "web"), count("d-002", "web"));
    rig.until("one has left", |shown| {
        !shown.contains_key(&gone) && shown[&kept] == 3.0
    })
    .await;
    assert!(rig.ended.contains(&of("deployment_health", "d-001", "")));
    let failed = of(
        "deployment_replica_status",
        "d-002",
        ",status=\"failed\",node_id=\"node-0\"",
    );
    assert!(
        rig.ended.contains(&failed),
        "no replica is in this status any more"
    );
    assert_eq!(rig.deployments(), 129);

    // Details that fail leave the list.
    server.trouble(Some(PlaneTrouble::Details(500)));
    rig.until("a part fails, and says nothing", |shown| {
        let mut names = shown.keys();
        shown["scrape_parts_failed"] == 1.0
            && !names.any(|name| name.starts_with("deployment_health"))
    })
    .await;
    assert_eq!((rig.value("up"), rig.deployments()), (Some(1.0), 129));
    assert!(rig.failures("status") >= 1.0);
}

#[tokio::test]
async fn trouble_of_a_control_plane_has_a_clear_reason_and_ends_no_series() {
    let elsewhere = plane(Plane::Fog, None, 1000).await;
    for kind in [Plane::Fog, Plane::Kubernetes] {
        let server = plane(kind, Some("s3cret"), 50).await;
        for n in 0..120 {
            server.set(&format!("d-{n:03}"), Some(deployed("web", 1, 1)));
        }
        let name = if kind == Plane::Fog {
            "fog"
        } else {
            "kubernetes"
        };
        // Pages of the fog are short when they have fewer than were asked for.
        let all = if kind == Plane::Fog { 50 } else { 120 };
        let mut rig = Rig::start(&format!(
            "{{control_plane: {{type: {name}, endpoint: '{}', max_deployments: 300,
              auth: {{bearer_token: s3cret}}, max_body_size: 1MiB}},
              collection_interval: 300ms, timeout: 250ms}}",
            server.url()
        ));
        rig.until("it works", |shown| shown.get("up") == Some(&1.0))
            .await;
        assert_eq!(rig.deployments(), all, "{name}");
        let mut troubles = vec![
            (PlaneTrouble::Status(401), "status"),
            (PlaneTrouble::Status(403), "status"),
            (PlaneTrouble::Status(410), "status"),
            (PlaneTrouble::Throttle(1), "status"),
            (PlaneTrouble::Garbage, "parse"),
            (PlaneTrouble::Huge(100 << 20), "limit"),
            (PlaneTrouble::Redirect(elsewhere.url()), "status"),
            (PlaneTrouble::Hang, "timeout"),
        ];
        if kind == Plane::Kubernetes {
            troubles.push((PlaneTrouble::SameToken, "limit"));
            troubles.push((PlaneTrouble::Repeat, "limit"));
        }
        for (trouble, reason) in troubles {
            let case = format!("{name}: {trouble:?}");
            let before = rig.failures(reason);
            server.trouble(Some(trouble));
            // Who watches must be told to ask anew.
            server.expire();
            let late = Instant::now() + Duration::from_secs(20);
            while rig.failures(reason) == before {
                assert!(Instant::now() < late, "{case}: {:#?}", rig.shown);
                rig.take().await;
            }
            assert_eq!(rig.value("up"), Some(0.0), "{case}");
            assert_eq!(rig.deployments(), all, "{case}");
            assert_eq!(rig.ended, [""; 0], "{case}");
            server.trouble(None);
            // The second comes by the watch, so that this works as well.
            for change in [3, 2] {
                server.set("d-000", Some(deployed("web", change, change)));
                rig.until(&case, |shown| {
                    let target = shown.iter().find(|(name, _)| {
                        name.starts_with("deployment_replicas_target") && name.contains("d-000")
                    });
                    shown["up"] == 1.0 && target.is_some_and(|(_, target)| *target == change as f64)
                })
                .await;
            }
        }
        // Pages for ever: no more is asked for than the bound needs.
        server.asked();
        server.trouble(Some(PlaneTrouble::Endless));
        server.expire();
        if kind == Plane::Kubernetes {
            rig.until("the bound", |shown| {
                shown.get("scrape_entries_rejected_total{reason=\"limit\"}") > Some(&0.0)
            })
            .await;
            assert_eq!(rig.deployments(), 300);
            let lists = server.asked();
            let lists = lists
                .iter()
                .filter(|asked| !asked.query.contains_key("watch"));
            assert!(lists.count() <= 7, "six pages of 50");
        }
    }
    assert_eq!(
        elsewhere.asked(),
        [],
        "nobody else is asked, and gets no token"
    );
}

#[tokio::test]
async fn pages_of_the_fog_that_never_end_are_read_up_to_the_bound() {
    let server = plane(Plane::Fog, None, 1000).await;
    server.trouble(Some(PlaneTrouble::Endless));
    let mut rig = Rig::start(&format!(
        "{{control_plane: {{type: fog, endpoint: '{}', max_deployments: 300}},
          collection_interval: 1h}}",
        server.url()
    ));
    rig.until("it is polled", |shown| shown.contains_key("up"))
        .await;
    assert_eq!((rig.value("up"), rig.deployments()), (Some(1.0), 300));
    assert_eq!(rig.rejected("limit"), Some(100.0));
    assert_eq!(server.asked().len(), 4, "one request beyond the bound");

    let server = plane(Plane::Fog, None, 1000).await;
    server.trouble(Some(PlaneTrouble::Repeat));
    let mut rig = Rig::start(&format!(
        "{{control_plane: {{type: fog, endpoint: '{}'}}, collection_interval: 1h}}",
        server.url()
    ));
    rig.until("it is polled", |shown| shown.contains_key("up"))
        .await;
    assert_eq!((rig.value("up"), rig.failures("limit")), (Some(0.0), 1.0));
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn a_change_in_a_cluster_shows_within_two_seconds_whatever_the_interval() {
    let server = plane(Plane::Kubernetes, None, 2).await;
    for name in ["a", "b", "c"] {
        server.set(name, Some(deployed(name, 2, 2)));
    }
    let mut rig = Rig::start(&format!(
        "{{control_plane: {{type: kubernetes, endpoint: '{}'}}, collection_interval: 1h}}",
        server.url()
    ));
    rig.until("the list", |shown| shown.contains_key("up"))
        .await;
    assert_eq!(rig.deployments(), 3);
    for (metric, value) in [
        ("deployment_replica_count", 2.0),
        ("deployment_replicas_target", 2.0),
        ("deployment_health", 1.0),
        ("k8s.deployment.pod.desired", 2.0),
        ("k8s.deployment.pod.available", 2.0),
    ] {
        assert_eq!(
            rig.value(&of_cluster(metric, "a", "a")),
            Some(value),
            "{metric}"
        );
    }
    let lists = server.asked();
    assert_eq!(lists.len(), 3, "two pages and a watch: {lists:?}");

    let shows =
        async |rig: &mut Rig, what: &str, is_so: &dyn Fn(&BTreeMap<String, f64>) -> bool| {
            let begun = Instant::now();
            rig.until(what, is_so).await;
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{what}: {:?}",
                begun.elapsed()
            );
        };
    let health = of_cluster("deployment_health", "a", "a");
    server.set("a", Some(deployed("a", 2, 1)));
    shows(&mut rig, "a change", &|shown| shown[&health] == 0.5).await;
    let added = of_cluster("deployment_replica_count", "d", "d");
    server.set("d", Some(deployed("d", 1, 0)));
    shows(&mut rig, "one more", &|shown| shown.contains_key(&added)).await;
    assert_eq!(rig.value("system_active_deployments"), Some(3.0));
    server.set("d", None);
    shows(&mut rig, "one less", &|shown| !shown.contains_key(&added)).await;

    // A watch that is dropped is resumed, without a list.
    server.asked();
    server.drop_watches();
    server.set("a", Some(deployed("a", 2, 2)));
    shows(&mut rig, "a change after a drop", &|shown| {
        shown[&health] == 1.0
    })
    .await;
    assert!(
        server
            .asked()
            .iter()
            .all(|asked| asked.query.contains_key("watch"))
    );

    // One whose version is gone is listed anew; what has left meanwhile ends.
    server.set("b", None);
    server.expire();
    let gone = of_cluster("deployment_replica_count", "b", "b");
    shows(&mut rig, "a new list", &|shown| !shown.contains_key(&gone)).await;
    assert!(
        server
            .asked()
            .iter()
            .any(|asked| !asked.query.contains_key("watch"))
    );
    assert_eq!(rig.deployments(), 2);

    // What can't be read costs itself.
    server.say(r#"{"type":"MODIFIED","object":{"metadata":{"resourceVersion":"9"}}}"#);
    server.set("c", Some(deployed("c", 2, 0)));
    let health = of_cluster("deployment_health", "c", "c");
    shows(&mut rig, "the one after it", &|shown| shown[&health] == 0.0).await;
}

#[tokio::test]
async fn a_token_is_read_again_when_its_file_changes() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "old\n").unwrap();
    let server = plane(Plane::Fog, Some("new"), 1000).await;
    server.set("d", Some(deployed("web", 1, 1)));
    let mut rig = Rig::start(&format!(
        "{{control_plane: {{type: fog, endpoint: '{}', auth: {{bearer_token_file: {:?}}}}},
          collection_interval: 200ms}}",
        server.url(),
        file
    ));
    rig.until("it is refused", |shown| shown.get("up") == Some(&0.0))
        .await;
    assert!(rig.failures("status") >= 1.0);
    std::fs::write(&file, "new\n").unwrap();
    rig.until("it is let in", |shown| shown["up"] == 1.0).await;
    assert_eq!(rig.deployments(), 1);
}

/// A replica that exposes what the test says.
struct Replica {
    address: SocketAddr,
    page: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Replica {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let page = Arc::new(Mutex::new(String::new()));
        let served = Arc::clone(&page);
        let task = tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let body = served.lock().unwrap().clone();
                let mut head = [0; 2048];
                let _ = stream.read(&mut head).await;
                let answer = format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self {
            address,
            page,
            task,
        }
    }

    /// Has had so many requests, of which so many failed, of 50 ms each.
    fn says(&self, requests: u64, failed: u64) {
        let ok = requests - failed;
        let sum = requests as f64 * 0.05;
        *self.page.lock().unwrap() = format!(
            "http_requests_total{{code=\"200\"}} {ok}\n\
             http_requests_total{{code=\"502\"}} {failed}\n\
             http_request_duration_seconds_bucket{{le=\"0.1\"}} {requests}\n\
             http_request_duration_seconds_bucket{{le=\"+Inf\"}} {requests}\n\
             http_request_duration_seconds_sum {sum}\n\
             http_request_duration_seconds_count {requests}\n"
        );
    }
}

#[tokio::test]
async fn requests_add_up_over_replicas_and_one_that_dies_leaves_the_sum() {
    let (first, second) = (Replica::start().await, Replica::start().await);
    first.says(1000, 10);
    second.says(5, 0);
    let mut rig = Rig::start(&format!(
        "{{request_metrics: {{scrape: {{targets: [{{deployment_id: web,
          urls: ['http://{}/metrics', 'http://{}/metrics']}}]}}}}, collection_interval: 500ms}}",
        first.address, second.address
    ));
    let of = |metric: &str| format!("{metric}{{deployment_id=\"web\"}}");
    let rate = of("deployment_request_rate");
    rig.until("a second page", |shown| shown.contains_key(&rate))
        .await;
    assert_eq!(rig.value(&rate), Some(0.0), "what was before doesn't count");
    assert_eq!(rig.value(&of("deployment_error_rate")), Some(0.0));
    assert_eq!(
        rig.value(&of("deployment_latency")),
        None,
        "there were no requests"
    );
    // Grows with every page, by 100 requests, and restarts in between.
    let mut total = 1000;
    let late = Instant::now() + Duration::from_secs(20);
    while !(rig.value(&rate) > Some(150.0) && rig.value(&rate) < Some(260.0)) {
        assert!(Instant::now() < late, "{:#?}", rig.shown);
        total = if total > 1500 { 100 } else { total + 100 };
        first.says(total, total / 10);
        rig.take().await;
        rig.take().await;
        // Below zero it never falls, whatever restarts.
        assert!(rig.value(&rate) >= Some(0.0));
    }
    let latency = of("deployment_latency");
    let errors = of("deployment_error_rate");
    assert!(
        (rig.value(&latency).unwrap() - 50.0).abs() < 5.0,
        "{:#?}",
        rig.shown
    );
    assert!(rig.value(&errors) > Some(0.0));
    let p95 = rig.value(&of("deployment_latency_p95")).unwrap();
    assert!((p95 - 95.0).abs() < 1e-6, "{p95}");

    second.task.abort();
    first.task.abort();
    rig.until("all replicas are gone", |shown| !shown.contains_key(&rate))
        .await;
    assert!(rig.ended.contains(&errors));
}
