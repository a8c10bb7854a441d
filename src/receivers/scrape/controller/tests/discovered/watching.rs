//! Targets that have news between their ticks.

use super::rig::{Polls, seconds};
use super::*;

/// Wishes for a poll when it is told to.
struct Watching {
    news: Arc<Mutex<Option<Instant>>>,
    polls: Polls,
}

impl Scraper for Watching {
    fn scrape<'a>(&'a mut self, poll: Poll, _: &'a mut MetricsWriter) -> BoxFuture<'a, Scrape> {
        let polled = ("watching", poll.now.monotonic, poll.reason);
        self.polls.lock().unwrap().push(polled);
        *self.news.lock().unwrap() = None;
        Box::pin(std::future::ready(Scrape::whole(Ok(()))))
    }

    fn wish(&self) -> Option<NextPoll> {
        let at = (*self.news.lock().unwrap())?;
        Some(NextPoll {
            at,
            reason: PollReason::Demand,
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_scraper_with_news_is_polled_at_once_after_a_nudge() {
    let (news, polls) = (Arc::default(), Polls::default());
    let nudge = Nudge::default();
    let scraper = Watching {
        news: Arc::clone(&news),
        polls: Arc::clone(&polls),
    };
    let target = Target {
        endpoint: "http://localhost:1".into(),
        identity: Arc::default(),
        reach: Reach::Remote,
        pace: PollSettings::default().pace(),
        series: ScrapeSeries::Own,
        advice: "".into(),
        nudge: nudge.clone(),
        scraper: Box::new(scraper),
    };
    let intake = Arc::new(RecordingIntake::default());
    let receiver = controller("watching", intake, Health::new(), vec![target]);
    let stop = CancellationToken::new();
    let task = tokio::spawn(receiver.run(stop.clone()));
    sleep(seconds(40)).await;
    let before = polls.lock().unwrap().len();
    let now = Instant::now();
    *news.lock().unwrap() = Some(now);
    sleep(Duration::from_millis(10)).await;
    assert_eq!(
        polls.lock().unwrap().len(),
        before,
        "nobody looks by itself"
    );
    nudge.ask_again();
    sleep(Duration::from_millis(1)).await;
    let last = *polls.lock().unwrap().last().unwrap();
    assert_eq!(last.2, PollReason::Demand);
    assert_eq!(last.1 - now, Duration::from_millis(10));
    stop.cancel();
    task.await.unwrap();
}
