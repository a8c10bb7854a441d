//! What the store refuses, and what it can't read.

use thiserror::Error;

/// Why bytes aren't a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Corrupt {
    /// They end before the chunk does.
    #[error("the chunk ends too early")]
    Short,
    /// They go on behind the chunk.
    #[error("bytes follow the chunk")]
    Long,
    /// An integer has more than ten bytes.
    #[error("an integer of a chunk has no end")]
    Varint,
    /// A count is above what a chunk may hold.
    #[error("a chunk says that it holds more than a chunk can")]
    Count,
    /// Packed integers have more than 64 bits.
    #[error("a chunk says that integers have more than 64 bits")]
    Width,
    /// A form that nothing writes.
    #[error("a chunk has a form that is not known")]
    Form,
    /// Timestamps don't ascend.
    #[error("the timestamps of a chunk do not ascend")]
    Order,
}

/// Why a point or a series was not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum StoreRefusal {
    /// There are as many series as there may be.
    #[error("there are as many series as max_series allows")]
    MaxSeries,
    /// There is no memory left that dropping old points would free.
    #[error("the series take as much memory as max_memory allows")]
    MaxMemory,
    /// The point is too far behind the newest of its series.
    #[error("the point is older than out_of_order_window allows")]
    TooOld,
    /// The point is too far ahead of the time of its arrival.
    #[error("the point lies too far in the future")]
    TooFarAhead,
    /// The series is not there (any more).
    #[error("the series has expired")]
    UnknownSeries,
    /// The point is not of the series' kind, or contradicts itself.
    #[error("the point is not one of its series' kind")]
    WrongKind,
    /// The point has too many buckets or quantiles.
    #[error("the point has more buckets or quantiles than a point may have")]
    TooWide,
    /// There is no form for the point, such as for an exponential histogram of too coarse a scale.
    #[error("the point has no form in which it could be stored")]
    Unsupported,
    /// A text of the point or its series is longer than whoever fills the store allows.
    #[error("a text of the point is too long")]
    Oversized,
    /// The point is a change that whoever fills the store has added already.
    #[error("the point is a delta that was counted already")]
    OutOfOrder,
}

impl StoreRefusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::MaxSeries,
        Self::MaxMemory,
        Self::TooOld,
        Self::TooFarAhead,
        Self::UnknownSeries,
        Self::WrongKind,
        Self::TooWide,
        Self::Unsupported,
        Self::Oversized,
        Self::OutOfOrder,
    ];

    /// The reason as a label's value.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::MaxSeries => "max_series",
            Self::MaxMemory => "max_memory",
            Self::TooOld => "too_old",
            Self::TooFarAhead => "too_far_ahead",
            Self::UnknownSeries => "unknown_series",
            Self::WrongKind => "wrong_kind",
            Self::TooWide => "too_wide",
            Self::Unsupported => "unsupported",
            Self::Oversized => "oversized",
            Self::OutOfOrder => "out_of_order",
        }
    }
}
