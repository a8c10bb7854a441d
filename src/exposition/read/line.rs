//! What lines of both text formats have: names, values in quotes, and what a line says.

use super::cursor::{Source, begins_metric, line_of, metric_end, quoted};
use super::labels::{Escapes, PageLabel, PageText};
use super::{
    FamilyType, Measured, PageEntry, PageError, PageExemplar, PageFault, PageLimits, PageMetadata,
    PageSeries, PageValue,
};

/// What is wrong with a name in quotes that nothing can have.
pub(super) const NO_NAME: &str = "a name is empty, has a NUL or is not UTF-8";

/// What a line has.
pub(super) enum PageLine<'p> {
    Again {
        value: f64,
        timestamp: Option<i64>,
    },
    Series {
        identity: &'p [u8],
        name: PageText<'p>,
        value: f64,
        timestamp: Option<i64>,
    },
    Metadata(PageMetadata<'p>),
}

impl<'p> PageLine<'p> {
    /// The line as an entry. `labels` and `exemplars` are those that it has, `kind` is the type
    /// that the page said last.
    #[inline]
    pub(super) fn entry<'r>(
        self,
        labels: &'r [PageLabel<'p>],
        kind: FamilyType,
        exemplars: &'r [PageExemplar<'p>],
    ) -> PageEntry<'p, 'r> {
        let reading = |value, timestamp| PageValue {
            value: Measured::Number(value),
            timestamp,
            created: None,
            exemplars,
        };
        match self {
            Self::Again { value, timestamp } => PageEntry::Again(reading(value, timestamp)),
            Self::Series {
                identity,
                name,
                value,
                timestamp,
            } => PageEntry::Series(PageSeries {
                identity,
                name,
                suffix: "",
                labels,
                part: None,
                kind,
                reading: reading(value, timestamp),
            }),
            Self::Metadata(entry) => PageEntry::Metadata(entry),
        }
    }
}

impl PageFault {
    /// The fault of the line in which `at` lies.
    #[cold]
    pub(super) fn at_line(self, page: &[u8], at: usize) -> PageError {
        PageError {
            unit: "line",
            number: line_of(page, at),
            what: self.what,
            is_limit: self.is_limit,
        }
    }
}

/// A name without quotes, from its beginning to its end.
#[inline]
pub(super) fn bare_name<'p>(
    page: &Source<'p>,
    limits: &PageLimits,
    from: usize,
    end: usize,
) -> Result<PageText<'p>, PageFault> {
    if end - from > limits.name_bytes {
        return Err(PageFault::beyond("a name is too long"));
    }
    // ASCII, all of it.
    let name = page.text(from, end).unwrap_or_default();
    Ok(PageText::plain(name))
}

/// A name in quotes whose content begins at `from`, and where it ends. `None` for one that nothing
/// can have.
pub(super) fn name_in_quotes<'p>(
    page: &Source<'p>,
    limits: &PageLimits,
    from: usize,
    newlines: bool,
) -> Result<(Option<PageText<'p>>, usize), PageFault> {
    let found =
        quoted(page.bytes, from, limits.name_bytes, newlines).map_err(|fault| fault.of_name())?;
    let name = page.text(from, found.end);
    let name = name.filter(|name| !name.is_empty() && !name.contains('\0'));
    let name = name.map(|name| PageText::escaped(name, Escapes::Quoted, found.has_backslash));
    Ok((name, found.end + 1))
}

/// A label's value whose content begins at `from`, and where it ends.
#[inline]
pub(super) fn value_in_quotes<'p>(
    page: &Source<'p>,
    limits: &PageLimits,
    from: usize,
    newlines: bool,
) -> Result<(PageText<'p>, usize), PageFault> {
    let found =
        quoted(page.bytes, from, limits.value_bytes, newlines).map_err(|fault| fault.of_value())?;
    let value = page
        .text(from, found.end)
        .ok_or("a label value is not UTF-8")?;
    let value = PageText::escaped(value, Escapes::Quoted, found.has_backslash);
    Ok((value, found.end + 1))
}

/// The name of a family that metadata is about, and where it ends. `None` for one that no series
/// can have: Prometheus accepts such metadata.
pub(super) fn family_name<'p>(
    page: &Source<'p>,
    limits: &PageLimits,
    at: usize,
) -> Result<(Option<PageText<'p>>, usize), PageFault> {
    match page.byte(at) {
        Some(b'"') => {
            let found = quoted(page.bytes, at + 1, limits.name_bytes, true)
                .map_err(|fault| fault.of_name())?;
            let name = page
                .text(at + 1, found.end)
                .filter(|name| !name.is_empty())
                .map(|name| PageText::escaped(name, Escapes::Quoted, found.has_backslash));
            Ok((name, found.end + 1))
        }
        Some(byte) if begins_metric(byte) => {
            let end = metric_end(page.bytes, at);
            Ok((Some(bare_name(page, limits, at, end)?), end))
        }
        _ => Err("expected the name of a metric family".into()),
    }
}
