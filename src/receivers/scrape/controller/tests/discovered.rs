//! Targets that come and go.

mod panics;
mod rig;
mod watching;

use std::collections::BTreeMap;

use self::rig::{Found, PROMETHEUS, seconds, target};
use super::*;
use crate::component::BuildContext;
use crate::log_capture::LogCapture;
use crate::receivers::scrape::http::Access;
use crate::receivers::scrape::testing::Series;
use crate::receivers::scrape::{Candidate, Discovery, PollPace, Reach, TargetSets};

#[tokio::test(start_paused = true)]
async fn a_target_has_its_own_pace_guard_and_series_from_when_it_is_found() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10), ("b", 20)]);
    let polled = rig.polled(seconds(200)).await;
    assert!((19..=21).contains(&polled["a"]), "{polled:?}");
    assert!((9..=11).contains(&polled["b"]), "{polled:?}");
    assert_eq!(
        rig.guarded(),
        ["http://a:9100/metrics", "http://b:9100/metrics"]
    );
    assert_eq!(rig.context.endpoints.pollers().count(), 2);
    let last = rig.batches().pop().unwrap();
    let names: Vec<&str> = last.keys().map(String::as_str).collect();
    assert_eq!(names[0], "answer");
    assert_eq!(names[1..], PROMETHEUS);
    assert_eq!(last["up{zone=\"z\"}"], 1.0);
    assert_eq!(last["scrape_samples_scraped{zone=\"z\"}"], 1.0);
    let reasons = rig.polls.lock().unwrap();
    assert!(reasons.iter().all(|poll| poll.2 == PollReason::Interval));
}

#[tokio::test(start_paused = true)]
async fn a_target_that_leaves_ends_all_its_series_once_at_its_next_tick() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10), ("b", 10)]);
    rig.polled(seconds(60)).await;
    let others = rig.polled(seconds(60)).await["b"];
    rig.find(&[("b", 10)]);
    rig.batches();
    let polled = rig.polled(seconds(60)).await;
    assert_eq!(polled, BTreeMap::from([("b", others)]), "undisturbed");
    let ended: Vec<Series> = rig
        .batches()
        .into_iter()
        .filter(|batch| batch["up{zone=\"z\"}"].is_nan())
        .collect();
    assert_eq!(ended.len(), 1, "once");
    assert_eq!(ended[0].len(), 6);
    assert!(ended[0].values().all(|value| value.is_nan()), "{ended:?}");
    assert_eq!(rig.guarded(), ["http://b:9100/metrics"]);
    assert_eq!(rig.context.endpoints.pollers().count(), 1);
    let health = rig.context.health.reports();
    assert_eq!(health.len(), 1, "{health:?}");
}

#[tokio::test(start_paused = true)]
async fn all_series_about_polls_end_with_a_target_whichever_they_are() {
    let mut rig = Found::new(10);
    rig.find(&[("own", 10)]);
    rig.polled(seconds(60)).await;
    let last = rig.batches().pop().unwrap();
    assert!(last.contains_key("scrape_failures_total{zone=\"z\",reason=\"dns\"}"));
    rig.find(&[]);
    sleep(seconds(15)).await;
    let ended = rig.batches().pop().unwrap();
    assert!(ended.values().all(|value| value.is_nan()));
    assert!(ended.keys().eq(last.keys()), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_returns_before_its_next_tick_goes_on_as_if_it_had_never_been_away() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 60)]);
    rig.polled(seconds(200)).await;
    rig.batches();
    let ticks = |rig: &Found| rig.polls.lock().unwrap().last().unwrap().1;
    let before = ticks(&rig);
    sleep(seconds(60) - (Instant::now() - before) + seconds(20)).await;
    rig.find(&[]);
    sleep(seconds(10)).await;
    rig.find(&[("a", 60)]);
    sleep(seconds(60)).await;
    let after = ticks(&rig);
    assert_eq!((after - before).as_secs() % 60, 0, "on its phase");
    let all = rig.batches().into_iter();
    assert!(
        all.flatten().all(|(_, value)| !value.is_nan()),
        "nothing ended"
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_changes_ends_at_once_and_begins_anew_with_a_guard() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 600)]);
    rig.polled(seconds(700)).await;
    rig.batches();
    rig.find(&[("a", 10)]);
    let polled = rig.polled(seconds(62)).await;
    assert!((6..=8).contains(&polled["a"]), "{polled:?}");
    let batches = rig.batches();
    assert!(batches[0].values().all(|value| value.is_nan()));
    assert!(batches[1..].iter().all(|batch| batch["answer"] == 42.0));
    assert_eq!(rig.guarded(), ["http://a:9100/metrics"]);
    assert_eq!(rig.context.endpoints.registration_failures(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_target_delays_no_other() {
    let rig = Found::new(10);
    rig.find(&[("hangs", 10), ("a", 10)]);
    let polled = rig.polled(seconds(100)).await;
    assert!((9..=11).contains(&polled["a"]), "{polled:?}");
    assert!(polled["hangs"] >= 5, "it has its timeouts: {polled:?}");
    let failures = "foghorn_scrape_failures_total";
    assert!(rig.own(failures, Some("timeout")).unwrap() >= 1.0);
}

#[tokio::test(start_paused = true)]
async fn beyond_the_bound_targets_are_left_out_and_told_until_there_is_room() {
    let (log, _guard) = LogCapture::begin();
    let rig = Found::new(2);
    rig.find_in("g", &[("a", 10), ("b", 10)]);
    sleep(seconds(20)).await;
    rig.find_in("h", &[("c", 10), ("d", 10)]);
    let polled = rig.polled(seconds(60)).await;
    assert_eq!(polled.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
    let message = "more targets were found than may be polled: the rest is left out";
    assert_eq!(log.count(message), 1, "{:?}", log.lines());
    let left_out = "foghorn_scrape_targets_rejected_total";
    assert_eq!(rig.own(left_out, Some("limit")), Some(2.0));
    assert_eq!(rig.own("foghorn_scrape_targets", None), Some(2.0));
    // The other group isn't told again: it is remembered.
    rig.find_in("g", &[("a", 10)]);
    sleep(seconds(15)).await;
    let polled = rig.polled(seconds(60)).await;
    assert_eq!(polled.keys().copied().collect::<Vec<_>>(), ["a", "c"]);
}

#[tokio::test(start_paused = true)]
async fn tombstones_for_which_there_is_no_room_come_when_there_is() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10)]);
    rig.polled(seconds(30)).await;
    rig.batches();
    rig.intake.refuse(Some("memory_limit"));
    rig.find(&[]);
    sleep(seconds(15)).await;
    assert_eq!(rig.batches(), Vec::<Series>::new());
    rig.intake.refuse(None);
    sleep(seconds(2)).await;
    let [ended] = &rig.batches()[..] else {
        panic!("one batch")
    };
    assert!(ended.values().all(|value| value.is_nan()));
}

#[tokio::test(start_paused = true)]
async fn stopping_ends_no_series() {
    let mut rig = Found::new(10);
    rig.find(&[("a", 10), ("hangs", 10)]);
    rig.polled(seconds(60)).await;
    rig.find(&[("hangs", 10)]);
    rig.batches();
    let begun = Instant::now();
    rig.stop.cancel();
    (&mut rig.task).await.unwrap();
    assert_eq!(Instant::now(), begun, "at once");
    assert_eq!(rig.batches(), Vec::<Series>::new());
}

#[tokio::test]
async fn what_waits_for_a_poll_is_small() {
    let rig = Found::new(10);
    let controller = Controller::new(&rig.context, Arc::clone(&rig.intake) as _, Vec::new());
    let target = target(("a", 10), &rig.polls, &rig.access);
    let poller = Poller::new(&controller.context, target, Arc::default(), Now::read());
    let (mut poller, stop) = (Box::new(poller), CancellationToken::new());
    let waiting = poller.run(&stop);
    assert!(size_of_val(&waiting) <= 1024, "{}", size_of_val(&waiting));
}
