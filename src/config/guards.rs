//! Lowers `resilience` from the pipelines in which it is written onto the pull receivers
//! that stand there, and judges its keys together with theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::PipelineId;
use crate::component::{ComponentId, ReceiverConfig};
use crate::resilience::{self, PollConfig};
use crate::settings::GuardConfig;
use crate::yaml::{PlacedNode, Severity};

/// One pipeline, as its guards are concerned.
pub(super) struct GuardedPipeline<'a> {
    pub(super) id: PipelineId,
    pub(super) value: PlacedNode<'a>,
    pub(super) receivers: Vec<ComponentId>,
    /// The blocks among its processors, and where they are named.
    pub(super) blocks: Vec<Block<'a>>,
}

/// A pipeline's mention of a `resilience`.
pub(super) struct Block<'a> {
    pub(super) id: ComponentId,
    pub(super) item: PlacedNode<'a>,
    pub(super) guard: Arc<GuardConfig>,
}

/// A receiver that stands in a pipeline, and the body in which its keys are written.
pub(super) struct Puller<'a, 'c> {
    pub(super) id: &'c ComponentId,
    pub(super) config: &'c dyn ReceiverConfig,
    pub(super) body: &'c PlacedNode<'a>,
}

/// What each pull receiver is guarded by.
pub(super) fn lower<'a: 'c, 'c>(
    pipelines: &[GuardedPipeline<'a>],
    receivers: impl Iterator<Item = Puller<'a, 'c>>,
) -> BTreeMap<ComponentId, Arc<resilience::Settings>> {
    let mut guards = BTreeMap::new();
    let mut pulling = Vec::new();
    for receiver in receivers {
        let Some(poll) = receiver.config.polls() else {
            continue;
        };
        pulling.push(receiver.id);
        if let Some(settings) = guard(&receiver, &poll, pipelines) {
            guards.insert(receiver.id.clone(), Arc::new(settings));
        }
    }
    for pipeline in pipelines {
        let guarded = pipeline.receivers.iter().any(|id| pulling.contains(&id));
        for block in &pipeline.blocks {
            if !guarded {
                let message = format!("\"{}\" guards nothing: no receiver here pulls", block.id);
                told(&pipeline.value, &block.item, Severity::Warning, message);
            }
        }
    }
    guards
}

fn guard(
    receiver: &Puller<'_, '_>,
    poll: &PollConfig,
    pipelines: &[GuardedPipeline<'_>],
) -> Option<resilience::Settings> {
    let id = receiver.id;
    let among = || pipelines.iter().filter(|p| p.receivers.contains(id));
    let mut blocks =
        among().flat_map(|pipeline| pipeline.blocks.iter().map(move |block| (pipeline, block)));
    let (home, block) = blocks.next()?;
    for (pipeline, other) in blocks {
        if other.guard.config != block.guard.config {
            let message = format!(
                "\"{}\" would guard receiver \"{id}\", which \"{}\" of service::pipelines::{} \
                 guards differently: a receiver has one guard",
                other.id, block.id, home.id
            );
            told(&pipeline.value, &other.item, Severity::Error, message);
        }
    }
    for pipeline in among().filter(|pipeline| pipeline.blocks.is_empty()) {
        let message = format!(
            "receiver \"{id}\" is guarded here too, by \"{}\" of service::pipelines::{}",
            block.id, home.id
        );
        told(&pipeline.value, &pipeline.value, Severity::Warning, message);
    }
    let GuardConfig { config, places } = &*block.guard;
    let diagnostics = receiver.body.diagnostics();
    match config.resolve(poll) {
        Ok(settings) => {
            for warning in settings.warnings() {
                places.tell(diagnostics, warning.key(), Severity::Warning, warning);
            }
            Some(settings)
        }
        Err(problems) => {
            // Where the keys of the two meet; the rest has been told by each.
            for problem in problems.iter() {
                let key = problem.key();
                if places.hold(key) {
                    let message = format!("{problem} (it guards receiver \"{id}\")");
                    places.tell(diagnostics, key, Severity::Error, message);
                    continue;
                }
                let own = ["timeout", "collection_interval"];
                let own = own.into_iter().find(|own| *own == key.as_str());
                let fields = receiver.body.fields();
                let value = fields.and_then(|mut fields| fields.value(own?));
                // A receiver may write the two elsewhere, such as for each of its jobs.
                let place = value.as_ref().unwrap_or(receiver.body);
                place.error::<()>(format_args!("{problem} (\"{}\" guards it)", block.id));
            }
            None
        }
    }
}

/// Tells something about an item of a pipeline under the pipeline's path.
fn told(pipeline: &PlacedNode<'_>, item: &PlacedNode<'_>, severity: Severity, message: String) {
    pipeline.diagnostics().push(crate::yaml::Problem {
        span: item.span().clone(),
        path: pipeline.path().to_owned(),
        message,
        severity,
    });
}
