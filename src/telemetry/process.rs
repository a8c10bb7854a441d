//! Figures of the agent's own process, named as the Collector names its own.
//!
//! - `otelcol_process_uptime`: seconds since the start
//! - `otelcol_process_cpu_seconds`: user and system time
//! - `otelcol_process_memory_rss`: resident bytes; absent where /proc is

use opentelemetry::metrics::Meter;
use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

/// Registers the observers, which read the system whenever the metrics are gathered.
pub(super) fn observe(meter: &Meter) {
    let started = Instant::now();
    meter
        .f64_observable_counter("otelcol_process_uptime")
        .with_description("Uptime of the process")
        .with_unit("s")
        .with_callback(move |observer| observer.observe(started.elapsed().as_secs_f64(), &[]))
        .build();
    meter
        .f64_observable_counter("otelcol_process_cpu_seconds")
        .with_description("Total CPU user and system time in seconds")
        .with_unit("s")
        .with_callback(|observer| observer.observe(cpu_seconds(), &[]))
        .build();
    meter
        .u64_observable_gauge("otelcol_process_memory_rss")
        .with_description("Total physical memory (resident set size)")
        .with_unit("By")
        .with_callback(|observer| {
            if let Some(bytes) = resident_bytes() {
                observer.observe(bytes, &[]);
            }
        })
        .build();
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Memory that the process uses, in bytes: what is resident or, where that is more than
/// `most`, what is resident less what the allocator keeps of what was freed. None where
/// nobody says.
///
/// A burst leaves pages to the allocator which serve the next requests. Counting them would
/// refuse those requests for ever. To ask the allocator takes its locks and some time for
/// each list of free memory, so it is asked only when the answer matters.
pub fn memory_in_use(most: u64) -> Option<u64> {
    let resident = resident_bytes()?;
    if resident <= most {
        return Some(resident);
    }
    Some(resident.saturating_sub(kept_bytes()))
}

/// What the C library keeps of freed memory, as `malloc_info(3)` tells it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn kept_bytes() -> u64 {
    use malloc_info::info::TotalType;
    let Ok(info) = malloc_info::malloc_info() else {
        return 0;
    };
    let totals = info.total.iter();
    let kept = totals.filter(|total| matches!(total.r#type, TotalType::Fast | TotalType::Rest));
    kept.map(|total| total.size as u64).sum()
}

/// Other C libraries give freed memory back sooner, and don't say what they keep.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn kept_bytes() -> u64 {
    0
}

/// The resident memory of this process in bytes, where /proc tells it.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::{Telemetry, TelemetrySettings};

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn memory_that_was_freed_is_not_in_use() {
        let things: Vec<Box<[u8; 1024]>> = (0..65_536).map(|_| Box::new([1; 1024])).collect();
        let full = memory_in_use(0).unwrap();
        // One of a thousand lives on, so that the pages around it can't be given back.
        let kept: Vec<_> = things.into_iter().step_by(1_000).collect();
        let freed = memory_in_use(0).unwrap();
        let resident = memory_in_use(u64::MAX).unwrap();
        assert!(freed + (48 << 20) < full, "{freed} of {full}");
        assert!(freed < resident, "{freed} of {resident}");
        assert_eq!(kept.len(), 66);
    }

    #[test]
    fn process_figures_are_those_of_this_process() {
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        let families = telemetry.registry().gather();
        let value = |name: &str| {
            let family = families.iter().find(|f| f.name() == name).unwrap();
            let metric = &family.get_metric()[0];
            metric.get_gauge().get_value() + metric.get_counter().get_value()
        };
        assert!(value("otelcol_process_uptime") >= 0.0);
        assert!(value("otelcol_process_cpu_seconds") > 0.0);
        if cfg!(target_os = "linux") {
            let resident = value("otelcol_process_memory_rss");
            assert!((1e6..1e11).contains(&resident), "{resident}");
        }
    }
}
