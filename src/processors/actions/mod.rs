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
mod rewrite;
#[cfg(test)]
mod tests;

use regex::Regex;

use self::rewrite::NewValue;
use super::constant::Constant;
use crate::pdata::view::{Attributes, Encoded, Value as Attribute};
use crate::pdata::{AttributeWriter, Replacement};
use crate::yaml::{FromValue, PlacedNode};

/// A list of actions, at least one.
#[derive(Debug, Clone)]
pub(super) struct Actions {
    actions: Vec<AttributeAction>,
    /// The actions once more, where each puts a value of the configuration under a key of
    /// its own: one pass does all of them.
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

    /// Puts each value under its key, which none of the others has: over the attribute that is
    /// there if it `replaces`, and otherwise only where there is none.
    pub(super) fn putting(values: Vec<(String, Constant)>, replaces: bool) -> Self {
        let put = |(key, value)| AttributeAction::Put {
            key,
            source: ValueSource {
                attribute: None,
                constant: Some(value),
            },
            when: if replaces { When::Always } else { When::Absent },
        };
        Self::new(values.into_iter().map(put).collect())
    }

    /// Writes what becomes of some attributes, where they change.
    #[inline]
    pub(super) fn apply(&self, attributes: Attributes<'_>, new: &mut Replacement) {
        if let Some(puts) = &self.puts {
            return put(puts, attributes, new);
        }
        for action in &self.actions {
            new.revise(attributes, |old, new| action.apply(old, new));
        }
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
    /// Writes what becomes of some attributes; false where they stay as they are, whatever was
    /// written.
    fn apply(&self, old: Attributes<'_>, new: &mut AttributeWriter) -> bool {
        match self {
            Self::Put { key, source, when } => {
                let fits = match when {
                    When::Always => true,
                    When::Absent => old.get(key).is_none(),
                    When::Present => old.get(key).is_some(),
                };
                let Some(value) = source.value(old).filter(|_| fits) else {
                    return false;
                };
                rewrite::put(&mut [NewValue::new(key, value)], old, new);
                true
            }
            Self::Delete { key, pattern } => rewrite::remove(old, new, |own| {
                has_key(own, key.as_ref()) || matches(own, pattern.as_ref())
            }),
            // What both name is hashed twice, as in the Collector.
            Self::Hash { key, pattern } => rewrite::hash(old, new, |own| {
                u32::from(has_key(own, key.as_ref())) + u32::from(matches(own, pattern.as_ref()))
            }),
            Self::Extract {
                key,
                pattern,
                names,
            } => {
                let Some(Attribute::Str(text)) = old.get(key) else {
                    return false;
                };
                let Some(found) = pattern.captures(text) else {
                    return false;
                };
                // A group that took no part in the match gives an empty text.
                let texts = (1..=names.len()).map(|group| {
                    let group = found.get(group);
                    Attribute::Str(group.map_or("", |found| found.as_str()))
                });
                let mut values: Vec<_> = names
                    .iter()
                    .zip(texts)
                    .map(|(name, text)| NewValue::new(name, text))
                    .collect();
                rewrite::put(&mut values, old, new);
                true
            }
            Self::Convert { key, target } => {
                let Some(value) = old.get(key) else {
                    return false;
                };
                let text;
                let converted = match (target, value) {
                    (ActionTarget::Text, Attribute::Str(_)) => None,
                    (ActionTarget::Text, _) => {
                        text = value.to_string();
                        Some(Attribute::Str(&text))
                    }
                    (ActionTarget::Int, _) => int(&value).map(Attribute::Int),
                    (ActionTarget::Double, _) => double(&value).map(Attribute::Double),
                };
                let Some(converted) = converted else {
                    return false;
                };
                rewrite::put(&mut [NewValue::new(key, converted)], old, new);
                true
            }
        }
    }
}

fn has_key(own: Encoded<'_>, key: Option<&String>) -> bool {
    key.is_some_and(|key| own.has_key(key))
}

fn matches(own: Encoded<'_>, pattern: Option<&Regex>) -> bool {
    pattern.is_some_and(|pattern| pattern.is_match(own.key()))
}

impl ValueSource {
    fn value<'a>(&'a self, attributes: Attributes<'a>) -> Option<Attribute<'a>> {
        let attribute = self.attribute.as_ref().and_then(|key| attributes.get(key));
        attribute.or_else(|| self.constant.as_ref().map(Constant::value))
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
