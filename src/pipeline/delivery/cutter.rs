//! How large the pieces are in which a peer takes a request that it finds too large. Pure:
//! nothing is sent here.
//!
//! A peer says that a request is too large, but not which size it would take. So the first
//! half is tried, then half of that, and so on, until the peer takes a piece; the rest is sent
//! in pieces of that size. To divide both halves each time would be the same for a peer with a
//! limit, but a peer that refuses everything would get nearly two requests for each item.
//!
//! A single item that is refused is lost, and the items behind it are tried in pieces that
//! grow again, so that one item that is too large among small ones costs that item alone.
//! Where [`SINGLES`] single items (or all there are) are refused and the peer never took a
//! piece, their size is not the reason: the whole request is given up, and the breaker hears
//! of a failure of the destination. After [`MOST_REFUSALS`] in a row what is left is given up,
//! too.

use std::time::Duration;

use crate::resilience::Outcome;

/// Single items that a peer may refuse before it takes anything. More than one, since the
/// first may really be larger than the peer's limit.
const SINGLES: u32 = 8;

/// Refusals in a row after which the rest is given up: more than it takes to get from any
/// request to a single item and to find that every single one is refused.
const MOST_REFUSALS: u32 = 60;

/// How long a peer that never took a piece may take for its refusals, all of them together. The
/// waits between them don't count.
const MOST_TIME: Duration = Duration::from_secs(10);

/// Pieces taken in a row after which larger ones are tried again: where large items stood
/// before small ones, their size would be too small for the rest.
const ROW: u32 = 4;

/// What becomes of a piece that was too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is sent in smaller pieces.
    Smaller,
    /// It is lost, and what stands behind it goes on.
    Lost,
    /// It is lost with all that stands behind it.
    GivenUp,
}

/// The sizes in which one request is sent, in items.
#[derive(Debug, Clone)]
pub(super) struct Cutter {
    size: u64,
    /// The largest piece that was taken.
    proven: u64,
    /// Single items that were refused before anything was taken.
    singles: u32,
    /// Pieces refused since one was taken; `row` counts those taken since one was refused.
    refusals: u32,
    row: u32,
    /// How long the refusals took.
    spent: Duration,
    /// Whether each piece that is taken is followed by one of twice the size.
    grows: bool,
    /// Whether it grows beyond the largest piece that was taken. It does after a single item
    /// was lost, since that item may be why the larger pieces with it were refused.
    unbounded: bool,
}

impl Cutter {
    /// The whole request is sent at once.
    pub(super) fn new() -> Self {
        Self {
            size: u64::MAX,
            proven: 0,
            singles: 0,
            refusals: 0,
            row: 0,
            spent: Duration::ZERO,
            grows: false,
            unbounded: false,
        }
    }

    /// The most items of the next piece.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The peer took a piece of so many items.
    pub(super) fn taken(&mut self, items: u64) {
        self.proven = self.proven.max(items);
        self.refusals = 0;
        self.row += 1;
        let most = if self.unbounded {
            u64::MAX
        } else {
            self.proven
        };
        if self.size < most && (self.grows || self.row >= ROW) {
            self.grows = true;
            self.size = self.size.saturating_mul(2).min(most);
        }
    }

    /// The peer found a piece of so many items too large and took so long to say it; `last` is
    /// when none is left behind it.
    pub(super) fn too_large(&mut self, items: u64, last: bool, took: Duration) -> Cut {
        let hopeless = self.is_hopeless(items, last, took);
        self.spent = self.spent.saturating_add(took);
        self.refusals += 1;
        self.row = 0;
        self.grows = false;
        if hopeless || self.refusals >= MOST_REFUSALS {
            return Cut::GivenUp;
        }
        if items > 1 {
            self.unbounded = false;
            self.size = items / 2;
            return Cut::Smaller;
        }
        if self.proven == 0 {
            self.singles += 1;
        }
        self.size = self.proven.clamp(1, 2);
        self.grows = true;
        self.unbounded = true;
        Cut::Lost
    }

    /// What the breaker hears if the peer finds the next piece, of so many items, too large and
    /// takes so long: nothing as long as it isn't known whether the peer takes anything.
    pub(super) fn outcome(&self, items: u64, last: bool, took: Duration) -> Outcome {
        if self.proven > 0 {
            Outcome::ClientError
        } else if self.is_hopeless(items, last, took) {
            Outcome::ServerError
        } else {
            Outcome::Cancelled
        }
    }

    /// Whether the peer never took a piece, and the request is given up if it refuses this one.
    fn is_hopeless(&self, items: u64, last: bool, took: Duration) -> bool {
        let singles = items <= 1 && (last || self.singles + 1 >= SINGLES);
        // The refusal of a half must still be in time. Half the bytes are sent in half the time,
        // so that one refusal of six seconds doesn't cost a request that is taken in halves.
        let late = self.spent.saturating_add(took).saturating_add(took / 2) > MOST_TIME;
        self.proven == 0 && (singles || late)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What became of a request.
    #[derive(Debug, Default)]
    struct Course {
        attempts: Vec<u64>,
        taken: u64,
        lost: u64,
        told: Vec<Outcome>,
    }

    /// Sends items of these sizes to a peer that takes pieces up to `limit`.
    fn send(items: &[u64], limit: u64) -> Course {
        send_slowly(items, limit, Duration::ZERO)
    }

    /// The same, where each refusal takes so long.
    fn send_slowly(items: &[u64], limit: u64, took: Duration) -> Course {
        let mut cutter = Cutter::new();
        let mut course = Course::default();
        let mut rest = items;
        while !rest.is_empty() {
            let length = usize::try_from(cutter.size()).unwrap_or(usize::MAX);
            let (piece, behind) = rest.split_at(length.min(rest.len()));
            let (count, last) = (piece.len() as u64, behind.is_empty());
            course.attempts.push(count);
            if piece.iter().sum::<u64>() <= limit {
                cutter.taken(count);
                course.taken += count;
                rest = behind;
                continue;
            }
            course.told.push(cutter.outcome(count, last, took));
            match cutter.too_large(count, last, took) {
                Cut::Smaller => assert!(cutter.size() < count),
                Cut::Lost => {
                    course.lost += count;
                    rest = behind;
                }
                Cut::GivenUp => {
                    course.lost += rest.len() as u64;
                    break;
                }
            }
        }
        course
    }

    #[test]
    fn the_size_of_the_first_piece_that_is_taken_serves_the_rest() {
        let course = send(&[1; 2000], 600);
        assert_eq!(course.attempts, [2000, 1000, 500, 500, 500, 500]);
        assert_eq!((course.taken, course.lost), (2000, 0));
    }

    #[test]
    fn who_refuses_everything_is_asked_a_few_times_and_has_failed() {
        for n in [1, 2, 3, 7, 8, 9, 100, 2000, 1 << 20] {
            let course = send(&vec![1; n], 0);
            assert!(course.attempts.len() <= 60, "{n}: {:?}", course.attempts);
            assert_eq!(course.lost, n as u64);
            let (last, before) = course.told.split_last().unwrap();
            assert_eq!(*last, Outcome::ServerError, "{n}");
            assert!(before.iter().all(|told| *told == Outcome::Cancelled));
        }
    }

    #[test]
    fn a_peer_that_is_slow_to_refuse_everything_has_ten_seconds() {
        let f = |millis: u64, attempts: usize| {
            let course = send_slowly(&[1; 1 << 20], 0, Duration::from_millis(millis));
            assert_eq!(course.attempts.len(), attempts, "{millis}");
            assert_eq!(course.told.last(), Some(&Outcome::ServerError), "{millis}");
        };
        f(0, 28);
        f(500, 20);
        f(1_000, 10);
        f(6_000, 2);
        // Time counts only until a piece is taken.
        let mut items = vec![1; 2000];
        items[1500] = 1_000_000;
        let course = send_slowly(&items, 600, Duration::from_secs(1));
        assert_eq!((course.taken, course.lost), (1999, 1));
    }

    #[test]
    fn a_giant_costs_itself_wherever_it_stands() {
        for place in [0, 1, 2, 499, 500, 777, 1998, 1999] {
            let mut items = vec![1; 2000];
            items[place] = 1_000_000;
            let course = send(&items, 600);
            assert_eq!((course.taken, course.lost), (1999, 1), "{place}");
            let count = course.attempts.len();
            assert!(count <= 60, "{place}: {count}");
            assert!(!course.told.contains(&Outcome::ServerError), "{place}");
        }
    }

    #[test]
    fn a_peer_that_takes_one_and_then_nothing_is_not_asked_for_each() {
        let mut items = vec![1_000; 10_000];
        items[0] = 1;
        let course = send(&items, 10);
        assert_eq!(course.taken, 1);
        assert!(course.attempts.len() <= 100, "{}", course.attempts.len());
    }

    fn binary_digits(n: usize) -> usize {
        n.next_power_of_two().trailing_zeros() as usize + 1
    }

    proptest! {
        #[test]
        fn equal_items_need_the_descent_and_twice_the_parts_at_most(
            n in 1_usize..5_000,
            limit in 1_u64..6_000,
        ) {
            let course = send(&vec![1; n], limit);
            prop_assert_eq!(course.taken, n as u64);
            let parts = n.div_ceil(limit as usize);
            prop_assert!(course.attempts.len() <= binary_digits(n) + 2 * parts + 1);
        }

        #[test]
        fn what_fits_is_taken_whatever_stands_beside_it(
            mut items in prop::collection::vec(1_u64..100, 1..3_000),
            giants in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
            limit in 100_u64..10_000,
        ) {
            for giant in &giants {
                let place = giant.index(items.len());
                items[place] = 1_000_000;
            }
            let small: Vec<u64> = items.iter().copied().filter(|size| *size < 100).collect();
            let course = send(&items, limit);
            prop_assert_eq!(course.taken, small.len() as u64);
            let parts = small.iter().sum::<u64>().div_ceil(limit) as usize;
            let bound = 6 * parts + (giants.len() + 1) * 4 * binary_digits(items.len()) + 8;
            prop_assert!(course.attempts.len() <= bound, "{} > {bound}", course.attempts.len());
        }
    }
}
