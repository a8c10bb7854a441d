//! Modules import one way. This test reads the sources and compares every path that
//! starts at the crate's root with the table below.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod circles;
mod names;
mod paths;

use std::fs;
use std::path::Path;

use paths::{crate_paths, module_path, rust_files};

/// What each top-level module may import. A module that isn't listed may import nothing of
/// ours, so a new one is noticed at once.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // The ground: pure, usable alone, tested without anything else.
    ("descriptors", &[]),
    ("exposition", &["steps"]),
    ("host", &[]),
    ("lane", &[]),
    // What a test logs.
    ("log_capture", &[]),
    ("pdata", &["steps"]),
    // Reads any store through a trait of its own, so that the store needn't know queries.
    ("query", &["regexp"]),
    ("regexp", &[]),
    ("resilience", &["descriptors"]),
    // What readers count for tests; outside of them it is nothing. Its own tests know the
    // readers.
    ("steps", &["exposition", "pdata", "yaml"]),
    ("window", &["regexp"]),
    ("yaml", &["steps"]),
    // Metrics in Prometheus's terms, wherever they are shown.
    ("translation", &["exposition", "pdata"]),
    // Requests of deployments, whichever component counts them.
    ("traffic", &["pdata", "window"]),
    // What every component is made of.
    ("telemetry", &["exposition"]),
    // What goes into a window, whether or not it passes a pipeline.
    (
        "recording",
        &["exposition", "telemetry", "translation", "window"],
    ),
    ("net", &["descriptors", "lane", "log_capture", "yaml"]),
    ("settings", &["net", "resilience", "yaml"]),
    (
        "component",
        &[
            "pdata",
            "recording",
            "resilience",
            "settings",
            "telemetry",
            "translation",
            "window",
            "yaml",
        ],
    ),
    (
        "config",
        &["component", "pdata", "resilience", "settings", "yaml"],
    ),
    (
        "server",
        &[
            "component",
            "descriptors",
            "exposition",
            "lane",
            "log_capture",
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
            "log_capture",
            "pdata",
            "recording",
            "resilience",
            "settings",
            "telemetry",
            "translation",
            "window",
        ],
    ),
    // Shows what the windows remember.
    (
        "history",
        &[
            "component",
            "exposition",
            "lane",
            "query",
            "recording",
            "telemetry",
            "window",
        ],
    ),
    // Watches the breakers from beside the pipelines.
    (
        "breakers",
        &["component", "lane", "resilience", "settings", "telemetry"],
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
    "descriptors",
    "exposition",
    "host",
    "lane",
    "log_capture",
    "net",
    "pdata",
    "recording",
    "regexp",
    "resilience",
    "server",
    "settings",
    "steps",
    "telemetry",
    "traffic",
    "translation",
    "window",
    "yaml",
];

const ANYTHING_BUT_MAIN: &[&str] = &[
    "breakers",
    "component",
    "components",
    "config",
    "descriptors",
    "exporters",
    "exposition",
    "history",
    "lane",
    "log_capture",
    "net",
    "pdata",
    "pipeline",
    "query",
    "resilience",
    "server",
    "service",
    "settings",
    "telemetry",
    "translation",
    "window",
    "yaml",
];

/// Rooms inside a family of components that its members share.
const SHARED_ROOMS: &[(&str, &str)] = &[
    ("processors", "actions"),
    ("processors", "constant"),
    ("processors", "matching"),
    ("processors", "testing"),
    ("receivers", "kubernetes"),
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
