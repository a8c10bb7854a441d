//! The configuration of `node`.

use std::path::PathBuf;

use regex::{RegexSet, RegexSetBuilder};

use url::Url;

use super::semconv::Semconv;
use crate::receivers::scrape::PollSettings;
use crate::receivers::scrape::http::{HttpClientConfig, parse_endpoint};
use crate::settings::plain;
use crate::yaml::{FromValue, PlacedNode};

/// The most patterns in one list.
const MAX_PATTERNS: usize = 64;
/// The most bytes that one list of patterns may take once compiled.
const MAX_COMPILED: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) settings: PollSettings,
    pub(super) node_id: Option<String>,
    pub(super) root_path: PathBuf,
    pub(super) exposition: Exposition,
    pub(super) semconv: Semconv,
    pub(super) filesystems: NameFilter,
    pub(super) disks: NameFilter,
    pub(super) networks: NameFilter,
    pub(super) targets: Vec<TargetConfig>,
    pub(super) http: HttpClientConfig,
}

/// `exposition`: whose names are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposition {
    /// OpenTelemetry's semantic conventions.
    Semconv,
    /// node_exporter's names.
    NodeExporter,
    /// Both, each for itself.
    Both,
}

impl FromValue for Exposition {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[
            ("semconv", Self::Semconv),
            ("node_exporter", Self::NodeExporter),
            ("both", Self::Both),
        ])
    }
}

/// One element of `targets`.
#[derive(Debug, Clone)]
pub(super) struct TargetConfig {
    pub(super) node_id: String,
    /// The URL as the user wrote it.
    pub(super) text: String,
    pub(super) url: Url,
}

impl Config {
    pub(super) fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let settings = PollSettings::from_fields(&mut fields);
        let node_id = fields.optional::<NodeId>("node_id");
        let root_path = fields.or("root_path", PathBuf::from("/"));
        let exposition = fields.or("exposition", Exposition::Semconv);
        let semconv = fields.or("semconv", Semconv::V1);
        let filesystems = fields.or("filesystems", NameFilter::default());
        let disks = fields.or("disks", NameFilter::default());
        let networks = fields.or("networks", NameFilter::default());
        let targets = fields.value("targets").map(|value| read_targets(&value));
        let http = HttpClientConfig::from_fields(&mut fields);
        fields.finish();
        Some(Self {
            targets: targets.unwrap_or_else(|| Some(Vec::new()))?,
            http,
            settings,
            node_id: node_id.map(|id| id.0),
            root_path,
            exposition,
            semconv,
            filesystems,
            disks,
            networks,
        })
    }
}

struct NodeId(String);

impl FromValue for NodeId {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        match value.read::<String>()? {
            empty if empty.trim().is_empty() => value.error("is empty"),
            id => Some(Self(id)),
        }
    }
}

fn read_targets(value: &PlacedNode<'_>) -> Option<Vec<TargetConfig>> {
    let items = value.items()?;
    // Read every element before rejecting any, so that each problem is reported.
    let read: Vec<Option<TargetConfig>> = items.iter().map(PlacedNode::read).collect();
    let mut targets: Vec<TargetConfig> = Vec::new();
    for (item, target) in items.iter().zip(read) {
        let target = target?;
        if let Some(other) = targets.iter().find(|other| other.node_id == target.node_id) {
            return item.error(format_args!(
                "{} has the node_id `{}` too",
                other.text, other.node_id
            ));
        }
        if targets.iter().any(|other| other.url == target.url) {
            return item.error(format_args!("{} is listed twice", target.text));
        }
        targets.push(target);
    }
    Some(targets)
}

impl FromValue for TargetConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let node_id = fields.required::<NodeId>("node_id");
        let endpoint = match fields.value("url").filter(|url| !url.is_null()) {
            Some(url) => parse_endpoint(&url),
            None => value.error("`url` is missing"),
        };
        fields.finish();
        let (text, mut url) = endpoint?;
        if url.path() == "/" {
            url.set_path("/metrics");
        }
        Some(Self {
            node_id: node_id?.0,
            text,
            url,
        })
    }
}

/// Which filesystems, disks or interfaces are read, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct NameFilter {
    include: Option<RegexSet>,
    exclude: Option<RegexSet>,
}

impl NameFilter {
    /// Whether the part `name` is read: if `include` is written, when it matches, else when
    /// `by_default` says so; and in either case only if `exclude` doesn't match.
    pub(super) fn admits(&self, name: &str, by_default: bool) -> bool {
        let included = match &self.include {
            Some(include) => include.is_match(name),
            None => by_default,
        };
        included && !self.exclude.as_ref().is_some_and(|set| set.is_match(name))
    }
}

impl FromValue for NameFilter {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let include = fields.value("include").filter(|value| !value.is_null());
        let include = match include {
            Some(value) if value.items().is_some_and(|items| items.is_empty()) => value.error(
                "is empty, so nothing would be read: leave it out for what is read by default, or \
                 write exclude: [\".*\"] to read nothing",
            ),
            Some(value) => value.read::<NamePatterns>(),
            None => None,
        };
        let exclude = fields.optional::<NamePatterns>("exclude");
        fields.finish();
        Some(Self {
            include: include.map(|patterns| patterns.0),
            exclude: exclude.map(|patterns| patterns.0),
        })
    }
}

/// Regular expressions that match whole names.
struct NamePatterns(RegexSet);

impl FromValue for NamePatterns {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let items = value.items()?;
        if items.len() > MAX_PATTERNS {
            return value.error(format_args!("more than {MAX_PATTERNS} patterns"));
        }
        let mut anchored = Vec::new();
        let mut wrong = false;
        for item in &items {
            let Some(pattern) = item.read::<String>() else {
                wrong = true;
                continue;
            };
            if let Err(error) = compile([&pattern]) {
                item.error::<()>(format_args!("no regular expression: {}", plain(&error)));
                wrong = true;
            }
            anchored.push(format!("^(?:{pattern})$"));
        }
        if wrong {
            return None;
        }
        match compile(&anchored) {
            Ok(set) => Some(Self(set)),
            Err(error) => value.error(format_args!("can't be used together: {}", plain(&error))),
        }
    }
}

fn compile<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns)
        .size_limit(MAX_COMPILED)
        .build()
}

#[cfg(test)]
mod tests;
