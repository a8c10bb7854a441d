//! Processors.

use std::fmt;

use crate::component::{BuildContext, Now, Output, Processor, ProcessorConfig};
use crate::pdata::{Batch, Signal};

pub(in crate::service::tests) struct Making<F>(pub(in crate::service::tests) F);

impl<F> fmt::Debug for Making<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Making")
    }
}

impl<F: Fn() -> Box<dyn Processor> + Send + Sync> ProcessorConfig for Making<F> {
    fn build(&self, _: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        Ok((self.0)())
    }
}

/// A processor that calls a closure for every batch.
pub(in crate::service::tests) fn each(
    call: impl FnMut(Batch, &mut dyn Output) + Send + 'static,
) -> Box<dyn Processor> {
    Box::new(Each(call))
}

struct Each<F>(F);

impl<F: FnMut(Batch, &mut dyn Output) + Send> Processor for Each<F> {
    fn process(&mut self, batch: Batch, _: Now, out: &mut dyn Output) {
        (self.0)(batch, out);
    }
}

/// A processor that keeps all items until it is drained.
#[derive(Default)]
pub(in crate::service::tests) struct Hoard(Option<Batch>);

impl Processor for Hoard {
    fn process(&mut self, batch: Batch, _: Now, _: &mut dyn Output) {
        match &mut self.0 {
            Some(hoard) => hoard.append(batch),
            None => self.0 = Some(batch),
        }
    }

    fn drain(&mut self, _: Now, out: &mut dyn Output) {
        if let Some(hoard) = self.0.take() {
            out.emit(hoard);
        }
    }
}
