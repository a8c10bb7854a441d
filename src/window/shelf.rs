//! The stores of one process, by owner.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::aggregation::AggregationPlan;
use super::{SharedWindows, WindowSettings};

/// The stores of one process, each under the name of its owner. A handle: clones share the list.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    stores: Arc<Mutex<BTreeMap<String, SharedWindows>>>,
    plans: Arc<Mutex<BTreeMap<String, Arc<AggregationPlan>>>>,
}

impl Shelf {
    /// The store of this owner, made with these settings if there is none yet. Owners of one name
    /// share a store.
    #[must_use]
    pub fn open(&self, owner: &str, settings: &WindowSettings) -> SharedWindows {
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        stores
            .entry(owner.to_owned())
            .or_insert_with(|| SharedWindows::new(settings.clone()))
            .clone()
    }

    /// Notes what is to be aggregated, for whoever shows that. Owners of one name have one plan.
    pub fn plan(&self, owner: &str, plan: Arc<AggregationPlan>) {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.insert(owner.to_owned(), plan);
    }

    /// What is to be aggregated, sorted by owner.
    #[must_use]
    pub fn plans(&self) -> Vec<Arc<AggregationPlan>> {
        let plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        plans.values().cloned().collect()
    }

    /// Every store with its owner, sorted by owner.
    #[must_use]
    pub fn all(&self) -> Vec<(String, SharedWindows)> {
        let stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = stores.iter();
        pairs
            .map(|(owner, store)| (owner.clone(), store.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::ValueKind;

    #[test]
    fn owners_of_one_name_share_a_store() {
        let shelf = Shelf::default();
        let settings = WindowSettings::default();
        let a = shelf.open("window", &settings);
        let b = shelf.clone().open("window", &settings);
        let c = shelf.open("window/other", &settings);
        a.lock().register("up", ValueKind::Gauge, &[]).unwrap();
        assert_eq!(b.lock().totals().series, 1);
        assert_eq!(c.lock().totals().series, 0);
        let owners: Vec<String> = shelf.all().into_iter().map(|(owner, _)| owner).collect();
        assert_eq!(owners, ["window", "window/other"]);
    }
}
