//! The contents of `/proc/meminfo`.

/// The most lines that are read; the kernel writes some sixty.
const MAX_LINES: usize = 256;

/// Every line of the file that has a number, in its order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Memory {
    pub(crate) lines: Vec<MemoryLine>,
}

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryLine {
    pub(crate) key: Box<str>,
    /// Bytes, or a count.
    pub(crate) value: u64,
    pub(crate) is_bytes: bool,
}

impl Memory {
    /// `None` if the file says nothing about what is free or in use.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const USED: [&str; 7] = [
            "MemTotal",
            "MemFree",
            "MemAvailable",
            "Buffers",
            "Cached",
            "SReclaimable",
            "SUnreclaim",
        ];
        let lines = text.lines().filter_map(|line| {
            let (key, rest) = line.split_once(':')?;
            let (value, is_bytes) = amount(rest)?;
            Some(MemoryLine {
                key: key.into(),
                value,
                is_bytes,
            })
        });
        let memory = Self {
            lines: lines.take(MAX_LINES).collect(),
        };
        let known = |line: &MemoryLine| USED.contains(&&*line.key);
        memory.lines.iter().any(known).then_some(memory)
    }

    /// The value of a line, in bytes or as a count; `None` if the file lacks it.
    pub(crate) fn get(&self, key: &str) -> Option<u64> {
        let line = self.lines.iter().find(|line| *line.key == *key);
        line.map(|line| line.value)
    }

    /// Bytes of the whole memory.
    pub(crate) fn total(&self) -> Option<u64> {
        self.get("MemTotal")
    }

    /// Memory in bytes that isn't available to new applications. Kernels before 3.14 don't report
    /// what is; there it is the memory that is neither free nor cache.
    pub(crate) fn used(&self) -> Option<u64> {
        let total = self.total()?;
        if let Some(available) = self.get("MemAvailable") {
            return total.checked_sub(available);
        }
        [
            self.get("MemFree")?,
            self.get("Buffers")?,
            self.get("Cached")?,
            self.get("SReclaimable").unwrap_or(0),
        ]
        .into_iter()
        .try_fold(total, u64::checked_sub)
    }
}

/// Parses ` 123 kB` or ` 123`: the bytes or the number, and whether it is bytes.
fn amount(text: &str) -> Option<(u64, bool)> {
    let mut fields = text.split_ascii_whitespace();
    let number: u64 = fields.next()?.parse().ok()?;
    match fields.next() {
        None => Some((number, false)),
        Some("kB") => Some((number.checked_mul(1024)?, true)),
        Some(_) => None,
    }
}
