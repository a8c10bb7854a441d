//! How the targets read their input, and where requests come from that have everything: a
//! fuzzer alone would take long to find its way into ten levels of messages.

#[path = "../../tests/support/oracle.rs"]
pub mod oracle;
pub mod queries;
#[path = "../../tests/support/otlp.rs"]
pub mod samples;

use foghorn::pdata::Signal;
use samples::Style;

/// What an input's first two bytes say, and the rest of it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// The kind of request that the rest is about.
    pub signal: Signal,
    /// Any byte, for whatever the target has to choose.
    pub choice: usize,
    /// What comes from the wire.
    pub bytes: &'a [u8],
}

impl<'a> Input<'a> {
    /// None for an input that is too short to say so.
    pub fn new(data: &'a [u8]) -> Option<Self> {
        let (&[first, second], bytes) = data.split_first_chunk()?;
        Some(Self {
            signal: Signal::ALL[usize::from(first) % 3],
            choice: usize::from(second),
            bytes,
        })
    }
}

/// A mutation as the fuzzer makes them, or, once in a while, a small random request instead,
/// as `encode` writes it.
pub fn mutate(
    data: &mut [u8],
    size: usize,
    max_size: usize,
    seed: u32,
    encode: impl Fn(Signal, Vec<u8>) -> Vec<u8>,
) -> usize {
    if seed % 512 != 0 || data.len() < 2 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    let seeds = (0..8).map(|n| u64::from(seed) + n);
    for seed in seeds {
        let signal = Signal::ALL[(seed % 3) as usize];
        let style = [Style::CANONICAL, Style::REGULAR, Style::ANY][(seed / 3 % 3) as usize];
        let fresh = encode(signal, sample(signal, seed, style));
        if let Some(room) = data[2..max_size.max(2)].get_mut(..fresh.len()) {
            room.copy_from_slice(&fresh);
            data[0] = signal as u8;
            return fresh.len() + 2;
        }
    }
    libfuzzer_sys::fuzzer_mutate(data, size, max_size)
}

fn sample(signal: Signal, seed: u64, style: Style) -> Vec<u8> {
    match signal {
        Signal::Metrics => samples::metrics(seed, style),
        Signal::Traces => samples::traces(seed, style),
        Signal::Logs => samples::logs(seed, style),
    }
}

/// Whether a request that prost accepts holds a trace or span id of a wrong length.
pub fn has_wrong_ids(signal: Signal, request: &[u8]) -> bool {
    match signal {
        Signal::Metrics => samples::metrics_have_wrong_ids(request),
        Signal::Traces => samples::traces_have_wrong_ids(request),
        Signal::Logs => samples::logs_have_wrong_ids(request),
    }
}
