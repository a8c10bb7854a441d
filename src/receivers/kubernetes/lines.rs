//! Cuts a body that never ends into lines.

use crate::receivers::scrape::FailureReason;
use crate::resilience::FetchError;

/// Lines of at most so many bytes, from the pieces in which they come.
#[derive(Debug)]
pub(super) struct EventLines {
    longest: usize,
    /// What has come and isn't a whole line yet, with what was given out before it.
    held: Vec<u8>,
    /// Where the next line begins.
    begin: usize,
    /// Up to where there is no end of a line.
    searched: usize,
}

impl EventLines {
    pub(super) fn new(longest: usize) -> Self {
        Self {
            longest,
            held: Vec::new(),
            begin: 0,
            searched: 0,
        }
    }

    /// Adds a piece. All lines that were whole have been taken before.
    ///
    /// # Errors
    ///
    /// When the line that it belongs to is too long.
    pub(super) fn add(&mut self, piece: &[u8]) -> Result<(), FetchError> {
        self.held.drain(..self.begin);
        self.searched -= self.begin;
        self.begin = 0;
        let first = piece.iter().position(|byte| *byte == b'\n');
        if self.held.len() + first.unwrap_or(piece.len()) > self.longest {
            let message = format!("an event of more than {} bytes", self.longest);
            return Err(FailureReason::Limit.error(message));
        }
        self.held.extend_from_slice(piece);
        Ok(())
    }

    /// The next whole line, without its end; empty ones are left out.
    pub(super) fn next(&mut self) -> Option<&[u8]> {
        loop {
            let rest = self.held.get(self.searched..)?;
            let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
                self.searched = self.held.len();
                return None;
            };
            let (begin, end) = (self.begin, self.searched + length);
            self.begin = end + 1;
            self.searched = end + 1;
            if !self.held[begin..end].trim_ascii().is_empty() {
                return self.held.get(begin..end);
            }
        }
    }

    /// What has come of a line that isn't whole.
    pub(super) fn rest(&self) -> &[u8] {
        self.held.get(self.begin..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_however_their_bytes_come() {
        let text = b"one\n\ntwo\r\n three\nfour";
        for size in 1..=text.len() {
            let mut lines = EventLines::new(7);
            let mut found = Vec::new();
            for piece in text.chunks(size) {
                lines.add(piece).unwrap();
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            assert_eq!(found, ["one", "two\r", " three"], "pieces of {size}");
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_noticed_before_it_ends() {
        let mut lines = EventLines::new(7);
        lines.add(b"1234567\n1234").unwrap();
        assert_eq!(lines.next(), Some(&b"1234567"[..]));
        assert_eq!(lines.next(), None);
        lines.add(b"567").unwrap();
        assert_eq!(lines.next(), None);
        let error = lines.add(b"8").unwrap_err();
        assert_eq!(FailureReason::of(&error), FailureReason::Limit);
    }
}
