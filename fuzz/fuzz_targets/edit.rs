//! The processors that edit encoded requests come to what editing decoded ones comes to.
#![no_main]

use std::cell::RefCell;
use std::sync::Arc;

use foghorn::component::{BuildContext, DropReason, Now, Output, Processor};
use foghorn::components::FACTORIES;
use foghorn::pdata::{Batch, Signal};
use foghorn::telemetry::Telemetry;
use foghorn::yaml::{Diagnostics, PlacedNode, parse};
use foghorn_fuzz::Input;
use foghorn_fuzz::oracle::{CASES, Case, Request};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

/// One processor of each case and signal.
type Built = Vec<[Box<dyn Processor>; 3]>;

thread_local! {
    static PROCESSORS: RefCell<(Built, Option<Now>)> = RefCell::new((
        CASES.iter().map(|case| Signal::ALL.map(|signal| build(case, signal))).collect(),
        None,
    ));
}

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else {
        return;
    };
    let (signal, request) = (input.signal, input.bytes);
    let Ok(batch) = Batch::decode(signal, request.to_vec().into()) else {
        return;
    };
    let before = batch.items();
    let number = input.choice % CASES.len();
    let mut out = Out::default();
    PROCESSORS.with_borrow_mut(|(processors, now)| {
        let now = *now.get_or_insert_with(Now::read);
        processors[number][signal as usize].process(batch, now, &mut out);
    });
    let mut expected = Request::decode(signal, request).unwrap();
    (CASES[number].edit)(&mut expected);

    let decoded = Request::decode(signal, &out.bytes).unwrap();
    assert!(
        decoded.encode() == expected.encode(),
        "{decoded:?}\n{expected:?}"
    );
    assert_eq!(decoded.items(), out.items);
    assert_eq!(out.items + out.discarded, before);
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    foghorn_fuzz::mutate(data, size, max_size, seed, |_, request| request)
});

#[derive(Default)]
struct Out {
    bytes: Vec<u8>,
    items: u64,
    discarded: u64,
}

impl Output for Out {
    fn emit(&mut self, batch: Batch) {
        self.items += batch.items();
        for part in batch.parts() {
            self.bytes.extend_from_slice(part.bytes());
        }
    }

    fn create(&mut self, _: Batch) {
        panic!("an editor makes nothing up");
    }

    fn discard(&mut self, items: u64, _: DropReason) {
        self.discarded += items;
    }
}

fn build(case: &Case, signal: Signal) -> Box<dyn Processor> {
    let factory = FACTORIES.processors.iter().find(|f| f.kind == case.kind);
    let diagnostics = Diagnostics::new();
    let node = parse(case.yaml, &Arc::from("fuzz"), &diagnostics).unwrap();
    let config = (factory.unwrap().configure)(&PlacedNode::root(&node, &diagnostics)).unwrap();
    let context = BuildContext::standalone(case.kind.parse().unwrap(), Telemetry::off());
    config.build(&context, signal).unwrap()
}
