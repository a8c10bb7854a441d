//! `embedded`: takes what the program that the agent is embedded in hands over by calls.
//!
//! ```yaml
//! receivers:
//!   embedded:        # no keys
//! ```
//!
//! It means nothing in the `foghorn` program, and so it isn't among its components. A program that
//! embeds the agent adds [`FACTORY`] to those that it loads its configuration with, and pushes
//! batches through [`Service::input`](crate::service::Service::input); `examples/embedded.rs` shows
//! it. Batches that find no room are refused, as those of every other sender.
//!
//! Metrics: those that the pipelines emit of every receiver.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use crate::component::{
    BuildContext, Intake, ProgramInput, Receiver, ReceiverConfig, ReceiverFactory,
};
use crate::pdata::Signal;
use crate::yaml::PlacedNode;

/// Names `embedded` and reads its configuration.
pub const FACTORY: ReceiverFactory = ReceiverFactory {
    kind: "embedded",
    aliases: &[],
    summary: "takes what the surrounding program hands over by calls",
    signals: &Signal::ALL,
    configure: |value| Some(Box::new(Config::read(value)?)),
};

#[derive(Debug)]
struct Config;

impl Config {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        value.fields()?.finish();
        Some(Self)
    }
}

impl ReceiverConfig for Config {
    fn build(
        &self,
        context: &BuildContext,
        intakes: BTreeMap<Signal, Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        let input = ProgramInput::new(intakes);
        context.inputs.register(context.id.clone(), input);
        Ok(Box::new(EmbeddedReceiver))
    }

    fn describe(&self) -> String {
        "calls of the surrounding program".to_owned()
    }
}

/// The calls do all the work; this only ends when it is told to, as every receiver.
struct EmbeddedReceiver;

impl Receiver for EmbeddedReceiver {
    fn start(&mut self) -> BoxFuture<'_, anyhow::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn run(self: Box<Self>, stop: CancellationToken) -> BoxFuture<'static, ()> {
        Box::pin(stop.cancelled_owned())
    }
}
