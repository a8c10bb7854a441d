//! Prometheus text 0.0.4, which with names in quotes is also 1.0.0.
//!
//! Prometheus's lexer is more permissive than the format's description: a value may follow a name
//! at once, commas between labels may be missing, a label value may have newlines, and one
//! character, whichever it is, separates a family's name from its type. So is this one.

use super::cursor::{
    Source, begins_label, begins_metric, continues_metric, label_end, line_end, metric_end,
};
use super::labels::{Escapes, PageLabel, PageText};
use super::line::{NO_NAME, PageLine, bare_name, family_name, name_in_quotes, value_in_quotes};
use super::{FamilyType, PageEntry, PageError, PageFault, PageLimits, PageMetadata, float};
use crate::steps;

/// Reads a page line by line.
#[derive(Debug)]
pub(super) struct TextReader<'p> {
    page: Source<'p>,
    limits: PageLimits,
    at: usize,
    kind: FamilyType,
    /// The labels of the current line.
    labels: Vec<PageLabel<'p>>,
}

impl<'p> TextReader<'p> {
    pub(super) fn new(page: &'p [u8], limits: PageLimits) -> Self {
        Self {
            page: Source::new(page),
            limits,
            at: 0,
            kind: FamilyType::Unknown,
            labels: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn next<'r>(
        &'r mut self,
        expected: &[u8],
    ) -> Result<Option<PageEntry<'p, 'r>>, PageError> {
        match self.read(expected) {
            Ok(Some(line)) => Ok(Some(line.entry(&self.labels, self.kind, &[]))),
            Ok(None) => Ok(None),
            // Empty lines and comments before the line at fault were read with it.
            Err(fault) => Err(fault.at_line(self.page.bytes, self.at)),
        }
    }

    #[inline]
    fn read(&mut self, expected: &[u8]) -> Result<Option<PageLine<'p>>, PageFault> {
        loop {
            // A line begins at `at`.
            if !expected.is_empty()
                && self.page.has(self.at, expected)
                && let Some(from) = self.ends_identity(self.at + expected.len())
            {
                steps::count(expected.len());
                let (value, timestamp) = self.rest_of_line(from)?;
                return Ok(Some(PageLine::Again { value, timestamp }));
            }
            let start = self.blanks(self.at);
            match self.page.byte(start) {
                None => {
                    self.at = start;
                    return Ok(None);
                }
                Some(b'\n') => {
                    steps::count(1);
                    self.at = start + 1;
                }
                Some(b'#') => {
                    if let Some(entry) = self.comment(start + 1)? {
                        return Ok(Some(PageLine::Metadata(entry)));
                    }
                }
                Some(_) => return self.series(start).map(Some),
            }
        }
    }

    /// Where the value of a line begins whose series ends at `at`, unless the series goes on.
    #[inline]
    fn ends_identity(&self, at: usize) -> Option<usize> {
        if self.page.byte(at.checked_sub(1)?) == Some(b'}') {
            return Some(at);
        }
        let next = self.page.byte(at)?;
        let from = self.blanks(at);
        (!continues_metric(next) && self.page.byte(from) != Some(b'{')).then_some(from)
    }

    #[inline]
    fn blanks(&self, mut at: usize) -> usize {
        let from = at;
        while matches!(self.page.byte(at), Some(b' ' | b'\t')) {
            at += 1;
        }
        steps::count(at - from);
        at
    }

    fn series(&mut self, start: usize) -> Result<PageLine<'p>, PageFault> {
        self.labels.clear();
        let mut name = None;
        let mut at = start;
        let mut end = start;
        if self.page.byte(start).is_some_and(begins_metric) {
            end = metric_end(self.page.bytes, start);
            name = Some(bare_name(&self.page, &self.limits, start, end)?);
            at = self.blanks(end);
        } else if self.page.byte(start) != Some(b'{') {
            return Err("expected a metric name".into());
        }
        if self.page.byte(at) == Some(b'{') {
            end = self.labels(at + 1, &mut name)?;
            at = end;
        }
        let Some(name) = name else {
            return Err("expected a metric name in the braces".into());
        };
        let identity = self.page.piece(start, end);
        let (value, timestamp) = self.rest_of_line(at)?;
        Ok(PageLine::Series {
            identity,
            name,
            value,
            timestamp,
        })
    }

    /// Reads the labels after an opening brace, and a name in quotes if there is one. Returns
    /// where the closing brace ends.
    fn labels(
        &mut self,
        mut at: usize,
        metric: &mut Option<PageText<'p>>,
    ) -> Result<usize, PageFault> {
        at = self.blanks(at);
        loop {
            let name = match self.page.byte(at) {
                Some(b'}') => return Ok(at + 1),
                Some(b'"') => {
                    let (name, after) = name_in_quotes(&self.page, &self.limits, at + 1, true)?;
                    let name = name.ok_or(NO_NAME)?;
                    at = self.blanks(after);
                    if let Some(next @ (b',' | b'}')) = self.page.byte(at) {
                        if metric.replace(name).is_some() {
                            return Err("the metric has two names".into());
                        }
                        at += 1;
                        if next == b'}' {
                            return Ok(at);
                        }
                        at = self.blanks(at);
                        continue;
                    }
                    name
                }
                Some(byte) if begins_label(byte) => {
                    let end = label_end(self.page.bytes, at);
                    let name = bare_name(&self.page, &self.limits, at, end)?;
                    at = self.blanks(end);
                    name
                }
                _ => return Err("expected a label name".into()),
            };
            if self.page.byte(at) != Some(b'=') {
                return Err("expected = after a label name".into());
            }
            at = self.blanks(at + 1);
            if self.page.byte(at) != Some(b'"') {
                return Err("expected a label value in quotes".into());
            }
            let (value, after) = value_in_quotes(&self.page, &self.limits, at + 1, true)?;
            if self.labels.len() == self.limits.labels {
                return Err(PageFault::beyond("a line has too many labels"));
            }
            steps::count(1);
            self.labels.push(PageLabel { name, value });
            at = self.blanks(after);
            // Prometheus doesn't insist on the comma.
            if self.page.byte(at) == Some(b',') {
                at = self.blanks(at + 1);
            }
        }
    }

    /// Reads value and timestamp, and moves to the next line.
    #[inline]
    fn rest_of_line(&mut self, at: usize) -> Result<(f64, Option<i64>), PageFault> {
        let from = self.blanks(at);
        let rest = self.page.bytes.get(from..).unwrap_or_default();
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'{' | 0))
            .unwrap_or(rest.len());
        steps::count(length);
        let digits = rest.get(..length).unwrap_or_default();
        if digits.is_empty() {
            return Err("expected a value".into());
        }
        let value = float::value(digits).ok_or("the value is no number")?;
        let mut at = from + length;
        if self.page.byte(at) == Some(b'\n') {
            self.at = at + 1;
            return Ok((value, None));
        }
        at = self.blanks(at);
        let mut timestamp = None;
        if self.page.byte(at).is_some_and(|byte| byte.is_ascii_digit()) {
            let (millis, end) = whole_number(self.page.bytes, at)
                .ok_or("the timestamp is no whole number of 64 bits")?;
            timestamp = Some(millis);
            at = self.blanks(end);
        }
        match self.page.byte(at) {
            Some(b'\n') => self.at = at + 1,
            None => self.at = at,
            Some(_) if timestamp.is_some() => {
                return Err("something stands after the timestamp".into());
            }
            Some(_) => return Err("expected a timestamp or the end of the line".into()),
        }
        Ok((value, timestamp))
    }

    /// Reads what follows a `#`, and moves to the next line.
    fn comment(&mut self, from: usize) -> Result<Option<PageMetadata<'p>>, PageFault> {
        let at = self.blanks(from);
        let is_type = self.page.has(at, b"TYPE");
        let is_metadata = at > from
            && (is_type || self.page.has(at, b"HELP"))
            && matches!(self.page.byte(at + 4), Some(b' ' | b'\t'));
        if !is_metadata {
            self.at = line_end(self.page.bytes, at) + 1;
            return Ok(None);
        }
        let at = self.blanks(at + 4);
        let (name, at) = family_name(&self.page, &self.limits, at)?;
        let end = line_end(self.page.bytes, at);
        // One character separates, unless there are only blanks.
        let blank = self.blanks(at) >= end;
        let text = if blank || end - at == 1 {
            Some("")
        } else {
            self.page.text(at + 1, end)
        };
        let entry = if is_type {
            let kind = match text {
                Some("counter") => FamilyType::Counter,
                Some("gauge") => FamilyType::Gauge,
                Some("histogram") => FamilyType::Histogram,
                Some("summary") => FamilyType::Summary,
                Some("untyped") => FamilyType::Unknown,
                _ => return Err("no metric type".into()),
            };
            self.kind = kind;
            name.map(|name| PageMetadata::Type { name, kind })
        } else {
            let text = text.ok_or("the help text is not UTF-8")?;
            let text = PageText::escaped(text, Escapes::Help, text.contains('\\'));
            name.map(|name| PageMetadata::Help { name, text })
        };
        self.at = end + 1;
        Ok(entry)
    }
}

/// Digits that begin at `at` as a number, and where they end.
fn whole_number(page: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number: i64 = 0;
    let mut end = at;
    while let Some(byte @ b'0'..=b'9') = page.get(end) {
        number = number
            .checked_mul(10)?
            .checked_add(i64::from(byte - b'0'))?;
        end += 1;
    }
    steps::count(end - at);
    Some((number, end))
}
