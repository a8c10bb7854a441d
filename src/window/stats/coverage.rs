//! How much of a window there are points for.
//!
//! No series says at which interval it has points, so that is read from the gaps between them.
//! Each gap is compared with the twelve on either side of it, without itself. The usual one is
//! the length that several of them have: what was lost leaves gaps that are a multiple of it,
//! and points that come beside the others, such as those of a breaker that tries again, leave
//! gaps of any length. The median would be hardly longer than these, so that every other gap
//! would look too long. Where the usual gap fits in twice or more, rounded, points are
//! missing, unless as long a gap follows: from then on points come less often.

use std::cmp::Reverse;
use std::ops::Range;

use super::super::excerpt::Excerpt;
use super::super::times::SAME;

/// Gaps on either side with which one is compared.
const BESIDE: usize = 12;

/// So many gaps of one length in a row are no accident.
const CADENCE: usize = 3;

/// Points that are there, and points that there should be, of one or several series.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Coverage {
    present: f64,
    expected: f64,
}

impl Coverage {
    /// Adds a series that has `present` points of those that are [expected](Cadence::expected).
    pub fn add(&mut self, present: usize, expected: f64) {
        self.expected += expected;
        self.present += (present as f64).min(expected);
    }

    /// Points that are there for each that there should be, between 0 and 1.
    #[must_use]
    pub fn share(&self) -> f64 {
        if self.expected > 0.0 {
            self.present / self.expected
        } else {
            1.0
        }
    }
}

/// The times of a series' points in a window.
#[derive(Debug, Default)]
pub struct Cadence {
    runs: Vec<GapRun>,
    first: i64,
    last: i64,
    points: usize,
    /// Memory for the times of a chunk.
    times: Vec<i64>,
}

/// Gaps of about one length that follow each other.
#[derive(Debug, Clone, Copy)]
struct GapRun {
    /// The length of the first, in milliseconds.
    gap: i64,
    count: usize,
}

impl Cadence {
    /// Forgets all times and keeps the memory.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.points = 0;
    }

    /// Takes the times of the points of a series in the window `(from, to]`, in milliseconds
    /// since the epoch, in the place of what is here.
    pub fn gather(&mut self, excerpt: &Excerpt, (from, to): (i64, i64)) {
        self.runs.clear();
        self.points = 0;
        let mut skip = excerpt.skip;
        for chunk in &excerpt.chunks {
            let within = skip == 0 && from < chunk.first && chunk.last <= to;
            match chunk.interval().filter(|_| within) {
                Some(gap) => self.add_even((chunk.first, chunk.last), gap, chunk.count as usize),
                None => {
                    let mut times = std::mem::take(&mut self.times);
                    times.clear();
                    // Damaged bytes, which a sealed chunk never has, add nothing.
                    let _ = chunk.unpack_times(from.saturating_add(1), to, skip, &mut times);
                    self.add(&times);
                    self.times = times;
                }
            }
            skip = 0;
        }
        let tail = &excerpt.tail.times;
        let after = tail.partition_point(|time| *time <= from);
        let until = tail.partition_point(|time| *time <= to);
        self.add(tail.get(after..until).unwrap_or(&[]));
    }

    /// Points in the window.
    #[must_use]
    pub fn points(&self) -> usize {
        self.points
    }

    /// How many points there should be in the window `(from, to]`, in milliseconds: those that
    /// are there, and those that are missing. `usual` is the gap that the series has at other
    /// times; it counts where there are no two points.
    #[must_use]
    pub fn expected(&self, (from, to): (i64, i64), usual: Option<i64>) -> f64 {
        let usual = usual.filter(|gap| *gap > 0).map(|gap| gap as f64);
        let window = to.saturating_sub(from).max(0) as f64;
        if self.points == 0 {
            return usual.map_or(0.0, |usual| (window / usual).round());
        }
        let lost = self.lost_at_ends((from, to), usual) + self.lost_between(usual);
        // Less than the window is lost, as each gap loses less than its length.
        let kept = window - lost;
        if kept > 0.0 {
            self.points as f64 * window / kept
        } else {
            self.points as f64
        }
    }

    /// Adds the times of points behind the others.
    fn add(&mut self, times: &[i64]) {
        for time in times {
            self.add_even((*time, *time), 0, 1);
        }
    }

    /// Adds points behind the others that follow each other at about one interval.
    fn add_even(&mut self, (first, last): (i64, i64), gap: i64, count: usize) {
        if self.points == 0 {
            self.first = first;
        } else {
            self.add_gaps(first.saturating_sub(self.last), 1);
        }
        self.add_gaps(gap, count.saturating_sub(1));
        self.last = last;
        self.points += count;
    }

    fn add_gaps(&mut self, gap: i64, count: usize) {
        if gap <= 0 || count == 0 {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if (gap - run.gap).abs() <= run.gap / SAME => run.count += count,
            _ => self.runs.push(GapRun { gap, count }),
        }
    }

    /// The time at both ends of the window for which points are missing. What is before the
    /// first and behind the last is one gap, so that it doesn't matter where the window cuts.
    fn lost_at_ends(&self, (from, to): (i64, i64), usual: Option<f64>) -> f64 {
        let ends = [
            (
                self.first.saturating_sub(from),
                self.usual_at_end(self.runs.iter()),
            ),
            (
                to.saturating_sub(self.last),
                self.usual_at_end(self.runs.iter().rev()),
            ),
        ];
        let (mut time, mut gaps) = (0.0, 0.0);
        for (end, found) in ends {
            let Some(usual) = found.or(usual) else {
                return 0.0;
            };
            time += end as f64;
            gaps += end as f64 / usual;
        }
        if gaps > 0.0 {
            missing(gaps) * time / gaps
        } else {
            0.0
        }
    }

    /// The time between the first and the last point for which points are missing.
    fn lost_between(&self, usual: Option<f64>) -> f64 {
        let shortest = self.runs.iter().map(|run| run.gap).min().unwrap_or(0);
        let is_long =
            |run: &GapRun| run.count < CADENCE && missing(run.gap as f64 / shortest as f64) > 0.0;
        // The only gap has none beside it.
        if self.runs.len() != 1 && !self.runs.iter().any(is_long) {
            return 0.0;
        }
        let gaps: Vec<(&GapRun, usize)> = each_gap(self.runs.iter()).collect();
        let mut lengths = GapLengths::new();
        let classes = |places: Range<usize>| gaps.get(places).unwrap_or(&[]).iter();
        for (run, class) in classes(0..BESIDE.min(gaps.len())) {
            lengths.add(*class, run.gap);
        }
        let mut lost = 0.0;
        for (at, (run, class)) in gaps.iter().enumerate() {
            let begin = at.saturating_sub(BESIDE);
            let end = gaps.len().min(at + BESIDE + 1);
            if let Some((next, class)) = gaps.get(at + BESIDE) {
                lengths.add(*class, next.gap);
            }
            if let Some((past, class)) = begin.checked_sub(1).and_then(|past| gaps.get(past)) {
                lengths.remove(*class, past.gap);
            }
            if run.count >= CADENCE {
                continue;
            }
            lengths.remove(*class, run.gap);
            let others = classes(begin..at).chain(classes(at + 1..end));
            let found = lengths.usual(others.map(|(_, class)| *class));
            lengths.add(*class, run.gap);
            if let Some(usual) = found.or(usual) {
                lost += missing(run.gap as f64 / usual) * usual;
            }
        }
        lost
    }

    /// The usual gap of the first runs of these, which begin at an end of the window.
    fn usual_at_end<'r>(&self, mut runs: impl Iterator<Item = &'r GapRun> + Clone) -> Option<f64> {
        let all = runs.clone();
        match runs.next()? {
            run if run.count >= CADENCE => Some(run.gap as f64),
            _ => {
                let first = || each_gap(all.clone()).take(BESIDE);
                let mut lengths = GapLengths::new();
                first().for_each(|(run, class)| lengths.add(class, run.gap));
                lengths.usual(first().map(|(_, class)| class))
            }
        }
    }
}

/// The gaps of runs one by one, each with its run and the class of its length. Of a long run
/// there are as many as may be beside another gap.
fn each_gap<'r>(
    runs: impl Iterator<Item = &'r GapRun>,
) -> impl Iterator<Item = (&'r GapRun, usize)> {
    let each = |run: &'r GapRun| {
        let gap = (run, class_of(run.gap));
        std::iter::repeat_n(gap, run.count.min(2 * BESIDE))
    };
    runs.flat_map(each)
}

/// Classes of lengths that are a power of two apart: those of one class differ by no more than one
/// part in as many.
const CLASSES: usize = 16;

/// The class of a length in milliseconds, from 1 on. That of a longer one is no less.
fn class_of(gap: i64) -> usize {
    let bits = (gap.max(1) as f64).to_bits() >> (f64::MANTISSA_DIGITS - 1 - CLASSES.ilog2());
    let one = 1.0_f64.to_bits() >> (f64::MANTISSA_DIGITS - 1 - CLASSES.ilog2());
    bits.saturating_sub(one) as usize + 1
}

/// How many gaps there are of each length. To sort those beside each gap instead would take seven
/// times as long.
#[derive(Debug)]
struct GapLengths(Vec<LengthClass>);

#[derive(Debug, Clone, Copy, Default)]
struct LengthClass {
    count: u64,
    /// The sum of the lengths.
    length: u64,
    /// What the gaps of this class and of those next to it weigh, which are about one length. A
    /// few short gaps don't outweigh the others, nor does an outage. Weights are whole numbers,
    /// so that their sums are the same in any order.
    weight: u64,
}

impl GapLengths {
    fn new() -> Self {
        Self(vec![LengthClass::default(); 64 * CLASSES + 3])
    }

    fn add(&mut self, class: usize, gap: i64) {
        if let Some([before, own, after]) = self.0.get_mut(class - 1..class + 2) {
            let weight = weight_of(gap);
            before.weight += weight;
            own.weight += weight;
            own.count += 1;
            own.length += gap.unsigned_abs();
            after.weight += weight;
        }
    }

    /// Takes away what was added.
    fn remove(&mut self, class: usize, gap: i64) {
        if let Some([before, own, after]) = self.0.get_mut(class - 1..class + 2) {
            let weight = weight_of(gap);
            before.weight -= weight;
            own.weight -= weight;
            own.count -= 1;
            own.length -= gap.unsigned_abs();
            after.weight -= weight;
        }
    }

    /// The length that most of the gaps have, by weight, whose classes these are. `None` of none.
    fn usual(&self, classes: impl Iterator<Item = usize>) -> Option<f64> {
        let weighed = classes.map(|class| (self.0[class].weight, Reverse(class)));
        let (_, Reverse(class)) = weighed.max()?;
        let same = self.0[class - 1..class + 2].iter();
        let (count, length) = same.fold((0, 0), |(count, length), class| {
            (count + class.count, length + class.length)
        });
        Some(length as f64 / count as f64)
    }
}

/// The square root of a length, in parts of 1,024.
fn weight_of(gap: i64) -> u64 {
    ((gap as f64).sqrt() * 1024.0) as u64
}

/// Points that are missing in a gap as long as so many usual ones.
fn missing(gaps: f64) -> f64 {
    (gaps.round() - 1.0).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The usual of these gaps in the plainest way.
    fn plain(gaps: &[i64]) -> Option<f64> {
        let same = |class: usize| {
            let near = move |gap: &&i64| class_of(**gap).abs_diff(class) <= 1;
            gaps.iter().filter(near)
        };
        let weight = |class: usize| same(class).map(|gap| weight_of(*gap)).sum::<u64>();
        let mut classes: Vec<usize> = gaps.iter().map(|gap| class_of(*gap)).collect();
        classes.sort_unstable();
        let most = classes.iter().map(|class| weight(*class)).max()?;
        let best = *classes.iter().find(|class| weight(**class) == most)?;
        Some(same(best).sum::<i64>() as f64 / same(best).count() as f64)
    }

    #[test]
    fn lengths_of_one_class_are_a_sixteenth_apart_at_most() {
        let mut gap = 1;
        while gap < 1 << 53 {
            let class = class_of(gap);
            assert!(class_of(gap + gap / 16 + 1) > class, "{gap}");
            assert!(class_of(gap + gap / 33) <= class + 1, "{gap}");
            gap += gap / 7 + 1;
        }
        assert_eq!((class_of(1), class_of(2)), (1, 17));
        let lengths = GapLengths::new();
        assert!(class_of(i64::MAX) + 1 < lengths.0.len());
    }

    proptest! {
        #[test]
        fn a_gap_is_compared_with_the_twelve_on_either_side(
            gaps in prop::collection::vec(
                prop_oneof![1_i64..40, 14_000_i64..16_000, 1_000_i64..200_000],
                1..80,
            ),
        ) {
            let mut cadence = Cadence::default();
            for gap in &gaps {
                // Each by itself, also where it is as long as the one before.
                cadence.runs.push(GapRun { gap: *gap, count: 1 });
            }
            let mut expected = 0.0;
            for (at, gap) in gaps.iter().enumerate() {
                let around = at.saturating_sub(BESIDE)..(at + BESIDE + 1).min(gaps.len());
                let others = around.filter(|other| *other != at).map(|other| gaps[other]);
                if let Some(usual) = plain(&others.collect::<Vec<i64>>()) {
                    expected += missing(*gap as f64 / usual) * usual;
                }
            }
            prop_assert_eq!(cadence.lost_between(None), expected);
        }
    }
}
