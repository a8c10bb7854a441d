//! Finds where names and quoted texts end.

use super::PageFault;
use crate::steps;

/// May stand in the name of a label.
const LABEL: u8 = 1;
/// May stand in the name of a metric.
const METRIC: u8 = 2;
/// May begin a name.
const FIRST: u8 = 4;

static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let char = byte as u8;
        if char.is_ascii_alphabetic() || char == b'_' {
            classes[byte] = LABEL | METRIC | FIRST;
        } else if char.is_ascii_digit() {
            classes[byte] = LABEL | METRIC;
        }
        byte += 1;
    }
    classes[b':' as usize] = METRIC;
    classes
};

/// Whether a byte begins the name of a metric.
#[inline]
pub(super) fn begins_metric(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & FIRST != 0 || byte == b':'
}

/// Whether a byte begins the name of a label.
#[inline]
pub(super) fn begins_label(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & FIRST != 0
}

/// Whether a byte continues the name of a metric.
#[inline]
pub(super) fn continues_metric(byte: u8) -> bool {
    CLASSES[usize::from(byte)] & METRIC != 0
}

/// Where a metric's name that begins at `from` ends.
#[inline]
pub(super) fn metric_end(page: &[u8], from: usize) -> usize {
    name_end(page, from, METRIC)
}

/// Where a label's name that begins at `from` ends.
#[inline]
pub(super) fn label_end(page: &[u8], from: usize) -> usize {
    name_end(page, from, LABEL)
}

#[inline]
fn name_end(page: &[u8], from: usize, class: u8) -> usize {
    let rest = page.get(from..).unwrap_or_default();
    let length = rest
        .iter()
        .position(|byte| CLASSES[usize::from(*byte)] & class == 0)
        .unwrap_or(rest.len());
    steps::count(length);
    from + length
}

/// A quoted text: where its closing quote is, and whether it has a backslash.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted {
    pub(super) end: usize,
    pub(super) has_backslash: bool,
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Non-zero if a byte of the word is this one; the lowest bit set is in the first of them.
#[inline]
const fn bytes_like(word: u64, byte: u8) -> u64 {
    let differing = word ^ (ONES * byte as u64);
    differing.wrapping_sub(ONES) & !differing & HIGHS
}

/// Finds the end of a quoted text whose content begins at `from`. A backslash takes the meaning
/// from what follows it, but for a newline, which may never follow one. `newlines`: whether one
/// may stand elsewhere in the text.
#[inline]
pub(super) fn quoted(
    page: &[u8],
    from: usize,
    most: usize,
    newlines: bool,
) -> Result<Quoted, QuoteFault> {
    let mut at = from;
    let mut has_backslash = false;
    loop {
        // Eight bytes at a time to the next one that means something.
        while let Some(word) = page.get(at..at + 8).and_then(|word| word.try_into().ok()) {
            steps::count(8);
            let word = u64::from_le_bytes(word);
            let found = bytes_like(word, b'"') | bytes_like(word, b'\\') | bytes_like(word, b'\n');
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        steps::count(1);
        match page.get(at) {
            Some(b'"') => {
                return if at - from > most {
                    Err(QuoteFault::TooLong)
                } else {
                    Ok(Quoted {
                        end: at,
                        has_backslash,
                    })
                };
            }
            Some(b'\\') => {
                has_backslash = true;
                match page.get(at + 1) {
                    None | Some(b'\n') => return Err(QuoteFault::Endless),
                    Some(_) => at += 2,
                }
            }
            Some(b'\n') if !newlines => return Err(QuoteFault::Endless),
            Some(_) => at += 1,
            None => return Err(QuoteFault::Endless),
        }
        if at - from > most {
            return Err(QuoteFault::TooLong);
        }
    }
}

/// Why a quoted text has no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QuoteFault {
    Endless,
    TooLong,
}

impl QuoteFault {
    pub(super) fn of_name(self) -> PageFault {
        match self {
            Self::Endless => "a name in quotes doesn't end".into(),
            Self::TooLong => PageFault::beyond("a name is too long"),
        }
    }

    pub(super) fn of_value(self) -> PageFault {
        match self {
            Self::Endless => "a label value doesn't end".into(),
            Self::TooLong => PageFault::beyond("a label value is too long"),
        }
    }
}

/// Where the line ends in which `from` lies: at its newline, or where the page ends.
#[inline]
pub(super) fn line_end(page: &[u8], from: usize) -> usize {
    let rest = page.get(from..).unwrap_or_default();
    let mut at = 0;
    while let Some(word) = rest.get(at..at + 8).and_then(|word| word.try_into().ok()) {
        let found = bytes_like(u64::from_le_bytes(word), b'\n');
        if found != 0 {
            at += found.trailing_zeros() as usize / 8;
            steps::count(at);
            return from + at;
        }
        at += 8;
    }
    let tail = rest.get(at..).unwrap_or_default();
    at += tail
        .iter()
        .position(|byte| *byte == b'\n')
        .unwrap_or(tail.len());
    steps::count(at);
    from + at
}

/// The number of the line in which `at` lies, from 1.
pub(super) fn line_of(page: &[u8], at: usize) -> usize {
    let before = page.get(..at).unwrap_or(page);
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The bytes of a page, which need not be UTF-8 everywhere: comments may have anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'p> {
    pub(super) bytes: &'p [u8],
    /// All of it, if it is UTF-8.
    text: Option<&'p str>,
}

impl<'p> Source<'p> {
    pub(super) fn new(bytes: &'p [u8]) -> Self {
        Self {
            bytes,
            text: std::str::from_utf8(bytes).ok(),
        }
    }

    #[inline]
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.bytes.get(at).copied()
    }

    /// A piece of the page; `None` if it isn't UTF-8.
    #[inline]
    pub(super) fn text(&self, from: usize, to: usize) -> Option<&'p str> {
        match self.text {
            Some(text) => text.get(from..to),
            None => std::str::from_utf8(self.bytes.get(from..to)?).ok(),
        }
    }

    #[inline]
    pub(super) fn piece(&self, from: usize, to: usize) -> &'p [u8] {
        self.bytes.get(from..to).unwrap_or_default()
    }

    /// Whether the page goes on with this at `at`.
    #[inline]
    pub(super) fn has(&self, at: usize, what: &[u8]) -> bool {
        self.bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(what))
    }
}
