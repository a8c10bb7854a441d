//! Relabelling: rules that keep, drop and change targets or series by their labels.
//!
//! ```yaml
//! relabel_configs:
//!   - source_labels: [__meta_kubernetes_namespace, __meta_kubernetes_pod_name]
//!     separator: ";"             # between the values of several labels
//!     regex: (.*);(.*)           # has to match the whole text; in Go's syntax
//!     target_label: instance
//!     replacement: $1/$2         # may be empty, which removes the label
//!     action: replace            # or one of those below
//! ```
//!
//! | action | what it does |
//! |---|---|
//! | `replace` | sets `target_label` to `replacement` if `regex` matches |
//! | `keep`, `drop` | keeps what `regex` matches, or drops it |
//! | `keepequal`, `dropequal` | as these, by whether the text is the value of `target_label` |
//! | `hashmod` | sets `target_label` to the MD5 hash of the text modulo `modulus` |
//! | `labelmap` | copies each label whose name `regex` matches to the name `replacement` |
//! | `labeldrop`, `labelkeep` | removes the labels whose names `regex` matches, or all others |
//! | `lowercase`, `uppercase` | sets `target_label` to the text in small or capital letters |
//!
//! The results are those of Prometheus 3, with which `tests/prometheus_relabel.rs` compares. What
//! differs: `a)|(b` is refused, which Prometheus reads
//! as two expressions with one anchor each; an expression may take 1 MiB when compiled; and a text
//! that a rule makes may be 1 MiB long.

mod config;
mod labels;
mod letters;
#[cfg(test)]
mod tests;

use std::num::NonZeroU64;

use regex::Regex;

use crate::regexp::Template;

pub use labels::{EditedLabel, LabelBuilder};

/// The longest text that a rule may make, in bytes. A rule can double a text, and the next one
/// again.
const LONGEST: usize = 1 << 20;

/// Which names labels may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameScheme {
    /// Any text that isn't empty.
    #[default]
    Utf8,
    /// ASCII letters, digits and `_`, no digit first.
    Legacy,
}

/// What becomes of a target or series after the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relabelled {
    /// It stays, with the labels that it has now.
    Kept,
    /// A rule dropped it.
    Dropped,
    /// A rule made a text that is longer than 1 MiB.
    TooLong,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct RelabelRule {
    sources: Vec<String>,
    separator: String,
    action: RelabelAction,
}

#[derive(Debug, Clone)]
enum RelabelAction {
    Replace {
        regex: NamePattern,
        target: Template,
        replacement: Template,
        names: NameScheme,
    },
    Keep(NamePattern),
    Drop(NamePattern),
    KeepEqual(String),
    DropEqual(String),
    HashMod {
        target: String,
        modulus: NonZeroU64,
    },
    LabelMap {
        regex: NamePattern,
        replacement: Template,
    },
    LabelDrop(NamePattern),
    LabelKeep(NamePattern),
    Lowercase(String),
    Uppercase(String),
}

/// A regular expression that has to match a whole text.
#[derive(Debug, Clone)]
enum NamePattern {
    /// The default, `(.*)`.
    Anything,
    Compiled(Regex),
}

impl NameScheme {
    /// Whether a label may have this name.
    pub fn allows(self, name: &str) -> bool {
        let is_first = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => {
                name.bytes().next().is_some_and(is_first)
                    && name
                        .bytes()
                        .all(|byte| is_first(byte) || byte.is_ascii_digit())
            }
        }
    }
}

impl RelabelRule {
    /// Applies rules in their order. A rule that drops ends it; the labels are then whatever they
    /// had become. The time it takes is linear in the texts of the labels, for each rule.
    pub fn apply(rules: &[Self], labels: &mut LabelBuilder<'_>) -> Relabelled {
        for rule in rules {
            match rule.apply_one(labels) {
                Relabelled::Kept => {}
                verdict => return verdict,
            }
        }
        Relabelled::Kept
    }

    fn apply_one(&self, labels: &mut LabelBuilder<'_>) -> Relabelled {
        let Some(text) = self.text(labels) else {
            return Relabelled::TooLong;
        };
        let keep = |keeps: bool| match keeps {
            true => Relabelled::Kept,
            false => Relabelled::Dropped,
        };
        match &self.action {
            RelabelAction::Keep(regex) => return keep(regex.is_match(&text)),
            RelabelAction::Drop(regex) => return keep(!regex.is_match(&text)),
            RelabelAction::KeepEqual(target) => return keep(labels.value(target) == text),
            RelabelAction::DropEqual(target) => return keep(labels.value(target) != text),
            RelabelAction::Replace {
                regex,
                target,
                replacement,
                names,
            } => {
                let Some([name, value]) = regex.expanded(&text, [target, replacement]) else {
                    return Relabelled::Kept;
                };
                let (Some(name), Some(value)) = (name, value) else {
                    return Relabelled::TooLong;
                };
                if names.allows(&name) {
                    labels.set(name, value);
                }
            }
            RelabelAction::HashMod { target, modulus } => {
                let hash = md5::compute(text.as_bytes()).0;
                // Only its last 8 bytes, as Prometheus has always done.
                let last = hash
                    .iter()
                    .skip(8)
                    .fold(0, |sum: u64, byte| sum << 8 | u64::from(*byte));
                labels.set(target.clone(), (last % modulus.get()).to_string());
            }
            RelabelAction::LabelMap { regex, replacement } => {
                let mut mapped = Vec::new();
                for label in labels.iter() {
                    let Some([name]) = regex.expanded(&label.name, [replacement]) else {
                        continue;
                    };
                    let Some(name) = name else {
                        return Relabelled::TooLong;
                    };
                    mapped.push(EditedLabel {
                        name: name.into(),
                        value: label.value.clone(),
                    });
                }
                labels.set_all(mapped);
            }
            RelabelAction::LabelDrop(regex) => labels.retain(|name| !regex.is_match(name)),
            RelabelAction::LabelKeep(regex) => labels.retain(|name| regex.is_match(name)),
            RelabelAction::Lowercase(target) => {
                labels.set(target.clone(), letters::lowercase(&text));
            }
            RelabelAction::Uppercase(target) => {
                labels.set(target.clone(), letters::uppercase(&text));
            }
        }
        Relabelled::Kept
    }

    /// The values of the source labels, joined; `None` if that is too long.
    fn text(&self, labels: &LabelBuilder<'_>) -> Option<String> {
        let mut text = String::new();
        for (at, name) in self.sources.iter().enumerate() {
            if at > 0 {
                text.push_str(&self.separator);
            }
            let value = labels.value(name);
            if text.len() + value.len() > LONGEST {
                return None;
            }
            text.push_str(value);
        }
        Some(text)
    }
}

impl NamePattern {
    fn is_match(&self, text: &str) -> bool {
        match self {
            Self::Anything => true,
            Self::Compiled(regex) => regex.is_match(text),
        }
    }

    /// Fills in templates with what a text matches; `None` if it doesn't. A template that would
    /// become too long is `None`.
    fn expanded<const N: usize>(
        &self,
        text: &str,
        templates: [&Template; N],
    ) -> Option<[Option<String>; N]> {
        let fill = |fill: &dyn Fn(&Template, &mut String)| {
            templates.map(|template| {
                let mut out = String::new();
                (template.longest(text.len()) <= LONGEST).then(|| {
                    fill(template, &mut out);
                    out
                })
            })
        };
        match self {
            Self::Anything => Some(fill(&|template, out| template.expand_whole(text, out))),
            Self::Compiled(regex) => {
                let groups = regex.captures(text)?;
                Some(fill(&|template, out| template.expand(&groups, out)))
            }
        }
    }
}
