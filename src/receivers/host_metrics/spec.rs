//! The metrics of a scraper, and which of them a configuration wants.

use crate::pdata::writer::MetricKind;
use crate::yaml::{FromValue, PlacedNode};

/// A metric as the Collector describes it.
#[derive(Debug, PartialEq)]
pub(super) struct MetricSpec {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) unit: &'static str,
    pub(super) kind: MetricKind,
    /// Whether it is written without being asked for.
    pub(super) enabled: bool,
    /// The keys of its points' attributes.
    pub(super) attributes: &'static [&'static str],
}

impl MetricSpec {
    pub(super) const fn new(
        kind: MetricKind,
        name: &'static str,
        unit: &'static str,
        attributes: &'static [&'static str],
        description: &'static str,
    ) -> Self {
        Self {
            name,
            description,
            unit,
            kind,
            enabled: true,
            attributes,
        }
    }

    /// The same metric, written only where it is asked for.
    pub(super) const fn optional(self) -> Self {
        Self {
            enabled: false,
            ..self
        }
    }
}

/// `metrics` of a scraper: what is written, by the positions of its specs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricChoices {
    choices: Vec<MetricChoice>,
}

/// What is chosen for one metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricChoice {
    pub(super) enabled: bool,
    /// The attributes that its points keep; `None` keeps them all.
    pub(super) attributes: Option<Vec<&'static str>>,
    pub(super) strategy: AggregationStrategy,
}

/// What becomes of points that have the same attributes left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AggregationStrategy {
    Sum,
    Avg,
    Min,
    Max,
}

impl MetricChoices {
    /// What is written by default.
    pub(super) fn of(specs: &'static [MetricSpec]) -> Self {
        let choices = specs.iter().map(MetricChoice::of);
        Self {
            choices: choices.collect(),
        }
    }

    /// Reads the value of `metrics`.
    pub(super) fn read(
        specs: &'static [MetricSpec],
        value: Option<&PlacedNode<'_>>,
    ) -> Option<Self> {
        let Some(mut fields) = value.map_or_else(|| None, PlacedNode::fields) else {
            return value.is_none().then(|| Self::of(specs));
        };
        let mut choices = Vec::new();
        for spec in specs {
            let choice = match fields.value(spec.name) {
                Some(value) => MetricChoice::read(spec, &value),
                None => Some(MetricChoice::of(spec)),
            };
            choices.push(choice);
        }
        fields.finish();
        let choices: Option<_> = choices.into_iter().collect();
        Some(Self { choices: choices? })
    }

    /// What is chosen for the metric at a position.
    pub(super) fn at(&self, position: usize) -> Option<&MetricChoice> {
        self.choices.get(position)
    }

    /// Whether one of these metrics is written.
    pub(super) fn any(&self, specs: &[MetricSpec], names: &[&str]) -> bool {
        let mut all = specs.iter().zip(&self.choices);
        all.any(|(spec, choice)| choice.enabled && names.contains(&spec.name))
    }
}

impl MetricChoice {
    fn of(spec: &MetricSpec) -> Self {
        Self {
            enabled: spec.enabled,
            attributes: None,
            strategy: match spec.kind {
                MetricKind::Gauge => AggregationStrategy::Avg,
                _ => AggregationStrategy::Sum,
            },
        }
    }

    fn read(spec: &'static MetricSpec, value: &PlacedNode<'_>) -> Option<Self> {
        let default = Self::of(spec);
        let mut fields = value.fields()?;
        let enabled = fields.or("enabled", default.enabled);
        if spec.attributes.is_empty() {
            fields.finish();
            return Some(Self { enabled, ..default });
        }
        let strategy = fields.or("aggregation_strategy", default.strategy);
        let written = fields.value("attributes");
        let written = written.filter(|value| !value.is_null());
        let attributes = written.map(|value| read_attributes(spec, &value));
        fields.finish();
        Some(Self {
            enabled,
            attributes: match attributes {
                Some(attributes) => Some(attributes?),
                None => None,
            },
            strategy,
        })
    }
}

fn read_attributes(spec: &'static MetricSpec, value: &PlacedNode<'_>) -> Option<Vec<&'static str>> {
    let choices: Vec<(&str, &'static str)> =
        spec.attributes.iter().map(|key| (*key, *key)).collect();
    let items = value.items()?;
    let keys: Vec<_> = items.iter().map(|item| item.choice(&choices)).collect();
    keys.into_iter().collect()
}

impl FromValue for AggregationStrategy {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        value.choice(&[
            ("sum", Self::Sum),
            ("avg", Self::Avg),
            ("min", Self::Min),
            ("max", Self::Max),
        ])
    }
}
