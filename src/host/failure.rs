//! Why a part of the host couldn't be read.

/// A part that gave no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnreadPart {
    /// Its name, such as `memory` or `filesystem /data`.
    pub(crate) part: String,
    pub(crate) reason: UnreadReason,
    /// What happened, in words.
    pub(crate) message: String,
}

/// The kinds of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnreadReason {
    /// The system refused it: permission is denied, or the disk has an error.
    Refused,
    /// It didn't answer by the deadline.
    Timeout,
    /// It isn't in the kernel's form.
    Parse,
    /// A limit of the agent.
    Limit,
}

impl UnreadPart {
    pub(crate) fn new(
        part: impl Into<String>,
        reason: UnreadReason,
        message: impl Into<String>,
    ) -> Self {
        Self {
            part: part.into(),
            reason,
            message: message.into(),
        }
    }
}
