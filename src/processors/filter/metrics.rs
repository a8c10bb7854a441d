//! Which metrics and data points stay.

use super::super::matching::WantedAttributes;
use super::keep_if;
use crate::pdata::view::{Metric, Point, Resource};
use crate::pdata::{Action, At, Edit, Replacement};
use crate::settings::{MatchType, Patterns};
use crate::yaml::{Fields, FromValue, PlacedNode};

/// The `metrics` block, and where the edit stands.
#[derive(Debug, Clone, Default)]
pub(super) struct MetricFilter {
    include: MetricProperties,
    exclude: MetricProperties,
    /// Whether points of the current resource may be excluded by their attributes.
    resource: bool,
    /// Whether points of the current metric may be.
    metric: bool,
}

#[derive(Debug, Clone, Default)]
struct MetricProperties {
    names: Option<Patterns>,
    resources: Option<WantedAttributes>,
    points: Option<WantedAttributes>,
}

impl MetricFilter {
    pub(super) fn from_fields(fields: &mut Fields<'_>) -> Self {
        Self {
            include: fields.or("include", MetricProperties::default()),
            exclude: fields.or("exclude", MetricProperties::default()),
            resource: false,
            metric: false,
        }
    }
}

impl FromValue for MetricProperties {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let match_type = MatchType::from_fields(&mut fields);
        let read_as = match_type.unwrap_or(MatchType::Strict);
        let properties = Self {
            names: Patterns::optional(&mut fields, "metric_names", read_as),
            resources: WantedAttributes::optional(&mut fields, "resource_attributes", read_as),
            points: WantedAttributes::optional(&mut fields, "datapoint_attributes", read_as),
        };
        fields.finish();
        match_type?;
        Some(properties)
    }
}

impl Edit for MetricFilter {
    fn resource(&mut self, resource: Resource<'_>, _: &mut Replacement) -> Action {
        let has = |wanted: &WantedAttributes| wanted.match_all(resource.attributes());
        let (include, exclude) = (&self.include, &self.exclude);
        self.resource = exclude.points.is_some() && exclude.resources.as_ref().is_none_or(has);
        let excluded = exclude.points.is_none() && exclude.resources.as_ref().is_some_and(has);
        keep_if(include.resources.as_ref().is_none_or(has) && !excluded)
    }

    fn metric(&mut self, _: At<'_>, metric: &Metric<'_>) -> Action {
        let has = |names: &Patterns| names.matches(metric.name());
        let (include, exclude) = (&self.include, &self.exclude);
        self.metric = self.resource && exclude.names.as_ref().is_none_or(has);
        let excluded = exclude.points.is_none() && exclude.names.as_ref().is_some_and(has);
        if excluded || !include.names.as_ref().is_none_or(has) {
            Action::Drop
        } else if include.points.is_some() || self.metric {
            Action::Keep
        } else {
            Action::Skip
        }
    }

    fn point(
        &mut self,
        _: At<'_>,
        _: &Metric<'_>,
        point: &Point<'_>,
        _: &mut Replacement,
    ) -> Action {
        let has = |wanted: &WantedAttributes| wanted.match_all(point.attributes());
        let excluded = self.metric && self.exclude.points.as_ref().is_some_and(has);
        keep_if(self.include.points.as_ref().is_none_or(has) && !excluded)
    }
}
