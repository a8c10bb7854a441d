use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{advance, sleep};

use super::super::access::LARGE;
use super::super::{Fetch, wrong_status};
use super::*;
use crate::component::{BuildContext, Now};
use crate::receivers::scrape::PollPace;
use crate::receivers::scrape::testing::context;
use crate::resilience::{
    Config, EndpointId, Endpoints, Outcome, PollConfig, RetryConfig, Transport,
};

const URL: &str = "http://user-less:9000/part";

/// A client that gives the answer that the test has set.
struct Script(Mutex<Result<&'static str, FetchError>>);

impl Fetch for Script {
    fn fetch<'a>(&'a self, _: &'a FetchRequest) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
        let answer = self.0.lock().unwrap().clone();
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            answer.map(|text| text.as_bytes().to_vec().into())
        })
    }
}

struct Rig {
    script: Arc<Script>,
    context: BuildContext,
    document: Document<String>,
}

impl Rig {
    fn new(config: Option<Config>, endpoints: Endpoints) -> Self {
        let settings = config.map(|config| config.resolve(&PollConfig::default()).unwrap());
        let context = BuildContext {
            guard: settings.map(Arc::new),
            endpoints: Arc::new(endpoints),
            ..context("test")
        };
        let script = Arc::new(Script(Mutex::new(Ok("hello"))));
        let request = FetchRequest::new(URL.parse().unwrap(), "*/*");
        let read = |page: FetchedPage| match &page.body[..] {
            b"garbage" => Err(FailureReason::Parse.error("garbage")),
            text => Ok(String::from_utf8(text.to_vec()).unwrap()),
        };
        let document = Access::new(&context, Arc::clone(&script) as _).document(request, read);
        Self {
            script,
            context,
            document,
        }
    }

    fn guarded() -> Self {
        let config = Config {
            retry: RetryConfig {
                max: Some(0),
                ..RetryConfig::default()
            },
            ..Config::default()
        };
        Self::new(Some(config), Endpoints::new(10, Default::default()))
    }

    async fn ask(&mut self, answer: Result<&'static str, FetchError>) -> Asked<String> {
        *self.script.0.lock().unwrap() = answer;
        // Longer than the ttl of the last answer.
        advance(Duration::from_secs(11)).await;
        self.ask_for(PollReason::Interval).await
    }

    async fn ask_for(&mut self, reason: PollReason) -> Asked<String> {
        let now = Now::read();
        self.document.ask(&Poll { now, reason }).await
    }

    async fn failure(&mut self, answer: Result<&'static str, FetchError>) -> PartFailure {
        let asked = self.ask(answer).await;
        assert!(matches!(asked, Asked::Failed), "{asked:?}");
        assert!(!self.document.answers());
        self.document.failure().unwrap().clone()
    }

    fn endpoint(&self) -> Option<Arc<resilience::Endpoint>> {
        self.context.endpoints.find(&EndpointId::new("test", URL))
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_means_the_right_thing_to_the_guard_and_to_the_series() {
    let transport = Outcome::Transport(Transport::Other);
    let cases: [(FetchError, Outcome, FailureReason); 15] = [
        (
            FailureReason::Refused.error("x"),
            transport,
            FailureReason::Refused,
        ),
        (
            FailureReason::Reset.error("x"),
            transport,
            FailureReason::Reset,
        ),
        (FailureReason::Dns.error("x"), transport, FailureReason::Dns),
        (FailureReason::Tls.error("x"), transport, FailureReason::Tls),
        (
            FailureReason::Timeout.error("x"),
            Outcome::Timeout,
            FailureReason::Timeout,
        ),
        (
            FailureReason::Parse.error("x"),
            Outcome::Malformed,
            FailureReason::Parse,
        ),
        (
            FailureReason::Limit.error("x"),
            Outcome::TooLarge,
            FailureReason::Limit,
        ),
        (
            wrong_status(408, "x"),
            Outcome::Timeout,
            FailureReason::Status,
        ),
        (
            wrong_status(429, "x"),
            Outcome::Throttled,
            FailureReason::Status,
        ),
        (
            wrong_status(404, "x"),
            Outcome::ClientError,
            FailureReason::Status,
        ),
        (
            wrong_status(302, "x"),
            Outcome::ClientError,
            FailureReason::Status,
        ),
        (
            wrong_status(500, "x"),
            Outcome::ServerError,
            FailureReason::Status,
        ),
        (
            wrong_status(502, "x"),
            Outcome::Unavailable,
            FailureReason::Status,
        ),
        (
            wrong_status(504, "x"),
            Outcome::Unavailable,
            FailureReason::Status,
        ),
        (
            FetchError::new(Outcome::Local, "x"),
            Outcome::Local,
            FailureReason::Limit,
        ),
    ];
    for (error, outcome, reason) in cases {
        let mut rig = Rig::guarded();
        let status = error.status;
        let failure = rig.failure(Err(error)).await;
        assert_eq!((failure.reason, failure.status), (reason, status));
        assert_eq!(
            (failure.part.as_str(), failure.message.as_str()),
            ("/part", "x")
        );
        let outcomes = rig
            .endpoint()
            .unwrap()
            .breaker()
            .snapshot(Instant::now())
            .outcomes;
        let counted = Outcome::ALL
            .iter()
            .zip(outcomes)
            .filter(|(_, count)| *count > 0);
        assert!(
            counted.map(|(outcome, _)| outcome).eq([&outcome]),
            "{reason} {status:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_read_is_a_failure_of_the_attempt() {
    let mut rig = Rig::guarded();
    assert_eq!(
        rig.failure(Ok("garbage")).await.reason,
        FailureReason::Parse
    );
    assert!(matches!(rig.ask(Ok("text")).await, Asked::New(text) if text == "text"));
    assert!(matches!(
        rig.ask_for(PollReason::Interval).await,
        Asked::Same
    ));
}

#[tokio::test(start_paused = true)]
async fn advice_keeps_everybody_away_and_a_rejection_says_what_came_before() {
    let mut rig = Rig::guarded();
    let throttled = FetchError {
        retry_after: Some(Duration::from_secs(60)),
        ..wrong_status(429, "answered 429")
    };
    rig.failure(Err(throttled)).await;
    let rejected = rig.failure(Ok("hello")).await;
    assert_eq!(rejected.reason, FailureReason::Breaker);
    assert_eq!(
        rejected.message,
        "rejected by the circuit breaker (retry_after) after: answered 429"
    );
    let wish = rig.document.wish().unwrap();
    assert_eq!(wish.reason, PollReason::Breaker);
    let wake = wish.at - Instant::now();
    assert!(
        (Duration::from_secs(45)..Duration::from_secs(60)).contains(&wake),
        "{wake:?}"
    );
    for reason in [PollReason::Breaker, PollReason::Expiry, PollReason::Demand] {
        let asked = rig.ask_for(reason).await;
        assert!(matches!(asked, Asked::NotDue), "too early: {asked:?}");
    }
    assert_eq!(rig.document.failure(), Some(&rejected), "as before");
    advance(wake).await;
    // Whatever else the poll is for.
    assert!(matches!(
        rig.ask_for(PollReason::Expiry).await,
        Asked::New(_)
    ));
    assert_eq!(rig.document.wish(), None, "nothing is left to wait for");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_registered_while_somebody_asks_for_it() {
    let mut rig = Rig::guarded();
    assert!(rig.endpoint().is_none());
    rig.ask(Ok("hello")).await;
    assert!(rig.endpoint().is_some());
    assert_eq!(
        rig.document.wish(),
        None,
        "an idle agent has its ticks and no timer more"
    );
    rig.document.retire();
    assert!(rig.endpoint().is_none());
    rig.ask(Ok("hello")).await;
    assert_eq!(rig.context.endpoints.all().len(), 1);
    assert_eq!(rig.context.endpoints.registration_failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn beyond_max_endpoints_it_is_asked_without_a_guard() {
    let mut rig = Rig::new(
        Some(Config::default()),
        Endpoints::new(0, Default::default()),
    );
    assert!(matches!(rig.ask(Ok("hello")).await, Asked::New(_)));
    for _ in 0..10 {
        let failure = rig.failure(Err(FailureReason::Refused.error("x"))).await;
        assert_eq!(
            failure.reason,
            FailureReason::Refused,
            "nothing gives it up"
        );
    }
    assert_eq!(
        rig.context.endpoints.registration_failures(),
        1,
        "counted once"
    );
}

#[tokio::test(start_paused = true)]
async fn series_end_once_at_once_without_a_guard_and_past_the_staleness_with_one() {
    let refused = || Err(FailureReason::Refused.error("x"));
    let mut bare = Rig::new(None, Endpoints::new(10, Default::default()));
    let mut guarded = Rig::guarded();
    for rig in [&mut bare, &mut guarded] {
        rig.ask(Ok("hello")).await;
        assert!(!rig.document.ends(Instant::now()), "while it answers");
        rig.failure(refused()).await;
    }
    let fetched = Instant::now() - Duration::from_secs(11);
    assert!(bare.document.ends(Instant::now()));
    assert!(!bare.document.ends(Instant::now()), "once");
    assert!(bare.endpoint().is_none());

    assert!(!guarded.document.ends(fetched + Duration::from_secs(299)));
    let wish = guarded.document.wish().unwrap();
    assert_eq!(wish.reason, PollReason::Expiry);
    let due = wish.at;
    assert!(due <= fetched + Duration::from_secs(301));
    assert!(guarded.document.ends(due));
    assert!(!guarded.document.ends(due), "once");
    assert_eq!(guarded.document.wish(), None);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_told_to_stop_says_nothing_of_its_endpoint() {
    let stop = tokio_util::sync::CancellationToken::new();
    let mut rig = Rig::new(Some(Config::default()), Endpoints::new(10, stop.clone()));
    rig.ask(Ok("hello")).await;
    stop.cancel();
    let asking = rig.ask(Ok("hello"));
    let told = tokio::time::timeout(Duration::from_secs(1_000), asking).await;
    assert!(told.is_err(), "{told:?}");
}

#[tokio::test]
async fn a_large_answer_is_read_where_it_holds_no_worker() {
    struct Size(usize);
    impl Fetch for Size {
        fn fetch<'a>(
            &'a self,
            _: &'a FetchRequest,
        ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
            Box::pin(async { Ok(vec![b'x'; self.0].into()) })
        }
    }
    let context = context("test");
    for (size, elsewhere) in [(LARGE, false), (LARGE + 1, true)] {
        let request = FetchRequest::new(URL.parse().unwrap(), "*/*");
        let read = |_: FetchedPage| Ok(std::thread::current().id());
        let mut document = Access::new(&context, Arc::new(Size(size))).document(request, read);
        let poll = Poll {
            now: Now::read(),
            reason: PollReason::Interval,
        };
        let Asked::New(reader) = document.ask(&poll).await else {
            panic!("no answer")
        };
        assert_eq!(reader != std::thread::current().id(), elsewhere, "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn endpoints_of_one_url_are_told_apart_by_what_they_ask_about() {
    let rig = Rig::guarded();
    let access = Access::new(&rig.context, Arc::clone(&rig.script) as _);
    let mut documents: Vec<_> = ["a", "b"]
        .into_iter()
        .map(|instance| {
            let url = format!("http://probe:9115/probe?target={instance}");
            let request = FetchRequest {
                instance: Some(instance.into()),
                ..FetchRequest::new(url.parse().unwrap(), "*/*")
            };
            access.document(request, |_| Ok(()))
        })
        .collect();
    for document in &mut documents {
        let poll = Poll {
            now: Now::read(),
            reason: PollReason::Interval,
        };
        assert!(matches!(document.ask(&poll).await, Asked::New(())));
    }
    let names = rig.context.endpoints.all();
    let names: Vec<&str> = names.iter().map(|endpoint| endpoint.id().url()).collect();
    assert_eq!(
        names,
        ["http://probe:9115/probe#a", "http://probe:9115/probe#b"]
    );
    assert_eq!(rig.context.endpoints.registration_failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_document_of_several_pages_is_one_attempt() {
    let rig = Rig::guarded();
    let access = Access::new(&rig.context, Arc::clone(&rig.script) as _);
    let request = FetchRequest::new(URL.parse().unwrap(), "*/*");
    let within = Duration::from_secs(10);
    let mut list = access.composed(request, within, |access, request, _| {
        Box::pin(async move {
            let mut lengths = Vec::new();
            for page in ["1", "2", "3"] {
                let mut request = FetchRequest::clone(&request);
                request.url.set_query(Some(page));
                lengths.push(access.get(&request, |page| Ok(page.body.len())).await?);
            }
            Ok(lengths)
        })
    });
    let poll = Poll {
        now: Now::read(),
        reason: PollReason::Interval,
    };
    let asked = list.ask(&poll).await;
    assert!(
        matches!(&asked, Asked::New(lengths) if lengths == &[5, 5, 5]),
        "{asked:?}"
    );
    let snapshot = rig.endpoint().unwrap().breaker().snapshot(Instant::now());
    assert_eq!(snapshot.outcomes.iter().sum::<u64>(), 1);
}

#[tokio::test(start_paused = true)]
async fn several_requests_have_the_time_of_the_poll_and_each_the_timeout_of_one() {
    /// Answers after 4 s, and to `hang` never.
    struct Slow;
    impl Fetch for Slow {
        fn fetch<'a>(
            &'a self,
            request: &'a FetchRequest,
        ) -> BoxFuture<'a, Result<FetchedPage, FetchError>> {
            Box::pin(async move {
                sleep(Duration::from_secs(4)).await;
                if request.url.query() == Some("hang") {
                    std::future::pending::<()>().await;
                }
                Ok(b"page".to_vec().into())
            })
        }
    }
    let guarded = Rig::guarded();
    let bare = Rig::new(None, Endpoints::new(10, Default::default()));
    // The deadline of a guarded poll is 14 s by default.
    for (rig, within, cut) in [(&guarded, 100, 14), (&bare, 20, 20)] {
        for (pages, whole) in [(["1", "2", "3"], true), (["1", "2", "hang"], false)] {
            let access = Access::new(&rig.context, Arc::new(Slow));
            let request = FetchRequest {
                instance: Some(pages[2].into()),
                ..FetchRequest::new(URL.parse().unwrap(), "*/*")
            };
            let told = Arc::new(Mutex::new(None));
            let until = Arc::clone(&told);
            let within = Duration::from_secs(within);
            let mut list = access.composed(request, within, move |access, request, when| {
                *until.lock().unwrap() = Some(when);
                Box::pin(async move {
                    for page in pages {
                        let mut request = FetchRequest::clone(&request);
                        request.url.set_query(Some(page));
                        access.get(&request, |_| Ok(())).await?;
                    }
                    Ok(())
                })
            });
            let begun = Instant::now();
            let poll = Poll {
                now: Now::read(),
                reason: PollReason::Interval,
            };
            let asked = list.ask(&poll).await;
            assert_eq!(matches!(asked, Asked::New(())), whole, "{asked:?}");
            let took = if whole { 12 } else { cut };
            assert_eq!(begun.elapsed(), Duration::from_secs(took));
            let until = told.lock().unwrap().unwrap() - begun;
            let rest = Duration::from_secs(cut) - until;
            assert!(
                rest > Duration::ZERO && rest < Duration::from_secs(1),
                "{rest:?}"
            );
            if !whole {
                assert_eq!(list.failure().unwrap().reason, FailureReason::Timeout);
            }
            if let Some(endpoint) = list.endpoint() {
                let snapshot = endpoint.breaker().snapshot(Instant::now());
                assert_eq!(snapshot.failures, 0, "each request was answered in time");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_thread_is_neither_a_timeout_nor_a_latency_of_the_endpoint() {
    let rig = Rig::guarded();
    let large = "x".repeat(LARGE + 1).leak();
    *rig.script.0.lock().unwrap() = Ok(large);
    let access = Access::new(&rig.context, Arc::clone(&rig.script) as _);
    let request = FetchRequest::new(URL.parse().unwrap(), "*/*");
    let mut document = access.document(request, |_| Ok(()));
    let poll = Poll {
        now: Now::read(),
        reason: PollReason::Interval,
    };
    // The lane has one thread, and somebody else's page occupies it: for longer than the timeout,
    // then for longer than the poll.
    for (busy, is_read) in [(8, true), (20, false)] {
        let (release, gate) = std::sync::mpsc::channel::<()>();
        let lane = access.lane.clone();
        let other = tokio::spawn(async move {
            lane.run(move || {
                let _ = gate.recv();
            })
            .await;
        });
        tokio::task::yield_now().await;
        let ask = document.ask(&poll);
        let free = async {
            // By hand, since the clock stands still while a thread is occupied.
            for step in [Duration::from_millis(5), Duration::from_secs(busy)] {
                tokio::task::yield_now().await;
                tokio::task::yield_now().await;
                advance(step).await;
            }
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        };
        let (asked, ()) = tokio::join!(ask, free);
        other.await.unwrap();
        assert_eq!(matches!(asked, Asked::New(())), is_read, "{asked:?}");
        let snapshot = rig.endpoint().unwrap().breaker().snapshot(Instant::now());
        assert_eq!(snapshot.failures, 0);
        assert_eq!(snapshot.latency_ms, Some(5.0));
        advance(Duration::from_secs(11)).await;
    }
    let failure = document.failure().unwrap();
    assert_eq!(
        failure.reason,
        FailureReason::Limit,
        "ours and not the endpoint's"
    );
}

#[tokio::test(start_paused = true)]
async fn one_that_was_asked_without_a_guard_gets_one_when_there_is_room() {
    let mut rig = Rig::new(
        Some(Config::default()),
        Endpoints::new(1, Default::default()),
    );
    let other = EndpointId::new("test", "http://other:1/");
    let endpoints = Arc::clone(&rig.context.endpoints);
    let taken = endpoints.breaker(other.clone(), Default::default());
    assert!(matches!(rig.ask(Ok("hello")).await, Asked::New(_)));
    assert!(rig.endpoint().is_none());
    taken.unwrap();
    endpoints.remove(&other);
    let failure = rig.failure(Err(wrong_status(404, "x"))).await;
    assert_eq!(failure.reason, FailureReason::Status);
    assert!(rig.endpoint().is_some());
    assert!(
        rig.document.ends(Instant::now()),
        "no guard knows the answer before"
    );
    assert!(!rig.document.ends(Instant::now()), "once");
    rig.ask(Ok("hello")).await;
    rig.failure(Err(wrong_status(404, "x"))).await;
    assert!(
        !rig.document.ends(Instant::now()),
        "the guard knows this one"
    );
    assert_eq!(endpoints.registration_failures(), 1);
}

#[tokio::test(start_paused = true)]
async fn targets_of_another_pace_are_guarded_by_the_same_keys_at_that_pace() {
    let config = Config {
        retry: RetryConfig {
            deadline: Some(Duration::from_secs(14)),
            ..RetryConfig::default()
        },
        ..Config::default()
    };
    let rig = Rig::new(Some(config), Endpoints::new(10, Default::default()));
    let access = Access::new(&rig.context, Arc::clone(&rig.script) as _);
    let f = |interval: u64, timeout: u64, deadline: f64| {
        let pace = PollPace {
            interval: Duration::from_secs(interval),
            timeout: Duration::from_secs(timeout),
            first: crate::receivers::scrape::FirstPoll::AtPhase,
        };
        let paced = access.at_pace(&pace, Arc::clone(&rig.script) as _);
        let settings = &paced.guarding.as_ref().unwrap().settings;
        assert_eq!(settings.interval(), pace.interval);
        assert_eq!(settings.timeout(), pace.timeout);
        assert_eq!(settings.deadline(), Duration::from_secs_f64(deadline));
    };
    f(60, 10, 14.0);
    f(15, 5, 14.0);
    // A poll ends with its interval, whatever is written.
    f(3, 2, 2.8);
    f(60, 30, 30.0);
}

#[tokio::test(start_paused = true)]
async fn endpoints_without_a_guard_that_no_line_has_told_are_told_at_the_end() {
    let (log, _guard) = crate::log_capture::LogCapture::begin();
    let rig = Rig::new(
        Some(Config::default()),
        Endpoints::new(0, Default::default()),
    );
    let access = Access::new(&rig.context, Arc::clone(&rig.script) as _);
    drop(rig);
    for port in 1..=3 {
        let url = format!("http://a:{port}/");
        let mut document =
            access.document(FetchRequest::new(url.parse().unwrap(), "*/*"), |_| Ok(()));
        let poll = Poll {
            now: Now::read(),
            reason: PollReason::Interval,
        };
        assert!(matches!(document.ask(&poll).await, Asked::New(())));
    }
    assert_eq!(log.count("endpoints were asked without a guard"), 0);
    drop(access);
    assert_eq!(
        log.count("endpoints were asked without a guard"),
        1,
        "{:?}",
        log.lines()
    );
    assert!(
        format!("{:?}", log.lines()).contains("\"endpoints\": Number(2)"),
        "{:?}",
        log.lines()
    );
}
