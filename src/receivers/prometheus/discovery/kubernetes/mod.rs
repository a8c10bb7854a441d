//! `kubernetes_sd_configs`: targets that are objects of a cluster.
//!
//! Each kind of object is listed and then watched, in each namespace that is asked for; slices of
//! endpoints with the pods and services that they are made of. Targets are known once everything
//! of a namespace was listed. Changes show within two seconds.

mod cache;
mod labels;
mod objects;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep_until};
use url::Url;

use self::cache::{ClusterChange, ObjectCache};
use self::objects::ClusterObject;
use super::{Findings, FoundGroups, LONGEST, MAX_GROUPS};
use crate::receivers::kubernetes::{
    ApiTransport, Collection, CollectionChange, FollowError, FollowLimits, Follower, InCluster,
};
use crate::receivers::prometheus::config::{HttpConfig, KubernetesConfig, KubernetesRole};
use crate::receivers::prometheus::oauth2;

/// How long one request may take, but for a watch that goes on.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What bounds one kind of object in one namespace.
const LIMITS: FollowLimits = FollowLimits {
    objects: MAX_GROUPS,
    // A cluster takes none above 1.5 MiB.
    event: 4 << 20,
    list: Duration::from_secs(300),
};

/// Changes that wait to be taken.
const WAITING: usize = 64;

/// Changes are shown after this time, together with those that come meanwhile.
const GATHERING: Duration = Duration::from_millis(200);

/// Changes are shown at most this often.
const PACE: Duration = Duration::from_secs(1);

/// So many groups are made before others have their turn, which takes less than a millisecond.
const TURN: usize = 32;

/// Follows a cluster for one element of `kubernetes_sd_configs`.
pub(in crate::receivers::prometheus) struct KubernetesDiscovery {
    config: KubernetesConfig,
    server: Url,
    transport: Arc<dyn ApiTransport>,
    /// The namespaces that are followed; `None` for all.
    namespaces: Vec<Option<String>>,
}

/// What one follower tells.
struct Told {
    /// Which follower.
    follower: usize,
    /// Where its namespace stands.
    namespace: usize,
    change: Result<ClusterChange, FollowError>,
}

/// What is known of a cluster, and what of it fails.
struct ClusterView {
    namespaces: Vec<ObjectCache>,
    /// What is wrong, by the follower that told it.
    failing: BTreeMap<usize, String>,
}

impl KubernetesDiscovery {
    /// # Errors
    ///
    /// When a file that the configuration names can't be read or used, or no server is named and
    /// the agent runs in no cluster.
    pub(in crate::receivers::prometheus) fn new(config: &KubernetesConfig) -> anyhow::Result<Self> {
        let mut http = config.http.clone();
        let own = match config.api_server {
            Some(_) => None,
            None => Some(InCluster::from_environment().context("`api_server` is missing")?),
        };
        let server = match (&config.api_server, &own) {
            (Some(server), _) => server.clone(),
            (None, Some(own)) => {
                http.client.auth = Some(own.auth());
                http.client.tls = own.tls();
                own.url.clone()
            }
            (None, None) => anyhow::bail!("`api_server` is missing"),
        };
        let mut namespaces = config.namespaces.clone();
        if config.own_namespace {
            let own = InCluster::from_environment().context("own_namespace")?;
            namespaces.push(own.namespace().context("own_namespace")?);
        }
        Self::at(config, server, &http, namespaces)
    }

    fn at(
        config: &KubernetesConfig,
        server: Url,
        http: &HttpConfig,
        namespaces: Vec<String>,
    ) -> anyhow::Result<Self> {
        let mut http = http.clone();
        http.client.max_body = LONGEST;
        let has_none = namespaces.is_empty() || config.role == KubernetesRole::Node;
        Ok(Self {
            config: config.clone(),
            server,
            transport: Arc::new(oauth2::client(&http, TIMEOUT)?),
            namespaces: match has_none {
                true => vec![None],
                false => namespaces.into_iter().map(Some).collect(),
            },
        })
    }

    /// Follows the cluster until it is dropped.
    pub(in crate::receivers::prometheus) async fn run(self, mut findings: Findings) {
        let (sender, mut told) = mpsc::channel(WAITING);
        // They end with this future.
        let _following = self.follow(&sender);
        drop(sender);
        let mut view = ClusterView {
            namespaces: self
                .namespaces
                .iter()
                .map(|_| ObjectCache::new(self.config.role))
                .collect(),
            failing: BTreeMap::new(),
        };
        let mut showed: Option<Instant> = None;
        let mut due: Option<Instant> = None;
        loop {
            tokio::select! {
                next = told.recv() => {
                    let Some(next) = next else { return };
                    if view.take(next, &mut findings) {
                        let now = Instant::now();
                        let paced = showed.map_or(now, |showed| showed + PACE);
                        due.get_or_insert(paced.max(now + GATHERING));
                    }
                }
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {
                    due = None;
                    showed = Some(Instant::now());
                    let groups = view.groups().await;
                    findings.found(groups);
                }
            }
        }
    }

    /// A task for each kind of object in each namespace.
    fn follow(&self, sender: &mpsc::Sender<Told>) -> JoinSet<()> {
        let mut tasks = JoinSet::new();
        for (namespace, name) in self.namespaces.iter().enumerate() {
            let mut each = |resource: KubernetesRole| {
                let place = (tasks.len(), namespace);
                let collection = self.collection(resource, name.clone());
                let sender = sender.clone();
                match resource {
                    KubernetesRole::Pod => {
                        tasks.spawn(self.tell(place, collection, ClusterChange::Pod, sender));
                    }
                    KubernetesRole::Service => {
                        tasks.spawn(self.tell(place, collection, ClusterChange::Service, sender));
                    }
                    KubernetesRole::EndpointSlice => {
                        tasks.spawn(self.tell(place, collection, ClusterChange::Slice, sender));
                    }
                    KubernetesRole::Node => {
                        tasks.spawn(self.tell(place, collection, ClusterChange::Node, sender));
                    }
                }
            };
            each(self.config.role);
            if self.config.role == KubernetesRole::EndpointSlice {
                each(KubernetesRole::Service);
                each(KubernetesRole::Pod);
            }
        }
        tasks
    }

    fn collection(&self, resource: KubernetesRole, namespace: Option<String>) -> Collection {
        let mut selectors = self.config.selectors.iter();
        let selector = selectors.find(|selector| selector.role == resource);
        let written = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
        let (api, resource) = match resource {
            KubernetesRole::Pod => ("/api/v1", "pods"),
            KubernetesRole::Service => ("/api/v1", "services"),
            KubernetesRole::Node => ("/api/v1", "nodes"),
            KubernetesRole::EndpointSlice => ("/apis/discovery.k8s.io/v1", "endpointslices"),
        };
        Collection {
            api,
            resource,
            namespace,
            label_selector: selector.and_then(|selector| written(&selector.label)),
            field_selector: selector.and_then(|selector| written(&selector.field)),
        }
    }

    /// Tells every change of a collection until nobody listens.
    fn tell<T: ClusterObject>(
        &self,
        (follower, namespace): (usize, usize),
        collection: Collection,
        change: fn(CollectionChange<T>) -> ClusterChange,
        sender: mpsc::Sender<Told>,
    ) -> impl Future<Output = ()> + Send + use<T> {
        let transport = Arc::clone(&self.transport);
        let mut following = Follower::<T>::new(transport, &self.server, collection, LIMITS, None);
        async move {
            loop {
                let told = Told {
                    follower,
                    namespace,
                    change: following.next().await.map(change),
                };
                if sender.send(told).await.is_err() {
                    return;
                }
            }
        }
    }
}

impl ClusterView {
    /// Takes what a follower tells, and answers whether there may be other groups now.
    fn take(&mut self, told: Told, findings: &mut Findings) -> bool {
        let Told {
            follower,
            namespace,
            change,
        } = told;
        let Some(cache) = self.namespaces.get_mut(namespace) else {
            return false;
        };
        let (outcome, has_changed) = match change {
            Ok(change) => (cache.take(change), cache.is_listed()),
            Err(error) => (Err(error.to_string()), false),
        };
        match outcome {
            Err(error) => {
                self.failing.insert(follower, error);
                let errors: Vec<&str> = self.failing.values().map(String::as_str).collect();
                findings.failed(errors.join("; "));
            }
            Ok(()) => {
                self.failing.remove(&follower);
                if self.failing.is_empty() {
                    findings.works();
                }
            }
        }
        has_changed
    }

    /// The groups of all namespaces that were listed.
    async fn groups(&mut self) -> FoundGroups {
        let mut groups = FoundGroups::new();
        for cache in &mut self.namespaces {
            if !cache.is_listed() {
                continue;
            }
            while cache.renew(TURN) {
                yield_now().await;
            }
            groups.extend(cache.groups().cloned());
        }
        groups
    }
}
