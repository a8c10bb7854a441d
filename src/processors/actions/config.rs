//! Reads one action.

use regex::{Regex, RegexBuilder};

use super::super::constant::Constant;
use super::super::matching::plain;
use super::{Action, Source, Target, When};
use crate::yaml::{FromValue, Value};

/// One pattern, compiled, may take so many bytes.
const MAX_COMPILED: usize = 1 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put(When),
    Delete,
    Hash,
    Extract,
    Convert,
}

impl FromValue for Kind {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        const KINDS: [(&str, Kind); 7] = [
            ("insert", Kind::Put(When::Absent)),
            ("update", Kind::Put(When::Present)),
            ("upsert", Kind::Put(When::Always)),
            ("delete", Kind::Delete),
            ("hash", Kind::Hash),
            ("extract", Kind::Extract),
            ("convert", Kind::Convert),
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

impl FromValue for Target {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        value.choice(&[
            ("string", Self::Text),
            ("int", Self::Int),
            ("double", Self::Double),
        ])
    }
}

impl FromValue for Action {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let kind: Option<Kind> = fields.required("action");
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
        let (puts, extracts) = (matches!(kind, Kind::Put(_)), kind == Kind::Extract);
        let matches_keys = matches!(kind, Kind::Delete | Kind::Hash);
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
            (&target, kind == Kind::Convert, "convert"),
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
            (Kind::Delete, key) => Self::Delete { key, pattern },
            (Kind::Hash, key) => Self::Hash { key, pattern },
            (_, None) => return None,
            (Kind::Put(when), Some(key)) => Self::Put {
                key,
                source: Source::read(value, constant, from_attribute, default)?,
                when,
            },
            (Kind::Extract, Some(key)) => {
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
            (Kind::Convert, Some(key)) => match target {
                Some(target) => Self::Convert {
                    key,
                    target: target.read()?,
                },
                None => return value.error("`converted_type` is missing"),
            },
        })
    }
}

impl Source {
    fn read(
        action: &Value<'_>,
        constant: Option<Value<'_>>,
        from_attribute: Option<Value<'_>>,
        default: Option<Value<'_>>,
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

fn read_pattern(value: &Value<'_>) -> Option<Regex> {
    let text: String = value.read()?;
    match RegexBuilder::new(&text).size_limit(MAX_COMPILED).build() {
        Ok(pattern) => Some(pattern),
        Err(error) => value.error(format_args!("no regular expression: {}", plain(&error))),
    }
}

/// The names of all groups, which are the attributes to extract.
fn group_names(action: &Value<'_>, pattern: &Regex) -> Option<Vec<String>> {
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
