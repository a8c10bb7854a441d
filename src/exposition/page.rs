//! A page in pieces, compressed where the scraper takes that.

use std::collections::VecDeque;
use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Accepted, Encoder, Family, FamilyNames, Format, Kind};

/// Collects what an encoder writes into pieces of a body.
///
/// Pieces are small enough that a page of 100,000 series never lies in memory whole, and
/// large enough that their overhead doesn't show.
#[derive(Debug)]
pub struct Chunks {
    gzip: Option<GzEncoder<Vec<u8>>>,
    /// Texts whose room can be used again, once they are compressed or sent: a page takes
    /// the memory of two pieces, however long it is.
    used: VecDeque<Bytes>,
}

impl Chunks {
    /// Bytes of text in a piece, before compression.
    pub const SIZE: usize = 64 * 1024;

    /// Room for a piece. The series that crosses [`SIZE`](Self::SIZE) still goes into it.
    const ROOM: usize = Self::SIZE + 4 * 1024;

    /// Pieces whose room is kept: one is on its way while the next is written.
    const USED: usize = 2;

    /// A body for a scraper.
    pub fn new(gzip: bool) -> Self {
        Self {
            // The fastest level: it takes a tenth of the time of the usual one, and pages
            // repeat themselves so much that the size is hardly different.
            gzip: gzip.then(|| GzEncoder::new(Vec::new(), Compression::fast())),
            used: VecDeque::with_capacity(Self::USED),
        }
    }

    /// Room to write the next piece in.
    pub fn room(&mut self) -> Vec<u8> {
        match self.used.iter().position(Bytes::is_unique) {
            Some(free) => self.used.remove(free).map(Vec::from).unwrap_or_default(),
            None => Vec::with_capacity(Self::ROOM),
        }
    }

    /// Turns text into the next piece, which is empty while the compressor holds it back.
    pub fn push(&mut self, text: Vec<u8>) -> Bytes {
        let text = Bytes::from(text);
        if self.used.len() == Self::USED {
            self.used.pop_front();
        }
        self.used.push_back(text.clone());
        match &mut self.gzip {
            None => text,
            Some(gzip) => {
                // Writing to a vector can't fail.
                let _ = gzip.write_all(&text);
                std::mem::take(gzip.get_mut()).into()
            }
        }
    }

    /// Turns the rest of the text into the last piece.
    pub fn finish(mut self, text: Vec<u8>) -> Bytes {
        let mut last = self.push(text);
        if let Some(gzip) = self.gzip {
            let tail = gzip.finish().unwrap_or_default();
            last = [last.as_ref(), tail.as_ref()].concat().into();
        }
        last
    }
}

/// A page that is written and sent piece by piece.
#[derive(Debug)]
pub struct PageWriter {
    encoder: Encoder,
    chunks: Chunks,
}

impl PageWriter {
    /// An empty page for a scraper.
    pub fn new(encoder: Encoder, gzip: bool) -> Self {
        let chunks = Chunks::new(gzip);
        Self { encoder, chunks }
    }

    /// Writes the lines of the page.
    pub fn encoder(&mut self) -> &mut Encoder {
        &mut self.encoder
    }

    /// The next piece, once there is text for one. `None` also where the compressor holds it
    /// back.
    pub fn piece(&mut self) -> Option<Bytes> {
        if self.encoder.len() < Chunks::SIZE {
            return None;
        }
        let text = self.encoder.take(self.chunks.room());
        Some(self.chunks.push(text)).filter(|piece| !piece.is_empty())
    }

    /// The last piece.
    pub fn finish(self) -> Bytes {
        self.chunks.finish(self.encoder.finish())
    }
}

/// Writes families that are all at hand as one page. The caller sees to it that their
/// names don't clash; those of [`families`](super::families) don't.
pub fn page(families: &[Family], accepted: Accepted) -> Bytes {
    let mut names = FamilyNames::new();
    for family in families {
        names.claim(&family.descriptor.name, family.descriptor.kind);
    }
    let counters = names.openmetrics_counters(
        families
            .iter()
            .map(|family| &family.descriptor)
            .filter(|family| family.kind == Kind::Counter)
            .map(|family| family.name.as_str()),
    );
    let mut page = PageWriter::new(Encoder::new(accepted.format), accepted.gzip);
    let encoder = page.encoder();
    for family in families {
        let descriptor = &family.descriptor;
        let demoted = accepted.format == Format::OpenMetrics
            && descriptor.kind == Kind::Counter
            && !counters.contains(descriptor.name.as_str());
        let kind = if demoted {
            Kind::Unknown
        } else {
            descriptor.kind
        };
        encoder.family(descriptor, kind);
        for series in &family.series {
            encoder.series(series);
        }
    }
    page.finish()
}
