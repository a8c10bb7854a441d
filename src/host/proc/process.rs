//! One process, from the files under `/proc/PID`.

use std::collections::BTreeMap;

use super::numbers;

/// The contents of `/proc/PID/stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ProcessStat {
    /// The name, of which the kernel keeps 15 bytes.
    pub(crate) name: String,
    /// The state's letter, such as `S` for one that sleeps.
    pub(crate) state: char,
    pub(crate) parent: u32,
    /// Minor and major page faults.
    pub(crate) faults: [u64; 2],
    /// Ticks in user and in system mode.
    pub(crate) ticks: [u64; 2],
    pub(crate) threads: u64,
    /// When it started, in ticks after the start of the host.
    pub(crate) started: u64,
    /// Address space in bytes.
    pub(crate) virtual_bytes: u64,
    /// Memory in use, in pages.
    pub(crate) resident_pages: u64,
    /// Ticks that it waited for disks; 0 if the kernel doesn't count them.
    pub(crate) disk_ticks: u64,
}

impl ProcessStat {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The name stands in parentheses and may hold blanks and parentheses.
        let (begin, fields) = text.rsplit_once(')')?;
        let (_, name) = begin.split_once('(')?;
        let mut fields = fields.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let mut fields = fields.skip(5);
        let [minor, _, major, _, user, system] = numbers(&mut fields)?;
        let mut fields = fields.skip(4);
        let [threads] = numbers(&mut fields)?;
        let mut fields = fields.skip(1);
        let [started, virtual_bytes, resident_pages] = numbers(&mut fields)?;
        let disk_ticks = fields.nth(17).and_then(|field| field.parse().ok());
        Some(Self {
            name: name.to_owned(),
            state,
            parent,
            faults: [minor, major],
            ticks: [user, system],
            threads,
            started,
            virtual_bytes,
            resident_pages,
            disk_ticks: disk_ticks.unwrap_or(0),
        })
    }
}

/// What is used of `/proc/PID/status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ProcessStatus {
    /// The real user's number.
    pub(crate) user: Option<u32>,
    /// Context switches that it asked for, and that it didn't.
    pub(crate) switches: Option<[u64; 2]>,
    /// The set of signals that wait for the whole process, a bit each.
    pub(crate) pending_signals: Option<u64>,
}

impl ProcessStatus {
    pub(crate) fn parse(text: &str) -> Self {
        let mut status = Self::default();
        let (mut asked, mut forced) = (None, None);
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key {
                "Uid" => {
                    let real = value.split_ascii_whitespace().next();
                    status.user = real.and_then(|real| real.parse().ok());
                }
                "ShdPnd" => status.pending_signals = u64::from_str_radix(value, 16).ok(),
                "voluntary_ctxt_switches" => asked = value.parse().ok(),
                "nonvoluntary_ctxt_switches" => forced = value.parse().ok(),
                _ => {}
            }
        }
        status.switches = asked.zip(forced).map(|(asked, forced)| [asked, forced]);
        status
    }
}

/// What is used of `/proc/PID/io`: of reads, then of writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProcessIo {
    /// Bytes that passed system calls, cached or not.
    pub(crate) bytes: [u64; 2],
    /// System calls.
    pub(crate) calls: [u64; 2],
}

impl ProcessIo {
    /// `None` if one of the lines is missing.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| -> Option<u64> {
            let mut lines = text.lines().filter_map(|line| line.split_once(": "));
            let (_, value) = lines.find(|(key, _)| *key == name)?;
            value.trim().parse().ok()
        };
        Some(Self {
            bytes: [value("rchar")?, value("wchar")?],
            calls: [value("syscr")?, value("syscw")?],
        })
    }
}

/// Parses `/proc/PID/statm`: pages of address space, and of memory in use.
pub(crate) fn memory_pages(text: &str) -> Option<[u64; 2]> {
    numbers(&mut text.split_ascii_whitespace())
}

/// Parses `/etc/passwd`: the names of users by their numbers. Of two names for a number the first
/// counts.
pub(crate) fn users(text: &str) -> BTreeMap<u32, String> {
    let mut users = BTreeMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(number)) = (fields.next(), fields.nth(1))
            && let Ok(number) = number.parse()
            && !name.is_empty()
        {
            users.entry(number).or_insert_with(|| name.to_owned());
        }
    }
    users
}
