//! From what stands on the command line to a [`Config`], with every problem on the way.

use std::fs::File;
use std::io::Read as _;
use std::sync::Arc;

use super::expand::{Environment, expand};
use super::merge::{merge, set, unfold};
use super::{Config, resolve};
use crate::component::Factories;
use crate::yaml::{
    Diagnostics, MAX_BYTES, MAX_DEPTH, Node, NodeKind, Problem, Severity, SourceSpan, parse, seal,
};

/// What runs when nothing is asked for.
pub const DEFAULT: &str = include_str!("../../otel-config/default.yaml");

/// What the user named on the command line.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Every `--config`, in order: a path, `file:PATH`, `env:NAME` or `yaml:TEXT`. None
    /// stands for [`DEFAULT`].
    pub configs: Vec<String>,
    /// Every `--set`, in order: `PATH=VALUE`.
    pub sets: Vec<String>,
}

/// A valid configuration, and what belongs to it.
#[derive(Debug)]
pub struct Loaded {
    /// What can be run.
    pub config: Config,
    /// Everything merged and expanded, as `foghorn print-config` shows it.
    pub tree: Node,
    /// Where scalars stand in the tree that must not be shown.
    pub secrets: Vec<SourceSpan>,
    /// What works but is hardly what the user wants.
    pub warnings: Vec<Problem>,
}

/// A configuration that can't be run: everything that is wrong with it, and the warnings,
/// sorted by place.
#[derive(Debug, thiserror::Error)]
#[error("{}", lines(problems))]
pub struct Invalid {
    /// At least one is an error.
    pub problems: Vec<Problem>,
}

impl Config {
    /// Reads, merges, expands and validates.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, in one go. Sources that can't be read and syntax errors
    /// end it before validation, which would only report what follows from them.
    pub fn load(
        sources: &Sources,
        environment: Environment<'_>,
        factories: &Factories,
    ) -> Result<Loaded, Invalid> {
        let diagnostics = Diagnostics::new();
        let tree = read(sources, environment, &diagnostics);
        let config = tree
            .as_ref()
            .and_then(|tree| resolve::resolve(tree, factories, &diagnostics));
        let problems = diagnostics.problems();
        match (tree, config) {
            (Some(tree), Some(mut config)) if !diagnostics.has_errors() => {
                config.sources = names(sources);
                Ok(Loaded {
                    config,
                    tree,
                    secrets: diagnostics.secrets(),
                    warnings: problems,
                })
            }
            _ => Err(Invalid { problems }),
        }
    }
}

/// The merged and expanded tree; `None` where a source can't be read.
fn read(
    sources: &Sources,
    environment: Environment<'_>,
    diagnostics: &Diagnostics,
) -> Option<Node> {
    let mut trees = Vec::new();
    let inline = sources.configs.iter().filter(|c| c.starts_with("yaml:"));
    let number_inline = inline.count() > 1;
    let mut inline = 0;
    for config in &sources.configs {
        let (name, text) = if let Some(text) = config.strip_prefix("yaml:") {
            inline += 1;
            let name = if number_inline {
                format!("yaml#{inline}")
            } else {
                "yaml".to_owned()
            };
            (name, Ok(text.to_owned()))
        } else if let Some(variable) = config.strip_prefix("env:") {
            let text = environment(variable)
                .ok_or_else(|| format!("the environment variable `{variable}` is not set"));
            (config.clone(), text)
        } else {
            let path = config.strip_prefix("file:").unwrap_or(config);
            (path.to_owned(), read_file(path))
        };
        let name: Arc<str> = name.into();
        let tree = text
            .map_err(|message| error(&name, 1, 1, message, diagnostics))
            .ok()
            .and_then(|text| parse(&text, &name, diagnostics));
        trees.push(tree.map(|mut tree| {
            if config.starts_with("yaml:") {
                unfold(&mut tree);
            }
            tree
        }));
    }
    if sources.configs.is_empty() {
        trees.push(parse(DEFAULT, &Arc::from("default"), diagnostics));
    }

    // Every source is read before the first that failed ends it.
    let mut trees = trees
        .into_iter()
        .collect::<Option<Vec<Node>>>()?
        .into_iter();
    let mut root = trees.next()?;
    for tree in trees {
        // A file with nothing in it, or comments alone, takes nothing away.
        if !matches!(tree.kind, NodeKind::Null) {
            merge(&mut root, tree);
        }
    }
    for (i, argument) in sources.sets.iter().enumerate() {
        apply(&mut root, argument, i + 1, diagnostics);
    }
    if diagnostics.has_errors() && !sources.sets.is_empty() {
        // A `--set` that was not understood leaves a tree that nobody meant.
        return None;
    }
    // Every value is in its place now, and its key says whether it may be shown.
    seal(&mut root);
    expand(&mut root, environment, diagnostics);
    Some(root)
}

fn read_file(path: &str) -> Result<String, String> {
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err("a configuration can't be fetched by HTTP: download it to a file".to_owned());
    }
    let unreadable = |error: std::io::Error| format!("the file can't be read: {error}");
    let mut bytes = Vec::new();
    // One more than is allowed, so that the parser sees that it is too long; a device
    // like /dev/zero would never end.
    File::open(path)
        .map_err(unreadable)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = error
            .as_bytes()
            .iter()
            .take(valid)
            .filter(|byte| **byte == b'\n')
            .count();
        format!("the text is not UTF-8: look at line {}", line + 1)
    })
}

/// One `--set`. Its line number is its position among them.
fn apply(root: &mut Node, argument: &str, number: usize, diagnostics: &Diagnostics) {
    let name: Arc<str> = "--set".into();
    let Some((path, value)) = argument.split_once('=') else {
        // Not what stands there: it may be a secret with a colon where `=` belongs.
        let message = "there is no `=` in it: write it as `path.to.key=value`".to_owned();
        return error(&name, number, 1, message, diagnostics);
    };
    // Component ids may contain dots: then `::` separates.
    let separator = if path.contains("::") { "::" } else { "." };
    let keys: Vec<&str> = path.split(separator).collect();
    if keys.iter().any(|key| key.is_empty()) || keys.len() > MAX_DEPTH {
        let message = format!("`{path}` is no path: write it as `service.http.endpoint`");
        return error(&name, number, 1, message, diagnostics);
    }
    let offset = path.chars().count() + 1;
    let read = Diagnostics::new();
    let node = parse(value, &name, &read);
    for mut problem in read.problems() {
        problem.span.line = number;
        problem.span.column += offset;
        diagnostics.push(problem);
    }
    let Some(mut node) = node else { return };
    relocate(&mut node, number, offset);
    let span = SourceSpan {
        source: name,
        line: number,
        column: 1,
    };
    set(root, &keys, node, &span, diagnostics);
}

/// Moves a tree that was read from the value of a `--set` to where it stands.
fn relocate(node: &mut Node, line: usize, offset: usize) {
    let moved = |span: &mut SourceSpan| {
        span.line = line;
        span.column += offset;
    };
    moved(&mut node.span);
    match &mut node.kind {
        NodeKind::List(items) => items
            .iter_mut()
            .for_each(|item| relocate(item, line, offset)),
        NodeKind::Map(entries) => entries.iter_mut().for_each(|entry| {
            moved(&mut entry.span);
            relocate(&mut entry.value, line, offset);
        }),
        NodeKind::Null | NodeKind::Scalar { .. } | NodeKind::Secret { .. } => {}
    }
}

fn error(
    source: &Arc<str>,
    line: usize,
    column: usize,
    message: String,
    diagnostics: &Diagnostics,
) {
    diagnostics.push(Problem {
        span: SourceSpan {
            source: Arc::clone(source),
            line,
            column,
        },
        path: String::new(),
        message,
        severity: Severity::Error,
    });
}

/// What the first lines of the agent call the sources. The text of `yaml:` may hold
/// secrets.
fn names(sources: &Sources) -> Vec<String> {
    let mut names: Vec<String> = sources
        .configs
        .iter()
        .map(|config| match config.strip_prefix("yaml:") {
            Some(_) => "yaml:...".to_owned(),
            None => config.clone(),
        })
        .collect();
    if names.is_empty() {
        names.push("the built-in default".to_owned());
    }
    if !sources.sets.is_empty() {
        names.push("--set".to_owned());
    }
    names
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}
