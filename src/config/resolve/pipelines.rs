//! From `service.pipelines` to a [`PipelineConfig`] each, with every reference looked up.

use std::sync::Arc;

use super::{ReferencePlace, Section};
use crate::component::{ComponentId, Policy, WindowsUse};
use crate::config::guards::{Block, GuardedPipeline};
use crate::config::{PipelineConfig, PipelineId, Stage};
use crate::pdata::Signal;
use crate::yaml::{PlacedNode, Problem, Severity, nearest};

/// Reads every pipeline, and what concerns its guards.
pub(super) fn pipelines<'a>(
    value: &PlacedNode<'a>,
    receivers: &mut Section<'_, impl Sized>,
    processors: &mut Section<'_, Stage>,
    exporters: &mut Section<'_, impl Sized>,
) -> (Vec<PipelineConfig>, Vec<GuardedPipeline<'a>>) {
    let Some(entries) = value.entries() else {
        return Default::default();
    };
    if entries.is_empty() {
        value.error::<()>("no pipeline is named: add at least one, such as `metrics`");
    }
    let (mut pipelines, mut guarding) = (Vec::new(), Vec::new());
    let mut windows = WindowUsers::default();
    for (entry, pipeline) in entries {
        let id = match pipeline_id(&entry.key) {
            Ok(id) => Some(id),
            Err(message) => {
                value.diagnostics().push(Problem {
                    span: entry.span.clone(),
                    path: pipeline.path().to_owned(),
                    message,
                    severity: Severity::Error,
                });
                None
            }
        };
        let signal = id.as_ref().map(|id| id.signal);
        let Some(mut fields) = pipeline.fields() else {
            continue;
        };
        let mut list = |key: &'static str, needed: bool| {
            let list = fields.value(key);
            let found = list.as_ref().map(ids).unwrap_or_default();
            match list {
                _ if !needed || !found.is_empty() => {}
                // What stands in it and is wrong has been reported.
                Some(list) if list.items().is_none_or(|items| !items.is_empty()) => {}
                Some(list) => {
                    list.error::<()>("a pipeline needs at least one");
                }
                None => {
                    let message = format!("`{key}` is missing: a pipeline needs at least one");
                    pipeline.error::<()>(message);
                }
            }
            found
        };
        let from = list("receivers", true);
        let through = list("processors", false);
        let to = list("exporters", true);
        fields.finish();

        let place = |item| ReferencePlace {
            item,
            owner: &pipeline,
        };
        for (id, item) in &from {
            receivers.take(id, signal, &place(item));
        }
        let mut processor_before = None;
        let mut blocks = Vec::new();
        for (id, item) in &through {
            match processors
                .take(id, signal, &place(item))
                .and_then(|d| d.config.as_ref())
            {
                Some(Stage::Processor(processor)) => {
                    processor_before = Some(id);
                    windows.add(processor.windows_use(), id, item, &pipeline);
                }
                Some(Stage::Policy(policy)) => {
                    if let Policy::Resilience(guard) = policy {
                        blocks.push(Block {
                            id: id.clone(),
                            item: item.clone(),
                            guard: Arc::clone(guard),
                        });
                    }
                    if let Some(before) = processor_before {
                        place(item).report(
                            Severity::Warning,
                            format!(
                                "\"{id}\" acts at the edges of the pipeline wherever it \
                                 stands: put it before \"{before}\""
                            ),
                        );
                    }
                }
                None => {}
            }
        }
        for (id, item) in &to {
            exporters.take(id, signal, &place(item));
        }
        if let Some(id) = id {
            let ids = |list: Vec<(ComponentId, PlacedNode<'_>)>| {
                list.into_iter().map(|(id, _)| id).collect()
            };
            let from: Vec<ComponentId> = ids(from);
            guarding.push(GuardedPipeline {
                id: id.clone(),
                value: pipeline.clone(),
                receivers: from.clone(),
                blocks,
            });
            pipelines.push(PipelineConfig {
                id,
                receivers: from,
                processors: ids(through),
                exporters: ids(to),
            });
        }
    }
    if !value.diagnostics().has_errors() {
        // Beside errors the missing one may be what is wrong elsewhere.
        windows.check();
    }
    (pipelines, guarding)
}

/// The processors of all pipelines that have to do with windows.
#[derive(Default)]
struct WindowUsers<'a> {
    is_filled: bool,
    /// Who reads, where it is referred to, and in which pipeline.
    readers: Vec<(ComponentId, PlacedNode<'a>, PlacedNode<'a>)>,
}

impl<'a> WindowUsers<'a> {
    fn add(
        &mut self,
        windows_use: WindowsUse,
        id: &ComponentId,
        item: &PlacedNode<'a>,
        pipeline: &PlacedNode<'a>,
    ) {
        match windows_use {
            WindowsUse::None => {}
            WindowsUse::Fills => self.is_filled = true,
            WindowsUse::Reads => {
                self.readers
                    .push((id.clone(), item.clone(), pipeline.clone()));
            }
        }
    }

    /// Warns of each that reads where nothing is remembered.
    fn check(&self) {
        let readers = self.readers.iter().filter(|_| !self.is_filled);
        for (id, item, owner) in readers {
            ReferencePlace { item, owner }.report(
                Severity::Warning,
                format!(
                    "\"{id}\" has nothing to read, as no pipeline remembers anything: put a \
                     `window` before it"
                ),
            );
        }
    }
}

/// The ids in a list, each with its place; reports those that are none or are repeated.
pub(super) fn ids<'a>(list: &PlacedNode<'a>) -> Vec<(ComponentId, PlacedNode<'a>)> {
    let mut found: Vec<(ComponentId, PlacedNode<'a>)> = Vec::new();
    for item in list.items().unwrap_or_default() {
        let Some(text) = item.read::<String>() else {
            continue;
        };
        match text.parse::<ComponentId>() {
            Ok(id) if found.iter().any(|(known, _)| *known == id) => {
                item.error::<()>(format_args!("\"{id}\" stands here twice: keep one"));
            }
            Ok(id) => found.push((id, item)),
            Err(error) => {
                item.error::<()>(error);
            }
        }
    }
    found
}

fn pipeline_id(text: &str) -> Result<PipelineId, String> {
    let (signal, name) = match text.split_once('/') {
        Some((signal, name)) => (signal, Some(name)),
        None => (text, None),
    };
    let known = Signal::ALL.iter().find(|known| known.as_str() == signal);
    let Some(known) = known else {
        let near = nearest(signal, Signal::ALL.iter().map(|signal| signal.as_str()));
        return Err(match near {
            Some(near) => format!("unknown signal `{signal}`, did you mean `{near}`?"),
            None => format!(
                "unknown signal `{signal}`: a pipeline is named metrics, traces or logs, and \
                 optionally `/` and a name"
            ),
        });
    };
    // The name obeys the rules of a component's.
    if let Err(error) = text.parse::<ComponentId>() {
        return Err(error.to_string().replace("component id", "pipeline id"));
    }
    Ok(PipelineId {
        signal: *known,
        name: name.map(str::to_owned),
    })
}
