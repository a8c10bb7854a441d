//! Puts the pages of a list together.

use std::collections::{HashMap, HashSet};

use super::object::KubernetesObject;
use super::page::ListPage;
use crate::receivers::scrape::FailureReason;
use crate::receivers::scrape::json::garbage;
use crate::resilience::FetchError;

/// A collection as it was at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// By `metadata.uid`.
    pub objects: HashMap<String, T>,
    /// Objects that were left out since there are more than may be.
    pub left_over: u64,
    /// Objects that can't be read.
    pub invalid: u64,
    /// The uids of those of them that have one.
    pub unread: HashSet<String>,
    /// What a watch goes on from.
    pub(super) version: String,
}

#[cfg(test)]
impl<T: KubernetesObject> Listed<T> {
    /// A list of these, and of some that can't be read: with a uid, and without.
    pub fn of(objects: impl Iterator<Item = T>, unread: &[&str], nameless: u64) -> Self {
        let objects = objects.map(|object| (object.uid().to_owned(), object));
        Self {
            objects: objects.collect(),
            left_over: 0,
            invalid: unread.len() as u64 + nameless,
            unread: unread.iter().copied().map(str::to_owned).collect(),
            version: String::new(),
        }
    }
}

/// The pages of a list so far.
#[derive(Debug)]
pub(super) struct Pages<T> {
    most: usize,
    listed: Listed<T>,
    /// The tokens of the pages so far.
    tokens: HashSet<String>,
}

impl<T: KubernetesObject> Pages<T> {
    /// A list of which at most so many objects are kept.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            listed: Listed {
                objects: HashMap::new(),
                left_over: 0,
                invalid: 0,
                unread: HashSet::new(),
                version: String::new(),
            },
            tokens: HashSet::new(),
        }
    }

    /// Takes a page, and answers the token of the next one; `None` if the list is whole.
    ///
    /// # Errors
    ///
    /// With the reason `limit`, when the pages would go on for ever, and with `parse`, when more
    /// objects than may be can't be read.
    pub(super) fn take(&mut self, page: ListPage<T>) -> Result<Option<String>, FetchError> {
        let listed = &mut self.listed;
        listed.invalid += page.invalid;
        listed.unread.extend(page.unread);
        if listed.version.is_empty() {
            // That of the first page: what changed since then, the watch tells.
            listed.version = page.version;
        }
        // Those that can't be read may be new on every page.
        let mut is_new = page.invalid > 0;
        for object in page.objects {
            let is_known = listed.objects.contains_key(object.uid());
            is_new |= !is_known;
            if is_known || listed.objects.len() < self.most {
                listed.objects.insert(object.uid().to_owned(), object);
            } else {
                listed.left_over += 1;
            }
        }
        let Some(next) = page.next else {
            return Ok(None);
        };
        if listed.objects.len() >= self.most {
            // Those beyond the bound aren't asked for.
            listed.left_over += page.remaining.max(1);
            return Ok(None);
        }
        if listed.invalid > self.most as u64 {
            return Err(garbage(format!(
                "{} objects are not as expected, and there may be more",
                listed.invalid
            )));
        }
        if !is_new {
            return Err(endless("a page brings no object that wasn't listed before"));
        }
        if !self.tokens.insert(next.clone()) {
            return Err(endless("a `continue` token comes again"));
        }
        Ok(Some(next))
    }

    /// The list, after its last page.
    ///
    /// # Errors
    ///
    /// When it has objects, and none of them can be read.
    pub(super) fn whole(self) -> Result<Listed<T>, FetchError> {
        let Listed {
            objects, invalid, ..
        } = &self.listed;
        if objects.is_empty() && *invalid > 0 {
            return Err(garbage(format!(
                "none of the {invalid} objects is as expected"
            )));
        }
        Ok(self.listed)
    }
}

fn endless(message: &str) -> FetchError {
    let message = format!("{message}: the list would never end");
    FailureReason::Limit.error(message)
}
