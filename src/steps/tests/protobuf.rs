//! What reads encoded requests: the walk, views, visits, edits, splits, and JSON both ways.

use super::work_at_most_doubles;
use crate::pdata::view::{LogRecord, Metric, Point, Resource, Scope, Span};
use crate::pdata::writer::{MetricDescriptor, MetricKind, MetricsWriter};
use crate::pdata::{Action, At, Batch, Edit, Part, Replacement, Signal, json};

/// A page: its signal, the field numbers of the messages around, outermost first, and what is
/// repeated in the innermost until the page has its size.
struct Page {
    name: &'static str,
    signal: Signal,
    around: &'static [u32],
    unit: Vec<u8>,
}

impl Page {
    fn of(&self, size: usize) -> Vec<u8> {
        let inner = self.unit.repeat(size.div_ceil(self.unit.len()));
        let around = self.around.iter().rev();
        around.fold(inner, |content, number| field(*number, &content))
    }
}

pub(super) fn key(number: u32, wire: u32) -> Vec<u8> {
    varint(u64::from(number << 3 | wire))
}

pub(super) fn varint(value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    prost::encoding::encode_varint(value, &mut out);
    out
}

pub(super) fn field(number: u32, content: &[u8]) -> Vec<u8> {
    [&key(number, 2), &varint(content.len() as u64), content].concat()
}

pub(super) fn number(number: u32, value: u64) -> Vec<u8> {
    [key(number, 0), varint(value)].concat()
}

fn nested(depth: usize, core: Vec<u8>) -> Vec<u8> {
    (0..depth).fold(core, |value, _| field(5, &field(1, &value)))
}

const RECORD: &[u32] = &[1, 2, 2];
const BODY: &[u32] = &[1, 2, 2, 5];
const METRIC: &[u32] = &[1, 2, 2];
const POINT: &[u32] = &[1, 2, 2, 5, 1];

fn pages() -> Vec<Page> {
    let attribute =
        |number: u32, value: &[u8]| field(number, &[field(1, b"key"), field(2, value)].concat());
    let logs = |name, around, unit| Page {
        name,
        signal: Signal::Logs,
        around,
        unit,
    };
    let metrics = |name, around, unit| Page {
        name,
        signal: Signal::Metrics,
        around,
        unit,
    };
    let traces = |name, around, unit| Page {
        name,
        signal: Signal::Traces,
        around,
        unit,
    };
    let group = [key(100, 3).repeat(40), key(100, 4).repeat(40)].concat();
    vec![
        logs(
            "two members of a oneof in turn",
            BODY,
            [number(2, 1), number(3, 1)].concat(),
        ),
        logs(
            "messages of a oneof in turn",
            BODY,
            [field(5, &[]), field(6, &[])].concat(),
        ),
        logs(
            "one member of a oneof",
            BODY,
            field(5, &field(1, &number(3, 1))),
        ),
        logs("a body in pieces", RECORD, field(5, &[])),
        logs("a singular number again and again", RECORD, number(7, 1)),
        logs("groups", RECORD, group),
        logs("unknown fields", RECORD, number(100, 1)),
        logs("long varints", RECORD, number(100, u64::MAX)),
        logs(
            "attributes and texts in turn",
            RECORD,
            [attribute(6, &number(3, 1)), field(3, b"x")].concat(),
        ),
        logs(
            "deep values",
            RECORD,
            attribute(6, &nested(20, field(1, b"x"))),
        ),
        logs(
            "wide values",
            BODY,
            field(5, &field(1, &number(2, 1)).repeat(40)),
        ),
        logs("a wide array", &[1, 2, 2, 5, 5], field(1, &number(2, 1))),
        logs(
            "a map of one key",
            &[1, 2, 2, 5, 6],
            field(1, &field(1, b"key")),
        ),
        logs("a long text", &[1, 2, 2, 3], "\u{e4}".as_bytes().to_vec()),
        logs("empty resources", &[], field(1, &[])),
        logs("empty records", &[1, 2], field(2, &[])),
        logs("a resource in pieces", &[1], field(1, &attribute(1, &[]))),
        metrics(
            "kinds of data in turn",
            METRIC,
            [field(5, &field(1, &[])), field(7, &field(1, &[]))].concat(),
        ),
        metrics("points", &[1, 2, 2, 5], field(1, &number(8, 1))),
        metrics("empty points", &[1, 2, 2, 9], field(1, &[])),
        metrics(
            "attributes of a point",
            POINT,
            attribute(7, &field(1, b"x")),
        ),
        metrics(
            "attributes and exemplars in turn",
            POINT,
            [attribute(7, &[]), field(5, &[])].concat(),
        ),
        metrics(
            "unpacked counts",
            &[1, 2, 2, 9, 1],
            [key(6, 1), vec![0; 8]].concat(),
        ),
        metrics(
            "packed counts in pieces",
            &[1, 2, 2, 9, 1],
            field(6, &[0; 8]),
        ),
        metrics(
            "buckets in pieces",
            &[1, 2, 2, 10, 1],
            field(8, &field(2, &[1])),
        ),
        metrics("scopes", &[1], field(2, &field(1, b""))),
        traces("spans", &[1, 2], field(2, &field(5, b"name"))),
        traces(
            "events, links and attributes in turn",
            &[1, 2, 2],
            [field(11, &[]), field(13, &[]), attribute(9, &[])].concat(),
        ),
    ]
}

/// Reads all pages for which there is a batch.
fn hold(what: &str, read: impl Fn(Signal, &[u8])) {
    for page in pages() {
        let name = format!("{what}: {}", page.name);
        work_at_most_doubles(
            &name,
            |size| page.of(size),
            |bytes| read(page.signal, bytes),
        );
    }
}

fn decode(signal: Signal, bytes: &[u8]) -> Batch {
    Batch::decode(signal, bytes.to_vec().into()).unwrap()
}

#[test]
fn the_walk_does_at_most_twice_the_work_for_twice_the_bytes() {
    hold("walk", |signal, bytes| drop(decode(signal, bytes)));
}

#[test]
fn views_do_at_most_twice_the_work_for_twice_the_bytes() {
    hold("views", |signal, bytes| view(&decode(signal, bytes)));
}

#[test]
fn json_is_written_with_at_most_twice_the_work_for_twice_the_bytes() {
    hold("write", |signal, bytes| {
        drop(as_json(signal, &decode(signal, bytes)))
    });
}

#[test]
fn json_is_read_with_at_most_twice_the_work_for_twice_the_bytes() {
    for page in pages() {
        let text = |size| as_json(page.signal, &decode(page.signal, &page.of(size)));
        // What is merged into one value is no page.
        if text(1 << 13).len() > text(1 << 12).len() + 1000 {
            work_at_most_doubles(page.name, text, |text| {
                json::decode(page.signal, text).unwrap();
            });
        }
    }
    let texts: [(&str, &str, &str, &str); 5] = [
        (
            "keys that repeat",
            "{",
            r#""resourceLogs":[],"#,
            r#""x":0}"#,
        ),
        ("unknown keys", "{", r#""a":0,"#, r#""x":0}"#),
        ("unknown values", r#"{"x":["#, "[{},0],", "0]}"),
        ("nulls", "{", r#""resourceLogs":null,"#, r#""x":0}"#),
        (
            "members of a oneof in turn",
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"#,
            r#""intValue":1,"boolValue":true,"#,
            r#""intValue":1}}]}]}]}"#,
        ),
    ];
    for (name, begin, unit, end) in texts {
        let text = |size: usize| {
            // In protobuf it is shorter, and must be long enough there.
            let middle = unit.repeat((4 * size).div_ceil(unit.len()));
            format!("{begin}{middle}{end}").into_bytes()
        };
        work_at_most_doubles(name, text, |text| {
            json::decode(Signal::Logs, text).unwrap();
        });
    }
}

#[test]
fn edits_do_at_most_twice_the_work_for_twice_the_bytes() {
    hold("replace", |signal, bytes| {
        decode(signal, bytes).edit(&mut Everything(Action::Keep));
    });
    hold("drop", |signal, bytes| {
        decode(signal, bytes).edit(&mut Everything(Action::Drop));
    });
}

#[test]
fn cuts_do_at_most_twice_the_work_for_twice_the_bytes() {
    hold("cut", |signal, bytes| {
        let batch = decode(signal, bytes);
        let middle = batch.items() / 2;
        drop(batch.split_at(middle));
    });
}

fn as_json(signal: Signal, batch: &Batch) -> Vec<u8> {
    let mut out = Vec::new();
    let write = |part: &Part| json::write(signal, part, &mut out);
    batch.parts().iter().for_each(write);
    out
}

/// Looks at everything that views show.
fn view(batch: &Batch) {
    for resource in batch.resource_metrics() {
        show(resource.attributes());
        for scope in resource.scopes() {
            show(scope.attributes());
            for metric in scope.metrics() {
                for point in metric.data().points() {
                    show(point.attributes());
                }
            }
        }
    }
    for resource in batch.resource_spans() {
        show(resource.attributes());
        for span in resource.scopes().flat_map(|scope| scope.spans()) {
            show(span.attributes());
        }
    }
    for resource in batch.resource_logs() {
        show(resource.attributes());
        for record in resource.scopes().flat_map(|scope| scope.log_records()) {
            show(record.attributes());
            let _ = record.body().to_string();
        }
    }
}

fn show(attributes: crate::pdata::view::Attributes<'_>) {
    for attribute in attributes.iter() {
        let _ = attribute.value.to_string();
    }
}

/// Gives new attributes to everything that has some; what becomes of items is the action.
struct Everything(Action);

impl Everything {
    fn write(&self, new: &mut Replacement) -> Action {
        let value = crate::pdata::view::Value::Str("value");
        new.begin().put("key", &value);
        self.0
    }
}

impl Edit for Everything {
    fn resource(&mut self, _: Resource<'_>, new: &mut Replacement) -> Action {
        self.write(new);
        Action::Keep
    }

    fn scope(&mut self, _: Resource<'_>, _: Scope<'_>, new: &mut Replacement) -> Action {
        self.write(new);
        Action::Keep
    }

    fn point(&mut self, _: At<'_>, _: &Metric<'_>, _: &Point<'_>, new: &mut Replacement) -> Action {
        self.write(new)
    }

    fn span(&mut self, _: At<'_>, _: &Span<'_>, new: &mut Replacement) -> Action {
        self.write(new)
    }

    fn log_record(&mut self, _: At<'_>, _: &LogRecord<'_>, new: &mut Replacement) -> Action {
        self.write(new)
    }
}

/// Messages end within each other, and each length that takes more than a byte makes room for
/// itself.
#[test]
fn nested_messages_are_written_with_at_most_twice_the_work_for_twice_the_bytes() {
    work_at_most_doubles(
        "messages that hold each other",
        |size| vec![b'x'; size],
        |bytes| {
            let mut out = MetricsWriter::new();
            out.resource(&[]);
            out.scope("", "");
            let text = std::str::from_utf8(bytes).unwrap();
            for text in [&text[..text.len() / 2], &text[text.len() / 2..]] {
                out.metric(
                    MetricKind::Gauge,
                    MetricDescriptor {
                        name: text,
                        unit: "",
                        description: "",
                    },
                );
            }
            out.finish();
        },
    );
}
