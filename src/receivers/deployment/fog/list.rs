//! Puts the pages of the list together. Pure.

use std::collections::BTreeMap;

use super::wire::{ListedPage, UnreadEntries};
use crate::receivers::deployment::reading::DeploymentReading;
use crate::receivers::scrape::FailureReason;
use crate::receivers::scrape::json::garbage;
use crate::resilience::FetchError;

/// How many deployments a page is asked for.
pub(super) const PAGE: usize = 100;

/// The pages of a list so far.
#[derive(Debug)]
pub(super) struct FogList {
    most: usize,
    pub(super) deployments: BTreeMap<String, DeploymentReading>,
    /// Entries that can't be read.
    pub(super) unread: UnreadEntries,
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
            unread: UnreadEntries::default(),
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
    /// With the reason `limit`, when the pages would go on for ever, and with `parse`, when more
    /// entries than deployments may be can't be used.
    pub(super) fn take(&mut self, page: ListedPage) -> Result<bool, FetchError> {
        let mut is_new = false;
        let unread = page.unread.count();
        self.unread.add(page.unread);
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
        // Entries without an id that can be read may be new on every page.
        if self.unread.count() > self.most as u64 {
            return Err(garbage(format!(
                "{} entries are not as expected, and there may be more",
                self.unread.count()
            )));
        }
        if !is_new && unread == 0 {
            return Err(FailureReason::Limit.error(format!(
                "the page at offset {} brings no deployment that wasn't listed before: the list \
                 would never end",
                self.offset
            )));
        }
        self.offset += PAGE;
        Ok(true)
    }

    /// The list, after its last page.
    ///
    /// # Errors
    ///
    /// When it has entries, and none of them is a deployment: then it is something else.
    pub(super) fn finish(self) -> Result<Self, FetchError> {
        let unread = self.unread.count();
        if self.deployments.is_empty() && unread > 0 {
            let entries = unread + self.beyond;
            return Err(garbage(format!(
                "none of the {entries} entries is a deployment"
            )));
        }
        Ok(self)
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

    /// A page of a hundred entries of which none can be read.
    fn bad_page() -> ListedPage {
        let entries = vec![r#"{"uuid":"a"}"#; PAGE];
        ListedPage::read(format!("[{}]", entries.join(",")).as_bytes()).unwrap()
    }

    #[test]
    fn entries_that_cannot_be_read_cost_themselves_wherever_they_stand() {
        let mut list = FogList::new(1000);
        assert!(list.take(bad_page()).unwrap());
        assert!(list.take(page(0..100)).unwrap());
        assert!(list.take(bad_page()).unwrap());
        assert!(!list.take(page(100..103)).unwrap());
        let list = list.finish().unwrap();
        assert_eq!((list.deployments.len(), list.unread.count()), (103, 200));
    }

    #[test]
    fn a_list_of_something_else_is_an_error() {
        let mut list = FogList::new(1000);
        assert!(list.take(bad_page()).unwrap());
        assert!(!list.take(page(0..0)).unwrap());
        let error = list.finish().unwrap_err();
        assert_eq!(FailureReason::of(&error), FailureReason::Parse);
        assert!(FogList::new(1000).finish().is_ok());
    }

    #[test]
    fn pages_of_entries_that_cannot_be_read_end_at_a_bound() {
        let mut list = FogList::new(250);
        let pages = (0..).take_while(|_| list.take(bad_page()).is_ok());
        assert_eq!(pages.count(), 2);
    }
}
