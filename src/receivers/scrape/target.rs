//! One target of a pull receiver.

use std::fmt;
use std::sync::Arc;

use super::Scraper;
use super::link::Nudge;
use super::schedule::PollPace;
pub use super::schedule::Reach;
use crate::pdata::writer::Attribute;

/// What a pull receiver polls, and how.
pub struct Target {
    /// The endpoint as configured or found, without credentials, for people: in logs and on
    /// `/health`.
    pub endpoint: Arc<str>,
    /// What its series say of it.
    pub identity: Arc<TargetIdentity>,
    /// Where it is.
    pub reach: Reach,
    /// How often it is polled.
    pub pace: PollPace,
    /// Which series tell of its polls.
    pub series: ScrapeSeries,
    /// What the user can do when a poll fails, appended to the log line, such as `point it
    /// elsewhere with BETANET_URL`.
    pub advice: Arc<str>,
    /// The scraper keeps a clone if it has wishes that don't come from its guards.
    pub nudge: Nudge,
    /// Polls it.
    pub scraper: Box<dyn Scraper>,
}

/// What tells a target's series from those of others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct TargetIdentity {
    /// `service.name`, which becomes the label `job`.
    pub service: Arc<str>,
    /// `service.instance.id`, which becomes the label `instance`.
    pub instance: Arc<str>,
    /// Further attributes of the resource.
    pub resource: Vec<(Arc<str>, Arc<str>)>,
    /// Attributes of each point about its polls, such as the labels of a Prometheus target. A
    /// scraper puts them on its own points itself.
    pub labels: Vec<(Arc<str>, Arc<str>)>,
}

/// Which series tell of a target's polls; the [module](super#metrics) lists them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrapeSeries {
    /// The agent's own.
    Own,
    /// Those that Prometheus writes.
    Prometheus,
}

impl TargetIdentity {
    /// A target whose series have only these two attributes.
    pub fn new(service: impl Into<Arc<str>>, instance: impl Into<Arc<str>>) -> Self {
        Self {
            service: service.into(),
            instance: instance.into(),
            ..Self::default()
        }
    }

    /// The attributes of its resource.
    pub fn attributes(&self) -> Vec<Attribute<'_>> {
        let mut attributes: Vec<Attribute<'_>> = vec![
            ("service.name", (&*self.service).into()),
            ("service.instance.id", (&*self.instance).into()),
        ];
        attributes.extend(self::attributes(&self.resource));
        attributes
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("endpoint", &self.endpoint)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// Pairs of texts as attributes.
pub(super) fn attributes(pairs: &[(Arc<str>, Arc<str>)]) -> impl Iterator<Item = Attribute<'_>> {
    pairs.iter().map(|(key, value)| (&**key, (&**value).into()))
}
