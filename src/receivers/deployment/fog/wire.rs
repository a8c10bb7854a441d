//! Reads the answers.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use crate::receivers::deployment::reading::{
    DeploymentReading, MOST_TEXT, ReplicaCounts, ReplicaStatus,
};
use crate::receivers::scrape::json::{Elements, JsonText, WholeNumber, json};
use crate::resilience::FetchError;
use crate::traffic::DeploymentLabels;

/// The most statuses of replicas, by node, of one deployment.
const MOST_STATUSES: usize = 1000;

/// One page of the list.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ListedPage {
    /// How many entries it has, whether or not they can be used.
    pub(super) entries: usize,
    pub(super) deployments: Vec<DeploymentReading>,
    /// Entries that can't be read.
    pub(super) unread: UnreadEntries,
    /// Entries with texts that are too long.
    pub(super) oversized: u64,
}

/// Entries of a list that can't be read, such as for a count that is missing.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UnreadEntries {
    /// Their ids, where these can be read.
    ids: BTreeSet<String>,
    /// Those without.
    nameless: u64,
}

/// What the details of a deployment add.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Details {
    pub(super) health: Option<f64>,
    pub(super) statuses: BTreeMap<ReplicaStatus, u64>,
}

#[derive(Deserialize)]
struct FogDeployment {
    id: JsonText,
    name: Option<String>,
    status: String,
    target_replicas: WholeNumber,
    running_replicas: WholeNumber,
}

/// What tells which deployment an entry is of, whatever else it says.
#[derive(Deserialize)]
struct FogIdentity {
    id: JsonText,
}

#[derive(Deserialize)]
struct FogDetails {
    health: Option<String>,
    replicas: Option<Vec<FogReplica>>,
}

#[derive(Deserialize)]
struct FogReplica {
    status: String,
    node_id: Option<JsonText>,
}

impl ListedPage {
    /// # Errors
    ///
    /// When the body is no list.
    pub(super) fn read(body: &[u8]) -> Result<Self, FetchError> {
        let mut page = Self::default();
        for entry in Elements::of(body)? {
            page.entries += 1;
            match json::<FogDeployment>(entry) {
                Ok(entry) if entry.id.0.is_empty() => page.unread.note(None),
                Ok(entry) if entry.is_oversized() => page.oversized += 1,
                Ok(entry) => page.deployments.push(entry.into()),
                Err(_) => page.unread.note(json::<FogIdentity>(entry).ok()),
            }
        }
        Ok(page)
    }
}

impl UnreadEntries {
    fn note(&mut self, identity: Option<FogIdentity>) {
        let id = identity.map(|identity| identity.id.0);
        match id.filter(|id| !id.is_empty() && id.len() <= MOST_TEXT) {
            // An id that comes again is that of one entry, since the list has shifted.
            Some(id) => {
                self.ids.insert(id);
            }
            None => self.nameless += 1,
        }
    }

    /// Adds those of another page.
    pub(super) fn add(&mut self, mut other: Self) {
        self.ids.append(&mut other.ids);
        self.nameless += other.nameless;
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.ids.len() as u64 + self.nameless
    }

    /// Whether none of them can be that of the deployment with this id.
    pub(super) fn exclude(&self, id: &str) -> bool {
        self.nameless == 0 && !self.ids.contains(id)
    }
}

impl FogDeployment {
    fn is_oversized(&self) -> bool {
        let name = self.name.as_ref().map_or(0, String::len);
        self.id.0.len() > MOST_TEXT || name > MOST_TEXT
    }
}

impl From<FogDeployment> for DeploymentReading {
    fn from(entry: FogDeployment) -> Self {
        Self {
            labels: DeploymentLabels {
                id: entry.id.0,
                name: entry.name.filter(|name| !name.is_empty()),
                namespace: None,
            },
            replicas: Some(ReplicaCounts {
                running: entry.running_replicas.0,
                target: entry.target_replicas.0,
            }),
            health: None,
            statuses: BTreeMap::new(),
            pods: None,
            is_active: entry.status == "running",
        }
    }
}

impl Details {
    /// # Errors
    ///
    /// When the body isn't what it should be.
    pub(super) fn read(body: &[u8]) -> Result<Self, FetchError> {
        let details: FogDetails = json(body)?;
        let health = match details.health.as_deref() {
            None => None,
            Some("healthy") => Some(1.0),
            Some("degraded") => Some(0.5),
            Some("unhealthy") => Some(0.0),
            // A word that nobody knows says nothing.
            Some(_) => None,
        };
        let mut statuses = BTreeMap::new();
        for replica in details.replicas.unwrap_or_default() {
            let node = replica.node_id.map(|node| node.0);
            let longest = node
                .as_ref()
                .map_or(0, String::len)
                .max(replica.status.len());
            let key = ReplicaStatus {
                status: replica.status,
                node: node.filter(|node| !node.is_empty()),
            };
            if longest <= MOST_TEXT
                && (statuses.len() < MOST_STATUSES || statuses.contains_key(&key))
            {
                *statuses.entry(key).or_default() += 1;
            }
        }
        Ok(Self { health, statuses })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_entry_that_cannot_be_used_costs_itself() {
        let long = "x".repeat(257);
        let entry = |id: &str, rest: &str| {
            format!(r#"{{"id":{id},"name":"n","status":"running","target_replicas":3{rest}}}"#)
        };
        let body = [
            entry(r#""a""#, r#","running_replicas":2,"created_at":"x""#),
            entry(r#""b""#, ""),
            entry(r#""c""#, r#","running_replicas":-1"#),
            entry(r#""d""#, r#","running_replicas":"2""#),
            entry(r#""""#, r#","running_replicas":2"#),
            entry(&format!("{long:?}"), r#","running_replicas":2"#),
            entry("7", r#","running_replicas":2.0"#),
            "null".to_owned(),
        ]
        .join(",");
        let page = ListedPage::read(format!("[{body}]").as_bytes()).unwrap();
        assert_eq!(
            (page.entries, page.unread.count(), page.oversized),
            (8, 5, 1)
        );
        // Those of which the id can be read are told apart from what may be any.
        let told = |id: &str| page.unread.ids.contains(id);
        assert!(told("b") && told("c") && told("d") && page.unread.nameless == 2);
        let ids: Vec<&str> = page.deployments.iter().map(|d| &*d.labels.id).collect();
        assert_eq!(ids, ["a", "7"]);
        let read = &page.deployments[0];
        assert_eq!(
            read.replicas,
            Some(ReplicaCounts {
                running: 2,
                target: 3
            })
        );
        assert!(read.is_active && read.health.is_none());
    }

    #[test]
    fn what_is_no_list_of_deployments_is_an_error() {
        for body in ["", "{}", r#"{"deployments":[]}"#, "<html>"] {
            assert!(ListedPage::read(body.as_bytes()).is_err(), "{body}");
        }
        assert_eq!(ListedPage::read(b"[]").unwrap(), ListedPage::default());
    }

    #[test]
    fn details_count_replicas_by_status_and_node() {
        let body = br#"{"id":"a","health":"degraded","replicas":[
            {"status":"running","node_id":"n1"},{"status":"running","node_id":"n1"},
            {"status":"failed","node_id":null},{"status":"running","node_id":"n2"}],
            "resources":{"cpu_cores":2}}"#;
        let details = Details::read(body).unwrap();
        assert_eq!(details.health, Some(0.5));
        let counts: Vec<_> = details
            .statuses
            .iter()
            .map(|(key, count)| (&*key.status, key.node.as_deref(), *count))
            .collect();
        assert_eq!(
            counts,
            [
                ("failed", None, 1),
                ("running", Some("n1"), 2),
                ("running", Some("n2"), 1)
            ]
        );
        assert_eq!(
            Details::read(br#"{"health":"unsure"}"#).unwrap(),
            Details::default()
        );
        assert!(Details::read(b"[]").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = (ListedPage::read(&bytes), Details::read(&bytes));
        }

        #[test]
        fn no_text_that_is_nearly_right_makes_it_panic(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "[", "]", "{", "}", ",", ":", "\"id\"", "\"status\"", "\"running\"",
                    "\"replicas\"", "\"target_replicas\"", "\"running_replicas\"", "\"node_id\"",
                    "null", "-1", "7", "1e999", "18446744073709551616", "\"\\ud800\"", " ",
                ]),
                0..40,
            ),
        ) {
            let text = words.concat();
            let _ = (ListedPage::read(text.as_bytes()), Details::read(text.as_bytes()));
        }
    }
}
