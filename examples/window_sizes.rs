//! What a day of history takes, and what a store does that is too small for it.
//!
//! ```sh
//! cargo run --release --example window_sizes                   # tables
//! cargo run --release --example window_sizes -- docs/images    # and pictures
//! ```
#![allow(clippy::print_stdout, reason = "a demonstration prints")]

use std::fmt::Write as _;
use std::path::Path;

use foghorn::window::{RingId, ValueKind, WindowSettings, Windows};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};

/// Milliseconds.
const STEP: i64 = 15_000;
const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const SERIES: usize = 500;

fn main() -> anyhow::Result<()> {
    let sizes: Vec<Curve> = SHAPES.iter().map(size).collect();
    print("bytes a sample", &sizes);
    let reaches: Vec<Curve> = [2, 4, 8].into_iter().map(reach).collect();
    print("hours that are remembered", &reaches);
    if let Some(directory) = std::env::args_os().nth(1) {
        let directory = Path::new(&directory);
        std::fs::create_dir_all(directory)?;
        let scale = Scale::Logarithmic(0.1, 100.0);
        let sizes = draw("Bytes a sample, everything included", &sizes, &scale);
        std::fs::write(directory.join("windows-bytes.svg"), sizes)?;
        let title = "Hours of full-precision noise that are remembered, by max_memory";
        let reaches = draw(title, &reaches, &Scale::Linear(24.0));
        std::fs::write(directory.join("windows-full.svg"), reaches)?;
    }
    Ok(())
}

/// A shape's name, and its next value after a state.
type Shape = (&'static str, fn(&mut i64, &mut SmallRng) -> f64);

const SHAPES: [Shape; 5] = [
    ("constant", |_, _| 42.0),
    ("0 or 1", |_, random| f64::from(random.random_range(0..2))),
    ("slow gauge", |state, random| {
        *state += random.random_range(-3..=3);
        *state as f64 / 10.0
    }),
    ("counter", |state, random| {
        *state += random.random_range(0..200);
        *state as f64
    }),
    ("noise", noise),
];

fn noise(_: &mut i64, random: &mut SmallRng) -> f64 {
    random.random_range(0.0..100.0)
}

/// A name, and a value for every hour of a day.
type Curve = (String, Vec<(i64, f64)>);

/// Bytes a sample while a day of points of one shape arrives.
fn size((name, next): &Shape) -> Curve {
    let mut feed = Feed::new(1 << 30);
    let mut hours = Vec::new();
    feed.hours(*next, |hour, windows| {
        let samples = windows.totals().samples;
        hours.push((hour, windows.bytes() as f64 / samples as f64));
    });
    ((*name).to_owned(), hours)
}

/// How far back the history reaches while a day of noise arrives in so many MiB.
fn reach(mib: usize) -> Curve {
    let mut feed = Feed::new(mib << 20);
    let mut hours = Vec::new();
    feed.hours(noise, |hour, windows| {
        let (oldest, newest) = windows.extent().unwrap_or_default();
        hours.push((hour, (newest - oldest) as f64 / HOUR as f64));
    });
    (format!("{mib} MiB"), hours)
}

/// A store with series of one shape.
struct Feed {
    windows: Windows,
    series: Vec<(RingId, i64)>,
}

impl Feed {
    fn new(max_memory: usize) -> Self {
        let mut windows = Windows::new(WindowSettings {
            max_memory,
            ..WindowSettings::default()
        });
        let mut register = |index: usize| {
            let (metric, node) = (index % 50, (index / 50).to_string());
            let labels = [
                ("instance", node.as_str()),
                ("job", "node"),
                ("mode", "idle"),
            ];
            let name = format!("node_metric_number_{metric}");
            windows.register(&name, ValueKind::Gauge, &labels)
        };
        let series = (0..SERIES).filter_map(|index| register(index).ok());
        let series = series.map(|id| (id, 1000)).collect();
        Self { windows, series }
    }

    /// Feeds a day of points, and shows the store every quarter of an hour.
    fn hours(
        &mut self,
        next: fn(&mut i64, &mut SmallRng) -> f64,
        mut look: impl FnMut(i64, &Windows),
    ) {
        let mut random = SmallRng::seed_from_u64(1);
        for time in (STEP..=DAY).step_by(STEP as usize) {
            self.windows.advance(time, time);
            for (id, state) in &mut self.series {
                // What a full store refuses is what is to be seen here.
                let _ = self.windows.push(*id, time, next(state, &mut random));
            }
            if time % (HOUR / 4) == 0 {
                look(time, &self.windows);
            }
        }
    }
}

fn print(what: &str, curves: &[Curve]) {
    let hours = [HOUR, 6 * HOUR, 12 * HOUR, DAY];
    println!("| {what} after | 1 h | 6 h | 12 h | 24 h |\n|---|---|---|---|---|");
    for (name, points) in curves {
        let at = |hour: &i64| points.iter().find(|(time, _)| time == hour);
        let values = hours.iter().filter_map(at);
        let cells: Vec<String> = values.map(|(_, value)| format!("{value:.2}")).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    println!();
}

/// What the height of a picture means, from its lower edge.
enum Scale {
    Linear(f64),
    Logarithmic(f64, f64),
}

impl Scale {
    /// From 0 to 1.
    fn height(&self, value: f64) -> f64 {
        let height = match self {
            Self::Linear(top) => value / top,
            Self::Logarithmic(bottom, top) => (value / bottom).ln() / (top / bottom).ln(),
        };
        height.clamp(0.0, 1.0)
    }

    fn marks(&self) -> &'static [f64] {
        match self {
            Self::Linear(_) => &[0.0, 6.0, 12.0, 18.0, 24.0],
            Self::Logarithmic(..) => &[0.1, 1.0, 10.0, 100.0],
        }
    }
}

const COLOURS: [&str; 5] = ["#3b7d3a", "#7fb77e", "#4f81bd", "#d9a441", "#c0504d"];
const LEFT: f64 = 60.0;
const WIDTH: f64 = 800.0;
const TOP: f64 = 40.0;
const HEIGHT: f64 = 260.0;

/// Curves over the hours of a day, as SVG.
fn draw(title: &str, curves: &[Curve], scale: &Scale) -> String {
    let x = |time: i64| LEFT + WIDTH * time as f64 / DAY as f64;
    let y = |value: f64| TOP + HEIGHT * (1.0 - scale.height(value));
    let mut svg = format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1000 340" font-family="sans-serif" font-size="12">
<rect width="1000" height="340" fill="#ffffff"/>
<text x="{LEFT}" y="22" font-size="14" fill="#222222">{title}</text>
"##
    );
    for mark in scale.marks() {
        let (y, end) = (y(*mark), LEFT + WIDTH);
        let _ = writeln!(
            svg,
            r##"<line x1="{LEFT}" y1="{y:.1}" x2="{end}" y2="{y:.1}" stroke="#dddddd"/><text x="16" y="{:.1}" fill="#444444">{mark}</text>"##,
            y + 4.0,
        );
    }
    for hour in [0, 6, 12, 18, 24] {
        let (x, y) = (x(hour * HOUR), TOP + HEIGHT + 18.0);
        let _ = writeln!(
            svg,
            r##"<text x="{x:.1}" y="{y}" fill="#444444">{hour} h</text>"##
        );
    }
    for ((name, points), colour) in curves.iter().zip(COLOURS) {
        let mut path = String::new();
        for (time, value) in points {
            let _ = write!(path, "{:.1},{:.1} ", x(*time), y(*value));
        }
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            path.trim_end(),
        );
        if let Some((_, last)) = points.last() {
            let (x, y) = (LEFT + WIDTH + 8.0, y(*last) + 4.0);
            let _ = writeln!(
                svg,
                r#"<text x="{x}" y="{y:.1}" fill="{colour}">{name}</text>"#
            );
        }
    }
    svg + "</svg>\n"
}
