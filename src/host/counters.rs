//! The host's counters as they are shown: each with its start, and held while it steps back.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::epochs::{Boot, Counted, Epochs};
use super::proc::{CPU_MODES, Cpus, Disk, Interface, Ticks, passed, total};
use super::reading::HostReading;

/// Remembers the counters of one host from reading to reading.
#[derive(Debug, Default)]
pub(crate) struct HostCounters {
    /// When the last reading was made, and what it said about the host's start.
    previous: Option<(Instant, SystemTime, Boot)>,
    /// When the host started, taken from the first reading after that: what it reports moves with
    /// its clock.
    booted: Option<SystemTime>,
    /// Whether counters were taken before.
    taken: bool,
    cpus: Epochs<u32, { CPU_MODES.len() }>,
    guests: Epochs<u32, 2>,
    disks: Epochs<String, 10>,
    discards: Epochs<String, 4>,
    flushes: Epochs<String, 2>,
    interfaces: Epochs<String, 16>,
    kernel: Epochs<KernelCounter, 1>,
    /// The ticks of the last reading that had processors.
    ticks: BTreeMap<u32, Ticks>,
    /// The processors whose utilization has series.
    utilized: BTreeSet<u32>,
}

/// The counters of one reading. Owners that are gone come last. A list is empty if its file
/// couldn't be read.
#[derive(Debug)]
pub(crate) struct CountedReading {
    /// When the host started.
    pub(crate) booted: SystemTime,
    /// Whether it restarted after the last reading. Then no difference between the two is
    /// meaningful.
    pub(crate) restarted: bool,
    /// Ticks in each of [`CPU_MODES`], by the processor's number.
    pub(crate) cpus: Vec<CountedOwner<u32, { CPU_MODES.len() }>>,
    /// The parts of the time since the last reading that each processor spent in each of
    /// [`CPU_MODES`]. `None` for one that has no such time, since a counter of its fell or it is
    /// gone, and whose series end; one without series isn't there.
    pub(crate) utilization: Vec<(u32, Option<CpuParts>)>,
    /// Ticks in guests, as in [`super::proc::Cpus::guests`].
    pub(crate) guests: Vec<CountedOwner<u32, 2>>,
    /// The directions of [`Disk`], then its milliseconds busy and weighted.
    pub(crate) disks: Vec<CountedOwner<String, 10>>,
    pub(crate) discards: Vec<CountedOwner<String, 4>>,
    pub(crate) flushes: Vec<CountedOwner<String, 2>>,
    /// The directions of [`Interface`], then its further counters.
    pub(crate) interfaces: Vec<CountedOwner<String, 16>>,
    /// Value and start.
    pub(crate) kernel: BTreeMap<KernelCounter, (u64, SystemTime)>,
}

/// Where a disk's milliseconds of activity stand in [`CountedReading::disks`], and those weighted by
/// the operations under way.
pub(crate) const DISK_BUSY: usize = 8;
pub(crate) const DISK_WEIGHTED: usize = 9;

/// Where a counter stands in [`CountedReading::disks`] and [`CountedReading::interfaces`]: the first
/// direction's four, then the second's.
pub(crate) fn place_of(direction: usize, counter: usize) -> usize {
    4 * direction + counter
}

/// Parts of a time by [`CPU_MODES`], which are 1 together.
pub(crate) type CpuParts = [f64; CPU_MODES.len()];

/// The counters of one processor, disk or interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CountedOwner<K, const N: usize> {
    pub(crate) owner: K,
    /// `None` if it is no longer listed: its series end.
    pub(crate) values: Option<[u64; N]>,
    pub(crate) starts: [SystemTime; N],
}

/// A counter of the whole host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum KernelCounter {
    Interrupts,
    ContextSwitches,
    Forks,
    SwappedIn,
    SwappedOut,
    PagedIn,
    PagedOut,
    MajorFaults,
    MinorFaults,
}

impl HostCounters {
    /// Takes a reading whose counters aren't shown, but may show a restart later.
    pub(crate) fn baseline(&mut self, reading: &HostReading, at: Instant, wall: SystemTime) {
        self.previous = Some((at, wall, last_start(reading)));
        if let Some(cpus) = &reading.cpus {
            self.ticks = cpus.each.iter().copied().collect();
        }
    }

    /// Takes the counters of a reading.
    pub(crate) fn take(
        &mut self,
        reading: &HostReading,
        at: Instant,
        wall: SystemTime,
    ) -> CountedReading {
        let booted = *self.booted.get_or_insert_with(|| boot_time(reading, wall));
        let since = match &self.previous {
            Some((_, before, _)) if self.taken => *before,
            _ => booted,
        };
        let start = last_start(reading);
        let restarted = self
            .previous
            .as_ref()
            .is_some_and(|(before, _, last)| start.is_after(last, at.duration_since(*before)));
        if restarted {
            self.restart(since);
            // Not before the last reading, whatever the host's clock said as it started.
            self.booted = Some(boot_time(reading, wall).max(since));
        }
        self.taken = true;
        self.previous = Some((at, wall, start));
        let (cpus, guests) = match &reading.cpus {
            Some(cpus) => (
                counted(&mut self.cpus, cpus.each.iter().copied(), since),
                counted(&mut self.guests, cpus.guests.iter().copied(), since),
            ),
            None => Default::default(),
        };
        let utilization = match &reading.cpus {
            Some(cpus) => self.utilization(cpus, restarted),
            None => Vec::new(),
        };
        let (disks, discards, flushes) = match &reading.disks {
            Some(disks) => {
                let named = |disk: &Disk| disk.name.clone();
                let discards = disks
                    .iter()
                    .filter_map(|disk| Some((named(disk), disk.discards?)));
                let flushes = disks
                    .iter()
                    .filter_map(|disk| Some((named(disk), disk.flushes?)));
                (
                    counted(&mut self.disks, disks.iter().map(of_disk), since),
                    counted(&mut self.discards, discards, since),
                    counted(&mut self.flushes, flushes, since),
                )
            }
            None => Default::default(),
        };
        let interfaces = reading.interfaces.as_ref().map(|interfaces| {
            let all = interfaces.iter().map(of_interface);
            counted(&mut self.interfaces, all, since)
        });
        let kernel = of_kernel(reading)
            .into_iter()
            .filter_map(|(counter, read)| {
                let Counted { values, starts } = self.kernel.take(counter, [read?], since);
                Some((counter, (values[0], starts[0])))
            });
        CountedReading {
            booted: self.booted.unwrap_or(booted),
            restarted,
            cpus,
            utilization,
            guests,
            disks,
            discards,
            flushes,
            interfaces: interfaces.unwrap_or_default(),
            kernel: kernel.collect(),
        }
    }

    /// Hands every start time to `correct`: the wall clock was set back.
    pub(crate) fn correct_starts(&mut self, correct: impl Fn(&mut SystemTime)) {
        self.booted.iter_mut().for_each(&correct);
        self.previous
            .iter_mut()
            .for_each(|(_, wall, _)| correct(wall));
        self.cpus.correct_starts(&correct);
        self.guests.correct_starts(&correct);
        self.disks.correct_starts(&correct);
        self.discards.correct_starts(&correct);
        self.flushes.correct_starts(&correct);
        self.interfaces.correct_starts(&correct);
        self.kernel.correct_starts(&correct);
    }

    fn utilization(&mut self, cpus: &Cpus, restarted: bool) -> Vec<(u32, Option<CpuParts>)> {
        let now: BTreeMap<u32, Ticks> = cpus.each.iter().copied().collect();
        let mut all = Vec::new();
        for (number, ticks) in &now {
            let last = self.ticks.get(number).filter(|_| !restarted);
            if let Some(passed) = last.and_then(|last| passed(last, ticks)) {
                let total = total(&passed) as f64;
                all.push((*number, Some(passed.map(|ticks| ticks as f64 / total))));
                self.utilized.insert(*number);
            } else if self.utilized.remove(number) {
                all.push((*number, None));
            }
        }
        let gone = self
            .utilized
            .extract_if(.., |number| !now.contains_key(number));
        all.extend(gone.map(|number| (number, None)));
        self.ticks = now;
        all
    }

    fn restart(&mut self, since: SystemTime) {
        self.cpus.restart(since);
        self.guests.restart(since);
        self.disks.restart(since);
        self.discards.restart(since);
        self.flushes.restart(since);
        self.interfaces.restart(since);
        self.kernel.restart(since);
    }
}

/// The owners that were read, and then those that are gone.
fn counted<K: Ord + Clone, const N: usize>(
    epochs: &mut Epochs<K, N>,
    read: impl Iterator<Item = (K, [u64; N])>,
    since: SystemTime,
) -> Vec<CountedOwner<K, N>> {
    let mut all = Vec::new();
    for (owner, read) in read {
        let Counted { values, starts } = epochs.take(owner.clone(), read, since);
        all.push(CountedOwner {
            owner,
            values: Some(values),
            starts,
        });
    }
    let gone = epochs.take_gone().into_iter();
    all.extend(gone.map(|(owner, starts)| CountedOwner {
        owner,
        values: None,
        starts,
    }));
    all
}

fn of_disk(disk: &Disk) -> (String, [u64; 10]) {
    let mut counts = [0; 10];
    let (directions, rest) = counts.split_at_mut(8);
    directions.copy_from_slice(disk.directions.as_flattened());
    rest.copy_from_slice(&[disk.busy_ms, disk.weighted_ms.unwrap_or(0)]);
    (disk.name.clone(), counts)
}

fn of_interface(interface: &Interface) -> (String, [u64; 16]) {
    let mut counts = [0; 16];
    let (directions, rest) = counts.split_at_mut(8);
    directions.copy_from_slice(interface.directions.as_flattened());
    rest.copy_from_slice(interface.further.as_flattened());
    (interface.name.clone(), counts)
}

fn of_kernel(reading: &HostReading) -> [(KernelCounter, Option<u64>); 9] {
    let cpus = reading.cpus.as_ref();
    let paging = reading.paging.unwrap_or_default();
    let minor = paging.faults.zip(paging.major_faults);
    let minor = minor.map(|(all, major)| all.saturating_sub(major));
    [
        (
            KernelCounter::Interrupts,
            cpus.and_then(|cpus| cpus.interrupts),
        ),
        (
            KernelCounter::ContextSwitches,
            cpus.and_then(|cpus| cpus.context_switches),
        ),
        (KernelCounter::Forks, cpus.and_then(|cpus| cpus.forks)),
        (KernelCounter::SwappedIn, paging.swapped_in),
        (KernelCounter::SwappedOut, paging.swapped_out),
        (KernelCounter::PagedIn, paging.paged_in),
        (KernelCounter::PagedOut, paging.paged_out),
        (KernelCounter::MajorFaults, paging.major_faults),
        (KernelCounter::MinorFaults, minor),
    ]
}

fn last_start(reading: &HostReading) -> Boot {
    let stated = reading.cpus.as_ref().and_then(|cpus| cpus.boot);
    Boot {
        time: stated.map(|seconds| seconds as f64),
        uptime: reading.uptime,
    }
}

fn boot_time(reading: &HostReading, wall: SystemTime) -> SystemTime {
    let stated = reading.cpus.as_ref().and_then(|cpus| cpus.boot);
    let before = |seconds| wall.checked_sub(Duration::try_from_secs_f64(seconds).ok()?);
    stated
        .and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
        .filter(|booted| *booted <= wall)
        .or_else(|| before(reading.uptime?))
        .unwrap_or(wall)
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::proc::Cpus;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_host_that_restarted_has_started_when_it_says() {
        let begun = Instant::now();
        let mut counters = HostCounters::default();
        let mut f = |wall: u64, booted: u64, expected: u64| {
            let reading = HostReading {
                cpus: Cpus::parse(&format!("cpu0 1 0 0 0 0 0 0 0 0 0\nbtime {booted}\n")),
                uptime: Some((wall - booted) as f64),
                ..HostReading::default()
            };
            let passed = begun + Duration::from_secs(wall);
            let counted = counters.take(&reading, passed, at(wall));
            assert_eq!(counted.booted, at(expected), "at {wall}");
        };
        f(1000, 400, 400);
        // The clock was set, and the host didn't restart.
        f(1010, 400, 400);
        f(1200, 1100, 1100);
        f(1210, 1100, 1100);
    }

    #[test]
    fn utilization_is_of_the_time_since_the_last_reading_that_had_processors() {
        let begun = Instant::now();
        let mut counters = HostCounters::default();
        let mut wall = 1000;
        // Ticks in user mode and idle, by processor, and the parts of them.
        let mut f = |read: &[(u32, u64, u64)], expected: &[(u32, Option<(f64, f64)>)]| {
            wall += 10;
            let lines = read
                .iter()
                .map(|(number, user, idle)| format!("cpu{number} {user} 0 0 {idle} 0 0 0 0 0 0\n"));
            let reading = HostReading {
                cpus: Cpus::parse(&lines.collect::<String>()),
                ..HostReading::default()
            };
            let at_that_time = begun + Duration::from_secs(wall);
            let counted = counters.take(&reading, at_that_time, at(wall));
            let found: Vec<(u32, Option<(f64, f64)>)> = counted
                .utilization
                .iter()
                .map(|(number, parts)| (*number, parts.map(|parts| (parts[0], parts[3]))))
                .collect();
            assert_eq!(found, expected, "{read:?}");
        };
        f(&[(0, 100, 100), (1, 50, 50)], &[]);
        f(
            &[(0, 125, 175), (1, 60, 50)],
            &[(0, Some((0.25, 0.75))), (1, Some((1.0, 0.0)))],
        );
        // Not read for once, which ends nothing.
        f(&[], &[]);
        f(
            &[(0, 225, 175), (1, 60, 60)],
            &[(0, Some((1.0, 0.0))), (1, Some((0.0, 1.0)))],
        );
        // A counter fell, and a processor is gone.
        f(&[(0, 10, 175)], &[(0, None), (1, None)]);
        f(&[(0, 10, 175)], &[]);
        f(&[(0, 20, 175), (1, 5, 5)], &[(0, Some((1.0, 0.0)))]);
    }
}
