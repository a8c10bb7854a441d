//! Counts the work of those who read bytes from strangers, so that tests can hold it against
//! the bytes that came. Time says little on a busy machine. Outside of tests it is nothing.
//!
//! A reader counts what it looks at more than once or copies: fields, keys, bytes that it
//! moves. `tests.rs` feeds every reader its worst pages at doubling sizes, and finds out
//! whether twice the bytes are at most twice the work.

#[cfg(test)]
thread_local! {
    static COUNTED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts so many bytes, fields or whatever a reader looks at.
#[cfg(test)]
pub(crate) fn count(steps: usize) {
    COUNTED.set(COUNTED.get() + steps);
}

/// Counts so many bytes, fields or whatever a reader looks at.
#[cfg(not(test))]
#[inline(always)]
pub(crate) const fn count(_: usize) {}

/// What was counted since the last call on this thread.
#[cfg(test)]
pub(crate) fn take() -> usize {
    COUNTED.take()
}

#[cfg(test)]
mod tests;
