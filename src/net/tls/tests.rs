mod renewal;

use std::sync::Arc;

use super::*;
use crate::yaml::{Diagnostics, parse};

/// The problems that are reported for a block.
fn problems<T: FromValue>(text: &str) -> Vec<String> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
    let read = PlacedNode::root(&node, &diagnostics).read::<T>();
    let problems = diagnostics.problems();
    let only_warnings = problems.iter().all(|p| p.to_string().contains("warning: "));
    assert!(
        read.is_some() || !only_warnings,
        "nothing is lost in silence: {text}"
    );
    problems
        .iter()
        .map(|problem| {
            problem
                .to_string()
                .splitn(4, ':')
                .nth(3)
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .collect()
}

#[test]
fn what_is_written_wrong_is_told() {
    let f = |text: &str, expected: &str| {
        assert_eq!(problems::<ClientTls>(text), [expected], "{text}");
    };
    f(
        "{cert_file: c.pem}",
        "`key_file` is missing: a certificate goes with its key",
    );
    f(
        "{key_pem: secret}",
        "`cert_file` is missing: a key goes with its certificate",
    );
    f(
        "{ca_file: ca.pem, ca_pem: text}",
        "`ca_file` and `ca_pem` are both set: keep one",
    );
    f(
        "{insecure_skip_verify: true}",
        "insecure_skip_verify: warning: anyone on the way can read and change what passes: use \
         ca_file",
    );
    f(
        "{min_version: '1.1'}",
        "min_version: warning: TLS 1.2 is the lowest that is spoken",
    );
    f(
        "{max_version: '1.1'}",
        "max_version: TLS 1.2 is the lowest that is spoken",
    );
    f("{max_version: '2'}", "max_version: expected 1.2 or 1.3");
    f(
        "{min_version: '1.3', max_version: '1.2'}",
        "min_version is higher than max_version",
    );
    f(
        "{cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]}",
        "cipher_suites: warning: this has no effect: rustls offers none that isn't safe",
    );
    f(
        "{tpm: {enabled: true}}",
        "tpm: keys are not read from a TPM: use key_file or key_pem",
    );
    let g = |text: &str, expected: &str| {
        assert_eq!(problems::<ServerTls>(text), [expected], "{text}");
    };
    g(
        "{}",
        "`cert_file` is missing: a listener shows a certificate",
    );
    g(
        "{cert_file: c, key_file: k, ca_file: ca}",
        "ca_file: warning: this has no effect: clients are checked against client_ca_file",
    );
}

#[test]
fn keys_that_ask_for_what_is_the_case_are_taken_in_silence() {
    let f = |text: &str| assert_eq!(problems::<ClientTls>(text), [""; 0], "{text}");
    f("");
    f("{min_version: '1.2', max_version: '1.3', cipher_suites: [], curve_preferences: []}");
    f("{include_insecure_cipher_suites: false, reload_interval: 1h, tpm: {enabled: false}}");
    f("{insecure: false, insecure_skip_verify: false, server_name_override: ''}");
}
