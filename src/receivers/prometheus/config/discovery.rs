//! Where the targets of a job come from.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use regex::Regex;
use url::Url;

use super::ScrapeDuration;
use super::http::{HttpConfig, http_url};
use super::kubernetes::KubernetesConfig;
use super::labels::label_map;
use crate::receivers::prometheus::groups::{ADDRESS, TargetGroup, TargetLabelMap};
use crate::receivers::prometheus::relabel::NameScheme;
use crate::yaml::{Fields, PlacedNode, is_empty};

/// The range of `refresh_interval`.
const REFRESHES: RangeInclusive<ScrapeDuration> =
    ScrapeDuration(Duration::from_millis(100))..=ScrapeDuration(Duration::from_secs(7 * 24 * 3600));

/// Prometheus's other discoveries, each of one vendor or product.
const UNSUPPORTED: [&str; 26] = [
    "azure_sd_configs",
    "consul_sd_configs",
    "digitalocean_sd_configs",
    "docker_sd_configs",
    "dockerswarm_sd_configs",
    "ec2_sd_configs",
    "ecs_sd_configs",
    "eureka_sd_configs",
    "gce_sd_configs",
    "hetzner_sd_configs",
    "ionos_sd_configs",
    "kuma_sd_configs",
    "lightsail_sd_configs",
    "linode_sd_configs",
    "marathon_sd_configs",
    "nerve_sd_configs",
    "nomad_sd_configs",
    "openstack_sd_configs",
    "outscale_sd_configs",
    "ovhcloud_sd_configs",
    "puppetdb_sd_configs",
    "scaleway_sd_configs",
    "serverset_sd_configs",
    "triton_sd_configs",
    "uyuni_sd_configs",
    "vultr_sd_configs",
];

/// One source of targets.
#[derive(Debug, Clone)]
pub enum DiscoveryConfig {
    /// `static_configs`.
    Static(Vec<TargetGroup>),
    /// An element of `file_sd_configs`.
    Files(FileConfig),
    /// An element of `http_sd_configs`.
    Http(Box<HttpDiscoveryConfig>),
    /// An element of `dns_sd_configs`.
    Dns(DnsConfig),
    /// An element of `kubernetes_sd_configs`.
    Kubernetes(Box<KubernetesConfig>),
}

/// Files that list targets.
#[derive(Debug, Clone)]
pub struct FileConfig {
    /// `files`.
    pub files: Vec<PathPattern>,
    /// `refresh_interval`.
    pub refresh: Duration,
}

/// The path of one file or of several.
#[derive(Debug, Clone)]
pub enum PathPattern {
    /// One file.
    File(PathBuf),
    /// All files of a directory whose names match.
    Files {
        /// The directory; empty for the working directory.
        directory: PathBuf,
        /// What matches whole names.
        names: Regex,
    },
}

/// A server that lists targets.
#[derive(Debug, Clone)]
pub struct HttpDiscoveryConfig {
    /// `url`.
    pub url: Url,
    /// The URL as it is written, which targets have as `__meta_url`.
    pub text: String,
    /// `refresh_interval`.
    pub refresh: Duration,
    /// How it is requested.
    pub http: HttpConfig,
}

/// Names whose records are targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsConfig {
    /// `names`.
    pub names: Vec<String>,
    /// `type`.
    pub records: DnsRecords,
    /// `port` of the targets, for records that have none.
    pub port: u16,
    /// `refresh_interval`.
    pub refresh: Duration,
}

/// The kind of records that are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsRecords {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Services: hosts and ports.
    Srv,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
}

/// Reads every discovery of a job. `checks_addresses`: whether static targets are checked here,
/// which rules may still change otherwise.
pub(super) fn discoveries(
    fields: &mut Fields<'_>,
    names: NameScheme,
    checks_addresses: bool,
) -> Option<Vec<DiscoveryConfig>> {
    let mut all: Vec<Option<DiscoveryConfig>> = Vec::new();
    if let Some(groups) = fields.value("static_configs") {
        all.push(static_groups(&groups, names, checks_addresses).map(DiscoveryConfig::Static));
    }
    let mut each = |key, read: &dyn Fn(&PlacedNode<'_>) -> Option<DiscoveryConfig>| {
        let items = fields.value(key).and_then(|value| value.items());
        all.extend(items.iter().flatten().map(read));
    };
    each("file_sd_configs", &|value| {
        FileConfig::read(value).map(DiscoveryConfig::Files)
    });
    each("http_sd_configs", &|value| {
        HttpDiscoveryConfig::read(value).map(|http| DiscoveryConfig::Http(Box::new(http)))
    });
    each("dns_sd_configs", &|value| {
        DnsConfig::read(value).map(DiscoveryConfig::Dns)
    });
    each("kubernetes_sd_configs", &|value| {
        let cluster = KubernetesConfig::read(value)?;
        Some(DiscoveryConfig::Kubernetes(Box::new(cluster)))
    });
    for key in UNSUPPORTED {
        if let Some(value) = fields.foreign(key).filter(|value| !is_empty(value)) {
            value.error::<()>(
                "this discovery isn't supported: let a program that knows it write a file for \
                 file_sd_configs, or answer http_sd_configs",
            );
        }
    }
    all.into_iter().collect()
}

fn static_groups(
    value: &PlacedNode<'_>,
    names: NameScheme,
    checks_addresses: bool,
) -> Option<Vec<TargetGroup>> {
    let items = value.items()?;
    let read: Vec<Option<TargetGroup>> = items
        .iter()
        .map(|item| group(item, names, checks_addresses))
        .collect();
    read.into_iter().collect()
}

/// Reads a group of targets, as static configurations and files list them.
pub fn group(
    value: &PlacedNode<'_>,
    names: NameScheme,
    checks_addresses: bool,
) -> Option<TargetGroup> {
    if value.is_null() {
        return value.error("the group of targets is empty");
    }
    let mut fields = value.fields()?;
    let targets = fields.value("targets");
    let labels = fields.value("labels");
    fields.finish();
    let items = match &targets {
        Some(targets) => targets.items()?,
        None => Vec::new(),
    };
    let targets: Vec<Option<TargetLabelMap>> = items
        .iter()
        .map(|item| {
            let address: String = item.read()?;
            if checks_addresses && address.contains('/') {
                return item.error(format_args!(
                    "`{address}` is no host: write host:port, and the rest as scheme and metrics_path"
                ));
            }
            Some(TargetLabelMap::from([(ADDRESS.to_owned(), address)]))
        })
        .collect();
    let labels = match &labels {
        Some(labels) => label_map(labels, names)?,
        None => TargetLabelMap::new(),
    };
    Some(TargetGroup {
        targets: targets.into_iter().collect::<Option<_>>()?,
        labels,
    })
}

/// `refresh_interval`.
fn refresh(fields: &mut Fields<'_>, default: Duration) -> Duration {
    let default = ScrapeDuration(default);
    fields.within("refresh_interval", default, REFRESHES).0
}

impl FileConfig {
    /// Reads an element of `file_sd_configs`.
    pub fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let files = fields.value("files").filter(|files| !is_empty(files));
        let refresh = refresh(&mut fields, Duration::from_secs(5 * 60));
        fields.finish();
        let Some(files) = files else {
            return value.error("`files` is missing");
        };
        let read: Vec<Option<PathPattern>> = files.items()?.iter().map(path_pattern).collect();
        Some(Self {
            files: read.into_iter().collect::<Option<_>>()?,
            refresh,
        })
    }
}

fn path_pattern(value: &PlacedNode<'_>) -> Option<PathPattern> {
    const ENDINGS: [&str; 6] = [".json", ".yml", ".yaml", ".JSON", ".YML", ".YAML"];
    let text: String = value.read()?;
    let (directory, name) = match text.rfind('/') {
        Some(at) => text.split_at(at + 1),
        None => ("", text.as_str()),
    };
    if !ENDINGS.iter().any(|ending| name.ends_with(ending)) {
        return value.error("expected the path of a file that ends with .json, .yml or .yaml");
    }
    if directory.contains('*') {
        return value.error("a star can stand only in the last part of the path");
    }
    if !name.contains(['*', '?', '[', '\\']) {
        return Some(PathPattern::File(text.into()));
    }
    let Some(names) = glob(name) else {
        return value.error("the last part of the path is no pattern: a bracket isn't closed");
    };
    Some(PathPattern::Files {
        directory: plain_directory(directory),
        names,
    })
}

/// A pattern of names as Go's `filepath.Match` reads it: `*` for any characters, `?` for one,
/// `[a-z]` and `[^a-z]` for some, and a backslash before what stands for itself.
fn glob(pattern: &str) -> Option<Regex> {
    let mut regex = String::from("(?s)^");
    let mut rest = pattern.chars();
    let literal =
        |regex: &mut String, c: char| regex.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
    while let Some(c) = rest.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '\\' => literal(&mut regex, rest.next()?),
            '[' => {
                regex.push('[');
                let mut is_first = true;
                loop {
                    match rest.next()? {
                        '^' if is_first => {
                            regex.push('^');
                            continue;
                        }
                        ']' if !is_first => break,
                        '-' if !is_first => regex.push('-'),
                        '\\' => literal(&mut regex, rest.next()?),
                        c => literal(&mut regex, c),
                    }
                    is_first = false;
                }
                regex.push(']');
            }
            c => literal(&mut regex, c),
        }
    }
    regex.push('$');
    Regex::new(&regex).ok()
}

/// A directory without `./` at its beginning, since targets have the path of their file as a label.
fn plain_directory(text: &str) -> PathBuf {
    let path = PathBuf::from(text);
    path.strip_prefix("./").map(PathBuf::from).unwrap_or(path)
}

impl HttpDiscoveryConfig {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let written = fields.value("url").filter(|url| !url.is_null());
        let refresh = refresh(&mut fields, Duration::from_secs(60));
        let http = HttpConfig::read(&mut fields);
        fields.finish();
        let Some(written) = written else {
            return value.error("`url` is missing");
        };
        Some(Self {
            url: http_url(&written)?,
            text: written.read()?,
            refresh,
            http: http?,
        })
    }
}

impl DnsConfig {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        const TYPES: [(&str, DnsRecords); 5] = [
            ("A", DnsRecords::A),
            ("AAAA", DnsRecords::Aaaa),
            ("SRV", DnsRecords::Srv),
            ("MX", DnsRecords::Mx),
            ("NS", DnsRecords::Ns),
        ];
        let mut fields = value.fields()?;
        let names = fields.value("names").filter(|names| !is_empty(names));
        let written = fields.value("type").filter(|value| !value.is_null());
        let port = fields.or("port", 0_u16);
        let refresh = refresh(&mut fields, Duration::from_secs(30));
        fields.finish();
        let records = match written {
            None => DnsRecords::Srv,
            Some(written) => {
                let text = written.text().unwrap_or_default().to_ascii_uppercase();
                match TYPES.iter().find(|(name, _)| *name == text) {
                    Some((_, records)) => *records,
                    // For the message, which names them.
                    None => written.choice(&TYPES)?,
                }
            }
        };
        if port == 0 && records != DnsRecords::Srv {
            return value.error("`port` is missing: only SRV records have one themselves");
        }
        let Some(names) = names else {
            return value.error("`names` is missing");
        };
        Some(Self {
            names: names.read()?,
            records,
            port,
            refresh,
        })
    }
}
