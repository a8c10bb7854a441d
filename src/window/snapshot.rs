//! What a reader gets: a series and points of it.

use std::sync::Arc;

use super::cursor::Cursor;
use super::excerpt::Excerpt;
use super::id::{LabelTexts, RingId};
use super::point::ValueKind;

/// A series and its points within a range of time, as they were at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(super) id: RingId,
    pub(super) name: Arc<str>,
    pub(super) kind: ValueKind,
    pub(super) labels: LabelTexts,
    pub(super) excerpt: Excerpt,
}

impl Snapshot {
    /// The series.
    #[must_use]
    pub fn id(&self) -> RingId {
        self.id
    }

    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What the values mean.
    #[must_use]
    pub fn kind(&self) -> ValueKind {
        self.kind
    }

    /// Names and values of the labels, sorted by name.
    #[must_use]
    pub fn labels(&self) -> &[(Arc<str>, Arc<str>)] {
        &self.labels
    }

    /// The points.
    #[must_use]
    pub fn excerpt(&self) -> &Excerpt {
        &self.excerpt
    }

    /// Points that reading unpacks; see [`Excerpt::points`].
    #[must_use]
    pub fn points(&self) -> usize {
        self.excerpt.points()
    }

    /// Reads the points, oldest first.
    #[must_use]
    pub fn cursor(&self) -> Cursor<'_> {
        self.excerpt.cursor()
    }
}
