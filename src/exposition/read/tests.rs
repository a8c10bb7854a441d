//! What is read and what is refused, format by format. `tests/pages.rs` compares with Prometheus
//! itself, on many more pages.

use super::*;

mod openmetrics;
mod protobuf;
mod text;

/// A page as one line for each entry.
fn read(page: &[u8], format: PageFormat) -> Result<Vec<String>, PageError> {
    read_within(page, format, PageLimits::default())
}

fn read_within(
    page: &[u8],
    format: PageFormat,
    limits: PageLimits,
) -> Result<Vec<String>, PageError> {
    let mut reader = PageReader::new(page, format, limits).native_histograms(true, true);
    let mut lines = Vec::new();
    while let Some(entry) = reader.next(b"")? {
        lines.push(shown(&entry));
    }
    Ok(lines)
}

fn shown(entry: &PageEntry<'_, '_>) -> String {
    match entry {
        PageEntry::Metadata(PageMetadata::Type { name, kind }) => {
            format!("TYPE {} {}", name.text(), kind.as_str())
        }
        PageEntry::Metadata(PageMetadata::Help { name, text }) => {
            format!("HELP {} {:?}", name.text(), text.text())
        }
        PageEntry::Metadata(PageMetadata::Unit { name, unit }) => {
            format!("UNIT {} {unit}", name.text())
        }
        PageEntry::Again(reading) => format!("again {}", shown_value(reading)),
        PageEntry::Series(series) => {
            let labels: Vec<String> = series
                .labels()
                .map(|(name, value)| format!("{name}={value:?}"))
                .collect();
            format!("{} {}", labels.join(","), shown_value(&series.reading))
        }
    }
}

fn shown_value(reading: &PageValue<'_, '_>) -> String {
    let mut shown = match &reading.value {
        Measured::Number(number) => number.to_string(),
        Measured::Histogram(histogram) => format!("{histogram:?}"),
    };
    if let Some(timestamp) = reading.timestamp {
        shown.push_str(&format!(" @{timestamp}"));
    }
    if let Some(created) = reading.created {
        shown.push_str(&format!(" since {created}"));
    }
    for exemplar in reading.exemplars {
        let labels: Vec<String> = exemplar
            .labels
            .iter()
            .map(|label| format!("{}={:?}", label.name.text(), label.value.text()))
            .collect();
        shown.push_str(&format!(" # {} {}", labels.join(","), exemplar.value));
        if let Some(timestamp) = exemplar.timestamp {
            shown.push_str(&format!(" @{timestamp}"));
        }
    }
    shown
}

/// Reads a page twice, the second time expecting what the first one showed. The values must be the
/// same, and no series may come that wasn't expected.
#[track_caller]
fn comes_again(page: &[u8], format: PageFormat) {
    let limits = PageLimits::default();
    let mut reader = PageReader::new(page, format, limits).native_histograms(true, true);
    let mut known = Vec::new();
    while let Some(entry) = reader.next(b"").unwrap() {
        if let PageEntry::Series(series) = entry {
            known.push((series.identity.to_vec(), shown_value(&series.reading)));
        }
    }
    let mut reader = PageReader::new(page, format, limits).native_histograms(true, true);
    let mut next = known.iter();
    let mut expected = next.next();
    while let Some(entry) = reader
        .next(expected.map_or(b"", |(identity, _)| identity))
        .unwrap()
    {
        match entry {
            PageEntry::Metadata(_) => {}
            PageEntry::Again(reading) => {
                assert_eq!(shown_value(&reading), expected.unwrap().1);
                expected = next.next();
            }
            PageEntry::Series(series) => panic!("{series:?} instead of {expected:?}"),
        }
    }
    assert!(expected.is_none(), "{expected:?}");
}
