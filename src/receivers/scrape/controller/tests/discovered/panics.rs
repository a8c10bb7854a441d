//! Pollers that panic, and discoveries that are ended from outside.

use super::rig::{Found, PROMETHEUS, seconds};
use super::*;

#[tokio::test(start_paused = true)]
async fn a_panic_ends_one_poller_and_all_its_series_until_its_target_is_gone() {
    let mut rig = Found::new(10);
    rig.find(&[("panics", 10), ("a", 10)]);
    let polled = rig.polled(seconds(100)).await;
    assert_eq!(polled["panics"], 2);
    assert!(polled["a"] >= 9, "{polled:?}");
    let dead = "poller of http://panics:9100/metrics in receiver finder";
    assert_eq!(rig.context.health.dead_tasks(), [dead]);
    assert_eq!(rig.context.health.reports().len(), 1, "that of the other");
    assert_eq!(rig.guarded(), ["http://a:9100/metrics"]);
    let ended: Vec<Series> = rig
        .batches()
        .into_iter()
        .filter(|batch| batch["up{zone=\"z\"}"].is_nan())
        .collect();
    let [ended] = &ended[..] else {
        panic!("it ends once: {ended:?}")
    };
    assert!(ended["answer"].is_nan() && ended.len() == 6, "{ended:?}");
    // It isn't begun again while it is found.
    rig.find_in("h", &[("b", 10)]);
    let polled = rig.polled(seconds(100)).await;
    assert_eq!(polled.keys().copied().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(rig.context.health.dead_tasks(), [dead]);
    rig.find(&[("a", 10)]);
    rig.polled(seconds(20)).await;
    assert_eq!(rig.context.health.dead_tasks(), [""; 0], "nobody misses it");
}

#[tokio::test(start_paused = true)]
async fn a_scraper_that_panics_at_its_end_too_leaves_no_series_about_its_polls() {
    let mut rig = Found::new(10);
    rig.find(&[("panics twice", 10)]);
    rig.polled(seconds(100)).await;
    assert_eq!(rig.context.health.dead_tasks().len(), 1);
    assert_eq!(rig.guarded(), [""; 0]);
    let ended = rig.batches().pop().unwrap();
    let names: Vec<&str> = ended.keys().map(String::as_str).collect();
    assert_eq!(names, PROMETHEUS);
    assert!(ended.values().all(|value| value.is_nan()));
}

#[tokio::test(start_paused = true)]
async fn a_discovery_ends_with_its_receiver_however_that_ends() {
    struct Endless(Arc<()>);
    impl Discovery for Endless {
        fn run(self: Box<Self>, _: TargetSets, _: CancellationToken) -> BoxFuture<'static, ()> {
            Box::pin(async move {
                let _held = self.0;
                std::future::pending().await
            })
        }
    }
    let rig = Found::new(10);
    let held = Arc::new(());
    let controller = Controller::new(&rig.context, Arc::clone(&rig.intake) as _, Vec::new());
    let discovery = Box::new(Endless(Arc::clone(&held)));
    let receiver = Box::new(controller.discovering(discovery, 10));
    let task = tokio::spawn(receiver.run(CancellationToken::new()));
    sleep(seconds(1)).await;
    task.abort();
    sleep(seconds(1)).await;
    assert_eq!(Arc::strong_count(&held), 1);
}
