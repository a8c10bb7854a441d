use std::time::Duration;

use super::*;
use crate::yaml::{self, Diagnostics};

fn read(text: &str) -> (Option<Config>, Vec<String>) {
    let diagnostics = Diagnostics::new();
    let node = yaml::parse(text, &"test".into(), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics));
    let problems = diagnostics.problems();
    // Their places are the business of `yaml`.
    let lines = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect();
    (config, lines)
}

#[test]
fn nothing_written_is_the_native_list_at_localhost() {
    let (config, problems) = read("");
    let config = config.unwrap();
    assert_eq!(problems, [""; 0]);
    assert_eq!(config.describe(), "http://localhost:9000 every 15s");
    assert_eq!(config.dialect, Dialect::Auto);
    assert_eq!(config.parts, [ServicePath::Mixnodes]);
    assert_eq!(config.scrape.timeout, Duration::from_secs(5));
    assert_eq!(config.http.max_body, 10 << 20);
}

#[test]
fn paths_are_appended_to_what_the_endpoint_has() {
    let f = |endpoint: &str, expected: &str| {
        let (config, _) = read(&format!("endpoints: ['{endpoint}']"));
        let requests = config.unwrap().endpoints[0].requests(&[ServicePath::Mixnodes]);
        assert_eq!(requests[0].1.url.as_str(), expected);
    };
    f("http://h:9000", "http://h:9000/mixnodes");
    f("http://h:9000/", "http://h:9000/mixnodes");
    f("https://h/a/b/", "https://h/a/b/mixnodes");
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let f = |text: &str, expected: &str| {
        let (_, problems) = read(text);
        assert_eq!(problems, [expected], "{text}");
    };
    f(
        "endpoints: []",
        "endpoints: no endpoint: use a list such as [http://localhost:9000]",
    );
    f(
        "endpoints: [localhost:9000]",
        "endpoints::0: expected a URL such as http://localhost:9000, found \
         `localhost:9000`",
    );
    f(
        "endpoints: ['http://user:hunter2@h']",
        "endpoints::0: credentials don't belong in a URL: use `auth`",
    );
    f(
        "endpoints: ['http://h/?a=b']",
        "endpoints::0: expected a URL without query and fragment, found \
         `http://h/?[redacted]`",
    );
    f(
        "endpoints: ['http://h', 'http://h/']",
        "endpoints::1: http://h/ is listed twice",
    );
    f("dialect: v2", "dialect: expected auto, v1 or native");
    f(
        "{dialect: v1, parts: [status]}",
        "parts: parts belong to the native dialect: leave them out for v1",
    );
    f(
        "parts: [nodes]",
        "parts::0: expected mixnodes, metrics or status",
    );
    f(
        "max_mixnodes: 0",
        "max_mixnodes: 0 is out of range: use 1 to 100000",
    );
    f(
        "max_body_size: 1B",
        "max_body_size: 1B is out of range: use 1KiB to 1GiB",
    );
    f(
        "auth: {}",
        "auth: set bearer_token, bearer_token_file or basic: {username, password}",
    );
    f(
        "auth: {bearer_token: hunter2, bearer_token_file: f}",
        "auth: `bearer_token` and `bearer_token_file` are both set: keep one",
    );
    f(
        "auth: {basic: {username: u}}",
        "auth::basic: `password` or `password_file` is missing",
    );
    f(
        "tls: {cert_file: c.pem}",
        "tls: `key_file` is missing: a certificate goes with its key",
    );
    f(
        "tls: {insecure_skip_verify: true}",
        "tls::insecure_skip_verify: anyone on the way can read and change what passes: use \
         ca_file",
    );
    f(
        "follow_redirects: all",
        "follow_redirects: expected none or same_origin",
    );
    f(
        "endpoint: http://h",
        "endpoint: unknown key `endpoint`, did you mean `endpoints`?",
    );
}
