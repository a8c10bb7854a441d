//! Lists and watches against a server that is a script.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use proptest::prelude::*;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::*;
use crate::receivers::scrape::FailureReason;
use crate::receivers::scrape::http::{Fetch, FetchRequest, FetchedPage, wrong_status};
use crate::resilience::FetchError;

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Thing {
    metadata: ObjectMeta,
}

impl KubernetesObject for Thing {
    fn uid(&self) -> &str {
        &self.metadata.uid
    }
}

/// What the server does with the next request.
enum Step {
    Page(String),
    Fails(FetchError),
    /// A watch that says these pieces, and then ends or stays open.
    Watch(Vec<String>, bool),
}

/// A server that does one step after the other, and notes what it was asked, and when.
#[derive(Default)]
struct Script {
    steps: Mutex<VecDeque<Step>>,
    asked: Mutex<Vec<(Instant, String)>>,
}

impl Script {
    fn next(&self, request: &FetchRequest) -> Step {
        let query = request.url.query().unwrap_or_default().to_owned();
        self.asked.lock().unwrap().push((Instant::now(), query));
        let step = self.steps.lock().unwrap().pop_front();
        step.expect("a step for this request")
    }

    /// What was asked for since the last call, in short.
    fn asked(&self) -> Vec<String> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let short = |(_, query): (Instant, String)| {
            let query = query.replace("&allowWatchBookmarks=true", "");
            match query.split_once("&timeoutSeconds=") {
                Some((start, _)) => start.to_owned(),
                None => query,
            }
        };
        asked.into_iter().map(short).collect()
    }
}

impl Fetch for Script {
    fn fetch<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        Box::pin(std::future::ready(match self.next(request) {
            Step::Page(body) => Ok(body.into_bytes().into()),
            Step::Fails(error) => Err(error),
            Step::Watch(..) => panic!("a list is asked for, and a watch is next"),
        }))
    }
}

impl ApiTransport for Script {
    fn open<'a>(
        &'a self,
        request: &'a FetchRequest,
    ) -> BoxFuture<'a, Result<Box<dyn BodyStream>, FetchError>> {
        Box::pin(std::future::ready(match self.next(request) {
            Step::Watch(pieces, stays) => Ok(Box::new(Body {
                pieces: pieces.into(),
                stays,
            }) as Box<dyn BodyStream>),
            Step::Fails(error) => Err(error),
            Step::Page(_) => panic!("a watch is asked for, and a page is next"),
        }))
    }
}

struct Body {
    pieces: VecDeque<String>,
    stays: bool,
}

impl BodyStream for Body {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, FetchError>> {
        match self.pieces.pop_front() {
            Some(piece) => Box::pin(std::future::ready(Ok(Some(piece.into())))),
            None if self.stays => Box::pin(std::future::pending()),
            None => Box::pin(std::future::ready(Ok(None))),
        }
    }
}

fn thing(uid: &str, version: u32) -> String {
    format!(r#"{{"metadata":{{"uid":"{uid}","name":"n","resourceVersion":"{version}"}}}}"#)
}

fn page(uids: &[&str], next: &str) -> Step {
    let items: Vec<String> = uids.iter().map(|uid| thing(uid, 1)).collect();
    Step::Page(format!(
        r#"{{"kind":"ThingList","metadata":{{"resourceVersion":"10","continue":"{next}",
            "remainingItemCount":5}},"items":[{}]}}"#,
        items.join(",")
    ))
}

fn event(kind: &str, uid: &str, version: u32) -> String {
    format!(
        "{{\"type\":\"{kind}\",\"object\":{}}}\n",
        thing(uid, version)
    )
}

struct FollowRig {
    script: Arc<Script>,
    follower: Follower<Thing>,
}

impl FollowRig {
    fn new(steps: Vec<Step>) -> Self {
        let script = Arc::new(Script {
            steps: Mutex::new(steps.into()),
            ..Script::default()
        });
        let collection = Collection {
            api: "/api/v1",
            resource: "things",
            namespace: None,
            label_selector: None,
            field_selector: None,
        };
        let limits = FollowLimits {
            objects: 4,
            event: 500,
            list: Duration::from_secs(15),
        };
        let server = "https://api:6443".parse().unwrap();
        let transport: Arc<dyn ApiTransport> = Arc::clone(&script) as _;
        Self {
            follower: Follower::new(transport, &server, collection, limits, None),
            script,
        }
    }

    /// The next change, in short.
    async fn next(&mut self) -> String {
        let next = timeout(Duration::from_secs(3600), self.follower.next()).await;
        match next.expect("something happens") {
            Ok(CollectionChange::Listed(listed)) => {
                let mut uids: Vec<&String> = listed.objects.keys().collect();
                uids.sort();
                format!("{uids:?} +{} !{}", listed.left_over, listed.invalid)
            }
            Ok(CollectionChange::Applied(thing)) => format!("+{}", thing.uid()),
            Ok(CollectionChange::Deleted(thing)) => format!("-{}", thing.uid()),
            Ok(CollectionChange::Invalid) => "invalid".to_owned(),
            Err(error) => {
                let failure = error.of_part("/things");
                format!("{}: {}", failure.reason, failure.message)
            }
        }
    }

    async fn expect(&mut self, expected: &[&str]) {
        for expected in expected {
            assert_eq!(self.next().await, *expected);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn pages_are_followed_and_then_a_watch_from_their_version_on() {
    let mut rig = FollowRig::new(vec![
        page(&["a", "b"], "t1"),
        page(&["c"], ""),
        Step::Watch(
            vec![
                event("ADDED", "d", 11),
                // Cut anywhere.
                event("MODIFIED", "a", 12)[..30].to_owned(),
                event("MODIFIED", "a", 12)[30..].to_owned() + &event("DELETED", "b", 13),
                event("BOOKMARK", "x", 20),
            ],
            false,
        ),
        Step::Watch(vec![event("ADDED", "e", 21)], true),
    ]);
    rig.expect(&[r#"["a", "b", "c"] +0 !0"#, "+d", "+a", "-b", "+e"])
        .await;
    assert_eq!(
        rig.script.asked(),
        [
            "limit=100",
            "limit=100&continue=t1",
            "watch=true&resourceVersion=10",
            // The bookmark has moved it on.
            "watch=true&resourceVersion=20",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_means_a_new_list_each_time_later() {
    let gone = || Step::Fails(wrong_status(410, "answered 410 Gone"));
    let expired = r#"{"type":"ERROR","object":{"kind":"Status","code":410}}"#.to_owned() + "\n";
    let mut steps = vec![page(&["a"], ""), gone(), page(&["b"], "")];
    for _ in 0..8 {
        steps.push(Step::Watch(vec![expired.clone()], true));
        steps.push(page(&["c"], ""));
    }
    let mut rig = FollowRig::new(steps);
    rig.expect(&[r#"["a"] +0 !0"#, r#"["b"] +0 !0"#]).await;
    let mut before = Instant::now();
    let mut waits = Vec::new();
    for _ in 0..8 {
        rig.expect(&[r#"["c"] +0 !0"#]).await;
        waits.push(before.elapsed().as_secs_f64());
        before = Instant::now();
    }
    assert!(
        waits.windows(2).take(4).all(|pair| pair[0] < pair[1]),
        "{waits:?}"
    );
    assert!(waits.iter().all(|wait| *wait < 61.0), "{waits:?}");
    assert!(waits[7] > 20.0, "{waits:?}");
}

#[tokio::test(start_paused = true)]
async fn lists_that_would_never_end_fail_and_none_is_asked_beyond_a_bound() {
    let f = async |steps: Vec<Step>, expected: &str| {
        let requests = steps.len();
        let mut rig = FollowRig::new(steps);
        assert_eq!(rig.next().await, expected);
        assert_eq!(rig.script.asked().len(), requests, "{expected}");
    };
    f(
        vec![page(&["a"], "t1"), page(&["a"], "t2")],
        "limit: a page brings no object that wasn't listed before: the list would never end",
    )
    .await;
    f(
        vec![page(&["a"], "t1"), page(&["b"], "t1")],
        "limit: a `continue` token comes again: the list would never end",
    )
    .await;
    // Four may be kept; the server says that five more follow.
    f(
        vec![page(&["a", "b", "c"], "t1"), page(&["d", "e"], "t2")],
        r#"["a", "b", "c", "d"] +6 !0"#,
    )
    .await;
    f(
        vec![page(&["a", "b", "c", "d"], "t1")],
        r#"["a", "b", "c", "d"] +5 !0"#,
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn failures_are_told_and_followed_by_waits() {
    let advised = FetchError {
        retry_after: Some(Duration::from_secs(40)),
        ..wrong_status(429, "answered 429 Too Many Requests")
    };
    let mut rig = FollowRig::new(vec![
        Step::Fails(wrong_status(403, "answered 403 Forbidden")),
        Step::Fails(FailureReason::Refused.error("refused")),
        Step::Fails(advised),
        Step::Page("<html>".to_owned()),
        Step::Page(r#"{"kind":"Status","metadata":{"resourceVersion":"1"}}"#.to_owned()),
        page(&["a"], ""),
    ]);
    rig.expect(&[
        "status: answered 403 Forbidden",
        "refused: refused",
        "status: answered 429 Too Many Requests",
        "parse: not the expected JSON, at line 1 column 1",
        "parse: not the expected JSON: no list",
        r#"["a"] +0 !0"#,
    ])
    .await;
    let asked = std::mem::take(&mut *rig.script.asked.lock().unwrap());
    let waits: Vec<f64> = asked
        .windows(2)
        .map(|pair| (pair[1].0 - pair[0].0).as_secs_f64())
        .collect();
    assert!(waits[0] >= 0.375 && waits[0] <= 0.5, "{waits:?}");
    assert!(waits[1] > waits[0], "{waits:?}");
    assert!(waits[2] >= 40.0, "as the server says: {waits:?}");
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_at_once_is_resumed_at_growing_intervals() {
    let mut steps = vec![page(&["a"], "")];
    for _ in 0..6 {
        steps.push(Step::Watch(Vec::new(), false));
    }
    steps.push(Step::Watch(vec![event("ADDED", "b", 11)], true));
    let mut rig = FollowRig::new(steps);
    rig.expect(&[r#"["a"] +0 !0"#]).await;
    let begun = Instant::now();
    rig.expect(&["+b"]).await;
    let took = begun.elapsed().as_secs_f64();
    // 0.5 + 1 + 2 + 4 + 8 + 16, each up to a quarter less.
    assert!((23.0..=31.5).contains(&took), "{took}");
    assert_eq!(rig.script.asked().len(), 8, "no list in between");
}

#[tokio::test(start_paused = true)]
async fn what_a_watch_says_that_can_not_be_read_costs_a_list_and_an_object_only_itself() {
    let unreadable = r#"{"type":"ADDED","object":{"metadata":{"resourceVersion":"12"}}}"#;
    let long = format!("{{\"type\":\"{}\"", "x".repeat(600));
    let mut rig = FollowRig::new(vec![
        page(&["a"], ""),
        Step::Watch(
            vec![format!("{unreadable}\n"), "nonsense\n".to_owned()],
            true,
        ),
        page(&["b"], ""),
        Step::Watch(vec![long], true),
        page(&["c"], ""),
        Step::Watch(vec![event("EXPLODED", "c", 13)], true),
        page(&["d"], ""),
        // No event at all, such as from a server that doesn't know watches.
        Step::Watch(vec!["nonsense".to_owned()], false),
        page(&["e"], ""),
    ]);
    rig.expect(&[
        r#"["a"] +0 !0"#,
        "invalid",
        "parse: not the expected JSON, at line 1 column 2",
        r#"["b"] +0 !0"#,
        "limit: an event of more than 500 bytes",
        r#"["c"] +0 !0"#,
        "parse: a watch event of an unknown type",
        r#"["d"] +0 !0"#,
        "parse: not the expected JSON, at line 1 column 2",
        r#"["e"] +0 !0"#,
    ])
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_says_nonsense_each_time_costs_a_list_at_growing_intervals() {
    let mut steps = vec![page(&["a"], "")];
    for _ in 0..7 {
        let told = vec![event("ADDED", "b", 11), "nonsense\n".to_owned()];
        steps.extend([Step::Watch(told, true), page(&["a"], "")]);
    }
    let mut rig = FollowRig::new(steps);
    rig.expect(&[r#"["a"] +0 !0"#]).await;
    let begun = Instant::now();
    for _ in 0..7 {
        let garbage = "parse: not the expected JSON, at line 1 column 2";
        rig.expect(&["+b", garbage, r#"["a"] +0 !0"#]).await;
    }
    let took = begun.elapsed().as_secs_f64();
    // 0.5 + 1 + 2 + 4 + 8 + 16 + 30, each up to a quarter less.
    assert!((46.0..=61.5).contains(&took), "{took}");
}

#[tokio::test(start_paused = true)]
async fn objects_that_can_not_be_read_cost_themselves_and_fail_only_a_list_of_nothing_else() {
    let unread = |uids: &[&str], next: &str| {
        let items = uids.iter();
        let items: Vec<String> = items
            .map(|uid| format!(r#"{{"metadata":{{"uid":"{uid}"}}}}"#))
            .collect();
        Step::Page(format!(
            r#"{{"kind":"ThingList","metadata":{{"resourceVersion":"10","continue":"{next}"}},
                "items":[{}]}}"#,
            items.join(",")
        ))
    };
    let mut rig = FollowRig::new(vec![
        unread(&["x", "y"], "t1"),
        page(&["a"], "t2"),
        unread(&["z"], ""),
    ]);
    rig.expect(&[r#"["a"] +0 !3"#]).await;
    let mut rig = FollowRig::new(vec![unread(&["x"], "t1"), unread(&["y"], "")]);
    rig.expect(&["parse: none of the 2 objects is as expected"])
        .await;
    let mut rig = FollowRig::new(vec![
        unread(&["u", "v", "w"], "t1"),
        unread(&["x", "y", "z"], "t2"),
    ]);
    rig.expect(&["parse: 6 objects are not as expected, and there may be more"])
        .await;
}

#[tokio::test(start_paused = true)]
async fn a_watch_over_which_nothing_comes_is_opened_anew_within_two_minutes() {
    let mut rig = FollowRig::new(vec![
        page(&["a"], ""),
        Step::Watch(Vec::new(), true),
        Step::Watch(vec![event("ADDED", "b", 11)], true),
    ]);
    rig.expect(&[r#"["a"] +0 !0"#]).await;
    let begun = Instant::now();
    rig.expect(&["+b"]).await;
    let took = begun.elapsed().as_secs();
    assert!((70..=130).contains(&took), "{took}");
}

#[test]
fn only_the_api_server_of_its_own_cluster_gets_the_token() {
    let mount = std::path::Path::new("/mount");
    let cluster = InCluster::of("10.0.0.1", "443", mount).unwrap();
    assert_eq!(cluster.url.as_str(), "https://10.0.0.1/");
    let is_at = |url: &str| cluster.is_at(&url.parse().unwrap());
    assert!(is_at("https://10.0.0.1:443"));
    assert!(is_at("https://kubernetes.default.svc"));
    for elsewhere in [
        "http://10.0.0.1:443",
        "https://10.0.0.1:6443",
        "https://10.0.0.2",
        "http://kubernetes.default.svc",
        "https://kubernetes.default.svc.evil.example",
        "https://api.example",
    ] {
        assert!(!is_at(elsewhere), "{elsewhere}");
    }
    let six = InCluster::of("fd00::1", "6443", mount).unwrap();
    assert_eq!(six.url.as_str(), "https://[fd00::1]:6443/");
    assert!(InCluster::of("", "443", mount).is_err());
}

#[test]
fn a_collection_is_where_the_api_has_it() {
    let url = |server: &str, namespace: Option<&str>| {
        let collection = Collection {
            api: "/apis/apps/v1",
            resource: "deployments",
            namespace: namespace.map(str::to_owned),
            label_selector: None,
            field_selector: None,
        };
        collection.url(&server.parse().unwrap()).to_string()
    };
    assert_eq!(
        url("https://api:6443", None),
        "https://api:6443/apis/apps/v1/deployments"
    );
    assert_eq!(
        url("https://api/k8s/clusters/c-1/", Some("a/b")),
        "https://api/k8s/clusters/c-1/apis/apps/v1/namespaces/a%2Fb/deployments"
    );
}

proptest! {
    #[test]
    fn no_text_that_is_nearly_right_makes_it_panic(
        words in prop::collection::vec(
            prop::sample::select(vec![
                "[", "]", "{", "}", ",", ":", "\"kind\"", "\"ThingList\"", "\"metadata\"",
                "\"resourceVersion\"", "\"items\"", "\"uid\"", "\"name\"", "\"type\"", "\"object\"",
                "\"ADDED\"", "\"ERROR\"", "\"code\"", "null", "-1", "410", "\"1\"", " ", "\n",
            ]),
            0..40,
        ),
    ) {
        let text = words.concat();
        let _ = page::ListPage::<Thing>::read(text.as_bytes());
        let _ = event::WatchEvent::<Thing>::read(text.as_bytes());
    }
}
