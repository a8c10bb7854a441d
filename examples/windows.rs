//! A day of history in a program of one's own: register, feed, list, ask.
//!
//! ```sh
//! cargo run --example windows
//! ```
//!
//! Time is the program's own, so an hour of points passes at once.
#![allow(clippy::print_stdout, reason = "a demonstration prints")]

use foghorn::window::stats::{
    Cadence, Coverage, HistogramIncrease, Method, Needs, Numbers, statistic,
};
use foghorn::window::{
    MatchOperator, Matcher, StoredHistogram, StoredPoint, ValueKind, WindowSettings, Windows,
};

/// Milliseconds since the epoch.
const START: i64 = 1_780_000_000_000;
const HOUR: i64 = 3_600_000;
const STEP: i64 = 15_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut windows = Windows::new(WindowSettings {
        capacity: 5760,
        max_memory: 8 << 20,
        ..WindowSettings::default()
    });

    // A metric is known before it has series, if one says so.
    windows.describe("room_temperature", ValueKind::Gauge, "Cel", "What it says.")?;
    windows.advance(0, START);
    let rooms = ["attic", "cellar", "kitchen"]
        .map(|room| windows.register("room_temperature", ValueKind::Gauge, &[("room", room)]));
    let door = windows.register("door_delay", ValueKind::Histogram, &[("door", "front")])?;

    // The store has no clock: whoever feeds it says when.
    for (index, time) in (START..=START + HOUR).step_by(STEP as usize).enumerate() {
        windows.advance(time - START, time);
        for (room, base) in rooms.iter().zip([24.0, 12.0, 21.0]) {
            let wave = (index as f64 / 20.0).sin();
            windows.push((*room)?, time, ((base + wave) * 10.0).round() / 10.0)?;
        }
        let opened = index as f64;
        let point = StoredHistogram {
            count: opened * 2.0,
            sum: Some(opened * 0.9),
            bounds: &[0.1, 0.5, 1.0],
            buckets: &[opened * 0.5, opened, opened * 0.5, 0.0],
        };
        windows.push_point(door, START, time, &StoredPoint::Histogram(point))?;
    }

    println!("What is there:");
    for ring in windows.rings() {
        let labels: Vec<_> = ring
            .labels
            .iter()
            .map(|(n, v)| format!("{n}={v:?}"))
            .collect();
        println!(
            "  {}{{{}}}: {} points",
            ring.name,
            labels.join(","),
            ring.points
        );
    }
    let totals = windows.totals();
    println!("  {} samples in {} bytes", totals.samples, totals.bytes);

    // One moment's points, of which no writer is in the way.
    let (from, to) = (START + HOUR / 2, START + HOUR);
    let warm = Matcher::new(MatchOperator::NotRegex, "room", "cell.*")?;
    let named = Matcher::new(MatchOperator::Equal, "__name__", "room_temperature")?;
    println!("The last half hour, but for the cellar:");
    let mut numbers = Numbers::default();
    for snapshot in windows.select(&[named, warm], from + 1, to) {
        numbers.begin(from, to);
        numbers.gather(snapshot.excerpt(), Needs::POINTS.and(Needs::DIGEST));
        let mut coverage = Coverage::default();
        let mut cadence = Cadence::default();
        cadence.gather(snapshot.excerpt(), (from, to));
        coverage.add(numbers.values().len(), cadence.expected((from, to), None));
        let room = &snapshot.labels()[0].1;
        println!("  {room} (coverage {:.2})", coverage.share());
        for name in ["avg", "max", "p95", "deriv"] {
            let statistic = statistic(name, Method::Platform)?;
            println!(
                "    {name} {:.4}",
                statistic.of(&mut numbers).unwrap_or(f64::NAN)
            );
        }
    }

    let mut delays = HistogramIncrease::default();
    if let Some(snapshot) = windows.snapshot(door, from + 1, to) {
        delays.gather(snapshot.excerpt());
    }
    let p95 = delays.quantile(0.95).unwrap_or(f64::NAN);
    println!("The door: p95 of {} delays is {p95:.3} s", delays.count());

    // An hour without a point, and the series leave.
    windows.advance(2 * HOUR, START + 2 * HOUR);
    println!("Expired: {}", windows.expire());
    Ok(())
}
