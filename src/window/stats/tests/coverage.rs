//! Coverage of series that come regularly, and of those that don't.

use proptest::prelude::*;

use super::super::super::{Excerpt, ValueKind, WindowSettings, Windows};
use super::super::{Cadence, Coverage};

/// How much of the window there are points for, at these times in seconds, of a series that has
/// points every 15 s at other times.
fn share(times: &[f64], window: (i64, i64)) -> f64 {
    share_of(times, window, 15)
}

fn share_of(times: &[f64], window: (i64, i64), usual: i64) -> f64 {
    let settings = WindowSettings {
        max_ahead: i64::MAX,
        ..WindowSettings::default()
    };
    let mut windows = Windows::new(settings);
    let id = windows.register("x", ValueKind::Gauge, &[]).unwrap();
    for time in times {
        windows.push(id, (time * 1000.0) as i64, 1.0).unwrap();
    }
    let (from, to) = (window.0 * 1000, window.1 * 1000);
    let mut excerpt = Excerpt::default();
    windows.excerpt(id, from + 1, to, &mut excerpt);
    let mut cadence = Cadence::default();
    cadence.gather(&excerpt, (from, to));
    let mut coverage = Coverage::default();
    coverage.add(
        cadence.points(),
        cadence.expected((from, to), Some(usual * 1000)),
    );
    coverage.share()
}

/// Times with these gaps, the first behind 0.
fn after(gaps: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let sum = |time: &mut f64, gap: f64| {
        *time += gap;
        Some(*time)
    };
    gaps.into_iter().scan(0.0, sum).collect()
}

fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() < 0.02, "{found} {expected}");
}

#[test]
fn a_series_that_ends_within_the_window_covers_its_part() {
    close(share(&after([15.0; 5]), (0, 300)), 0.25);
    close(share(&[15.0], (0, 300)), 0.05);
    close(share(&[], (0, 300)), 0.0);
    // Both ends are open.
    close(share(&after([15.0; 40]), (-300, 900)), 0.5);
}

#[test]
fn outages_are_missed_however_long_and_how_many() {
    let gaps = |outages: &[f64]| {
        let each = outages.iter().flat_map(|gap| [15.0, 15.0, 15.0, *gap]);
        after(each.collect::<Vec<_>>())
    };
    close(share(&gaps(&[210.0, 15.0]), (0, 315)), 1.0 - 195.0 / 315.0);
    close(share(&gaps(&[90.0, 90.0]), (0, 270)), 120.0 / 270.0);
    close(
        share(&gaps(&[86_355.0, 15.0]), (0, 86_460)),
        120.0 / 86_460.0,
    );
}

#[test]
fn a_cadence_that_changes_misses_nothing() {
    let gaps = |first: f64, then: f64| {
        let first = std::iter::repeat_n(first, (300.0 / first) as usize);
        let then = std::iter::repeat_n(then, (300.0 / then) as usize);
        after(first.chain(then))
    };
    for (first, then) in [(15.0, 60.0), (15.0, 1.0), (60.0, 10.0), (1.0, 100.0)] {
        close(share(&gaps(first, then), (0, 600)), 1.0);
    }
    // Less and less often: what waits between the two cadences looks late.
    let slower = [15.0; 20].into_iter().chain([30.0]).chain([60.0; 5]);
    assert!(share(&after(slower), (0, 630)) > 0.9);
}

#[test]
fn polls_that_a_breaker_adds_make_none_look_late() {
    // Three paths whose breakers try again when each of them is due.
    let gaps = [
        11.78, 15.0, 13.58, 1.42, 4.19, 1.93, 8.88, 15.0, 15.0, 7.79, 7.21, 5.81, 8.3, 0.89, 15.0,
    ];
    let polls = after(gaps.repeat(3));
    let end = polls.last().unwrap().floor() as i64;
    assert!(share(&polls, (0, end)) > 0.95);
    // Two more after each tick.
    let polls = after([1.0, 1.0, 13.0].repeat(20));
    close(share(&polls, (0, 300)), 1.0);
}

#[test]
fn points_in_quick_succession_make_up_for_none_that_is_missing() {
    let quick = std::iter::repeat_n(0.1, 100);
    let gaps = [15.0; 10].into_iter().chain(quick).chain([140.0]);
    let found = share(&after(gaps.chain([15.0; 10])), (0, 450));
    close(found, 1.0 - 120.0 / 450.0);
}

proptest! {
    #[test]
    fn a_regular_series_is_whole_wherever_the_window_cuts(
        step in 1_i64..120,
        points in 1_usize..800,
        jitter in prop::collection::vec(-0.04..0.04_f64, 800),
        (begin, length) in (0.0..1.0_f64, 0.0..1.0_f64),
    ) {
        let steps = (0..points).zip(jitter);
        let times = steps.map(|(at, jitter)| (at as f64 + jitter + 1.0) * step as f64);
        let times: Vec<f64> = times.collect();
        let all = points as f64 * step as f64;
        let from = (all * begin) as i64;
        let to = from + ((all - from as f64) * length) as i64 + 1;
        let any = times.iter().any(|time| (from as f64) < *time && *time <= to as f64);
        prop_assume!(any && points > 1);
        let found = share_of(&times, (from, to), step);
        // A window that isn't a multiple of the interval has one point more or less.
        let expected = (to - from) as f64 / step as f64;
        prop_assert!(1.0 - found <= 1.5 / expected.max(1.0), "{} from {} to {}", found, from, to);
    }

    #[test]
    fn of_a_regular_series_what_is_lost_is_missed(
        lost in 0.0..0.3_f64,
        mut random in any::<u64>(),
    ) {
        // Not shrunk: what is lost in a pattern is another cadence.
        let mut kept = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 32) as f64 / f64::from(u32::MAX) >= lost
        };
        let times = (1..=2000).filter(|_| kept()).map(|at| f64::from(at) * 15.0);
        let times: Vec<f64> = times.collect();
        let found = share(&times, (0, 30_000));
        let expected = times.len() as f64 / 2000.0;
        prop_assert!((found - expected).abs() < 0.05, "{} {}", found, expected);
    }
}
