//! Files that must be there at the start: `validate` and `run` miss the same ones, at the same
//! places.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

const MISSING: &str = "No such file or directory (os error 2)";

/// What each of the two commands says of a configuration that both refuse.
fn refused(yaml: &str) -> String {
    let said = ["validate", "run"].map(|command| {
        let output = Command::new(env!("CARGO_BIN_EXE_foghorn"))
            .args([command, "--config", &format!("yaml:{yaml}")])
            .env_remove("RUST_LOG")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{command}: {said}");
        said
    });
    let [validated, run] = said;
    assert_eq!(validated, run);
    validated
}

/// A configuration with these components, each of which is used.
fn agent(receiver: &str, exporter: &str, more: &str) -> String {
    let kind = |component: &str| component.split(':').next().unwrap().to_owned();
    format!(
        "receivers:
  {receiver}
exporters:
  {exporter}
service:
  pipelines: {{metrics: {{receivers: [{}], exporters: [{}]}}}}
{more}",
        kind(receiver),
        kind(exporter),
    )
}

#[test]
fn every_file_of_a_listener_has_its_place() {
    let tls = "{cert_file: /nowhere/c, key_file: /nowhere/k}";
    let auth = "{bearer_token_file: /nowhere/t}";
    let yaml = format!(
        "receivers:
  otlp:
    protocols:
      grpc: {{endpoint: '127.0.0.1:0', tls: {tls}}}
      http: {{endpoint: '127.0.0.1:0', auth: {auth}}}
exporters:
  prometheus: {{endpoint: '127.0.0.1:0', auth: {auth}}}
extensions:
  health_check: {{endpoint: '127.0.0.1:0', tls: {tls}, auth: {auth}}}
service:
  http: {{endpoint: '127.0.0.1:0', tls: {tls}}}
  telemetry: {{metrics: {{address: '127.0.0.1:0', tls: {tls}}}}}
  extensions: [health_check]
  pipelines: {{metrics: {{receivers: [otlp], exporters: [prometheus]}}}}
"
    );
    let (c, t) = (
        format!("tls::cert_file: /nowhere/c: {MISSING}"),
        format!("auth::bearer_token_file: /nowhere/t: {MISSING}"),
    );
    let expected = [
        format!("yaml:4:56: receivers::otlp::protocols::grpc::{c}"),
        format!("yaml:5:65: receivers::otlp::protocols::http::{t}"),
        format!("yaml:7:67: exporters::prometheus::{t}"),
        format!("yaml:9:60: extensions::health_check::{c}"),
        format!("yaml:9:121: extensions::health_check::{t}"),
        format!("yaml:11:52: service::http::{c}"),
        format!("yaml:12:66: service::telemetry::metrics::{c}"),
        "7 errors in the configuration".to_owned(),
    ];
    let said = refused(&yaml);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines, expected, "in the order of the document");
}

#[test]
fn a_file_that_can_not_be_used_is_no_better_than_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = at("cert.pem", &issued.cert.pem());
    let key = at("key.pem", &issued.signing_key.serialize_pem());
    let (empty, here) = (at("empty", ""), folder.path().display().to_string());
    let f = |keys: &str, expected: &str| {
        let receiver =
            format!("otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:0', {keys}}}}}}}");
        let said = refused(&agent(&receiver, "debug:", ""));
        let place = "receivers::otlp::protocols::http::";
        assert!(said.contains(&format!("{place}{expected}")), "{said}");
        assert!(said.starts_with("yaml:2:"), "{said}");
    };
    let pair = |certificate: &str, key: &str| {
        format!("tls: {{cert_file: '{certificate}', key_file: '{key}'}}")
    };
    f(
        &pair(&empty, &key),
        &format!("tls::cert_file: {empty}: there is no"),
    );
    f(
        &pair(&key, &key),
        &format!("tls::cert_file: {key}: there is no"),
    );
    f(
        &pair(&here, &key),
        &format!("tls::cert_file: {here}: Is a directory"),
    );
    f(
        &pair(&certificate, &empty),
        &format!("tls::key_file: {empty}: "),
    );
    let clients = format!(
        "tls: {{cert_file: '{certificate}', key_file: '{key}', client_ca_file: '{empty}'}}"
    );
    f(
        &clients,
        &format!("tls::client_ca_file: {empty}: there is no"),
    );
    f(
        &format!("auth: {{bearer_token_file: '{empty}'}}"),
        &format!("auth::bearer_token_file: {empty}: the first line is empty"),
    );
}

#[test]
fn what_a_client_needs_has_its_place_too() {
    let f = |keys: &str, expected: &str| {
        let receiver = format!("betanet: {{endpoints: ['https://127.0.0.1:9'], {keys}}}");
        let said = refused(&agent(&receiver, "debug:", ""));
        let place = "receivers::betanet::";
        assert!(
            said.contains(&format!("{place}{expected}: {MISSING}")),
            "{said}"
        );
    };
    f("tls: {ca_file: /nowhere/a}", "tls::ca_file: /nowhere/a");
    f(
        "tls: {cert_file: /nowhere/c, key_file: /nowhere/k}",
        "tls::cert_file: /nowhere/c",
    );
    f(
        "auth: {bearer_token_file: /nowhere/t}",
        "auth::bearer_token_file: /nowhere/t",
    );
    f(
        "auth: {basic: {username: u, password_file: /nowhere/p}}",
        "auth::basic::password_file: /nowhere/p",
    );
    let said = refused(&agent("node: {root_path: /nowhere}", "debug:", ""));
    assert!(
        said.starts_with("yaml:2:21: receivers::node::root_path: /nowhere is no directory"),
        "{said}"
    );
}

#[test]
fn a_file_exporter_that_could_not_open_its_file_is_refused_before_it_tries() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let f = |path: &Path, more: &str, expected: &str| {
        let path = path.display();
        let exporter = format!("file: {{path: '{path}'{more}}}");
        let said = refused(&agent("node:", &exporter, ""));
        assert!(
            said.starts_with(&format!("yaml:4:16: exporters::file::path: {expected}")),
            "{said}"
        );
    };
    let missing = folder.path().join("a/b/out.jsonl");
    let directory = folder.path().join("a/b");
    let directory = directory.display();
    f(
        &missing,
        "",
        &format!("the directory {directory} is missing: create it, or set"),
    );
    let here = folder.path().display().to_string();
    f(
        folder.path(),
        "",
        &format!("{here} is a directory: name a file in it"),
    );
    let below = file.join("x/out.jsonl");
    let expected = format!("{} is no directory", file.display());
    for more in ["", ", create_directory: true"] {
        f(&below, more, &expected);
    }
    assert!(!folder.path().join("a").exists(), "nothing was made");
}
