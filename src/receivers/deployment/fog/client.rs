//! Makes the requests of one poll.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::list::{FogList, PAGE};
use super::wire::{Details, ListedPage, UnreadEntries};
use crate::receivers::deployment::reading::DeploymentsById;
use crate::receivers::scrape::http::{Access, FetchRequest};
use crate::receivers::scrape::{FailureReason, PartFailure};
use crate::resilience::FetchError;

/// How many details are asked for at once.
const AT_ONCE: usize = 8;

/// After so many failures in a row no more details are asked for.
const HOPELESS: usize = 16;

const LIST: &str = "/api/deployment/list";
const STATUS: &str = "/api/deployment/status";

/// What a poll asks a control plane for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::receivers::deployment) struct FogQuery {
    /// The most deployments.
    pub(in crate::receivers::deployment) most: usize,
    /// Whether to ask for the details of each.
    pub(in crate::receivers::deployment) details: bool,
}

/// The answers of one poll.
#[derive(Debug)]
pub(super) struct FogAnswer {
    pub(super) deployments: DeploymentsById,
    /// Entries that can't be read.
    pub(super) unread: UnreadEntries,
    /// Entries beyond a bound.
    pub(super) beyond: u64,
    /// The first reason why details are missing, and how many are.
    pub(super) undetailed: Option<PartFailure>,
}

/// The request that names the list.
pub(super) fn list_request(server: &Url) -> FetchRequest {
    FetchRequest::new(below(server, LIST), "application/json")
}

impl FogQuery {
    /// Asks for the whole list, and for the details, until `deadline`.
    ///
    /// # Errors
    ///
    /// When the list isn't whole in time. Details that are missing are no error.
    pub(super) async fn ask(
        self,
        access: &Access,
        server: &Url,
        deadline: Instant,
    ) -> Result<FogAnswer, FetchError> {
        let list = timeout_at(deadline, self.list(access, server)).await;
        let late = |_| FailureReason::Timeout.error("the list isn't whole within the interval");
        let list = list.map_err(late)??;
        let FogList {
            mut deployments,
            unread,
            beyond,
            ..
        } = list;
        let mut undetailed = None;
        if self.details {
            let ids: Vec<String> = deployments.keys().cloned().collect();
            let (known, failure) = details(access, server, ids, deadline).await;
            undetailed = failure;
            for (id, details) in known {
                if let Some(deployment) = deployments.get_mut(&id) {
                    deployment.health = details.health;
                    deployment.statuses = details.statuses;
                }
            }
        }
        let shared = deployments.into_iter();
        Ok(FogAnswer {
            deployments: shared
                .map(|(id, reading)| (id, Arc::new(reading)))
                .collect(),
            unread,
            beyond,
            undetailed,
        })
    }

    async fn list(&self, access: &Access, server: &Url) -> Result<FogList, FetchError> {
        let mut list = FogList::new(self.most);
        loop {
            let mut request = list_request(server);
            request
                .url
                .query_pairs_mut()
                .append_pair("limit", &PAGE.to_string())
                .append_pair("offset", &list.offset().to_string());
            let page = access
                .get(&request, |page| ListedPage::read(&page.body))
                .await?;
            if !list.take(page)? {
                return list.finish();
            }
        }
    }
}

/// Asks for the details of each deployment, a few at once, until the deadline, or until so many in a
/// row have failed that the others will too.
async fn details(
    access: &Access,
    server: &Url,
    ids: Vec<String>,
    deadline: Instant,
) -> (BTreeMap<String, Details>, Option<PartFailure>) {
    let all = ids.len();
    let mut asked = stream::iter(ids)
        .map(async |id| {
            let mut request = FetchRequest::new(below(server, STATUS), "application/json");
            if let Ok(mut path) = request.url.path_segments_mut() {
                path.push(&id);
            }
            let details = access.get(&request, |page| Details::read(&page.body));
            let details = timeout_at(deadline, details).await.unwrap_or_else(|_| {
                Err(FailureReason::Timeout.error("no answer within the interval"))
            });
            (id, details)
        })
        .buffer_unordered(AT_ONCE);
    let mut known = BTreeMap::new();
    let mut first: Option<FetchError> = None;
    let mut in_a_row = 0;
    while let Some((id, details)) = asked.next().await {
        match details {
            Ok(details) => {
                in_a_row = 0;
                known.insert(id, details);
            }
            Err(error) => {
                in_a_row += 1;
                first.get_or_insert(error);
            }
        }
        if in_a_row >= HOPELESS {
            break;
        }
    }
    let missing = all - known.len();
    let failure = first.map(|error| PartFailure {
        message: format!("{missing} of {all} details are missing: {}", error.message),
        ..PartFailure::of_attempt(STATUS, &error)
    });
    (known, failure)
}

fn below(server: &Url, path: &str) -> Url {
    let mut url = server.clone();
    let path = server.path().trim_end_matches('/').to_owned() + path;
    url.set_path(&path);
    url
}
