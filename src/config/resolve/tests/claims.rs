//! Two who want the same, as the user is told.

use super::*;

/// What is said of a configuration whose exporters `page`, `page/b` and `page/c` and whose
/// extensions `probe` and `probe/b` run, with `text` laid over it.
fn said(text: &str) -> Vec<String> {
    let all = "{exporters: {page: , page/b: , page/c: }, extensions: {probe: , probe/b: }, \
               service: {extensions: [probe, probe/b], pipelines: {metrics: {exporters: [page, \
               page/b, page/c]}}}}";
    let problems = match load(&[VALID, all, text], &[]) {
        Ok(loaded) => loaded.warnings,
        Err(invalid) => invalid.problems,
    };
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn two_who_want_the_same_are_both_named_with_their_places() {
    let f = |text: &str, expected: &[&str]| {
        assert_eq!(said(text), expected, "{text}");
    };
    f("exporters: {page: {file: x}, page/b: {file: y}}", &[]);
    f(
        "exporters: {page: {file: x}, page/b: {file: x}, page/c: {file: x}}",
        &[
            "yaml#3:1:45: exporters::page/b::file: this and exporters::page::file \
             (yaml#3:1:26) both write x: give one another path",
            "yaml#3:1:64: exporters::page/c::file: this and exporters::page::file \
             (yaml#3:1:26) both write x: give one another path",
        ],
    );
    // The second in the document, whatever their names and kinds are.
    f(
        "{extensions: {probe/b: {port: {endpoint: 127.0.0.1:1}}}, exporters: {page: {page: /x, \
         at: {endpoint: 127.0.0.1:1}}}}",
        &["yaml#3:1:102: exporters::page::at::endpoint: this and \
             extensions::probe/b::port::endpoint (yaml#3:1:42) both want 127.0.0.1:1: give one \
             another endpoint"],
    );
    f(
        "receivers: {gauge: {port: {endpoint: '[::]:1', allow_insecure_bind: true}}}\n\
         extensions: {probe: {port: {endpoint: 127.0.0.1:1}}}",
        &["yaml#3:2:39: extensions::probe::port::endpoint: this and \
             receivers::gauge::port::endpoint (yaml#3:1:38) both want port 1, and the address \
             of one is part of the other's: give one another port"],
    );
}

#[test]
fn what_is_written_nowhere_has_the_place_of_what_it_belongs_to() {
    let f = |text: &str, expected: &[&str]| {
        assert_eq!(said(text), expected, "{text}");
    };
    // On the agent's server, unless told otherwise.
    f(
        "exporters: {page: {page: /metrics}, page/b: {page: /metrics}}",
        &["yaml#2:1:22: exporters::page/b::at::endpoint: this and \
             exporters::page::at::endpoint (yaml#1:1:36, by default) both want /metrics on \
             127.0.0.1:9200: give one another endpoint"],
    );
    f(
        "exporters: {page: {page: /livez}}",
        &[
            "yaml#1:1:36: exporters::page::at::endpoint: this and service::http::endpoint \
             (yaml#1:1:45, by default) both want /livez on 127.0.0.1:9200: give one another \
             endpoint",
        ],
    );
    f(
        "{exporters: {page: {port: {endpoint: 127.0.0.1:3}}}, service: {http: {endpoint: \
         127.0.0.1:3}}}",
        &[
            "yaml#3:1:38: exporters::page::port::endpoint: this and service::http::endpoint \
             (yaml#3:1:81) both want 127.0.0.1:3: give one another endpoint",
        ],
    );
    f(
        "{exporters: {page: {page: /livez}, page/b: {page: /livez}}, service: {http: {endpoint: \
         none}}}",
        &[],
    );
}

#[test]
fn the_pages_of_readers_are_like_those_of_components() {
    let reader = "service: {telemetry: {metrics: {readers: [{pull: {exporter: {prometheus: {port: \
                  7}}}}]}}}";
    let f = |exporter: &str, expected: &[&str]| {
        let text = format!("{{exporters: {{page: {exporter}}}, {reader}}}");
        assert_eq!(said(&text), expected, "{text}");
    };
    f("{page: /x, at: {endpoint: 127.0.0.1:7}}", &[]);
    f(
        "{page: /metrics, at: {endpoint: 127.0.0.1:7}}",
        &[
            "yaml#3:1:129: service::telemetry::metrics::readers::0::pull::exporter::prometheus: \
             this and exporters::page::at::endpoint (yaml#3:1:52) both want /metrics on \
             127.0.0.1:7: give one another endpoint",
        ],
    );
}

#[test]
fn an_alias_is_told_from_what_it_repeats() {
    let text = "exporters:\n  page: {file: &name x}\n  page/b: {file: *name}\n";
    assert_eq!(
        said(text),
        [
            "yaml#3:3:12: exporters::page/b::file: this and exporters::page::file \
             (yaml#3:2:22) both write x: give one another path"
        ]
    );
    let text = "exporters:\n  page: &all {file: x}\n  page/b: *all\n";
    assert_eq!(
        said(text),
        [
            "yaml#2:1:22: exporters::page/b::file: this and exporters::page::file \
             (yaml#3:2:21) both write x: give one another path"
        ]
    );
}

#[test]
fn who_does_not_run_and_who_is_broken_wants_nothing() {
    let unused = load(
        &[VALID, "exporters: {page: {file: x}, page/b: {file: x}}"],
        &[],
    );
    let warnings = unused.unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    let broken = said("exporters: {page: {page: /x, at: {endpoint: x}}, page/b: {page: /x}}");
    let [broken] = broken.as_slice() else {
        panic!("{broken:?}")
    };
    assert!(broken.contains("exporters::page::at::endpoint"), "{broken}");
}

#[test]
fn a_value_of_the_environment_is_not_shown() {
    let text = "exporters: {page: {file: '${env:SECRET}'}, page/b: {file: '${env:SECRET}'}}";
    let sources = Sources {
        configs: vec![
            format!("yaml:{VALID}"),
            format!("yaml:{text}"),
            "yaml:service::pipelines::metrics::exporters: [page, page/b]".to_owned(),
        ],
        sets: Vec::new(),
    };
    let environment = |name: &str| (name == "SECRET").then(|| "hunter2".to_owned());
    let invalid = Config::load(&sources, &environment, &FACTORIES).unwrap_err();
    let shown = invalid.to_string();
    assert!(
        shown.ends_with("both write ${env:SECRET}: give one another path"),
        "{shown}"
    );
}

#[test]
fn a_thousand_that_want_the_same_are_told_in_one_run() {
    let exporters: String = (0..1000)
        .map(|i| format!("  page/{i}: {{page: /x, at: {{endpoint: '127.0.0.1:1'}}}}\n"))
        .collect();
    let names: Vec<String> = (0..1000).map(|i| format!("page/{i}")).collect();
    let text = format!(
        "exporters:\n{exporters}service::pipelines::metrics::exporters: [{}]",
        names.join(", ")
    );
    let problems = load(&[VALID, &text], &[]).unwrap_err().problems;
    assert_eq!(problems.len(), 999);
    assert!(problems.iter().all(|problem| {
        problem
            .message
            .starts_with("this and exporters::page/0::at::endpoint (yaml#2:2:")
    }));
}
