//! Measures in CPU time of the thread, because the machine may have other things to do, and
//! prints what a run found as a table.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Duration;

use criterion::Criterion;
use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds per item, a sample each, by what was measured.
type Samples = Vec<(&'static str, Vec<f64>)>;

/// By group, in the order in which they were measured. The first of a group is its baseline.
static SAMPLES: Mutex<BTreeMap<&str, Samples>> = Mutex::new(BTreeMap::new());

/// Measures work on so many items.
pub(crate) fn measure<R>(
    c: &mut Criterion,
    group: &'static str,
    name: &'static str,
    items: usize,
    mut work: impl FnMut() -> R,
) {
    c.benchmark_group(group).bench_function(name, |bencher| {
        bencher.iter_custom(|rounds| {
            let start = cpu_time();
            for _ in 0..rounds {
                black_box(work());
            }
            let each = (cpu_time() - start) / items as u32;
            note(group, name, each.as_nanos() as f64 / rounds as f64);
            each
        });
    });
}

/// Prints medians and minima, and the ratio of the minima to the first of their group.
#[expect(clippy::print_stdout, reason = "it is what a bench is for")]
pub(crate) fn table(_: &mut Criterion) {
    let Ok(mut samples) = SAMPLES.lock() else {
        return;
    };
    println!("\n| work | how | median, ns | minimum, ns | ratio |\n|---|---|---|---|---|");
    for (group, entries) in samples.iter_mut() {
        let mut baseline = None;
        for (name, samples) in entries {
            samples.sort_by(f64::total_cmp);
            let median = samples[samples.len() / 2];
            let minimum = samples[0];
            let ratio = minimum / *baseline.get_or_insert(minimum);
            println!("| {group} | {name} | {median:.1} | {minimum:.1} | {ratio:.3} |");
        }
    }
}

fn cpu_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

fn note(group: &'static str, name: &'static str, nanoseconds: f64) {
    let Ok(mut samples) = SAMPLES.lock() else {
        return;
    };
    let group = samples.entry(group).or_default();
    match group.iter_mut().find(|(known, _)| *known == name) {
        Some((_, samples)) => samples.push(nanoseconds),
        None => group.push((name, vec![nanoseconds])),
    }
}
