//! Names and values as the page has them, with their escapes.

use std::borrow::Cow;

/// A text as written: escapes are resolved only when it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageText<'p> {
    raw: &'p str,
    escapes: Escapes,
}

/// Which sequences of a backslash and a character stand for something else. All others stand for
/// themselves, as in Prometheus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Escapes {
    /// None.
    None,
    /// `\\` and `\n`.
    Help,
    /// `\\`, `\n` and `\"`.
    Quoted,
}

impl<'p> PageText<'p> {
    /// A text that stands for itself.
    pub(super) const fn plain(raw: &'p str) -> Self {
        Self {
            raw,
            escapes: Escapes::None,
        }
    }

    /// A text that may have escapes.
    #[inline]
    pub(super) fn escaped(raw: &'p str, escapes: Escapes, has_backslash: bool) -> Self {
        let escapes = if has_backslash {
            escapes
        } else {
            Escapes::None
        };
        Self { raw, escapes }
    }

    /// As written.
    pub fn raw(self) -> &'p str {
        self.raw
    }

    /// What it stands for; borrowed if it has no escapes.
    pub fn text(self) -> Cow<'p, str> {
        if self.escapes == Escapes::None {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some(at) = rest.find('\\') {
            text.push_str(&rest[..at]);
            let stands_for = match (rest.as_bytes().get(at + 1), self.escapes) {
                (Some(b'\\'), _) => Some('\\'),
                (Some(b'n'), _) => Some('\n'),
                (Some(b'"'), Escapes::Quoted) => Some('"'),
                _ => None,
            };
            match stands_for {
                Some(char) => {
                    text.push(char);
                    rest = &rest[at + 2..];
                }
                None => {
                    text.push('\\');
                    rest = &rest[at + 1..];
                }
            }
        }
        text.push_str(rest);
        Cow::Owned(text)
    }

    /// Whether it stands for this text.
    pub fn is(self, text: &str) -> bool {
        match self.escapes {
            Escapes::None => self.raw == text,
            _ => self.text() == text,
        }
    }
}

/// One label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageLabel<'p> {
    /// Its name.
    pub name: PageText<'p>,
    /// Its value.
    pub value: PageText<'p>,
}
