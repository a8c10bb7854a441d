//! Random OTLP requests, as bytes: every field of the protocol, and what else protobuf
//! allows.
//!
//! They are written from tables of their own, not by the code under test and not by prost,
//! which can't write unknown fields, groups or messages in several pieces.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each user of the module needs another part of it, and is another crate"
)]

/// What a random request may hold beside the fields of the protocol in their order.
#[derive(Debug, Clone, Copy, Default)]
pub struct Style {
    /// Fields that no schema knows, with numbers from 1 to the largest.
    pub unknown: bool,
    /// Fields in any order; those of one number keep theirs.
    pub shuffled: bool,
    /// Singular fields and oneofs that repeat, unpacked numbers, groups.
    pub irregular: bool,
    /// No infinite numbers: the JSON of other libraries can't say them.
    pub plain: bool,
}

impl Style {
    /// What encoders in use write.
    pub const CANONICAL: Self = Self {
        unknown: false,
        shuffled: false,
        irregular: false,
        plain: false,
    };
    /// What can be read in one pass.
    pub const REGULAR: Self = Self {
        unknown: true,
        shuffled: true,
        irregular: false,
        plain: false,
    };
    /// Whatever protobuf allows.
    pub const ANY: Self = Self {
        unknown: true,
        shuffled: true,
        irregular: true,
        plain: false,
    };
    /// What any library can say in any encoding.
    pub const PLAIN: Self = Self {
        unknown: false,
        shuffled: true,
        irregular: false,
        plain: true,
    };
}

/// An encoded `ExportMetricsServiceRequest`.
pub fn metrics(seed: u64, style: Style) -> Vec<u8> {
    request(METRICS, seed, style)
}

/// An encoded `ExportTraceServiceRequest`.
pub fn traces(seed: u64, style: Style) -> Vec<u8> {
    request(TRACES, seed, style)
}

/// An encoded `ExportLogsServiceRequest`.
pub fn logs(seed: u64, style: Style) -> Vec<u8> {
    request(LOGS, seed, style)
}

/// Whether an `ExportMetricsServiceRequest` that prost accepts holds an id of a wrong length.
pub fn metrics_have_wrong_ids(request: &[u8]) -> bool {
    has_wrong_ids(METRICS, request)
}

/// The same of an `ExportTraceServiceRequest`.
pub fn traces_have_wrong_ids(request: &[u8]) -> bool {
    has_wrong_ids(TRACES, request)
}

/// The same of an `ExportLogsServiceRequest`.
pub fn logs_have_wrong_ids(request: &[u8]) -> bool {
    has_wrong_ids(LOGS, request)
}

fn has_wrong_ids(message: Message, mut rest: &[u8]) -> bool {
    let mut groups = 0;
    while !rest.is_empty() {
        let key = take_varint(&mut rest);
        let content = match key & 7 {
            0 => {
                take_varint(&mut rest);
                continue;
            }
            1 => &rest[..8],
            2 => {
                let length = take_varint(&mut rest) as usize;
                &rest[..length]
            }
            3 => {
                groups += 1;
                continue;
            }
            4 => {
                groups -= 1;
                continue;
            }
            _ => &rest[..4],
        };
        rest = &rest[content.len()..];
        let kind = message
            .iter()
            .find(|(number, ..)| u64::from(*number) == key >> 3)
            .map(|(_, kind, _)| *kind);
        let wrong = match kind {
            // In a group, which no schema knows, numbers mean nothing.
            _ if groups > 0 => false,
            Some(Type::Id(length)) => !content.is_empty() && content.len() != length,
            Some(Type::Message(inner)) => has_wrong_ids(inner(), content),
            _ => false,
        };
        if wrong {
            return true;
        }
    }
    false
}

fn take_varint(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    let mut shift = 0;
    loop {
        let byte = rest[0];
        *rest = &rest[1..];
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            return value;
        }
    }
}

fn request(message: Message, seed: u64, style: Style) -> Vec<u8> {
    Generator {
        random: Random::new(seed),
        style,
    }
    .message(message, 0)
}

/// A small generator of random numbers (SplitMix64).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// From 0 to one below the limit.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in so many times.
    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }
}

#[derive(Clone, Copy)]
enum Type {
    Varint,
    Fixed64,
    Double,
    Fixed32,
    Bytes,
    /// So many bytes, or none.
    Id(usize),
    Str,
    Packed64,
    PackedDouble,
    PackedVarint,
    Message(fn() -> Message),
}

#[derive(Clone, Copy, PartialEq)]
enum Times {
    One,
    Many,
    OneOf,
}

type Message = &'static [(u32, Type, Times)];

use Times::{Many, One, OneOf};
const TRACE_ID: Type = Type::Id(16);
const SPAN_ID: Type = Type::Id(8);

use Type::{Bytes, Double, Fixed32, Fixed64, Packed64, PackedDouble, PackedVarint, Str, Varint};

const fn of(message: fn() -> Message) -> Type {
    Type::Message(message)
}

const METRICS: Message = &[(1, of(|| RESOURCE_METRICS), Many)];
const RESOURCE_METRICS: Message = &[
    (1, of(|| RESOURCE), One),
    (2, of(|| SCOPE_METRICS), Many),
    (3, Str, One),
];
const SCOPE_METRICS: Message = &[
    (1, of(|| SCOPE), One),
    (2, of(|| METRIC), Many),
    (3, Str, One),
];
const METRIC: Message = &[
    (1, Str, One),
    (2, Str, One),
    (3, Str, One),
    (5, of(|| GAUGE), OneOf),
    (7, of(|| SUM), OneOf),
    (9, of(|| HISTOGRAM), OneOf),
    (10, of(|| EXPONENTIAL), OneOf),
    (11, of(|| SUMMARY), OneOf),
    (12, of(|| KEY_VALUE), Many),
];
const GAUGE: Message = &[(1, of(|| NUMBER_POINT), Many)];
const SUM: Message = &[
    (1, of(|| NUMBER_POINT), Many),
    (2, Varint, One),
    (3, Varint, One),
];
const HISTOGRAM: Message = &[(1, of(|| HISTOGRAM_POINT), Many), (2, Varint, One)];
const EXPONENTIAL: Message = &[(1, of(|| EXPONENTIAL_POINT), Many), (2, Varint, One)];
const SUMMARY: Message = &[(1, of(|| SUMMARY_POINT), Many)];
const NUMBER_POINT: Message = &[
    (2, Fixed64, One),
    (3, Fixed64, One),
    (4, Double, OneOf),
    (5, of(|| EXEMPLAR), Many),
    (6, Fixed64, OneOf),
    (7, of(|| KEY_VALUE), Many),
    (8, Varint, One),
];
const HISTOGRAM_POINT: Message = &[
    (2, Fixed64, One),
    (3, Fixed64, One),
    (4, Fixed64, One),
    (5, Double, One),
    (6, Packed64, One),
    (7, PackedDouble, One),
    (8, of(|| EXEMPLAR), Many),
    (9, of(|| KEY_VALUE), Many),
    (10, Varint, One),
    (11, Double, One),
    (12, Double, One),
];
const EXPONENTIAL_POINT: Message = &[
    (1, of(|| KEY_VALUE), Many),
    (2, Fixed64, One),
    (3, Fixed64, One),
    (4, Fixed64, One),
    (5, Double, One),
    (6, Varint, One),
    (7, Fixed64, One),
    (8, of(|| BUCKETS), One),
    (9, of(|| BUCKETS), One),
    (10, Varint, One),
    (11, of(|| EXEMPLAR), Many),
    (12, Double, One),
    (13, Double, One),
    (14, Double, One),
];
const BUCKETS: Message = &[(1, Varint, One), (2, PackedVarint, One)];
const SUMMARY_POINT: Message = &[
    (2, Fixed64, One),
    (3, Fixed64, One),
    (4, Fixed64, One),
    (5, Double, One),
    (6, of(|| QUANTILE), Many),
    (7, of(|| KEY_VALUE), Many),
    (8, Varint, One),
];
const QUANTILE: Message = &[(1, Double, One), (2, Double, One)];
const EXEMPLAR: Message = &[
    (2, Fixed64, One),
    (3, Double, OneOf),
    (4, SPAN_ID, One),
    (5, TRACE_ID, One),
    (6, Fixed64, OneOf),
    (7, of(|| KEY_VALUE), Many),
];

const TRACES: Message = &[(1, of(|| RESOURCE_SPANS), Many)];
const RESOURCE_SPANS: Message = &[
    (1, of(|| RESOURCE), One),
    (2, of(|| SCOPE_SPANS), Many),
    (3, Str, One),
];
const SCOPE_SPANS: Message = &[
    (1, of(|| SCOPE), One),
    (2, of(|| SPAN), Many),
    (3, Str, One),
];
const SPAN: Message = &[
    (1, TRACE_ID, One),
    (2, SPAN_ID, One),
    (3, Str, One),
    (4, SPAN_ID, One),
    (5, Str, One),
    (6, Varint, One),
    (7, Fixed64, One),
    (8, Fixed64, One),
    (9, of(|| KEY_VALUE), Many),
    (10, Varint, One),
    (11, of(|| EVENT), Many),
    (12, Varint, One),
    (13, of(|| LINK), Many),
    (14, Varint, One),
    (15, of(|| STATUS), One),
    (16, Fixed32, One),
];
const EVENT: Message = &[
    (1, Fixed64, One),
    (2, Str, One),
    (3, of(|| KEY_VALUE), Many),
    (4, Varint, One),
];
const LINK: Message = &[
    (1, TRACE_ID, One),
    (2, SPAN_ID, One),
    (3, Str, One),
    (4, of(|| KEY_VALUE), Many),
    (5, Varint, One),
    (6, Fixed32, One),
];
const STATUS: Message = &[(2, Str, One), (3, Varint, One)];

const LOGS: Message = &[(1, of(|| RESOURCE_LOGS), Many)];
const RESOURCE_LOGS: Message = &[
    (1, of(|| RESOURCE), One),
    (2, of(|| SCOPE_LOGS), Many),
    (3, Str, One),
];
const SCOPE_LOGS: Message = &[
    (1, of(|| SCOPE), One),
    (2, of(|| LOG_RECORD), Many),
    (3, Str, One),
];
const LOG_RECORD: Message = &[
    (1, Fixed64, One),
    (2, Varint, One),
    (3, Str, One),
    (5, of(|| ANY_VALUE), One),
    (6, of(|| KEY_VALUE), Many),
    (7, Varint, One),
    (8, Fixed32, One),
    (9, TRACE_ID, One),
    (10, SPAN_ID, One),
    (11, Fixed64, One),
    (12, Str, One),
];

const RESOURCE: Message = &[
    (1, of(|| KEY_VALUE), Many),
    (2, Varint, One),
    (3, of(|| ENTITY_REF), Many),
];
const ENTITY_REF: Message = &[(1, Str, One), (2, Str, One), (3, Str, Many), (4, Str, Many)];
const SCOPE: Message = &[
    (1, Str, One),
    (2, Str, One),
    (3, of(|| KEY_VALUE), Many),
    (4, Varint, One),
];
const KEY_VALUE: Message = &[(1, Str, One), (2, of(|| ANY_VALUE), One), (3, Varint, One)];
const ANY_VALUE: Message = &[
    (1, Str, OneOf),
    (2, Varint, OneOf),
    (3, Varint, OneOf),
    (4, Double, OneOf),
    (5, of(|| ARRAY), OneOf),
    (6, of(|| MAP), OneOf),
    (7, Bytes, OneOf),
    (8, Varint, OneOf),
];
const ARRAY: Message = &[(1, of(|| ANY_VALUE), Many)];
const MAP: Message = &[(1, of(|| KEY_VALUE), Many)];

/// Few, so that attribute keys repeat.
const STRINGS: [&str; 10] = [
    "a",
    "b",
    "",
    "service.name",
    "host",
    "naïve",
    "日本語",
    "\u{10ffff}",
    "with \"quotes\" & <tags>\n",
    "a text that is long enough to need two bytes for its length, which begins at one hundred and \
     twenty-eight, so a few more words are needed here",
];

struct Generator {
    random: Random,
    style: Style,
}

impl Generator {
    fn message(&mut self, message: Message, depth: usize) -> Vec<u8> {
        let chosen = self.random.below(message.len());
        let member = message[chosen..]
            .iter()
            .chain(message)
            .find(|(_, _, times)| *times == OneOf)
            .map(|(number, _, _)| *number);
        let mut fields: Vec<(u32, Vec<u8>)> = Vec::new();
        for &(number, kind, times) in message {
            // Some fields are absent, and recursion ends some time.
            let present = !self.random.one_in(4)
                && (depth < 12 || !matches!(kind, Type::Message(_)))
                && (times != OneOf || Some(number) == member);
            let mut count = match times {
                Many => self.random.below(4),
                One | OneOf => 1,
            };
            if self.style.irregular && self.random.one_in(25) {
                count += 1;
            } else if !present {
                continue;
            }
            for _ in 0..count {
                fields.push((number, self.field(number, kind, depth)));
            }
        }
        if self.style.unknown && self.random.one_in(4) {
            let number = self.random.pick(&[4, 17, 100, 5000, (1 << 29) - 1]);
            if message.iter().all(|(known, _, _)| *known != number) {
                let field = self.unknown(number, depth);
                fields.push((number, field));
            }
        }
        if self.style.shuffled && self.random.one_in(3) {
            self.shuffle(&mut fields);
        }
        fields.into_iter().flat_map(|(_, field)| field).collect()
    }

    /// Keeps the order of the fields of one number: it means something.
    fn shuffle(&mut self, fields: &mut Vec<(u32, Vec<u8>)>) {
        let mut shuffled: Vec<(u32, Vec<u8>)> = Vec::new();
        for field in fields.drain(..) {
            let after_its_like = shuffled
                .iter()
                .rposition(|other| other.0 == field.0)
                .map_or(0, |last| last + 1);
            let at = after_its_like + self.random.below(shuffled.len() - after_its_like + 1);
            shuffled.insert(at, field);
        }
        *fields = shuffled;
    }

    fn field(&mut self, number: u32, kind: Type, depth: usize) -> Vec<u8> {
        let mut out = Vec::new();
        match kind {
            Varint => {
                self.key(number, 0, &mut out);
                varint(self.integer(), &mut out);
            }
            Fixed64 => {
                self.key(number, 1, &mut out);
                out.extend(self.integer().to_le_bytes());
            }
            Double => {
                self.key(number, 1, &mut out);
                out.extend(self.double().to_le_bytes());
            }
            Fixed32 => {
                self.key(number, 5, &mut out);
                out.extend((self.integer() as u32).to_le_bytes());
            }
            Bytes => {
                let length = self.random.pick(&[0, 1, 2, 3, 8, 16]);
                let bytes: Vec<u8> = (0..length).map(|_| self.random.next() as u8).collect();
                self.delimited(number, &bytes, &mut out);
            }
            Type::Id(length) => {
                let length = self.random.pick(&[0, length, length]);
                let bytes: Vec<u8> = (0..length).map(|_| self.random.next() as u8).collect();
                self.delimited(number, &bytes, &mut out);
            }
            Str => {
                let text = self.random.pick(&STRINGS);
                self.delimited(number, text.as_bytes(), &mut out);
            }
            Packed64 | PackedDouble | PackedVarint => {
                let values: Vec<u64> = (0..self.random.below(6))
                    .map(|_| match kind {
                        PackedDouble => self.double().to_bits(),
                        _ => self.integer(),
                    })
                    .collect();
                let unpacked = self.style.irregular && self.random.one_in(8);
                let mut packed = Vec::new();
                for value in values {
                    let wire = if matches!(kind, PackedVarint) { 0 } else { 1 };
                    if unpacked {
                        self.key(number, wire, &mut packed);
                    }
                    if wire == 1 {
                        packed.extend(value.to_le_bytes());
                    } else {
                        varint(value, &mut packed);
                    }
                }
                if unpacked {
                    return packed;
                }
                self.delimited(number, &packed, &mut out);
            }
            Type::Message(inner) => {
                let content = self.message(inner(), depth + 1);
                self.delimited(number, &content, &mut out);
            }
        }
        out
    }

    fn unknown(&mut self, number: u32, depth: usize) -> Vec<u8> {
        if self.style.irregular && self.random.one_in(3) && depth < 30 {
            let mut out = Vec::new();
            self.key(number, 3, &mut out);
            for inner in 1..=self.random.below(3) as u32 {
                out.extend(self.unknown(inner, depth + 1));
            }
            self.key(number, 4, &mut out);
            return out;
        }
        let kind = self.random.pick(&[Varint, Fixed64, Fixed32, Bytes, Str]);
        self.field(number, kind, depth)
    }

    fn key(&mut self, number: u32, wire: u32, out: &mut Vec<u8>) {
        varint(u64::from(number << 3 | wire), out);
    }

    fn delimited(&mut self, number: u32, content: &[u8], out: &mut Vec<u8>) {
        self.key(number, 2, out);
        varint(content.len() as u64, out);
        out.extend_from_slice(content);
    }

    fn integer(&mut self) -> u64 {
        let any = self.random.next();
        self.random.pick(&[
            0,
            1,
            2,
            9,
            127,
            128,
            300,
            u64::from(u32::MAX),
            u64::MAX,
            any,
        ])
    }

    fn double(&mut self) -> f64 {
        let any = self.random.below(1_000_000) as f64 / 1000.0;
        if self.style.plain {
            return self.random.pick(&[0.0, 1.0, -2.5, 1e-9, 1e300, any]);
        }
        self.random.pick(&[
            0.0,
            -0.0,
            1.0,
            -2.5,
            1e-9,
            1e300,
            f64::INFINITY,
            f64::NEG_INFINITY,
            any,
        ])
    }
}

fn varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
