//! The walk accepts, refuses and counts as prost does, but for ids of a wrong length, and the views see as many items.
#![no_main]

use foghorn::pdata::{Batch, Signal};
use foghorn_fuzz::Input;
use foghorn_fuzz::oracle::Request;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_target!(|data: &[u8]| {
    let Some(input) = Input::new(data) else {
        return;
    };
    let request = input.bytes;
    let walked = Batch::decode(input.signal, request.to_vec().into());
    let decoded = Request::decode(input.signal, request)
        .filter(|_| !foghorn_fuzz::has_wrong_ids(input.signal, request));
    assert_eq!(
        walked.as_ref().ok().map(Batch::items),
        decoded.as_ref().map(Request::items),
        "{walked:?}"
    );
    if let Ok(batch) = walked {
        assert_eq!(seen(&batch), batch.items());
        let mut parts = batch.parts().iter();
        assert!(parts.all(|part| part.bytes() == request));
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    foghorn_fuzz::mutate(data, size, max_size, seed, |_, request| request)
});

/// Items, as the views see them.
fn seen(batch: &Batch) -> u64 {
    let count = match batch.signal() {
        Signal::Metrics => batch
            .resource_metrics()
            .flat_map(|resource| resource.scopes())
            .flat_map(|scope| scope.metrics())
            .map(|metric| metric.data().points().count())
            .sum::<usize>(),
        Signal::Traces => batch
            .resource_spans()
            .flat_map(|resource| resource.scopes())
            .map(|scope| scope.spans().count())
            .sum(),
        Signal::Logs => batch
            .resource_logs()
            .flat_map(|resource| resource.scopes())
            .map(|scope| scope.log_records().count())
            .sum(),
    };
    count as u64
}
