//! `type[/name]`, which names a component in a configuration.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A component's id, such as `otlp` or `otlp/backup`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ComponentId {
    text: Arc<str>,
    /// Length of the type within `text`.
    kind: usize,
}

impl ComponentId {
    /// The type, which picks the factory.
    pub fn kind(&self) -> &str {
        &self.text[..self.kind]
    }

    /// The name after the slash.
    pub fn name(&self) -> Option<&str> {
        self.text.get(self.kind + 1..)
    }

    /// The whole id.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for ComponentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a text is no component id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no component id: use a type of letters, digits and `_`, and optionally `/` and a name"
)]
pub struct InvalidId(String);

impl FromStr for ComponentId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let kind = text.find('/').unwrap_or(text.len());
        let type_is_right = text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text[..kind]
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_');
        let name_is_right = text.get(kind + 1..).is_none_or(|name| {
            !name.is_empty() && !name.contains('/') && !name.contains(char::is_whitespace)
        });
        if type_is_right && name_is_right {
            Ok(Self {
                text: text.into(),
                kind,
            })
        } else {
            Err(InvalidId(text.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_type_and_at_most_one_name() {
        let f = |text: &str, expected: Option<(&str, Option<&str>)>| {
            let id = text.parse::<ComponentId>().ok();
            assert_eq!(
                id.as_ref().map(|id| (id.kind(), id.name())),
                expected,
                "{text}"
            );
        };
        f("otlp", Some(("otlp", None)));
        f("otlp/2", Some(("otlp", Some("2"))));
        f(
            "memory_limiter/a-b.c",
            Some(("memory_limiter", Some("a-b.c"))),
        );
        f("", None);
        f("otlp/", None);
        f("/x", None);
        f("otlp/a/b", None);
        f("otlp/a b", None);
        f("ot-lp", None);
    }
}
