//! The contents of `/proc/meminfo`.

/// In bytes; a line that the file lacks is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) total: Option<u64>,
    pub(crate) free: Option<u64>,
    pub(crate) available: Option<u64>,
    pub(crate) buffers: Option<u64>,
    pub(crate) cached: Option<u64>,
    pub(crate) slab_reclaimable: Option<u64>,
    pub(crate) slab_unreclaimable: Option<u64>,
}

impl Memory {
    /// `None` if the file has none of these lines.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut memory = Self::default();
        for line in text.lines() {
            let Some((key, rest)) = line.split_once(':') else {
                continue;
            };
            let field = match key {
                "MemTotal" => &mut memory.total,
                "MemFree" => &mut memory.free,
                "MemAvailable" => &mut memory.available,
                "Buffers" => &mut memory.buffers,
                "Cached" => &mut memory.cached,
                "SReclaimable" => &mut memory.slab_reclaimable,
                "SUnreclaim" => &mut memory.slab_unreclaimable,
                _ => continue,
            };
            *field = bytes(rest);
        }
        (memory != Self::default()).then_some(memory)
    }

    /// Memory that isn't available to new applications. Kernels before 3.14 don't report what is;
    /// there it is the memory that is neither free nor cache.
    pub(crate) fn used(&self) -> Option<u64> {
        let total = self.total?;
        if let Some(available) = self.available {
            return total.checked_sub(available);
        }
        [
            self.free?,
            self.buffers?,
            self.cached?,
            self.slab_reclaimable.unwrap_or(0),
        ]
        .into_iter()
        .try_fold(total, u64::checked_sub)
    }
}

/// Parses ` 123 kB`, or a plain number of bytes.
fn bytes(text: &str) -> Option<u64> {
    let mut fields = text.split_ascii_whitespace();
    let number: u64 = fields.next()?.parse().ok()?;
    match fields.next() {
        None => Some(number),
        Some("kB") => number.checked_mul(1024),
        Some(_) => None,
    }
}
