//! Modules import one way. This test reads the sources and compares every path that
//! starts at the crate's root with the table below.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may import. A module that isn't listed may import nothing of
/// ours, so a new one is noticed at once.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // The ground: pure, usable alone, tested without anything else.
    ("exposition", &[]),
    ("pdata", &[]),
    ("resilience", &[]),
    ("window", &[]),
    ("yaml", &[]),
    // What every component is made of.
    ("telemetry", &["exposition"]),
    ("net", &["yaml"]),
    ("settings", &["net", "resilience", "yaml"]),
    (
        "component",
        &["pdata", "resilience", "settings", "telemetry", "yaml"],
    ),
    (
        "config",
        &["component", "pdata", "resilience", "settings", "yaml"],
    ),
    (
        "server",
        &[
            "component",
            "exposition",
            "net",
            "settings",
            "telemetry",
            "yaml",
        ],
    ),
    // The components. None knows another, and none knows the pipeline.
    ("receivers", COMPONENTS_IMPORT),
    ("processors", COMPONENTS_IMPORT),
    ("exporters", COMPONENTS_IMPORT),
    ("extensions", COMPONENTS_IMPORT),
    // The pipeline knows components only by their traits.
    (
        "pipeline",
        &[
            "component",
            "config",
            "pdata",
            "resilience",
            "settings",
            "telemetry",
        ],
    ),
    // Watches the breakers from beside the pipelines.
    (
        "breakers",
        &["component", "resilience", "settings", "telemetry"],
    ),
    // What ties it all together.
    (
        "components",
        &[
            "component",
            "exporters",
            "extensions",
            "processors",
            "receivers",
        ],
    ),
    ("service", ANYTHING_BUT_MAIN),
    ("cli", ANYTHING_BUT_MAIN),
    ("main", &["cli", "service"]),
    ("lib", &[]),
];

const COMPONENTS_IMPORT: &[&str] = &[
    "component",
    "exposition",
    "net",
    "pdata",
    "resilience",
    "server",
    "settings",
    "telemetry",
    "window",
    "yaml",
];

const ANYTHING_BUT_MAIN: &[&str] = &[
    "breakers",
    "component",
    "components",
    "config",
    "exporters",
    "exposition",
    "net",
    "pdata",
    "pipeline",
    "resilience",
    "server",
    "service",
    "settings",
    "telemetry",
    "yaml",
];

/// Rooms inside a family of components that its members share.
const SHARED_ROOMS: &[(&str, &str)] = &[
    ("processors", "actions"),
    ("processors", "constant"),
    ("processors", "matching"),
    ("processors", "testing"),
    ("receivers", "scrape"),
];

#[test]
fn no_module_imports_upwards() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut offences = Vec::new();
    let mut read = 0;
    for file in rust_files(&root) {
        let relative = file.strip_prefix(&root).unwrap().to_owned();
        let source = fs::read_to_string(&file).unwrap();
        offences.extend(offences_in(&relative, &source));
        read += 1;
    }
    assert!(
        read > 10,
        "only {read} files were read: is the layout another one now?"
    );
    assert!(
        offences.is_empty(),
        "imports that point the wrong way:\n{}",
        offences.join("\n")
    );
}

#[test]
fn an_import_that_points_upwards_is_found_in_every_form() {
    let f = |file: &str, source: &str, expected: &[&str]| {
        assert_eq!(offences_in(Path::new(file), source), expected, "{source}");
    };
    f("pdata/walk.rs", "use crate::pdata::Batch;", &[]);
    f("pdata/walk.rs", "// use crate::service::Service;", &[]);
    f(
        "pdata/walk.rs",
        "use crate::service::Service;",
        &["pdata/walk.rs:1: pdata -> service"],
    );
    f(
        "pdata/mod.rs",
        "fn a() {\n crate::config::x() }",
        &["pdata/mod.rs:2: pdata -> config"],
    );
    f(
        "component/mod.rs",
        "use crate::{\n    pdata::{Batch, Part},\n    pipeline::Chain,\n};",
        &["component/mod.rs:1: component -> pipeline"],
    );
    f(
        "pdata/a/b.rs",
        "use super::super::super::cli;",
        &["pdata/a/b.rs:1: pdata -> cli"],
    );
    f(
        "pdata/a/mod.rs",
        "use super::super::cli;",
        &["pdata/a/mod.rs:1: pdata -> cli"],
    );
    f("pdata/a.rs", "mod tests { use super::*; }", &[]);
    f("pdata/a.rs", "mod tests { use super::super::Batch; }", &[]);
    f(
        "pdata/a.rs",
        "mod tests { }\nuse super::super::cli;",
        &["pdata/a.rs:2: pdata -> cli"],
    );
    f(
        "receivers/node/mod.rs",
        "use crate::receivers::scrape::Scraper;",
        &[],
    );
    f("receivers/node/mod.rs", "use super::scrape::Scraper;", &[]);
    f(
        "receivers/node/mod.rs",
        "use crate::receivers::betanet::Reading;",
        &["receivers/node/mod.rs:1: receivers::node -> receivers::betanet"],
    );
    f(
        "receivers/node/mod.rs",
        "use super::betanet::Reading;",
        &["receivers/node/mod.rs:1: receivers::node -> receivers::betanet"],
    );
    f(
        "receivers/node/mod.rs",
        "pub(in crate::receivers) fn f() -> std::io::Result<()> {}",
        &[],
    );
    f(
        "receivers/node/mod.rs",
        "fn f(_: crate::receivers, _: a::betanet) {}",
        &[],
    );
    f(
        "unheard_of/mod.rs",
        "use crate::yaml::Node;",
        &["unheard_of/mod.rs:1: unheard_of -> yaml"],
    );
}

/// Every import in one file that the table forbids.
fn offences_in(file: &Path, source: &str) -> Vec<String> {
    let module = module_path(file);
    let Some(top) = module.first() else {
        return Vec::new();
    };
    let top = top.as_str();
    let allowed = MAY_IMPORT
        .iter()
        .find(|(name, _)| *name == top)
        .map_or(&[][..], |(_, to)| to);
    let mut offences = Vec::new();
    for (line, path) in crate_paths(&module, source) {
        let Some(target) = path.first() else { continue };
        let place = format!("{}:{line}", file.display());
        if target != top {
            if !allowed.contains(&target.as_str()) {
                offences.push(format!("{place}: {top} -> {target}"));
            }
        } else if matches!(top, "receivers" | "processors" | "exporters" | "extensions")
            && let (Some(from), Some(to)) = (module.get(1), path.get(1))
            && from != to
            && !SHARED_ROOMS.contains(&(top, to.as_str()))
            && to.starts_with(|c: char| c.is_ascii_lowercase())
        {
            offences.push(format!("{place}: {top}::{from} -> {top}::{to}"));
        }
    }
    offences
}

/// The module that a file holds: `pdata/view/mod.rs` is `[pdata, view]`.
fn module_path(file: &Path) -> Vec<String> {
    let mut path: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if path.last().is_some_and(|last| last == "mod") {
        path.pop();
    }
    path
}

/// Every path in the source that leads to the crate's root, by `crate::` or by `super::`,
/// as the segments after the root, with its line. A braced group gives a path a member.
fn crate_paths(module: &[String], source: &str) -> Vec<(usize, Vec<String>)> {
    let code = without_comments(source);
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        if !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            members(&code[at + "crate::".len()..], &mut |path| {
                found.push((at, path))
            });
        }
    }
    for (at, _) in code.match_indices("super::") {
        if code[..at].ends_with("super::") || code[..at].ends_with(|c: char| c.is_alphanumeric()) {
            continue;
        }
        let mut rest = &code[at..];
        let mut up = 0;
        while let Some(after) = rest.strip_prefix("super::") {
            rest = after;
            up += 1;
        }
        let Some(depth) = (module.len() + inline_modules(&code, at)).checked_sub(up) else {
            continue;
        };
        members(rest, &mut |path| {
            found.push((at, module.iter().take(depth).cloned().chain(path).collect()));
        });
    }
    found
        .into_iter()
        .map(|(at, path)| (code[..at].matches('\n').count() + 1, path))
        .collect()
}

/// How many `mod name { ... }` of the file stand around a position. Each takes one `super`
/// of a path to leave.
fn inline_modules(code: &str, at: usize) -> usize {
    let mut around = 0;
    let mut from = 0;
    while let Some(found) = code[from..at].find("mod ") {
        let start = from + found;
        from = start + "mod ".len();
        let name = code[from..].find(|c: char| !(c.is_alphanumeric() || c == '_'));
        let Some(opening) = name.map(|end| from + end) else {
            break;
        };
        let body = code[opening..].trim_start();
        if body.starts_with('{') && closes_after(&code[opening..], at - opening) {
            around += 1;
        }
    }
    around
}

/// Whether the first brace in `code` is still open at a position. Braces in text are nearly
/// always in pairs, so that they needn't be told apart.
fn closes_after(code: &str, at: usize) -> bool {
    let mut depth = 0;
    for (i, c) in code.char_indices().take_while(|(i, _)| *i < at) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 && c == '}' && i > 0 {
            return false;
        }
    }
    true
}

/// The first segments of each path in `rest`, which follows a `::`: one path, or one for
/// each member of a braced group.
fn members(rest: &str, found: &mut impl FnMut(Vec<String>)) {
    let Some(group) = rest.strip_prefix('{') else {
        return found(segments(rest));
    };
    let mut depth = 0;
    let mut start = 0;
    for (i, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                let member = group[start..i].trim();
                if !member.is_empty() {
                    found(segments(member));
                }
                start = i + 1;
                if c == '}' {
                    return;
                }
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
}

/// `a::b::{c, d}` begins with the segments a and b.
fn segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    for part in path.split("::").take(3) {
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        let end = part.find(|c| !is_name(c)).unwrap_or(part.len());
        if end > 0 {
            segments.push(part[..end].to_owned());
        }
        // What stands behind it belongs to another path.
        if end < part.len() {
            break;
        }
    }
    segments
}

/// The source with line comments blanked, line by line, so that positions stay.
fn without_comments(source: &str) -> String {
    source
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.insert(path);
        }
    }
    files.into_iter().collect()
}
