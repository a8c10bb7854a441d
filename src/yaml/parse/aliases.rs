//! Anchors, aliases and merge keys.

use super::{
    Entry, Fatal, MAX_BYTES, MAX_DEPTH, Node, NodeBuilder, NodeKind, SourceSpan, too_deep,
};
use crate::steps;

/// How many bytes of text aliases may copy, all of them together.
const MAX_COPIED: usize = MAX_BYTES;

/// A node that aliases may copy, and what a copy costs.
pub(super) struct Anchored {
    node: Node,
    nodes: usize,
    /// Bytes of the texts and keys in it.
    bytes: usize,
    height: usize,
}

impl Anchored {
    /// A copy of a node of so many nodes and levels.
    pub(super) fn new(node: &Node, nodes: usize, height: usize) -> Self {
        Self {
            node: node.clone(),
            nodes,
            bytes: bytes_of(node),
            height,
        }
    }
}

impl NodeBuilder<'_> {
    /// Copies what an alias stands for.
    pub(super) fn alias(&mut self, id: usize, at: SourceSpan) -> Result<(), Fatal> {
        self.reject_as_key(&at)?;
        let Some(anchored) = self.anchors.get(&id) else {
            return Err((at, "an alias can't stand inside its own anchor".to_owned()));
        };
        let (nodes, bytes, height) = (anchored.nodes, anchored.bytes, anchored.height);
        if self.stack.len() + height > MAX_DEPTH {
            return Err((at, too_deep()));
        }
        // Counted before it is copied, or the copy would be what the budget is to prevent.
        self.count(nodes, &at)?;
        self.copied = self.copied.saturating_add(bytes);
        if self.copied > MAX_COPIED {
            return Err((
                at,
                format!("aliases copy more than {MAX_COPIED} bytes: is one repeated too often?"),
            ));
        }
        steps::count(bytes);
        let Some(anchored) = self.anchors.get(&id) else {
            return Ok(());
        };
        let node = anchored.node.clone();
        self.place(node, 0, nodes, height)
    }
}

/// What `<<: *base` or `<<: [*a, *b]` brings; earlier ones win, as in YAML 1.1.
pub(super) fn merge(node: Node, at: SourceSpan, merged: &mut Vec<Entry>) -> Result<(), Fatal> {
    let wrong = || {
        let message = "`<<` merges maps: give it an alias of a map, or a list of them";
        (at.clone(), message.to_owned())
    };
    match node.kind {
        NodeKind::Map(entries) => merged.extend(entries),
        NodeKind::List(items) => {
            for item in items {
                match item.kind {
                    NodeKind::Map(entries) => merged.extend(entries),
                    _ => return Err(wrong()),
                }
            }
        }
        _ => return Err(wrong()),
    }
    Ok(())
}

/// Bytes of the texts and keys in a node.
fn bytes_of(node: &Node) -> usize {
    match &node.kind {
        NodeKind::Null => 0,
        NodeKind::Scalar { text, .. } => text.len(),
        NodeKind::Secret { text, .. } => text.expose().len(),
        NodeKind::List(items) => items.iter().map(bytes_of).sum(),
        NodeKind::Map(entries) => entries
            .iter()
            .map(|entry| entry.key.len() + bytes_of(&entry.value))
            .sum(),
    }
}
