//! Twice the bytes are at most twice the work, for every reader of bytes from strangers. The
//! lists of Betanet have the same property in `receivers/betanet/wire/tests.rs`.

mod exposition;
mod protobuf;
mod text;

use super::take;

/// Sizes of pages, in bytes. All of them need three bytes for their length in protobuf, so
/// that none needs more work than the others for that.
const SIZES: [usize; 3] = [1 << 15, 1 << 16, 1 << 17];

/// What the least work is for a page of the smallest size: less would mean that nothing is
/// counted.
const LEAST: usize = 16;

/// What no size has to do with: the first growth of a buffer, the messages around.
const CONSTANT: usize = 4096;

/// Reads a page of each size and holds the work against the sizes. The pages needn't have
/// exactly the size that is asked for: their own counts.
fn work_at_most_doubles(what: &str, page: impl Fn(usize) -> Vec<u8>, read: impl Fn(&[u8])) {
    let measured = SIZES.map(|size| {
        let page = page(size);
        take();
        read(&page);
        (page.len(), take())
    });
    let smallest = measured[0].1;
    assert!(smallest >= LEAST, "{what}: {measured:?} counts nothing");
    for pair in measured.windows(2) {
        let ((bytes, work), (more_bytes, more_work)) = (pair[0], pair[1]);
        let growth = more_bytes as f64 / bytes as f64;
        assert!(
            more_work as f64 <= growth * work as f64 + CONSTANT as f64,
            "{what}: {measured:?}"
        );
    }
}
