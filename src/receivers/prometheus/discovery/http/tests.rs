use std::sync::Mutex;

use hyper::{Request, Response};

use super::super::testing::{findings, shown};
use super::*;
use crate::receivers::prometheus::config::HttpConfig;
use crate::receivers::prometheus::testing::serve;

#[tokio::test]
async fn a_server_lists_targets_until_it_lists_others_and_a_failure_changes_nothing() {
    let answer = Arc::new(Mutex::new((200, "application/json", String::new())));
    let given = Arc::clone(&answer);
    let address = serve(move |request: Request<()>, _| {
        let headers = request.headers();
        assert_eq!(headers["x-prometheus-refresh-interval-seconds"], "0.5");
        assert_eq!(headers["accept"], "application/json");
        let (status, kind, text) = given.lock().unwrap().clone();
        let response = Response::builder().status(status);
        response.header("content-type", kind).body(text).unwrap()
    })
    .await;
    let text = format!("http://{address}/t?x=1");
    let mut discovery = HttpDiscovery::new(&HttpDiscoveryConfig {
        url: text.parse().unwrap(),
        text: text.clone(),
        refresh: Duration::from_millis(500),
        http: HttpConfig::default(),
    })
    .unwrap();
    let (mut findings, found) = findings();
    let mut look = async |status: u16, kind: &'static str, body: &str| {
        *answer.lock().unwrap() = (status, kind, body.to_owned());
        discovery.refresh(&mut findings).await;
        let groups = shown(&found.borrow());
        (groups, findings.failing().map(ToOwned::to_owned))
    };
    let json = "application/json; charset=utf-8";
    let one = r#"[{"targets": ["a:1"], "labels": {"x": "1"}}]"#;
    let first = [format!("a:1 {{__meta_url={text},x=1}}")];
    assert_eq!(look(200, json, one).await, (first.to_vec(), None));
    for (status, kind, body, expected) in [
        (500, json, one, "answered 500 Internal Server Error"),
        (
            200,
            "text/html",
            one,
            "unsupported content type `text/html`",
        ),
        (200, json, "[{]", "key must be a string at line 1 column 3"),
    ] {
        let (groups, failing) = look(status, kind, body).await;
        assert_eq!(groups, first);
        assert_eq!(failing, Some(format!("{text}: {expected}")));
    }
    let (groups, failing) = look(200, "application/json", "[]").await;
    assert_eq!((groups.len(), failing), (0, None));
}
