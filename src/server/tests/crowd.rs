//! More connections than the limit, in each state.

use super::*;

/// A connection that has been served once and stays open.
async fn idle(rig: &Rig) -> TcpStream {
    let mut stream = rig.connect().await;
    let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    one_answer(&mut stream).await;
    stream
}

/// A client that begins to read an answer of 16 MiB and stops.
async fn slow_reader(rig: &Rig) -> TcpStream {
    let mut stream = rig.connect().await;
    let request = b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
    let mut start = [0; 1024];
    stream.read_exact(&mut start).await.unwrap();
    stream
}

/// Opens more connections than the limit, all in one state; probes must be answered nevertheless.
async fn crowded<F: Future<Output = TcpStream>>(connect: impl Fn() -> F, rig: &Rig) {
    let limit = u64::try_from(LIMITS.connections).unwrap();
    let mut held = Vec::new();
    for _ in 0..limit + 20 {
        held.push(connect().await);
    }
    for (path, answer) in [("/livez", "alive\n"), ("/readyz", "ready\n")] {
        assert!(rig.get(path).await.ends_with(answer), "{path}");
    }
    // The connections that were opened first; the probes found room, or displaced one each.
    assert!((20..=22).contains(&rig.rejected("displaced")));
    assert_eq!(rig.rejected("connection_limit"), 0);
    // Ends with a reset or the end of the stream, after the bytes that had been sent.
    rest(&mut held[0]).await;
}

#[tokio::test(start_paused = true)]
async fn idle_connections_keep_no_probe_out() {
    let _stopped = stop_the_clock();
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    rig.health.enter(Phase::Running);
    crowded(|| idle(&rig), &rig).await;
}

#[tokio::test(start_paused = true)]
async fn strangers_that_say_nothing_keep_no_probe_out() {
    let _stopped = stop_the_clock();
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    rig.health.enter(Phase::Running);
    crowded(|| rig.connect(), &rig).await;
}

#[tokio::test(start_paused = true)]
async fn slow_senders_keep_no_probe_out() {
    let _stopped = stop_the_clock();
    let rig = Rig::with(ListenerConfig::ephemeral(), vec![bodies::echo()]).await;
    rig.health.enter(Phase::Running);
    let begin = || async {
        let mut stream = rig.connect().await;
        let head = b"POST /echo HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
        stream.write_all(head).await.unwrap();
        stream
    };
    crowded(begin, &rig).await;
}

#[tokio::test(start_paused = true)]
async fn slow_readers_keep_no_probe_out() {
    let _stopped = stop_the_clock();
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    rig.health.enter(Phase::Running);
    crowded(|| slow_reader(&rig), &rig).await;
}

#[tokio::test(start_paused = true)]
async fn who_takes_an_answer_stays_while_others_idle() {
    let _stopped = stop_the_clock();
    let rig = Rig::start(ListenerConfig::ephemeral()).await;
    let mut reader = slow_reader(&rig).await;
    let mut held = Vec::new();
    for _ in 0..LIMITS.connections + 20 {
        held.push(idle(&rig).await);
    }
    let mut answer = vec![0; 15 << 20];
    reader.read_exact(&mut answer).await.unwrap();
}
