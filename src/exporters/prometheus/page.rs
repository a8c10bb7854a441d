//! Answers scrapes: plans the page, then writes it piece by piece while it is sent.
//!
//! A page of 200,000 families takes half a second, on threads that may block. A client that reads
//! slowly occupies none of them, since each piece is made only when it is needed.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, Stream, StreamExt as _};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, VARY};
use hyper::http;
use tokio::time::Instant;

use super::store::FamilyRef;
use super::{PageSettings, SharedPage, lock};
use crate::component::{Handler, Response};
use crate::exposition::{
    self, Accepted, Chunks, Encoder, Family, FamilyNames, Format, Kind, PageWriter,
};
use crate::lane::Lane;
use crate::telemetry::Telemetry;

/// Answers the requests for the page.
pub(super) struct PageHandler {
    shared: SharedPage,
    settings: Arc<PageSettings>,
    /// The agent's own metrics, if they are on this page.
    own: Option<Telemetry>,
    /// The threads on which pieces are made, shared by all requests.
    lane: Lane,
}

/// How many pieces are made at a time. More would take processors from the pipeline.
const THREADS: usize = 2;

/// How many families are listed while the series are locked.
const PLANNED_AT_ONCE: usize = 1024;

impl PageHandler {
    pub(super) fn new(
        shared: SharedPage,
        settings: Arc<PageSettings>,
        own: Option<Telemetry>,
    ) -> Self {
        Self {
            shared,
            settings,
            own,
            lane: Lane::new(THREADS),
        }
    }
}

impl Handler for PageHandler {
    fn handle(&self, request: http::Request<Bytes>) -> BoxFuture<'static, Response> {
        let mut accepted = Accepted::from_headers(request.headers());
        if !self.settings.openmetrics {
            accepted.format = Format::Text;
        }
        let own = self.own.clone();
        let lane = self.lane.clone();
        let shared = Arc::clone(&self.shared);
        let settings = Arc::clone(&self.settings);
        Box::pin(async move {
            let begin = move || {
                let own = own.map_or_else(Vec::new, |telemetry| {
                    exposition::families(&telemetry.gather_now())
                });
                let mut page = Page::new(shared, &settings, own, accepted, Instant::now());
                let first = page.next_piece();
                (page, first)
            };
            let (page, first) = lane.run(begin).await;
            let body = StreamBody::new(pieces(page, first, lane).map(Ok::<_, io::Error>));
            let mut response = Response::new(BodyExt::boxed(body));
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

/// The pieces of a page, after a first one that has been made.
fn pieces(page: Page, first: Option<Bytes>, lane: Lane) -> impl Stream<Item = Frame<Bytes>> {
    let rest = stream::unfold(page, move |mut page| {
        let lane = lane.clone();
        async move {
            let next = move || {
                let piece = page.next_piece()?;
                Some((Frame::data(piece), page))
            };
            lane.run(next).await
        }
    });
    stream::iter(first.map(Frame::data)).chain(rest)
}

/// A page that is being written. Its families and their names are fixed at the beginning; later
/// ones are left for the next page.
pub(super) struct Page {
    shared: SharedPage,
    parts: VecDeque<PlannedFamily>,
    /// `None` after the last piece.
    writer: Option<PageWriter>,
    /// Series created after this number are left out, and so are those not updated since `since`.
    born: u64,
    since: Option<Instant>,
}

/// A family that is to be written.
struct PlannedFamily {
    own: Option<Family>,
    shared: Option<FamilyRef>,
    /// The type that this page shows; OpenMetrics may differ from the family's own.
    kind: Kind,
    /// The slot to continue with; `None` before the family's metadata is written.
    next: Option<usize>,
}

impl Page {
    pub(super) fn new(
        shared: SharedPage,
        settings: &PageSettings,
        own: Vec<Family>,
        accepted: Accepted,
        now: Instant,
    ) -> Self {
        let (families, born) = families(&shared);
        let parts = plan(own, families, accepted.format);
        let encoder = Encoder::new(accepted.format).created(settings.created_samples);
        Self {
            shared,
            parts,
            writer: Some(PageWriter::new(encoder, accepted.gzip)),
            born,
            since: now.checked_sub(settings.expiration),
        }
    }

    /// The next piece; `None` at the end.
    pub(super) fn next_piece(&mut self) -> Option<Bytes> {
        let writer = self.writer.as_mut()?;
        while let Some(part) = self.parts.front_mut() {
            let done = part.write(&self.shared, writer.encoder(), (self.born, self.since));
            if done {
                self.parts.pop_front();
            }
            if let Some(piece) = writer.piece() {
                return Some(piece);
            }
        }
        Some(self.writer.take()?.finish())
    }
}

impl PlannedFamily {
    /// Writes until the piece is full; true if the family is complete.
    fn write(
        &mut self,
        shared: &SharedPage,
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
        let own: HashSet<&[u8]> = self
            .own
            .iter()
            .flat_map(|family| family.series.iter().map(|series| series.text()))
            .collect();
        let ingest = lock(shared);
        if self.own.is_none() && self.next.is_none() {
            let Some(descriptor) = ingest.store.descriptor(family) else {
                return true;
            };
            encoder.family(descriptor, self.kind);
        }
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

/// The families on the page now, and the number that tells later ones from them. The series are
/// unlocked after every [`PLANNED_AT_ONCE`] families.
fn families(shared: &SharedPage) -> (Vec<FamilyRef>, u64) {
    let born = lock(shared).store.born();
    let mut families: Vec<FamilyRef> = Vec::new();
    loop {
        let after = families.last().map(|family| Arc::clone(&family.name));
        let slice = lock(shared)
            .store
            .families(after.as_deref(), PLANNED_AT_ONCE);
        if slice.is_empty() {
            break;
        }
        families.extend(slice);
    }
    families.retain(|family| family.born <= born);
    (families, born)
}

/// Decides which families the page has: the agent's own, and those of the pipeline whose names
/// are free. A family that both have is written once, with the agent's help; a series that both
/// have is the agent's.
fn plan(own: Vec<Family>, families: Vec<FamilyRef>, format: Format) -> VecDeque<PlannedFamily> {
    let mut own: HashMap<String, Family> = own
        .into_iter()
        .map(|family| (family.descriptor.name.clone(), family))
        .collect();
    let mut names = FamilyNames::new();
    for family in own.values() {
        names.claim(&family.descriptor.name, family.descriptor.kind);
    }
    let mut parts: Vec<PlannedFamily> = Vec::with_capacity(own.len() + families.len());
    if own.is_empty() {
        if format == Format::OpenMetrics {
            for family in &families {
                names.claim(&family.name, family.kind);
            }
        }
        parts.extend(families.into_iter().map(|family| PlannedFamily {
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
                parts.push(PlannedFamily {
                    own: own.remove(&*family.name),
                    kind: family.kind,
                    shared: Some(family),
                    next: None,
                });
            }
        }
        parts.extend(own.into_values().map(|family| PlannedFamily {
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
                    .map(PlannedFamily::name),
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

impl PlannedFamily {
    fn name(&self) -> &str {
        match (&self.own, &self.shared) {
            (Some(family), _) => &family.descriptor.name,
            (None, Some(family)) => &family.name,
            (None, None) => "",
        }
    }
}
