//! A batch as the body of a request, with as few copies as its compression allows.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::pdata::Batch;
use crate::yaml::{FromValue, Value};

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// The name in `Content-Encoding` and `grpc-encoding`; none where nothing is said.
    pub(super) fn header(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

impl FromValue for Compression {
    fn from_value(value: &Value<'_>) -> Option<Self> {
        match value.text() {
            Some("none" | "") => Some(Self::None),
            Some("gzip") => Some(Self::Gzip),
            Some("zstd") => Some(Self::Zstd),
            _ => value.error("expected gzip, zstd or none"),
        }
    }
}

/// A body made of chunks that are sent one after the other, uncopied.
#[derive(Debug, Clone, Default)]
pub(super) struct Chunks {
    chunks: VecDeque<Bytes>,
    size: u64,
}

impl Chunks {
    fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.size += chunk.len() as u64;
            self.chunks.push_back(chunk);
        }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let chunk = self.chunks.pop_front();
        self.size -= chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Poll::Ready(chunk.map(|chunk| Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.chunks.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.size)
    }
}

/// The batch as the body of an HTTP request.
pub(super) fn http(batch: &Batch, compression: Compression) -> io::Result<Chunks> {
    let mut body = Chunks::default();
    match compression {
        Compression::None => batch
            .parts()
            .iter()
            .for_each(|part| body.push(part.bytes().clone())),
        _ => body.push(compress(batch, compression, Vec::new())?.into()),
    }
    Ok(body)
}

/// The batch as the one message of a gRPC call, in its frame.
pub(super) fn grpc(batch: &Batch, compression: Compression) -> io::Result<Chunks> {
    let mut body = Chunks::default();
    match compression {
        Compression::None if batch.size() <= ONE_FRAME => {
            let mut framed = Vec::with_capacity(PREFIX + batch.size() as usize);
            framed.extend(prefix(0, batch.size())?);
            batch
                .parts()
                .iter()
                .for_each(|part| framed.extend_from_slice(part.bytes()));
            body.push(framed.into());
        }
        Compression::None => {
            body.push(Bytes::copy_from_slice(&prefix(0, batch.size())?));
            batch
                .parts()
                .iter()
                .for_each(|part| body.push(part.bytes().clone()));
        }
        _ => {
            // The message's length is known only afterwards: leave room for the prefix.
            let mut framed = compress(batch, compression, vec![0; PREFIX])?;
            let prefix = prefix(1, (framed.len() - PREFIX) as u64)?;
            framed[..PREFIX].copy_from_slice(&prefix);
            body.push(framed.into());
        }
    }
    Ok(body)
}

/// Bytes before a gRPC message.
const PREFIX: usize = 5;

/// A message up to this size is copied behind its prefix: every chunk is a frame of its
/// own, and a frame costs more than copying so little.
const ONE_FRAME: u64 = 8 * 1024;

/// Level 1 costs less than half of gzip's usual 6 and leaves about a tenth more bytes.
const GZIP_LEVEL: u32 = 1;

/// The flag of compression and the length in network order.
fn prefix(flag: u8, length: u64) -> io::Result<[u8; PREFIX]> {
    let length = u32::try_from(length)
        .map_err(|_| io::Error::other("a gRPC message can't be longer than 4 GiB"))?;
    let [a, b, c, d] = length.to_be_bytes();
    Ok([flag, a, b, c, d])
}

/// Appends the compressed parts to `out`.
fn compress(batch: &Batch, compression: Compression, out: Vec<u8>) -> io::Result<Vec<u8>> {
    let parts = batch.parts().iter().map(|part| part.bytes());
    match compression {
        Compression::None => Ok(out),
        Compression::Gzip => {
            let level = flate2::Compression::new(GZIP_LEVEL);
            let mut encoder = flate2::write::GzEncoder::new(out, level);
            parts
                .into_iter()
                .try_for_each(|part| encoder.write_all(part))?;
            encoder.finish()
        }
        Compression::Zstd => {
            let mut encoder =
                zstd::stream::write::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?;
            parts
                .into_iter()
                .try_for_each(|part| encoder.write_all(part))?;
            encoder.finish()
        }
    }
}
