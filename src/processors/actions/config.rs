//! Reads one action.

use regex::{Regex, RegexBuilder};

use super::super::constant::Constant;
use super::{ActionTarget, AttributeAction, ValueSource, When};
use crate::settings::plain;
use crate::yaml::{FromValue, PlacedNode};

/// One pattern, compiled, may take so many bytes.
const MAX_COMPILED: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ActionKind {
    Put(When),
    Delete,
    Hash,
    Extract,
    Convert,
}

impl FromValue for ActionKind {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const KINDS: [(&str, ActionKind); 7] = [
            ("insert", ActionKind::Put(When::Absent)),
            ("update", ActionKind::Put(When::Present)),
            ("upsert", ActionKind::Put(When::Always)),
            ("delete", ActionKind::Delete),
            ("hash", ActionKind::Hash),
            ("extract", ActionKind::Extract),
            ("convert", ActionKind::Convert),
        ];
        // Upper case is as good, as in the Collector.
        let lower = value.text().map(str::to_ascii_lowercase);
        KINDS
            .iter()
            .find(|(word, _)| lower.as_deref() == Some(word))
            .map(|(_, kind)| *kind)
            .or_else(|| value.choice(&KINDS))
    }
}

impl FromValue for ActionTarget {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[
            ("string", Self::Text),
            ("int", Self::Int),
            ("double", Self::Double),
        ])
    }
}

impl FromValue for AttributeAction {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let kind: Option<ActionKind> = fields.required("action");
        let key: Option<String> = fields
            .optional("key")
            .filter(|key: &String| !key.is_empty());
        let mut written = |key| fields.value(key).filter(|value| !value.is_null());
        let (constant, from_attribute) = (written("value"), written("from_attribute"));
        let (from_context, default) = (written("from_context"), written("default_value"));
        let (pattern, target) = (written("pattern"), written("converted_type"));
        fields.finish();
        let kind = kind?;

        if let Some(context) = from_context {
            return context.error(
                "what a client says beside its data isn't kept: use value or from_attribute",
            );
        }
        let (puts, extracts) = (
            matches!(kind, ActionKind::Put(_)),
            kind == ActionKind::Extract,
        );
        let matches_keys = matches!(kind, ActionKind::Delete | ActionKind::Hash);
        let mut misplaced = false;
        for (value, fits, use_it_for) in [
            (&constant, puts, "insert, update and upsert"),
            (&from_attribute, puts, "insert, update and upsert"),
            (&default, puts, "insert, update and upsert"),
            (
                &pattern,
                matches_keys || extracts,
                "delete, hash and extract",
            ),
            (&target, kind == ActionKind::Convert, "convert"),
        ] {
            if let Some(value) = value.as_ref().filter(|_| !fits) {
                value.error::<()>(format_args!("means something to {use_it_for} only"));
                misplaced = true;
            }
        }
        if misplaced {
            return None;
        }
        let pattern = match pattern {
            Some(pattern) => Some(read_pattern(&pattern)?),
            None => None,
        };
        if matches_keys && key.is_none() && pattern.is_none() {
            return value.error("`key` or `pattern` is missing");
        }
        if !matches_keys && key.is_none() {
            return value.error("`key` is missing");
        }
        Some(match (kind, key) {
            (ActionKind::Delete, key) => Self::Delete { key, pattern },
            (ActionKind::Hash, key) => Self::Hash { key, pattern },
            (_, None) => return None,
            (ActionKind::Put(when), Some(key)) => Self::Put {
                key,
                source: ValueSource::read(value, constant, from_attribute, default)?,
                when,
            },
            (ActionKind::Extract, Some(key)) => {
                let Some(pattern) = pattern else {
                    return value.error("`pattern` is missing");
                };
                let names = group_names(value, &pattern)?;
                Self::Extract {
                    key,
                    pattern,
                    names,
                }
            }
            (ActionKind::Convert, Some(key)) => match target {
                Some(target) => Self::Convert {
                    key,
                    target: target.read()?,
                },
                None => return value.error("`converted_type` is missing"),
            },
        })
    }
}

impl ValueSource {
    fn read(
        action: &PlacedNode<'_>,
        constant: Option<PlacedNode<'_>>,
        from_attribute: Option<PlacedNode<'_>>,
        default: Option<PlacedNode<'_>>,
    ) -> Option<Self> {
        match (constant, from_attribute, default) {
            (Some(_), Some(_), _) => {
                action.error("`value` and `from_attribute` exclude each other")
            }
            // The default would never be used.
            (Some(value), None, _) => Some(Self {
                attribute: None,
                constant: Some(value.read()?),
            }),
            (None, None, None) => action.error("`value` or `from_attribute` is missing"),
            (None, attribute, default) => {
                let attribute = match attribute {
                    Some(attribute) => Some(attribute.read::<String>()?),
                    None => None,
                };
                let constant = match default {
                    Some(default) => Some(default.read::<Constant>()?),
                    None => None,
                };
                Some(Self {
                    attribute,
                    constant,
                })
            }
        }
    }
}

fn read_pattern(value: &PlacedNode<'_>) -> Option<Regex> {
    let text: String = value.read()?;
    match RegexBuilder::new(&text).size_limit(MAX_COMPILED).build() {
        Ok(pattern) => Some(pattern),
        Err(error) => value.error(format_args!("no regular expression: {}", plain(&error))),
    }
}

/// The names of all groups, which are the attributes to extract.
fn group_names(action: &PlacedNode<'_>, pattern: &Regex) -> Option<Vec<String>> {
    let mut names = Vec::new();
    for name in pattern.capture_names().skip(1) {
        match name {
            Some(name) => names.push(name.to_owned()),
            None => {
                return action.error(format_args!(
                    "a group of `{pattern}` has no name: write (?P<name>...), or (?:...) for \
                     one that isn't an attribute"
                ));
            }
        }
    }
    if names.is_empty() {
        return action.error(format_args!(
            "`{pattern}` has no group to extract: write (?P<name>...)"
        ));
    }
    Some(names)
}
