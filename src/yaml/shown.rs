//! What messages show of a document: no secrets, no values of variables, and URLs without
//! their credentials and queries.

use super::print::{REDACTED, without_credentials};
use super::seal::holds_secrets;
use super::{Diagnostics, Node, NodeKind};

/// A key of the map at `path`, unless it can't be a key and stands where a secret is due:
/// `Bearer hunter2` in place of `authorization: Bearer hunter2`.
pub(super) fn key<'k>(path: &str, key: &'k str) -> &'k str {
    let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let owner = path.rsplit("::").next().unwrap_or_default();
    match holds_secrets(owner) && !key.chars().all(is_key) {
        true => REDACTED,
        false => key,
    }
}

/// What a node is, in the user's words and without what must not be shown.
pub(super) fn value(node: &Node, diagnostics: &Diagnostics) -> String {
    match &node.kind {
        NodeKind::Null => "nothing".to_owned(),
        NodeKind::Scalar { text, .. } if text.is_empty() => "an empty text".to_owned(),
        NodeKind::Scalar { text, .. } => match diagnostics.reference(&node.span) {
            Some(written) => format!("the value of {}", quoted(&written)),
            None => quoted(text),
        },
        NodeKind::Secret { .. } => "a text that is not shown".to_owned(),
        NodeKind::List(_) => "a list".to_owned(),
        NodeKind::Map(_) => "a map".to_owned(),
    }
}

/// A message without what must not be shown of a node and of what is `depth` levels below it.
pub(super) fn veiled(
    message: String,
    node: &Node,
    diagnostics: &Diagnostics,
    depth: usize,
) -> String {
    /// What is shorter stands in many words by chance, and isn't much of a secret.
    const SHORTEST: usize = 4;
    let instead = |message: String, text: &str, shown: &str| match text.len() >= SHORTEST {
        true => message.replace(text, shown),
        false => message,
    };
    let below = depth.checked_sub(1);
    match (&node.kind, below) {
        (NodeKind::Secret { text, .. }, _) => instead(message, text.expose(), REDACTED),
        (NodeKind::Scalar { text, .. }, _) => match diagnostics.reference(&node.span) {
            Some(written) => instead(message, text, &without_credentials(&written)),
            None => {
                let shown = without_credentials(text);
                match shown == *text {
                    true => message,
                    false => instead(message, text, &shown),
                }
            }
        },
        (NodeKind::List(items), Some(below)) => items.iter().fold(message, |message, item| {
            veiled(message, item, diagnostics, below)
        }),
        (NodeKind::Map(entries), Some(below)) => entries.iter().fold(message, |message, entry| {
            veiled(message, &entry.value, diagnostics, below)
        }),
        _ => message,
    }
}

/// A text on one line, and without the secrets that a URL carries.
fn quoted(text: &str) -> String {
    /// Enough to recognise a value by.
    const MAX_CHARS: usize = 80;
    let text = without_credentials(text);
    let mut shown: String = text
        .chars()
        .take(MAX_CHARS)
        .flat_map(|c| {
            let escaped = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escaped.into_iter().flatten().chain(plain)
        })
        .collect();
    if text.chars().count() > MAX_CHARS {
        shown.push_str("...");
    }
    format!("`{shown}`")
}
