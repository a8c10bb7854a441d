//! A timer that follows a deadline which moves, comes and goes.

use std::pin::Pin;

use tokio::time::{Instant, Sleep, sleep_until};

/// One reusable timer. It is registered with the runtime only while a deadline is set, so
/// that waiting without one costs nothing.
#[derive(Debug, Default)]
pub(super) struct Alarm {
    at: Option<Instant>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Alarm {
    pub(super) fn set(&mut self, at: Option<Instant>) {
        if self.at == at {
            return;
        }
        self.at = at;
        match (at, &mut self.sleep) {
            (Some(at), Some(sleep)) => sleep.as_mut().reset(at),
            (Some(at), None) => self.sleep = Some(Box::pin(sleep_until(at))),
            (None, _) => self.sleep = None,
        }
    }

    /// Resolves at the deadline, and never without one. Cancel safe.
    pub(super) async fn ring(&mut self) {
        match &mut self.sleep {
            Some(sleep) => {
                sleep.as_mut().await;
                // An alarm that has rung rings again only after it is set again.
                self.at = None;
                self.sleep = None;
            }
            None => std::future::pending().await,
        }
    }
}
