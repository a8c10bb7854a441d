//! Swap space and paging, from `/proc/swaps` and `/proc/vmstat`.

/// The most swap areas that are read; the kernel allows 32.
const MAX_AREAS: usize = 64;

/// A file or partition that memory is swapped to, one line of `/proc/swaps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SwapArea {
    pub(crate) name: String,
    /// In bytes.
    pub(crate) total: u64,
    /// In bytes.
    pub(crate) used: u64,
}

/// Parses `/proc/swaps`; `None` if its heading is another one or a line can't be parsed.
pub(crate) fn swaps(text: &str) -> Option<Vec<SwapArea>> {
    let mut lines = text.lines();
    let heading: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    if heading.first() != Some(&"Filename") || heading.get(2..4) != Some(&["Size", "Used"]) {
        return None;
    }
    let area = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let name = fields.next()?.to_owned();
        let [total, used] = super::numbers(&mut fields.skip(1))?;
        Some(SwapArea {
            name,
            total: u64::checked_mul(total, 1024)?,
            used: u64::checked_mul(used, 1024)?.min(total * 1024),
        })
    };
    lines.take(MAX_AREAS).map(area).collect()
}

/// What `/proc/vmstat` counts of paging since the host started. A line that the file lacks is
/// `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PagingCounters {
    /// Pages that were read from swap.
    pub(crate) swapped_in: Option<u64>,
    /// Pages that were written to swap.
    pub(crate) swapped_out: Option<u64>,
    /// KiB that were read from disks.
    pub(crate) paged_in: Option<u64>,
    /// KiB that were written to disks.
    pub(crate) paged_out: Option<u64>,
    pub(crate) faults: Option<u64>,
    /// The faults that needed a disk.
    pub(crate) major_faults: Option<u64>,
}

impl PagingCounters {
    /// `None` if the text has none of the lines.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut counters = Self::default();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(' ') else {
                continue;
            };
            let counter = match name {
                "pswpin" => &mut counters.swapped_in,
                "pswpout" => &mut counters.swapped_out,
                "pgpgin" => &mut counters.paged_in,
                "pgpgout" => &mut counters.paged_out,
                "pgfault" => &mut counters.faults,
                "pgmajfault" => &mut counters.major_faults,
                _ => continue,
            };
            *counter = value.trim().parse().ok();
        }
        (counters != Self::default()).then_some(counters)
    }
}
