//! The jobs of a receiver: what their discoveries find becomes targets.

use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use hyper::header::ACCEPT;
use opentelemetry::KeyValue;
use opentelemetry::metrics::Counter;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use url::Url;

use super::config::{DiscoveryConfig, ScrapeJob};
use super::context::JobContext;
use super::discovery::{
    DiscoveryReport, DnsDiscovery, FileDiscovery, Findings, FoundGroups, HttpDiscovery,
    KubernetesDiscovery,
};
use super::groups::{ADDRESS, TargetGroup};
use super::rejections::SeriesRejections;
use super::rules::SeriesRules;
use super::scraper::{ReceivedPage, TargetScraper};
use super::targets::ScrapeTarget;
use crate::component::{BuildContext, ComponentId};
use crate::exposition::read::PageLimits;
use crate::lane::Lane;
use crate::receivers::scrape::http::{BodyRoom, FetchRequest, scrape_timeout};
use crate::receivers::scrape::{
    Candidate, Discovery, FirstPoll, Nudge, PollPace, Reach, ScrapeSeries, Target, TargetIdentity,
    TargetSets,
};
use crate::telemetry::Throttle;
use crate::translation::scraped::{ScrapedSettings, ScrapedTarget};

/// From how many targets on the rules are applied on a thread that may block.
const MANY: usize = 50;

/// Everything that a target depends on.
struct TargetSpec {
    job: Arc<JobContext>,
    target: Arc<ScrapeTarget>,
}

/// The discoveries of all jobs.
pub(super) struct Jobs {
    receiver: ComponentId,
    jobs: Vec<JobDiscovery>,
    failures: Counter<u64>,
    rejected: Counter<u64>,
}

/// A job and what finds its targets.
struct JobDiscovery {
    context: Arc<JobContext>,
    sources: Vec<TargetSource>,
}

enum TargetSource {
    Static(FoundGroups),
    Files(FileDiscovery),
    Http(Box<HttpDiscovery>),
    Dns(DnsDiscovery),
    Kubernetes(Box<KubernetesDiscovery>),
}

impl Hash for TargetSpec {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.job.job.name.hash(state);
        self.target.labels.hash(state);
        self.target.url.as_ref().map(Url::as_str).hash(state);
    }
}

impl TargetSpec {
    fn target(&self) -> Target {
        let (job, target) = (&self.job, &self.target);
        let pace = PollPace {
            interval: target.interval,
            timeout: target.timeout,
            first: FirstPoll::AtPhase,
        };
        let url = target.url.as_ref();
        let resource: Vec<(Arc<str>, Arc<str>)> = url.map(resource).unwrap_or_default();
        let labels: Vec<(Arc<str>, Arc<str>)> = target
            .public_labels()
            .filter(|(name, _)| !matches!(*name, "job" | "instance"))
            .filter(|(name, _)| !job.rules.external.contains_key(*name))
            .chain(
                job.rules
                    .external
                    .iter()
                    .map(|(n, v)| (n.as_str(), v.as_str())),
            )
            .map(|(name, value)| (Arc::from(name), Arc::from(value)))
            .collect();
        let limits = &job.job.limits;
        let settings = ScrapedSettings {
            honor_labels: job.job.honor_labels,
            honor_timestamps: job.job.honor_timestamps,
            track_timestamps_staleness: job.job.track_timestamps_staleness,
            sample_limit: limits.samples,
            label_limit: limits.labels,
            label_name_length_limit: limits.label_name,
            label_value_length_limit: limits.label_value,
            native_histograms: target.native_histograms,
            classic_histograms_too: target.classic_histograms_too,
            limits: PageLimits::default(),
        };
        let public = target.public_labels();
        let public = public.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let attributes = resource.iter();
        let attributes = attributes.map(|(name, value)| (name.to_string(), value.to_string()));
        let series =
            ScrapedTarget::new(settings, public.collect()).with_attributes(attributes.collect());
        let page = url.map(|url| {
            let headers = [(ACCEPT, job.accept.clone()), scrape_timeout(target.timeout)];
            // Jobs may share a URL, and the targets of a probe do: each has a guard of its own.
            let name = match url.query() {
                None => job.job.name.clone(),
                Some(_) => format!("{}/{}", job.job.name, target.label("instance")),
            };
            let request = FetchRequest {
                instance: Some(name.into()),
                timeout: Some(target.timeout),
                max_body: Some(limits.body_size),
                ..FetchRequest::with(url.clone(), Arc::new(headers))
            };
            let access = job.access.at_pace(&pace, Arc::clone(&job.client) as _);
            let fallback = job.job.fallback;
            access.document(request, move |page| ReceivedPage::of(page, fallback))
        });
        Target {
            endpoint: shown(target).into(),
            identity: Arc::new(TargetIdentity {
                service: target.label("job").into(),
                instance: target.label("instance").into(),
                resource,
                labels: labels.clone(),
            }),
            reach: Reach::Remote,
            pace,
            series: ScrapeSeries::Prometheus,
            advice: format!("it is a target of the job `{}`", job.job.name).into(),
            nudge: Nudge::default(),
            scraper: Box::new(TargetScraper::new(
                Arc::clone(job),
                Arc::clone(target),
                labels,
                page,
                series,
            )),
        }
    }
}

/// A target for people: its URL without the query, which may hold secrets.
fn shown(target: &ScrapeTarget) -> String {
    let Some(url) = &target.url else {
        return target.label("__address__").to_owned();
    };
    let mut plain = url.clone();
    plain.set_query(None);
    match url.query() {
        None => plain.into(),
        Some(_) => format!("{plain}#{}", target.label("instance")),
    }
}

/// What the Collector says of a target in its resource.
fn resource(url: &Url) -> Vec<(Arc<str>, Arc<str>)> {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| port.to_string());
    [
        ("server.address", host.to_owned()),
        ("server.port", port.unwrap_or_default()),
        ("url.scheme", url.scheme().to_owned()),
    ]
    .into_iter()
    .filter(|(_, value)| !value.is_empty())
    .map(|(name, value)| (Arc::from(name), Arc::from(value)))
    .collect()
}

impl Jobs {
    /// # Errors
    ///
    /// When a file that the configuration names can't be read or used.
    pub(super) fn new(context: &BuildContext, config: &super::Config) -> anyhow::Result<Self> {
        let meter = context.telemetry.meter("foghorn/scrape");
        let rejections = SeriesRejections::new(&meter, &context.id.to_string());
        let external = Arc::new(config.external_labels.clone());
        // Large pages of all jobs are read one after the other, and wait in one room.
        let (lane, room) = (Lane::new(1), BodyRoom::default());
        let build = |job: &ScrapeJob| -> anyhow::Result<JobDiscovery> {
            let rules = SeriesRules {
                rules: job.metric_relabel.clone().into(),
                external: Arc::clone(&external),
                rejections: rejections.clone(),
            };
            let built = JobContext::new(context, job, rules, (&lane, &room))?;
            let sources = job
                .discoveries
                .iter()
                .map(|source| TargetSource::new(source, job));
            Ok(JobDiscovery {
                context: Arc::new(built),
                sources: sources.collect::<anyhow::Result<_>>()?,
            })
        };
        let jobs = config.jobs.iter().map(|job| {
            build(job).map_err(|error| error.context(format!("scrape_configs: {}", job.name)))
        });
        Ok(Self {
            receiver: context.id.clone(),
            jobs: jobs.collect::<anyhow::Result<_>>()?,
            failures: meter
                .u64_counter("foghorn_discovery_failures_total")
                .with_description("times that a discovery could not say which targets there are")
                .build(),
            rejected: meter
                .u64_counter("foghorn_scrape_targets_rejected_total")
                .with_description("targets that were found and left out")
                .build(),
        })
    }
}

impl Discovery for Jobs {
    fn run(self: Box<Self>, sets: TargetSets, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Self {
                receiver,
                jobs,
                failures,
                rejected,
            } = *self;
            let attributes = |job: &str, more: KeyValue| -> Arc<[KeyValue]> {
                let receiver = KeyValue::new("receiver", receiver.to_string());
                Arc::new([receiver, KeyValue::new("job", job.to_owned()), more])
            };
            // They end with this future.
            let mut tasks = JoinSet::new();
            let mut following = Vec::new();
            for JobDiscovery { context, sources } in jobs {
                let name = context.job.name.clone();
                let (found, receiver) = watch::channel(vec![FoundGroups::new(); sources.len()]);
                for (place, source) in sources.into_iter().enumerate() {
                    let kind = KeyValue::new("discovery", source.kind());
                    let report = DiscoveryReport::new(
                        format!("{name}/{}", source.kind()),
                        failures.clone(),
                        attributes(&name, kind),
                    );
                    let findings = Findings::new(found.clone(), place, report);
                    tasks.spawn(source.run(findings));
                }
                let mut found_targets = FoundTargetsOfJob {
                    context,
                    known: HashMap::new(),
                    rejected: rejected.clone(),
                    attributes: attributes(&name, KeyValue::new("reason", "invalid")),
                    throttle: Throttle::default(),
                };
                let sets = sets.clone();
                following.push(async move { found_targets.follow(receiver, &sets).await });
            }
            // Discoveries don't end; the agent's end drops them.
            stop.run_until_cancelled(join_all(following)).await;
            tasks.shutdown().await;
        })
    }
}

impl TargetSource {
    fn new(config: &DiscoveryConfig, job: &ScrapeJob) -> anyhow::Result<Self> {
        Ok(match config {
            DiscoveryConfig::Static(groups) => {
                Self::Static(groups.iter().cloned().map(Arc::new).collect())
            }
            DiscoveryConfig::Files(files) => {
                Self::Files(FileDiscovery::new(files.clone(), job.names))
            }
            DiscoveryConfig::Http(http) => Self::Http(Box::new(HttpDiscovery::new(http)?)),
            DiscoveryConfig::Dns(dns) => Self::Dns(DnsDiscovery::new(dns.clone())),
            DiscoveryConfig::Kubernetes(cluster) => {
                Self::Kubernetes(Box::new(KubernetesDiscovery::new(cluster)?))
            }
        })
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Static(_) => "static",
            Self::Files(_) => "file",
            Self::Http(_) => "http",
            Self::Dns(_) => "dns",
            Self::Kubernetes(_) => "kubernetes",
        }
    }

    async fn run(self, mut findings: Findings) {
        match self {
            Self::Static(groups) => findings.found(groups),
            Self::Files(files) => files.run(findings).await,
            Self::Http(http) => http.run(findings).await,
            Self::Dns(dns) => dns.run(findings).await,
            Self::Kubernetes(cluster) => cluster.run(findings).await,
        }
    }
}

/// What a job's discoveries have found, as targets.
struct FoundTargetsOfJob {
    context: Arc<JobContext>,
    /// The targets of each group, by its address: a group that stays isn't relabelled again.
    known: HashMap<usize, RelabelledGroup>,
    rejected: Counter<u64>,
    attributes: Arc<[KeyValue]>,
    throttle: Throttle,
}

/// The targets of a group by the rules of the job.
struct RelabelledGroup {
    /// Keeps the address from being another group's.
    group: Arc<TargetGroup>,
    candidates: Vec<Candidate>,
    /// How many can't be scraped, and why the first of them can't.
    rejected: u64,
    error: Option<String>,
}

impl FoundTargetsOfJob {
    /// Tells which targets there are whenever that changes. Ends when all discoveries have.
    async fn follow(&mut self, mut found: watch::Receiver<Vec<FoundGroups>>, sets: &TargetSets) {
        while found.changed().await.is_ok() {
            let groups: Vec<Arc<TargetGroup>> = found
                .borrow_and_update()
                .iter()
                .flatten()
                .cloned()
                .collect();
            self.take(&groups, sets).await;
        }
    }

    async fn take(&mut self, groups: &[Arc<TargetGroup>], sets: &TargetSets) {
        let address = |group: &Arc<TargetGroup>| Arc::as_ptr(group) as usize;
        let mut last = std::mem::take(&mut self.known);
        let mut new = Vec::new();
        for group in groups {
            match last.remove(&address(group)) {
                Some(known) if Arc::ptr_eq(&known.group, group) => {
                    self.known.insert(address(group), known);
                }
                _ => new.push(Arc::clone(group)),
            }
        }
        let targets: usize = new.iter().map(|group| group.targets.len()).sum();
        let context = Arc::clone(&self.context);
        let relabel = move || -> Vec<RelabelledGroup> {
            let relabelled = new.into_iter().map(|group| relabelled(&context, group));
            relabelled.collect()
        };
        let made = match targets {
            0..MANY => relabel(),
            _ => self.context.lane.run(relabel).await,
        };
        for group in made {
            self.report(&group);
            self.known.insert(address(&group.group), group);
        }
        // In the order in which they were found, since the first have precedence.
        let known = groups
            .iter()
            .filter_map(|group| self.known.get(&address(group)));
        let candidates: Vec<Candidate> = known
            .flat_map(|group| group.candidates.iter().cloned())
            .collect();
        let limit = self.context.job.limits.targets;
        // As in Prometheus, those that are found twice count once.
        let is_beyond = limit > 0
            && candidates.len() > limit
            && candidates.iter().collect::<HashSet<_>>().len() > limit;
        self.context.note_beyond(is_beyond);
        sets.set(&self.context.job.name, candidates);
    }

    fn report(&mut self, group: &RelabelledGroup) {
        let Some(error) = &group.error else { return };
        self.rejected.add(group.rejected, &self.attributes);
        if let Some(targets) = self.throttle.pass(group.rejected, Instant::now()) {
            let job = &self.context.job.name;
            warn!(
                job,
                targets, "targets that were found can't be scraped: {error}"
            );
        }
    }
}

/// Applies the rules of a job to a group. That takes some microseconds for a target and a rule.
fn relabelled(context: &Arc<JobContext>, group: Arc<TargetGroup>) -> RelabelledGroup {
    let mut candidates = Vec::new();
    let (mut rejected, mut first) = (0, None);
    for labels in &group.targets {
        match ScrapeTarget::of(&context.job, labels, &group.labels) {
            Ok(None) => {}
            Ok(Some(target)) => {
                let spec = TargetSpec {
                    job: Arc::clone(context),
                    target: Arc::new(target),
                };
                candidates.push(Candidate::new(spec, TargetSpec::target));
            }
            Err(error) => {
                rejected += 1;
                first.get_or_insert_with(|| {
                    let address = labels.get(ADDRESS).map_or("", String::as_str);
                    format!("`{address}`: {error}")
                });
            }
        }
    }
    RelabelledGroup {
        group,
        candidates,
        rejected,
        error: first,
    }
}

#[cfg(test)]
mod tests;
