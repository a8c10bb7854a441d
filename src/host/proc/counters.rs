//! The counters of processors, disks and network interfaces.

use super::numbers;

/// The modes of a processor in the order of `/proc/stat`: the name in the semantic
/// conventions, and the older name.
pub(crate) const CPU_MODES: [(&str, &str); 8] = [
    ("user", "user"),
    ("nice", "nice"),
    ("system", "system"),
    ("idle", "idle"),
    ("iowait", "wait"),
    ("interrupt", "interrupt"),
    ("softirq", "softirq"),
    ("steal", "steal"),
];
const IDLE: usize = 3;
const IOWAIT: usize = 4;

/// Ticks that a processor spent in each of [`CPU_MODES`]. `user` and `nice` already include the
/// time of guests.
pub(crate) type Ticks = [u64; CPU_MODES.len()];

/// The contents of `/proc/stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Cpus {
    /// All processors together.
    pub(crate) total: Option<Ticks>,
    /// By processor number.
    pub(crate) each: Vec<(u32, Ticks)>,
    /// Ticks in guests, those of a lower priority second, by processor number.
    pub(crate) guests: Vec<(u32, [u64; 2])>,
    /// When the host started, in seconds since the Unix epoch.
    pub(crate) boot: Option<u64>,
    pub(crate) interrupts: Option<u64>,
    pub(crate) context_switches: Option<u64>,
    /// Processes and threads that were begun.
    pub(crate) forks: Option<u64>,
    /// Threads that run or could run.
    pub(crate) running: Option<u64>,
    /// Threads that wait for a disk.
    pub(crate) blocked: Option<u64>,
}

impl Cpus {
    /// `None` if the text has no line for a processor.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut cpus = Self::default();
        for line in text.lines() {
            let mut fields = line.split_ascii_whitespace();
            let Some(name) = fields.next() else { continue };
            let single = match name {
                "cpu" => {
                    cpus.total = numbers(&mut fields);
                    continue;
                }
                "btime" => &mut cpus.boot,
                "intr" => &mut cpus.interrupts,
                "ctxt" => &mut cpus.context_switches,
                "processes" => &mut cpus.forks,
                "procs_running" => &mut cpus.running,
                "procs_blocked" => &mut cpus.blocked,
                _ => {
                    if let Some(number) = name.strip_prefix("cpu")
                        && let Ok(number) = number.parse()
                        && let Some(ticks) = numbers(&mut fields)
                    {
                        cpus.each.push((number, ticks));
                        let guests = numbers(&mut fields);
                        cpus.guests.extend(guests.map(|guests| (number, guests)));
                    }
                    continue;
                }
            };
            *single = fields.next().and_then(|field| field.parse().ok());
        }
        (cpus.total.is_some() || !cpus.each.is_empty()).then_some(cpus)
    }
}

/// The ticks that passed in each mode; `None` if a counter fell or no tick passed.
pub(crate) fn passed(before: &Ticks, after: &Ticks) -> Option<Ticks> {
    let mut passed = Ticks::default();
    for (mode, passed) in passed.iter_mut().enumerate() {
        *passed = match after[mode].checked_sub(before[mode]) {
            Some(ticks) => ticks,
            // The kernel documents that iowait may fall.
            None if mode == IOWAIT => 0,
            None => return None,
        };
    }
    (total(&passed) > 0).then_some(passed)
}

/// The share of the ticks that wasn't idle, from 0 to 1.
pub(crate) fn busy(passed: &Ticks) -> f64 {
    let idle = passed[IDLE].saturating_add(passed[IOWAIT]);
    let total = total(passed);
    total.saturating_sub(idle) as f64 / total as f64
}

/// Ticks in all modes.
pub(crate) fn total(ticks: &Ticks) -> u64 {
    ticks.iter().fold(0, |sum, mode| sum.saturating_add(*mode))
}

/// One line of `/proc/diskstats`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Disk {
    pub(crate) name: String,
    /// Operations, merged operations, sectors of 512 bytes, milliseconds: read, then
    /// written.
    pub(crate) directions: [[u64; 4]; 2],
    /// Operations that are under way.
    pub(crate) in_progress: u64,
    /// Milliseconds in which the disk was busy.
    pub(crate) busy_ms: u64,
    /// Milliseconds of all operations, those under way included.
    pub(crate) weighted_ms: Option<u64>,
    /// As a direction, of discards; kernels before 4.18 don't count them.
    pub(crate) discards: Option<[u64; 4]>,
    /// Flushes and their milliseconds; kernels before 5.5 don't count them.
    pub(crate) flushes: Option<[u64; 2]>,
}

impl Disk {
    /// Whether it has never done anything, as loop devices that aren't set up.
    pub(crate) fn is_unused(&self) -> bool {
        let directions = self.directions.as_flattened();
        let rest = [
            self.in_progress,
            self.busy_ms,
            self.weighted_ms.unwrap_or(0),
        ];
        directions.iter().chain(&rest).all(|count| *count == 0)
    }
}

/// Parses `/proc/diskstats`; lines that can't be parsed are left out.
pub(crate) fn disks(text: &str) -> Vec<Disk> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace().skip(2);
            let name = fields.next()?.to_owned();
            let directions = [numbers(&mut fields)?, numbers(&mut fields)?];
            let [in_progress, busy_ms] = numbers(&mut fields)?;
            Some(Disk {
                name,
                directions,
                in_progress,
                busy_ms,
                weighted_ms: numbers(&mut fields).map(|[weighted]| weighted),
                discards: numbers(&mut fields),
                flushes: numbers(&mut fields),
            })
        })
        .collect()
}

/// One line of `/proc/net/dev`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Interface {
    pub(crate) name: String,
    /// Bytes, packets, errors, dropped packets: received, then transmitted.
    pub(crate) directions: [[u64; 4]; 2],
    /// Received: errors of the FIFO and of frames, compressed packets, multicasts. Transmitted:
    /// errors of the FIFO, collisions, losses of the carrier, compressed packets.
    pub(crate) further: [[u64; 4]; 2],
}

/// Parses `/proc/net/dev`; the headings and lines that can't be parsed are left out.
pub(crate) fn interfaces(text: &str) -> Vec<Interface> {
    text.lines()
        .filter_map(|line| {
            // The last colon ends the name: the name of an alias contains one.
            let (name, counters) = line.rsplit_once(':')?;
            let mut fields = counters.split_ascii_whitespace();
            let received = numbers(&mut fields)?;
            let receiving = numbers(&mut fields)?;
            let transmitted = numbers(&mut fields)?;
            Some(Interface {
                name: name.trim().to_owned(),
                directions: [received, transmitted],
                further: [receiving, numbers(&mut fields)?],
            })
        })
        .collect()
}
