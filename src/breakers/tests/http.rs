//! The list of breakers and the commands, without a socket.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::{Method, Request, StatusCode};

use super::*;
use crate::component::Route;
use crate::resilience::{BreakerSettings, BreakerState, Edge};
use crate::settings::{ListenerAuthConfig, ListenerConfig};

const GUARDED: &str = "betanet:http%3A%2F%2Fa%3A9000%2Fm";

fn listener(address: &str, auth: bool) -> ListenerConfig {
    ListenerConfig {
        auth: auth.then(|| ListenerAuthConfig::BearerTokenFile("t0ken".into())),
        ..ListenerConfig::plain(address.parse::<SocketAddr>().unwrap())
    }
}

impl Scene {
    fn routes(&self) -> Vec<Route> {
        routes(&self.endpoints, &listener("127.0.0.1:0", true))
    }

    async fn list(&self) -> serde_json::Value {
        let routes = self.routes();
        let list = routes.iter().find(|route| route.path == "/breakers");
        let (status, body) = ask(list.unwrap(), "/breakers").await;
        assert_eq!(status, StatusCode::OK);
        serde_json::from_str(&body).unwrap()
    }

    async fn command(&self, id: &str, command: &str) -> (StatusCode, String) {
        let routes = self.routes();
        let path = format!("/breakers/{{id}}/{command}");
        let route = routes.iter().find(|route| route.path == path).unwrap();
        assert_eq!(route.handler.methods(), [Method::POST]);
        ask(route, &format!("/breakers/{id}/{command}")).await
    }
}

async fn ask(route: &Route, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Bytes::new()).unwrap();
    let response = route.handler.handle(request).await;
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn the_list_tells_all_about_a_breaker() {
    let scene = Scene::new(&Config::default());
    scene.poll(Outcome::Success).await;
    advance(Duration::from_secs(15)).await;
    scene.outage().await;
    let list = scene.list().await;
    assert_eq!(list["network_suspected"], false);
    assert_eq!(list["max_endpoints"], 2);
    let line = &list["breakers"][0];
    assert_eq!(line["id"], GUARDED);
    assert_eq!(line["component"], "betanet");
    assert_eq!(line["endpoint"], "http://a:9000/m");
    assert_eq!(line["mode"], "enforce");
    assert_eq!(line["state"], "CoolingDown");
    assert_eq!(line["generation"], 1);
    assert_eq!(line["consecutive_failures"], 5);
    assert_eq!(line["failures"], 5);
    assert_eq!(line["threshold"], 5);
    assert_eq!(line["latency_ms"], 40.0);
    assert_eq!(line["cache_stale"], true);
    assert_eq!(line["retry_budget_tokens"], 7.0);
    for name in [
        "open_remaining_seconds",
        "last_opened",
        "success_ratio",
        "health_score",
    ] {
        assert!(line[name].as_f64().unwrap() > 0.0, "{name} in {line}");
    }
    assert_eq!(list["breakers"].as_array().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_command_is_done_and_answered_with_what_came_of_it() {
    let scene = Scene::new(&Config::default());
    let breaker = scene.guard.endpoint().breaker();
    let f = async |command: &str, state: BreakerState, remaining: bool| {
        let (status, body) = scene.command(GUARDED, command).await;
        let line: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!((status, breaker.state()), (StatusCode::OK, state));
        assert_eq!(line["id"], GUARDED);
        assert_eq!(line["state"], state.as_str());
        assert_eq!(line["open_remaining_seconds"].is_f64(), remaining, "{line}");
    };
    f("force_open", BreakerState::CoolingDown, false).await;
    assert!(breaker.acquire(Instant::now()).is_err());
    f("force_closed", BreakerState::Healthy, true).await;
    assert!(breaker.acquire(Instant::now()).is_ok());
    scene.poll(Outcome::Timeout).await;
    f("reset", BreakerState::Healthy, true).await;
    assert_eq!(breaker.snapshot(Instant::now()).consecutive_failures, 0);
}

#[tokio::test(start_paused = true)]
async fn an_id_that_means_no_breaker_is_not_found() {
    let scene = Scene::new(&Config::default());
    for id in [
        "betanet",
        "node:http%3A%2F%2Fa%3A9000%2Fm",
        "betanet:http%3A%2F%2Fb%3A9000%2Fm",
        "betanet:%",
        "betanet:%4",
        "betanet:%zz",
        "betanet:%ff",
        ":",
        "%",
    ] {
        let (status, body) = scene.command(id, "force_open").await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{id}");
        assert!(body.contains("GET /breakers"), "{body}");
    }
    assert_eq!(
        scene.guard.endpoint().breaker().state(),
        BreakerState::Healthy
    );
}

#[tokio::test(start_paused = true)]
async fn ids_survive_what_is_hostile() {
    for url in [
        "http://[::1]:9000/a b/%2F?x",
        "grpc.example:4317",
        "ü\u{1b}\"\\:",
    ] {
        let scene = Scene::at(url, &Config::default());
        let list = scene.list().await;
        let id = list["breakers"][0]["id"].as_str().unwrap().to_owned();
        assert!(
            format!("/breakers/{id}/reset")
                .parse::<hyper::Uri>()
                .is_ok()
        );
        let (status, _) = scene.command(&id, "force_open").await;
        assert_eq!(status, StatusCode::OK, "{id}");
        assert_eq!(
            scene.guard.endpoint().breaker().state(),
            BreakerState::CoolingDown
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_signal_of_a_destination_is_commanded_by_itself() {
    let endpoints = Arc::new(Endpoints::new(10, CancellationToken::new()));
    let breakers = ["metrics", "logs"].map(|signal| {
        let settings = BreakerSettings::defaults(Edge::Destination);
        let id = EndpointId::new("otlp_http", "http://a:4318").carrying(signal);
        endpoints.breaker(id, settings).unwrap()
    });
    let routes = routes(&endpoints, &listener("127.0.0.1:0", true));
    let open = |id: &'static str| {
        let force = routes
            .iter()
            .find(|route| route.path.ends_with("/force_open"));
        ask(force.unwrap(), id)
    };
    let (status, body) = open("/breakers/otlp_http:http%3A%2F%2Fa%3A4318:logs/force_open").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let line: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(line["id"], "otlp_http:http%3A%2F%2Fa%3A4318:logs");
    assert_eq!(
        (&line["signal"], &line["state"]),
        (&"logs".into(), &"CoolingDown".into())
    );
    let states = breakers.map(|breaker| breaker.breaker().state());
    assert_eq!(states, [BreakerState::Healthy, BreakerState::CoolingDown]);
    for id in ["http%3A%2F%2Fa%3A4318", "http%3A%2F%2Fa%3A4318:profiles"] {
        let path = format!("/breakers/otlp_http:{id}/force_open").leak();
        assert_eq!(open(path).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test(start_paused = true)]
async fn commands_need_a_token_and_loopback_and_say_so() {
    let scene = Scene::new(&Config::default());
    let f = async |address: &str, auth: bool, expected: Option<&str>| {
        for route in &routes(&scene.endpoints, &listener(address, auth))[1..] {
            let path = route.path.replace("{id}", GUARDED);
            let (status, body) = ask(route, &path).await;
            match expected {
                None => assert_eq!(status, StatusCode::OK, "{body}"),
                Some(word) => {
                    assert_eq!(status, StatusCode::FORBIDDEN);
                    assert!(body.contains(word), "{body}");
                }
            }
        }
    };
    f("127.0.0.1:9200", false, Some("service.http.auth")).await;
    f("[::1]:9200", false, Some("service.http.auth")).await;
    f("0.0.0.0:9200", true, Some("service.http.endpoint")).await;
    f("192.0.2.1:9200", false, Some("service.http.endpoint")).await;
    assert_eq!(
        scene.guard.endpoint().breaker().state(),
        BreakerState::Healthy
    );
    f("127.0.0.1:9200", true, None).await;
    f("[::1]:9200", true, None).await;
    f("[::ffff:127.0.0.1]:9200", true, None).await;
}

#[tokio::test(start_paused = true)]
async fn one_of_several_endpoints_of_a_url_is_commanded_by_its_instance() {
    let scene = Scene::new(&Config::default());
    let id = EndpointId::new("prometheus", "http://probe:9115/probe?target=x");
    let id = id.of_instance("https://x/#y?z");
    let probe = scene
        .endpoints
        .breaker(id, BreakerSettings::default())
        .unwrap();
    let list = scene.list().await;
    let line = &list["breakers"][1];
    assert_eq!(line["endpoint"], "http://probe:9115/probe#https://x/#y?z");
    let (status, _) = scene
        .command(line["id"].as_str().unwrap(), "force_open")
        .await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(probe.breaker().state(), BreakerState::CoolingDown);
}
