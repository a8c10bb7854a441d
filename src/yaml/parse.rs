//! Text to [`Node`]s, within bounds.
//!
//! Anchors, aliases and merge keys (`<<`) are resolved here, so nobody else sees them; an
//! alias counts every node that it copies against [`MAX_NODES`], which is what stops a
//! "billion laughs". Tags beyond YAML's own are refused, because nothing here would act on
//! them.

mod aliases;
mod words;

use std::collections::HashMap;
use std::sync::Arc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Tag};

use self::aliases::{Anchored, merge};
use super::{Diagnostics, Entry, Node, NodeKind, Problem, Severity, SourceSpan};
use crate::steps;

/// The largest text that is read, in bytes. Real configurations are a hundredth of it.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How many nodes a document may have, aliases counted as often as they are used.
pub const MAX_NODES: usize = 100_000;

/// How deep lists and maps may nest. It bounds every recursion over a tree.
pub const MAX_DEPTH: usize = 64;

/// Reads one document. An empty one is [`NodeKind::Null`].
///
/// Problems go to `diagnostics`. Duplicate keys are reported one by one and the first of
/// them counts; a syntax error ends the reading, since what follows it can't be understood,
/// and gives `None`.
pub fn parse(text: &str, source: &Arc<str>, diagnostics: &Diagnostics) -> Option<Node> {
    let mut builder = NodeBuilder {
        source,
        diagnostics,
        stack: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        copied: 0,
    };
    match builder.read(text) {
        Ok(()) => Some(builder.root.unwrap_or(Node {
            kind: NodeKind::Null,
            span: SourceSpan {
                source: Arc::clone(source),
                line: 1,
                column: 1,
            },
        })),
        Err((span, message)) => {
            diagnostics.push(Problem {
                span,
                path: String::new(),
                message,
                severity: Severity::Error,
            });
            None
        }
    }
}

/// What ends the reading: where and why.
type Fatal = (SourceSpan, String);

/// Assembles nodes from events, with a stack of its own instead of recursion.
struct NodeBuilder<'a> {
    source: &'a Arc<str>,
    diagnostics: &'a Diagnostics,
    stack: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    /// Bytes that aliases have copied.
    copied: usize,
}

/// A list or map whose end has not come yet.
struct Open {
    span: SourceSpan,
    /// 0 for none, as the parser counts.
    anchor: usize,
    /// Nodes before it, to know how many it has in the end.
    nodes_before: usize,
    /// Levels below it, so far.
    height: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// What `<<` brings, which gives way to every key that is written.
        merged: Vec<Entry>,
        seen: HashMap<String, usize>,
        key: Option<YamlKey>,
    },
}

struct YamlKey {
    text: String,
    span: SourceSpan,
    plain: bool,
}

impl NodeBuilder<'_> {
    fn read(&mut self, text: &str) -> Result<(), Fatal> {
        if text.len() > MAX_BYTES {
            let span = self.span(Marker::new(0, 1, 0));
            return Err((
                span,
                format!(
                    "the text has {} bytes, and {MAX_BYTES} are the most that is read",
                    text.len()
                ),
            ));
        }
        // The parser's own limits stay well above ours, so that the words are ours.
        let options = granit_parser::options! { emit_comments: false };
        let mut documents = 0;
        for next in Parser::new_from_str_with_options(text, options) {
            let (event, span) = next.map_err(|error| self.syntax(text, &error))?;
            let at = self.span(span.start);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        return Err((
                            at,
                            "a second document begins here: use one, or give each in a file \
                             of its own with --config"
                                .to_owned(),
                        ));
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    let quoted = style != ScalarStyle::Plain || self.tag(&at, tag.as_deref())?;
                    self.scalar(text.into_owned(), quoted, at, anchor)?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.tag(&at, tag.as_deref())?;
                    self.open(at, anchor, Content::List(Vec::new()))?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.tag(&at, tag.as_deref())?;
                    let content = Content::Map {
                        entries: Vec::new(),
                        merged: Vec::new(),
                        seen: HashMap::new(),
                        key: None,
                    };
                    self.open(at, anchor, content)?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close()?,
                Event::Alias(id) => self.alias(id, at)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn span(&self, marker: Marker) -> SourceSpan {
        SourceSpan {
            source: Arc::clone(self.source),
            line: marker.line(),
            column: marker.col() + 1,
        }
    }

    /// Whether a tag makes a scalar a string; tags that nothing acts on are refused.
    fn tag(&self, at: &SourceSpan, tag: Option<&Tag>) -> Result<bool, Fatal> {
        let Some(tag) = tag else { return Ok(false) };
        match tag.core_suffix() {
            Some("str") => Ok(true),
            Some("null" | "bool" | "int" | "float" | "seq" | "map") => Ok(false),
            _ => Err((
                at.clone(),
                format!(
                    "the tag `{}` means nothing here: remove it, or quote the text if it \
                     belongs to the value",
                    tag.original()
                ),
            )),
        }
    }

    fn scalar(
        &mut self,
        text: String,
        quoted: bool,
        at: SourceSpan,
        anchor: usize,
    ) -> Result<(), Fatal> {
        self.count(1, &at)?;
        if let Some(Open {
            content: Content::Map {
                key: key @ None, ..
            },
            ..
        }) = self.stack.last_mut()
        {
            if anchor != 0 {
                return Err((at, "an anchor on a key is not supported".to_owned()));
            }
            *key = Some(YamlKey {
                text,
                span: at,
                plain: !quoted,
            });
            return Ok(());
        }
        let null = !quoted && matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let node = Node {
            // Nothing after a key has no place of its own: the key's is the better one.
            span: if null { self.key_span(at) } else { at },
            kind: if null {
                NodeKind::Null
            } else {
                NodeKind::Scalar { text, quoted }
            },
        };
        self.place(node, anchor, 1, 0)
    }

    fn open(&mut self, at: SourceSpan, anchor: usize, content: Content) -> Result<(), Fatal> {
        self.count(1, &at)?;
        if self.stack.len() >= MAX_DEPTH {
            return Err((at, too_deep()));
        }
        self.reject_as_key(&at)?;
        self.stack.push(Open {
            // What is said about a map as a whole is best read at its key.
            span: self.key_span(at),
            anchor,
            nodes_before: self.nodes - 1,
            height: 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Fatal> {
        let Some(open) = self.stack.pop() else {
            return Ok(());
        };
        let kind = match open.content {
            Content::List(items) => NodeKind::List(items),
            Content::Map {
                mut entries,
                merged,
                mut seen,
                ..
            } => {
                for entry in merged {
                    if seen.insert(entry.key.clone(), entry.span.line).is_none() {
                        entries.push(entry);
                    }
                }
                NodeKind::Map(entries)
            }
        };
        let node = Node {
            kind,
            span: open.span,
        };
        let nodes = self.nodes - open.nodes_before;
        self.place(node, open.anchor, nodes, open.height)
    }

    /// Puts a finished node where it belongs.
    fn place(
        &mut self,
        node: Node,
        anchor: usize,
        nodes: usize,
        height: usize,
    ) -> Result<(), Fatal> {
        if anchor != 0 {
            // The copy that is kept costs as much as the node itself.
            self.count(nodes, &node.span)?;
            self.anchors
                .insert(anchor, Anchored::new(&node, nodes, height));
        }
        let duplicate = self.duplicate();
        let Some(open) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        open.height = open.height.max(height + 1);
        match &mut open.content {
            Content::List(items) => items.push(node),
            Content::Map {
                entries,
                merged,
                seen,
                key,
            } => {
                let Some(key) = key.take() else { return Ok(()) };
                if key.plain && key.text == "<<" {
                    return merge(node, key.span, merged);
                }
                if let Some((line, path)) = duplicate {
                    self.diagnostics.push(Problem {
                        message: format!(
                            "`{}` is written twice, first in line {line}: keep one of them",
                            key.text
                        ),
                        span: key.span,
                        path,
                        severity: Severity::Error,
                    });
                    return Ok(());
                }
                seen.insert(key.text.clone(), key.span.line);
                entries.push(Entry {
                    key: key.text,
                    span: key.span,
                    value: node,
                });
            }
        }
        Ok(())
    }

    /// For a key that its map has already: the line of the first, and the path.
    fn duplicate(&self) -> Option<(usize, String)> {
        match &self.stack.last()?.content {
            Content::Map {
                seen,
                key: Some(key),
                ..
            } => Some((*seen.get(&key.text)?, self.path())),
            _ => None,
        }
    }

    fn count(&mut self, nodes: usize, at: &SourceSpan) -> Result<(), Fatal> {
        steps::count(nodes);
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > MAX_NODES {
            return Err((
                at.clone(),
                format!(
                    "more than {MAX_NODES} values, aliases counted as often as they are used: \
                     is an alias repeated too often?"
                ),
            ));
        }
        Ok(())
    }

    fn reject_as_key(&self, at: &SourceSpan) -> Result<(), Fatal> {
        match self.stack.last() {
            Some(Open {
                content: Content::Map { key: None, .. },
                ..
            }) => Err((at.clone(), "a key must be plain text".to_owned())),
            _ => Ok(()),
        }
    }

    /// The place of the key that waits for its value; `at` where none does.
    fn key_span(&self, at: SourceSpan) -> SourceSpan {
        match self.stack.last() {
            Some(Open {
                content: Content::Map { key: Some(key), .. },
                ..
            }) => key.span.clone(),
            _ => at,
        }
    }

    /// The keys that lead to the value which comes next.
    fn path(&self) -> String {
        let parts: Vec<String> = self
            .stack
            .iter()
            .filter_map(|open| match &open.content {
                Content::List(items) => Some(items.len().to_string()),
                Content::Map { key, .. } => key.as_ref().map(|key| key.text.clone()),
            })
            .collect();
        parts.join("::")
    }

    fn syntax(&self, text: &str, error: &ScanError) -> Fatal {
        let marker = error.marker();
        // The parser names a tab by where it broke the rules, which can be a line above.
        let tab = text
            .lines()
            .take(marker.line() + 1)
            .enumerate()
            .find_map(|(i, line)| {
                let indent = line.find(|c: char| c != ' ' && c != '\t')?;
                let column = line.get(..indent)?.find('\t')?;
                Some((i + 1, column))
            });
        if let Some((line, column)) = tab {
            let at = self.span(Marker::new(0, line, column));
            return (at, "a tab can't indent in YAML: use spaces".to_owned());
        }
        let line = text.lines().nth(marker.line().saturating_sub(1));
        let before = line.map(|line| line.chars().skip(marker.col().saturating_sub(1)));
        let is_reference = before.is_some_and(|found| found.take(2).eq(['$', '{']));
        let message = match is_reference {
            true => words::reference_within_brackets(),
            false => words::plain(error.kind()),
        };
        (self.span(*marker), message)
    }
}

fn too_deep() -> String {
    format!("lists and maps nest deeper than {MAX_DEPTH} levels")
}

#[cfg(test)]
mod tests;
