//! The contents of `/proc/cpuinfo`.

use std::collections::BTreeMap;

/// What the file says about the processors.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct CpuInfo {
    /// Logical processors.
    pub(crate) logical: u64,
    /// MHz by processor number, where the file has them.
    pub(crate) frequencies: Vec<(u32, f64)>,
    /// Cores of all packages together; 0 if the file doesn't say.
    pub(crate) cores: u64,
}

impl CpuInfo {
    /// Takes what it can from the text: the file differs from architecture to architecture.
    pub(crate) fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let mut packages = BTreeMap::new();
        let (mut processor, mut package) = (None, None);
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match key.trim() {
                "processor" => {
                    processor = value.parse::<u32>().ok();
                    package = None;
                    info.logical += u64::from(processor.is_some());
                }
                "cpu MHz" => {
                    let frequency = value.parse().ok().filter(|mhz: &f64| mhz.is_finite());
                    info.frequencies.extend(processor.zip(frequency));
                }
                "physical id" => package = value.parse::<u32>().ok(),
                "cpu cores" => packages.extend(package.zip(value.parse::<u32>().ok())),
                _ => {}
            }
        }
        info.cores = packages.values().map(|cores| u64::from(*cores)).sum();
        info
    }
}
