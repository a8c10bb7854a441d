//! The first processor of `/proc/cpuinfo`.

/// What it says; each may be absent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CpuDescription {
    pub(super) vendor: Option<String>,
    pub(super) family: Option<String>,
    pub(super) model: Option<String>,
    pub(super) name: Option<String>,
    pub(super) stepping: Option<String>,
    /// In KiB.
    pub(super) cache: Option<i64>,
}

impl CpuDescription {
    /// Reads the first processor: of the file's paragraphs the first that describes one.
    pub(super) fn first(text: &str) -> Self {
        let mut cpu = Self::default();
        let mut processors = 0;
        for line in text.lines() {
            let Some((key, value)) = line.split_once(':') else {
                continue;
            };
            let (key, value) = (key.trim(), value.trim());
            let said = Some(value.to_owned()).filter(|value| !value.is_empty());
            match key {
                "processor" => {
                    processors += 1;
                    if processors > 1 {
                        break;
                    }
                }
                "vendor_id" => cpu.vendor = said,
                "CPU implementer" => cpu.vendor = arm_vendor(value).map(str::to_owned),
                "cpu family" => cpu.family = said,
                "model" | "CPU part" => cpu.model = said,
                "model name" => cpu.name = said,
                "stepping" | "CPU revision" => cpu.stepping = said,
                "cache size" => {
                    cpu.cache = value.strip_suffix(" KB").and_then(|size| size.parse().ok());
                }
                _ => {}
            }
        }
        cpu
    }
}

/// Who made a processor of the ARM architecture.
fn arm_vendor(number: &str) -> Option<&'static str> {
    let number = number.strip_prefix("0x")?;
    Some(match u8::from_str_radix(number, 16).ok()? {
        0x41 => "ARM",
        0x42 => "Broadcom",
        0x43 => "Cavium",
        0x44 => "DEC",
        0x46 => "Fujitsu",
        0x48 => "HiSilicon",
        0x49 => "Infineon",
        0x4d => "Motorola/Freescale",
        0x4e => "NVIDIA",
        0x50 => "APM",
        0x51 => "Qualcomm",
        0x56 => "Marvell",
        0x61 => "Apple",
        0x69 => "Intel",
        0xc0 => "Ampere",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_processor_is_described() {
        let f = |text: &str, expected: [Option<&str>; 5], cache: Option<i64>| {
            let cpu = CpuDescription::first(text);
            let found = [cpu.vendor, cpu.family, cpu.model, cpu.name, cpu.stepping];
            assert_eq!(found.each_ref().map(Option::as_deref), expected, "{text}");
            assert_eq!(cpu.cache, cache, "{text}");
        };
        f(
            "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 85\n\
             model name\t: Intel(R) Xeon(R)\nstepping\t: 7\ncache size\t: 36608 KB\n\n\
             processor\t: 1\nmodel\t\t: 86\n",
            [
                Some("GenuineIntel"),
                Some("6"),
                Some("85"),
                Some("Intel(R) Xeon(R)"),
                Some("7"),
            ],
            Some(36_608),
        );
        f(
            "processor\t: 0\nBogoMIPS\t: 108.00\nCPU implementer\t: 0x41\nCPU architecture: 8\n\
             CPU variant\t: 0x0\nCPU part\t: 0xd08\nCPU revision\t: 3\n\nModel\t: Raspberry Pi 4\n",
            [Some("ARM"), None, Some("0xd08"), None, Some("3")],
            None,
        );
        f("", [None; 5], None);
    }
}
