//! Prints the figures of the breaker and draws what common outages look like, from a
//! simulation with a scripted server under a paused clock: an hour takes milliseconds.
//!
//! ```sh
//! cargo run --release --example resilience_simulation              # the table
//! cargo run --release --example resilience_simulation -- docs/images   # and the pictures
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a command that prints, and stops where it can't go on"
)]

#[path = "../tests/support/outage.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod outage;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use foghorn::resilience::{BreakerState, Config, Outcome};
use outage::{
    Record, Script, Shown, Weather, attempts_to_open, openings, simulate, simulate_paths,
};
use tokio::runtime::{Builder, Runtime};

fn main() -> std::io::Result<()> {
    let runtime = Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    figures(&runtime);
    if let Some(directory) = std::env::args_os().nth(1) {
        pictures(&runtime, Path::new(&directory))?;
    }
    Ok(())
}

fn figures(runtime: &Runtime) {
    println!(
        "{:<58} {:>9}",
        "figure (defaults, polled every 15 s)", "measured"
    );
    let row = |name: &str, value: f64, unit: &str| println!("{name:<58} {value:>9.2} {unit}");
    for (rate, seeds) in [(0.01, 4), (0.05, 4), (0.10, 20), (0.20, 20)] {
        let opened: u32 = (0..seeds).map(|seed| openings(rate, 100_000, seed)).sum();
        let name = format!(
            "false opens per 100,000 attempts at {:.0} % errors",
            rate * 100.0
        );
        row(&name, f64::from(opened) / seeds as f64, "");
    }
    let mut brownout: Vec<u32> = (0..10_001)
        .map(|seed| attempts_to_open(0.5, seed))
        .collect();
    brownout.sort_unstable();
    row(
        "median attempts to open at 50 % errors",
        f64::from(brownout[5_000]),
        "",
    );
    row(
        "attempts to open when it dies",
        f64::from(attempts_to_open(1.0, 1)),
        "",
    );

    // From when on, counted from the attempt that opened it, how many hours, and how often.
    let spans = [
        (
            "requests a minute to a dead endpoint once it is given up",
            s(0),
            1,
            200,
        ),
        ("the same in the hour after that", s(3_600), 1, 200),
        ("the same over the day after it is given up", s(0), 24, 20),
    ];
    for (name, from, hours, seeds) in spans {
        let rate = mean((0..seeds).map(|seed| {
            let length = s(hours * 3_600);
            let record = dead(runtime, from + length + s(100), seed);
            // The attempt that opened it ended at that moment.
            let opened = record.first(BreakerState::CoolingDown, s(0)).unwrap();
            let from = opened + from + Duration::from_nanos(1);
            record.attempts_between(from, from + length) as f64 / (hours * 60) as f64
        }));
        row(name, rate, "");
    }
    let rate = mean((0..200).map(|seed| {
        let record = dead(runtime, s(3_600), seed);
        record.attempts_between(s(0), s(3_600)) as f64 / 60.0
    }));
    row(
        "the same in its first hour, with the five that gave it up",
        rate,
        "",
    );

    let kinds = [("refused", Weather::Refused), ("hanging", Weather::Hanging)];
    for (name, weather) in kinds {
        let time = mean((0..600).map(|seed| {
            let phase = Duration::from_millis(seed * 25);
            let record = run(runtime, vec![(s(600), weather)], phase, s(900), seed);
            (record.first(BreakerState::CoolingDown, s(600)).unwrap() - s(600)).as_secs_f64()
        }));
        row(&format!("mean time to open, {name}"), time, "s");
    }
    for (name, weather) in kinds {
        let recovery = |paths: usize, length: Duration, seed| {
            let back = s(600) + length;
            let script = vec![(s(600), weather), (back, Weather::Up)];
            let (config, until) = (Config::default(), back + s(200));
            let records = simulate_paths(paths, &config, script, s(0), until, seed);
            let records = runtime.block_on(records);
            let heard = records.iter().map(|record| record.first_answer(back));
            (heard.max().flatten().unwrap() - back).as_secs_f64()
        };
        for paths in [1, 3] {
            for minutes in [1, 10, 60, 360] {
                // All phases of the poll and, below, all lengths alike.
                let length = |seed| s(minutes * 60) + Duration::from_millis(seed * 75);
                let time = mean((0..200).map(|seed| recovery(paths, length(seed), seed)));
                let of = if paths == 1 { "" } else { " of three paths" };
                row(
                    &format!("mean recovery{of} after {minutes} min, {name}"),
                    time,
                    "s",
                );
            }
        }
        let any = |seed| Duration::from_secs_f64(15.0 * 1_440f64.powf(seed as f64 / 600.0));
        let time = mean((0..600).map(|seed| recovery(1, any(seed), seed)));
        row(
            &format!("mean recovery after 15 s to 6 h, {name}"),
            time,
            "s",
        );
    }
}

fn pictures(runtime: &Runtime, directory: &Path) -> std::io::Result<()> {
    let outage = |weather| vec![(s(120), weather), (s(720), Weather::Up)];
    let flapping = (0..14)
        .map(|half| {
            let weather = if half % 2 == 0 {
                Weather::Refused
            } else {
                Weather::Up
            };
            (s(120 + half * 45), weather)
        })
        .collect();
    let scenes: [(&str, &str, Script); 7] = [
        (
            "refused",
            "refuses connections for ten minutes",
            outage(Weather::Refused),
        ),
        ("hanging", "hangs for ten minutes", outage(Weather::Hanging)),
        (
            "brownout",
            "answers 503 to every other request",
            outage(Weather::Brownout(0.5)),
        ),
        (
            "slow",
            "takes 2 to 5 seconds to answer",
            outage(Weather::Slow),
        ),
        (
            "throttling",
            "answers 429, Retry-After: 120",
            outage(Weather::Throttling(120)),
        ),
        (
            "garbage",
            "answers what doesn't parse",
            outage(Weather::Garbage),
        ),
        (
            "flapping",
            "is down and up by turns of 45 seconds",
            flapping,
        ),
    ];
    std::fs::create_dir_all(directory)?;
    for (name, title, script) in scenes {
        let length = s(20 * 60);
        let record = run(runtime, script.clone(), s(0), length, 2);
        let path = directory.join(format!("resilience-{name}.svg"));
        std::fs::write(&path, draw(title, &script, &record, length))?;
        println!("{}", path.display());
    }
    Ok(())
}

const LEFT: f64 = 110.0;
const WIDTH: f64 = 850.0;
const LANE: f64 = 26.0;
const GAP: f64 = 16.0;

/// Four lanes over one time axis: the endpoint, the attempts, the states, what is shown.
fn draw(title: &str, script: &Script, record: &Record, length: Duration) -> String {
    let x = |at: Duration| LEFT + WIDTH * at.as_secs_f64() / length.as_secs_f64();
    let lane = |index: usize| 40.0 + index as f64 * (LANE + GAP);
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 260" font-family="sans-serif" font-size="12">
<rect width="1000" height="260" fill="#ffffff"/>
<text x="{LEFT}" y="22" font-size="14" fill="#222222">The endpoint {title}</text>"##
    );
    for (index, name) in ["endpoint", "attempts", "breaker", "shown"]
        .iter()
        .enumerate()
    {
        let y = lane(index) + 17.0;
        let _ = writeln!(
            svg,
            r##"<text x="16" y="{y}" fill="#444444">{name}</text>"##
        );
    }
    let mut weather = vec![(Duration::ZERO, Weather::Up)];
    weather.extend_from_slice(script);
    band(
        &mut svg,
        lane(0),
        &weather,
        length,
        x,
        |weather| match weather {
            Weather::Up => ("#7fb77e", "up"),
            Weather::Refused => ("#c0504d", "down"),
            Weather::Hanging => ("#c0504d", "hanging"),
            Weather::Brownout(_) => ("#d99694", "503 by halves"),
            Weather::Slow => ("#d9b36c", "slow"),
            Weather::Throttling(_) => ("#d9b36c", "429"),
            Weather::Garbage => ("#d99694", "garbage"),
        },
    );
    for (at, outcome, canary) in &record.attempts {
        let (x, y) = (x(*at), lane(1) + LANE / 2.0);
        let colour = match outcome {
            Outcome::Success => "#3b7d3a",
            _ => "#c0504d",
        };
        let fill = if *canary { "#ffffff" } else { colour };
        let _ = writeln!(
            svg,
            r#"<circle cx="{x:.1}" cy="{y}" r="4" fill="{fill}" stroke="{colour}" stroke-width="1.6"/>"#
        );
    }
    band(
        &mut svg,
        lane(2),
        &record.states,
        length,
        x,
        |state| match state {
            BreakerState::Healthy => ("#7fb77e", "Healthy"),
            BreakerState::Degraded => ("#d9b36c", "Degraded"),
            BreakerState::CoolingDown => ("#c0504d", "CoolingDown"),
            BreakerState::HalfOpen => ("#7da7d9", "HalfOpen"),
        },
    );
    band(
        &mut svg,
        lane(3),
        &record.shown,
        length,
        x,
        |shown| match shown {
            Shown::Current => ("#7fb77e", "current"),
            Shown::Stale => ("#d9d2a0", "last value, marked stale"),
            Shown::Absent => ("#e6e6e6", "absent"),
        },
    );
    for tombstone in &record.tombstones {
        let (x, top, bottom) = (x(*tombstone), lane(3) - 4.0, lane(3) + LANE + 4.0);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="{top}" y2="{bottom}" stroke="#222222" stroke-width="2"/>"##
        );
    }
    let axis = lane(4);
    for minute in (0..=length.as_secs() / 60).step_by(2) {
        let (x, y) = (x(s(minute * 60)), axis + 10.0);
        let _ = writeln!(
            svg,
            r##"<line x1="{x:.1}" x2="{x:.1}" y1="36" y2="{axis}" stroke="#000000" stroke-opacity="0.08"/>
<text x="{x:.1}" y="{y}" fill="#666666" text-anchor="middle">{minute} min</text>"##
        );
    }
    let y = axis + 36.0;
    let _ = writeln!(
        svg,
        r##"<text x="{LEFT}" y="{y}" fill="#666666">A dot is a request: green answered, red failed, hollow a canary. The line in the last lane is the tombstone that ends the series.</text>
</svg>"##
    );
    svg
}

/// Draws spans of one lane, named where there is room for the name.
fn band<T: Copy>(
    svg: &mut String,
    top: f64,
    spans: &[(Duration, T)],
    length: Duration,
    x: impl Fn(Duration) -> f64,
    look: impl Fn(T) -> (&'static str, &'static str),
) {
    let ends = spans.iter().skip(1).map(|(at, _)| *at).chain([length]);
    for ((from, what), to) in spans.iter().zip(ends) {
        let (left, width) = (x(*from), x(to.min(length)) - x(*from));
        let (colour, name) = look(*what);
        let _ = writeln!(
            svg,
            r#"<rect x="{left:.1}" y="{top}" width="{width:.1}" height="{LANE}" fill="{colour}"/>"#
        );
        if width > 7.0 * name.len() as f64 {
            let (x, y) = (left + width / 2.0, top + 17.0);
            let _ = writeln!(
                svg,
                r##"<text x="{x:.1}" y="{y}" fill="#222222" text-anchor="middle">{name}</text>"##
            );
        }
    }
}

fn run(runtime: &Runtime, script: Script, phase: Duration, length: Duration, seed: u64) -> Record {
    runtime.block_on(simulate(&Config::default(), script, phase, length, seed))
}

/// An endpoint that was never there.
fn dead(runtime: &Runtime, length: Duration, seed: u64) -> Record {
    run(runtime, vec![(s(0), Weather::Refused)], s(0), length, seed)
}

fn mean(samples: impl IntoIterator<Item = f64>) -> f64 {
    let samples: Vec<f64> = samples.into_iter().collect();
    samples.iter().sum::<f64>() / samples.len() as f64
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}
