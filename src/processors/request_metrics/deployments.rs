//! The deployments, and which of them have something new to show.

use std::collections::{HashMap, VecDeque};

use foldhash::quality::RandomState;
use slab::Slab;
use tokio::time::Instant;

use super::instrumentation::{MOST_TEXT, text};
use super::report::TrafficRefusal;
use crate::pdata::SeriesId;
use crate::pdata::view::Attributes;
use crate::traffic::{DeploymentLabels, TrafficValues};

/// All deployments.
#[derive(Debug, Default)]
pub(super) struct Deployments {
    all: Slab<KnownDeployment>,
    by_key: HashMap<DeploymentKey, usize, RandomState>,
    /// Those with something new to show, each once.
    news: VecDeque<usize>,
}

/// What a deployment is told by: the attribute that matches, and its namespace where names are
/// unique only within one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct DeploymentKey {
    id: String,
    namespace: Option<String>,
}

/// What is known of a deployment.
#[derive(Debug)]
pub(super) struct KnownDeployment {
    key: DeploymentKey,
    pub(super) labels: DeploymentLabels,
    /// Labels under which it was shown before it was known better, and what was shown.
    pub(super) outdated: Option<(DeploymentLabels, TrafficValues)>,
    pub(super) replicas: Vec<SeriesId>,
    pub(super) shown: TrafficValues,
    is_new: bool,
    /// When the first of the replicas that report counts as silent.
    pub(super) silent_at: Option<Instant>,
}

impl Deployments {
    /// Finds the deployment that a resource belongs to, or makes it; `None` if it belongs to none.
    pub(super) fn of(
        &mut self,
        resource: &Attributes<'_>,
        matching: &[String],
        most: usize,
    ) -> Option<Result<usize, TrafficRefusal>> {
        let (by, id) = matching
            .iter()
            .find_map(|key| Some((key, text(resource, key)?)))?;
        let namespace = text(resource, "k8s.namespace.name");
        let name =
            text(resource, "k8s.deployment.name").or_else(|| text(resource, "deployment.name"));
        let texts = [Some(&id), namespace.as_ref(), name.as_ref()];
        if texts
            .into_iter()
            .flatten()
            .any(|text| text.len() > MOST_TEXT)
        {
            return Some(Err(TrafficRefusal::Oversized));
        }
        let name = name.map(|name| name.into_owned());
        let namespace = namespace.map(|namespace| namespace.into_owned());
        let is_local = by.starts_with("k8s.") && by.ends_with(".name");
        let key = DeploymentKey {
            id: id.into_owned(),
            namespace: namespace.clone().filter(|_| is_local),
        };
        if let Some(&index) = self.by_key.get(&key) {
            self.learn(index, name, namespace);
            return Some(Ok(index));
        }
        if self.all.len() >= most {
            return Some(Err(TrafficRefusal::MaxDeployments));
        }
        let index = self.all.insert(KnownDeployment {
            labels: DeploymentLabels {
                id: key.id.clone(),
                name,
                namespace,
            },
            key: key.clone(),
            outdated: None,
            replicas: Vec::new(),
            shown: TrafficValues::default(),
            is_new: false,
            silent_at: None,
        });
        self.by_key.insert(key, index);
        Some(Ok(index))
    }

    /// Takes labels that weren't known yet. Known ones stay, since replicas that disagree would end
    /// and begin series all the time.
    fn learn(&mut self, index: usize, name: Option<String>, namespace: Option<String>) {
        let Some(deployment) = self.all.get_mut(index) else {
            return;
        };
        let labels = &deployment.labels;
        let learns = labels.name.is_none() && name.is_some()
            || labels.namespace.is_none() && namespace.is_some();
        if !learns {
            return;
        }
        let better = DeploymentLabels {
            id: labels.id.clone(),
            name: labels.name.clone().or(name),
            namespace: labels.namespace.clone().or(namespace),
        };
        let labels = std::mem::replace(&mut deployment.labels, better);
        let shown = std::mem::take(&mut deployment.shown);
        if shown != TrafficValues::default() {
            deployment.outdated = Some((labels, shown));
        }
    }

    pub(super) fn get(&self, index: usize) -> Option<&KnownDeployment> {
        self.all.get(index)
    }

    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut KnownDeployment> {
        self.all.get_mut(index)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Notes that there is something new to show.
    pub(super) fn renew(&mut self, index: usize) {
        if let Some(deployment) = self.all.get_mut(index)
            && !std::mem::replace(&mut deployment.is_new, true)
        {
            self.news.push_back(index);
        }
    }

    /// Whether there is anything new to show.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The next that has something new to show.
    pub(super) fn next_news(&mut self) -> Option<usize> {
        let index = self.news.pop_front()?;
        if let Some(deployment) = self.all.get_mut(index) {
            deployment.is_new = false;
        }
        Some(index)
    }

    /// Forgets a deployment that has no replicas and shows nothing.
    pub(super) fn forget_unused(&mut self, index: usize) {
        let is_unused = self.all.get(index).is_some_and(|deployment| {
            deployment.replicas.is_empty()
                && deployment.shown == TrafficValues::default()
                && deployment.outdated.is_none()
                && !deployment.is_new
        });
        if is_unused {
            let deployment = self.all.remove(index);
            self.by_key.remove(&deployment.key);
        }
    }

    /// Notes those in which a replica has become silent.
    pub(super) fn renew_silent(&mut self, now: Instant) {
        for (index, deployment) in &mut self.all {
            if deployment.silent_at.is_some_and(|at| at <= now)
                && !std::mem::replace(&mut deployment.is_new, true)
            {
                self.news.push_back(index);
            }
        }
    }
}
