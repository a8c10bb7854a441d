use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use super::*;

/// A quick read, or one that takes as long as it wants.
fn read(
    kind: ReadKind,
    what: &str,
    read: impl FnOnce() -> u32 + Send + 'static,
) -> BlockingRead<u32> {
    let read = || (read(), Vec::new());
    reading_on(kind, what, read)
}

/// A read after which others are requested.
fn reading_on(
    kind: ReadKind,
    what: &str,
    read: impl FnOnce() -> (u32, Vec<BlockingRead<u32>>) + Send + 'static,
) -> BlockingRead<u32> {
    BlockingRead {
        kind,
        what: what.to_owned(),
        part: what.to_owned(),
        read: Box::new(read),
    }
}

/// Waits for the next answer. The paused clock doesn't move while a read is running that doesn't
/// hang.
async fn next(batch: &mut ReadBatch<u32>) -> Option<(String, ReadOutcome<u32>)> {
    let threads = batch.threads();
    let told = batch.next();
    tokio::pin!(told);
    loop {
        // Checked before and after looking for an answer: no answer is there, and none will come.
        let only_hangs = || threads.only(|what| what.starts_with("hangs"));
        let quiet = only_hangs();
        tokio::select! {
            biased;
            told = &mut told => return told,
            () = yield_now() => {}
        }
        if quiet && only_hangs() {
            advance(PATIENCE).await;
        }
    }
}

fn batch(
    threads: &Arc<BlockingThreads>,
    outstanding: &Outstanding,
    reads: Vec<BlockingRead<u32>>,
) -> ReadBatch<u32> {
    let deadline = Instant::now() + Duration::from_secs(5);
    ReadBatch::new(threads, outstanding, deadline, reads)
}

#[tokio::test(start_paused = true)]
async fn one_thread_does_all_that_does_not_hang() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    for _ in 0..3 {
        let reads = (0..20)
            .map(|number| read(ReadKind::File, &format!("{number:02}"), move || number))
            .collect();
        let mut batch = batch(&threads, &outstanding, reads);
        for number in 0..20 {
            let expected = (format!("{number:02}"), ReadOutcome::Told(number));
            assert_eq!(next(&mut batch).await, Some(expected), "in turn");
        }
        assert_eq!(next(&mut batch).await, None);
        assert_eq!(threads.count(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_hangs_holds_up_no_other_and_is_not_asked_again_until_it_is_back() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    let (release, wait) = mpsc::channel::<()>();
    let hangs = read(ReadKind::File, "hangs", move || {
        let _ = wait.recv();
        1
    });
    let reads = vec![hangs, read(ReadKind::File, "b", || 2)];
    let mut first = batch(&threads, &outstanding, reads);
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
        let begun = Instant::now();
        let reads = vec![
            read(ReadKind::File, "b", || 2),
            read(ReadKind::File, "hangs", || 3),
        ];
        let mut again = batch(&threads, &outstanding, reads);
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
    let reads = vec![read(ReadKind::File, "hangs", || 3)];
    let mut again = batch(&threads, &outstanding, reads);
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
    let mut reads: Vec<_> = (0..100)
        .map(|number| {
            let wait = Arc::clone(&wait);
            read(
                ReadKind::Network,
                &format!("hangs {number:03}"),
                move || {
                    let _ = lock(&wait).recv();
                    number
                },
            )
        })
        .collect();
    reads.push(read(ReadKind::File, "file", || 7));
    reads.push(read(ReadKind::Disk, "disk", || 8));
    let mut batch = batch(&threads, &outstanding, reads);
    assert_eq!(
        next(&mut batch).await,
        Some(("file".into(), ReadOutcome::Told(7)))
    );
    assert_eq!(
        next(&mut batch).await,
        Some(("disk".into(), ReadOutcome::Told(8)))
    );
    let mut late = 0;
    while let Some((_, answer)) = next(&mut batch).await {
        late += usize::from(answer == ReadOutcome::Late);
        assert_ne!(answer, ReadOutcome::Told(0));
    }
    assert_eq!(late, LIMITS[ReadKind::Network as usize]);
    assert_eq!(threads.count(), late + 1, "and one that goes on");
    drop(release);
}

/// Counts how often a task is woken.
#[derive(Default)]
struct WakeCount(AtomicUsize);

impl Wake for WakeCount {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_batch_is_woken_once_when_all_of_it_was_read() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    let (release, wait) = mpsc::channel::<()>();
    let mut reads: Vec<_> = (1..20)
        .map(|number| read(ReadKind::File, &number.to_string(), move || number))
        .collect();
    // What the list names is read after all others.
    let last = read(ReadKind::Disk, "disk", move || {
        let _ = wait.recv();
        21
    });
    let (begin, begun) = mpsc::channel::<()>();
    let list = reading_on(ReadKind::File, "list", move || {
        let _ = begun.recv();
        (20, vec![last])
    });
    reads.insert(0, list);
    let mut batch = batch(&threads, &outstanding, reads);
    let wakes = Arc::new(WakeCount::default());
    let waker = Waker::from(Arc::clone(&wakes));
    let mut context = Context::from_waker(&waker);
    let mut found = Vec::new();
    {
        let mut ended = pin!(batch.next());
        assert!(ended.as_mut().poll(&mut context).is_pending());
        drop(begin);
        while lock(&outstanding).len() > 1 {
            std::thread::yield_now();
        }
        assert_eq!(wakes.0.load(Ordering::SeqCst), 0, "20 of 21 are read");
        drop(release);
        while wakes.0.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        if let Poll::Ready(Some((_, ReadOutcome::Told(number)))) = ended.poll(&mut context) {
            found.push(number);
        }
    }
    while let Poll::Ready(Some((_, ReadOutcome::Told(number)))) =
        pin!(batch.next()).poll(&mut context)
    {
        found.push(number);
    }
    found.sort_unstable();
    assert_eq!(found, Vec::from_iter(1..=21));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_panics_fails_alone_and_at_once() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    let reads = vec![
        read(ReadKind::File, "a", || panic!("broken")),
        read(ReadKind::File, "b", || 2),
    ];
    let mut batch = batch(&threads, &outstanding, reads);
    let begun = Instant::now();
    let mut ended = Vec::new();
    while let Some(one) = next(&mut batch).await {
        ended.push(one);
    }
    let expected = [
        ("a".to_owned(), ReadOutcome::Late),
        ("b".to_owned(), ReadOutcome::Told(2)),
    ];
    assert_eq!(ended, expected);
    assert!(begun.elapsed() <= 2 * PATIENCE, "{:?}", begun.elapsed());
    assert!(lock(&outstanding).is_empty());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_on_after_the_deadline() {
    let (threads, outstanding) = (Arc::default(), Outstanding::default());
    let (release, wait) = mpsc::channel::<()>();
    let hangs = reading_on(ReadKind::File, "hangs", move || {
        let _ = wait.recv();
        (1, vec![read(ReadKind::Disk, "disk", || 2)])
    });
    let mut batch = batch(&threads, &outstanding, vec![hangs]);
    let expected = Some(("hangs".to_owned(), ReadOutcome::Late));
    assert_eq!(next(&mut batch).await, expected);
    drop(release);
    while !lock(&outstanding).is_empty() {
        yield_now().await;
    }
    assert_eq!(next(&mut batch).await, None);
}
