//! Opens resources and metrics in the writer as their points come.

use crate::exposition::read::FamilyType;
use crate::pdata::writer::{
    Attribute, AttributeValue, MetricDescriptor, MetricKind, MetricsWriter,
};

use super::ScrapedTarget;
use crate::translation::units::ucum;

/// What is open in the writer.
#[derive(Debug, Default)]
pub(super) struct Opener {
    resource: Option<usize>,
    metric: Option<OpenMetric>,
}

#[derive(Debug, PartialEq, Eq)]
enum OpenMetric {
    Known(usize),
    Lone(String),
}

impl Opener {
    /// Opens a metric, unless it is open. Returns its kind.
    #[inline]
    pub(super) fn metric(
        &mut self,
        target: &ScrapedTarget,
        id: usize,
        out: &mut MetricsWriter,
    ) -> Option<MetricKind> {
        let metric = target.points.metric(id)?;
        let open = OpenMetric::Known(id);
        if self.metric.as_ref() == Some(&open) {
            return Some(metric.kind);
        }
        self.resource(target, metric.resource, out);
        let family = metric.family.and_then(|id| target.families.get(id));
        let descriptor = MetricDescriptor {
            name: &metric.name,
            unit: family.map_or("", |family| ucum(&family.unit)),
            description: family.map_or("", |family| &family.help),
        };
        out.metric_with(metric.kind, descriptor, &[said(metric.said)]);
        self.metric = Some(open);
        Some(metric.kind)
    }

    /// Opens a gauge for a series that isn't what its family says.
    pub(super) fn lone(
        &mut self,
        target: &ScrapedTarget,
        resource: usize,
        name: String,
        out: &mut MetricsWriter,
    ) {
        let open = OpenMetric::Lone(name);
        if self.metric.as_ref() == Some(&open) && self.resource == Some(resource) {
            return;
        }
        self.resource(target, resource, out);
        if let OpenMetric::Lone(name) = &open {
            let descriptor = MetricDescriptor {
                name,
                unit: "",
                description: "",
            };
            out.metric_with(MetricKind::Gauge, descriptor, &[said(FamilyType::Unknown)]);
        }
        self.metric = Some(open);
    }

    fn resource(&mut self, target: &ScrapedTarget, id: usize, out: &mut MetricsWriter) {
        if self.resource == Some(id) {
            return;
        }
        let Some(resource) = target.points.resource(id) else {
            return;
        };
        out.resource(&target.attributes_of(&resource.job, &resource.instance, resource.info()));
        // Without a name, so that no label tells of it.
        out.scope("", "");
        (self.resource, self.metric) = (Some(id), None);
    }
}

impl ScrapedTarget {
    /// The attributes of a resource. Those of the target are only its own resource's.
    fn attributes_of<'a>(
        &'a self,
        job: &'a str,
        instance: &'a str,
        info: &'a [(String, String)],
    ) -> Vec<Attribute<'a>> {
        let mut attributes: Vec<Attribute<'a>> = vec![
            ("service.name", job.into()),
            ("service.instance.id", instance.into()),
        ];
        attributes.retain(|(_, value)| *value != AttributeValue::Str(""));
        let own = |name: &str| {
            let found = self.labels.iter().find(|(found, _)| found == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let further = if own("job") == job && own("instance") == instance {
            self.attributes.as_slice()
        } else {
            &[]
        };
        for (key, value) in further.iter().chain(info) {
            if attributes.iter().all(|(known, _)| known != key) {
                attributes.push((key, value.as_str().into()));
            }
        }
        attributes
    }

    /// Opens the target's own resource, for series about its scrapes.
    pub fn open_resource(&self, out: &mut MetricsWriter) {
        let own = |name: &str| {
            let found = self.labels.iter().find(|(found, _)| found == name);
            found.map_or("", |(_, value)| value.as_str())
        };
        let info = self.points.find_resource(own("job"), own("instance"));
        let info = info.map_or(&[][..], |resource| resource.info());
        out.resource(&self.attributes_of(own("job"), own("instance"), info));
        out.scope("", "");
    }
}

fn said(kind: FamilyType) -> Attribute<'static> {
    ("prometheus.type", AttributeValue::Str(kind.as_str()))
}
