//! The task of one pipeline: batches in, processors, legs.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::chain::Chain;
use super::fanout::Fanout;
use super::lease::Leased;
use crate::component::Now;

/// One pipeline, ready to run.
pub struct PipelineTask {
    pub(super) id: Arc<str>,
    pub(super) input: mpsc::Receiver<Leased>,
    pub(super) chain: Chain,
    pub(super) fanout: Fanout,
    /// Closes the input, even if a receiver still holds a sender of it.
    pub(super) closing: CancellationToken,
}

enum WorkerEvent {
    Batch(Leased),
    Deadline,
    Closing,
    End,
}

impl PipelineTask {
    /// `signal[/name]`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Runs until nothing more can come, then empties the processors.
    pub async fn run(mut self) {
        let mut closing = pin!(self.closing.clone().cancelled_owned());
        let mut open = true;
        let mut alarm = Alarm::default();
        let mut done = Vec::new();
        loop {
            alarm.set(self.chain.deadline());
            // Biased: a deadline is never starved by data, and what was accepted before
            // the input closed still comes first.
            let event = tokio::select! {
                biased;
                () = alarm.ring() => WorkerEvent::Deadline,
                batch = self.input.recv() => batch.map_or(WorkerEvent::End, WorkerEvent::Batch),
                () = &mut closing, if open => WorkerEvent::Closing,
            };
            let now = Now::read();
            match event {
                WorkerEvent::Batch(leased) => self.chain.process(leased, now, &mut done),
                WorkerEvent::Deadline => self.chain.on_deadline(now, &mut done),
                WorkerEvent::Closing => {
                    open = false;
                    self.input.close();
                }
                WorkerEvent::End => {
                    self.chain.drain(now, &mut done);
                    self.pass_on(&mut done, now).await;
                    return;
                }
            }
            self.pass_on(&mut done, now).await;
        }
    }

    async fn pass_on(&mut self, done: &mut Vec<Leased>, now: Now) {
        for leased in done.drain(..) {
            self.fanout.send(leased, now.monotonic).await;
        }
    }
}
