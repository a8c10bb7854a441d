//! Another node, as its node_exporter shows it: the summary alone, from the exporter's
//! own names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::config::Filter;
use super::proc::Mount;
use super::summary::{Summary, percent};
use crate::component::Now;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{self, Fetch, FetchError, Request};
use crate::receivers::scrape::text::{Line, Malformed, Sample, lines};
use crate::receivers::scrape::{Reason, Scrape, Scraper};

/// Asks one node_exporter.
pub(super) struct Remote {
    pub(super) node_id: String,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) request: Request,
    pub(super) filesystems: Filter,
    pub(super) networks: Filter,
    /// Whether it answered last time, for whoever counts the nodes.
    pub(super) answered: Arc<AtomicBool>,
    /// What differences are made from.
    pub(super) previous: Option<(Instant, Counters)>,
}

impl Scraper for Remote {
    fn scrape<'a>(&'a mut self, now: Now, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let (filesystems, networks) = (&self.filesystems, &self.networks);
            let answer = http::get(&*self.fetch, &self.request, |body| {
                let wrong = |message: String| FetchError::new(Reason::Parse, message);
                let text = std::str::from_utf8(body).map_err(|_| wrong("not UTF-8".into()))?;
                Page::read(text, filesystems, networks).map_err(|error| wrong(error.to_string()))
            })
            .await;
            self.answered.store(answer.is_ok(), Ordering::Relaxed);
            let outcome = answer.map(|page| {
                let previous = self.previous.as_ref();
                page.summary(previous, now.monotonic)
                    .write(&self.node_id, now.wall, out);
                self.previous = Some((now.monotonic, page.counters));
            });
            Scrape::whole(outcome)
        })
    }
}

/// What rates are made from.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counters {
    /// Seconds, by processor and mode.
    cpu: BTreeMap<(String, String), f64>,
    /// Bytes received and transmitted, by interface.
    network: BTreeMap<String, [Option<f64>; 2]>,
}

/// What one page says.
#[derive(Debug, Default)]
struct Page {
    counters: Counters,
    memory_total: Option<f64>,
    memory_available: Option<f64>,
    /// Size, free and available bytes, by device and mount point.
    filesystems: BTreeMap<(String, String), [Option<f64>; 3]>,
    time: Option<f64>,
    boot_time: Option<f64>,
}

impl Page {
    fn read(text: &str, filesystems: &Filter, networks: &Filter) -> Result<Self, Malformed> {
        let mut page = Self::default();
        for line in lines(text) {
            let Line::Sample(sample) = line? else {
                continue;
            };
            // Every number that is read here counts or measures something.
            if !(sample.value.is_finite() && sample.value >= 0.0) {
                continue;
            }
            match sample.name {
                "node_cpu_seconds_total" => {
                    let key = (
                        sample.label("cpu").to_owned(),
                        sample.label("mode").to_owned(),
                    );
                    page.counters.cpu.insert(key, sample.value);
                }
                "node_memory_MemTotal_bytes" => page.memory_total = Some(sample.value),
                "node_memory_MemAvailable_bytes" => page.memory_available = Some(sample.value),
                "node_time_seconds" => page.time = Some(sample.value),
                "node_boot_time_seconds" => page.boot_time = Some(sample.value),
                "node_filesystem_size_bytes" => page.filesystem(&sample, filesystems, 0),
                "node_filesystem_free_bytes" => page.filesystem(&sample, filesystems, 1),
                "node_filesystem_avail_bytes" => page.filesystem(&sample, filesystems, 2),
                "node_network_receive_bytes_total" => page.interface(&sample, networks, 0),
                "node_network_transmit_bytes_total" => page.interface(&sample, networks, 1),
                _ => {}
            }
        }
        Ok(page)
    }

    fn filesystem(&mut self, sample: &Sample<'_>, filter: &Filter, place: usize) {
        let mount = Mount {
            device: sample.label("device").to_owned(),
            mount_point: sample.label("mountpoint").to_owned(),
            kind: sample.label("fstype").to_owned(),
            read_only: false,
        };
        let by_default = !mount.is_virtual() && !mount.may_hang();
        if filter.admits(&mount.mount_point, by_default) {
            let key = (mount.device, mount.mount_point);
            self.filesystems.entry(key).or_default()[place] = Some(sample.value);
        }
    }

    fn interface(&mut self, sample: &Sample<'_>, filter: &Filter, place: usize) {
        let device = sample.label("device");
        if filter.admits(device, device != "lo") {
            let bytes = self.counters.network.entry(device.to_owned()).or_default();
            bytes[place] = Some(sample.value);
        }
    }

    fn summary(&self, previous: Option<&(Instant, Counters)>, now: Instant) -> Summary {
        let memory = self
            .memory_total
            .zip(self.memory_available)
            .and_then(|(total, available)| percent(total - available, total));
        let uptime = self
            .time
            .zip(self.boot_time)
            .map(|(time, boot)| time - boot)
            .filter(|uptime| *uptime >= 0.0);
        Summary {
            cpu: previous.and_then(|(_, last)| self.counters.busy(last)),
            memory,
            disk: self.disk(),
            network: previous.and_then(|(at, last)| {
                let seconds = now.duration_since(*at).as_secs_f64();
                let bytes = self.counters.bytes(last)?;
                (seconds > 0.0).then(|| bytes.map(|bytes| bytes / seconds))
            }),
            uptime,
            nodes: None,
        }
    }

    /// Percent of the room in use, each device once.
    fn disk(&self) -> Option<f64> {
        let mut devices = BTreeSet::new();
        let (mut used, mut room) = (0.0, 0.0);
        for ((device, mount_point), bytes) in &self.filesystems {
            let [Some(size), Some(free), Some(available)] = *bytes else {
                continue;
            };
            let key = if device.starts_with('/') {
                device
            } else {
                mount_point
            };
            if devices.insert(key) {
                used += size - free;
                room += size - free + available;
            }
        }
        percent(used, room)
    }
}

impl Counters {
    /// Percent of the time in which the processors had work since `last`; none when a
    /// counter went backwards.
    fn busy(&self, last: &Counters) -> Option<f64> {
        let (mut idle, mut all) = (0.0, 0.0);
        for (key, seconds) in &self.cpu {
            // A processor that is new has no interval yet.
            let Some(before) = last.cpu.get(key) else {
                continue;
            };
            let waits = key.1 == "iowait";
            let passed = seconds - before;
            if passed < 0.0 && !waits {
                return None;
            }
            let passed = passed.max(0.0);
            all += passed;
            if waits || key.1 == "idle" {
                idle += passed;
            }
        }
        percent((all - idle).max(0.0), all)
    }

    /// Bytes received and transmitted since `last`. What went backwards has counted from
    /// zero since.
    fn bytes(&self, last: &Counters) -> Option<[f64; 2]> {
        let mut sums = [0.0; 2];
        let mut any = false;
        for (name, bytes) in &self.network {
            let Some(before) = last.network.get(name) else {
                continue;
            };
            for ((sum, now), before) in sums.iter_mut().zip(bytes).zip(before) {
                if let (Some(now), Some(before)) = (now, before) {
                    any = true;
                    *sum += if now < before { *now } else { now - before };
                }
            }
        }
        any.then_some(sums)
    }
}

#[cfg(test)]
mod tests;
