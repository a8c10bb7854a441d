//! Requests that aren't valid HTTP.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A fragment of a request, or random bytes.
fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&str] = &[
        "GET ",
        "HEAD ",
        "POST ",
        "/livez",
        "/health?",
        " HTTP/1.1\r\n",
        " HTTP/1.0\r\n",
        " HTTP/9.9\r\n",
        "host: x\r\n",
        "content-length: 5\r\n",
        "content-length: -1\r\n",
        "transfer-encoding: chunked\r\n",
        "expect: 100-continue\r\n",
        "connection: upgrade\r\nupgrade: h2c\r\n",
        "authorization: Bearer \u{0}\r\n",
        "\r\n",
        "\n",
        "0\r\n\r\n",
        "ffffffffffffffff\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}",
    ];
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    prop_oneof![
        6 => prop::sample::select(words),
        1 => vec(any::<u8>(), 0..200),
        1 => (any::<u8>(), 0..20_000_usize).prop_map(|(byte, count)| vec![byte; count]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_bytes_take_the_server_down(fragments in vec(fragment(), 0..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let answer = runtime.block_on(async {
            let rig = Rig::start(ListenerConfig::ephemeral()).await;
            let mut stream = rig.connect().await;
            // The server may close the connection at any time.
            let _ = stream.write_all(&fragments.concat()).await;
            let _ = stream.shutdown().await;
            rest(&mut stream).await;
            let answer = rig.get("/livez").await;
            rig.stop.cancel();
            rig.task.await.unwrap();
            answer
        });
        prop_assert!(answer.ends_with("alive\n"), "{}", answer);
    }
}
