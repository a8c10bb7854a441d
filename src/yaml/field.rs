//! Reads maps field by field and scalars by their target type, collecting problems.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Bound, RangeBounds};
use std::rc::Rc;

use super::{Diagnostics, Entry, Node, NodeKind, Problem, Severity, SourceSpan, shown};

/// A node in its place: with the path that leads to it and where to report problems.
#[derive(Debug, Clone)]
pub struct PlacedNode<'a> {
    node: &'a Node,
    path: Rc<str>,
    diagnostics: &'a Diagnostics,
}

/// A type that a configuration value can be read as.
///
/// An implementation reports what is wrong with [`PlacedNode::error`] and returns `None`; the
/// reader goes on, so that one run shows every problem.
pub trait FromValue: Sized {
    /// Reads it.
    fn from_value(value: &PlacedNode<'_>) -> Option<Self>;
}

/// A value with an order, which a range can bound and an error can show.
pub trait Ranged: FromValue + PartialOrd {
    /// The value as a configuration would write it.
    fn shown(&self) -> String;
}

impl<'a> PlacedNode<'a> {
    /// The root of a document.
    pub fn root(node: &'a Node, diagnostics: &'a Diagnostics) -> Self {
        Self {
            node,
            path: Rc::from(""),
            diagnostics,
        }
    }

    /// The node itself.
    pub fn node(&self) -> &'a Node {
        self.node
    }

    /// The keys that lead here, joined by `::`, list positions as numbers.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Where it stands.
    pub fn span(&self) -> &'a SourceSpan {
        &self.node.span
    }

    /// Where problems go.
    pub fn diagnostics(&self) -> &'a Diagnostics {
        self.diagnostics
    }

    /// Whether nothing is written here.
    pub fn is_null(&self) -> bool {
        matches!(self.node.kind, NodeKind::Null)
    }

    /// The text of a scalar, whatever its style; `None` for null, lists and maps.
    pub fn text(&self) -> Option<&'a str> {
        match &self.node.kind {
            NodeKind::Scalar { text, .. } => Some(text),
            NodeKind::Secret { text, .. } => Some(text.expose()),
            _ => None,
        }
    }

    /// What stands here, in the user's words and without what must not be shown: secrets,
    /// the values of variables, and the credentials and queries of URLs.
    pub fn shown(&self) -> String {
        shown::value(self.node, self.diagnostics)
    }

    /// Reports that this value can't be used. Returns `None`, so that
    /// `return value.error("...")` reads well.
    pub fn error<T>(&self, message: impl Display) -> Option<T> {
        self.report(Severity::Error, message);
        None
    }

    /// Reports something that works, but is hardly what the user wants.
    pub fn warn(&self, message: impl Display) {
        self.report(Severity::Warning, message);
    }

    /// Reads it as `T`.
    pub fn read<T: FromValue>(&self) -> Option<T> {
        T::from_value(self)
    }

    /// Reads one of several words, such as `auto`, `v1` or `native`.
    pub fn choice<T: Clone>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let wanted = match words.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => String::new(),
        };
        let found = self.text().unwrap_or_default();
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == found) {
            return Some(choice.clone());
        }
        let shown = self.shown();
        match nearest(found, words.into_iter()) {
            Some(near) => self.error(format_args!(
                "expected {wanted}, found {shown}, did you mean `{near}`?"
            )),
            None => self.error(format_args!("expected {wanted}, found {shown}")),
        }
    }

    /// Reads a map by its fields; null counts as an empty map, as in the Collector.
    pub fn fields(&self) -> Option<Fields<'a>> {
        match &self.node.kind {
            NodeKind::Null => Some(Fields::new(self.clone(), &[])),
            NodeKind::Map(entries) => Some(Fields::new(self.clone(), entries)),
            _ => self.error(format_args!("expected a map, found {}", self.shown())),
        }
    }

    /// The entries of a map whose keys the user chooses; null counts as an empty map.
    pub fn entries(&self) -> Option<Vec<(&'a Entry, PlacedNode<'a>)>> {
        match &self.node.kind {
            NodeKind::Null => Some(Vec::new()),
            NodeKind::Map(entries) => Some(
                entries
                    .iter()
                    .map(|entry| (entry, self.child(&entry.key, &entry.value)))
                    .collect(),
            ),
            _ => self.error(format_args!("expected a map, found {}", self.shown())),
        }
    }

    /// The items of a list; null counts as an empty list.
    pub fn items(&self) -> Option<Vec<PlacedNode<'a>>> {
        match &self.node.kind {
            NodeKind::Null => Some(Vec::new()),
            NodeKind::List(items) => Some(
                items
                    .iter()
                    .enumerate()
                    .map(|(i, item)| self.child(&i.to_string(), item))
                    .collect(),
            ),
            _ => self.error(format_args!("expected a list, found {}", self.shown())),
        }
    }

    /// The value of a key of this map or of a position in this list, and the place of the key or
    /// the item.
    pub fn step(&self, key: &str) -> Option<(&'a SourceSpan, PlacedNode<'a>)> {
        match &self.node.kind {
            NodeKind::Map(entries) => {
                let entry = entries.iter().find(|entry| entry.key == key)?;
                Some((&entry.span, self.child(key, &entry.value)))
            }
            NodeKind::List(items) => {
                let item = items.get(key.parse::<usize>().ok()?)?;
                Some((&item.span, self.child(key, item)))
            }
            _ => None,
        }
    }

    /// A message without what must not be shown of this value. [`PlacedNode::error`] and
    /// [`PlacedNode::warn`] do this by themselves.
    pub fn veiled(&self, message: String) -> String {
        shown::veiled(message, self.node, self.diagnostics, 2)
    }

    /// Notes that it must not be shown in a dump.
    pub(super) fn mark_secret(&self) {
        self.diagnostics.mark_secret(self.span());
    }

    fn child(&self, key: &str, node: &'a Node) -> PlacedNode<'a> {
        PlacedNode {
            node,
            path: join(&self.path, shown::key(&self.path, key)),
            diagnostics: self.diagnostics,
        }
    }

    fn report(&self, severity: Severity, message: impl Display) {
        let message = match self.why_empty() {
            Some(why) => format!("{message} ({why})"),
            None => message.to_string(),
        };
        // Whoever wrote the message may have put in what stands here, or right below.
        let message = self.veiled(message);
        self.diagnostics.push(Problem {
            span: self.span().clone(),
            path: self.path.to_string(),
            message,
            severity,
        });
    }

    /// Why nothing stands here, where something is written.
    fn why_empty(&self) -> Option<String> {
        self.is_null()
            .then(|| self.diagnostics.why_empty(self.span()))
            .flatten()
    }

    /// Whether it is a number of this type, but for its sign or size: `-5` where only numbers
    /// from 0 can be read.
    fn is_beyond<T: Ranged>(&self) -> bool {
        let Some(text) = self.text() else {
            return false;
        };
        let reads = |text: &str| {
            let kind = NodeKind::Scalar {
                text: text.to_owned(),
                quoted: false,
            };
            let span = self.span().clone();
            let unheard = Diagnostics::new();
            PlacedNode::root(&Node { kind, span }, &unheard)
                .read::<T>()
                .is_some()
        };
        if reads(text) {
            return false;
        }
        let size = text.strip_prefix('-').unwrap_or(text);
        let is_whole = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_digit());
        (size != text && reads(size)) || (is_whole && reads("1"))
    }
}

/// The fields of one map, read one by one; [`Fields::finish`] reports what nobody asked for.
#[derive(Debug)]
pub struct Fields<'a> {
    map: PlacedNode<'a>,
    entries: &'a [Entry],
    /// Every key that was asked for, which is every key that is allowed.
    known: Vec<&'static str>,
    /// Keys that another program has, and that are answered without being offered.
    foreign: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    fn new(map: PlacedNode<'a>, entries: &'a [Entry]) -> Self {
        Self {
            map,
            entries,
            known: Vec::new(),
            foreign: Vec::new(),
        }
    }

    /// The map itself, to report what concerns several fields.
    pub fn map(&self) -> &PlacedNode<'a> {
        &self.map
    }

    /// The value of a key as it stands, if it is written.
    pub fn value(&mut self, key: &'static str) -> Option<PlacedNode<'a>> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.find(key)
    }

    /// The value of a key that only another program has, so that it can be answered: nobody
    /// who mistypes is offered it.
    pub fn foreign(&mut self, key: &'static str) -> Option<PlacedNode<'a>> {
        self.foreign.push(key);
        self.find(key)
    }

    /// A key's value where it is written and right. Null counts as not written.
    pub fn optional<T: FromValue>(&mut self, key: &'static str) -> Option<T> {
        self.value(key).filter(|value| !value.is_null())?.read()
    }

    /// A key's value, or the default.
    pub fn or<T: FromValue>(&mut self, key: &'static str, default: T) -> T {
        self.optional(key).unwrap_or(default)
    }

    /// A key's value, or the default; outside the range it is an error that shows it.
    pub fn within<T: Ranged>(
        &mut self,
        key: &'static str,
        default: T,
        range: impl RangeBounds<T>,
    ) -> T {
        /// More of a number tells nobody more.
        const MAX_DIGITS: usize = 40;
        let Some(value) = self.value(key).filter(|value| !value.is_null()) else {
            return default;
        };
        if value.is_beyond::<T>() {
            let digits = value.text().unwrap_or_default();
            let shown = digits.get(..MAX_DIGITS).unwrap_or(digits);
            let wanted = bounds(&range);
            // Whoever reads it again, by its type alone, has nothing to add.
            value.diagnostics.settle(Problem {
                span: value.span().clone(),
                path: value.path.to_string(),
                message: format!("{shown} is out of range: use {wanted}"),
                severity: Severity::Error,
            });
            return default;
        }
        match value.read::<T>() {
            Some(read) if range.contains(&read) => read,
            Some(read) => {
                value.error::<()>(format_args!(
                    "{} is out of range: use {}",
                    read.shown(),
                    bounds(&range)
                ));
                default
            }
            None => default,
        }
    }

    /// A key that must be written; its absence is an error.
    pub fn required<T: FromValue>(&mut self, key: &'static str) -> Option<T> {
        match self.value(key) {
            Some(value) if !value.is_null() => value.read(),
            Some(value) if value.why_empty().is_some() => {
                value.error(format_args!("`{key}` is missing"))
            }
            _ => self.map.error(format_args!("`{key}` is missing")),
        }
    }

    /// Takes a key that changes nothing here, so that the configuration of another program
    /// starts unchanged, and warns unless it asks for what is the case anyway: `is_so`, or
    /// nothing at all. `why` follows "this has no effect". Tells whether it is written.
    pub fn without_effect(
        &mut self,
        key: &'static str,
        is_so: impl Fn(&PlacedNode<'_>) -> bool,
        why: &str,
    ) -> bool {
        let value = self.foreign(key).filter(|value| !value.is_null());
        if let Some(value) = value.as_ref().filter(|value| !is_so(value)) {
            value.warn(format_args!("this has no effect: {why}"));
        }
        value.is_some()
    }

    fn find(&self, key: &'static str) -> Option<PlacedNode<'a>> {
        Some(self.map.step(key)?.1)
    }

    /// Reports keys that nobody asked for, with the nearest that exists.
    pub fn finish(self) {
        for entry in self.entries {
            let key = entry.key.as_str();
            if self.known.contains(&key) || self.foreign.contains(&key) {
                continue;
            }
            let shown = shown::key(&self.map.path, key);
            let mut message = format!("unknown key `{shown}`");
            match nearest(&entry.key, self.known.iter().copied()) {
                Some(near) => message.push_str(&format!(", did you mean `{near}`?")),
                None if self.known.is_empty() => message.push_str(": nothing can be set here"),
                None => message.push_str(&format!(": the keys here are {}", self.known.join(", "))),
            }
            self.map.diagnostics.push(Problem {
                span: entry.span.clone(),
                path: join(&self.map.path, shown).to_string(),
                message,
                severity: Severity::Error,
            });
        }
    }
}

/// The candidate that a typo most likely meant, if any is near enough.
pub fn nearest<'c>(word: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    /// No name of ours is half as long, and the distance takes time in the square.
    const MAX_CHARS: usize = 100;
    if word.chars().count() > MAX_CHARS {
        return None;
    }
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            // One letter in four may be wrong, but one always; less than half of a word.
            let shorter = candidate.chars().count().min(word.chars().count());
            *distance <= 1 + shorter / 4 && distance * 2 <= shorter.max(2)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A range in words.
fn bounds<T: Ranged>(range: &impl RangeBounds<T>) -> String {
    match (range.start_bound(), range.end_bound()) {
        (Bound::Included(low), Bound::Included(high)) => {
            format!("{} to {}", low.shown(), high.shown())
        }
        (Bound::Included(low), Bound::Excluded(high)) => {
            format!("{} to less than {}", low.shown(), high.shown())
        }
        (Bound::Excluded(low), Bound::Included(high)) => {
            format!("more than {} to {}", low.shown(), high.shown())
        }
        (Bound::Excluded(low), Bound::Excluded(high)) => {
            format!("more than {} to less than {}", low.shown(), high.shown())
        }
        (Bound::Included(low), Bound::Unbounded) => format!("at least {}", low.shown()),
        (Bound::Excluded(low), Bound::Unbounded) => format!("more than {}", low.shown()),
        (Bound::Unbounded, Bound::Included(high)) => format!("at most {}", high.shown()),
        (Bound::Unbounded, Bound::Excluded(high)) => format!("less than {}", high.shown()),
        (Bound::Unbounded, Bound::Unbounded) => "anything".to_owned(),
    }
}

fn join(path: &str, key: &str) -> Rc<str> {
    if path.is_empty() {
        Rc::from(key)
    } else {
        Rc::from(format!("{path}::{key}"))
    }
}

impl<T: FromValue> FromValue for Vec<T> {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        // Every item is read, so that every wrong one is reported.
        let items: Vec<Option<T>> = value.items()?.iter().map(PlacedNode::read).collect();
        items.into_iter().collect()
    }
}

impl<T: FromValue> FromValue for BTreeMap<String, T> {
    /// A map whose keys the user chooses.
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let entries: Vec<(String, Option<T>)> = value
            .entries()?
            .iter()
            .map(|(entry, value)| (entry.key.clone(), value.read()))
            .collect();
        entries
            .into_iter()
            .map(|(key, value)| Some((key, value?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
