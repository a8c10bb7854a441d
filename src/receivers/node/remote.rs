//! Another node: the summary gauges, computed from the metrics of its node_exporter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use tokio::time::Instant;

use super::config::NameFilter;
use super::summary::{NodeSummary, percent};
use super::usage::Usage;
use crate::component::Now;
use crate::exposition::read::{
    PageEntry, PageError, PageFormat, PageLimits, PageReader, PageSeries,
};
use crate::host::Boot;
use crate::host::proc::Mount;
use crate::pdata::writer::MetricsWriter;
use crate::receivers::scrape::http::{Asked, Document, FetchedPage};
use crate::receivers::scrape::{FailureReason, NextPoll, Poll, Scrape, Scraper};
use crate::resilience::{Endpoint, FetchError};

/// Polls one node_exporter.
pub(super) struct Remote {
    node_id: String,
    page: Document<Arc<RemotePage>>,
    /// Whether the last poll succeeded; read by [`super::Local`] to count the nodes.
    answered: Arc<AtomicBool>,
    /// The last page and when it arrived; differences are made from it.
    previous: Option<(Instant, Arc<RemotePage>)>,
    /// The gauges that have points and haven't been ended.
    shown: NodeSummary,
}

impl Remote {
    /// Sets `answered` after each poll.
    pub(super) fn new(
        node_id: String,
        page: Document<Arc<RemotePage>>,
        answered: Arc<AtomicBool>,
    ) -> Self {
        Self {
            node_id,
            page,
            answered,
            previous: None,
            shown: NodeSummary::default(),
        }
    }

    /// Ends the gauges that had points and aren't in `shown`.
    fn show(&mut self, shown: NodeSummary, now: Now, out: &mut MetricsWriter) {
        let ended = std::mem::replace(&mut self.shown, shown).minus(&shown);
        if ended != NodeSummary::default() {
            out.ending(true);
            ended.write(&self.node_id, now.wall, out);
            out.ending(false);
        }
    }
}

impl Scraper for Remote {
    fn scrape<'a>(&'a mut self, poll: Poll, out: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        Box::pin(async move {
            let begun = Instant::now();
            let asked = self.page.ask(&poll).await;
            let is_due = !matches!(asked, Asked::NotDue);
            self.answered.store(self.page.answers(), Ordering::Relaxed);
            if let Asked::New(page) = asked {
                // Retries may have delayed the answer by most of the interval.
                let at = poll.now.monotonic + begun.elapsed();
                let summary = page.summary(self.previous.as_ref(), at);
                summary.write(&self.node_id, poll.now.wall, out);
                self.show(summary, poll.now, out);
                self.previous = Some((at, page));
            }
            if self.page.ends(Instant::now()) {
                self.show(NodeSummary::default(), poll.now, out);
            }
            let failure = self.page.failure().cloned();
            if is_due {
                Scrape::whole(failure.map_or(Ok(()), Err))
            } else {
                let earlier = failure.into_iter().collect();
                Scrape::whole(Ok(())).beside(earlier).idle()
            }
        })
    }

    fn end(&mut self, now: Now, out: &mut MetricsWriter) {
        self.shown.write(&self.node_id, now.wall, out);
    }

    fn wish(&self) -> Option<NextPoll> {
        self.page.wish()
    }

    fn guards(&self) -> Vec<Arc<Endpoint>> {
        self.page.endpoint().cloned().into_iter().collect()
    }
}

/// Reads the page of a node_exporter.
pub(super) fn read(
    page: &FetchedPage,
    filesystems: &NameFilter,
    networks: &NameFilter,
) -> Result<Arc<RemotePage>, FetchError> {
    match RemotePage::read(&page.body, filesystems, networks) {
        Ok(page) => Ok(Arc::new(page)),
        Err(error) => {
            let reason = match error.is_limit {
                true => FailureReason::Limit,
                false => FailureReason::Parse,
            };
            Err(reason.error(error.to_string()))
        }
    }
}

/// The counters that rates are made from.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Counters {
    /// Seconds, by processor and mode.
    cpu: BTreeMap<(String, String), f64>,
    /// Bytes received and transmitted, by interface.
    network: BTreeMap<String, [Option<f64>; 2]>,
}

/// The values of one page.
#[derive(Debug, Default)]
pub(super) struct RemotePage {
    counters: Counters,
    memory_total: Option<f64>,
    memory_available: Option<f64>,
    /// Size, free and available bytes.
    filesystems: BTreeMap<Mount, [Option<f64>; 3]>,
    time: Option<f64>,
    boot_time: Option<f64>,
}

impl RemotePage {
    fn read(
        text: &[u8],
        filesystems: &NameFilter,
        networks: &NameFilter,
    ) -> Result<Self, PageError> {
        let mut page = Self::default();
        let mut reader = PageReader::new(text, PageFormat::Text, PageLimits::default());
        while let Some(entry) = reader.next(b"")? {
            let PageEntry::Series(series) = entry else {
                continue;
            };
            // All values that are used are counts or sizes, so neither negative nor infinite.
            let number = series.number().filter(|number| number.is_finite());
            let Some(value) = number.filter(|number| *number >= 0.0) else {
                continue;
            };
            match series.full_name().as_ref() {
                "node_cpu_seconds_total" => {
                    let key = (
                        series.label("cpu").into_owned(),
                        series.label("mode").into_owned(),
                    );
                    page.counters.cpu.insert(key, value);
                }
                "node_memory_MemTotal_bytes" => page.memory_total = Some(value),
                "node_memory_MemAvailable_bytes" => page.memory_available = Some(value),
                "node_time_seconds" => page.time = Some(value),
                "node_boot_time_seconds" => page.boot_time = Some(value),
                "node_filesystem_size_bytes" => page.filesystem(&series, value, filesystems, 0),
                "node_filesystem_free_bytes" => page.filesystem(&series, value, filesystems, 1),
                "node_filesystem_avail_bytes" => page.filesystem(&series, value, filesystems, 2),
                "node_network_receive_bytes_total" => page.interface(&series, value, networks, 0),
                "node_network_transmit_bytes_total" => page.interface(&series, value, networks, 1),
                _ => {}
            }
        }
        Ok(page)
    }

    fn filesystem(
        &mut self,
        series: &PageSeries<'_, '_>,
        value: f64,
        filter: &NameFilter,
        place: usize,
    ) {
        let mount = Mount {
            device: series.label("device").into_owned(),
            mount_point: series.label("mountpoint").into_owned(),
            path: Vec::new(),
            kind: series.label("fstype").into_owned(),
            read_only: false,
        };
        let by_default = !mount.is_virtual() && !mount.may_hang();
        if filter.admits(&mount.mount_point, by_default) {
            self.filesystems.entry(mount).or_default()[place] = Some(value);
        }
    }

    fn interface(
        &mut self,
        series: &PageSeries<'_, '_>,
        value: f64,
        filter: &NameFilter,
        place: usize,
    ) {
        let device = series.label("device");
        if filter.admits(&device, device != "lo") {
            let bytes = self
                .counters
                .network
                .entry(device.into_owned())
                .or_default();
            bytes[place] = Some(value);
        }
    }

    fn summary(&self, previous: Option<&(Instant, Arc<RemotePage>)>, now: Instant) -> NodeSummary {
        let memory = self
            .memory_total
            .zip(self.memory_available)
            .and_then(|(total, available)| percent(total - available, total));
        // If the node restarted in between, no difference is meaningful.
        let previous = previous
            .filter(|(at, last)| !self.boot().is_after(&last.boot(), now.duration_since(*at)));
        NodeSummary {
            cpu: previous.and_then(|(_, last)| self.counters.busy(&last.counters)),
            memory,
            disk: self.disk(),
            network: previous.and_then(|(at, last)| {
                let seconds = now.duration_since(*at).as_secs_f64();
                let bytes = self.counters.bytes(&last.counters)?;
                (seconds > 0.0).then(|| bytes.map(|bytes| bytes / seconds))
            }),
            uptime: self.boot().uptime,
            nodes: None,
        }
    }

    fn boot(&self) -> Boot {
        let uptime = self
            .time
            .zip(self.boot_time)
            .map(|(time, boot)| time - boot);
        Boot {
            time: self.boot_time,
            uptime: uptime.filter(|uptime| *uptime >= 0.0),
        }
    }

    /// Percent of the filesystems' space that is in use.
    fn disk(&self) -> Option<f64> {
        let mut usage = Usage::default();
        for (mount, bytes) in &self.filesystems {
            if let [Some(size), Some(free), Some(available)] = *bytes {
                usage.add(mount, size - free, available);
            }
        }
        usage.percent()
    }
}

impl Counters {
    /// Percent of the time since `last` in which the processors weren't idle; `None` if a counter
    /// fell.
    fn busy(&self, last: &Counters) -> Option<f64> {
        let (mut idle, mut all) = (0.0, 0.0);
        for (key, seconds) in &self.cpu {
            // A processor that appeared since then has no difference yet.
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

    /// Bytes received and transmitted since `last`; `None` if a counter fell.
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
                    if now < before {
                        return None;
                    }
                    *sum += now - before;
                }
            }
        }
        any.then_some(sums)
    }
}

#[cfg(test)]
mod tests;
