//! Edits encoded batches by splicing: attributes are replaced, and resources, scopes,
//! metrics, points, spans and log records removed, while everything else is copied as it
//! stands, unknown fields included.
//!
//! An [`Edit`] is asked level by level what becomes of what it is shown. Where it changes
//! something, the bytes up to there are copied, and the lengths of the messages around it
//! mended when they end; what lies between two changes is one copy. A part in which nothing
//! changes stays the very same bytes.
//!
//! A metric that loses all its points is removed as well, and likewise a scope that loses all
//! its metrics, spans or records, and a resource that loses all its scopes. One that was empty
//! from the start stays.

mod attributes;
mod editor;

use super::view::{LogRecord, Metric, Point, Resource, Scope, Span};
use super::{Batch, Part};

pub use attributes::{AttributeWriter, Replacement};
use editor::Editor;

/// What becomes of a resource, a scope, a metric, or one of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It stays, and what is in it is looked at.
    Keep,
    /// It stays with everything in it, unseen.
    Skip,
    /// It goes, with everything in it.
    Drop,
}

/// An edit of a batch. Every method keeps what it is shown, unless it is written otherwise.
///
/// Attributes are replaced by writing new ones into the [`Replacement`]; one that is left
/// alone leaves the attributes alone. What a method is shown of the levels above is as it
/// came, before the edit.
pub trait Edit {
    /// Decides on a resource; one without attributes is shown where the sender names none.
    fn resource(&mut self, _resource: Resource<'_>, _new: &mut Replacement) -> Action {
        Action::Keep
    }

    /// Decides on a scope; a nameless one is shown where the sender names none.
    fn scope(
        &mut self,
        _resource: Resource<'_>,
        _scope: Scope<'_>,
        _new: &mut Replacement,
    ) -> Action {
        Action::Keep
    }

    /// Decides on a metric, before its points.
    fn metric(&mut self, _at: At<'_>, _metric: &Metric<'_>) -> Action {
        Action::Keep
    }

    /// Decides on a data point.
    fn point(
        &mut self,
        _at: At<'_>,
        _metric: &Metric<'_>,
        _point: &Point<'_>,
        _new: &mut Replacement,
    ) -> Action {
        Action::Keep
    }

    /// Decides on a span.
    fn span(&mut self, _at: At<'_>, _span: &Span<'_>, _new: &mut Replacement) -> Action {
        Action::Keep
    }

    /// Decides on a log record.
    fn log_record(
        &mut self,
        _at: At<'_>,
        _record: &LogRecord<'_>,
        _new: &mut Replacement,
    ) -> Action {
        Action::Keep
    }
}

/// Where a metric, span or log record stands.
#[derive(Debug, Clone, Copy)]
pub struct At<'a> {
    /// The resource that it is about.
    pub resource: Resource<'a>,
    /// The library that made it.
    pub scope: Scope<'a>,
}

impl Batch {
    /// Edits every part, and says how many items were removed.
    pub fn edit(&mut self, edit: &mut impl Edit) -> u64 {
        let before = self.items();
        let signal = self.signal;
        self.parts.retain_mut(|part| {
            let source = part.regular_bytes(signal);
            let Some((bytes, removed)) = Editor::run(signal, source, edit) else {
                return true;
            };
            *part = Part {
                items: part.items.saturating_sub(removed),
                bytes: bytes.into(),
                irregular: None,
                keep: part.keep,
            };
            !part.bytes.is_empty()
        });
        before - self.items()
    }
}

#[cfg(test)]
mod tests;
