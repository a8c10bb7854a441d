//! Finds, in the text of a source, the paths that lead to other modules of the crate.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The module that a file holds: `pdata/view/mod.rs` is `[pdata, view]`.
pub(crate) fn module_path(file: &Path) -> Vec<String> {
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
pub(crate) fn crate_paths(module: &[String], source: &str) -> Vec<(usize, Vec<String>)> {
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
pub(crate) fn members(rest: &str, found: &mut impl FnMut(Vec<String>)) {
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
pub(crate) fn segments(path: &str) -> Vec<String> {
    let mut segments = Vec::new();
    for part in path.split("::").take(5) {
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
pub(crate) fn without_comments(source: &str) -> String {
    source
        .lines()
        .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
        .collect::<Vec<_>>()
        .join("\n")
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
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
