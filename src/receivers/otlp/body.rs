//! Receives the body of a request within its limits, and inflates it.
//!
//! Two bounds hold at every moment, whatever the sender does. Neither the encoded nor the decoded
//! size exceeds the protocol's limit by more than one step. And the room for decoded bytes is
//! admitted before the next step is inflated. A body that arrives in one piece and isn't
//! compressed is passed on without a copy.
//!
//! A large body is inflated in a [`Lane`], since 20 MiB would occupy the worker for 0.1 s. If its
//! sender disconnects, inflating stops after the current portion.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::time::{Instant, timeout};

use super::rejection::RequestRejection;
use crate::component::{Admission, Intake, Origin};
use crate::lane::Lane;

/// A body that has been received, and its admission. Its bytes are inflated once [`inflate`] has
/// returned it.
pub(super) struct ReceivedBody {
    /// The bytes.
    pub(super) bytes: Bytes,
    /// The room for them in every pipeline that takes the signal.
    pub(super) admission: Box<dyn Admission>,
}

/// The compression of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContentEncoding {
    /// No compression.
    None,
    /// RFC 1952, with any number of members.
    Gzip,
    /// RFC 8878, with any number of frames.
    Zstd,
}

impl ContentEncoding {
    /// Reads the value of `Content-Encoding` or `grpc-encoding`; fails with any other than gzip,
    /// zstd or none.
    pub(super) fn from_header(value: Option<&[u8]>) -> Result<Self, RequestRejection> {
        // Content codings are case-insensitive (RFC 9110, 8.4.1).
        let coding = value.unwrap_or_default();
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if coding.is_empty() || is("identity") => Ok(Self::None),
            // `x-gzip` is an older name of gzip.
            () if is("gzip") || is("x-gzip") => Ok(Self::Gzip),
            () if is("zstd") => Ok(Self::Zstd),
            () => Err(RequestRejection::UnsupportedCompression),
        }
    }
}

/// The largest window of a zstd frame, as a power of two: 8 MiB, which RFC 8878 asks every
/// decoder to support. Without a bound, a frame of a few bytes can demand 2 GiB.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// How many bytes are inflated before the limits are checked again.
const STEP: usize = 64 * 1024;

/// The largest body that is inflated on the worker, in bytes, both compressed and inflated. That
/// takes up to a millisecond; for smaller bodies the way to a thread would cost more than it
/// saves.
const INLINE: usize = 4 * STEP;

/// How many bytes are inflated before checking whether the sender is still there.
const PORTION: usize = 16 * STEP;

/// The longest that a sender waits for room if a destination has `block_on_overflow`. A sender
/// with a later deadline, or none, waits this long.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// The bounds of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BodyLimits {
    /// The most bytes, both as received and inflated.
    pub(super) size: u64,
    /// From the admission of the request to the last byte of its body.
    pub(super) time: Duration,
}

/// Receives a body as it was sent, still compressed. `announced` reads the whole length from the
/// first bytes, for a protocol that states it there. `patience` is how long the sender would wait
/// for room; it applies only if a destination has `block_on_overflow`.
///
/// Cancel safe: dropping the future releases what was admitted.
pub(super) async fn receive<B>(
    body: B,
    limits: BodyLimits,
    announced: fn(&[u8]) -> Option<usize>,
    intake: &dyn Intake,
    patience: Duration,
) -> Result<ReceivedBody, RequestRejection>
where
    B: Body<Data = Bytes>,
{
    let limit = limits.size;
    let expected = body.size_hint().lower();
    if expected > limit {
        return Err(RequestRejection::TooLarge { limit });
    }
    let patience = Instant::now() + patience.min(LONGEST_WAIT);
    let patience = intake.may_wait().then_some(patience);
    let room = BodyAdmission::new(intake, expected, patience).await?;
    match timeout(limits.time, read(body, limit, announced, room)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(RequestRejection::TooSlow),
    }
}

async fn read<B>(
    body: B,
    limit: u64,
    announced: fn(&[u8]) -> Option<usize>,
    mut room: BodyAdmission,
) -> Result<ReceivedBody, RequestRejection>
where
    B: Body<Data = Bytes>,
{
    let expected = room.covered;
    let mut body = std::pin::pin!(body);
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(RequestRejection::Interrupted);
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let received = first.len() + joined.len() + data.len();
        if received as u64 > limit {
            return Err(RequestRejection::TooLarge { limit });
        }
        match room.patience {
            Some(deadline) => room.cover_until(received, deadline).await?,
            None => room.cover(received)?,
        }
        if received == data.len() {
            first = data;
        } else {
            if joined.is_empty() {
                // Reserved at once: a growing buffer would copy, and end up too large.
                let announced = announced(&first).unwrap_or(0);
                let most = usize::try_from(limit).unwrap_or(usize::MAX);
                joined.reserve(expected.max(announced).min(most).max(received));
            }
            joined.extend_from_slice(&std::mem::take(&mut first));
            joined.extend_from_slice(&data);
        }
    }
    let bytes = if joined.is_empty() {
        first
    } else {
        joined.freeze()
    };
    Ok(ReceivedBody {
        bytes,
        admission: room.admission,
    })
}

/// Inflates a received body to at most `limit` bytes; in `lane` if it is large.
///
/// A large body occupies a thread of the lane until it is done, so that there are no more zstd
/// windows and unfinished bodies than the lane has threads. For the same reason a body that turns
/// out large only while it is inflated is begun again in the lane.
///
/// Cancel safe: dropping the future releases what was admitted, once the current portion is
/// inflated.
pub(super) async fn inflate(
    received: ReceivedBody,
    compression: ContentEncoding,
    limit: u64,
    lane: &Lane,
) -> Result<ReceivedBody, RequestRejection> {
    if compression == ContentEncoding::None {
        return Ok(received);
    }
    let ReceivedBody { bytes, admission } = received;
    let mut room = BodyAdmission {
        admission,
        covered: bytes.len(),
        patience: None,
    };
    if bytes.len() <= INLINE {
        let mut inflation = Inflation::new(bytes.clone(), compression, limit, room)?;
        if inflation.inflate(INLINE)? {
            return Ok(inflation.end());
        }
        room = inflation.room;
    }
    let waiting = Arc::new(());
    let waits = Arc::downgrade(&waiting);
    let inflated = lane.run(move || {
        let mut inflation = Inflation::new(bytes, compression, limit, room)?;
        while !inflation.inflate(PORTION)? {
            // The sender has disconnected, so nobody waits for the rest.
            if waits.strong_count() == 0 {
                return Err(RequestRejection::Interrupted);
            }
        }
        Ok(inflation.end())
    });
    let inflated = inflated.await;
    drop(waiting);
    inflated
}

/// The room that has been admitted for a body.
struct BodyAdmission {
    admission: Box<dyn Admission>,
    covered: usize,
    /// Until when to wait for more room; `None` to be refused at once.
    patience: Option<Instant>,
}

impl BodyAdmission {
    async fn new(
        intake: &dyn Intake,
        announced: u64,
        patience: Option<Instant>,
    ) -> Result<Self, RequestRejection> {
        let admission = match patience {
            Some(deadline) => intake.admit(Origin::Push, announced, deadline).await?,
            None => intake.try_admit(Origin::Push, announced)?,
        };
        Ok(Self {
            admission,
            covered: usize::try_from(announced).unwrap_or(usize::MAX),
            patience,
        })
    }

    /// Makes sure that `size` bytes are admitted, waiting for room until `deadline`.
    async fn cover_until(
        &mut self,
        size: usize,
        deadline: Instant,
    ) -> Result<(), RequestRejection> {
        if size > self.covered {
            let missing = (size - self.covered) as u64;
            self.admission.grow_until(missing, deadline).await?;
            self.covered = size;
        }
        Ok(())
    }

    /// Makes sure that `size` bytes are admitted; fails at once if there is no room.
    fn cover(&mut self, size: usize) -> Result<(), RequestRejection> {
        if let Some(missing) = size
            .checked_sub(self.covered)
            .filter(|missing| *missing > 0)
        {
            self.admission.grow(missing as u64)?;
            self.covered = size;
        }
        Ok(())
    }
}

/// A body that is being inflated.
struct Inflation {
    decoder: Box<dyn Read + Send>,
    out: Vec<u8>,
    limit: u64,
    room: BodyAdmission,
}

impl Inflation {
    fn new(
        bytes: Bytes,
        compression: ContentEncoding,
        limit: u64,
        room: BodyAdmission,
    ) -> Result<Self, RequestRejection> {
        let decoder: Box<dyn Read + Send> = match compression {
            ContentEncoding::Zstd => {
                let mut decoder =
                    zstd::stream::read::Decoder::with_buffer(bytes.reader()).map_err(corrupt)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(corrupt)?;
                Box::new(decoder)
            }
            _ => Box::new(flate2::bufread::MultiGzDecoder::new(bytes.reader())),
        };
        Ok(Self {
            decoder,
            out: Vec::new(),
            limit,
            room,
        })
    }

    fn end(self) -> ReceivedBody {
        ReceivedBody {
            bytes: self.out.into(),
            admission: self.room.admission,
        }
    }

    /// Inflates `portion` bytes more, a multiple of [`STEP`], and returns whether the end was
    /// reached.
    fn inflate(&mut self, portion: usize) -> Result<bool, RequestRejection> {
        for _ in 0..portion / STEP {
            let read = (&mut self.decoder)
                .take(STEP as u64)
                .read_to_end(&mut self.out)
                .map_err(corrupt)?;
            if self.out.len() as u64 > self.limit {
                return Err(RequestRejection::TooLarge { limit: self.limit });
            }
            self.room.cover(self.out.len())?;
            if read < STEP {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn corrupt(error: io::Error) -> RequestRejection {
    RequestRejection::Malformed(format!("the compressed body can't be read: {error}"))
}

#[cfg(test)]
// With a path, since the fuzz target includes this file from another directory.
#[path = "body/tests.rs"]
mod tests;
