//! One pass over a regular request that copies what stays.

use super::{Action, At, Edit, Replacement};
use crate::pdata::Signal;
use crate::pdata::view::{
    Attributes, Data, LogRecord, Metric, Point, Resource, ResourceGroup, ScopeGroup, Span, View,
};
use crate::pdata::wire::{LEN, WireFields, WireValue, encode_varint, put_varint};
use crate::steps;

pub(super) struct Editor<'a> {
    signal: Signal,
    source: &'a [u8],
    /// How much of the source has been copied, or left out.
    copied: usize,
    out: Vec<u8>,
    /// The messages around the current place, outermost first.
    around: Vec<Around>,
    /// Items that were removed.
    removed: u64,
    /// New attributes of a point, span or log record.
    of_item: Replacement,
}

/// A message that is being looked at, by offsets into the source.
struct Around {
    /// Where its field's key begins.
    field: usize,
    /// Where its content begins.
    content: usize,
    end: usize,
    /// Set once something in it changes.
    opened: Option<Opened>,
}

/// A message of which a part has been written, by offsets into the output.
#[derive(Clone, Copy)]
struct Opened {
    field: usize,
    length: usize,
    content: usize,
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Stays,
    Goes,
}

impl<'a> Editor<'a> {
    /// The edited request and how many items were removed; none where nothing changed.
    pub(super) fn run(
        signal: Signal,
        source: &'a [u8],
        edit: &mut impl Edit,
    ) -> Option<(Vec<u8>, u64)> {
        let mut editor = Self {
            signal,
            source,
            copied: 0,
            out: Vec::new(),
            around: Vec::with_capacity(8),
            removed: 0,
            of_item: Replacement::default(),
        };
        let fate = editor.children(source, None, &[1], &mut |editor, content| {
            editor.resource(content, edit)
        });
        if fate == Fate::Goes {
            return Some((Vec::new(), editor.removed));
        }
        if editor.copied == 0 {
            return None;
        }
        editor.copy_to(source.len());
        Some((editor.out, editor.removed))
    }

    fn resource(&mut self, content: &'a [u8], edit: &mut impl Edit) -> Fate {
        let resource = ResourceGroup::<()>::parse(content).resource();
        let mut new = Replacement::default();
        new.reset(RESOURCE_ATTRIBUTES);
        let action = edit.resource(resource, &mut new);
        if action == Action::Drop {
            self.removed += items_of_resource(self.signal, content);
            return Fate::Goes;
        }
        let head = new
            .instead_of(resource.attributes())
            .map(|new| (RESOURCE_ATTRIBUTES, resource.attributes(), new));
        let children: &[u32] = if action == Action::Skip { &[] } else { &[2] };
        self.children(content, head, children, &mut |editor, content| {
            editor.scope(resource, content, edit)
        })
    }

    fn scope(&mut self, resource: Resource<'a>, content: &'a [u8], edit: &mut impl Edit) -> Fate {
        let scope = ScopeGroup::<()>::parse(content).scope();
        let mut new = Replacement::default();
        new.reset(SCOPE_ATTRIBUTES);
        let action = edit.scope(resource, scope, &mut new);
        if action == Action::Drop {
            self.removed += items_of_scope(self.signal, content);
            return Fate::Goes;
        }
        let head = new
            .instead_of(scope.attributes())
            .map(|new| (SCOPE_ATTRIBUTES, scope.attributes(), new));
        let children: &[u32] = if action == Action::Skip { &[] } else { &[2] };
        let at = At { resource, scope };
        match self.signal {
            Signal::Metrics => self.children(content, head, children, &mut |editor, content| {
                editor.metric(at, content, edit)
            }),
            Signal::Traces => self.children(content, head, children, &mut |editor, content| {
                let span = Span::parse(content);
                editor.item(content, SPAN_ATTRIBUTES, span.attributes(), |new| {
                    edit.span(at, &span, new)
                })
            }),
            Signal::Logs => self.children(content, head, children, &mut |editor, content| {
                let record = LogRecord::parse(content);
                editor.item(content, RECORD_ATTRIBUTES, record.attributes(), |new| {
                    edit.log_record(at, &record, new)
                })
            }),
        }
    }

    fn metric(&mut self, at: At<'a>, content: &'a [u8], edit: &mut impl Edit) -> Fate {
        let metric = Metric::parse(content);
        match edit.metric(at, &metric) {
            Action::Skip => return Fate::Stays,
            Action::Drop => {
                self.removed += items_of_metric(content);
                return Fate::Goes;
            }
            Action::Keep => {}
        }
        let Some((kind, parse, attributes)) = point_kind(&metric) else {
            return Fate::Stays;
        };
        self.children(content, None, &[kind], &mut |editor, content| {
            editor.children(content, None, &[1], &mut |editor, content| {
                let point = parse(content);
                editor.item(content, attributes, point.attributes(), |new| {
                    edit.point(at, &metric, &point, new)
                })
            })
        })
    }

    /// A point, span or log record, whose attributes have this field number.
    #[inline]
    fn item(
        &mut self,
        content: &'a [u8],
        number: u32,
        attributes: Attributes<'a>,
        decide: impl FnOnce(&mut Replacement) -> Action,
    ) -> Fate {
        let mut new = std::mem::take(&mut self.of_item);
        new.reset(number);
        let action = decide(&mut new);
        if action == Action::Drop {
            self.removed += 1;
        } else if let Some(new) = new.instead_of(attributes) {
            self.replace(content, number, attributes, new);
        }
        self.of_item = new;
        if action == Action::Drop {
            Fate::Goes
        } else {
            Fate::Stays
        }
    }

    /// Goes through a message in the order of its fields: puts new attributes into its head
    /// (field 1: a resource or a scope) and looks at its children. It goes when all
    /// children do.
    fn children(
        &mut self,
        content: &'a [u8],
        head: Option<(u32, Attributes<'a>, &[u8])>,
        children: &[u32],
        each: &mut dyn FnMut(&mut Self, &'a [u8]) -> Fate,
    ) -> Fate {
        if let Some((_, _, new)) = head
            && WireFields::new(content).all(|field| field.number != 1)
        {
            self.open();
            self.put_field(1, new);
        }
        let (mut stay, mut go) = (0_u64, 0_u64);
        for field in WireFields::new(content) {
            let WireValue::Bytes(inner) = field.value else {
                continue;
            };
            if children.contains(&field.number) {
                self.enter(field.raw, inner);
                match each(self, inner) {
                    Fate::Stays => {
                        self.leave();
                        stay += 1;
                    }
                    Fate::Goes => {
                        self.leave_out();
                        go += 1;
                    }
                }
            } else if field.number == 1
                && let Some((number, attributes, new)) = head
            {
                self.enter(field.raw, inner);
                self.replace(inner, number, attributes, new);
                self.leave();
            }
        }
        if stay == 0 && go > 0 {
            Fate::Goes
        } else {
            Fate::Stays
        }
    }

    /// Replaces the attributes of the innermost message, which have this field number.
    fn replace(&mut self, content: &'a [u8], number: u32, old: Attributes<'a>, new: &[u8]) {
        self.open();
        if let Some(old) = old.raw_as(number).filter(|old| !old.is_empty()) {
            let start = self.offset(old);
            self.copy_to(start);
            self.write(new);
            self.copied = start + old.len();
            return;
        }
        let mut placed = false;
        for field in WireFields::new(content) {
            if field.number == number {
                let start = self.offset(field.raw);
                self.copy_to(start);
                self.copied = start + field.raw.len();
                if !placed {
                    self.write(new);
                    placed = true;
                }
            }
        }
        if !placed {
            self.copy_to(self.around.last().map_or(0, |message| message.end));
            self.write(new);
        }
    }

    fn enter(&mut self, field: &'a [u8], content: &'a [u8]) {
        let content_at = self.offset(content);
        self.around.push(Around {
            field: self.offset(field),
            content: content_at,
            end: content_at + content.len(),
            opened: None,
        });
    }

    /// Begins to write the messages around the current place, up to the content of the
    /// innermost: something in it changes.
    fn open(&mut self) {
        // What stands around something opened is opened.
        let opened = self.around.iter().rposition(|one| one.opened.is_some());
        for index in opened.map_or(0, |opened| opened + 1)..self.around.len() {
            let Around { field, content, .. } = self.around[index];
            self.copy_to(field);
            let at = self.out.len();
            self.copy_to(content);
            let length = length_of_key(&self.out[at..]);
            self.around[index].opened = Some(Opened {
                field: at,
                length: at + length,
                content: self.out.len(),
            });
        }
    }

    /// Ends the innermost message; one that has changed gets its new length.
    fn leave(&mut self) {
        let Some(Around { end, opened, .. }) = self.around.pop() else {
            return;
        };
        let Some(opened) = opened else { return };
        self.copy_to(end);
        let mut length = [0; 10];
        let used = encode_varint((self.out.len() - opened.content) as u64, &mut length);
        let (length, place) = (&length[..used], opened.length..opened.content);
        if place.len() == used {
            self.out[place].copy_from_slice(length);
        } else {
            steps::count(self.out.len() - opened.content);
            self.out.splice(place, length.iter().copied());
        }
    }

    /// Ends the innermost message, which goes.
    fn leave_out(&mut self) {
        let Some(Around {
            field, end, opened, ..
        }) = self.around.pop()
        else {
            return;
        };
        match opened {
            Some(opened) => self.out.truncate(opened.field),
            None => {
                self.open();
                self.copy_to(field);
            }
        }
        self.copied = end;
    }

    fn put_field(&mut self, number: u32, content: &[u8]) {
        put_varint(&mut self.out, u64::from(number << 3 | LEN));
        put_varint(&mut self.out, content.len() as u64);
        self.write(content);
    }

    /// Copies the source from where copying stopped.
    fn copy_to(&mut self, end: usize) {
        if let Some(between) = self.source.get(self.copied..end) {
            self.write(between);
            self.copied = end;
        }
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.out.capacity() - self.out.len() < bytes.len() {
            self.grow(bytes.len());
        }
        steps::count(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    /// Makes room for so many bytes, or for as many as there will be if it goes on as it has
    /// begun: what is edited waits in queues, and should take up no more memory than they
    /// count.
    #[cold]
    fn grow(&mut self, bytes: usize) {
        steps::count(self.out.len());
        let left = self.source.len().saturating_sub(self.copied);
        let expected = match self.out.len().checked_mul(left) {
            Some(product) if self.copied >= SAMPLE => product / self.copied,
            _ => SAMPLE,
        };
        let room = bytes.max(expected + expected / 32);
        self.out.reserve_exact(room.max(LEAST_ROOM));
    }

    /// Where a slice of the source begins.
    fn offset(&self, slice: &[u8]) -> usize {
        slice
            .as_ptr()
            .addr()
            .saturating_sub(self.source.as_ptr().addr())
    }
}

/// So much of the source tells what becomes of the rest.
const SAMPLE: usize = 2048;

/// The least that the output grows by.
const LEAST_ROOM: usize = 512;

const RESOURCE_ATTRIBUTES: u32 = 1;
const SCOPE_ATTRIBUTES: u32 = 3;
const SPAN_ATTRIBUTES: u32 = 9;
const RECORD_ATTRIBUTES: u32 = 6;

/// How to read a point.
type Parse<'a> = fn(&'a [u8]) -> Point<'a>;

/// Of a metric's points: the field in which they lie, how to read one, and the field number
/// of its attributes.
fn point_kind<'a>(metric: &Metric<'a>) -> Option<(u32, Parse<'a>, u32)> {
    Some(match metric.data() {
        Data::Empty => return None,
        Data::Gauge { .. } => (5, |raw| Point::Number(View::parse(raw)), 7),
        Data::Sum { .. } => (7, |raw| Point::Number(View::parse(raw)), 7),
        Data::Histogram { .. } => (9, |raw| Point::Histogram(View::parse(raw)), 9),
        Data::ExponentialHistogram { .. } => {
            (10, |raw| Point::ExponentialHistogram(View::parse(raw)), 1)
        }
        Data::Summary { .. } => (11, |raw| Point::Summary(View::parse(raw)), 7),
    })
}

fn items_of_resource(signal: Signal, content: &[u8]) -> u64 {
    messages(content, 2)
        .map(|scope| items_of_scope(signal, scope))
        .sum()
}

fn items_of_scope(signal: Signal, content: &[u8]) -> u64 {
    match signal {
        Signal::Metrics => messages(content, 2).map(items_of_metric).sum(),
        Signal::Traces | Signal::Logs => messages(content, 2).count() as u64,
    }
}

fn items_of_metric(content: &[u8]) -> u64 {
    [5, 7, 9, 10, 11]
        .into_iter()
        .flat_map(|kind| messages(content, kind))
        .map(|data| messages(data, 1).count() as u64)
        .sum()
}

/// The content of the messages in a field.
fn messages(content: &[u8], number: u32) -> impl Iterator<Item = &[u8]> {
    WireFields::new(content).filter_map(move |field| match field.value {
        WireValue::Bytes(inner) if field.number == number => Some(inner),
        _ => None,
    })
}

/// Length of the varint at the front.
fn length_of_key(field: &[u8]) -> usize {
    1 + field.iter().take_while(|byte| **byte >= 0x80).count()
}
