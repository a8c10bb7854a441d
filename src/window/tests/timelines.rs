//! Times that series share while their points aren't sealed, against a list for each.

use proptest::prelude::*;

use super::super::charge::Bill;
use super::super::codec::Scratch;
use super::super::timeline::{HeadSpan, Timelines};
use super::super::times::{Joins, Times};

const SERIES: usize = 6;
const MOST: usize = 9;

#[derive(Debug, Clone)]
enum Event {
    /// The series of the bits get a point at one time, some milliseconds after the last.
    Scrape(u8, i64),
    /// One gets a point between two of its own.
    Late(usize, prop::sample::Index),
    /// One is sealed.
    Seal(usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        5 => (prop_oneof![4 => Just(0xff), 1 => any::<u8>()], prop_oneof![4 => Just(10_i64), 1 => 2_i64..40])
            .prop_map(|(series, step)| Event::Scrape(series, step)),
        1 => (0..SERIES, any::<prop::sample::Index>()).prop_map(|(one, at)| Event::Late(one, at)),
        1 => (0..SERIES).prop_map(Event::Seal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_series_reads_its_own_times_whoever_it_shares_them_with(
        events in prop::collection::vec(event(), 1..80),
    ) {
        let mut lines = Timelines::new(MOST);
        let (mut scratch, bill) = (Scratch::default(), Bill::default());
        let mut spans = [HeadSpan::EMPTY; SERIES];
        let mut models: [Vec<i64>; SERIES] = Default::default();
        let mut clock = 0;
        for event in events {
            match event {
                Event::Scrape(series, step) => {
                    clock += step;
                    for one in (0..SERIES).filter(|one| series & (1 << one) != 0) {
                        if models[one].len() == MOST || !lines.append(&mut spans[one], clock) {
                            lines.release(&mut spans[one]);
                            models[one].clear();
                            prop_assert!(lines.append(&mut spans[one], clock));
                        }
                        models[one].push(clock);
                    }
                }
                Event::Late(one, at) => {
                    let model = &mut models[one];
                    if model.len() < 2 || model.len() == MOST {
                        continue;
                    }
                    let at = 1 + at.index(model.len() - 1);
                    let time = model[at - 1] + 1;
                    if time < model[at] {
                        prop_assert_eq!(lines.search(spans[one], time), Err(at));
                        prop_assert!(lines.insert(&mut spans[one], at, time));
                        model.insert(at, time);
                    }
                }
                Event::Seal(one) => {
                    if let Some(first) = models[one].first() {
                        let sealed = lines.seal(spans[one], &mut scratch, &bill);
                        let mut times = Vec::new();
                        sealed.decode(*first, models[one].len(), &mut times).unwrap();
                        prop_assert_eq!(&times, &models[one]);
                        lines.release(&mut spans[one]);
                        models[one].clear();
                    }
                }
            }
            for (span, model) in spans.iter().zip(&models) {
                let mut times = Vec::new();
                lines.read(*span, &mut times);
                prop_assert_eq!(&times, model);
            }
        }
        for span in &mut spans {
            lines.release(span);
        }
        let empty = lines.bytes();
        prop_assert!(empty <= 4096, "{}", empty);
    }
}

/// The series of one scrape, whose times are at no interval, share one timeline and what comes
/// of it when they are sealed; those that missed one scrape share another.
#[test]
fn series_of_one_scrape_share_their_times() {
    let mut lines = Timelines::new(240);
    let (mut scratch, bill) = (Scratch::default(), Bill::default());
    let mut spans = [HeadSpan::EMPTY; 8];
    for step in 0..100_i64 {
        for (series, span) in spans.iter_mut().enumerate() {
            if series < 4 || step != 50 {
                assert!(lines.append(span, step * 15_000 + step * step % 7));
            }
        }
    }
    assert!(spans[..4].iter().all(|span| *span == spans[0]), "{spans:?}");
    assert!(spans[4..].iter().all(|span| *span == spans[4]), "{spans:?}");
    let sealed: Vec<Times> = spans
        .iter()
        .map(|span| lines.seal(*span, &mut scratch, &bill))
        .collect();
    let shared = |times: &[Times]| times.iter().all(|other| other.same(&times[0]));
    assert!(shared(&sealed[..4]) && shared(&sealed[4..]) && !shared(&sealed));
}

#[test]
fn merged_times_are_remembered_by_all_of_their_parts() {
    let (mut scratch, bill) = (Scratch::default(), Bill::default());
    let times = [0, 3, 10, 11, 29, 30, 42, 60, 61];
    let mut part = |from: usize, to: usize| {
        let times = &times[from..to];
        let packed = Times::of(times, &mut scratch, &bill);
        (times[0], times.len() as u32, packed)
    };
    let parts = [part(0, 4), part(4, 7), part(7, 9)];
    let merged = Times::of(&times, &mut Scratch::default(), &bill);
    let mut joins = Joins::default();
    joins.remember(parts.to_vec().into(), merged.clone());
    assert!(joins.find(&parts).is_some_and(|found| found.same(&merged)));
    assert!(joins.find(&parts[..2]).is_none());
    assert!(joins.find(&parts[1..]).is_none());
    let alike = [parts[0].clone(), part(4, 7), parts[2].clone()];
    // The same times, but nobody knows that without unpacking them.
    assert!(joins.find(&alike).is_none());
}

/// Appends times one after the other.
fn extend(lines: &mut Timelines, span: &mut HeadSpan, times: &[i64]) {
    for time in times {
        assert!(lines.append(span, *time));
    }
}

fn read(lines: &Timelines, span: HeadSpan) -> Vec<i64> {
    let mut times = Vec::new();
    lines.read(span, &mut times);
    times
}

/// A series follows the one that left before it, but not into a timeline that has only its place.
#[test]
fn a_series_follows_nobody_into_a_timeline_that_is_gone() {
    let mut lines = Timelines::new(MOST);
    let [mut leaver, mut follower, mut ahead, mut other] = [HeadSpan::EMPTY; 4];
    for time in [0, 10] {
        for span in [&mut ahead, &mut leaver, &mut follower] {
            extend(&mut lines, span, &[time]);
        }
    }
    extend(&mut lines, &mut ahead, &[13]);
    extend(&mut lines, &mut leaver, &[17]);
    let place = leaver.line;
    lines.release(&mut leaver);
    extend(&mut lines, &mut other, &[3, 5, 17]);
    assert_eq!(other.line, place);
    extend(&mut lines, &mut follower, &[17]);
    assert_eq!(read(&lines, follower), [0, 10, 17]);
    assert_eq!(read(&lines, other), [3, 5, 17]);
}

/// Nor does it follow one that left a timeline that was in the place of its own.
#[test]
fn a_series_follows_nobody_who_left_another_timeline() {
    let mut lines = Timelines::new(MOST);
    let [mut leaver, mut ahead, mut late, mut early] = [HeadSpan::EMPTY; 4];
    for time in [0, 10] {
        for span in [&mut ahead, &mut leaver] {
            extend(&mut lines, span, &[time]);
        }
    }
    extend(&mut lines, &mut ahead, &[13]);
    extend(&mut lines, &mut leaver, &[17]);
    let place = ahead.line;
    lines.release(&mut ahead);
    for time in [4, 12] {
        for span in [&mut early, &mut late] {
            extend(&mut lines, span, &[time]);
        }
    }
    assert_eq!((late.line, late), (place, early));
    extend(&mut lines, &mut early, &[14]);
    extend(&mut lines, &mut late, &[17]);
    assert_eq!(read(&lines, late), [4, 12, 17]);
}
