//! What is shown of control planes that fail, under a clock of its own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::advance;

use super::fog::FogScraper;
use super::*;
use crate::component::Now;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::kubernetes::InCluster;
use crate::receivers::scrape::http::{Access, Fetch, FetchRequest, FetchedPage};
use crate::receivers::scrape::testing::{Series, context, series};
use crate::receivers::scrape::{FailureReason, Poll, PollReason, PollSettings, Scrape};
use crate::resilience::{FetchError, Settings};
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// A control plane that answers the same to all.
struct Fixed(Mutex<Option<String>>);

impl Fetch for Fixed {
    fn fetch<'a>(&'a self, _: &'a FetchRequest) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        let answer = match &*self.0.lock().unwrap() {
            Some(body) => Ok(body.clone().into_bytes().into()),
            None => Err(FailureReason::Refused.error("refused")),
        };
        Box::pin(std::future::ready(answer))
    }
}

struct FogRig {
    server: Arc<Fixed>,
    scraper: FogScraper,
}

impl FogRig {
    fn new(context: &BuildContext) -> Self {
        let server = Arc::new(Fixed(Mutex::new(None)));
        let access = Access::new(context, Arc::clone(&server) as _);
        let url = "http://plane:8000".parse().unwrap();
        let interval = PollSettings::default().interval;
        Self {
            server,
            scraper: FogScraper::new(&access, url, 10, false, interval),
        }
    }

    fn lists(&self, entries: &[&str]) {
        *self.server.0.lock().unwrap() = Some(format!("[{}]", entries.join(",")));
    }

    fn fails(&self) {
        *self.server.0.lock().unwrap() = None;
    }

    async fn poll(&mut self) -> (Scrape, Series) {
        let mut out = MetricsWriter::new();
        out.resource(&[]);
        out.scope("test", "");
        let now = Now::read();
        let reason = PollReason::Interval;
        let scrape = self.scraper.scrape(Poll { now, reason }, &mut out).await;
        (scrape, series(&out.finish()))
    }

    /// How long it takes until series end, in seconds, and how many do.
    async fn until_ended(&mut self) -> (u64, usize) {
        for tick in 0..1000 {
            let (scrape, series) = self.poll().await;
            assert!(!scrape.up());
            if !series.is_empty() {
                assert!(series.values().all(|value| value.is_nan()), "{series:?}");
                return (tick * 15, series.len());
            }
            advance(Duration::from_secs(15)).await;
        }
        panic!("nothing ends");
    }
}

fn entry(id: &str) -> String {
    format!(r#"{{"id":"{id}","status":"running","target_replicas":2,"running_replicas":1}}"#)
}

#[tokio::test(start_paused = true)]
async fn series_end_when_lists_have_failed_for_long_and_not_before() {
    let guarded = BuildContext {
        guard: Some(Arc::new(Settings::default())),
        ..context("deployment")
    };
    let staleness = Settings::default().max_staleness().as_secs();
    for (context, lasts) in [(context("deployment"), 300), (guarded, staleness)] {
        let mut rig = FogRig::new(&context);
        rig.lists(&[&entry("a"), &entry("b")]);
        let (_, series) = rig.poll().await;
        assert_eq!(series.len(), 5, "{series:?}");
        advance(Duration::from_secs(15)).await;
        rig.fails();
        let (ended, tombstones) = rig.until_ended().await;
        assert!(
            ended >= lasts.saturating_sub(15) && ended <= lasts + 15,
            "{ended}"
        );
        assert_eq!(tombstones, 5, "the number of those that run as well");
        advance(Duration::from_secs(15)).await;
        assert_eq!(rig.poll().await.1, Series::new(), "once");
    }
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_can_not_be_read_ends_only_what_it_can_not_be() {
    let mut rig = FogRig::new(&context("deployment"));
    let count = |id: &str| format!("deployment_replica_count{{deployment_id={id:?}}}");
    rig.lists(&[&entry("a"), &entry("b"), &entry("c")]);
    rig.poll().await;
    // Which one it is of can be read: `c` has gone, and `b` hasn't.
    rig.lists(&[&entry("a"), r#"{"id":"b","status":"running"}"#]);
    let (_, series) = rig.poll().await;
    assert!(series[&count("c")].is_nan() && !series.contains_key(&count("b")));
    // It may be that of `b`.
    rig.lists(&[&entry("a"), r#"{"status":"running"}"#]);
    let (_, series) = rig.poll().await;
    assert!(!series.contains_key(&count("b")));
}

#[tokio::test(start_paused = true)]
async fn a_list_with_an_entry_that_can_not_be_read_ends_nothing() {
    let mut rig = FogRig::new(&context("deployment"));
    rig.lists(&[&entry("a"), &entry("b")]);
    rig.poll().await;
    rig.lists(&[&entry("a"), r#"{"id":"b"}"#]);
    let (scrape, series) = rig.poll().await;
    assert!(scrape.up() && series.values().all(|value| !value.is_nan()));
    let count = |id: &str| format!("deployment_replica_count{{deployment_id={id:?}}}");
    assert!(series.contains_key(&count("a")) && !series.contains_key(&count("b")));
    assert_eq!(
        series["system_active_deployments"], 1.0,
        "of those that can be read"
    );
    // Now it is known that it has gone.
    rig.lists(&[&entry("a")]);
    let (_, series) = rig.poll().await;
    assert!(series[&count("b")].is_nan());
    assert_eq!(series["system_active_deployments"], 1.0);
}

#[test]
fn a_cluster_is_found_by_its_environment_or_told_to_be_missing() {
    let diagnostics = Diagnostics::new();
    let text = "{control_plane: {type: kubernetes}}";
    let node = parse(text, &Arc::from("test"), &diagnostics).unwrap();
    let config: Config = PlacedNode::root(&node, &diagnostics).read().unwrap();
    let missing = || InCluster::of("", "", std::path::Path::new("/mount"));
    let error = config
        .targets(&context("deployment"), &missing)
        .err()
        .unwrap();
    let error = format!("{error:#}");
    assert!(
        error.contains("`endpoint` is missing: not in a cluster"),
        "{error}"
    );
    // Its files are what is missing next.
    let cluster = || InCluster::of("10.0.0.1", "443", std::path::Path::new("/mount"));
    let error = config
        .targets(&context("deployment"), &cluster)
        .err()
        .unwrap();
    assert!(format!("{error:#}").contains("/mount/"), "{error:#}");
}
