//! A cluster of Kubernetes: its deployments are listed, and then watched.

mod object;
mod scraper;
mod state;

pub(super) use scraper::{KubernetesScraper, follower};
