use std::cell::Cell;
use std::io::Write as _;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::task::{LocalSet, spawn_local, yield_now};

use super::*;
use crate::component::Refusal;
use crate::pdata::Batch;

const MIB: usize = 1024 * 1024;
const PACKED: [ContentEncoding; 2] = [ContentEncoding::Gzip, ContentEncoding::Zstd];

/// An intake that gives room up to a bound, and counts what it gave.
struct Counting {
    given: Arc<AtomicU64>,
    bound: u64,
}

impl Admission for Counting {
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        if self.given.load(Ordering::Relaxed) + bytes > self.bound {
            return Err(Refusal {
                reason: "memory_limit",
                retry_after: Some(Duration::from_secs(1)),
            });
        }
        self.given.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn accept(self: Box<Self>, _: Batch) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// A received body, and how much more room it may be given.
fn received(
    plain: &[u8],
    compression: ContentEncoding,
    bound: u64,
) -> (ReceivedBody, Arc<AtomicU64>) {
    let bytes = match compression {
        ContentEncoding::None => plain.to_vec(),
        ContentEncoding::Gzip => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        ContentEncoding::Zstd => zstd::encode_all(plain, 1).unwrap(),
    };
    let given = Arc::new(AtomicU64::new(0));
    let admission = Box::new(Counting {
        given: Arc::clone(&given),
        bound,
    });
    let bytes = bytes.into();
    (ReceivedBody { bytes, admission }, given)
}

#[tokio::test]
async fn others_have_a_turn_with_every_portion_of_a_large_body() {
    let plain: Vec<u8> = (0..20 * MIB).map(|i| (i / 1000) as u8).collect();
    for compression in PACKED {
        let (received, _) = received(&plain, compression, u64::MAX);
        let turns = Rc::new(Cell::new(0));
        let local = LocalSet::new();
        let counted = Rc::clone(&turns);
        let inflated = local
            .run_until(async move {
                let other = spawn_local(async move {
                    loop {
                        counted.set(counted.get() + 1);
                        yield_now().await;
                    }
                });
                let lane = Lane::new(1);
                let inflated = inflate(received, compression, 20 * MIB as u64, &lane).await;
                other.abort();
                inflated
            })
            .await;
        assert!(inflated.unwrap().bytes == plain, "{compression:?}");
        let portions = 20 * MIB / PORTION;
        assert!(turns.get() >= portions, "{compression:?}: {}", turns.get());
    }
}

#[tokio::test]
async fn a_body_of_usual_size_is_inflated_on_the_worker() {
    // What goes to a lane without threads never begins.
    let lane = Lane::new(0);
    for compression in PACKED {
        for (size, at_once) in [
            (0, true),
            (STEP, true),
            (INLINE - 1, true),
            (INLINE + 1, false),
        ] {
            let plain = vec![7; size];
            let (received, _) = received(&plain, compression, u64::MAX);
            let inflated = inflate(received, compression, MIB as u64, &lane).now_or_never();
            assert_eq!(inflated.is_some(), at_once, "{compression:?}, {size} bytes");
            if let Some(inflated) = inflated {
                assert!(inflated.unwrap().bytes == plain);
            }
        }
    }
    // Large when compressed, although it inflates to nothing.
    let (member, _) = received(&[], ContentEncoding::Gzip, u64::MAX);
    let (mut many, _) = received(&[], ContentEncoding::None, u64::MAX);
    many.bytes = member.bytes.repeat(INLINE / member.bytes.len() + 1).into();
    let inflated = inflate(many, ContentEncoding::Gzip, MIB as u64, &lane);
    assert!(inflated.now_or_never().is_none());
}

#[tokio::test]
async fn bounds_hold_in_the_lane_as_on_the_worker() {
    let lane = Lane::new(1);
    let plain = vec![7; 8 * MIB];
    for compression in PACKED {
        let limit = 2 * MIB as u64;
        let (body, given) = received(&plain, compression, u64::MAX);
        let outcome = inflate(body, compression, limit, &lane).await;
        assert_eq!(outcome.err(), Some(RequestRejection::TooLarge { limit }));
        assert!(given.load(Ordering::Relaxed) <= limit);

        let (body, given) = received(&plain, compression, limit);
        let outcome = inflate(body, compression, u64::MAX, &lane).await;
        assert!(matches!(outcome.err(), Some(RequestRejection::Refused(_))));
        assert!(given.load(Ordering::Relaxed) <= limit);
    }
}

#[tokio::test]
async fn a_sender_that_leaves_costs_a_portion_at_most_and_its_room_comes_back() {
    let lane = Lane::new(1);
    let (received, given) = received(&vec![7; 20 * MIB], ContentEncoding::Gzip, u64::MAX);
    let begun = inflate(received, ContentEncoding::Gzip, u64::MAX, &lane).now_or_never();
    assert!(begun.is_none());
    let when_it_left = given.load(Ordering::Relaxed);
    // The only thread is free once the portion is done.
    lane.run(|| ()).await;
    assert!(given.load(Ordering::Relaxed) - when_it_left <= PORTION as u64);
    // The admission, its other owner, is dropped with the result that nobody receives.
    while Arc::strong_count(&given) > 1 {
        yield_now().await;
    }
}
