//! Damaged chunks are errors or other chunks; sound ones come back.
#![no_main]

use foghorn::window::{decode_chunk, encode_chunk};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| {
    // A chunk has at most 4,096 points, whatever its bytes say.
    if let Ok(points) = decode_chunk(data) {
        assert!(points <= 4096);
    }
});

// Now and then a sound chunk instead, made of the input, for the fuzzer to damage.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 16 == 0 {
        let mut time = 0_i64;
        let (times, values): (Vec<i64>, Vec<f64>) = data[..size]
            .chunks_exact(3)
            .take(4096)
            .map(|bytes| {
                time += 15_000 + i64::from(bytes[0] >> 7) * i64::from(bytes[1]);
                let digits = f64::from(i16::from_le_bytes([bytes[1], bytes[2]]));
                (time, digits / 10_f64.powi(i32::from(bytes[0] & 7)))
            })
            .unzip();
        let chunk = encode_chunk(&times, &values);
        assert!(times.is_empty() || decode_chunk(&chunk) == Ok(times.len()));
        if chunk.len() <= max_size {
            data[..chunk.len()].copy_from_slice(&chunk);
            return chunk.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
});
