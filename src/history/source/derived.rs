//! The series that one stored histogram or summary is shown as.

use std::cmp::Ordering;
use std::sync::Arc;

use crate::exposition::canonical;
use crate::query::{LabelPair, LabelSet};
use crate::window::ValueKind;

/// The label that holds a series' name.
pub(super) const NAME: &str = "__name__";

/// What of a stored series one shown series has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum DerivedPart {
    /// The observations up to a bound.
    Bucket(f64),
    /// The value of a quantile.
    Quantile(f64),
    /// All observations.
    Count,
    /// Their sum.
    Sum,
}

impl DerivedPart {
    /// The order in which the parts of one stored series are shown.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let rank = |part: &Self| match *part {
            Self::Bucket(bound) => (0, bound),
            Self::Quantile(quantile) => (1, quantile),
            Self::Count => (2, 0.0),
            Self::Sum => (3, 0.0),
        };
        let (mine, others) = (rank(self), rank(other));
        let by_number = || mine.1.total_cmp(&others.1);
        mine.0.cmp(&others.0).then_with(by_number)
    }

    /// What is appended to the stored name.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Bucket(_) => "_bucket",
            Self::Quantile(_) => "",
            Self::Count => "_count",
            Self::Sum => "_sum",
        }
    }

    /// The label that it has beside the stored ones.
    pub(super) fn label(self) -> Option<(&'static str, String)> {
        match self {
            Self::Bucket(bound) => Some(("le", canonical(bound))),
            Self::Quantile(quantile) => Some(("quantile", canonical(quantile))),
            Self::Count | Self::Sum => None,
        }
    }
}

/// The label that tells the buckets or quantiles of a stored series apart.
pub(super) fn dividing_label(kind: ValueKind) -> Option<&'static str> {
    match kind {
        ValueKind::Histogram => Some("le"),
        ValueKind::Summary => Some("quantile"),
        ValueKind::Gauge | ValueKind::Counter | ValueKind::ExponentialHistogram => None,
    }
}

/// The word for a kind, on pages and as the value of the label for types.
pub(super) fn word(kind: ValueKind) -> &'static str {
    match kind {
        ValueKind::Gauge => "gauge",
        ValueKind::Counter => "counter",
        ValueKind::Histogram | ValueKind::ExponentialHistogram => "histogram",
        ValueKind::Summary => "summary",
    }
}

/// Whether series of two kinds, equal in name and labels, are shown with equal labels.
pub(super) fn are_shown_alike(one: ValueKind, other: ValueKind) -> bool {
    // Those that are shown in parts have parts that are alike, and the others are one each.
    dividing_label(one).is_some() == dividing_label(other).is_some()
}

/// The suffixes of the series that a stored one of this kind is shown as.
pub(super) fn suffixes(kind: ValueKind) -> &'static [&'static str] {
    match kind {
        ValueKind::Histogram => &["_bucket", "_count", "_sum"],
        ValueKind::Summary => &["", "_count", "_sum"],
        ValueKind::Gauge | ValueKind::Counter | ValueKind::ExponentialHistogram => &[""],
    }
}

/// The labels of a part, made of those of the stored series.
pub(super) fn part_labels(stored: &LabelSet, part: DerivedPart) -> LabelSet {
    let suffix = part.suffix();
    let mut labels = Vec::with_capacity(stored.iter().count() + 1);
    labels.extend(stored.iter().map(|label| {
        if &*label.name == NAME && !suffix.is_empty() {
            let name = format!("{}{suffix}", label.value);
            LabelPair::new(Arc::clone(&label.name), name)
        } else {
            label.clone()
        }
    }));
    labels.extend(
        part.label()
            .map(|(name, value)| LabelPair::new(name, value)),
    );
    LabelSet::new(labels)
}
