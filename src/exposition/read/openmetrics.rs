//! OpenMetrics 1.0, and 0.0.1, which is the same to a reader.
//!
//! Blanks are single spaces in fixed places, there are no comments but metadata, and the last line
//! is `# EOF`.

use super::cursor::{
    Source, begins_label, begins_metric, continues_metric, label_end, line_end, metric_end,
};
use super::labels::{Escapes, PageLabel, PageText};
use super::line::{NO_NAME, PageLine, bare_name, family_name, name_in_quotes, value_in_quotes};
use super::{
    FamilyType, PageEntry, PageError, PageExemplar, PageFault, PageLimits, PageMetadata, float,
};
use crate::steps;

/// Reads a page line by line.
#[derive(Debug)]
pub(super) struct OpenMetricsReader<'p> {
    page: Source<'p>,
    limits: PageLimits,
    at: usize,
    kind: FamilyType,
    ended: bool,
    /// The labels of the current line.
    labels: Vec<PageLabel<'p>>,
    /// The exemplar of the current line; at most one.
    exemplars: Vec<PageExemplar<'p>>,
}

impl<'p> OpenMetricsReader<'p> {
    pub(super) fn new(page: &'p [u8], limits: PageLimits) -> Self {
        Self {
            page: Source::new(page),
            limits,
            at: 0,
            kind: FamilyType::Unknown,
            ended: false,
            labels: Vec::new(),
            exemplars: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn next<'r>(
        &'r mut self,
        expected: &[u8],
    ) -> Result<Option<PageEntry<'p, 'r>>, PageError> {
        match self.read(expected) {
            Ok(Some(line)) => Ok(Some(line.entry(&self.labels, self.kind, &self.exemplars))),
            Ok(None) => Ok(None),
            Err(fault) => Err(fault.at_line(self.page.bytes, self.at)),
        }
    }

    #[inline]
    fn read(&mut self, expected: &[u8]) -> Result<Option<PageLine<'p>>, PageFault> {
        if self.ended {
            return Ok(None);
        }
        if !expected.is_empty() && self.page.has(self.at, expected) {
            let end = self.at + expected.len();
            let closed = self.page.byte(end - 1) == Some(b'}');
            let next = self.page.byte(end);
            if closed || next.is_some_and(|next| next != b'{' && !continues_metric(next)) {
                steps::count(expected.len());
                let (value, timestamp) = self.rest_of_line(end)?;
                return Ok(Some(PageLine::Again { value, timestamp }));
            }
        }
        while self.page.byte(self.at) == Some(b'#') {
            if self.page.has(self.at, b"# EOF") {
                let rest = self.page.piece(self.at + 5, self.page.bytes.len());
                if !matches!(rest, b"" | b"\n") {
                    return Err("something stands after # EOF".into());
                }
                self.ended = true;
                return Ok(None);
            }
            if let Some(entry) = self.metadata()? {
                return Ok(Some(PageLine::Metadata(entry)));
            }
        }
        match self.page.byte(self.at) {
            None => Err("the page doesn't end with # EOF".into()),
            Some(_) => self.series(self.at).map(Some),
        }
    }

    fn series(&mut self, start: usize) -> Result<PageLine<'p>, PageFault> {
        self.labels.clear();
        let mut name = None;
        let mut at = start;
        if self.page.byte(start).is_some_and(begins_metric) {
            at = metric_end(self.page.bytes, start);
            name = Some(bare_name(&self.page, &self.limits, start, at)?);
        } else if self.page.byte(start) != Some(b'{') {
            return Err("expected a metric name".into());
        }
        if self.page.byte(at) == Some(b'{') {
            let mut labels = std::mem::take(&mut self.labels);
            let end = self.labels(at + 1, &mut labels, Some(&mut name));
            self.labels = labels;
            at = end?;
        }
        let Some(name) = name else {
            return Err("expected a metric name in the braces".into());
        };
        let identity = self.page.piece(start, at);
        let (value, timestamp) = self.rest_of_line(at)?;
        Ok(PageLine::Series {
            identity,
            name,
            value,
            timestamp,
        })
    }

    /// Reads the labels after an opening brace. `metric` is where a name in quotes goes; an
    /// exemplar has none; Prometheus doesn't look at the names of its labels, and those that can't
    /// be are left out here. Returns where the closing brace ends.
    fn labels(
        &self,
        mut at: usize,
        labels: &mut Vec<PageLabel<'p>>,
        mut metric: Option<&mut Option<PageText<'p>>>,
    ) -> Result<usize, PageFault> {
        // In an exemplar, no text in quotes may have a newline.
        let newlines = metric.is_some();
        loop {
            let name = match self.page.byte(at) {
                Some(b'}') => return Ok(at + 1),
                Some(b'"') => {
                    let (name, after) = name_in_quotes(&self.page, &self.limits, at + 1, newlines)?;
                    at = after;
                    if let Some(next @ (b',' | b'}')) = self.page.byte(at) {
                        let metric = metric
                            .as_deref_mut()
                            .ok_or("an exemplar has no name of a metric")?;
                        if metric.replace(name.ok_or(NO_NAME)?).is_some() {
                            return Err("the metric has two names".into());
                        }
                        at += 1;
                        if next == b'}' {
                            return Ok(at);
                        }
                        continue;
                    }
                    if name.is_none() && metric.is_some() {
                        return Err(NO_NAME.into());
                    }
                    name
                }
                Some(byte) if begins_label(byte) => {
                    let end = label_end(self.page.bytes, at);
                    let name = bare_name(&self.page, &self.limits, at, end)?;
                    at = end;
                    Some(name)
                }
                _ => return Err("expected a label name".into()),
            };
            if !self.page.has(at, b"=\"") {
                return Err("expected = and a value in quotes after a label name".into());
            }
            let (value, after) = value_in_quotes(&self.page, &self.limits, at + 2, false)?;
            if labels.len() == self.limits.labels {
                return Err(PageFault::beyond("a line has too many labels"));
            }
            steps::count(1);
            labels.extend(name.map(|name| PageLabel { name, value }));
            at = after;
            match self.page.byte(at) {
                Some(b',') => at += 1,
                Some(b'}') => return Ok(at + 1),
                _ => return Err("expected a comma or } after a label".into()),
            }
        }
    }

    /// Reads value, timestamp and exemplar, and moves to the next line.
    #[inline]
    fn rest_of_line(&mut self, at: usize) -> Result<(f64, Option<i64>), PageFault> {
        self.exemplars.clear();
        let (digits, mut at) = self.word(at).ok_or("expected a space and a value")?;
        let value = float::value(digits).ok_or("the value is no number")?;
        let mut timestamp = None;
        if self.page.byte(at) != Some(b'\n') {
            if !self.page.has(at, b" # ") {
                let (digits, end) = self
                    .word(at)
                    .ok_or("expected a timestamp, an exemplar or the end of the line")?;
                timestamp = Some(seconds(digits)?);
                at = end;
            }
            if self.page.has(at, b" # {") {
                at = self.exemplar(at + 4)?;
            }
            if self.page.byte(at) != Some(b'\n') {
                return Err("expected the end of the line".into());
            }
        }
        self.at = at + 1;
        Ok((value, timestamp))
    }

    /// A space and what follows it up to the next space or newline.
    #[inline]
    fn word(&self, at: usize) -> Option<(&'p [u8], usize)> {
        let rest = self.page.bytes.get(at..)?.strip_prefix(b" ")?;
        let length = rest
            .iter()
            .position(|byte| matches!(byte, b' ' | b'\n' | 0))
            .unwrap_or(rest.len());
        steps::count(length);
        let word = rest.get(..length).filter(|word| !word.is_empty())?;
        Some((word, at + 1 + length))
    }

    /// Reads an exemplar whose labels begin at `at`, and returns where it ends.
    #[cold]
    fn exemplar(&mut self, at: usize) -> Result<usize, PageFault> {
        let mut labels = Vec::new();
        let at = self.labels(at, &mut labels, None)?;
        let (digits, mut at) = self
            .word(at)
            .ok_or("expected a space and the value of the exemplar")?;
        let value = float::value(digits).ok_or("the value of the exemplar is no number")?;
        let mut timestamp = None;
        if self.page.byte(at) != Some(b'\n') {
            let (digits, end) = self
                .word(at)
                .ok_or("expected the timestamp of the exemplar, or the end of the line")?;
            timestamp = Some(seconds(digits)?);
            at = end;
        }
        self.exemplars.push(PageExemplar {
            labels,
            value,
            timestamp,
        });
        Ok(at)
    }

    /// Reads a line that begins with `#`, and moves to the next.
    fn metadata(&mut self) -> Result<Option<PageMetadata<'p>>, PageFault> {
        let at = self.at;
        let what = self.page.piece(at, at + 7);
        if !matches!(what, b"# HELP " | b"# TYPE " | b"# UNIT ") {
            return Err("expected HELP, TYPE, UNIT or EOF".into());
        }
        let (name, at) = family_name(&self.page, &self.limits, at + 7)?;
        let end = line_end(self.page.bytes, at);
        if self.page.byte(at) != Some(b' ') || end >= self.page.bytes.len() {
            return Err("expected a space, a text and the end of the line".into());
        }
        let text = self.page.text(at + 1, end);
        let entry = match what {
            b"# TYPE " => {
                let kind = text.and_then(|text| {
                    let kinds = FamilyType::ALL.iter();
                    kinds.copied().find(|kind| kind.as_str() == text)
                });
                let kind = kind.ok_or("no metric type")?;
                self.kind = kind;
                name.map(|name| PageMetadata::Type { name, kind })
            }
            b"# HELP " => {
                let text = text.ok_or("the help text is not UTF-8")?;
                let text = PageText::escaped(text, Escapes::Quoted, text.contains('\\'));
                name.map(|name| PageMetadata::Help { name, text })
            }
            _ => {
                // Of a name that isn't UTF-8 nothing is kept.
                let unit = text.unwrap_or_default();
                let fits = name.is_none_or(|name| {
                    let rest = name.raw().strip_suffix(unit);
                    text.is_some() && rest.is_some_and(|rest| rest.ends_with('_'))
                });
                if text != Some("") && !fits {
                    return Err("the unit isn't the end of the family's name".into());
                }
                name.map(|name| PageMetadata::Unit { name, unit })
            }
        };
        self.at = end + 1;
        Ok(entry)
    }
}

/// Seconds as milliseconds; what is left of a millisecond is cut off.
fn seconds(digits: &[u8]) -> Result<i64, PageFault> {
    let seconds = float::value(digits).ok_or("a timestamp is no number")?;
    if !seconds.is_finite() {
        return Err("a timestamp is infinite or no number".into());
    }
    Ok((seconds * 1000.0) as i64)
}
