//! Answers scrapes: plans the page, then writes it piece by piece while it is sent.

use std::collections::{HashMap, HashSet, VecDeque};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::http;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::store::FamilyRef;
use super::{Settings, Shared, lock};
use crate::component::{Handler, Response};
use crate::exposition::{self, Accepted, Chunks, Encoder, Family, Format, Kind, Names};
use crate::telemetry::Telemetry;

/// Makes pages.
pub(super) struct Pages {
    shared: Shared,
    settings: Arc<Settings>,
    /// Whose families stand on the page beside the pipeline's.
    own: Option<Telemetry>,
    /// One page gathers those at a time. Writing needs no bound of its own: it happens on
    /// the runtime's workers, so there is never more of it than there are workers, and a
    /// page in the making is two pieces of memory. A bound would let those who read slowly
    /// keep the others waiting.
    gathering: Arc<Semaphore>,
}

impl Pages {
    pub(super) fn new(shared: Shared, settings: Arc<Settings>, own: Option<Telemetry>) -> Self {
        Self {
            shared,
            settings,
            own,
            gathering: Arc::new(Semaphore::new(1)),
        }
    }
}

impl Handler for Pages {
    fn handle(&self, request: http::request::Parts) -> BoxFuture<'static, Response> {
        let mut accepted = Accepted::from_headers(&request.headers);
        if !self.settings.openmetrics {
            accepted.format = Format::Text;
        }
        let own = self.own.clone();
        let gathering = Arc::clone(&self.gathering);
        let shared = Arc::clone(&self.shared);
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            let own = match own {
                None => Vec::new(),
                Some(telemetry) => {
                    // It is never closed.
                    let _permit = gathering.acquire().await;
                    exposition::families(&telemetry.gather().await)
                }
            };
            let page = Page::new(shared, &settings, own, accepted, Instant::now());
            let mut response = Response::new(StreamBody::new(page).boxed());
            let headers = response.headers_mut();
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static(accepted.format.content_type()),
            );
            headers.insert(VARY, HeaderValue::from_static("accept, accept-encoding"));
            if accepted.gzip {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            response
        })
    }
}

/// A page in the making. Which families it has, and under which names, is decided at the
/// beginning; what comes later stands on the next page.
pub(super) struct Page {
    shared: Shared,
    parts: VecDeque<Part>,
    encoder: Option<Encoder>,
    chunks: Option<Chunks>,
    /// Slots that came later are left out, and series that nobody updated since then.
    born: u64,
    since: Option<Instant>,
}

/// A family to be written.
struct Part {
    own: Option<Family>,
    shared: Option<FamilyRef>,
    /// On this page.
    kind: Kind,
    /// Where to go on; none before the family's own lines are written.
    next: Option<usize>,
}

impl Page {
    pub(super) fn new(
        shared: Shared,
        settings: &Settings,
        own: Vec<Family>,
        accepted: Accepted,
        now: Instant,
    ) -> Self {
        let (parts, born) = {
            let ingest = lock(&shared);
            let (families, names, born) = ingest.store.plan();
            (plan(own, families, names, accepted.format), born)
        };
        Self {
            shared,
            parts,
            encoder: Some(Encoder::new(accepted.format).created(settings.created_samples)),
            chunks: Some(Chunks::new(accepted.gzip)),
            born,
            since: now.checked_sub(settings.expiration),
        }
    }

    /// The next piece; none at the end.
    pub(super) fn next_chunk(&mut self) -> Option<Bytes> {
        let encoder = self.encoder.as_mut()?;
        while let Some(part) = self.parts.front_mut() {
            let done = part.write(&self.shared, encoder, (self.born, self.since));
            if done {
                self.parts.pop_front();
            }
            if encoder.len() >= Chunks::SIZE {
                let chunks = self.chunks.as_mut()?;
                let text = encoder.take(chunks.room());
                let chunk = chunks.push(text);
                if !chunk.is_empty() {
                    return Some(chunk);
                }
            }
        }
        let rest = self.encoder.take()?.finish();
        Some(self.chunks.take()?.finish(rest))
    }
}

impl Stream for Page {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.next_chunk().map(|chunk| Ok(Frame::data(chunk))))
    }
}

impl Part {
    /// Writes what fits into a piece; true once all is written.
    fn write(
        &mut self,
        shared: &Shared,
        encoder: &mut Encoder,
        which: (u64, Option<Instant>),
    ) -> bool {
        if let Some(own) = self.own.as_ref().filter(|_| self.next.is_none()) {
            encoder.family(&own.descriptor, self.kind);
            for series in &own.series {
                encoder.series(series);
            }
        }
        let Some(family) = &self.shared else {
            return true;
        };
        let ingest = lock(shared);
        if self.own.is_none() && self.next.is_none() {
            let Some(descriptor) = ingest.store.descriptor(family) else {
                return true;
            };
            encoder.family(descriptor, self.kind);
        }
        let own: HashSet<&[u8]> = self
            .own
            .iter()
            .flat_map(|family| family.series.iter().map(|series| series.text()))
            .collect();
        self.next = ingest.store.write(
            family,
            self.next.unwrap_or(0),
            encoder,
            Chunks::SIZE,
            which,
            |text| !own.is_empty() && own.contains(text),
        );
        self.next.is_none()
    }
}

/// Decides what the page has: the agent's own families, and the pipeline's as far as their
/// names are free. A family that both have is written once, under the agent's help, and
/// with the agent's series where both have the same.
fn plan(
    own: Vec<Family>,
    families: Vec<FamilyRef>,
    shared_names: &Names,
    format: Format,
) -> VecDeque<Part> {
    let mut own: HashMap<String, Family> = own
        .into_iter()
        .map(|family| (family.descriptor.name.clone(), family))
        .collect();
    let mut names = Names::new();
    for family in own.values() {
        names.claim(&family.descriptor.name, family.descriptor.kind);
    }
    let mut parts: Vec<Part> = Vec::with_capacity(own.len() + families.len());
    if own.is_empty() {
        names = shared_names.clone();
        parts.extend(families.into_iter().map(|family| Part {
            own: None,
            kind: family.kind,
            shared: Some(family),
            next: None,
        }));
    } else {
        for family in families {
            let merged = own
                .get(&*family.name)
                .is_some_and(|held| held.descriptor.kind == family.kind);
            if merged || names.claim(&family.name, family.kind) {
                parts.push(Part {
                    own: own.remove(&*family.name),
                    kind: family.kind,
                    shared: Some(family),
                    next: None,
                });
            }
        }
        parts.extend(own.into_values().map(|family| Part {
            kind: family.descriptor.kind,
            own: Some(family),
            shared: None,
            next: None,
        }));
        parts.sort_by(|a, b| a.name().cmp(b.name()));
    }
    if format == Format::OpenMetrics {
        let counters: HashSet<String> = names
            .openmetrics_counters(
                parts
                    .iter()
                    .filter(|part| part.kind == Kind::Counter)
                    .map(Part::name),
            )
            .into_iter()
            .map(str::to_owned)
            .collect();
        for part in &mut parts {
            if part.kind == Kind::Counter && !counters.contains(part.name()) {
                part.kind = Kind::Unknown;
            }
        }
    }
    parts.into()
}

impl Part {
    fn name(&self) -> &str {
        match (&self.own, &self.shared) {
            (Some(family), _) => &family.descriptor.name,
            (None, Some(family)) => &family.name,
            (None, None) => "",
        }
    }
}
