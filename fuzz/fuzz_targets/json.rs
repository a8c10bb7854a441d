//! What the JSON reader accepts is JSON and a valid request, and nothing is lost on the way
//! from protobuf to JSON and back.
#![no_main]

use foghorn::pdata::{Batch, Decoded, Signal, json};
use foghorn_fuzz::Input;
use foghorn_fuzz::oracle::Request;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else {
        return;
    };
    let (signal, bytes) = (input.signal, input.bytes);
    if bytes.first() == Some(&b'{') {
        if let Ok(Decoded { batch, .. }) = json::decode(signal, bytes) {
            let text = std::str::from_utf8(bytes).unwrap();
            assert!(serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
            comes_back(signal, &joined(&batch));
        }
    } else if Batch::decode(signal, bytes.to_vec().into()).is_ok() {
        comes_back(signal, bytes);
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    foghorn_fuzz::mutate(data, size, max_size, seed, |signal, request| {
        if seed % 1024 == 0 {
            text(signal, &request)
        } else {
            request
        }
    })
});

/// From protobuf to JSON and back nothing is lost.
fn comes_back(signal: Signal, request: &[u8]) {
    let back = json::decode(signal, &text(signal, request)).unwrap().batch;
    let before = Request::decode(signal, request).unwrap();
    let after = Request::decode(signal, &joined(&back)).unwrap();
    // As Rust shows them, all numbers that aren't one are the same, as in JSON.
    if before.encode() != after.encode() {
        assert_eq!(format!("{before:?}"), format!("{after:?}"));
    }
}

fn text(signal: Signal, request: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let batch = Batch::decode(signal, request.to_vec().into()).unwrap();
    for part in batch.parts() {
        json::write(signal, part, &mut text);
    }
    if text.is_empty() {
        // A request without bytes has no part, and as JSON is an empty object.
        text.extend_from_slice(b"{}");
    }
    text
}

fn joined(batch: &Batch) -> Vec<u8> {
    let parts = batch.parts().iter();
    parts.flat_map(|part| part.bytes().to_vec()).collect()
}
