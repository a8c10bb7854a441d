//! Inside a room (a module with modules of its own) its members import one way, too. Where
//! two import each other, neither can be read, tested or moved alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::paths::{crate_paths, module_path, rust_files, without_comments};

/// A file of the crate: its module and its text without comments and tests.
struct File {
    module: Vec<String>,
    code: String,
    place: String,
}

/// One import between two members of a room, and where it is written.
type Imports = BTreeMap<(String, String), String>;

#[test]
fn the_members_of_a_room_import_one_way() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files: Vec<File> = rust_files(&root)
        .iter()
        .map(|path| {
            let relative = path.strip_prefix(&root).unwrap();
            File::new(relative, &fs::read_to_string(path).unwrap())
        })
        .collect();
    let circles = circles_in(&files);
    assert!(
        circles.is_empty(),
        "modules that import each other:\n{}",
        circles.join("\n")
    );
}

#[test]
fn a_circle_is_found_however_it_is_written() {
    let f = |sources: &[(&str, &str)], expected: &[&str]| {
        let files: Vec<File> = sources
            .iter()
            .map(|(file, source)| File::new(Path::new(file), source))
            .collect();
        assert_eq!(circles_in(&files), expected, "{sources:?}");
    };
    f(
        &[
            ("a/mod.rs", "mod b; mod c;"),
            ("a/b.rs", "use super::c::C;"),
            ("a/c.rs", "struct C;"),
        ],
        &[],
    );
    f(
        &[
            ("a/mod.rs", "mod b; mod c;"),
            ("a/b.rs", "use super::c::C;"),
            ("a/c/mod.rs", "fn f() { crate::a::b::f() }"),
        ],
        &["a: b -> c (a/b.rs:1), c -> b (a/c/mod.rs:1)"],
    );
    // By a name that the room passes on.
    f(
        &[
            (
                "a/mod.rs",
                "mod b; mod c;\npub use b::{A, B as Other};\nuse self::c::C;",
            ),
            ("a/b.rs", "\nuse super::{C, d};"),
            ("a/c.rs", "use crate::a::Other;"),
        ],
        &["a: b -> c (a/b.rs:2), c -> b (a/c.rs:1)"],
    );
    // Over a third.
    f(
        &[
            ("a/mod.rs", "mod b; mod c; mod d;"),
            ("a/b.rs", "use super::c::C;"),
            ("a/c.rs", "use super::d::D;"),
            ("a/d/e.rs", "use crate::a::b::B;"),
        ],
        &["a: b -> c (a/b.rs:1), c -> d (a/c.rs:1), d -> b (a/d/e.rs:1)"],
    );
    // Tests may use whatever they like.
    f(
        &[
            ("a/mod.rs", "mod b; mod c;\n#[cfg(test)]\nmod rig;"),
            ("a/b.rs", "use super::{c::C, rig::Rig};"),
            (
                "a/c.rs",
                "struct C;\n#[cfg(test)]\nmod tests { use super::super::b::B; }",
            ),
            ("a/c/tests.rs", "use crate::a::b::B;"),
            ("a/rig.rs", "use super::b::B;"),
        ],
        &[],
    );
}

impl File {
    fn new(relative: &Path, source: &str) -> Self {
        let source = without_comments(source);
        // Tests stand at the end of their file.
        let code = match source.find("#[cfg(test)]\nmod tests") {
            Some(tests) => source[..tests].to_owned(),
            None => source,
        };
        Self {
            module: module_path(relative),
            code,
            place: relative.display().to_string(),
        }
    }
}

/// The circles of every room, a line each: the imports that lie on it, with their places.
fn circles_in(files: &[File]) -> Vec<String> {
    let rooms: BTreeMap<&[String], &File> = files
        .iter()
        .map(|file| (file.module.as_slice(), file))
        .collect();
    let mut circles = Vec::new();
    for (room, file) in rooms {
        let members = members_of(room, file, files);
        if members.len() < 2 {
            continue;
        }
        let imports = imports_between(room, file, &members, files);
        let on_circles: Vec<String> = imports
            .iter()
            .filter(|((from, to), _)| reaches(&imports, to, from))
            .map(|((from, to), place)| format!("{from} -> {to} ({place})"))
            .collect();
        if !on_circles.is_empty() {
            circles.push(format!("{}: {}", room.join("::"), on_circles.join(", ")));
        }
    }
    circles
}

/// The modules right below a room, without those that are compiled for tests alone.
fn members_of(room: &[String], file: &File, files: &[File]) -> BTreeSet<String> {
    let tests = tests_of(&file.code);
    files
        .iter()
        .filter(|other| other.module.starts_with(room))
        .filter_map(|other| other.module.get(room.len()))
        .filter(|name| *name != "tests" && !tests.contains(name.as_str()))
        .cloned()
        .collect()
}

/// The names `n` of every `#[cfg(test)] mod n;` in a room's own file.
fn tests_of(code: &str) -> BTreeSet<&str> {
    code.split("#[cfg(test)]")
        .skip(1)
        .filter_map(|after| {
            let declared = after.split([';', '{']).next()?;
            let (_, name) = declared.split_once("mod ")?;
            Some(name.trim())
        })
        .collect()
}

fn imports_between(
    room: &[String],
    file: &File,
    members: &BTreeSet<String>,
    files: &[File],
) -> Imports {
    let passed_on = passed_on_by(&file.code, members);
    let mut imports = Imports::new();
    for other in files {
        let Some(from) = other.module.strip_prefix(room).and_then(<[_]>::first) else {
            continue;
        };
        if !members.contains(from) || other.module.iter().any(|name| name == "tests") {
            continue;
        }
        for (line, path) in crate_paths(&other.module, &other.code) {
            let Some(name) = path.strip_prefix(room).and_then(<[_]>::first) else {
                continue;
            };
            let to = if members.contains(name) {
                name
            } else if let Some(to) = passed_on.get(name) {
                to
            } else {
                continue;
            };
            if to != from {
                let place = format!("{}:{line}", other.place);
                imports.entry((from.clone(), to.clone())).or_insert(place);
            }
        }
    }
    imports
}

/// The names that a room's own file takes from its members, and so passes on to the others.
fn passed_on_by(code: &str, members: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut passed_on = BTreeMap::new();
    for statement in code.split("use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let path = statement.trim_start_matches("self::");
        let Some((member, names)) = path.split_once("::") else {
            continue;
        };
        if !members.contains(member) {
            continue;
        }
        for name in names.split(|c: char| "{},:".contains(c)) {
            let name = name.rsplit(" as ").next().unwrap_or_default().trim();
            passed_on.insert(name.to_owned(), member.to_owned());
        }
    }
    passed_on
}

fn reaches(imports: &Imports, from: &str, goal: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(at) = open.pop() {
        if at == goal {
            return true;
        }
        if seen.insert(at) {
            open.extend(
                imports
                    .keys()
                    .filter(|(origin, _)| origin == at)
                    .map(|(_, to)| to.as_str()),
            );
        }
    }
    false
}
