use super::*;

/// What is claimed, as the tests write it: an address, `address/path` for a page, `/path` for
/// one of the agent's, and `file:name`.
fn claimed(text: &str) -> Claimed {
    if let Some(name) = text.strip_prefix("file:") {
        return Claimed::File(name.into());
    }
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    match text.split_once('/') {
        None => Claimed::Port(ListenerConfig::plain(address(text))),
        Some((at, path)) => {
            let listener = match at {
                "" => Listener::Agent,
                at => Listener::At(ListenerConfig::plain(address(at))),
            };
            Claimed::Page(listener, format!("/{path}"))
        }
    }
}

/// What the last of several says, each of whom is named by their letter, where the agent
/// listens on port 9.
fn last(all: &[&str]) -> Option<String> {
    let agent = ListenerConfig::plain(SocketAddr::from(([127, 0, 0, 1], 9)));
    let mut claims = Claims::of_agent(Some(("agent".to_owned(), &agent)));
    let mut said = None;
    for (name, text) in ('a'..).zip(all) {
        assert_eq!(said, None, "{all:?}");
        let clash = claims.claim(name.to_string(), &claimed(text)).err();
        said = clash.map(|clash| clash.to_string());
    }
    said
}

#[test]
fn what_only_one_can_have_is_refused_to_the_second() {
    let f = |all: &[&str], expected: Option<&str>| {
        assert_eq!(last(all).as_deref(), expected, "{all:?}");
    };
    let address = Some("a and b both want 127.0.0.1:1: give one another endpoint");
    f(&["127.0.0.1:1", "127.0.0.1:2"], None);
    f(&["127.0.0.1:1", "127.0.0.2:1"], None);
    f(&["127.0.0.1:1", "127.0.0.1:1"], address);
    f(&["127.0.0.1:1", "127.0.0.1:1/x"], address);
    f(&["127.0.0.1:1/x", "127.0.0.1:1"], address);
    f(
        &[
            "127.0.0.1:0",
            "127.0.0.1:0",
            "127.0.0.1:0/x",
            "127.0.0.1:0/x",
        ],
        None,
    );

    f(&["127.0.0.1:1/x", "127.0.0.1:1/y"], None);
    f(
        &["127.0.0.1:1/x", "127.0.0.1:1/y", "127.0.0.1:1/x"],
        Some("a and c both want /x on 127.0.0.1:1: give one another endpoint"),
    );

    f(&["/x", "/y", "127.0.0.1:9/z"], None);
    let agents = |path: &str, first: &str, second: &str| {
        let rest = "on 127.0.0.1:9: give one another endpoint";
        format!("{first} and {second} both want {path} {rest}")
    };
    f(&["/x", "/x"], Some(&agents("/x", "a", "b")));
    f(&["/x", "127.0.0.1:9/x"], Some(&agents("/x", "a", "b")));
    f(
        &["127.0.0.1:9"],
        Some("agent and a both want 127.0.0.1:9: give one another endpoint"),
    );

    f(&["file:x", "file:y"], None);
    f(
        &["file:x", "file:x"],
        Some("a and b both write x: give one another path"),
    );
}

#[test]
fn a_page_of_the_agents_is_taken_once_where_it_gives_way() {
    for page in AgentPage::ALL {
        let path = page.path();
        assert_eq!(last(&[path]).is_none(), page.gives_way(), "{path}");
        if page.gives_way() {
            let said = last(&[path, path]).unwrap();
            assert!(said.starts_with("a and b both want"), "{said}");
        }
    }
    // Where it has no server, nobody gets anything there, and nobody is in the way.
    let mut claims: Claims<&str> = Claims::of_agent(None);
    for name in ["a", "b"] {
        assert_eq!(claims.page(name, &Listener::Agent, "/metrics"), Ok(None));
    }
    let own = Listener::At(ListenerConfig::plain(SocketAddr::from(([127, 0, 0, 1], 9))));
    assert_eq!(claims.page("c", &own, "/health"), Ok(Some(0)));
}

#[test]
fn who_claims_twice_has_one_page_and_one_port_of_its_own() {
    let mut claims: Claims<&str> = Claims::of_agent(None);
    let any = Listener::At(ListenerConfig::ephemeral());
    assert_eq!(claims.page("a", &any, "/x"), Ok(Some(0)));
    assert_eq!(claims.page("a", &any, "/x"), Ok(Some(0)));
    assert_eq!(claims.page("a", &any, "/y"), Ok(Some(0)));
    assert_eq!(claims.page("b", &any, "/x"), Ok(Some(1)));
}

#[test]
fn an_address_is_shared_under_one_protection() {
    let plain = ListenerConfig::plain(SocketAddr::from(([127, 0, 0, 1], 1)));
    let open = ListenerConfig {
        allow_insecure_bind: true,
        ..plain.clone()
    };
    let mut claims: Claims<&str> = Claims::of_agent(Some(("agent", &plain)));
    let clash = claims.page("a", &Listener::At(open), "/x").unwrap_err();
    assert_eq!(clash.contested, Contested::Protection(plain.endpoint));
    assert_eq!((clash.first, clash.second), ("agent", "a"));
    assert_eq!(claims.page("a", &Listener::At(plain), "/x"), Ok(Some(0)));
}

#[test]
fn an_address_within_another_is_no_address_of_its_own() {
    let f = |first: &str, second: &str, clash: bool| {
        for all in [[first, second], [second, first]] {
            let said = last(&all);
            let expected = "a and b both want port 1, and the address of one is part of the \
                            other's: give one another port";
            assert_eq!(said.as_deref(), clash.then_some(expected), "{all:?}");
        }
    };
    f("0.0.0.0:1", "127.0.0.1:1", true);
    f("0.0.0.0:1", "[::ffff:127.0.0.1]:1", true);
    f("0.0.0.0:1", "[::1]:1", false);
    f("[::]:1", "127.0.0.1:1", true);
    f("[::]:1", "[::1]:1", true);
    f("[::]:1", "0.0.0.0:1", true);
    f("[::]:1", "127.0.0.1:2", false);
    f("127.0.0.1:1", "[::1]:1", false);
    f("[fe80::1%1]:1", "[fe80::1%2]:1", false);
    // The first of several is named, whichever kind of address it has.
    let said = last(&["[::1]:1", "127.0.0.1:1", "[::]:1"]).unwrap();
    assert!(said.starts_with("a and c both want port 1"), "{said}");
    // Who got nothing is in the way of others all the same.
    let mut claims: Claims<&str> = Claims::of_agent(None);
    let mut first = |by, text| claims.claim(by, &claimed(text)).err().map(|c| c.first);
    assert_eq!(first("a", "[::1]:1"), None);
    assert_eq!(first("b", "[::]:1"), Some("a"));
    assert_eq!(first("c", "127.0.0.1:1"), Some("b"));
    assert_eq!(first("d", "[::]:1/x"), Some("a"));
    // One address in two spellings.
    let said = last(&["127.0.0.1:1", "[::ffff:127.0.0.1]:1"]).unwrap();
    assert!(
        said.starts_with("a and b both want [::ffff:127.0.0.1]:1"),
        "{said}"
    );
}
