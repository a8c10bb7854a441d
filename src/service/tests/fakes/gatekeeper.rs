//! Something that threads block on.

use std::sync::{Arc, Condvar, Mutex};

use tokio::sync::mpsc;

use super::Local;

/// Blocks threads until it is opened, and reports when one has arrived.
#[derive(Clone)]
pub(in crate::service::tests) struct Gatekeeper {
    gate: Arc<(Mutex<bool>, Condvar)>,
    entered: mpsc::UnboundedSender<()>,
}

impl Gatekeeper {
    pub(in crate::service::tests) fn new() -> (Self, mpsc::UnboundedReceiver<()>) {
        let (entered, came) = mpsc::unbounded_channel();
        let gate = Arc::default();
        (Self { gate, entered }, came)
    }

    /// A sink that blocks until the gate is opened.
    pub(in crate::service::tests) fn sink(&self) -> Local {
        let keeper = self.clone();
        Local::new(move |_| {
            keeper.pass();
            0
        })
        .blocking()
    }

    pub(in crate::service::tests) fn pass(&self) {
        let _ = self.entered.send(());
        let (open, opened) = &*self.gate;
        let gate = opened.wait_while(open.lock().unwrap(), |open| !*open);
        drop(gate.unwrap());
    }

    pub(in crate::service::tests) fn open(&self) {
        let (open, opened) = &*self.gate;
        *open.lock().unwrap() = true;
        opened.notify_all();
    }
}
