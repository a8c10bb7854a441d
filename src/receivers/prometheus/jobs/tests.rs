use hyper::Response;

use super::super::config::Config;
use super::super::testing::serve;
use super::*;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::testing::{Series, context, series};
use crate::receivers::scrape::{Poll, PollReason};
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// The only job of a configuration, and where its targets are told.
struct JobRig {
    found: FoundTargetsOfJob,
    sets: TargetSets,
}

impl JobRig {
    fn new(keys: &str) -> Self {
        let jobs = jobs(keys).unwrap();
        let context = Arc::clone(&jobs.jobs[0].context);
        Self {
            found: FoundTargetsOfJob {
                context,
                known: HashMap::new(),
                rejected: jobs.rejected.clone(),
                attributes: Arc::new([]),
                throttle: Throttle::default(),
            },
            sets: TargetSets::new(100),
        }
    }

    /// Discoveries have found these addresses, each in a group of its own.
    async fn find(&mut self, addresses: &[&str]) {
        let groups: Vec<Arc<TargetGroup>> = addresses
            .iter()
            .map(|address| {
                let labels = [(ADDRESS.to_owned(), (*address).to_owned())];
                Arc::new(TargetGroup {
                    targets: vec![labels.into()],
                    ..TargetGroup::default()
                })
            })
            .collect();
        self.found.take(&groups, &self.sets).await;
    }

    /// What a poll of the only target that was found writes.
    async fn poll(&self) -> Series {
        let known = self.found.known.values().next().unwrap();
        let mut target = known.candidates[0].make();
        let mut out = MetricsWriter::new();
        out.resource(&[]);
        out.scope("test", "");
        let now = crate::component::Now::read();
        let reason = PollReason::Interval;
        target.scraper.scrape(Poll { now, reason }, &mut out).await;
        series(&out.finish())
    }
}

fn jobs(keys: &str) -> anyhow::Result<Jobs> {
    let diagnostics = Diagnostics::new();
    let text = format!("scrape_configs: [{{job_name: j, {keys}}}]");
    let node = parse(&text, &Arc::from("test"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics)).unwrap();
    Jobs::new(&context("prometheus"), &config)
}

#[tokio::test]
async fn a_target_that_is_found_twice_counts_once_for_the_limit() {
    let mut rig = JobRig::new("target_limit: 2");
    rig.find(&["a:1", "b:1", "a:1"]).await;
    assert_eq!(rig.found.context.exceeded_target_limit(), None);
    rig.find(&["a:1", "b:1", "c:1"]).await;
    assert_eq!(rig.found.context.exceeded_target_limit(), Some(2));
    rig.find(&["a:1"]).await;
    assert_eq!(rig.found.context.exceeded_target_limit(), None);
}

#[tokio::test]
async fn extra_metrics_are_there_whatever_the_scrape_comes_to() {
    let size = async |keys: &str, address: &str| {
        let mut rig = JobRig::new(&format!("extra_scrape_metrics: true, {keys}"));
        rig.find(&[address]).await;
        let series = rig.poll().await;
        let value = |name: &str| {
            let mut series = series.iter();
            series
                .find(|(of, _)| of.starts_with(name))
                .map(|(_, value)| *value)
        };
        assert_eq!(value("scrape_timeout_seconds"), Some(10.0), "{keys}");
        value("scrape_body_size_bytes")
    };
    let page = serve(|_, _| {
        let answer = Response::builder().header("content-type", "text/plain; version=0.0.4");
        answer.body("a 1\nb 2\n".to_owned()).unwrap()
    })
    .await;
    let page = page.to_string();
    assert_eq!(size("honor_labels: false", &page).await, Some(8.0));
    // As in Prometheus.
    assert_eq!(size("body_size_limit: 7B", &page).await, Some(-1.0));
    assert_eq!(size("sample_limit: 1", &page).await, Some(8.0));
    assert_eq!(size("scheme: http", "127.0.0.1:1").await, Some(0.0));
    let no_url = "relabel_configs: [{target_label: __address__, replacement: 'a b'}]";
    assert_eq!(size(no_url, &page).await, Some(0.0));
    let mut rig = JobRig::new("extra_scrape_metrics: true, target_limit: 1");
    rig.find(&[&page, "b:1"]).await;
    let series = rig.poll().await;
    assert!(
        series
            .keys()
            .any(|name| name.starts_with("scrape_sample_limit"))
    );
}

#[test]
fn files_of_tls_are_read_before_the_first_target_is_found() {
    for keys in [
        "tls_config: {ca_file: /nowhere/ca.pem}",
        "http_sd_configs: [{url: 'https://a/t', tls_config: {ca_file: /nowhere/ca.pem}}]",
    ] {
        let error = jobs(keys).err().unwrap();
        let error = format!("{error:#}");
        assert!(error.contains("/nowhere/ca.pem"), "{error}");
    }
}
