//! Opens resources and metrics in the writer as their points come.

use crate::pdata::writer::{
    Attribute, AttributeValue, MetricDescriptor, MetricKind, MetricsWriter,
};

use super::{ScrapedTarget, own_label};
use crate::translation::SCRAPED_TYPE;
use crate::translation::units::ucum;

/// What is open in the writer.
#[derive(Debug, Default)]
pub(super) struct Opener {
    resource: Option<usize>,
    metric: Option<usize>,
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
        if self.metric == Some(id) {
            return Some(metric.kind);
        }
        self.resource(target, metric.resource, out);
        let family = metric.family.and_then(|id| target.families.get(id));
        let descriptor = MetricDescriptor {
            name: &metric.name,
            unit: family.map_or("", |family| ucum(&family.unit)),
            description: family.map_or("", |family| &family.help),
        };
        let said = AttributeValue::Str(metric.said.as_str());
        out.metric_with(metric.kind, descriptor, &[(SCRAPED_TYPE, said)]);
        self.metric = Some(id);
        Some(metric.kind)
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
        let own = |name| own_label(&self.labels, name);
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
        let [job, instance] = ["job", "instance"].map(|name| own_label(&self.labels, name));
        let resource = self.points.find_resource(job, instance);
        let info = resource.map_or(&[][..], |resource| resource.info());
        out.resource(&self.attributes_of(job, instance, info));
        out.scope("", "");
    }
}
