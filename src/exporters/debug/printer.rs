//! Brings text to the outputs in pieces, so that the text of a large batch never stands in memory
//! as a whole.

use std::fmt;
use std::io;

/// How many bytes wait until they are written.
const PIECE: usize = 256 << 10;

/// Text on its way to the outputs.
pub(super) struct Printer<'o> {
    text: String,
    outputs: &'o mut [Box<dyn io::Write + Send>],
    /// Whether every output has taken all that it was given.
    taken: bool,
}

impl<'o> Printer<'o> {
    pub(super) fn new(outputs: &'o mut [Box<dyn io::Write + Send>]) -> Self {
        Self {
            text: String::new(),
            outputs,
            taken: true,
        }
    }

    /// Writes what is left. Whether all outputs took everything.
    pub(super) fn finish(mut self) -> bool {
        self.print(self.text.len());
        self.taken
    }

    /// Writes the first `length` bytes in one call, so that no other thread's output comes in
    /// between.
    fn print(&mut self, length: usize) {
        let piece = self.text.as_bytes().get(..length).unwrap_or_default();
        for output in &mut *self.outputs {
            self.taken &= output
                .write_all(piece)
                .and_then(|()| output.flush())
                .is_ok();
        }
        self.text.drain(..length);
    }
}

impl fmt::Write for Printer<'_> {
    /// Never fails: [`Printer::finish`] tells.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.text.push_str(text);
        if self.text.len() >= PIECE {
            // Whole lines, so that what other threads print stands between them.
            let lines = self.text.rfind('\n').map(|last| last + 1);
            self.print(lines.unwrap_or(self.text.len()));
        }
        Ok(())
    }
}
