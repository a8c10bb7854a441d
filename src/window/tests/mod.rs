//! Tests of the store as a whole; those of its parts stand beside them.

mod bounds;
mod columns;
mod find;
mod model;
mod timelines;

use super::*;

/// A store of small bounds, at the time 0.
fn small(change: impl FnOnce(&mut WindowSettings)) -> Windows {
    let mut settings = WindowSettings {
        max_ahead: i64::MAX,
        ..WindowSettings::default()
    };
    change(&mut settings);
    Windows::new(settings)
}

/// The points of a series: time, start and bits.
fn numbers(windows: &Windows, id: RingId, from: i64, to: i64) -> Vec<(i64, i64, u64)> {
    let snapshot = windows.snapshot(id, from, to).unwrap();
    let mut cursor = snapshot.cursor();
    let mut points = Vec::new();
    while let Some(piece) = cursor.next_piece() {
        for (index, time) in piece.times().iter().enumerate() {
            let bits = piece.values()[index].to_bits();
            points.push((*time, piece.start(index), bits));
        }
    }
    points
}

/// What the books say and what a count says.
fn check_books(windows: &Windows) {
    let points: usize = windows
        .find(&[])
        .into_iter()
        .map(|id| windows.ring(id).unwrap().points)
        .sum();
    assert_eq!(windows.totals().samples, points);
    assert_eq!(windows.counted_ring_bytes(), windows.ring_bytes());
}

#[test]
fn a_store_and_what_it_gives_can_go_to_other_threads() {
    fn f<T: Send + Sync>() {}
    f::<Windows>();
    f::<Snapshot>();
    f::<Matcher>();
    f::<stats::Numbers>();
}
