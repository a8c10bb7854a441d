//! The binary from outside: exit codes, what it prints where, and how it ends.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command, Output, Stdio};

/// Keeps the default configuration off the ports and services of this machine.
const APART: [&str; 8] = [
    "--set",
    "service.http.endpoint=127.0.0.1:0",
    "--set",
    "receivers.betanet.endpoints=[http://127.0.0.1:9]",
    "--set",
    "receivers.otlp.protocols.grpc.endpoint=127.0.0.1:0",
    "--set",
    "receivers.otlp.protocols.http.endpoint=127.0.0.1:0",
];

#[test]
fn every_way_to_end_has_its_exit_code() {
    let f = |arguments: &[&str], code: i32| {
        let output = foghorn(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
    };
    f(&["validate"], 0);
    f(&["components"], 0);
    f(&["print-config"], 0);
    f(&["--version"], 0);
    f(&["run", "--help"], 0);
    f(&["--bogus"], 64);
    f(&["sing"], 64);
    f(&["validate", "--config", "/nowhere.yaml"], 64);
    f(&["validate", "--config", "yaml:receivers: ["], 64);
    f(&["run", "--set", "service.shutdown.grace=1h"], 64);
    f(&["run", "--set", "service.telemetry.logs.level=chatty"], 64);
    let both = "otel-config/invalid/port-twice.yaml";
    f(&["validate", "--config", both], 64);
    f(&["run", "--config", both], 64);
    // The configuration is broken, so nothing is printed.
    f(&["print-config", "--set", "receivers.betanett.x=1"], 64);
}

#[test]
fn a_port_that_is_taken_is_a_failure_that_names_the_key() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let set = format!("service.http.endpoint={address}");
    let output = foghorn(&["run", "--set", APART[3], "--set", &set]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("service::http::endpoint") && stderr.contains("is taken"),
        "{stderr}"
    );
}

#[test]
fn every_problem_stands_on_a_line_of_standard_error() {
    let output = foghorn(&[
        "validate",
        "--config",
        "otel-config/invalid/everything.yaml",
    ]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(output.stdout, b"");
    let expected = std::fs::read_to_string("otel-config/invalid/everything.expected").unwrap();
    let count = expected.lines().count();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        format!("{expected}{count} errors in the configuration\n")
    );
}

#[test]
fn what_keeps_a_component_from_being_built_has_its_place() {
    let yaml = "yaml:receivers: {node: }
exporters:
  otlp_grpc:
    endpoint: https://127.0.0.1:9
    tls: {ca_file: /nowhere/ca.pem}
  otlp_http:
    endpoint: https://127.0.0.1:9
    tls:
      cert_file: /nowhere/client.pem
      key_file: /nowhere/client.key
processors:
  memory_limiter/a: {limit_mib: 100, check_interval: 1s}
  memory_limiter/b: {limit_mib: 200, check_interval: 1s}
service:
  pipelines:
    metrics:
      receivers: [node]
      processors: [memory_limiter/a, memory_limiter/b]
      exporters: [otlp_grpc, otlp_http]
";
    let missing = "No such file or directory (os error 2)";
    let expected = format!(
        "yaml:5:20: exporters::otlp_grpc::tls::ca_file: /nowhere/ca.pem: {missing}
yaml:9:18: exporters::otlp_http::tls::cert_file: /nowhere/client.pem: {missing}
yaml:18:7: service::pipelines::metrics::processors: memory_limiter/a and memory_limiter/b both limit its memory: use one
3 errors in the configuration
"
    );
    for command in ["validate", "run"] {
        let output = foghorn(&[command, "--config", yaml]);
        assert_eq!(output.status.code(), Some(64));
        assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    }
}

#[test]
fn what_is_printed_of_a_configuration_is_valid_and_holds_no_secret() {
    let output = foghorn(&[
        "print-config",
        "--config",
        "otel-config/default.yaml",
        "--config",
        "yaml:receivers::betanet::auth::bearer_token: ${env:FOGHORN_TEST_TOKEN}",
    ]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{printed}");
    assert!(
        printed.contains("bearer_token: \"[redacted]\""),
        "{printed}"
    );
    assert!(!printed.contains("hunter2"), "{printed}");

    let mut child = spawn(&["validate", "--config", "/dev/stdin"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(printed.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let mut child = spawn(&["components"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn what_was_asked_for_and_can_not_be_written_is_a_failure_that_says_so() {
    for command in ["print-config", "components", "validate", "--help"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = Command::new(env!("CARGO_BIN_EXE_foghorn"))
            .arg(command)
            .stdout(full.unwrap())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{command}: {stderr}");
        assert!(stderr.contains("the output can't be written"), "{stderr}");
    }
}

#[test]
fn help_shows_an_example_of_every_command() {
    let commands = [
        "run",
        "validate",
        "components",
        "print-config",
        "health",
        "completions",
        "man",
    ];
    for command in commands {
        let output = foghorn(&[command, "--help"]);
        let help = String::from_utf8(output.stdout).unwrap();
        let example = format!("Example: foghorn {command}");
        assert!(help.contains(&example), "{help}");
    }
}

#[test]
fn health_tells_how_a_running_agent_is_and_fails_without_one() {
    let mut child = spawn(&APART);
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let url = lines.find_map(|line| {
        let (_, url) = line.split_once("http://127.0.0.1:")?;
        let port = url.strip_suffix("/metrics")?;
        Some(format!("http://127.0.0.1:{port}"))
    });
    let url = url.unwrap();
    let of = |url: &str| {
        let output = foghorn(&["health", "--endpoint", url]);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (code, said, _) = of(&url);
    assert_eq!(code, Some(0));
    assert!(
        said.starts_with("healthy\n") || said.starts_with("degraded\n"),
        "{said}"
    );
    let (code, _, said) = of(&format!("{url}/metrics"));
    assert_eq!(code, Some(1));
    assert!(said.contains("not the page of an agent"), "{said}");
    child.kill().unwrap();
    child.wait().unwrap();
    let (code, _, said) = of(&url);
    assert_eq!(code, Some(1));
    assert!(said.contains("refuses"), "{said}");
    assert_eq!(of("nowhere").0, Some(64));
}

/// A shell that reads them must find no mistake in them.
#[test]
fn completions_name_every_command_and_are_read_by_their_shell() {
    for shell in ["bash", "zsh", "fish"] {
        let output = foghorn(&["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        for command in ["validate", "print-config", "completions"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
        let Ok(mut child) = Command::new(shell)
            .arg("-n")
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
        else {
            // A machine need not have every shell.
            continue;
        };
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(script.as_bytes()).unwrap();
        drop(stdin);
        let read = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&read.stderr);
        assert!(read.status.success() && said.is_empty(), "{shell}: {said}");
    }
    assert_eq!(foghorn(&["completions", "cmd"]).status.code(), Some(64));
}

#[test]
fn the_manual_page_describes_every_option_and_command() {
    let output = foghorn(&["man"]);
    assert!(output.status.success());
    let page = String::from_utf8(output.stdout).unwrap();
    assert!(page.contains(".TH foghorn 1"), "{page}");
    for word in ["\\-\\-config", "\\-\\-set", "validate", "completions"] {
        assert!(page.contains(word), "{word} in {page}");
    }
}

#[cfg(unix)]
#[test]
fn it_says_what_it_does_and_a_signal_ends_it_in_order() {
    for signal in ["TERM", "INT"] {
        let mut child = spawn(&APART);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut welcome = Vec::new();
        for line in lines.by_ref() {
            welcome.push(line.unwrap());
            if welcome.last().is_some_and(|line| line.contains("/health")) {
                break;
            }
        }
        let welcome = welcome.join("\n");
        for part in [
            "the built-in default",
            "collects betanet",
            "http://127.0.0.1:9 ",
            "collects otlp",
            "look at                http://127.0.0.1:",
        ] {
            assert!(welcome.contains(part), "{welcome}");
        }
        let pid = child.id().to_string();
        let killed = Command::new("kill")
            .args(["-s", signal, &pid])
            .status()
            .unwrap();
        assert!(killed.success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "SIG{signal}");
        let mut log = String::new();
        let mut stderr = child.stderr.take().unwrap();
        stderr.read_to_string(&mut log).unwrap();
        for task in ["receiver betanet", "pipeline metrics", "http server"] {
            assert!(log.contains(&format!("\"task\":\"{task}\"")), "{log}");
        }
        assert!(log.contains("shut down"), "{log}");
    }
}

fn foghorn(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn spawn(arguments: &[&str]) -> Child {
    command(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_foghorn"));
    command
        .args(arguments)
        .env("FOGHORN_TEST_TOKEN", "hunter2")
        .env_remove("RUST_LOG")
        .env_remove("BETANET_URL");
    command
}
