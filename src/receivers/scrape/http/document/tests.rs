use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{advance, sleep};

use super::*;
use crate::resilience::{Config, PollConfig, RetryConfig};
use crate::telemetry::Telemetry;

const URL: &str = "http://user-less:9000/part";

/// A client that gives the answer that the test has set.
struct Script(Mutex<Result<&'static str, AttemptError>>);

impl Fetch for Script {
    fn fetch<'a>(&'a self, _: &'a FetchRequest) -> BoxFuture<'a, Result<Vec<u8>, AttemptError>> {
        let answer = self.0.lock().unwrap().clone();
        Box::pin(async move {
            sleep(Duration::from_millis(5)).await;
            answer.map(|text| text.as_bytes().to_vec())
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
            ..BuildContext::standalone("test".parse().unwrap(), Telemetry::off())
        };
        let script = Arc::new(Script(Mutex::new(Ok("hello"))));
        let request = FetchRequest {
            url: URL.parse().unwrap(),
            accept: "*/*",
        };
        let read = |body: &[u8]| match body {
            b"garbage" => Err(AttemptError::new(FailureReason::Parse, "garbage")),
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

    async fn ask(&mut self, answer: Result<&'static str, AttemptError>) -> DocumentAnswer<String> {
        *self.script.0.lock().unwrap() = answer;
        // Longer than the ttl of the last answer.
        advance(Duration::from_secs(11)).await;
        self.document.ask(Trigger::Tick).await
    }

    async fn failure(&mut self, answer: Result<&'static str, AttemptError>) -> PartFailure {
        match self.ask(answer).await {
            DocumentAnswer::Nothing(failure) => failure,
            told => panic!("{told:?}"),
        }
    }

    fn endpoint(&self) -> Option<Arc<resilience::Endpoint>> {
        self.context.endpoints.find(&EndpointId::new("test", URL))
    }
}

#[tokio::test(start_paused = true)]
async fn every_failure_means_the_right_thing_to_the_guard_and_to_the_series() {
    let transport = Outcome::Transport(Transport::Other);
    let cases: [(AttemptError, Outcome, FailureReason); 15] = [
        (
            AttemptError::new(FailureReason::Refused, "x"),
            transport,
            FailureReason::Refused,
        ),
        (
            AttemptError::new(FailureReason::Reset, "x"),
            transport,
            FailureReason::Reset,
        ),
        (
            AttemptError::new(FailureReason::Dns, "x"),
            transport,
            FailureReason::Dns,
        ),
        (
            AttemptError::new(FailureReason::Tls, "x"),
            transport,
            FailureReason::Tls,
        ),
        (
            AttemptError::new(FailureReason::Timeout, "x"),
            Outcome::Timeout,
            FailureReason::Timeout,
        ),
        (
            AttemptError::new(FailureReason::Parse, "x"),
            Outcome::Malformed,
            FailureReason::Parse,
        ),
        (
            AttemptError::new(FailureReason::Limit, "x"),
            Outcome::TooLarge,
            FailureReason::Limit,
        ),
        (
            AttemptError::status(408, "x"),
            Outcome::Timeout,
            FailureReason::Status,
        ),
        (
            AttemptError::status(429, "x"),
            Outcome::Throttled,
            FailureReason::Status,
        ),
        (
            AttemptError::status(404, "x"),
            Outcome::ClientError,
            FailureReason::Status,
        ),
        (
            AttemptError::status(302, "x"),
            Outcome::ClientError,
            FailureReason::Status,
        ),
        (
            AttemptError::status(500, "x"),
            Outcome::ServerError,
            FailureReason::Status,
        ),
        (
            AttemptError::status(502, "x"),
            Outcome::Unavailable,
            FailureReason::Status,
        ),
        (
            AttemptError::status(504, "x"),
            Outcome::Unavailable,
            FailureReason::Status,
        ),
        (
            AttemptError {
                local: true,
                ..AttemptError::new(FailureReason::Limit, "x")
            },
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
    assert!(matches!(rig.ask(Ok("text")).await, DocumentAnswer::New(text) if text == "text"));
    assert!(matches!(
        rig.document.ask(Trigger::Tick).await,
        DocumentAnswer::Same
    ));
}

#[tokio::test(start_paused = true)]
async fn advice_keeps_everybody_away_and_a_rejection_says_what_came_before() {
    let mut rig = Rig::guarded();
    let throttled = AttemptError {
        retry_after: Some(Duration::from_secs(60)),
        ..AttemptError::status(429, "answered 429")
    };
    rig.failure(Err(throttled)).await;
    let rejected = rig.failure(Ok("hello")).await;
    assert_eq!(rejected.reason, FailureReason::Breaker);
    assert_eq!(
        rejected.message,
        "rejected by the circuit breaker (retry_after) after: answered 429"
    );
    let wake = rig.document.wake_at().unwrap() - Instant::now();
    assert!(
        (Duration::from_secs(45)..Duration::from_secs(60)).contains(&wake),
        "{wake:?}"
    );
    assert_eq!(rig.document.due(Trigger::Wake, Instant::now()), None);
    advance(wake).await;
    assert_eq!(
        rig.document.due(Trigger::Tick, Instant::now()),
        Some(Trigger::Wake)
    );
    assert!(matches!(rig.ask(Ok("hello")).await, DocumentAnswer::New(_)));
    assert_eq!(rig.document.wake_at(), None, "nothing is left to wait for");
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_is_registered_while_somebody_asks_for_it() {
    let mut rig = Rig::guarded();
    assert!(rig.endpoint().is_none());
    rig.ask(Ok("hello")).await;
    assert!(rig.endpoint().is_some());
    assert_eq!(
        rig.document.wake_at(),
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
    assert!(matches!(rig.ask(Ok("hello")).await, DocumentAnswer::New(_)));
    for _ in 0..10 {
        let failure = rig
            .failure(Err(AttemptError::new(FailureReason::Refused, "x")))
            .await;
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
    let refused = || Err(AttemptError::new(FailureReason::Refused, "x"));
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
    let due = guarded.document.wake_at().unwrap();
    assert!(due <= fetched + Duration::from_secs(301));
    assert!(guarded.document.ends(due));
    assert!(!guarded.document.ends(due), "once");
    assert_eq!(guarded.document.wake_at(), None);
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
        ) -> BoxFuture<'a, Result<Vec<u8>, AttemptError>> {
            Box::pin(async { Ok(vec![b'x'; self.0]) })
        }
    }
    let context = BuildContext::standalone("test".parse().unwrap(), Telemetry::off());
    for (size, elsewhere) in [(LARGE, false), (LARGE + 1, true)] {
        let request = FetchRequest {
            url: URL.parse().unwrap(),
            accept: "*/*",
        };
        let read = |_: &[u8]| Ok(std::thread::current().id());
        let mut document = Access::new(&context, Arc::new(Size(size))).document(request, read);
        let DocumentAnswer::New(reader) = document.ask(Trigger::Tick).await else {
            panic!("no answer")
        };
        assert_eq!(reader != std::thread::current().id(), elsewhere, "{size}");
    }
}
