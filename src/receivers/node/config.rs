//! What the user writes.

use std::path::PathBuf;

use regex::{RegexSet, RegexSetBuilder};

use super::emit::Semconv;
use crate::receivers::scrape::Settings;
use crate::yaml::{FromValue, Value};

/// Patterns in one list.
const MAX_PATTERNS: usize = 64;
/// What a list of patterns may take once it is compiled, in bytes.
const MAX_COMPILED: usize = 1 << 20;

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) settings: Settings,
    pub(super) node_id: Option<String>,
    pub(super) root_path: PathBuf,
    pub(super) semconv: Semconv,
    pub(super) filesystems: Filter,
    pub(super) disks: Filter,
    pub(super) networks: Filter,
}

impl Config {
    pub(super) fn read(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let settings = Settings::from_fields(&mut fields);
        let node_id = fields.value("node_id").filter(|id| !id.is_null());
        let node_id = match node_id.map(|id| (id.read::<String>(), id)) {
            Some((Some(text), id)) if text.trim().is_empty() => id.error("is empty"),
            Some((text, _)) => text,
            None => None,
        };
        let root_path = fields.or("root_path", PathBuf::from("/"));
        let semconv = fields.or("semconv", Semconv::V1);
        let filesystems = fields.or("filesystems", Filter::default());
        let disks = fields.or("disks", Filter::default());
        let networks = fields.or("networks", Filter::default());
        fields.finish();
        Some(Self {
            settings,
            node_id,
            root_path,
            semconv,
            filesystems,
            disks,
            networks,
        })
    }
}

/// Which of the host's parts are read, by name.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    include: Option<RegexSet>,
    exclude: Option<RegexSet>,
}

impl Filter {
    /// Whether a part is read that would be or not be `by_default`. What is included by
    /// name needs no default, so that a filesystem or interface which is left out
    /// otherwise can be asked for.
    pub(super) fn admits(&self, name: &str, by_default: bool) -> bool {
        let included = match &self.include {
            Some(include) => include.is_match(name),
            None => by_default,
        };
        included && !self.exclude.as_ref().is_some_and(|set| set.is_match(name))
    }
}

impl FromValue for Filter {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let include = fields.optional::<Patterns>("include");
        let exclude = fields.optional::<Patterns>("exclude");
        fields.finish();
        Some(Self {
            include: include.map(|patterns| patterns.0),
            exclude: exclude.map(|patterns| patterns.0),
        })
    }
}

/// Regular expressions that match whole names.
struct Patterns(RegexSet);

impl FromValue for Patterns {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        let items = value.items()?;
        if items.len() > MAX_PATTERNS {
            return value.error(format_args!("more than {MAX_PATTERNS} patterns"));
        }
        let mut anchored = Vec::new();
        let mut wrong = false;
        for item in &items {
            let Some(pattern) = item.read::<String>() else {
                wrong = true;
                continue;
            };
            if let Err(error) = compile([&pattern]) {
                item.error::<()>(format_args!("no regular expression: {}", plain(&error)));
                wrong = true;
            }
            anchored.push(format!("^(?:{pattern})$"));
        }
        if wrong {
            return None;
        }
        match compile(&anchored) {
            Ok(set) => Some(Self(set)),
            Err(error) => value.error(format_args!("can't be used together: {}", plain(&error))),
        }
    }
}

fn compile<S: AsRef<str>>(patterns: impl IntoIterator<Item = S>) -> Result<RegexSet, regex::Error> {
    RegexSetBuilder::new(patterns)
        .size_limit(MAX_COMPILED)
        .build()
}

/// The last line of the error: those before it draw the pattern.
fn plain(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}
