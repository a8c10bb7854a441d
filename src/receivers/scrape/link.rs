//! The two ways to reach a target's poller from outside: to have it ask its scraper again, and to
//! tell it that the target was removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::Notify;

/// Has the schedule ask a scraper for its wish again, such as after news that a task of the
/// receiver's brought. Cheap to clone; clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Nudge(Arc<Notify>);

impl Nudge {
    /// The poller asks again, at once or when its current poll is over. Several calls meanwhile
    /// count once.
    pub fn ask_again(&self) {
        self.0.notify_one();
    }
}

/// Whether a target is among those that its receiver polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Membership {
    /// It is.
    Member,
    /// It was removed, and its series end at the next tick.
    Leaving,
    /// It was removed, and another waits for the end of its series.
    Succeeded,
}

/// What a poller and the controller know together of one target.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The discriminant of a [`Membership`], or [`ENDED`]. No other memory depends on it.
    state: AtomicU8,
    nudge: Nudge,
}

const MEMBER: u8 = Membership::Member as u8;
const LEAVING: u8 = Membership::Leaving as u8;
const SUCCEEDED: u8 = Membership::Succeeded as u8;
/// The poller writes the tombstones.
const ENDED: u8 = SUCCEEDED + 1;

impl Link {
    pub(super) fn new(nudge: Nudge) -> Self {
        Self {
            state: AtomicU8::new(MEMBER),
            nudge,
        }
    }

    /// As it is until the poller acts on it.
    pub(super) fn membership(&self) -> Membership {
        match self.state.load(Ordering::Relaxed) {
            MEMBER => Membership::Member,
            LEAVING => Membership::Leaving,
            _ => Membership::Succeeded,
        }
    }

    /// Tells the poller that the target was removed. Nothing to one that was removed before.
    pub(super) fn remove(&self) {
        self.change(MEMBER, LEAVING);
    }

    /// Tells a poller whose target was removed that another one waits.
    pub(super) fn succeed(&self) {
        self.change(LEAVING, SUCCEEDED);
    }

    /// Takes a removal back. False if it is too late: the target will end, and can then begin
    /// anew.
    pub(super) fn recall(&self) -> bool {
        self.change(LEAVING, MEMBER)
    }

    /// For the poller: whether the target is to end now. From then on it can't be recalled.
    pub(super) fn end(&self) -> bool {
        let ending = |state| (state != MEMBER).then_some(ENDED);
        let ended = self
            .state
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, ending);
        ended.is_ok()
    }

    /// For the poller: resolves when something has changed since it last did. Cancel safe.
    pub(super) async fn changed(&self) {
        self.nudge.0.notified().await;
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::Relaxed, Ordering::Relaxed);
        if changed.is_ok() {
            self.nudge.ask_again();
        }
        changed.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_was_removed_can_be_recalled_until_it_ends() {
        let link = Link::new(Nudge::default());
        assert!(!link.end(), "a member");
        link.succeed();
        assert_eq!(link.membership(), Membership::Member, "nobody was removed");
        link.remove();
        assert!(link.recall());
        assert_eq!(link.membership(), Membership::Member);
        link.remove();
        link.succeed();
        assert_eq!(link.membership(), Membership::Succeeded);
        assert!(!link.recall(), "another waits");
        assert!(link.end());
        assert!(!link.recall());
    }
}
