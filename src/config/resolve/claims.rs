//! Refuses components that use a port, page or file of another, before anything is opened.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::Section;
use crate::component::{
    AGENT, AgentPage, Claimed, Claims, ExporterConfig, ExtensionConfig, Listener, ReceiverConfig,
    ResourceClaim,
};
use crate::config::{MetricsPage, ServiceHttpConfig};
use crate::yaml::{PlacedNode, Problem, Severity, SourceSpan};

/// The parts of a configuration that use ports, pages or files.
pub(super) struct Claimants<'a, 's> {
    pub(super) root: &'s PlacedNode<'a>,
    pub(super) http: &'s ServiceHttpConfig,
    pub(super) pages: &'s [MetricsPage],
    pub(super) receivers: &'s Section<'a, Box<dyn ReceiverConfig>>,
    pub(super) exporters: &'s Section<'a, Box<dyn ExporterConfig>>,
    pub(super) extensions: &'s Section<'a, Box<dyn ExtensionConfig>>,
}

/// Where something is claimed. Two places with one path are equal.
#[derive(Debug, Clone)]
struct ClaimPlace<'a> {
    /// The path of the key, written or not.
    path: String,
    /// The places of the keys on the way there that are written, and of the value.
    steps: Vec<SourceSpan>,
    /// The node at the last of them.
    node: PlacedNode<'a>,
    is_written: bool,
}

impl Claimants<'_, '_> {
    /// Reports every claim that an earlier one excludes. The agent's own come first, then the
    /// others in the order of the document.
    pub(super) fn check(&self) {
        let agent = self.http.listener.as_ref();
        let agent = agent.map(|listener| (self.key(AGENT), listener));
        let mut claims = Claims::of_agent(agent);
        let mut claimed = self.claimed();
        claimed.sort_by(|(a, _), (b, _)| a.order().cmp(&b.order()));
        for (place, claimed) in claimed {
            if let Err(clash) = claims.claim(place, &claimed) {
                let message = format!("this and {} {}", clash.first, clash.contested);
                clash.second.report(&clash.first, message);
            }
        }
    }
}

impl<'a> Claimants<'a, '_> {
    fn claimed(&self) -> Vec<(ClaimPlace<'a>, Claimed)> {
        let receivers = of_section(self.receivers, |config| config.claims());
        let exporters = of_section(self.exporters, |config| config.claims());
        let extensions = of_section(self.extensions, |config| config.claims());
        let pages = self.pages.iter().map(|page| {
            let listener = Listener::At(page.listener.clone());
            let path = AgentPage::Metrics.path().to_owned();
            (self.key(&page.owner), Claimed::Page(listener, path))
        });
        let components = receivers.chain(exporters).chain(extensions);
        components.chain(pages).collect()
    }

    /// The place of a key of `service`.
    fn key(&self, path: &str) -> ClaimPlace<'a> {
        ClaimPlace::below(self.root, Vec::new(), path.to_owned(), path)
    }
}

/// The claims of those components of a section that run.
fn of_section<'a: 's, 's, C>(
    section: &'s Section<'a, C>,
    claims: impl Fn(&C) -> Vec<ResourceClaim> + 's,
) -> impl Iterator<Item = (ClaimPlace<'a>, Claimed)> + 's {
    let running = section.declared.iter().filter(|(_, d)| d.used);
    running.flat_map(move |(id, declared)| {
        let claims = declared.config.as_ref().map(&claims).unwrap_or_default();
        claims
            .into_iter()
            .map(move |ResourceClaim { key, claimed }| {
                let path = format!("{}::{id}::{key}", section.family.section);
                let steps = vec![declared.span.clone()];
                (ClaimPlace::below(&declared.body, steps, path, key), claimed)
            })
    })
}

impl<'a> ClaimPlace<'a> {
    /// Follows `keys` from a node to which `steps` lead.
    fn below(node: &PlacedNode<'a>, steps: Vec<SourceSpan>, path: String, keys: &str) -> Self {
        let mut place = Self {
            path,
            steps,
            node: node.clone(),
            is_written: false,
        };
        for key in keys.split("::") {
            let Some((span, value)) = place.node.step(key) else {
                return place;
            };
            place.steps.push(span.clone());
            place.node = value;
        }
        place.is_written = !place.node.is_null();
        if place.is_written {
            place.steps.push(place.node.span().clone());
        }
        place
    }

    /// Sorts by the last place. An alias gives several claims the same one; those are sorted by
    /// the keys on the way.
    fn order(&self) -> (Option<&SourceSpan>, &[SourceSpan], &str) {
        (self.steps.last(), &self.steps, &self.path)
    }

    /// Reports at the last step that isn't one of the other's, since both may use one alias.
    fn report(&self, other: &Self, message: String) {
        let own = self.steps.iter().rev();
        let span = own.into_iter().find(|step| !other.steps.contains(step));
        self.node.diagnostics().push(Problem {
            span: span.unwrap_or(self.node.span()).clone(),
            path: self.path.clone(),
            message: self.node.veiled(message),
            severity: Severity::Error,
        });
    }
}

impl fmt::Display for ClaimPlace<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let span = self.steps.last().unwrap_or(self.node.span());
        let by_default = if self.is_written { "" } else { ", by default" };
        write!(f, "{} ({span}{by_default})", self.path)
    }
}

impl PartialEq for ClaimPlace<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for ClaimPlace<'_> {}

impl Hash for ClaimPlace<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.path.hash(state);
    }
}
