//! Any text is a query with an answer, or an error, within what queries may use.
#![no_main]

use std::cell::{Cell, OnceCell};

use foghorn::query::{Interruption, PromQuery, QueryLimits, QueryOptions, parse_selectors};
use foghorn_fuzz::Input;
use foghorn_fuzz::queries::data::{self, DataSet, LENGTH, START};
use foghorn_fuzz::queries::random::Dice;
use foghorn_fuzz::queries::text;
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

/// How often a query is asked whether it may go on, some 65,536 points apart.
const PATIENCE: usize = 50;

thread_local! {
    static SERIES: OnceCell<DataSet> = const { OnceCell::new() };
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else {
        return;
    };
    let text = String::from_utf8_lossy(input.bytes);
    let options = QueryOptions {
        limits: QueryLimits {
            max_samples: 100_000,
            max_memory: 4 << 20,
            ..QueryLimits::default()
        },
        ..QueryOptions::default()
    };
    let _ = parse_selectors([&*text], &options.limits);
    let Ok(query) = PromQuery::parse(&text, &options.limits) else {
        return;
    };
    let looks = Cell::new(0);
    let interrupted = || {
        looks.set(looks.get() + 1);
        (looks.get() > PATIENCE).then_some(Interruption::TimedOut)
    };
    SERIES.with(|series| {
        let series = series.get_or_init(|| data::random(1));
        let start = START + input.choice as i64 * LENGTH / 256;
        let answer = if input.choice % 2 == 0 {
            query.instant(series, start, &options, &interrupted)
        } else {
            let ends = (start, start + 30 * 60_000);
            query.range(series, ends, 61_003, &options, &interrupted)
        };
        // Nobody goes on after being told to end.
        assert!(looks.get() <= PATIENCE + 1 || answer.is_err());
    });
});

// Now and then a random query instead, for the fuzzer to damage.
fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    if seed % 16 == 0 && max_size > 2 {
        let fresh = text(&mut Dice::new(u64::from(seed)));
        if let Some(room) = data[2..max_size].get_mut(..fresh.len()) {
            room.copy_from_slice(fresh.as_bytes());
            data[0] = 0;
            data[1] = (seed >> 8) as u8;
            return fresh.len() + 2;
        }
    }
    fuzzer_mutate(data, size, max_size)
});
