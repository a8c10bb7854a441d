//! A strict reader of both text formats, written from their specifications and not from
//! the encoder. It says what is wrong with a page, in terms of the line.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and fails by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

/// The samples of a page: name and labels, and the value.
pub type Samples = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// All that a page says.
#[derive(Debug, Default)]
pub struct Page {
    pub samples: Samples,
    /// What `TYPE`, `UNIT` and `HELP` say, by this word and the family's name.
    pub described: BTreeMap<(&'static str, String), String>,
    /// What stands behind samples: their times, and exemplars, by name and labels.
    pub times: BTreeMap<Series, f64>,
    pub exemplars: BTreeMap<Series, Exemplar>,
}

/// A name and its labels.
pub type Series = (String, BTreeMap<String, String>);

/// An exemplar's labels, and its value and time as they stand there.
pub type Exemplar = (BTreeMap<String, String>, String);

/// Reads the samples of a page.
pub fn read(page: &str, openmetrics: bool) -> Result<Samples, String> {
    read_all(page, openmetrics).map(|page| page.samples)
}

/// Reads a page.
pub fn read_all(page: &str, openmetrics: bool) -> Result<Page, String> {
    let reader = Reader {
        openmetrics,
        ..Reader::default()
    };
    reader.read(page)
}

/// Reads a page of the Collector, which writes exemplars where OpenMetrics has none.
pub fn read_collectors(page: &str, openmetrics: bool) -> Result<Page, String> {
    let reader = Reader {
        openmetrics,
        exemplars_anywhere: true,
        ..Reader::default()
    };
    reader.read(page)
}

#[derive(Default)]
struct Reader {
    openmetrics: bool,
    exemplars_anywhere: bool,
    family: String,
    kind: String,
    described: BTreeSet<&'static str>,
    has_samples: bool,
    /// Every name that a family so far may use.
    names: BTreeSet<String>,
    /// Cumulated buckets of the family's histograms, by their other labels.
    buckets: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>>,
    counts: BTreeMap<BTreeMap<String, String>, f64>,
    page: Page,
}

impl Reader {
    fn read(mut self, page: &str) -> Result<Page, String> {
        let Some(body) = page.strip_suffix('\n').or(page.is_empty().then_some("")) else {
            return Err("the last line has no end".to_owned());
        };
        let body = if self.openmetrics {
            let body = body.strip_suffix("# EOF").ok_or("no # EOF at the end")?;
            body.strip_suffix('\n').unwrap_or(body)
        } else {
            body
        };
        for line in body.split('\n').filter(|_| !body.is_empty()) {
            self.line(line)
                .map_err(|problem| format!("{problem}: {line:?}"))?;
        }
        self.end_family()?;
        Ok(self.page)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        match line.strip_prefix("# ") {
            Some(comment) => self.comment(comment),
            None => self.sample(line),
        }
    }

    fn comment(&mut self, comment: &str) -> Result<(), String> {
        let (word, rest) = comment.split_once(' ').ok_or("a comment without a name")?;
        let word = match word {
            "HELP" => "HELP",
            "TYPE" => "TYPE",
            "UNIT" if self.openmetrics => "UNIT",
            _ => return Err("an unknown comment".to_owned()),
        };
        let (name, rest) = if rest.starts_with('"') {
            quoted(rest)?
        } else {
            let (name, rest) = rest.split_at(rest.find(' ').ok_or("nothing said")?);
            legacy(name, true)?;
            (name.to_owned(), rest)
        };
        let rest = rest.strip_prefix(' ').ok_or("nothing said")?;
        if name != self.family {
            self.end_family()?;
            self.family = name;
        }
        if self.has_samples || !self.described.insert(word) {
            return Err("a family is described twice".to_owned());
        }
        let family = (word, self.family.clone());
        self.page.described.insert(family, rest.to_owned());
        match word {
            "HELP" => unescaped(rest, self.openmetrics).map(|_| ()),
            "UNIT" => match self.family.strip_suffix(rest) {
                Some(stem) if stem.ends_with('_') => Ok(()),
                _ => Err("a unit that isn't in the name".to_owned()),
            },
            _ => {
                let unknown = if self.openmetrics {
                    "unknown"
                } else {
                    "untyped"
                };
                let kinds = ["counter", "gauge", "histogram", "summary", unknown];
                if !kinds.contains(&rest) {
                    return Err("an unknown type".to_owned());
                }
                self.kind = rest.to_owned();
                Ok(())
            }
        }
    }

    fn sample(&mut self, line: &str) -> Result<(), String> {
        let (name, mut labels, rest) = parts(line)?;
        let mut rest = rest.split(" # ");
        let mut fields = rest.next().unwrap_or_default().split(' ');
        let value = number(fields.next().unwrap_or_default())?;
        let series = (name.clone(), labels.clone());
        if let Some(time) = fields.next() {
            let time = time.parse::<f64>().map_err(|_| "a bad timestamp")?;
            self.page.times.insert(series.clone(), time);
        }
        if let Some(exemplar) = rest.next() {
            let fits = name.ends_with("_total") || name.ends_with("_bucket");
            if !self.openmetrics || !(fits || self.exemplars_anywhere) {
                return Err("an exemplar where there may be none".to_owned());
            }
            let exemplar = format!("x{exemplar}");
            let (_, own, value) = parts(&exemplar)?;
            number(value.split(' ').next().unwrap_or_default())?;
            self.page.exemplars.insert(series, (own, value.to_owned()));
        }
        self.has_samples = true;
        let suffix = name
            .strip_prefix(&self.family)
            .ok_or("a sample of another family")?;
        let allowed: &[&str] = match self.kind.as_str() {
            "counter" if self.openmetrics => &["_total", "_created"],
            "histogram" => &["_bucket", "_sum", "_count", "_created"],
            "summary" => &["", "_sum", "_count", "_created"],
            "" => return Err("a sample without a type".to_owned()),
            _ => &[""],
        };
        if !allowed.contains(&suffix) {
            return Err("a sample that its family can't have".to_owned());
        }
        if self.openmetrics && (self.kind == "counter" || suffix == "_sum" || suffix == "_count") {
            (value >= 0.0).then_some(()).ok_or("a count that is none")?;
        }
        let all = labels.clone();
        if self.kind == "histogram" && suffix == "_bucket" {
            let bound = labels.remove("le").ok_or("a bucket without le")?;
            if self.openmetrics && bound.parse::<i64>().is_ok() {
                return Err("a bound that isn't canonical".to_owned());
            }
            self.buckets
                .entry(labels)
                .or_default()
                .push((number(&bound)?, value));
        } else if self.kind == "histogram" && suffix == "_count" {
            self.counts.insert(labels, value);
        }
        match self.page.samples.insert((name, all), value) {
            Some(_) => Err("a series twice".to_owned()),
            None => Ok(()),
        }
    }

    fn end_family(&mut self) -> Result<(), String> {
        let suffixes: &[&str] = match self.kind.as_str() {
            "counter" if self.openmetrics => &["", "_total", "_created"],
            "histogram" => &["", "_bucket", "_sum", "_count"],
            "summary" => &["", "_sum", "_count"],
            _ => &[""],
        };
        for suffix in suffixes.iter().filter(|_| !self.family.is_empty()) {
            if !self.names.insert(format!("{}{suffix}", self.family)) {
                return Err(format!("two families use {}{suffix}", self.family));
            }
        }
        for (labels, buckets) in std::mem::take(&mut self.buckets) {
            let rising = buckets.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1);
            let last = buckets.last().copied().unwrap_or_default();
            let count = self.counts.get(&labels).copied();
            if !rising || last.0 != f64::INFINITY || count.is_some_and(|count| count != last.1) {
                return Err(format!("broken buckets of {} {labels:?}", self.family));
            }
        }
        self.counts.clear();
        self.described.clear();
        self.kind.clear();
        self.has_samples = false;
        Ok(())
    }
}

/// `name{labels} rest` or `{"name",labels} rest`.
fn parts(line: &str) -> Result<(String, BTreeMap<String, String>, &str), String> {
    let end = line.find(['{', ' ']).ok_or("no value")?;
    let (name, mut rest) = line.split_at(end);
    let mut name = name.to_owned();
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        if name.is_empty() {
            (name, rest) = quoted(rest)?;
            rest = rest.strip_prefix(',').unwrap_or(rest);
        } else {
            legacy(&name, true)?;
        }
        while !rest.starts_with('}') {
            let (label, after) = if rest.starts_with('"') {
                quoted(rest)?
            } else {
                let (label, after) = rest.split_at(rest.find('=').ok_or("a label without =")?);
                legacy(label, false)?;
                (label.to_owned(), after)
            };
            let (value, after) = quoted(after.strip_prefix('=').ok_or("a label without =")?)?;
            if labels.insert(label, value).is_some() {
                return Err("a label twice".to_owned());
            }
            rest = match after.strip_prefix(',') {
                Some(more) if !more.starts_with('}') => more,
                None if after.starts_with('}') => after,
                _ => return Err("labels that don't end".to_owned()),
            };
        }
        rest = &rest[1..];
    } else {
        legacy(&name, true)?;
    }
    Ok((name, labels, rest.strip_prefix(' ').ok_or("no value")?))
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let inside = text.strip_prefix('"').ok_or("no quote")?;
    let mut escaped = false;
    let end = inside
        .find(|char| {
            let ends = char == '"' && !escaped;
            escaped = char == '\\' && !escaped;
            ends
        })
        .ok_or("a quote without an end")?;
    let (text, rest) = inside.split_at(end);
    Ok((unescaped(text, true)?, &rest[1..]))
}

fn unescaped(text: &str, quotes: bool) -> Result<String, String> {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        plain.push(match char {
            '\0' => return Err("a NUL".to_owned()),
            '\\' => match chars.next() {
                Some('\\') => '\\',
                Some('n') => '\n',
                Some('"') if quotes => '"',
                _ => return Err("an unknown escape".to_owned()),
            },
            char => char,
        });
    }
    Ok(plain)
}

fn legacy(name: &str, colon: bool) -> Result<(), String> {
    let first =
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || (colon && c == ':'));
    let rest = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || (colon && c == ':'));
    (first && rest)
        .then_some(())
        .ok_or_else(|| format!("`{name}` is no name"))
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        "NaN" => Ok(f64::NAN),
        text if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') => {
            text.parse().map_err(|_| format!("`{text}` is no number"))
        }
        text => Err(format!("`{text}` is no number")),
    }
}
