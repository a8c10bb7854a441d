//! The Collector's `health_check`, so that the Collector's configurations, and probes of its
//! endpoint, work unchanged.
//!
//! ```yaml
//! extensions:
//!   health_check:
//!     endpoint: 127.0.0.1:13133
//!     path: /
//!     response_body:                # instead of the JSON
//!       healthy: fine
//!       unhealthy: not so fine
//! ```
//!
//! It answers 200 while the pipelines run, and 503 before that, while draining, and once a task
//! has died. Failing sources and destinations don't change the answer: a probe usually restarts
//! the agent, which doesn't repair those. The agent's `/health` shows them.
//!
//! Metrics: those of a listener, which the server emits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use tokio_util::sync::CancellationToken;

use crate::component::{
    BuildContext, Claimed, Extension, ExtensionConfig, ExtensionFactory, Health, Listener, Now,
    Phase, ResourceClaim, Response, Route, full_body, handler,
};
use crate::settings::ListenerConfig;
use crate::settings::collector::page_keys;
use crate::yaml::PlacedNode;

/// Names `health_check` and reads its configuration.
pub const FACTORY: ExtensionFactory = ExtensionFactory {
    kind: "health_check",
    summary: "answers probes as the Collector's health_check does",
    configure: |value| Some(Box::new(Config::read(value)?)),
};

const ENDPOINT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 13133);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Config {
    listener: ListenerConfig,
    path: String,
    bodies: Bodies,
}

/// `response_body`: what is answered instead of the JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Bodies {
    healthy: Option<String>,
    unhealthy: Option<String>,
}

impl Config {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let listener = ListenerConfig::from_fields(&mut fields, Some(ENDPOINT));
        page_keys(&mut fields);
        let path = match fields.value("path").filter(|path| !path.is_null()) {
            None => Some("/".to_owned()),
            Some(path) => match path.read::<String>() {
                Some(text) if !text.starts_with('/') => path.error("a path begins with `/`"),
                read => read,
            },
        };
        let mut bodies = Bodies::default();
        if let Some(mut fields) = fields
            .value("response_body")
            .and_then(|value| value.fields())
        {
            bodies.healthy = fields.optional("healthy");
            bodies.unhealthy = fields.optional("unhealthy");
            fields.finish();
        }
        if let Some(check) = fields.value("check_collector_pipeline") {
            check.warn("has no effect, as in the Collector: see /health of the agent");
        }
        fields.finish();
        Some(Self {
            listener: listener?,
            path: path?,
            bodies,
        })
    }
}

impl ExtensionConfig for Config {
    fn build(&self, context: &BuildContext) -> anyhow::Result<Box<dyn Extension>> {
        let check = Arc::new(HealthCheck {
            health: context.health.clone(),
            started: Now::read(),
            bodies: self.bodies.clone(),
        });
        context.routes.register(Route {
            listener: Listener::At(self.listener.clone()),
            path: self.path.clone(),
            owner: format!("extensions::{}::endpoint", context.id),
            handler: handler(move |_| std::future::ready(check.answer(Now::read()))),
        });
        Ok(Box::new(Routed))
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        let listener = Listener::At(self.listener.clone());
        vec![ResourceClaim {
            key: "endpoint",
            claimed: Claimed::Page(listener, self.path.clone()),
        }]
    }
}

/// Does nothing itself: the server answers.
struct Routed;

impl Extension for Routed {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(async move { stop.cancelled().await })
    }
}

struct HealthCheck {
    health: Health,
    started: Now,
    bodies: Bodies,
}

impl HealthCheck {
    fn answer(&self, now: Now) -> Response {
        let available =
            self.health.phase() == Phase::Running && self.health.dead_tasks().is_empty();
        let (status, body) = if available {
            (StatusCode::OK, &self.bodies.healthy)
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, &self.bodies.unhealthy)
        };
        let json = || {
            let uptime = now
                .monotonic
                .saturating_duration_since(self.started.monotonic);
            report(available, self.started.wall, uptime)
        };
        let (text, format) = match body {
            Some(text) => (text.clone(), "text/plain; charset=utf-8"),
            None => (json(), "application/json"),
        };
        let mut response = Response::new(full_body(text));
        *response.status_mut() = status;
        let format = HeaderValue::from_static(format);
        response.headers_mut().insert(CONTENT_TYPE, format);
        response
    }
}

/// The Collector's JSON, with times in Go's notation.
fn report(available: bool, since: SystemTime, uptime: Duration) -> String {
    if !available {
        let never = "0001-01-01T00:00:00Z";
        return format!(r#"{{"status":"Server not available","upSince":"{never}","uptime":""}}"#);
    }
    let since = humantime::format_rfc3339_nanos(since);
    let uptime = go_duration(uptime);
    format!(r#"{{"status":"Server available","upSince":"{since}","uptime":"{uptime}"}}"#)
}

/// A duration as Go prints those of a second and more: `1h2m3.5s`.
fn go_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        text.push_str(&format!("{hours}h"));
    }
    if seconds >= 60 {
        text.push_str(&format!("{minutes}m"));
    }
    text.push_str(&(seconds % 60).to_string());
    let fraction = format!("{:09}", duration.subsec_nanos());
    let fraction = fraction.trim_end_matches('0');
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text.push('s');
    text
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::component::Routes;
    use crate::server::Server;
    use crate::telemetry::Telemetry;

    fn check(bodies: Bodies) -> HealthCheck {
        HealthCheck {
            health: Health::new(),
            started: Now::read(),
            bodies,
        }
    }

    async fn answer(check: &HealthCheck) -> (u16, String) {
        let response = check.answer(Now::read());
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn it_is_available_while_the_pipelines_run() {
        let check = check(Bodies::default());
        let (status, body) = answer(&check).await;
        assert_eq!(status, 503);
        assert!(
            body.starts_with(r#"{"status":"Server not available","#),
            "{body}"
        );
        check.health.enter(Phase::Running);
        let (status, body) = answer(&check).await;
        assert_eq!(status, 200);
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["status"], "Server available");
        check.health.task_died("exporter otlp");
        assert_eq!(answer(&check).await.0, 503);
    }

    #[tokio::test]
    async fn bodies_of_the_configuration_take_the_place_of_the_json() {
        let check = check(Bodies {
            healthy: Some("fine".to_owned()),
            unhealthy: None,
        });
        check.health.enter(Phase::Running);
        assert_eq!(answer(&check).await, (200, "fine".to_owned()));
        check.health.enter(Phase::Draining);
        assert!(answer(&check).await.1.contains("Server not available"));
    }

    #[test]
    fn durations_look_like_those_of_go() {
        let f = |millis: u64, expected: &str| {
            assert_eq!(go_duration(Duration::from_millis(millis)), expected);
        };
        f(49_013, "49.013s");
        f(0, "0s");
        f(60_000, "1m0s");
        f(3_600_000, "1h0m0s");
        f(90_061_500, "25h1m1.5s");
    }

    #[tokio::test]
    async fn it_stands_on_a_listener_of_its_own() {
        let routes = Routes::new();
        let config = Config {
            listener: ListenerConfig::ephemeral(),
            path: "/status".to_owned(),
            bodies: Bodies::default(),
        };
        let context = BuildContext {
            routes: routes.clone(),
            ..BuildContext::standalone("health_check".parse().unwrap(), Telemetry::off())
        };
        config.build(&context).unwrap();
        let server = Server::bind(None, &routes, &context.health, &context.telemetry).await;
        let urls = server.unwrap().urls();
        assert!(
            matches!(urls.as_slice(), [url] if url.ends_with("/status")),
            "{urls:?}"
        );
    }
}
