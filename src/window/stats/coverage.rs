//! How much of a window there are points for.
//!
//! No series says at which interval it has points, so that is read from the gaps between them.
//! Each gap is compared with the twelve on either side of it, without itself. The usual one is
//! the length that several of them have: what was lost leaves gaps that are a multiple of it,
//! and points that come beside the others, such as those of a breaker that tries again, leave
//! gaps of any length. The median would be hardly longer than these, so that every other gap
//! would look too long. Where the usual gap fits in twice or more, rounded, points are
//! missing, unless as long a gap follows: from then on points come less often.

use super::super::excerpt::Excerpt;

/// Gaps on either side with which one is compared.
const BESIDE: usize = 12;

/// So many gaps of one length in a row are no accident.
const CADENCE: usize = 3;

/// Gaps have one length if they differ by no more than one part in this many.
const SAME: i64 = 8;

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
    /// The square root of the length.
    weight: f64,
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
            match chunk.step().filter(|_| within) {
                Some(step) => self.add_regular(chunk.first, step, chunk.count as usize),
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
        let mut lost = self.lost_at_ends((from, to), usual);
        for (at, run) in self.runs.iter().enumerate() {
            if run.count < CADENCE
                && let Some(usual) = self.usual_beside(at).or(usual)
            {
                lost += run.count as f64 * missing(run.gap as f64 / usual) * usual;
            }
        }
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
            self.add_regular(*time, 0, 1);
        }
    }

    /// Adds points behind the others that follow each other at one interval.
    fn add_regular(&mut self, first: i64, step: i64, count: usize) {
        if self.points == 0 {
            self.first = first;
        } else {
            self.add_gaps(first.saturating_sub(self.last), 1);
        }
        let more = count.saturating_sub(1);
        self.add_gaps(step, more);
        let length = step.saturating_mul(i64::try_from(more).unwrap_or(i64::MAX));
        self.last = first.saturating_add(length);
        self.points += count;
    }

    fn add_gaps(&mut self, gap: i64, count: usize) {
        if gap <= 0 || count == 0 {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if (gap - run.gap).abs() <= run.gap / SAME => run.count += count,
            _ => self.runs.push(GapRun {
                gap,
                count,
                weight: (gap as f64).sqrt(),
            }),
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

    /// The usual gap around those of a run; `None` if there is no other.
    fn usual_beside(&self, at: usize) -> Option<f64> {
        let (before, rest) = self.runs.split_at_checked(at)?;
        let (run, behind) = rest.split_first()?;
        let own = (*run, run.count - 1);
        let sides = beside(before.iter().rev()).chain(beside(behind.iter()));
        usual_of(sides.chain(std::iter::once(own)), run.gap)
    }

    /// The usual gap of the first runs of these, which begin at an end of the window.
    fn usual_at_end<'r>(&self, mut runs: impl Iterator<Item = &'r GapRun> + Clone) -> Option<f64> {
        let all = runs.clone();
        match runs.next()? {
            run if run.count >= CADENCE => Some(run.gap as f64),
            _ => usual_of(beside(all), i64::MAX),
        }
    }
}

/// The first gaps of runs, with how many there are of each.
fn beside<'r>(runs: impl Iterator<Item = &'r GapRun>) -> impl Iterator<Item = (GapRun, usize)> {
    let mut left = BESIDE;
    runs.map_while(move |run| {
        let count = run.count.min(left);
        left -= count;
        (count > 0).then_some((*run, count))
    })
}

/// The length that most of these gaps have, where each weighs as the square root of its length: a
/// few short ones don't outweigh the others, nor does an outage. `None` of none. It is exact
/// only if it makes points missing in `gap`.
fn usual_of(gaps: impl Iterator<Item = (GapRun, usize)>, gap: i64) -> Option<f64> {
    let gaps = gaps.filter(|(_, count)| *count > 0);
    let mut gaps: Vec<(i64, f64)> = gaps
        .map(|(run, count)| (run.gap, run.weight * count as f64))
        .collect();
    let shortest = gaps.iter().map(|(gap, _)| *gap).min()?;
    if missing(gap as f64 / shortest as f64) == 0.0 {
        return Some(gap as f64);
    }
    gaps.sort_unstable_by_key(|(gap, _)| *gap);
    let mut best = (0.0, shortest);
    for (at, (gap, _)) in gaps.iter().enumerate() {
        let longest = gap.saturating_add(gap / SAME);
        let same = gaps.iter().skip(at).take_while(|(gap, _)| *gap <= longest);
        let (mut weight, mut middle) = (0.0, *gap);
        let all: f64 = same.clone().map(|(_, weight)| weight).sum();
        for (gap, more) in same {
            if weight * 2.0 < all {
                middle = *gap;
            }
            weight += more;
        }
        if all > best.0 {
            best = (all, middle);
        }
    }
    Some(best.1 as f64)
}

/// Points that are missing in a gap as long as so many usual ones.
fn missing(gaps: f64) -> f64 {
    (gaps.round() - 1.0).max(0.0)
}
