//! Reads the body of an answer up to a limit, and inflates it.

use std::io::{self, Write};

use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::{Body as _, Incoming};
use hyper::header::CONTENT_ENCODING;
use tokio::task::yield_now;

use super::classify;
use super::room::{BodyPlace, BodyRoom, NoRoom, PageBody};
use crate::receivers::scrape::FailureReason;
use crate::resilience::{FetchError, Outcome};
use crate::yaml::ByteSize;

/// How many bytes are inflated at a time. They become a megabyte at most, which takes a
/// millisecond.
const PORTION: usize = 1024;

/// Compressions that some proxies use whatever is asked for. What else servers write into the
/// header, such as `utf-8`, is no compression, and changes nothing.
const UNASKED: [&str; 4] = ["br", "compress", "deflate", "zstd"];

/// How many inflated bytes there are between two turns of the other tasks.
const TURN: usize = 256 * 1024;

/// Reads the whole body. Cancel safe: dropping the future closes the connection.
///
/// # Errors
///
/// When the body is longer than `longest`, has no room beside others, breaks off, or can't be
/// inflated.
pub(super) async fn read(
    response: Response<Incoming>,
    longest: u64,
    room: &BodyRoom,
) -> Result<PageBody, FetchError> {
    // Of a chunked body `Content-Length` says nothing, and some exporters write the length before
    // compression there; so hyper is asked and not the header.
    let stated = response.body().size_hint().exact();
    if stated.is_some_and(|length| length > longest) {
        return Err(too_large(longest));
    }
    let coding = response.headers().get(CONTENT_ENCODING);
    let coding = coding.map_or(&b""[..], |value| value.as_bytes());
    let is = |name: &&str| coding.eq_ignore_ascii_case(name.as_bytes());
    if let Some(name) = UNASKED.iter().find(|name| is(name)) {
        let message = format!("the answer is compressed as {name}, which wasn't asked for");
        return Err(FailureReason::Parse.error(message));
    }
    let is_gzip = ["gzip", "x-gzip"].iter().any(is);
    let mut text = Text::new(is_gzip, longest, room.place());
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| classify::broken(&error))?;
        if let Ok(data) = frame.into_data() {
            text.take(&data).await?;
        }
    }
    text.finish()
}

fn too_large(longest: u64) -> FetchError {
    let message = format!("the body is larger than {}", ByteSize(longest));
    FailureReason::Limit.error(message)
}

/// No fault of the endpoint: its body would be taken if others weren't there.
fn no_room(most: usize) -> FetchError {
    let most = ByteSize(most as u64);
    let message = format!("the bodies that came and haven't been read take {most} already");
    FetchError::new(Outcome::Local, message)
}

/// What has been read of a body.
enum Text {
    Plain(Bounded),
    Gzip {
        decoder: Box<MultiGzDecoder<Bounded>>,
        is_empty: bool,
        /// How many bytes there were when the others had their turn.
        turn: usize,
    },
}

/// A buffer that refuses what exceeds its limit, or the room of all.
struct Bounded {
    bytes: Vec<u8>,
    longest: u64,
    place: BodyPlace,
    /// Why it has refused.
    refusal: Option<FetchError>,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.bytes.len() + bytes.len();
        if length as u64 > self.longest {
            self.refusal = Some(too_large(self.longest));
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        if let Err(NoRoom { most }) = self.place.grow_to(length.max(self.bytes.capacity())) {
            self.refusal = Some(no_room(most));
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Bounded {
    fn failed(&self, error: &io::Error) -> FetchError {
        let refusal = self.refusal.clone();
        refusal.unwrap_or_else(|| FailureReason::Parse.error(error.to_string()))
    }
}

impl Text {
    fn new(is_gzip: bool, longest: u64, place: BodyPlace) -> Self {
        let bounded = Bounded {
            bytes: Vec::new(),
            longest,
            place,
            refusal: None,
        };
        match is_gzip {
            false => Self::Plain(bounded),
            true => Self::Gzip {
                decoder: Box::new(MultiGzDecoder::new(bounded)),
                is_empty: true,
                turn: 0,
            },
        }
    }

    /// Adds a piece of the body. A compressed one may become a thousand times as long, so the
    /// other tasks get their turns in between.
    async fn take(&mut self, data: &[u8]) -> Result<(), FetchError> {
        match self {
            Self::Plain(text) => {
                let written = text.write_all(data);
                written.map_err(|error| text.failed(&error))
            }
            Self::Gzip {
                decoder,
                is_empty,
                turn,
            } => {
                *is_empty &= data.is_empty();
                for portion in data.chunks(PORTION) {
                    let written = decoder.write_all(portion);
                    written.map_err(|error| decoder.get_ref().failed(&error))?;
                    let inflated = decoder.get_ref().bytes.len();
                    if inflated - *turn >= TURN {
                        *turn = inflated;
                        yield_now().await;
                    }
                }
                Ok(())
            }
        }
    }

    fn finish(self) -> Result<PageBody, FetchError> {
        let text = match self {
            Self::Plain(text) => text,
            // An empty page may be labelled as compressed, too.
            Self::Gzip { is_empty: true, .. } => return Ok(PageBody::default()),
            Self::Gzip { mut decoder, .. } => {
                let finished = decoder.try_finish();
                finished.map_err(|error| decoder.get_ref().failed(&error))?;
                let finished = decoder.finish();
                finished.map_err(|error| FailureReason::Parse.error(error.to_string()))?
            }
        };
        Ok(PageBody::new(text.bytes, text.place))
    }
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    async fn inflated(body: &[u8], longest: u64) -> Result<Vec<u8>, FetchError> {
        inflated_in(&BodyRoom::default(), body, longest).await
    }

    async fn inflated_in(
        room: &BodyRoom,
        body: &[u8],
        longest: u64,
    ) -> Result<Vec<u8>, FetchError> {
        let mut text = Text::new(true, longest, room.place());
        for piece in body.chunks(700) {
            text.take(piece).await?;
        }
        Ok(text.finish()?.to_vec())
    }

    #[tokio::test]
    async fn a_body_for_which_there_is_no_room_beside_others_is_no_fault_of_the_endpoint() {
        let room = BodyRoom::new(1000);
        let mut other = room.place();
        other.grow_to(1).unwrap();
        let body = gzip(&vec![0; 10_000]);
        let error = inflated_in(&room, &body, 20_000).await.unwrap_err();
        assert_eq!(error.outcome, Outcome::Local);
        assert_eq!(FailureReason::of(&error), FailureReason::Limit);
        drop(other);
        let alone = inflated_in(&room, &body, 20_000).await;
        assert_eq!(alone.unwrap().len(), 10_000);
    }

    #[tokio::test]
    async fn gzip_is_read_in_any_number_of_members_and_in_nothing_less_than_whole_ones() {
        let (first, second) = (gzip(b"a 1\n"), gzip(b"b 2\n"));
        let both = [first.clone(), second].concat();
        assert_eq!(inflated(&both, 100).await.unwrap(), b"a 1\nb 2\n");
        assert_eq!(inflated(b"", 100).await.unwrap(), b"");
        let cut = inflated(&first[..first.len() - 3], 100).await;
        assert_eq!(FailureReason::of(&cut.unwrap_err()), FailureReason::Parse);
        let wrong = inflated(b"a 1\nb 2\nc 3\n", 100).await;
        assert_eq!(FailureReason::of(&wrong.unwrap_err()), FailureReason::Parse);
    }

    #[tokio::test]
    async fn a_bomb_is_noticed_at_the_limit() {
        let bomb = gzip(&vec![0; 1 << 20]);
        let error = inflated(&bomb, 1000).await.unwrap_err();
        assert_eq!(FailureReason::of(&error), FailureReason::Limit);
        assert_eq!(inflated(&bomb, 1 << 20).await.unwrap().len(), 1 << 20);
    }

    #[tokio::test]
    async fn inflating_lets_others_run() {
        let bomb = gzip(&vec![0; 16 << 20]);
        let turns = tokio::spawn(async {
            for turn in 0_u32.. {
                if turn == 10 {
                    return;
                }
                yield_now().await;
            }
        });
        let text = inflated(&bomb, 16 << 20).await;
        assert_eq!(text.unwrap().len(), 16 << 20);
        assert!(turns.is_finished(), "it ran ten times in between");
    }
}
