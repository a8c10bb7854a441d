//! What `attributes` and `resource` do to attributes: the Collector's actions, in the order
//! in which they are written.
//!
//! ```yaml
//! - {action: insert, key: env, value: lab}       # where there is none
//! - {action: update, key: env, value: lab}       # where there is one
//! - {action: upsert, key: host, from_attribute: node, default_value: unknown}
//! - {action: delete, key: password, pattern: "^secret\\."}
//! - {action: hash, key: user, pattern: mail$}    # SHA-256 in hexadecimal
//! - {action: extract, key: url, pattern: "^(?P<scheme>[a-z]+)://(?P<authority>[^/]+)"}
//! - {action: convert, key: code, converted_type: int}   # string, int or double
//! ```
//!
//! Values have the type that their YAML shows. A value that can't be converted stays as it
//! is.

mod config;
mod draft;
#[cfg(test)]
mod tests;

use regex::Regex;

use self::draft::{Draft, HeldValue};
use super::constant::Constant;
use crate::pdata::Replacement;
use crate::pdata::view::{Attributes, Value as Attribute};
use crate::yaml::{FromValue, PlacedNode};

/// A list of actions, at least one.
#[derive(Debug, Clone)]
pub(super) struct Actions {
    actions: Vec<AttributeAction>,
    /// The actions once more, where each puts a value of the configuration under a key of
    /// its own: they need no draft.
    puts: Option<Vec<Put>>,
}

/// A value of the configuration for a key.
#[derive(Debug, Clone)]
struct Put {
    key: String,
    value: Constant,
    when: When,
}

#[derive(Debug, Clone)]
enum AttributeAction {
    Put {
        key: String,
        source: ValueSource,
        when: When,
    },
    Delete {
        key: Option<String>,
        pattern: Option<Regex>,
    },
    Hash {
        key: Option<String>,
        pattern: Option<Regex>,
    },
    Extract {
        key: String,
        pattern: Regex,
        /// Of its groups, in their order.
        names: Vec<String>,
    },
    Convert {
        key: String,
        target: ActionTarget,
    },
}

/// Where a value comes from: the attribute if it is there, or else the constant.
#[derive(Debug, Clone)]
struct ValueSource {
    attribute: Option<String>,
    constant: Option<Constant>,
}

/// Whether the key must be there for a value to be put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Absent,
    Present,
    Always,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActionTarget {
    Text,
    Int,
    Double,
}

impl FromValue for Actions {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let items = value.items()?;
        if items.is_empty() {
            return value.error("needs at least one action");
        }
        let read: Vec<Option<AttributeAction>> = items.iter().map(PlacedNode::read).collect();
        Some(Self::new(read.into_iter().collect::<Option<_>>()?))
    }
}

impl Actions {
    fn new(actions: Vec<AttributeAction>) -> Self {
        let puts = puts(&actions);
        Self { actions, puts }
    }

    /// Writes what becomes of some attributes, where they change.
    #[inline]
    pub(super) fn apply(&self, attributes: Attributes<'_>, new: &mut Replacement) {
        if let Some(puts) = &self.puts {
            return put(puts, attributes, new);
        }
        let mut draft = Draft::new(attributes);
        for action in &self.actions {
            action.apply(&mut draft);
        }
        draft.write(new);
    }
}

/// The actions as puts, if they are nothing else and a [`Keys`] can hold them.
fn puts(actions: &[AttributeAction]) -> Option<Vec<Put>> {
    let mut puts: Vec<Put> = Vec::new();
    for action in actions {
        let AttributeAction::Put { key, source, when } = action else {
            return None;
        };
        if source.attribute.is_some() || puts.iter().any(|other| other.key == *key) {
            return None;
        }
        puts.push(Put {
            key: key.clone(),
            value: source.constant.clone()?,
            when: *when,
        });
    }
    (puts.len() <= Keys::BITS as usize).then_some(puts)
}

/// A set of puts, by position.
type Keys = u64;

/// Does what all puts ask for at once, without reading an attribute that stays.
fn put(puts: &[Put], attributes: Attributes<'_>, new: &mut Replacement) {
    let mut there: Keys = 0;
    for attribute in attributes.encoded() {
        for (at, put) in puts.iter().enumerate() {
            if attribute.has_key(&put.key) {
                there |= 1 << at;
            }
        }
    }
    let is_there = |at: usize| there & 1 << at != 0;
    let replaces = |at: usize, put: &Put| is_there(at) && put.when != When::Absent;
    let adds = |at: usize, put: &Put| !is_there(at) && put.when != When::Present;
    let mut all = puts.iter().enumerate();
    if !all.any(|(at, put)| replaces(at, put) || adds(at, put)) {
        return;
    }
    let new = new.begin();
    if puts.iter().enumerate().any(|(at, put)| replaces(at, put)) {
        let mut replaced: Keys = 0;
        for attribute in attributes.encoded() {
            let value = puts.iter().enumerate().find(|(at, put)| {
                // Of a key that occurs twice the first value counts, so that one goes.
                replaced & 1 << at == 0 && replaces(*at, put) && attribute.has_key(&put.key)
            });
            match value {
                Some((at, put)) => {
                    replaced |= 1 << at;
                    new.put_over(attribute, &put.key, &put.value.value());
                }
                None => new.keep_encoded(attribute),
            }
        }
    } else {
        new.keep_all(attributes);
    }
    for (_, put) in puts.iter().enumerate().filter(|(at, put)| adds(*at, put)) {
        new.put(&put.key, &put.value.value());
    }
}

impl AttributeAction {
    fn apply<'a>(&'a self, draft: &mut Draft<'a>) {
        match self {
            Self::Put { key, source, when } => {
                let fits = match when {
                    When::Always => true,
                    When::Absent => draft.get(key).is_none(),
                    When::Present => draft.get(key).is_some(),
                };
                if fits && let Some(value) = source.value(draft) {
                    draft.put(key, value);
                }
            }
            Self::Delete { key, pattern } => draft.remove(|own| is(own, key, pattern)),
            Self::Hash { key, pattern } => {
                // One after the other, as in the Collector: what both name is hashed twice.
                draft.hash(|own| is(own, key, &None));
                draft.hash(|own| is(own, &None, pattern));
            }
            Self::Extract {
                key,
                pattern,
                names,
            } => {
                let Some(Attribute::Str(text)) = draft.get(key).map(|value| value.value()) else {
                    return;
                };
                let Some(found) = pattern.captures(text) else {
                    return;
                };
                // A group that took no part in the match gives an empty text.
                let texts = (1..=names.len()).map(|group| {
                    let group = found.get(group);
                    group.map_or_else(String::new, |found| found.as_str().to_owned())
                });
                let texts: Vec<String> = texts.collect();
                for (name, text) in names.iter().zip(texts) {
                    draft.put(name, HeldValue::Text(text));
                }
            }
            Self::Convert { key, target } => {
                let converted = draft.get(key).and_then(|value| target.of(&value.value()));
                if let Some(converted) = converted {
                    draft.put(key, converted);
                }
            }
        }
    }
}

fn is(own: &str, key: &Option<String>, pattern: &Option<Regex>) -> bool {
    key.as_deref() == Some(own)
        || pattern
            .as_ref()
            .is_some_and(|pattern| pattern.is_match(own))
}

impl ValueSource {
    fn value<'a>(&'a self, draft: &Draft<'a>) -> Option<HeldValue<'a>> {
        let attribute = self.attribute.as_ref().and_then(|key| draft.get(key));
        attribute.cloned().or_else(|| {
            let constant = self.constant.as_ref()?;
            Some(HeldValue::As(constant.value()))
        })
    }
}

impl ActionTarget {
    /// The value with this type; none where it has it, or can't have it.
    fn of(self, value: &Attribute<'_>) -> Option<HeldValue<'static>> {
        match (self, *value) {
            (Self::Text, Attribute::Str(_)) => None,
            (Self::Text, _) => Some(HeldValue::Text(value.to_string())),
            (Self::Int, _) => int(value).map(|int| HeldValue::As(Attribute::Int(int))),
            (Self::Double, _) => {
                double(value).map(|double| HeldValue::As(Attribute::Double(double)))
            }
        }
    }
}

fn int(value: &Attribute<'_>) -> Option<i64> {
    match *value {
        // Towards zero; what has no room becomes the nearest that has.
        Attribute::Double(value) => Some(value as i64),
        Attribute::Bool(value) => Some(i64::from(value)),
        Attribute::Str(text) => text.parse().ok(),
        _ => None,
    }
}

fn double(value: &Attribute<'_>) -> Option<f64> {
    match *value {
        Attribute::Int(value) => Some(value as f64),
        Attribute::Bool(value) => Some(f64::from(u8::from(value))),
        Attribute::Str(text) => {
            let value: f64 = text.parse().ok()?;
            // Too many digits aren't infinite; the word is.
            let word = text.contains(['i', 'I']);
            (value.is_finite() || value.is_nan() || word).then_some(value)
        }
        _ => None,
    }
}
