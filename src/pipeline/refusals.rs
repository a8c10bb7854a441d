//! What a receiver handed over and what it was refused, and why.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use crate::component::ComponentId;
use crate::pdata::Signal;

/// What one receiver handed over in one signal.
#[derive(Debug)]
pub(super) struct ReceiverAccount {
    pub(super) receiver: ComponentId,
    pub(super) signal: Signal,
    pub(super) accepted: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) refusals: [RefusalAccount; RefusalReason::ALL.len()],
}

/// Requests that were refused before they were decoded.
#[derive(Debug, Default)]
pub(super) struct RefusalAccount {
    pub(super) requests: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefusalReason {
    MemoryLimit,
    /// It needs more than the memory limit, so that it would be refused at any time.
    TooLarge,
    QueueFull,
    Shutdown,
    Unavailable,
}

impl ReceiverAccount {
    pub(super) fn new(receiver: &ComponentId, signal: Signal) -> Arc<Self> {
        Arc::new(Self {
            receiver: receiver.clone(),
            signal,
            accepted: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refusals: Default::default(),
        })
    }
}

impl RefusalReason {
    pub(super) const ALL: [RefusalReason; 5] = [
        Self::MemoryLimit,
        Self::TooLarge,
        Self::QueueFull,
        Self::Shutdown,
        Self::Unavailable,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::MemoryLimit => "memory_limit",
            Self::TooLarge => "too_large",
            Self::QueueFull => "queue_full",
            Self::Shutdown => "shutdown",
            Self::Unavailable => "unavailable",
        }
    }

    /// Short where memory is full, since it is free again when a request has passed through;
    /// longer where a queue is full, since a destination is then down or slow, and where the
    /// agent shuts down, since it has to start again.
    pub(super) fn retry_after(self) -> Option<Duration> {
        let seconds = match self {
            Self::TooLarge => return None,
            Self::MemoryLimit => 1,
            Self::QueueFull | Self::Shutdown => 5,
            Self::Unavailable => 30,
        };
        Some(Duration::from_secs(seconds))
    }
}
