//! Which listener gets which address.

use super::*;

async fn bind(agent: Option<&ListenerConfig>, routes: Vec<Route>) -> Result<Server, String> {
    let all = Routes::new();
    routes.into_iter().for_each(|route| all.register(route));
    Server::bind(agent, &all, &Health::new(), &Telemetry::off())
        .await
        .map_err(|error| error.to_string())
}

/// An address that no program uses at the moment.
async fn free() -> ListenerConfig {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    ListenerConfig::plain(socket.local_addr().unwrap())
}

#[tokio::test]
async fn one_address_is_shared_by_different_paths() {
    let config = free().await;
    let routes = vec![
        route(Listener::At(config.clone()), "/a", "exporters::a"),
        route(Listener::At(config.clone()), "/b", "exporters::b"),
        route(
            Listener::At(ListenerConfig::ephemeral()),
            "/a",
            "exporters::c",
        ),
        route(
            Listener::At(ListenerConfig::ephemeral()),
            "/a",
            "exporters::d",
        ),
    ];
    let server = bind(None, routes).await.unwrap();
    let addresses = server.addresses();
    assert_eq!(addresses.len(), 3);
    assert_eq!(addresses[0], config.endpoint);
    assert!(addresses.iter().all(|address| address.port() != 0));
    let urls = server.urls();
    assert!(
        urls.contains(&format!("http://{}/b", config.endpoint)),
        "{urls:?}"
    );
}

#[tokio::test]
async fn the_pages_to_look_at_are_named_and_no_probe_is() {
    let agent = ListenerConfig::ephemeral();
    let routes = vec![
        route(Listener::Agent, "/stats", "processors::window"),
        route(Listener::Agent, "/metrics", "exporters::prometheus"),
    ];
    let server = bind(Some(&agent), routes).await.unwrap();
    let root = format!("http://{}", server.agent_address().unwrap());
    assert_eq!(
        server.urls(),
        ["/metrics", "/health", "/stats"].map(|path| format!("{root}{path}"))
    );
    let bare = bind(Some(&agent), Vec::new()).await.unwrap();
    let root = format!("http://{}", bare.agent_address().unwrap());
    assert_eq!(
        bare.urls(),
        ["/metrics", "/health"].map(|path| format!("{root}{path}"))
    );
}

#[tokio::test]
async fn two_users_of_one_path_are_both_named() {
    let config = free().await;
    let routes = vec![
        route(
            Listener::At(config.clone()),
            "/metrics",
            "exporters::a::endpoint",
        ),
        route(
            Listener::At(config.clone()),
            "/metrics",
            "exporters::b::endpoint",
        ),
    ];
    let message = bind(None, routes).await.err().unwrap();
    let address = config.endpoint;
    assert_eq!(
        message,
        format!(
            "exporters::a::endpoint and exporters::b::endpoint both want /metrics on {address}: \
             give one another endpoint"
        )
    );
}

#[tokio::test]
async fn nobody_shares_an_address_under_another_protection() {
    let config = free().await;
    let open = ListenerConfig {
        allow_insecure_bind: true,
        ..config.clone()
    };
    let routes = vec![
        route(Listener::At(config), "/a", "exporters::a::endpoint"),
        route(Listener::At(open), "/b", "exporters::b::endpoint"),
    ];
    let message = bind(None, routes).await.err().unwrap();
    assert!(
        message.starts_with("exporters::a::endpoint and exporters::b::endpoint share"),
        "{message}"
    );
}

#[tokio::test]
async fn a_component_takes_over_what_the_agent_answers_for_want_of_better() {
    let config = ListenerConfig::ephemeral();
    let metrics = || route(Listener::Agent, "/metrics", "exporters::prometheus");
    assert!(bind(Some(&config), vec![metrics()]).await.is_ok());
    let second = route(Listener::Agent, "/metrics", "exporters::prometheus/2");
    let message = bind(Some(&config), vec![metrics(), second])
        .await
        .err()
        .unwrap();
    assert!(message.starts_with("exporters::prometheus and exporters::prometheus/2 both want"));
    let health = route(Listener::Agent, "/health", "exporters::x");
    let message = bind(Some(&config), vec![health]).await.err().unwrap();
    assert!(
        message.starts_with("service::http::endpoint and exporters::x both want /health"),
        "{message}"
    );
}

#[tokio::test]
async fn without_a_server_of_its_own_the_agent_serves_what_components_ask_for_elsewhere() {
    let routes = vec![
        route(Listener::Agent, "/metrics", "exporters::prometheus"),
        route(
            Listener::At(ListenerConfig::ephemeral()),
            "/a",
            "exporters::a",
        ),
    ];
    let server = bind(None, routes).await.unwrap();
    assert_eq!(server.agent_address(), None);
    assert_eq!(server.urls().len(), 1);
}

#[tokio::test]
async fn two_addresses_exclude_each_other_where_the_system_says_so() {
    let addresses = [
        "127.0.0.1",
        "127.0.0.2",
        "0.0.0.0",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0.0.0.0]",
    ];
    let telemetry = Telemetry::off();
    let at =
        |address: &str, port: u16| -> SocketAddr { format!("{address}:{port}").parse().unwrap() };
    let listen = async |endpoint: SocketAddr| {
        let config = ListenerConfig::plain(endpoint);
        Listening::bind(&config, "test", &[], &telemetry).await
    };
    // Whether the rule admits both addresses with one port, and what the system says to the
    // second. `None` if the machine doesn't have the first address, an IPv6 one.
    let both = async |first: &str, second: &str| {
        let Ok(held) = listen(at(first, 0)).await else {
            assert!(at(first, 0).is_ipv6(), "{first}");
            return None;
        };
        let port = held.address().port();
        let mut claims: Claims<&str> = Claims::of_agent(None);
        let mut claim = |address: &str, path| {
            let listener = Listener::At(ListenerConfig::plain(at(address, port)));
            claims.page(path, &listener, path).is_ok()
        };
        assert!(claim(first, "/first"));
        let admitted = claim(second, "/second");
        Some((admitted, listen(at(second, port)).await))
    };
    let mut agreed = 0;
    for (first, second) in addresses
        .iter()
        .flat_map(|first| addresses.map(|second| (*first, second)))
        .filter(|(first, second)| first != second)
    {
        // The port of the second address may belong to another program.
        let mut last = None;
        for _ in 0..8 {
            last = both(first, second).await;
            if !matches!(last, Some((true, Err(_)))) {
                break;
            }
        }
        match last {
            None => continue,
            Some((true, bound)) => assert!(bound.is_ok(), "{first}, {second}: {bound:?}"),
            Some((false, bound)) => {
                let refused = bound.err().map(|error| error.to_string());
                let refused = refused.unwrap_or_else(|| panic!("{first}, {second}: both"));
                assert!(refused.contains("is taken"), "{first}, {second}: {refused}");
            }
        }
        agreed += 1;
    }
    assert!(agreed >= 3 * (addresses.len() - 1), "only {agreed}");
}

#[tokio::test]
async fn a_taken_port_names_the_key_to_change() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let message = bind(Some(&ListenerConfig::plain(address)), vec![])
        .await
        .err()
        .unwrap();
    assert_eq!(
        message,
        format!(
            "service::http::endpoint: can't listen on {address}: port {} is taken: choose \
             another, or end what uses it",
            address.port()
        )
    );
    // TEST-NET-1 is no address of any machine.
    let foreign = ListenerConfig::plain("192.0.2.1:0".parse().unwrap());
    let message = bind(Some(&foreign), vec![]).await.err().unwrap();
    assert!(
        message.ends_with("192.0.2.1 is no address of this machine"),
        "{message}"
    );
}
