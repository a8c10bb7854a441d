//! The configuration of `host_metrics`.

use std::path::PathBuf;
use std::time::Duration;

use super::scrapers::process::ProcessAttributes;
use super::scrapers::{
    cpu, disk, filesystem, load, memory, network, paging, process, processes, system,
};
use super::spec::{MetricChoices, MetricSpec};
use crate::host::proc::MountInfo;
use crate::receivers::scrape::PollSettings;
use crate::settings::{MatchType, Patterns};
use crate::yaml::{Fields, PlacedNode, is_zero};

/// `collection_interval` where it isn't written, as in the Collector.
const INTERVAL: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) settings: PollSettings,
    pub(super) root_path: PathBuf,
    pub(super) scrapers: ScraperConfigs,
}

/// `scrapers`: those that are written.
#[derive(Debug, Clone, Default)]
pub(super) struct ScraperConfigs {
    pub(super) cpu: Option<MetricChoices>,
    pub(super) disk: Option<FilteredConfig>,
    pub(super) filesystem: Option<FilesystemConfig>,
    pub(super) load: Option<LoadConfig>,
    pub(super) memory: Option<MetricChoices>,
    pub(super) network: Option<FilteredConfig>,
    pub(super) paging: Option<MetricChoices>,
    pub(super) process: Option<ProcessConfig>,
    pub(super) processes: Option<MetricChoices>,
    pub(super) system: Option<MetricChoices>,
}

#[derive(Debug, Clone)]
pub(super) struct LoadConfig {
    pub(super) metrics: MetricChoices,
    pub(super) per_cpu: bool,
}

/// A scraper of things that have names.
#[derive(Debug, Clone)]
pub(super) struct FilteredConfig {
    pub(super) metrics: MetricChoices,
    pub(super) names: NamesWanted,
}

#[derive(Debug, Clone)]
pub(super) struct FilesystemConfig {
    pub(super) metrics: MetricChoices,
    pub(super) filter: FilesystemFilter,
}

/// Which filesystems are read.
#[derive(Debug, Clone)]
pub(super) struct FilesystemFilter {
    pub(super) with_virtual: bool,
    devices: NamesWanted,
    types: NamesWanted,
    mount_points: NamesWanted,
}

#[derive(Debug, Clone)]
pub(super) struct ProcessConfig {
    pub(super) metrics: MetricChoices,
    pub(super) attributes: ProcessAttributes,
    pub(super) names: NamesWanted,
    pub(super) muted: MutedErrors,
    pub(super) delay: Duration,
    pub(super) most: usize,
    pub(super) most_of_command: usize,
}

/// What couldn't be read of a process and is no failure.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MutedErrors {
    pub(super) all: bool,
    pub(super) name: bool,
    pub(super) exe: bool,
    pub(super) io: bool,
    pub(super) user: bool,
    pub(super) cgroup: bool,
}

/// `include` and `exclude` of names.
#[derive(Debug, Clone, Default)]
pub(super) struct NamesWanted {
    include: Option<Patterns>,
    exclude: Option<Patterns>,
}

impl Config {
    pub(super) fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let mut settings = PollSettings::from_fields(&mut fields);
        if settings.written.interval.is_none() {
            settings.interval = INTERVAL.max(settings.timeout);
            settings.written.interval = Some(settings.interval);
        }
        let root_path = fields.or("root_path", PathBuf::from("/"));
        let of_logs = "the host is described by metrics alone, and not by logs";
        fields.without_effect("metadata_collection_interval", is_zero, of_logs);
        let scrapers = match fields.value("scrapers").filter(|value| !value.is_null()) {
            Some(scrapers) => ScraperConfigs::read(&scrapers),
            None => value.error("`scrapers` is missing: it says what is read, such as cpu"),
        };
        fields.finish();
        Some(Self {
            settings,
            root_path: match root_path.as_os_str().is_empty() {
                true => PathBuf::from("/"),
                false => root_path,
            },
            scrapers: scrapers?,
        })
    }
}

impl ScraperConfigs {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let scrapers = Self {
            cpu: plain(&mut fields, "cpu", cpu::METRICS),
            disk: filtered(&mut fields, "disk", disk::METRICS, "devices"),
            filesystem: scraper(&mut fields, "filesystem", FilesystemConfig::read),
            load: scraper(&mut fields, "load", LoadConfig::read),
            memory: plain(&mut fields, "memory", memory::METRICS),
            network: filtered(&mut fields, "network", network::METRICS, "interfaces"),
            paging: plain(&mut fields, "paging", paging::METRICS),
            process: scraper(&mut fields, "process", ProcessConfig::read),
            processes: plain(&mut fields, "processes", processes::METRICS),
            system: plain(&mut fields, "system", system::METRICS),
        };
        if let Some(nfs) = fields.foreign("nfs") {
            nfs.error::<()>("isn't supported: leave it out");
        } else if value.entries()?.is_empty() {
            return value.error("is empty: it says what is read, such as cpu");
        }
        fields.finish();
        Some(scrapers)
    }
}

/// The scraper of this name, if it is written; with nothing behind it, it has its defaults.
fn scraper<T>(
    fields: &mut Fields<'_>,
    name: &'static str,
    read: fn(&mut Fields<'_>) -> Option<T>,
) -> Option<T> {
    let mut fields = fields.value(name)?.fields()?;
    let read = read(&mut fields);
    fields.finish();
    read
}

/// A scraper that has only `metrics`.
fn plain(
    fields: &mut Fields<'_>,
    name: &'static str,
    specs: &'static [MetricSpec],
) -> Option<MetricChoices> {
    let mut fields = fields.value(name)?.fields()?;
    let metrics = metrics(&mut fields, specs);
    fields.finish();
    metrics
}

fn metrics(fields: &mut Fields<'_>, specs: &'static [MetricSpec]) -> Option<MetricChoices> {
    MetricChoices::read(specs, fields.value("metrics").as_ref())
}

/// A scraper with `include` and `exclude`, whose names stand in `list`.
fn filtered(
    fields: &mut Fields<'_>,
    name: &'static str,
    specs: &'static [MetricSpec],
    list: &'static str,
) -> Option<FilteredConfig> {
    let mut fields = fields.value(name)?.fields()?;
    let metrics = metrics(&mut fields, specs);
    let names = NamesWanted::read(&mut fields, ["include", "exclude"], list);
    fields.finish();
    Some(FilteredConfig {
        metrics: metrics?,
        names,
    })
}

impl LoadConfig {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let per_cpu = fields.or("cpu_average", false);
        Some(Self {
            metrics: metrics(fields, load::METRICS)?,
            per_cpu,
        })
    }
}

impl FilesystemConfig {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let filter = FilesystemFilter {
            with_virtual: fields.or("include_virtual_filesystems", false),
            devices: NamesWanted::read(fields, ["include_devices", "exclude_devices"], "devices"),
            types: NamesWanted::read(fields, ["include_fs_types", "exclude_fs_types"], "fs_types"),
            mount_points: NamesWanted::read(
                fields,
                ["include_mount_points", "exclude_mount_points"],
                "mount_points",
            ),
        };
        Some(Self {
            metrics: metrics(fields, filesystem::METRICS)?,
            filter,
        })
    }
}

impl FilesystemFilter {
    /// Without virtual filesystems, what isn't mounted from a path is left out, and so is what is
    /// mounted a second time.
    pub(super) fn admits(&self, info: &MountInfo) -> bool {
        let mount = &info.mount;
        (self.with_virtual || (info.has_path && !info.is_bound))
            && self.devices.admits(&mount.device)
            && self.types.admits(&mount.kind)
            && self.mount_points.admits(&mount.mount_point)
    }
}

impl ProcessConfig {
    fn read(fields: &mut Fields<'_>) -> Option<Self> {
        let muted = MutedErrors {
            all: fields.or("mute_process_all_errors", false),
            name: fields.or("mute_process_name_error", false),
            exe: fields.or("mute_process_exe_error", false),
            io: fields.or("mute_process_io_error", false),
            user: fields.or("mute_process_user_error", false),
            cgroup: fields.or("mute_process_cgroup_error", false),
        };
        let names = NamesWanted::read(fields, ["include", "exclude"], "names");
        let delay = fields.or("scrape_process_delay", Duration::ZERO);
        let most = fields.within("max_processes", 4096_usize, 1..=65_536);
        let most_of_command = fields.within("max_command_line", 4096_usize, 64..=65_536);
        let attributes = fields.value("resource_attributes");
        let attributes = match attributes.as_ref().map(PlacedNode::fields) {
            None => ProcessAttributes::of(|_, default| default),
            Some(None) => return None,
            Some(Some(mut switches)) => {
                let attributes = ProcessAttributes::of(|name, default| {
                    let switch = switches.value(name);
                    let Some(mut switch) = switch.and_then(|switch| switch.fields()) else {
                        return default;
                    };
                    let enabled = switch.or("enabled", default);
                    switch.finish();
                    enabled
                });
                switches.finish();
                attributes
            }
        };
        let metrics = metrics(fields, process::METRICS)?;
        if metrics.any(process::METRICS, &["process.handles"]) {
            let map = fields.map();
            map.warn("process.handles has no effect: only Windows has handles");
        }
        Some(Self {
            metrics,
            attributes,
            names,
            muted,
            delay,
            most,
            most_of_command,
        })
    }
}

impl ProcessAttributes {
    /// With each switch as `of` says by its name and default.
    fn of(mut of: impl FnMut(&'static str, bool) -> bool) -> Self {
        Self {
            cgroup: of("process.cgroup", false),
            command: of("process.command", true),
            command_line: of("process.command_line", true),
            executable_name: of("process.executable.name", true),
            executable_path: of("process.executable.path", true),
            owner: of("process.owner", true),
            parent_pid: of("process.parent_pid", true),
            pid: of("process.pid", true),
        }
    }
}

impl NamesWanted {
    /// Reads the keys of what is included and what is excluded; the names stand in their `list`.
    fn read(fields: &mut Fields<'_>, keys: [&'static str; 2], list: &'static str) -> Self {
        let [include, exclude] = keys.map(|key| {
            let mut side = fields.value(key)?.fields()?;
            let written = side.value(list).filter(|value| !value.is_null());
            let empty = written
                .and_then(|names| names.items())
                .is_none_or(|all| all.is_empty());
            let patterns = match empty {
                // The way of matching means nothing then, as in the Collector.
                true => {
                    side.value("match_type");
                    side.value("regexp");
                    None
                }
                false => {
                    let way = MatchType::from_fields(&mut side);
                    way.and_then(|way| Patterns::optional(&mut side, list, way))
                }
            };
            side.finish();
            patterns
        });
        Self { include, exclude }
    }

    pub(super) fn admits(&self, name: &str) -> bool {
        self.include
            .as_ref()
            .is_none_or(|include| include.matches(name))
            && !self
                .exclude
                .as_ref()
                .is_some_and(|exclude| exclude.matches(name))
    }
}

#[cfg(test)]
mod tests;
