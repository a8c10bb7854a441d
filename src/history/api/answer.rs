//! Answers as JSON, written piece by piece while they are sent.

use std::vec::IntoIter;

use bytes::Bytes;

use super::super::sending::AnswerMaker;
use super::numbers;
use crate::exposition::Chunks;
use crate::query::{LabelSet, NativeHistogram, PointValue, QueryValue, ValueSeries};

/// What a request is answered with.
pub(super) struct ApiAnswer {
    pub(super) data: AnswerData,
    /// What is probably wrong.
    pub(super) warnings: Vec<String>,
    /// What may be wrong.
    pub(super) infos: Vec<String>,
}

/// The data of an answer.
pub(super) enum AnswerData {
    /// What a query came to, at this time where it is of one time.
    Value {
        value: QueryValue,
        time: i64,
        /// An object of JSON.
        stats: Option<Vec<u8>>,
    },
    /// The labels of series.
    Series(Vec<LabelSet>),
    /// Names or values.
    Texts(Vec<String>),
    /// JSON that is written already.
    Json(Vec<u8>),
}

impl ApiAnswer {
    pub(super) fn new(data: AnswerData) -> Self {
        Self {
            data,
            warnings: Vec::new(),
            infos: Vec::new(),
        }
    }

    /// With the warning that there is more than was asked for.
    pub(super) fn truncated(mut self, is_truncated: bool) -> Self {
        if is_truncated {
            let warning = "results truncated due to limit".to_owned();
            self.warnings.push(warning);
        }
        self
    }
}

/// An answer on its way. What has been written is no longer held.
pub(super) struct AnswerPieces {
    head: Vec<u8>,
    items: AnswerItems,
    /// Whether an item has been written.
    begun: bool,
    tail: Vec<u8>,
    /// `None` at the end.
    chunks: Option<Chunks>,
}

/// What stands between the brackets.
enum AnswerItems {
    Samples(IntoIter<(LabelSet, PointValue)>, i64),
    Matrix(IntoIter<ValueSeries>, Option<SeriesText>),
    Series(IntoIter<LabelSet>),
    Texts(IntoIter<String>),
    Nothing,
}

/// A series that is being written.
struct SeriesText {
    series: ValueSeries,
    begun: bool,
    floats: usize,
    histograms: usize,
}

impl AnswerPieces {
    pub(super) fn new(answer: ApiAnswer, gzip: bool) -> Self {
        let mut head = br#"{"status":"success","data":"#.to_vec();
        let mut tail = Vec::new();
        let items = match answer.data {
            AnswerData::Value { value, time, stats } => {
                let items = result(value, time, &mut head, &mut tail);
                if let Some(stats) = stats {
                    tail.extend_from_slice(br#","stats":"#);
                    tail.extend_from_slice(&stats);
                }
                tail.push(b'}');
                items
            }
            AnswerData::Series(series) => {
                head.push(b'[');
                tail.push(b']');
                AnswerItems::Series(series.into_iter())
            }
            AnswerData::Texts(texts) => {
                head.push(b'[');
                tail.push(b']');
                AnswerItems::Texts(texts.into_iter())
            }
            AnswerData::Json(json) => {
                head.extend(json);
                AnswerItems::Nothing
            }
        };
        for (key, notes) in [("warnings", answer.warnings), ("infos", answer.infos)] {
            if !notes.is_empty() {
                tail.extend_from_slice(format!(",\"{key}\":").as_bytes());
                // Texts can always be written to a vector.
                let _ = serde_json::to_writer(&mut tail, &notes);
            }
        }
        tail.push(b'}');
        Self {
            head,
            items,
            begun: false,
            tail,
            chunks: Some(Chunks::new(gzip)),
        }
    }

    /// Writes items until the piece is full; true if that were all.
    fn write(&mut self, out: &mut Vec<u8>) -> bool {
        let comma = |begun: &mut bool, out: &mut Vec<u8>| {
            if std::mem::replace(begun, true) {
                out.push(b',');
            }
        };
        while out.len() < Chunks::SIZE {
            match &mut self.items {
                AnswerItems::Samples(rest, time) => {
                    let Some((labels, value)) = rest.next() else {
                        return true;
                    };
                    comma(&mut self.begun, out);
                    sample(out, &labels, *time, &value);
                }
                AnswerItems::Matrix(rest, current) => {
                    if current.is_none() {
                        let Some(series) = rest.next() else {
                            return true;
                        };
                        comma(&mut self.begun, out);
                        *current = Some(SeriesText::new(series));
                    }
                    if current.as_mut().is_some_and(|series| series.write(out)) {
                        *current = None;
                    }
                }
                AnswerItems::Series(rest) => {
                    let Some(labels) = rest.next() else {
                        return true;
                    };
                    comma(&mut self.begun, out);
                    metric(out, &labels);
                }
                AnswerItems::Texts(rest) => {
                    let Some(text) = rest.next() else {
                        return true;
                    };
                    comma(&mut self.begun, out);
                    numbers::text(out, &text);
                }
                AnswerItems::Nothing => return true,
            }
        }
        false
    }
}

impl AnswerMaker for AnswerPieces {
    fn next_piece(&mut self) -> Option<Bytes> {
        loop {
            let mut text = self.chunks.as_mut()?.room();
            text.clear();
            text.append(&mut self.head);
            let done = self.write(&mut text);
            if done {
                text.append(&mut self.tail);
                return Some(self.chunks.take()?.finish(text));
            }
            let piece = self.chunks.as_mut()?.push(text);
            // Empty while the compressor holds it back.
            if !piece.is_empty() {
                return Some(piece);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.chunks.is_none()
    }
}

/// Writes what stands around the items of a query's value. The object stays open, for what may
/// follow.
fn result(value: QueryValue, time: i64, head: &mut Vec<u8>, tail: &mut Vec<u8>) -> AnswerItems {
    let kind = match &value {
        QueryValue::Scalar(_) => "scalar",
        QueryValue::Text(_) => "string",
        QueryValue::Vector(_) => "vector",
        QueryValue::Matrix(_) => "matrix",
    };
    head.extend_from_slice(format!("{{\"resultType\":\"{kind}\",\"result\":[").as_bytes());
    tail.push(b']');
    match value {
        QueryValue::Scalar(number) => {
            numbers::seconds(head, time);
            head.push(b',');
            numbers::scalar(head, number);
            AnswerItems::Nothing
        }
        QueryValue::Text(text) => {
            numbers::seconds(head, time);
            head.push(b',');
            numbers::text(head, &text);
            AnswerItems::Nothing
        }
        QueryValue::Vector(samples) => AnswerItems::Samples(samples.into_iter(), time),
        QueryValue::Matrix(series) => AnswerItems::Matrix(series.into_iter(), None),
    }
}

impl SeriesText {
    fn new(series: ValueSeries) -> Self {
        Self {
            series,
            begun: false,
            floats: 0,
            histograms: 0,
        }
    }

    /// Writes until the piece is full; true if that was all.
    fn write(&mut self, out: &mut Vec<u8>) -> bool {
        if !self.begun {
            out.extend_from_slice(br#"{"metric":"#);
            metric(out, &self.series.labels);
            self.begun = true;
        }
        let points = &self.series.points;
        let floats = points.times.iter().zip(&points.values).skip(self.floats);
        for (time, value) in floats {
            if out.len() >= Chunks::SIZE {
                return false;
            }
            let first = self.floats == 0;
            out.extend_from_slice(if first { br#","values":["# } else { b"," });
            float_point(out, *time, *value);
            self.floats += 1;
            if self.floats == points.times.len() {
                out.push(b']');
            }
        }
        for (time, histogram) in points.histograms.iter().skip(self.histograms) {
            if out.len() >= Chunks::SIZE {
                return false;
            }
            let first = self.histograms == 0;
            out.extend_from_slice(if first { br#","histograms":["# } else { b"," });
            histogram_point(out, *time, histogram);
            self.histograms += 1;
            if self.histograms == points.histograms.len() {
                out.push(b']');
            }
        }
        out.push(b'}');
        true
    }
}

fn sample(out: &mut Vec<u8>, labels: &LabelSet, time: i64, value: &PointValue) {
    out.extend_from_slice(br#"{"metric":"#);
    metric(out, labels);
    match value {
        PointValue::Float(value) => {
            out.extend_from_slice(br#","value":"#);
            float_point(out, time, *value);
        }
        PointValue::Histogram(histogram) => {
            out.extend_from_slice(br#","histogram":"#);
            histogram_point(out, time, histogram);
        }
    }
    out.push(b'}');
}

fn metric(out: &mut Vec<u8>, labels: &LabelSet) {
    out.push(b'{');
    for (at, label) in labels.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        numbers::text(out, &label.name);
        out.push(b':');
        numbers::text(out, &label.value);
    }
    out.push(b'}');
}

fn float_point(out: &mut Vec<u8>, time: i64, value: f64) {
    out.push(b'[');
    numbers::seconds(out, time);
    out.push(b',');
    numbers::value(out, value);
    out.push(b']');
}

fn histogram_point(out: &mut Vec<u8>, time: i64, histogram: &NativeHistogram) {
    out.push(b'[');
    numbers::seconds(out, time);
    out.extend_from_slice(br#",{"count":"#);
    numbers::value(out, histogram.count);
    out.extend_from_slice(br#","sum":"#);
    numbers::value(out, histogram.sum);
    let buckets = histogram.buckets();
    let populated = buckets.iter().filter(|bucket| bucket.count != 0.0);
    let mut begun = false;
    for bucket in populated {
        let first = !std::mem::replace(&mut begun, true);
        out.extend_from_slice(if first { br#","buckets":["# } else { b"," });
        // Which bounds are inside: the upper, the lower, or both of the zero bucket.
        let inside: &[u8] = match bucket.upper {
            upper if upper == -bucket.lower => b"[3,",
            upper if upper <= 0.0 => b"[1,",
            _ => b"[0,",
        };
        out.extend_from_slice(inside);
        numbers::value(out, bucket.lower);
        out.push(b',');
        numbers::value(out, bucket.upper);
        out.push(b',');
        numbers::value(out, bucket.count);
        out.push(b']');
    }
    if begun {
        out.push(b']');
    }
    out.extend_from_slice(b"}]");
}
