//! The parts of `service` beside its pipelines.
//!
//! ```yaml
//! service:
//!   http:
//!     endpoint: 127.0.0.1:9200     # or `none`
//!     allow_insecure_bind: false
//!   telemetry:
//!     logs: {level: info}
//!     metrics: {level: normal}     # `none` turns them off
//!     resource: {service.name: foghorn}
//!   shutdown:
//!     grace: 5s
//!     abort: 2s
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::{HttpConfig, ShutdownConfig, TelemetryConfig};
use crate::component::ListenerConfig;
use crate::yaml::{Fields, Value};

/// Where the agent's own HTTP server listens unless told otherwise.
const HTTP_ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9200);

/// What the Collector knows and this agent will do one day, with what to do until then.
const NOT_YET: &str = "is not supported yet: remove it";

pub(super) fn http(value: Option<Value<'_>>) -> HttpConfig {
    let default = HttpConfig {
        listener: Some(ListenerConfig::plain(HTTP_ENDPOINT)),
    };
    let Some(value) = value else { return default };
    let Some(mut fields) = value.fields() else {
        return default;
    };
    let off = fields
        .value("endpoint")
        .is_some_and(|endpoint| endpoint.text() == Some("none"));
    if off {
        return HttpConfig { listener: None };
    }
    let listener = ListenerConfig::from_fields(&mut fields, Some(HTTP_ENDPOINT));
    fields.finish();
    HttpConfig { listener }
}

pub(super) fn telemetry(value: Option<Value<'_>>) -> TelemetryConfig {
    let mut telemetry = TelemetryConfig::default();
    let Some(mut fields) = value.and_then(|value| value.fields()) else {
        return telemetry;
    };
    if let Some(mut logs) = fields.value("logs").and_then(|logs| logs.fields()) {
        if let Some(level) = logs.value("level").filter(|level| !level.is_null())
            && let Some(level) = log_level(&level)
        {
            telemetry.log_level = level;
        }
        refuse(&mut logs, &["encoding", "output_paths", "processors"]);
        logs.finish();
    }
    if let Some(mut metrics) = fields.value("metrics").and_then(|metrics| metrics.fields()) {
        if let Some(level) = metrics.value("level").filter(|level| !level.is_null()) {
            let levels = ["none", "basic", "normal", "detailed"];
            let level = level.choice(&levels.map(|level| (level, level)));
            telemetry.metrics = level != Some("none");
        }
        refuse(&mut metrics, &["address", "readers", "otlp"]);
        metrics.finish();
    }
    if let Some(traces) = fields.value("traces").filter(|traces| !traces.is_null()) {
        traces.error::<()>(format_args!("`traces` {NOT_YET}"));
    }
    if let Some(resource) = fields.optional("resource") {
        telemetry.resource = resource;
    }
    fields.finish();
    telemetry
}

pub(super) fn shutdown(value: Option<Value<'_>>) -> ShutdownConfig {
    let mut shutdown = ShutdownConfig::default();
    if let Some(mut fields) = value.and_then(|value| value.fields()) {
        let range = Duration::ZERO..=Duration::from_secs(600);
        shutdown.grace = fields.within("grace", shutdown.grace, range.clone());
        shutdown.abort = fields.within("abort", shutdown.abort, range);
        fields.finish();
    }
    shutdown
}

/// A level as the Collector writes it, or a filter such as `info,foghorn::pipeline=debug`.
fn log_level(value: &Value<'_>) -> Option<String> {
    let text = value.read::<String>()?;
    if text.contains(['=', ',']) {
        return match tracing_subscriber::EnvFilter::try_new(&text) {
            Ok(_) => Some(text),
            Err(error) => value.error(format_args!("`{text}` is no filter: {error}")),
        };
    }
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    let lower = text.to_ascii_lowercase();
    if levels.contains(&lower.as_str()) {
        return Some(lower);
    }
    value
        .choice(&levels.map(|level| (level, level)))
        .map(str::to_owned)
}

fn refuse(fields: &mut Fields<'_>, keys: &[&'static str]) {
    for key in keys {
        if let Some(value) = fields.value(key).filter(|value| !value.is_null()) {
            value.error::<()>(format_args!("`{key}` {NOT_YET}"));
        }
    }
}
