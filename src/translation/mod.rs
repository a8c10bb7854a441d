//! Translates between OTLP and Prometheus: names, labels, types and values.
//!
//! From OTLP it does what the Collector's `prometheus` exporter does; `docs/prometheus.md` has the
//! rules. Whatever shows a metric in Prometheus's terms goes through here, so that its series have
//! one name everywhere. In the other direction, [`scraped`] makes OTLP of pages, as the Collector's
//! `prometheus` receiver does; `docs/from-prometheus.md` has the rules. What was scraped is shown
//! again under the name that it was scraped with.
//!
//! **Architecture Invariant:** fetches no page, writes none, and keeps no values. What is made here
//! is handed to the component that keeps it; of a target only its series are remembered, so that
//! their ends are known.

mod labels;
mod naming;
mod reading;
pub mod scraped;
mod succession;
mod target;
mod texts;
mod units;

pub use labels::is_internal;
pub use naming::{MetricShape, Namer, Strategy};
pub use reading::{PointMode, TranslatedPoint, meaning, millis};
pub use succession::{Succession, Unfit};
pub use target::TargetLabels;
pub use texts::Texts;

use crate::exposition::{Descriptor, Kind};
use crate::pdata::view::{Metric, Value};

/// The key of the metadata that tells of which type a scraped metric was.
const SCRAPED_TYPE: &str = "prometheus.type";

/// How metrics are translated.
#[derive(Debug, Clone)]
pub struct Translation {
    /// Translates the names of metrics, labels and units.
    pub namer: Namer,
    /// Labels of every series but `target_info`, with translated names.
    pub const_labels: Vec<(String, String)>,
    /// Whether series have the labels `otel_scope_...`.
    pub scope_labels: bool,
    /// Whether the attributes of the resource are labels of its series.
    pub resource_labels: bool,
    /// The most bytes of one text as it was sent: a name, a key, a value, a unit, a help text.
    pub text_bytes: usize,
    /// The most bytes of the keys and texts that become labels of one series.
    pub series_bytes: usize,
}

impl Default for Translation {
    fn default() -> Self {
        Self {
            namer: Namer::new(Strategy::default(), ""),
            const_labels: Vec::new(),
            scope_labels: true,
            resource_labels: false,
            text_bytes: 4 << 10,
            series_bytes: 64 << 10,
        }
    }
}

impl Translation {
    /// The family of a metric; `None` if nothing usable is left of its name. A scraped metric has
    /// the name that it was scraped with: `prometheus.type` in its metadata tells that it has one.
    pub fn family(&self, metric: &Metric<'_>, shape: MetricShape) -> Option<Descriptor> {
        let said = metric.metadata().get(SCRAPED_TYPE);
        let unknown = matches!(said, Some(Value::Str("unknown")));
        let name = match said {
            Some(_) => self.namer.scraped(metric.name()),
            None => self.namer.metric(metric.name(), metric.unit(), shape),
        };
        Some(Descriptor {
            name: name?,
            kind: match shape {
                MetricShape::Gauge if unknown => Kind::Unknown,
                MetricShape::Gauge | MetricShape::UpDownCounter => Kind::Gauge,
                MetricShape::Counter => Kind::Counter,
                MetricShape::Histogram => Kind::Histogram,
                MetricShape::Summary => Kind::Summary,
            },
            unit: self.namer.unit(metric.unit()),
            help: metric.description().to_owned(),
        })
    }

    /// The family that has a line of metadata for each target.
    pub fn target_family(&self) -> Descriptor {
        Descriptor {
            name: self.namer.target_info(),
            kind: Kind::Gauge,
            unit: String::new(),
            help: "Target metadata".to_owned(),
        }
    }
}
