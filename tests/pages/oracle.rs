//! Prometheus's own parsers, in a process that is asked page by page.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use foghorn::exposition::read::PageFormat;

use super::compare::Native;

/// The running program; it ends with its input.
pub struct Oracle {
    child: Child,
    input: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Oracle {
    pub fn start(program: &Path) -> Self {
        let mut child = Command::new(program)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Self {
            child,
            input,
            answers,
        }
    }

    /// The answer to a page: a line of JSON.
    pub fn ask(&mut self, page: &[u8], format: PageFormat, native: Native) -> String {
        let format = match format {
            PageFormat::Text => 0,
            PageFormat::OpenMetrics => 1,
            PageFormat::Protobuf => 2,
        };
        let mut request = vec![format, native.bits()];
        request.extend_from_slice(&u32::try_from(page.len()).unwrap().to_le_bytes());
        request.extend_from_slice(page);
        self.input.write_all(&request).unwrap();
        let mut answer = String::new();
        self.answers.read_line(&mut answer).unwrap();
        answer
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
