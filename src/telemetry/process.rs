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

/// The resident memory of this process in bytes, where /proc tells it.
fn resident_bytes() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_ascii_whitespace().nth(1)?.parse().ok()?;
    pages.checked_mul(rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use crate::telemetry::{Settings, Telemetry};

    #[test]
    fn process_figures_are_those_of_this_process() {
        let telemetry = Telemetry::new(&Settings::default()).unwrap();
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
