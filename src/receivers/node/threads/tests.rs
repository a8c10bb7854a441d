use std::sync::mpsc;

use tokio::task::yield_now;
use tokio::time::advance;

use super::*;

/// Waits for the next answer. The paused clock doesn't move while a read is running that doesn't
/// hang.
async fn next(inquiry: &mut ReadBatch<u32>) -> Option<(String, ReadOutcome<u32>)> {
    let threads = Arc::clone(&inquiry.threads);
    let told = inquiry.next();
    tokio::pin!(told);
    loop {
        // Checked before and after looking for an answer: no answer is there, and none will come.
        let only_hangs = || threads.only(|what| what.starts_with("hangs"));
        let quiet = only_hangs();
        tokio::select! {
            biased;
            told = &mut told => return told.map(|(what, answer)| (what.to_string(), answer)),
            () = yield_now() => {}
        }
        if quiet && only_hangs() {
            advance(PATIENCE).await;
        }
    }
}

fn inquiry(threads: &Arc<BlockingThreads>, outstanding: &Outstanding) -> ReadBatch<u32> {
    let deadline = Instant::now() + Duration::from_secs(5);
    ReadBatch::new(threads, outstanding, deadline)
}

#[tokio::test(start_paused = true)]
async fn one_thread_does_all_that_does_not_hang() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    for _ in 0..3 {
        let mut inquiry = inquiry(&threads, &outstanding);
        for number in 0..20 {
            inquiry.ask(ReadKind::File, &format!("{number:02}"), move || number);
        }
        for number in 0..20 {
            let expected = (format!("{number:02}"), ReadOutcome::Told(number));
            assert_eq!(next(&mut inquiry).await, Some(expected), "in turn");
        }
        assert_eq!(next(&mut inquiry).await, None);
        assert_eq!(threads.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_holds_up_no_other_and_is_not_asked_again_until_it_is_back() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    let (release, wait) = mpsc::channel::<()>();
    let mut first = inquiry(&threads, &outstanding);
    first.ask(ReadKind::File, "hangs", move || {
        let _ = wait.recv();
        1
    });
    first.ask(ReadKind::File, "b", || 2);
    let begun = Instant::now();
    assert_eq!(
        next(&mut first).await,
        Some(("b".into(), ReadOutcome::Told(2)))
    );
    assert!(begun.elapsed() <= 2 * PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(
        next(&mut first).await,
        Some(("hangs".into(), ReadOutcome::Late))
    );
    assert_eq!(begun.elapsed().as_secs(), 5, "its time");
    for _ in 0..3 {
        let mut again = inquiry(&threads, &outstanding);
        let begun = Instant::now();
        again.ask(ReadKind::File, "b", || 2);
        again.ask(ReadKind::File, "hangs", || 3);
        assert_eq!(
            next(&mut again).await,
            Some(("hangs".into(), ReadOutcome::Late))
        );
        assert_eq!(
            next(&mut again).await,
            Some(("b".into(), ReadOutcome::Told(2)))
        );
        assert_eq!(begun.elapsed(), Duration::ZERO);
        assert_eq!(threads.count(), 2);
    }
    drop(release);
    while !lock(&outstanding).is_empty() {
        yield_now().await;
    }
    let mut again = inquiry(&threads, &outstanding);
    again.ask(ReadKind::File, "hangs", || 3);
    // It no longer hangs, so the clock doesn't move while it runs.
    let told = again.next();
    tokio::pin!(told);
    let told = loop {
        tokio::select! {
            biased;
            told = &mut told => break told,
            () = yield_now() => {}
        }
    };
    assert_eq!(told, Some(("hangs".into(), ReadOutcome::Told(3))));
}

#[tokio::test(start_paused = true)]
async fn threads_are_bounded_and_each_kind_hangs_for_itself() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    let (release, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let mut inquiry = inquiry(&threads, &outstanding);
    for number in 0..100 {
        let wait = Arc::clone(&wait);
        inquiry.ask(
            ReadKind::Network,
            &format!("hangs {number:03}"),
            move || {
                let _ = lock(&wait).recv();
                number
            },
        );
    }
    inquiry.ask(ReadKind::File, "file", || 7);
    inquiry.ask(ReadKind::Disk, "disk", || 8);
    assert_eq!(
        next(&mut inquiry).await,
        Some(("file".into(), ReadOutcome::Told(7)))
    );
    assert_eq!(
        next(&mut inquiry).await,
        Some(("disk".into(), ReadOutcome::Told(8)))
    );
    let mut late = 0;
    while let Some((_, answer)) = next(&mut inquiry).await {
        late += usize::from(answer == ReadOutcome::Late);
        assert_ne!(answer, ReadOutcome::Told(0));
    }
    assert_eq!(late, LIMITS[ReadKind::Network as usize]);
    assert_eq!(threads.count(), late + 1, "and one that goes on");
    drop(release);
}
