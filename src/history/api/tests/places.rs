//! Who is answered when there are more requests than places.

use std::sync::mpsc;

use futures_util::FutureExt as _;
use tokio::time::{advance, sleep};

use super::super::answer::{AnswerData, ApiAnswer};
use super::*;

fn rejected(rig: &Rig, reason: &str) -> f64 {
    rig.own(&format!(
        "foghorn_query_rejected_total{{reason=\"{reason}\"}}"
    ))
}

fn in_flight(rig: &Rig, stage: &str) -> f64 {
    rig.own(&format!("foghorn_query_in_flight{{stage=\"{stage}\"}}"))
}

fn places_of(rig: &Rig, places: usize) -> QueryPlaces {
    QueryPlaces::new(places, &QueryMetrics::new(&rig.telemetry))
}

/// An answer of a few hundred pieces.
fn long() -> AnswerPieces {
    let texts = vec!["x".repeat(1_000); 20_000];
    AnswerPieces::new(ApiAnswer::new(AnswerData::Texts(texts)), false)
}

#[tokio::test(start_paused = true)]
async fn who_finds_no_place_waits_and_then_is_refused() {
    let rig = Rig::new();
    let places = places_of(&rig, 1);
    let deadline = || Instant::now() + Duration::from_secs(30);
    let held = places.take(deadline()).await.unwrap();
    let waiting = {
        let places = places.clone();
        let deadline = deadline();
        tokio::spawn(async move { places.take(deadline).await })
    };
    sleep(Duration::from_secs(20)).await;
    assert_eq!(
        (in_flight(&rig, "running"), in_flight(&rig, "waiting")),
        (1.0, 1.0)
    );
    drop(held);
    let held = waiting.await.unwrap().unwrap();
    assert_eq!(
        (in_flight(&rig, "running"), in_flight(&rig, "waiting")),
        (1.0, 0.0)
    );
    let begun = Instant::now();
    let refusal = places.take(deadline()).await.err().unwrap();
    assert_eq!(refusal.kind, RefusalKind::Timeout);
    assert_eq!(begun.elapsed().as_secs(), 30);
    assert_eq!(rejected(&rig, "no_place"), 1.0);
    drop(held);
    assert_eq!(in_flight(&rig, "running"), 0.0);
}

#[tokio::test]
async fn work_is_told_to_end_when_nobody_waits_and_keeps_its_place_until_then() {
    let rig = Rig::new();
    let places = places_of(&rig, 1);
    let deadline = Instant::now() + Duration::from_secs(3_600);
    let place = places.take(deadline).await.unwrap();
    let (begun, begins) = mpsc::channel();
    let (told, tells) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let work = move |watch: &Arc<super::super::places::QueryWatch>| {
        begun.send(()).unwrap();
        loop {
            if let Some(why) = watch.interruption() {
                told.send(why).unwrap();
                let _ = released.recv();
                return;
            }
            std::thread::yield_now();
        }
    };
    let running = {
        let places = places.clone();
        tokio::spawn(async move { places.run(place, deadline, work).await })
    };
    tokio::task::spawn_blocking(move || begins.recv())
        .await
        .unwrap()
        .unwrap();
    running.abort();
    let why = tokio::task::spawn_blocking(move || tells.recv())
        .await
        .unwrap();
    assert_eq!(why.unwrap(), crate::query::Interruption::Cancelled);
    assert_eq!(in_flight(&rig, "running"), 1.0);
    drop(release);
    // The place comes back from the thread.
    places.take(deadline).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_gives_its_place_back() {
    let rig = Rig::new();
    let places = places_of(&rig, 1);
    let metrics = QueryMetrics::new(&rig.telemetry);
    let deadline = || Instant::now() + Duration::from_secs(30);
    for taken in [0, 3] {
        let place = places.take(deadline()).await.unwrap();
        let answer = BegunAnswer::new(long());
        let mut body = body(answer, place, (&places, &metrics), deadline());
        for _ in 0..taken {
            body.frame().await.unwrap().unwrap();
        }
        sleep(Duration::from_secs(29)).await;
        assert_eq!(in_flight(&rig, "running"), 1.0);
        // Nobody asks for the next piece, and yet another gets the place.
        places.take(deadline()).await.unwrap();
        let mut ended = None;
        while let Some(frame) = body.frame().await {
            ended = Some(frame.map(drop).map_err(|error| error.kind()));
        }
        assert_eq!(ended, Some(Err(std::io::ErrorKind::TimedOut)));
    }
    assert_eq!(rejected(&rig, "slow_client"), 2.0);
    advance(Duration::from_secs(60)).await;
    assert_eq!(in_flight(&rig, "running"), 0.0);
}

#[tokio::test]
async fn an_answer_that_is_dropped_gives_its_place_back() {
    let rig = Rig::new();
    let places = places_of(&rig, 1);
    let metrics = QueryMetrics::new(&rig.telemetry);
    let deadline = Instant::now() + Duration::from_secs(3_600);
    let place = places.take(deadline).await.unwrap();
    let answer = BegunAnswer::new(long());
    let mut body = body(answer, place, (&places, &metrics), deadline);
    body.frame().await.unwrap().unwrap();
    body.frame().await.unwrap().unwrap();
    drop(body);
    places.take(deadline).await.unwrap();
    assert_eq!(rejected(&rig, "slow_client"), 0.0);
}

#[tokio::test]
async fn a_client_that_goes_away_is_counted() {
    let rig = Rig::with(settings());
    rig.gauge("up", &[], &[1.0]);
    let store = rig.windows.open("window", &WindowSettings::default());
    {
        // The query needs the store, so that it can't be done by the time of the poll.
        let _store = store.lock();
        let request = Request::get("/api/v1/query?query=up").body(Bytes::new());
        let answer = rig.ask(request.unwrap()).now_or_never();
        assert!(answer.is_none());
    }
    assert_eq!(rejected(&rig, "client_gone"), 1.0);
}
