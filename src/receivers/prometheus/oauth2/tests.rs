use std::sync::Mutex as StdMutex;

use hyper::{Request, Response};

use super::super::testing::serve;
use super::*;

const TIMEOUT: Duration = Duration::from_secs(5);

/// What a server of tokens was asked: the header and the form.
type Asked = Arc<StdMutex<Vec<(String, String)>>>;

async fn source(
    answer: impl Fn(usize, &str) -> (u16, String) + Send + Sync + 'static,
) -> (TokenSource, Asked) {
    let asked = Asked::default();
    let noted = Arc::clone(&asked);
    let address = serve(move |request: Request<()>, form| {
        assert_eq!(request.method(), "POST");
        let header = request.headers().get("authorization");
        let header = header
            .map_or("", |value| value.to_str().unwrap())
            .to_owned();
        let n = noted.lock().unwrap().len();
        let (status, text) = answer(n, &header);
        noted.lock().unwrap().push((header, form));
        Response::builder().status(status).body(text).unwrap()
    })
    .await;
    let config = OAuth2Config {
        client_id: "me".to_owned(),
        client_secret: Credential::Inline(Secret::new("s e")),
        scopes: vec!["a".to_owned(), "b".to_owned()],
        token_url: format!("http://{address}/token").parse().unwrap(),
        endpoint_params: [("audience".to_owned(), "x".to_owned())].into(),
        client: HttpClientConfig::default(),
    };
    (TokenSource::new(&config, TIMEOUT).unwrap(), asked)
}

fn token(text: &str, seconds: u32) -> (u16, String) {
    let answer =
        format!(r#"{{"access_token": "{text}", "token_type": "bearer", "expires_in": {seconds}}}"#);
    (200, answer)
}

#[tokio::test]
async fn a_token_is_got_once_and_kept_while_it_is_valid() {
    let (source, asked) = source(|n, _| token(&format!("t{n}"), 3600)).await;
    for _ in 0..3 {
        assert_eq!(source.valid().await.unwrap(), "Bearer t0");
    }
    let asked = asked.lock().unwrap().clone();
    let form = "grant_type=client_credentials&scope=a+b&audience=x";
    // `me:s+e` in base64: both are encoded as in a form first.
    assert_eq!(asked, [("Basic bWU6cytl".to_owned(), form.to_owned())]);
}

#[tokio::test]
async fn a_token_that_is_about_to_end_is_got_anew() {
    let (source, asked) = source(|n, _| token(&format!("t{n}"), 10)).await;
    assert_eq!(source.valid().await.unwrap(), "Bearer t0");
    assert_eq!(source.valid().await.unwrap(), "Bearer t1");
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_server_that_refuses_the_header_gets_the_secret_in_the_body() {
    let (source, asked) = source(|n, header| match header {
        "" => token(&format!("t{n}"), 10),
        _ => (401, "no".to_owned()),
    })
    .await;
    assert_eq!(source.valid().await.unwrap(), "Bearer t1");
    assert_eq!(source.valid().await.unwrap(), "Bearer t2");
    let asked = asked.lock().unwrap();
    assert!(asked[1].1.ends_with("&client_id=me&client_secret=s+e"));
    assert_eq!(asked.len(), 3, "which way it is, is remembered");
}

#[tokio::test]
async fn a_request_without_a_token_fails_and_says_nothing_secret() {
    let (source, _) = source(|_, _| (200, r#"{"access": "hunter2"}"#.to_owned())).await;
    let error = source.valid().await.unwrap_err();
    assert_eq!(error.outcome, Outcome::Local);
    assert!(error.message.starts_with("no token from http://127.0.0.1:"));
    assert!(error.message.ends_with("no JSON with an access_token"));
}

#[tokio::test]
async fn a_token_that_a_target_refuses_is_got_anew_and_no_other_is_dropped() {
    let (source, asked) = source(|n, _| token(&format!("t{n}"), 3600)).await;
    let first = source.valid().await.unwrap();
    source.refused(&first);
    assert_eq!(source.valid().await.unwrap(), "Bearer t1");
    // Another target was asked with the former one.
    source.refused(&first);
    assert_eq!(source.valid().await.unwrap(), "Bearer t1");
    assert_eq!(asked.lock().unwrap().len(), 2);
}
