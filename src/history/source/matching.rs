//! From the conditions of a query to those of a store.
//!
//! A query speaks of the series that are shown, and a store knows those that it has: `x` for
//! `x_bucket`, and no `le`. So what a query says of names and of the dividing label is asked
//! here, for each metric and each bucket, and the rest by the store's index.

use crate::query::{LabelMatcher, MatchKind, QueryError, SourceRoom};
use crate::window::{MatchOperator, Matcher, SharedWindows, ValueKind};

use super::derived::{NAME, dividing_label, suffixes};

/// What a query asks of a store's series of some kinds.
pub(super) struct StoreQuestion<'m> {
    /// The conditions, for the store's index.
    pub(super) matchers: Vec<Matcher>,
    /// The kinds of series that are wanted of what the index finds.
    pub(super) kinds: &'static [ValueKind],
    /// What the shown names have to be.
    names: Vec<&'m LabelMatcher>,
    /// What the dividing label has to be.
    dividing: Vec<&'m LabelMatcher>,
}

impl<'m> StoreQuestion<'m> {
    /// The questions that answer a query together; none that can't find anything.
    pub(super) fn all(
        store: &SharedWindows,
        matchers: &'m [LabelMatcher],
        room: &dyn SourceRoom,
    ) -> Result<Vec<Self>, QueryError> {
        const AS_THEY_ARE: &[ValueKind] = &[
            ValueKind::Gauge,
            ValueKind::Counter,
            ValueKind::ExponentialHistogram,
        ];
        let mut questions = vec![Self {
            matchers: resolved(store, matchers.iter(), room)?,
            kinds: AS_THEY_ARE,
            names: Vec::new(),
            dividing: Vec::new(),
        }];
        for (kind, kinds) in [
            (ValueKind::Histogram, &[ValueKind::Histogram] as &[_]),
            (ValueKind::Summary, &[ValueKind::Summary]),
        ] {
            let dividing = dividing_label(kind);
            let mut question = Self {
                matchers: Vec::new(),
                kinds,
                names: Vec::new(),
                dividing: Vec::new(),
            };
            let mut others = Vec::new();
            for matcher in matchers {
                if matcher.name == NAME {
                    question.names.push(matcher);
                } else if Some(&*matcher.name) == dividing {
                    question.dividing.push(matcher);
                } else {
                    others.push(matcher);
                }
            }
            let stored = question.stored_names(store, kind, room)?;
            if stored.is_empty() {
                continue;
            }
            question.matchers = resolved(store, others.into_iter(), room)?;
            question.matchers.push(Matcher::among(NAME, stored));
            questions.push(question);
        }
        Ok(questions)
    }

    /// Whether a shown name is wanted.
    pub(super) fn wants_name(&self, stored: &str, suffix: &str) -> bool {
        if self.names.is_empty() {
            return true;
        }
        let shown = [stored, suffix].concat();
        self.names.iter().all(|matcher| matcher.matches(&shown))
    }

    /// Whether a value of the dividing label is wanted, empty for a series without.
    pub(super) fn wants_division(&self, value: &str) -> bool {
        self.dividing.iter().all(|matcher| matcher.matches(value))
    }

    /// The stored names of which a shown one may be wanted.
    fn stored_names(
        &self,
        store: &SharedWindows,
        kind: ValueKind,
        room: &dyn SourceRoom,
    ) -> Result<Vec<String>, QueryError> {
        let mut names = self.names.iter();
        let equal = names.find(|matcher| matches!(matcher.kind, MatchKind::Equal));
        if let Some(shown) = equal.map(|matcher| matcher.value.as_str()) {
            let stored = suffixes(kind).iter();
            let stored = stored.filter_map(|suffix| shown.strip_suffix(suffix));
            return Ok(stored
                .filter(|stored| !stored.is_empty())
                .map(str::to_owned)
                .collect());
        }
        let known: Vec<_> = {
            let windows = store.lock();
            let of_kind = windows.metrics().filter(|(_, info)| info.kind == kind);
            of_kind.map(|(name, _)| name.clone()).collect()
        };
        let mut wanted = Vec::new();
        for name in known {
            room.work(name.len())?;
            let mut shown = suffixes(kind).iter();
            if shown.any(|suffix| self.wants_name(&name, suffix)) {
                wanted.push(name.to_string());
            }
        }
        Ok(wanted)
    }
}

/// The conditions for a store's index. Expressions are tried here, on the values that there are.
fn resolved<'m>(
    store: &SharedWindows,
    matchers: impl Iterator<Item = &'m LabelMatcher>,
    room: &dyn SourceRoom,
) -> Result<Vec<Matcher>, QueryError> {
    let mut resolved: Vec<Matcher> = Vec::new();
    for matcher in matchers {
        // Each is compared with those before.
        room.work(resolved.len())?;
        let (name, value) = (matcher.name.as_str(), matcher.value.as_str());
        let (regex, negated) = match &matcher.kind {
            MatchKind::Equal => {
                add(known(MatchOperator::Equal, name, value)?, &mut resolved);
                continue;
            }
            MatchKind::NotEqual => {
                add(known(MatchOperator::NotEqual, name, value)?, &mut resolved);
                continue;
            }
            MatchKind::Regex(regex) => (regex, false),
            MatchKind::NotRegex(regex) => (regex, true),
        };
        let compiled = Matcher::compiled(name, value, regex, negated);
        if !compiled.is_expression() {
            add(compiled, &mut resolved);
            continue;
        }
        let values = store.lock().label_values(name);
        let mut failed = None;
        // What is tried between two questions takes about as long as many points.
        let proceed = || match room.work(TRIED) {
            Ok(()) => true,
            Err(error) => {
                failed = Some(error);
                false
            }
        };
        match compiled.resolve(&values, proceed) {
            Some(matcher) => add(matcher, &mut resolved),
            None => {
                let ended = || QueryError::internal("an expression was given up");
                return Err(failed.unwrap_or_else(ended));
            }
        }
    }
    Ok(resolved)
}

/// Adds a condition to those on the same label, so that the store is asked no more than twice for
/// each label, however many conditions a query has: what it looks up it looks up under its lock.
fn add(matcher: Matcher, to: &mut Vec<Matcher>) {
    if !to.iter_mut().any(|other| other.merge(&matcher)) {
        to.push(matcher);
    }
}

/// How many points take as long as the texts that are tried in one go.
const TRIED: usize = 16_384;

fn known(operator: MatchOperator, name: &str, value: &str) -> Result<Matcher, QueryError> {
    // Only an expression can be wrong.
    Matcher::new(operator, name, value).map_err(|error| QueryError::internal(error.to_string()))
}
