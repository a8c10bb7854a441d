//! Puts the pages of the list together. Pure.

use std::collections::BTreeMap;

use super::wire::ListedPage;
use crate::receivers::deployment::reading::DeploymentReading;
use crate::receivers::scrape::FailureReason;
use crate::resilience::FetchError;

/// How many deployments a page is asked for.
pub(super) const PAGE: usize = 100;

/// The pages of a list so far.
#[derive(Debug)]
pub(super) struct FogList {
    most: usize,
    pub(super) deployments: BTreeMap<String, DeploymentReading>,
    /// Entries that can't be read.
    pub(super) invalid: u64,
    /// Entries beyond a bound.
    pub(super) beyond: u64,
    offset: usize,
}

impl FogList {
    /// A list of which at most so many deployments are kept.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            deployments: BTreeMap::new(),
            invalid: 0,
            beyond: 0,
            offset: 0,
        }
    }

    /// Where the next page begins.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Takes a page, and answers whether there is another one.
    ///
    /// A page that is short is the last one. One with more entries than were asked for is the
    /// whole list, of a server that doesn't know pages. An id that comes again, since the list has
    /// shifted meanwhile, counts once. At the bound one more page is asked for, to find out
    /// whether there are more.
    ///
    /// # Errors
    ///
    /// With the reason `limit`, when the pages would go on for ever.
    pub(super) fn take(&mut self, page: ListedPage) -> Result<bool, FetchError> {
        let mut is_new = false;
        self.invalid += page.invalid;
        self.beyond += page.oversized;
        let is_at_bound = self.deployments.len() >= self.most;
        for deployment in page.deployments {
            let id = &deployment.labels.id;
            if self.deployments.contains_key(id) {
                continue;
            }
            is_new = true;
            if self.deployments.len() < self.most {
                self.deployments.insert(id.clone(), deployment);
            } else {
                self.beyond += 1;
            }
        }
        let is_bounded = is_at_bound || self.deployments.len() >= self.most && self.beyond > 0;
        if page.entries != PAGE || is_bounded {
            return Ok(false);
        }
        if !is_new {
            return Err(FailureReason::Limit.error(format!(
                "the page at offset {} brings no deployment that wasn't listed before: the list \
                 would never end",
                self.offset
            )));
        }
        self.offset += PAGE;
        Ok(true)
    }

    /// Whether every deployment that the control plane has was read, but for those beyond the
    /// bound: then those that aren't there are gone.
    pub(super) fn is_whole(&self) -> bool {
        self.invalid == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: std::ops::Range<usize>) -> ListedPage {
        let entries: Vec<String> = ids
            .map(|id| {
                format!(
                    r#"{{"id":"{id}","status":"running","target_replicas":1,"running_replicas":1}}"#
                )
            })
            .collect();
        ListedPage::read(format!("[{}]", entries.join(",")).as_bytes()).unwrap()
    }

    #[test]
    fn pages_are_asked_for_until_a_short_one() {
        let f = |pages: &[(usize, usize)], most: usize, kept: usize, beyond: u64| {
            let mut list = FogList::new(most);
            for (index, &(from, to)) in pages.iter().enumerate() {
                let is_last = index == pages.len() - 1;
                assert_eq!(list.take(page(from..to)).unwrap(), !is_last, "{pages:?}");
            }
            assert_eq!(
                (list.deployments.len(), list.beyond),
                (kept, beyond),
                "{pages:?}"
            );
        };
        f(&[(0, 0)], 10, 0, 0);
        f(&[(0, 99)], 1000, 99, 0);
        f(&[(0, 100), (0, 0)], 1000, 100, 0);
        f(&[(0, 100), (100, 200), (200, 203)], 1000, 203, 0);
        // The list has shifted by three meanwhile.
        f(&[(0, 100), (97, 197), (197, 200)], 1000, 200, 0);
        // A server that gives everything at once.
        f(&[(0, 250)], 1000, 250, 0);
        f(&[(0, 100), (100, 200)], 150, 150, 50);
        f(&[(0, 100)], 99, 99, 1);
        // At the bound exactly: is there more?
        f(&[(0, 100), (100, 200)], 100, 100, 100);
        f(&[(0, 100), (0, 0)], 100, 100, 0);
        f(&[(0, 100), (0, 100)], 100, 100, 0);
    }

    #[test]
    fn a_page_that_brings_nothing_new_fails_the_list() {
        let mut list = FogList::new(1000);
        assert!(list.take(page(0..100)).unwrap());
        let error = list.take(page(0..100)).unwrap_err();
        assert_eq!(FailureReason::of(&error), FailureReason::Limit);
        assert!(error.message.contains("offset 100"), "{error}");
    }
}
