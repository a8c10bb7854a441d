//! What one replica did over the last interval.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::growth::Growth;
use super::sum::TrafficSum;

/// So many pieces of an interval are told apart: with an interval of 15 s, seconds.
const PIECES: u32 = 15;

/// The longest that is waited for the next reading of a replica. One that reports less often leaves
/// the sum in between.
const LONGEST_PERIOD: Duration = Duration::from_secs(600);

/// How much later than usual a reading may come.
const SLACK: Duration = Duration::from_secs(2);

/// Times that lie apart by no more than this, in nanoseconds, are of one reading: an SDK may read the
/// clock once for each of its instruments.
const ONE_READING: u64 = 100_000_000;

/// Whether a replica is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplicaPresence {
    /// It reports.
    Reporting,
    /// Nothing was heard for longer than it takes between two of its readings.
    Silent,
}

/// What one replica counted, for the last interval before its newest reading. Times of readings
/// are its own, in nanoseconds; only their differences matter.
#[derive(Debug)]
pub struct ReplicaTraffic {
    /// In nanoseconds.
    interval: u64,
    /// The time of the newest reading.
    newest: Option<u64>,
    /// Since when it is known what happened.
    known_since: u64,
    /// Oldest first; none overlaps another.
    pieces: VecDeque<TrafficPiece>,
    /// When the newest reading arrived.
    heard: Instant,
    /// The time that the newest reading spans.
    period: Duration,
    /// What the pieces come to for each second.
    per_second: Option<TrafficSum>,
}

#[derive(Debug)]
struct TrafficPiece {
    from: u64,
    to: u64,
    growth: Growth,
}

impl ReplicaTraffic {
    /// A replica of which nothing is known yet.
    #[must_use]
    pub fn new(interval: Duration, now: Instant) -> Self {
        Self {
            interval: nanos(interval),
            newest: None,
            known_since: 0,
            pieces: VecDeque::new(),
            heard: now,
            period: Duration::ZERO,
            per_second: None,
        }
    }

    /// The time of the newest reading; `None` before the first.
    #[must_use]
    pub fn newest(&self) -> Option<u64> {
        self.newest
    }

    /// The time of the reading that a point of this time belongs to, which is the newest reading
    /// where the two lie close together.
    #[must_use]
    pub fn reading_of(&self, time: u64) -> u64 {
        let newest = self.newest;
        let newest = newest.filter(|newest| newest.abs_diff(time) <= ONE_READING);
        newest.unwrap_or(time)
    }

    /// The interval, in nanoseconds.
    #[must_use]
    pub fn interval(&self) -> u64 {
        self.interval
    }

    /// Takes a reading of the time `to`, which isn't before the newest one, and answers where to
    /// add what was counted since `from`, or since the newest reading if that is later or `from` is
    /// `None`. `None` if there is no time in between: then the reading is only what later ones are
    /// compared with.
    ///
    /// Readings of one time are one reading, whichever series they are of.
    pub fn read(&mut self, from: Option<u64>, to: u64, now: Instant) -> Option<&mut Growth> {
        self.heard = now;
        self.per_second = None;
        let before = self.newest.replace(to);
        let has_piece = self.pieces.back().is_some_and(|piece| piece.to == to);
        if before == Some(to) && has_piece {
            return self.pieces.back_mut().map(|piece| &mut piece.growth);
        }
        // A reading may cover less time than there was since the one before: then nothing
        // happened in between.
        let from = match (from, before) {
            (Some(from), Some(before)) => from.max(before),
            (from, before) => from.or(before)?,
        };
        if from >= to {
            return None;
        }
        if self.pieces.is_empty() {
            self.known_since = from;
        }
        self.period = Duration::from_nanos(to - from);
        let shortest = self.interval / u64::from(PIECES);
        let joins = self
            .pieces
            .back()
            .is_some_and(|last| to - last.from <= shortest);
        if !joins {
            let growth = Growth::default();
            self.pieces.push_back(TrafficPiece { from, to, growth });
        }
        let begin = to.saturating_sub(self.interval);
        while self.pieces.len() > 1 && self.pieces.front().is_some_and(|piece| piece.to <= begin) {
            self.pieces.pop_front();
        }
        let last = self.pieces.back_mut()?;
        last.to = to;
        Some(&mut last.growth)
    }

    /// Forgets all readings: those that follow have nothing to do with them.
    pub fn restart(&mut self) {
        self.newest = None;
        self.pieces.clear();
        self.per_second = None;
    }

    /// Whether it still reports.
    #[must_use]
    pub fn presence(&self, now: Instant) -> ReplicaPresence {
        match now < self.silent_at() {
            true => ReplicaPresence::Reporting,
            false => ReplicaPresence::Silent,
        }
    }

    /// When it counts as silent, if nothing is heard until then.
    #[must_use]
    pub fn silent_at(&self) -> Instant {
        let usual = 2 * self.period.min(LONGEST_PERIOD);
        self.heard + usual.max(Duration::from_nanos(self.interval)) + SLACK
    }

    /// What it comes to for each second of the last interval; `None` before the second reading.
    pub fn per_second(&mut self) -> Option<&TrafficSum> {
        if self.per_second.is_none() {
            let (first, last) = (self.pieces.front()?, self.pieces.back()?);
            // Between two pieces nothing happened, and neither did before the first of several.
            let begin = last.to.saturating_sub(self.interval).max(self.known_since);
            let seconds = Duration::from_nanos(last.to - first.from.min(begin)).as_secs_f64();
            let mut all = Growth::default();
            for piece in &self.pieces {
                all.add(&piece.growth);
            }
            self.per_second = Some(TrafficSum::per_second(&all, seconds));
        }
        self.per_second.as_ref()
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
