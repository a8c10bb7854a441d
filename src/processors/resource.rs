//! `resource`: edits the attributes of resources.
//!
//! ```yaml
//! processors:
//!   resource:
//!     attributes:
//!       - {action: upsert, key: deployment.environment.name, value: lab}
//!       - {action: insert, key: service.instance.id, from_attribute: host.name}
//! ```
//!
//! The actions are those of the Collector's processor; `processors/actions` shows them all.
//! Everything but the resources keeps its bytes.
//!
//! Metrics: those of every processor.

use super::actions::Actions;
use crate::component::{BuildContext, Now, Output, Processor, ProcessorConfig, ProcessorFactory};
use crate::pdata::view::Resource;
use crate::pdata::{Action, Batch, Edit, Replacement, Signal};
use crate::yaml::{FromValue, PlacedNode};

/// The factory of `resource`.
pub const FACTORY: ProcessorFactory = ProcessorFactory {
    kind: "resource",
    aliases: &[],
    summary: "edits the attributes of resources",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(value.read::<Config>()?)),
};

#[derive(Debug, Clone)]
struct Config {
    actions: Actions,
}

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let actions = fields.required("attributes");
        fields.finish();
        Some(Self { actions: actions? })
    }
}

impl ProcessorConfig for Config {
    fn build(&self, _: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok(Box::new(self.clone()))
    }
}

impl Processor for Config {
    fn process(&mut self, mut batch: Batch, _: Now, out: &mut dyn Output) {
        batch.edit(self);
        out.emit(batch);
    }
}

impl Edit for Config {
    fn resource(&mut self, resource: Resource<'_>, new: &mut Replacement) -> Action {
        self.actions.apply(resource.attributes(), new);
        Action::Skip
    }
}
