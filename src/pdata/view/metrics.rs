//! Metrics and their data points.

use super::histogram::{ExponentialHistogramPoint, HistogramPoint};
use super::point::{CommonFields, NumberPoint, SummaryPoint, common_accessors};
use super::value::Attributes;
use super::{Repeated, View, text};
use crate::pdata::wire::{self, WireFields};

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric<'a> {
    raw: &'a [u8],
    name: &'a [u8],
    description: &'a [u8],
    unit: &'a [u8],
    /// Field number and content of the member of the `data` oneof; number 0 for none.
    data: (u32, &'a [u8]),
}

impl<'a> Metric<'a> {
    /// The encoded message.
    pub fn raw(&self) -> &'a [u8] {
        self.raw
    }

    /// Its name, as OTLP has it (dots allowed).
    pub fn name(&self) -> &'a str {
        text(self.name)
    }

    /// One sentence for people, or empty.
    pub fn description(&self) -> &'a str {
        text(self.description)
    }

    /// A UCUM unit, or empty.
    pub fn unit(&self) -> &'a str {
        text(self.unit)
    }

    /// What is said for who translates it, such as `prometheus.type`.
    pub fn metadata(&self) -> Attributes<'a> {
        Attributes::within(self.raw, 12)
    }

    /// Its kind, with the points.
    pub fn data(&self) -> Data<'a> {
        let (number, content) = self.data;
        match number {
            5 => Data::Gauge {
                points: Repeated::new(content, 1),
            },
            7 => {
                let (temporality, monotonic) = aggregation(content);
                Data::Sum {
                    points: Repeated::new(content, 1),
                    temporality,
                    monotonic,
                }
            }
            9 => Data::Histogram {
                points: Repeated::new(content, 1),
                temporality: aggregation(content).0,
            },
            10 => Data::ExponentialHistogram {
                points: Repeated::new(content, 1),
                temporality: aggregation(content).0,
            },
            11 => Data::Summary {
                points: Repeated::new(content, 1),
            },
            _ => Data::Empty,
        }
    }
}

impl<'a> View<'a> for Metric<'a> {
    fn parse(raw: &'a [u8]) -> Self {
        let mut metric = Self {
            raw,
            name: &[],
            description: &[],
            unit: &[],
            data: (0, &[]),
        };
        for field in WireFields::new(raw) {
            if let wire::WireValue::Bytes(content) = field.value {
                match field.number {
                    1 => metric.name = content,
                    2 => metric.description = content,
                    3 => metric.unit = content,
                    5 | 7 | 9 | 10 | 11 => metric.data = (field.number, content),
                    _ => {}
                }
            }
        }
        metric
    }
}

/// Temporality and monotonicity, which encoders write behind the points.
fn aggregation(content: &[u8]) -> (Temporality, bool) {
    let mut temporality = Temporality::Unspecified;
    let mut monotonic = false;
    for field in WireFields::new(content) {
        match (field.number, field.value) {
            (2, wire::WireValue::Varint(1)) => temporality = Temporality::Delta,
            (2, wire::WireValue::Varint(2)) => temporality = Temporality::Cumulative,
            (3, wire::WireValue::Varint(value)) => monotonic = value != 0,
            _ => {}
        }
    }
    (temporality, monotonic)
}

/// What a total counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Temporality {
    /// None was given, or one that OTLP doesn't know.
    Unspecified,
    /// From the previous point.
    Delta,
    /// From the start time, which points share.
    Cumulative,
}

/// The kind of a metric, with its points.
#[derive(Debug, Clone)]
pub enum Data<'a> {
    /// The sender gave no data, or of a kind that OTLP doesn't know.
    Empty,
    /// Values that go up and down.
    Gauge {
        /// Its points.
        points: Repeated<'a, NumberPoint<'a>>,
    },
    /// Totals.
    Sum {
        /// Its points.
        points: Repeated<'a, NumberPoint<'a>>,
        /// What they count from.
        temporality: Temporality,
        /// Whether they never fall.
        monotonic: bool,
    },
    /// Histograms with explicit bounds.
    Histogram {
        /// Its points.
        points: Repeated<'a, HistogramPoint<'a>>,
        /// What they count from.
        temporality: Temporality,
    },
    /// Histograms with exponential buckets.
    ExponentialHistogram {
        /// Its points.
        points: Repeated<'a, ExponentialHistogramPoint<'a>>,
        /// What they count from.
        temporality: Temporality,
    },
    /// Quantiles that the sender has computed.
    Summary {
        /// Its points.
        points: Repeated<'a, SummaryPoint<'a>>,
    },
}

impl<'a> Data<'a> {
    /// The points, whatever their kind.
    pub fn points(self) -> Points<'a> {
        Points(self)
    }
}

/// The points of a metric of any kind; see [`Data::points`].
#[derive(Debug, Clone)]
pub struct Points<'a>(Data<'a>);

impl<'a> Iterator for Points<'a> {
    type Item = Point<'a>;

    #[inline]
    fn next(&mut self) -> Option<Point<'a>> {
        match &mut self.0 {
            Data::Empty => None,
            Data::Gauge { points } | Data::Sum { points, .. } => points.next().map(Point::Number),
            Data::Histogram { points, .. } => points.next().map(Point::Histogram),
            Data::ExponentialHistogram { points, .. } => {
                points.next().map(Point::ExponentialHistogram)
            }
            Data::Summary { points } => points.next().map(Point::Summary),
        }
    }
}

/// A data point of any kind.
#[derive(Debug, Clone, Copy)]
pub enum Point<'a> {
    /// Of a gauge or a sum.
    Number(NumberPoint<'a>),
    /// Of a histogram.
    Histogram(HistogramPoint<'a>),
    /// Of an exponential histogram.
    ExponentialHistogram(ExponentialHistogramPoint<'a>),
    /// Of a summary.
    Summary(SummaryPoint<'a>),
}

impl<'a> Point<'a> {
    common_accessors!();

    fn common(&self) -> &CommonFields<'a> {
        match self {
            Self::Number(point) => point.common(),
            Self::Histogram(point) => point.common(),
            Self::ExponentialHistogram(point) => point.common(),
            Self::Summary(point) => point.common(),
        }
    }
}
