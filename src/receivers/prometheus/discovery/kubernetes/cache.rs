//! What is known of the objects of one namespace, and the groups of targets that they make.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::labels::{SERVICE_NAME, node_group, pod_group, service_group, slice_group};
use super::objects::{ClusterObject, NodeObject, PodObject, ServiceObject, SliceObject};
use crate::receivers::kubernetes::CollectionChange;
use crate::receivers::prometheus::config::KubernetesRole;
use crate::receivers::prometheus::groups::TargetGroup;

/// The namespace and the name of an object.
pub(super) type ObjectKey = (String, String);

/// What has changed of the objects of one kind.
pub(super) enum ClusterChange {
    Pod(CollectionChange<PodObject>),
    Service(CollectionChange<ServiceObject>),
    Slice(CollectionChange<SliceObject>),
    Node(CollectionChange<NodeObject>),
}

/// The objects of one namespace, or of all together. Pure.
pub(super) struct ObjectCache {
    role: KubernetesRole,
    pods: Objects<PodObject>,
    services: Objects<ServiceObject>,
    slices: Objects<SliceObject>,
    nodes: Objects<NodeObject>,
    /// The slices that a pod or a service is a part of.
    slices_of: HashMap<SlicePart, BTreeSet<ObjectKey>>,
    /// Objects of the role whose groups have to be made anew.
    outdated: BTreeSet<ObjectKey>,
    groups: BTreeMap<ObjectKey, Arc<TargetGroup>>,
}

/// The objects of one kind.
struct Objects<T> {
    all: HashMap<ObjectKey, T>,
    is_listed: bool,
}

/// What the targets of a slice are made of besides.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum SlicePart {
    Pod(ObjectKey),
    Service(ObjectKey),
}

impl ObjectCache {
    pub(super) fn new(role: KubernetesRole) -> Self {
        Self {
            role,
            pods: Objects::default(),
            services: Objects::default(),
            slices: Objects::default(),
            nodes: Objects::default(),
            slices_of: HashMap::new(),
            outdated: BTreeSet::new(),
            groups: BTreeMap::new(),
        }
    }

    /// Takes what has changed. The error says which objects can't be read or find no room.
    pub(super) fn take(&mut self, change: ClusterChange) -> Result<(), String> {
        let of_slices = self.role == KubernetesRole::EndpointSlice;
        let mut changed = Vec::new();
        match change {
            ClusterChange::Pod(change) => {
                let told = self.pods.take(change, &mut changed);
                self.outdate(changed, of_slices.then_some(SlicePart::Pod as fn(_) -> _));
                told
            }
            ClusterChange::Service(change) => {
                let told = self.services.take(change, &mut changed);
                self.outdate(
                    changed,
                    of_slices.then_some(SlicePart::Service as fn(_) -> _),
                );
                told
            }
            ClusterChange::Slice(change) => {
                let before: Vec<(ObjectKey, HashSet<SlicePart>)> = match &change {
                    CollectionChange::Listed(_) => self
                        .slices
                        .all
                        .iter()
                        .map(|(key, slice)| (key.clone(), parts(slice)))
                        .collect(),
                    CollectionChange::Applied(slice) | CollectionChange::Deleted(slice) => {
                        let key = key(slice);
                        let known = self.slices.all.get(&key).map(parts);
                        known.map(|parts| (key, parts)).into_iter().collect()
                    }
                    CollectionChange::Invalid => Vec::new(),
                };
                let told = self.slices.take(change, &mut changed);
                for (key, parts) in before {
                    self.forget_parts(&key, &parts);
                    self.note_parts(&key);
                }
                for key in &changed {
                    self.note_parts(key);
                }
                self.outdate(changed, None);
                told
            }
            ClusterChange::Node(change) => {
                let told = self.nodes.take(change, &mut changed);
                self.outdate(changed, None);
                told
            }
        }
    }

    /// Groups of these objects, or of the slices that they are parts of, are to be made anew.
    fn outdate(&mut self, changed: Vec<ObjectKey>, as_part: Option<fn(ObjectKey) -> SlicePart>) {
        for key in changed {
            match as_part {
                None => {
                    self.outdated.insert(key);
                }
                Some(part) => {
                    let slices = self.slices_of.get(&part(key));
                    self.outdated.extend(slices.into_iter().flatten().cloned());
                }
            }
        }
    }

    fn forget_parts(&mut self, slice: &ObjectKey, parts: &HashSet<SlicePart>) {
        for part in parts {
            if let Some(slices) = self.slices_of.get_mut(part) {
                slices.remove(slice);
                if slices.is_empty() {
                    self.slices_of.remove(part);
                }
            }
        }
    }

    fn note_parts(&mut self, key: &ObjectKey) {
        let Some(slice) = self.slices.all.get(key) else {
            return;
        };
        for part in parts(slice) {
            self.slices_of.entry(part).or_default().insert(key.clone());
        }
    }

    /// Whether everything was listed once that targets are made of.
    pub(super) fn is_listed(&self) -> bool {
        match self.role {
            KubernetesRole::Pod => self.pods.is_listed,
            KubernetesRole::Service => self.services.is_listed,
            KubernetesRole::Node => self.nodes.is_listed,
            KubernetesRole::EndpointSlice => {
                self.slices.is_listed && self.services.is_listed && self.pods.is_listed
            }
        }
    }

    /// Makes up to `most` groups anew, and answers whether there are more to be made.
    pub(super) fn renew(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(key) = self.outdated.pop_first() else {
                return false;
            };
            let group = self.group(&key).filter(|group| !group.targets.is_empty());
            match group {
                None => {
                    self.groups.remove(&key);
                }
                Some(group) if self.groups.get(&key).is_some_and(|known| **known == group) => {}
                Some(group) => {
                    self.groups.insert(key, Arc::new(group));
                }
            }
        }
        !self.outdated.is_empty()
    }

    fn group(&self, key: &ObjectKey) -> Option<TargetGroup> {
        match self.role {
            KubernetesRole::Pod => self.pods.all.get(key).map(pod_group),
            KubernetesRole::Service => self.services.all.get(key).map(service_group),
            KubernetesRole::Node => self.nodes.all.get(key).map(node_group),
            KubernetesRole::EndpointSlice => {
                let slice = self.slices.all.get(key)?;
                let service = service_of(slice).and_then(|key| self.services.all.get(&key));
                let pod = |namespace: &str, name: &str| {
                    let key = (namespace.to_owned(), name.to_owned());
                    self.pods.all.get(&key)
                };
                Some(slice_group(slice, service, pod))
            }
        }
    }

    /// The groups, in the order of their objects' names.
    pub(super) fn groups(&self) -> impl Iterator<Item = &Arc<TargetGroup>> {
        self.groups.values()
    }
}

impl<T> Default for Objects<T> {
    fn default() -> Self {
        Self {
            all: HashMap::new(),
            is_listed: false,
        }
    }
}

impl<T: ClusterObject> Objects<T> {
    /// Takes what has changed, and adds the keys of the objects that are others now.
    fn take(
        &mut self,
        change: CollectionChange<T>,
        changed: &mut Vec<ObjectKey>,
    ) -> Result<(), String> {
        match change {
            CollectionChange::Listed(listed) => {
                self.is_listed = true;
                let uids: HashSet<&str> = listed.objects.keys().map(String::as_str).collect();
                // One that can't be read, and doesn't say which it is, may be any that seems to
                // have gone.
                let tells_all = listed.invalid <= listed.unread.len() as u64;
                let gone = self.all.iter().filter(|(_, object)| {
                    let uid = object.uid();
                    tells_all && !uids.contains(uid) && !listed.unread.contains(uid)
                });
                let gone: Vec<ObjectKey> = gone.map(|(key, _)| key.clone()).collect();
                for key in gone {
                    self.all.remove(&key);
                    changed.push(key);
                }
                for object in listed.objects.into_values() {
                    self.put(object, changed);
                }
                match (listed.invalid, listed.left_over) {
                    (0, 0) => Ok(()),
                    (0, beyond) => Err(format!(
                        "{beyond} objects are left out, since there are more than may be"
                    )),
                    (invalid, _) => Err(format!("{invalid} objects can't be read")),
                }
            }
            CollectionChange::Applied(object) => {
                self.put(object, changed);
                Ok(())
            }
            CollectionChange::Deleted(object) => {
                let key = key(&object);
                // Another one of the same name may have come.
                if self
                    .all
                    .get(&key)
                    .is_some_and(|known| known.uid() == object.uid())
                {
                    self.all.remove(&key);
                    changed.push(key);
                }
                Ok(())
            }
            CollectionChange::Invalid => Err("an object can't be read".to_owned()),
        }
    }

    fn put(&mut self, object: T, changed: &mut Vec<ObjectKey>) {
        let key = key(&object);
        self.all.insert(key.clone(), object);
        changed.push(key);
    }
}

fn key(object: &impl ClusterObject) -> ObjectKey {
    let metadata = object.metadata();
    (metadata.namespace.clone(), metadata.name.clone())
}

fn service_of(slice: &SliceObject) -> Option<ObjectKey> {
    let name = slice.metadata.labels.get(SERVICE_NAME)?;
    Some((slice.metadata.namespace.clone(), name.clone()))
}

/// What the targets of a slice are made of besides.
fn parts(slice: &SliceObject) -> HashSet<SlicePart> {
    let referred = slice
        .endpoints
        .iter()
        .filter_map(|of| of.target_ref.as_ref());
    let pods = referred.filter(|referred| referred.kind == "Pod");
    let pods = pods.map(|pod| SlicePart::Pod((pod.namespace.clone(), pod.name.clone())));
    let service = service_of(slice).map(SlicePart::Service);
    pods.chain(service).collect()
}
