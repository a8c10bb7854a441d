//! Whatever comes as gzip or zstd: it inflates to what other decoders make of it or is
//! refused where they refuse it, never to more than the limit, and never further than one
//! step beyond what has been admitted.
#![no_main]

#[path = "../../src/receivers/otlp/body.rs"]
#[allow(
    dead_code,
    reason = "the source as it is; only inflating is tried here"
)]
mod body;
#[path = "../../src/receivers/otlp/rejection.rs"]
#[allow(
    dead_code,
    reason = "the source as it is; only inflating is tried here"
)]
mod rejection;

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use body::{ContentEncoding, ReceivedBody, inflate};
use foghorn::component::{Admission, Refusal};
use foghorn::pdata::Batch;
use foghorn::{component, lane, pdata};
use foghorn_fuzz::Input;
use futures_util::future::{BoxFuture, FutureExt as _};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use rejection::RequestRejection;

/// As in the receiver: how much is inflated before it is admitted.
const STEP: u64 = 64 * 1024;

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else {
        return;
    };
    let (gzip, sent) = (input.choice % 2 == 0, input.bytes.to_vec());
    let limit = [0, 100, 5_000, 70_000][input.choice / 2 % 4];
    let room = Arc::new(AtomicU64::new(0));
    let received = ReceivedBody {
        bytes: sent.clone().into(),
        admission: Box::new(Counting(Arc::clone(&room))),
    };
    let compression = if gzip {
        ContentEncoding::Gzip
    } else {
        ContentEncoding::Zstd
    };
    let lane = lane::Lane::new(1);
    let inflated = inflate(received, compression, limit, &lane)
        .now_or_never()
        .expect("so small a body is inflated at once");

    let admitted = sent.len() as u64 + room.load(Ordering::Relaxed);
    assert!(
        admitted <= limit.max(sent.len() as u64),
        "{admitted} bytes were admitted"
    );
    // What another decoder makes of it, as far as the limit and a step beyond.
    let mut expected = Vec::new();
    let far_enough = limit + STEP + 1;
    let whole = if gzip {
        flate2::read::MultiGzDecoder::new(&sent[..])
            .take(far_enough)
            .read_to_end(&mut expected)
    } else {
        zstd::Decoder::new(&sent[..]).and_then(|d| d.take(far_enough).read_to_end(&mut expected))
    };
    match inflated {
        Ok(admitted) => {
            assert!(whole.is_ok() && admitted.bytes == expected);
            assert!(admitted.bytes.len() as u64 <= limit);
        }
        Err(RequestRejection::TooLarge { .. }) => assert!(expected.len() as u64 > limit),
        // A window that is too large is refused here only.
        Err(RequestRejection::Malformed(_)) => assert!(whole.is_err() || !gzip),
        Err(other) => panic!("{other:?}"),
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    foghorn_fuzz::mutate(data, size, max_size, seed, |_, request| {
        packed(&request, seed)
    })
});

/// A request, compressed in either way, some of them after a long run of one byte.
fn packed(request: &[u8], seed: u32) -> Vec<u8> {
    let run = [0, 0, 3_000, 60_000][(seed / 1024 % 4) as usize];
    let plain = [&vec![7; run][..], request].concat();
    if seed % 1024 == 0 {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&plain).unwrap();
        encoder.finish().unwrap()
    } else {
        zstd::encode_all(&plain[..], 1).unwrap()
    }
}

/// Gives all the room that it is asked for.
struct Counting(Arc<AtomicU64>);

impl Admission for Counting {
    fn grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.0.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    fn accept(self: Box<Self>, _: Batch) -> BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }
}
