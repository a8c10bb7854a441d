//! Reads rules from the configuration.

use std::num::NonZeroU64;

use super::{LONGEST, NamePattern, NameScheme, RelabelAction, RelabelRule};
use crate::regexp::{Template, whole};
use crate::yaml::{Fields, PlacedNode};

/// The names of the actions, which may also be written in capitals.
const ACTIONS: [(&str, RelabelKind); 11] = [
    ("replace", RelabelKind::Replace),
    ("keep", RelabelKind::Keep),
    ("drop", RelabelKind::Drop),
    ("keepequal", RelabelKind::KeepEqual),
    ("dropequal", RelabelKind::DropEqual),
    ("hashmod", RelabelKind::HashMod),
    ("labelmap", RelabelKind::LabelMap),
    ("labeldrop", RelabelKind::LabelDrop),
    ("labelkeep", RelabelKind::LabelKeep),
    ("lowercase", RelabelKind::Lowercase),
    ("uppercase", RelabelKind::Uppercase),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RelabelKind {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl RelabelRule {
    /// Reads a list of rules, for labels with such names. What is wrong is reported with its
    /// place.
    pub fn read_all(value: &PlacedNode<'_>, names: NameScheme) -> Option<Vec<Self>> {
        let items = value.items()?;
        let read: Vec<Option<Self>> = items.iter().map(|item| Self::read(item, names)).collect();
        read.into_iter().collect()
    }

    fn read(value: &PlacedNode<'_>, names: NameScheme) -> Option<Self> {
        if value.is_null() {
            return value.error("the rule is empty");
        }
        let mut fields = value.fields()?;
        let written = WrittenRule::read(&mut fields);
        let sources = fields.value("source_labels");
        fields.finish();
        let written = written?;
        let sources = match sources.as_ref().filter(|sources| !sources.is_null()) {
            Some(sources) => Some(source_labels(sources, names)?),
            None => None,
        };
        written.check(value, sources.is_some())?;
        let action = written.action(value, names)?;
        Some(Self {
            sources: sources.unwrap_or_default(),
            separator: written.separator.unwrap_or_else(|| ";".to_owned()),
            action,
        })
    }
}

/// A rule as it is written, `source_labels` apart.
struct WrittenRule<'a> {
    kind: RelabelKind,
    separator: Option<String>,
    regex: Option<PlacedNode<'a>>,
    modulus: Option<u64>,
    target: Option<PlacedNode<'a>>,
    replacement: Option<PlacedNode<'a>>,
}

impl<'a> WrittenRule<'a> {
    fn read(fields: &mut Fields<'a>) -> Option<Self> {
        let mut written = |key| fields.value(key).filter(|value| !value.is_null());
        let action = written("action");
        let regex = written("regex");
        let target = written("target_label");
        let replacement = written("replacement");
        let separator = fields.optional("separator");
        let modulus = fields.optional("modulus");
        let kind = match action {
            Some(action) => kind_of(&action)?,
            None => RelabelKind::Replace,
        };
        Some(Self {
            kind,
            separator,
            regex,
            modulus,
            target,
            replacement,
        })
    }

    /// Refuses keys that would have no effect, as Prometheus does.
    fn check(&self, place: &PlacedNode<'_>, has_sources: bool) -> Option<()> {
        use RelabelKind as Kind;
        let name = name_of(self.kind);
        let replaces = self.replacement_text()? != "$1";
        let is_unusual = replaces
            || self.modulus.is_some_and(|modulus| modulus != 0)
            || self.separator.as_ref().is_some_and(|text| text != ";");
        let has_target = self.target.is_some();
        match self.kind {
            Kind::KeepEqual | Kind::DropEqual if is_unusual || self.regex.is_some() => place.error(
                format_args!("{name} takes source_labels and target_label, and nothing else"),
            ),
            Kind::LabelDrop | Kind::LabelKeep if is_unusual || has_sources || has_target => {
                place.error(format_args!("{name} takes regex, and nothing else"))
            }
            Kind::Lowercase | Kind::Uppercase if replaces => {
                place.error(format_args!("{name} takes no replacement"))
            }
            _ => Some(()),
        }
    }

    fn action(&self, place: &PlacedNode<'_>, names: NameScheme) -> Option<RelabelAction> {
        use RelabelKind as Kind;
        Some(match self.kind {
            Kind::Replace => RelabelAction::Replace {
                regex: self.regex()?,
                target: self.target_template(place, names)?,
                replacement: self.replacement()?,
                names,
            },
            Kind::Keep => RelabelAction::Keep(self.regex()?),
            Kind::Drop => RelabelAction::Drop(self.regex()?),
            Kind::KeepEqual => RelabelAction::KeepEqual(self.target(place, names)?),
            Kind::DropEqual => RelabelAction::DropEqual(self.target(place, names)?),
            Kind::HashMod => {
                // The regular expression has no effect, but has to be one.
                self.regex()?;
                let Some(modulus) = self.modulus.and_then(NonZeroU64::new) else {
                    return place.error("hashmod needs a `modulus` that isn't 0");
                };
                let target = self.target(place, names)?;
                RelabelAction::HashMod { target, modulus }
            }
            Kind::LabelMap => {
                let replacement = self.replacement()?;
                self.check_map(place, &replacement, names)?;
                RelabelAction::LabelMap {
                    regex: self.regex()?,
                    replacement,
                }
            }
            Kind::LabelDrop => RelabelAction::LabelDrop(self.regex()?),
            Kind::LabelKeep => RelabelAction::LabelKeep(self.regex()?),
            Kind::Lowercase => RelabelAction::Lowercase(self.target(place, names)?),
            Kind::Uppercase => RelabelAction::Uppercase(self.target(place, names)?),
        })
    }

    fn regex(&self) -> Option<NamePattern> {
        let Some(value) = &self.regex else {
            return Some(NamePattern::Anything);
        };
        let text: String = value.read()?;
        if text == "(.*)" {
            return Some(NamePattern::Anything);
        }
        match whole(&text, LONGEST) {
            Ok(regex) => Some(NamePattern::Compiled(regex)),
            Err(error) => value.error(error),
        }
    }

    /// The label that the rule sets or compares, which isn't filled in.
    fn target(&self, place: &PlacedNode<'_>, names: NameScheme) -> Option<String> {
        let value = self.target_value(place)?;
        let text: String = value.read()?;
        match names.allows(&text) {
            true => Some(text),
            false => wrong_name(value, &text),
        }
    }

    /// The label that the rule sets, which may have references to groups in it.
    fn target_template(&self, place: &PlacedNode<'_>, names: NameScheme) -> Option<Template> {
        let value = self.target_value(place)?;
        let text: String = value.read()?;
        let is_right = match names {
            NameScheme::Legacy if text.contains('$') => is_legacy_template(&text),
            names => names.allows(&text),
        };
        match is_right {
            true => Some(Template::new(&text)),
            false => wrong_name(value, &text),
        }
    }

    fn target_value(&self, place: &PlacedNode<'_>) -> Option<&PlacedNode<'a>> {
        match &self.target {
            Some(value) if value.text() != Some("") => Some(value),
            _ => place.error(format_args!(
                "`target_label` is missing: {} needs it",
                name_of(self.kind)
            )),
        }
    }

    fn replacement_text(&self) -> Option<String> {
        match &self.replacement {
            Some(value) => value.read(),
            None => Some("$1".to_owned()),
        }
    }

    fn replacement(&self) -> Option<Template> {
        Some(Template::new(&self.replacement_text()?))
    }

    /// The names that `labelmap` makes have to be possible ones.
    fn check_map(
        &self,
        place: &PlacedNode<'_>,
        replacement: &Template,
        names: NameScheme,
    ) -> Option<()> {
        let text = self.replacement_text()?;
        let is_right = match names {
            NameScheme::Utf8 => replacement.literal() != Some(""),
            NameScheme::Legacy => is_legacy_template(&text),
        };
        let value = self.replacement.as_ref().unwrap_or(place);
        match is_right {
            true => Some(()),
            false => wrong_name(value, &text),
        }
    }
}

fn source_labels(value: &PlacedNode<'_>, names: NameScheme) -> Option<Vec<String>> {
    let items = value.items()?;
    let read: Vec<Option<String>> = items
        .iter()
        .map(|item| {
            let text: String = item.read()?;
            match names.allows(&text) {
                true => Some(text),
                false => wrong_name(item, &text),
            }
        })
        .collect();
    read.into_iter().collect()
}

fn wrong_name<T>(value: &PlacedNode<'_>, text: &str) -> Option<T> {
    match text.is_empty() {
        true => value.error("the name of a label can't be empty"),
        false => value.error(format_args!("`{text}` is no name of a label")),
    }
}

fn kind_of(value: &PlacedNode<'_>) -> Option<RelabelKind> {
    let text = value.text().unwrap_or_default().to_lowercase();
    match ACTIONS.iter().find(|(name, _)| *name == text) {
        Some((_, kind)) => Some(*kind),
        // For the message, which names the nearest.
        None => value.choice(&ACTIONS),
    }
}

fn name_of(kind: RelabelKind) -> &'static str {
    let mut names = ACTIONS.iter();
    names
        .find(|(_, other)| *other == kind)
        .map_or("", |(name, _)| name)
}

/// Whether a text consists of letters, digits, `_` and references to groups, no digit first.
fn is_legacy_template(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_words = |text: &str| !text.is_empty() && text.chars().all(is_word);
    let mut parts = text.split('$');
    let first = parts.next().unwrap_or_default();
    let mut references = parts.map(|part| match part.strip_prefix('{') {
        Some(braced) => braced
            .split_once('}')
            .is_some_and(|(name, rest)| is_words(name) && rest.chars().all(is_word)),
        None => is_words(part),
    });
    !text.is_empty()
        && !first.starts_with(|c: char| c.is_ascii_digit())
        && first.chars().all(is_word)
        && references.all(|is_reference| is_reference)
}
