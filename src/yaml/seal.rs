//! Which values are secret, by the key under which they stand.
//!
//! A secret is sealed before anything reads the tree, so that it makes no difference which
//! component reads it, as what type, and whether it is right: `basic: "me:hunter2"` where a map
//! belongs is an error that must not show the text. Going by where components read secrets was
//! what came before; it missed all that no component reads.

use super::{Node, NodeKind, Secret};

/// Keys below which every value is a secret.
const HOLDERS: [&str; 7] = [
    "auth",
    "authorization",
    "basic",
    "cookies",
    "headers",
    "headerslist",
    "responseheaders",
];

/// What the key of a single secret contains, in small letters and without separators.
const MARKS: [&str; 13] = [
    "accesskey",
    "apikey",
    "authorization",
    "bearer",
    "cookie",
    "credential",
    "keypem",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secret",
    "token",
];

/// Seals every secret of a tree.
pub fn seal(node: &mut Node) {
    walk(node, false);
}

/// Whether a key, or the name of an environment variable, says that a secret stands there.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = plain(key);
    !is_place(&key) && (MARKS.iter().any(|mark| key.contains(mark)) || key.ends_with("pem"))
}

/// Whether everything below a key is secret.
pub(super) fn holds_secrets(key: &str) -> bool {
    HOLDERS.contains(&plain(key).as_str())
}

fn walk(node: &mut Node, sealed: bool) {
    match &mut node.kind {
        NodeKind::Null | NodeKind::Secret { .. } => {}
        NodeKind::Scalar { text, quoted } => {
            if sealed {
                node.kind = NodeKind::Secret {
                    text: Secret::new(std::mem::take(text)),
                    quoted: *quoted,
                };
            }
        }
        NodeKind::List(items) => items.iter_mut().for_each(|item| walk(item, sealed)),
        NodeKind::Map(entries) => {
            for entry in entries {
                let key = plain(&entry.key);
                let holds = holds_secrets(&key);
                // A map is not one secret: `otlp/tokens` is the id of a component.
                let is_one = is_secret(&key) && !matches!(entry.value.kind, NodeKind::Map(_));
                let inherits = sealed && !matches!(&*key, "username" | "name");
                walk(
                    &mut entry.value,
                    !is_place(&key) && (holds || is_one || inherits),
                );
            }
        }
    }
}

/// Whether the key is of the file that holds the secret, which is none itself.
fn is_place(plain_key: &str) -> bool {
    plain_key.ends_with("file") || plain_key.ends_with("path")
}

fn plain(key: &str) -> String {
    key.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{Diagnostics, parse, print};

    #[test]
    fn values_are_secret_by_their_key_wherever_it_stands() {
        let f = |text: &str, is_sealed: bool| {
            let mut node = parse(text, &Arc::from("t"), &Diagnostics::new()).unwrap();
            seal(&mut node);
            let printed = print(&node, &[]);
            assert_eq!(!printed.contains("canary"), is_sealed, "{text}");
            assert_eq!(!format!("{node:?}").contains("canary"), is_sealed, "{text}");
        };
        for text in [
            "bearer_token: canary",
            "a: {Password: canary}",
            "a: [{api-key: canary}]",
            "client_secret: [canary]",
            "key_pem: canary",
            "ca_pem: canary",
            "headers: {x-tenant: canary}",
            "headers: [{name: x, value: canary}]",
            "headers: canary",
            "cookies: {session: canary}",
            "auth: {basic: canary}",
            "basic: {password: {a: canary}}",
            "X-Auth-Token: canary",
        ] {
            f(text, true);
        }
        for text in [
            "bearer_token_file: canary",
            "auth: {password_file: canary}",
            "auth: {basic: {username: canary}}",
            "otlp/tokens: {endpoint: canary}",
            "endpoint: canary",
            "key: canary",
        ] {
            f(text, false);
        }
    }
}
