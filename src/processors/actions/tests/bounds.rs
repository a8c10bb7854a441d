//! What actions hold and do beside the bytes that came and the bytes that they make.

use super::*;
use crate::steps;

/// Applies actions to log records, and remembers the most bytes that new attributes took.
struct Watched {
    actions: Actions,
    held: usize,
}

impl Edit for Watched {
    fn log_record(&mut self, _: At<'_>, at: &LogRecord<'_>, new: &mut Replacement) -> Fate {
        self.actions.apply(at.attributes(), new);
        self.held = self.held.max(new.held());
        Fate::Keep
    }
}

/// A field that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

/// One record with attributes of about so many bytes: empty ones, one key again and again, and
/// each with a key of its own.
fn records(size: usize) -> [Vec<u8>; 3] {
    let one = |key: &str, value: &[u8]| {
        let value = field(2, value);
        field(6, &[field(1, key.as_bytes()), value].concat())
    };
    let (again, own) = (one("k", &[0x10, 1]), |at| {
        one(&format!("k{at:06}"), &[0x18, 7])
    });
    let wholes = [
        field(6, &[]).repeat(size / 2),
        again.repeat(size / again.len()),
        (0..size / own(0).len())
            .map(own)
            .collect::<Vec<_>>()
            .concat(),
    ];
    wholes.map(|attributes| field(1, &field(2, &field(2, &attributes))))
}

const LISTS: [&str; 11] = [
    "[{action: insert, key: k, from_attribute: k000001, default_value: 1}]",
    "[{action: update, key: k, from_attribute: k000001, default_value: 1}]",
    "[{action: upsert, key: k, from_attribute: k000001, default_value: 1}]",
    "[{action: upsert, key: k, value: 1}, {action: upsert, key: k, value: 2}]",
    "[{action: delete, key: k}]",
    "[{action: delete, pattern: '[05]$'}]",
    "[{action: hash, key: k}]",
    "[{action: hash, key: k, pattern: '[05]$'}]",
    "[{action: convert, key: k, converted_type: string}]",
    "[{action: convert, key: k, converted_type: int}, {action: delete, key: gone}, \
      {action: convert, key: k, converted_type: double}, {action: hash, key: k000001}]",
    "[{action: convert, key: k, converted_type: string}, \
      {action: extract, key: k, pattern: '(?P<a>.)(?P<b>.?)'}]",
];

#[test]
fn actions_hold_what_is_there_as_it_is_encoded() {
    for list in LISTS {
        for kind in 0..3 {
            let mut before = (0, 0);
            for size in [1 << 14, 1 << 15, 1 << 16] {
                let request = records(size)[kind].clone();
                let came = request.len();
                let mut batch = Batch::decode(Signal::Logs, request.into()).unwrap();
                let mut watched = Watched {
                    actions: read(list).unwrap(),
                    held: 0,
                };
                steps::take();
                batch.edit(&mut watched);
                let done = steps::take();
                let made: usize = batch.parts().iter().map(|part| part.bytes().len()).sum();
                // Two lists of attributes, each with as much room again to grow.
                let most = came.max(made);
                assert!(
                    watched.held <= 4 * most + 64,
                    "{list} {kind}: {} of {most}",
                    watched.held
                );
                if size > 1 << 14 {
                    assert!(
                        done <= 2 * before.0 + 1_000,
                        "{list} {kind}: {done} {before:?}"
                    );
                    assert!(
                        watched.held <= 2 * before.1 + 1_000,
                        "{list} {kind}: {} {before:?}",
                        watched.held
                    );
                }
                before = (done, watched.held);
            }
        }
    }
}
