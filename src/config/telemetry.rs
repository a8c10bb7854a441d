//! `service.telemetry`: what the agent says about itself.
//!
//! ```yaml
//! service:
//!   telemetry:
//!     logs:
//!       level: info                # or a filter as in RUST_LOG
//!       encoding: json             # or console; absent: text on a terminal, JSON elsewhere
//!       queue_bytes: 1MiB          # for a reader that has stopped; 16KiB to 1GiB
//!     metrics:
//!       level: normal              # `none` turns them off
//!       readers:                   # pages beside the one of `service.http`
//!         - pull: {exporter: {prometheus: {host: localhost, port: 8888}}}
//!     resource: {service.name: foghorn}
//! ```
//!
//! A page takes the keys of a listener as well (`tls`, `auth`, `allow_insecure_bind`).
//! `metrics.address` is the Collector's older way to ask for one.
//!
//! The Collector's keys that mean nothing here load with a warning, since none of them
//! loses data that somebody sent: refusing would only keep its configurations from running.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{LogEncoding, MetricsPage, TelemetryConfig};
use crate::settings::{ListenerConfig, address_of};
use crate::yaml::{ByteSize, Fields, FromValue, NodeKind, PlacedNode};

/// Where the Collector shows its own metrics.
const PAGE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8888);

pub(super) fn telemetry(value: Option<PlacedNode<'_>>) -> TelemetryConfig {
    let mut telemetry = TelemetryConfig::default();
    let Some(mut fields) = value.and_then(|value| value.fields()) else {
        return telemetry;
    };
    if let Some(keys) = fields.value("logs").and_then(|value| value.fields()) {
        logs(keys, &mut telemetry);
    }
    if let Some(keys) = fields.value("metrics").and_then(|value| value.fields()) {
        metrics(keys, &mut telemetry);
    }
    if let Some(keys) = fields.value("traces").and_then(|value| value.fields()) {
        traces(keys);
    }
    if let Some(ResourceConfig(attributes)) = fields.optional("resource") {
        telemetry.resource = attributes;
    }
    fields.finish();
    telemetry
}

fn logs(mut keys: Fields<'_>, telemetry: &mut TelemetryConfig) {
    if let Some(Level(level)) = keys.optional("level") {
        telemetry.log_level = level;
    }
    telemetry.log_encoding = keys.or("encoding", LogEncoding::Auto);
    let bounds = ByteSize(16 << 10)..=ByteSize(1 << 30);
    telemetry.log_queue = keys.within("queue_bytes", telemetry.log_queue, bounds);
    let stderr = |value: &PlacedNode<'_>| is_list_of(value, "stderr");
    keys.without_effect("output_paths", stderr, "the log goes to stderr");
    keys.without_effect("error_output_paths", stderr, "the log goes to stderr");
    let is_false = |value: &PlacedNode<'_>| value.text() == Some("false");
    let is_true = |value: &PlacedNode<'_>| value.text() == Some("true");
    keys.without_effect("development", is_false, "there is one mode only");
    keys.without_effect("disable_caller", is_true, "no line names its caller");
    keys.without_effect("disable_stacktrace", is_true, "no line has a stack trace");
    let is_off = |value: &PlacedNode<'_>| {
        let mut entries = value.entries().into_iter().flatten();
        entries.any(|(entry, value)| entry.key == "enabled" && value.text() == Some("false"))
    };
    keys.without_effect("sampling", is_off, "every line is written");
    let never = |_: &PlacedNode<'_>| false;
    keys.without_effect("initial_fields", never, "use `resource`");
    keys.without_effect("processors", never, "the log goes to stderr alone");
    keys.finish();
}

fn metrics(mut keys: Fields<'_>, telemetry: &mut TelemetryConfig) {
    if let Some(level) = keys.value("level").filter(|level| !level.is_null()) {
        let levels = ["none", "basic", "normal", "detailed"];
        let level = level.choice(&levels.map(|level| (level, level)));
        telemetry.metrics = level != Some("none");
    }
    let address = keys.value("address").filter(|value| !value.is_null());
    if let Some(address) = address {
        let listener = ListenerConfig::at(ListenerConfig::endpoint(&address), &mut keys);
        telemetry.pages.extend(listener.map(|listener| MetricsPage {
            owner: address.path().to_owned(),
            listener,
        }));
    }
    let readers = keys.value("readers").and_then(|readers| readers.items());
    for reader in readers.into_iter().flatten() {
        telemetry.pages.extend(page(&reader));
    }
    if !telemetry.metrics && !telemetry.pages.is_empty() {
        keys.map()
            .warn("with `level: none` there is nothing to show");
        telemetry.pages.clear();
    }
    not_yet(&mut keys, "otlp");
    let never = |_: &PlacedNode<'_>| false;
    keys.without_effect("views", never, "every metric is shown as it is");
    keys.finish();
}

/// The page that a reader asks for. One that pushes asks for none.
fn page(reader: &PlacedNode<'_>) -> Option<MetricsPage> {
    let mut keys = reader.fields()?;
    let pull = keys.value("pull");
    let never = |_: &PlacedNode<'_>| false;
    let pushes = keys.without_effect("periodic", never, "no metrics are pushed");
    keys.finish();
    let Some(pull) = pull else {
        if !pushes {
            reader.error::<()>("a reader has the key `pull` or `periodic`");
        }
        return None;
    };
    let mut keys = pull.fields()?;
    let exporter = keys.value("exporter");
    keys.finish();
    let Some(exporter) = exporter else {
        return pull.error("`exporter` is missing: use `prometheus: {host, port}`");
    };
    let mut keys = exporter.fields()?;
    let prometheus = keys.value("prometheus");
    keys.finish();
    let Some(prometheus) = prometheus else {
        return exporter.error("`prometheus` is missing: use `prometheus: {host, port}`");
    };
    let mut keys = prometheus.fields()?;
    let host = keys.or("host", HostAddress(PAGE.ip()));
    let port = keys.or("port", PAGE.port());
    let listener = ListenerConfig::at(Some(SocketAddr::new(host.0, port)), &mut keys);
    // The page has neither scopes nor suffixes, as the Collector's has none by default.
    let is_true = |value: &PlacedNode<'_>| value.text() == Some("true");
    for key in ["without_scope_info", "without_type_suffix", "without_units"] {
        keys.without_effect(key, is_true, "the page is always without them");
    }
    let constant = "with_resource_constant_labels";
    let instead = "the resource is in `target_info`";
    keys.without_effect(constant, |_| false, instead);
    keys.finish();
    Some(MetricsPage {
        owner: prometheus.path().to_owned(),
        listener: listener?,
    })
}

fn traces(mut keys: Fields<'_>) {
    let is_off = |value: &PlacedNode<'_>| value.text() == Some("none");
    let never = |_: &PlacedNode<'_>| false;
    keys.without_effect("level", is_off, "the agent traces nothing");
    for key in ["processors", "propagators", "sampler"] {
        keys.without_effect(key, never, "the agent traces nothing");
    }
    not_yet(&mut keys, "otlp");
    keys.finish();
}

/// Refuses a key that is the agent's own and not there yet: no other program's
/// configuration has it.
fn not_yet(keys: &mut Fields<'_>, key: &'static str) {
    if let Some(value) = keys.value(key).filter(|value| !value.is_null()) {
        value.error::<()>(format_args!("`{key}` is not supported yet: remove it"));
    }
}

fn is_list_of(value: &PlacedNode<'_>, only: &str) -> bool {
    let items = value.items().unwrap_or_default();
    items.iter().all(|item| item.text() == Some(only))
}

/// A host as the Collector writes it.
struct HostAddress(IpAddr);

impl FromValue for HostAddress {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let text = value.read::<String>()?;
        match text.as_str() {
            "" => Some(Self(Ipv4Addr::UNSPECIFIED.into())),
            text => match address_of(text) {
                Ok(address) => Some(Self(address)),
                Err(message) => value.error(message),
            },
        }
    }
}

/// A level as the Collector writes it, or a filter such as `info,foghorn::pipeline=debug`.
struct Level(String);

impl FromValue for Level {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let text = value.read::<String>()?;
        if text.contains(['=', ',']) {
            return match text.parse::<tracing_subscriber::filter::Targets>() {
                Ok(_) => Some(Self(text)),
                Err(error) => value.error(format_args!("`{text}` is no filter: {error}")),
            };
        }
        let levels = ["off", "error", "warn", "info", "debug", "trace"];
        let lower = text.to_ascii_lowercase();
        if levels.contains(&lower.as_str()) {
            return Some(Self(lower));
        }
        let level = value.choice(&levels.map(|level| (level, level)))?;
        Some(Self(level.to_owned()))
    }
}

impl FromValue for LogEncoding {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[("console", Self::Console), ("json", Self::Json)])
    }
}

/// Attributes by name, or as a list under `attributes`. The Collector takes one away by giving it no value, which would
/// leave the agent without a name of its own: it keeps its values then.
struct ResourceConfig(BTreeMap<String, String>);

impl FromValue for ResourceConfig {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut attributes = BTreeMap::new();
        for (entry, value) in value.entries()? {
            // The form of the declarative configuration.
            if entry.key == "attributes" && matches!(value.node().kind, NodeKind::List(_)) {
                for item in value.items()? {
                    attributes.extend(listed(&item));
                }
                continue;
            }
            if value.is_null() {
                value.warn("this has no effect: an attribute can't be taken away");
            } else if let Some(text) = value.read() {
                attributes.insert(entry.key.clone(), text);
            }
        }
        Some(Self(attributes))
    }
}

/// An attribute as `{name: ..., value: ...}`; its type is what the value looks like to those
/// who read it.
fn listed(item: &PlacedNode<'_>) -> Option<(String, String)> {
    let mut keys = item.fields()?;
    let name = keys.required("name");
    let value = keys.required("value");
    let any = ["string", "bool", "int", "double"];
    if let Some(kind) = keys.value("type").filter(|kind| !kind.is_null()) {
        kind.choice(&any.map(|kind| (kind, ())))?;
    }
    keys.finish();
    Some((name?, value?))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::yaml::{Diagnostics, parse};

    /// What is read of the text, and every problem.
    fn read(text: &str) -> (TelemetryConfig, Vec<String>) {
        let diagnostics = Diagnostics::new();
        let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
        let telemetry = telemetry(Some(PlacedNode::root(&node, &diagnostics)));
        let problems = diagnostics.problems();
        (
            telemetry,
            problems.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn readers_and_addresses_ask_for_pages() {
        let f = |text: &str, owner: &str, endpoint: &str| {
            let (telemetry, problems) = read(text);
            assert_eq!(problems, [] as [String; 0], "{text}");
            let [page] = telemetry.pages.as_slice() else {
                panic!("{text}: {:?}", telemetry.pages)
            };
            assert_eq!(page.owner, owner, "{text}");
            assert_eq!(page.listener.endpoint.to_string(), endpoint, "{text}");
        };
        let prometheus = "metrics::readers::0::pull::exporter::prometheus";
        f(
            "metrics: {address: localhost:8888}",
            "metrics::address",
            "127.0.0.1:8888",
        );
        f(
            "metrics: {address: :9, allow_insecure_bind: true}",
            "metrics::address",
            "[::]:9",
        );
        f(
            "metrics: {readers: [{pull: {exporter: {prometheus: }}}]}",
            prometheus,
            "127.0.0.1:8888",
        );
        f(
            "metrics: {readers: [{pull: {exporter: {prometheus: {host: '::1', port: 1}}}}]}",
            prometheus,
            "[::1]:1",
        );
    }

    #[test]
    fn what_the_collector_knows_and_the_agent_lacks_is_a_warning() {
        let f = |text: &str, expected: &[&str]| {
            let (_, problems) = read(text);
            assert_eq!(problems.len(), expected.len(), "{text}: {problems:?}");
            for (problem, expected) in problems.iter().zip(expected) {
                assert!(
                    problem.contains("warning") && problem.contains(expected),
                    "{problem}"
                );
            }
        };
        f("logs: {output_paths: [stderr], development: false}", &[]);
        f(
            "logs: {disable_caller: true, sampling: {enabled: false}}",
            &[],
        );
        f(
            "logs: {output_paths: [a.log]}",
            &["logs::output_paths: warning: this has no effect: the log goes to stderr"],
        );
        f(
            "metrics: {readers: [{periodic: {exporter: {otlp: {endpoint: x}}}}], views: []}",
            &["no metrics are pushed", "every metric is shown as it is"],
        );
        f(
            "metrics: {level: none, address: 127.0.0.1:1}",
            &["there is nothing to show"],
        );
        f("traces: {level: none}", &[]);
        f(
            "traces: {processors: [], propagators: [b3]}",
            &["the agent traces nothing", "the agent traces nothing"],
        );
        f(
            "resource: {a: b, service.name: }",
            &["an attribute can't be taken away"],
        );
    }
}
