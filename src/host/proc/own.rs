//! The agent's own process, from `/proc/self`.

use super::numbers;

/// Resources that the process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    /// Ticks in user and in system mode.
    pub(crate) ticks: [u64; 2],
    pub(crate) threads: u64,
    /// When it started, in ticks after the start of the host.
    pub(crate) started: u64,
    /// Address space in bytes.
    pub(crate) virtual_bytes: u64,
    /// Memory in use, in pages.
    pub(crate) resident_pages: u64,
}

impl Process {
    /// Parses `/proc/self/stat`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        // The name stands in parentheses and may hold blanks and parentheses.
        let (_, fields) = text.rsplit_once(')')?;
        let mut fields = fields.split_ascii_whitespace().skip(11);
        let ticks = numbers(&mut fields)?;
        let mut fields = fields.skip(4);
        let [threads] = numbers(&mut fields)?;
        let mut fields = fields.skip(1);
        let [started, virtual_bytes, resident_pages] = numbers(&mut fields)?;
        Some(Self {
            ticks,
            threads,
            started,
            virtual_bytes,
            resident_pages,
        })
    }
}
