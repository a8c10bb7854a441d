use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use futures_util::future::join_all;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// How long a test waits for a thread that works without delay.
const SOON: Duration = Duration::from_secs(60);

/// A name server that answers when the test says so, and records the questions.
struct Server {
    resolver: Resolver,
    asked: Arc<Mutex<Vec<String>>>,
    /// Sends one answer; after it is dropped no more answers come.
    answers: mpsc::Sender<()>,
    most_at_once: Arc<AtomicUsize>,
}

fn server() -> Server {
    let (answers, told) = mpsc::channel();
    let told = Mutex::new(told);
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let (at_once, most_at_once) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
    let (seen, most) = (Arc::clone(&asked), Arc::clone(&most_at_once));
    let resolver = Resolver::with(move |name| {
        seen.lock().unwrap().push(name.to_owned());
        let now = at_once.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        let told = told.lock().unwrap().recv();
        at_once.fetch_sub(1, Ordering::SeqCst);
        match told {
            Ok(()) if name == "nowhere" => Err(io::Error::other("no such name")),
            Ok(()) => Ok(vec![ADDRESS, ADDRESS]),
            Err(_) => Err(io::Error::other("the end")),
        }
    });
    Server {
        resolver,
        asked,
        answers,
        most_at_once,
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_name_server_hangs_eight_threads_and_every_caller_for_his_own_time() {
    let server = server();
    let limit = Duration::from_secs(4);
    let begun = Instant::now();
    let asking = (0..100).map(|source| {
        let resolver = server.resolver.clone();
        async move { resolver.resolve(&format!("source-{source}"), limit).await }
    });
    let answers = join_all(asking).await;
    assert_eq!(answers.len(), 100);
    for answer in answers {
        assert_eq!(answer, Err(LookupError::Silent(limit)));
    }
    assert_eq!(begun.elapsed(), limit);
    assert_eq!(server.resolver.threads(), 8);
    // Another lookup in the same outage fails in the same way.
    let again = server.resolver.resolve("source-99", limit).await;
    assert_eq!(again, Err(LookupError::Silent(limit)));
    assert_eq!(server.resolver.threads(), 8);
    assert!(server.most_at_once.load(Ordering::SeqCst) <= 8);
    // Addresses and `localhost` need no name server.
    let own = server.resolver.resolve("192.0.2.1", Duration::ZERO).await;
    assert_eq!(own.unwrap()[..], [ADDRESS]);
    let local = server.resolver.resolve("localhost", Duration::ZERO).await;
    assert!(local.unwrap().iter().all(IpAddr::is_loopback));
}

#[tokio::test]
async fn a_name_is_looked_up_once_whoever_asks_for_it() {
    let server = server();
    let asking = (0..50).map(|_| {
        let resolver = server.resolver.clone();
        tokio::spawn(async move { resolver.resolve("collector", SOON).await })
    });
    let asking: Vec<_> = asking.collect();
    while server.resolver.0.lock().receivers() < 50 {
        tokio::task::yield_now().await;
    }
    server.answers.send(()).unwrap();
    for answer in join_all(asking).await {
        assert_eq!(answer.unwrap().unwrap()[..], [ADDRESS], "each address once");
    }
    assert_eq!(*server.asked.lock().unwrap(), ["collector"]);
    server.answers.send(()).unwrap();
    let next = server.resolver.resolve("collector", SOON).await;
    assert!(next.is_ok());
    assert_eq!(
        server.asked.lock().unwrap().len(),
        2,
        "asked anew each time"
    );
}

#[tokio::test]
async fn an_answer_that_came_too_late_is_for_the_next_who_asks() {
    let server = server();
    let limit = Duration::ZERO;
    while server.asked.lock().unwrap().is_empty() {
        let hasty = server.resolver.resolve("collector", limit).await;
        assert_eq!(hasty, Err(LookupError::Silent(limit)));
    }
    server.answers.send(()).unwrap();
    while server.resolver.0.lock().late.is_empty() {
        tokio::task::yield_now().await;
    }
    let next = server.resolver.resolve("collector", limit).await;
    assert_eq!(next.unwrap()[..], [ADDRESS]);
    assert_eq!(server.asked.lock().unwrap().len(), 1);
    assert!(server.resolver.0.lock().late.is_empty(), "once");
}

#[tokio::test]
async fn what_the_system_says_is_what_is_told() {
    let server = server();
    server.answers.send(()).unwrap();
    let answer = server.resolver.resolve("nowhere", SOON).await;
    assert_eq!(
        answer.unwrap_err().to_string(),
        "no address for the host name: no such name"
    );
}

#[tokio::test(start_paused = true)]
async fn names_that_wait_are_bounded_and_forgotten_with_those_who_asked() {
    let server = server();
    // Every thread hangs, so that none takes a name of those that follow.
    for source in 0..THREADS {
        let resolver = server.resolver.clone();
        tokio::spawn(async move { resolver.resolve(&format!("hanging-{source}"), SOON).await });
    }
    while server.asked.lock().unwrap().len() < THREADS {
        tokio::task::yield_now().await;
    }
    let limit = Duration::from_secs(1);
    let full = (0..MAX_WAITING + 1).map(|source| {
        let resolver = server.resolver.clone();
        async move { resolver.resolve(&format!("source-{source}"), limit).await }
    });
    let answers = join_all(full).await;
    let busy = answers
        .iter()
        .filter(|answer| **answer == Err(LookupError::Busy));
    assert_eq!(busy.count(), 1);
    // No caller waits for those any more, so there is room.
    let next = server.resolver.resolve("another", limit).await;
    assert_eq!(next, Err(LookupError::Silent(limit)));
    assert_eq!(server.resolver.0.lock().under_way.len(), THREADS + 1);
}

#[tokio::test]
async fn lookups_that_panic_leave_their_threads_to_the_names_that_wait() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    let resolver = Resolver::with(move |name| {
        // Waits until the sender is dropped.
        let _ = gate.lock().unwrap().recv();
        assert_eq!(name, "sound", "the lookup of this name panics");
        Ok(vec![ADDRESS])
    });
    let ask = |name: String| {
        let resolver = resolver.clone();
        tokio::spawn(async move { resolver.resolve(&name, SOON).await })
    };
    let broken: Vec<_> = (0..THREADS).map(|n| ask(format!("broken-{n}"))).collect();
    while resolver.threads() < THREADS || !resolver.0.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    let sound = ask("sound".to_owned());
    while resolver.0.lock().waiting.is_empty() {
        tokio::task::yield_now().await;
    }
    drop(release);
    assert_eq!(sound.await.unwrap().unwrap()[..], [ADDRESS]);
    for lookup in broken {
        assert_eq!(lookup.await.unwrap(), Err(lost()));
    }
}

impl Lookups {
    fn receivers(&self) -> usize {
        let lookups = self.under_way.values();
        lookups.map(|lookup| lookup.answer.receiver_count()).sum()
    }
}
