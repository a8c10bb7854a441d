//! The ledger as shown on the agent's own page.

use std::collections::BTreeMap;
use std::time::Duration;

use super::fakes::{Local, Remote, Reply, each};
use super::rig::Rig;
use crate::component::{DropReason, Origin};
use crate::pipeline::testing::points;
use crate::settings::WhenFull;
use crate::telemetry::{Telemetry, TelemetrySettings};

/// Every sample as `name{label="value",...}`, with labels sorted by name and without empty ones.
fn page(telemetry: &Telemetry) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for family in telemetry.registry().gather() {
        for metric in family.get_metric() {
            let mut labels: Vec<String> = metric
                .get_label()
                .iter()
                .filter(|label| !label.value().is_empty() && !label.name().starts_with("otel_"))
                .map(|label| format!("{}={}", label.name(), label.value()))
                .collect();
            labels.sort();
            let value = metric.get_counter().get_value() + metric.get_gauge().get_value();
            samples.insert(format!("{}{{{}}}", family.name(), labels.join(",")), value);
        }
    }
    samples
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_the_books_under_the_collectors_names_and_ours() {
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let remote = Remote::script([Reply::Reject(1), Reply::Retry(None)]).with(|delivery| {
        delivery.queue.requests = 2;
        delivery.queue.when_full = WhenFull::Refuse;
    });
    let mut rig = Rig::new();
    rig.telemetry = telemetry.clone();
    let rigged = rig
        .processor("half", || {
            each(|batch, out| {
                let whole = batch.items();
                let (front, _) = batch.split_at(whole / 2);
                out.discard(whole - front.items(), DropReason::Filtered);
                out.emit(front);
            })
        })
        .exporter("remote", &remote)
        .sink("local", &Local::new(|_| 0))
        .start()
        .await;
    for _ in 0..3 {
        rigged.push(10).await.unwrap();
        rigged.settle().await;
    }
    assert!(rigged.push(10).await.is_err());
    rigged.pull(10).await;
    rigged.intake().refused(4);
    rigged.intake().failed(2);
    drop(rigged.intake().try_admit(Origin::Pull, 1));
    rigged.settle().await;

    let page = page(&telemetry);
    let f = |sample: &str, expected: f64| {
        let found = page.get(sample);
        assert_eq!(found, Some(&expected), "{sample} in {:#?}", page.keys());
    };
    let items = "foghorn_pipeline_items_total";
    f(
        &format!("{items}{{outcome=accepted,pipeline=metrics}}"),
        40.0,
    );
    f(
        &format!("{items}{{outcome=fanned_out,pipeline=metrics}}"),
        20.0,
    );
    f(&format!("{items}{{outcome=created,pipeline=metrics}}"), 0.0);
    let dropped = format!("{items}{{outcome=dropped,pipeline=metrics,reason=filtered}}");
    f(&dropped, 20.0);
    f("foghorn_pipeline_held_items{pipeline=metrics}", 0.0);
    f(
        "foghorn_pipeline_in_flight_bytes{pipeline=metrics}",
        2.0 * points(5).size() as f64,
    );
    let leg = "exporter=remote,outcome=dropped,pipeline=metrics";
    let items = "foghorn_delivery_items_total";
    f(
        &format!("{items}{{exporter=remote,outcome=sent,pipeline=metrics}}"),
        4.0,
    );
    f(&format!("{items}{{{leg},reason=rejected_by_peer}}"), 1.0);
    f(&format!("{items}{{{leg},reason=queue_full}}"), 5.0);
    f(
        "foghorn_delivery_queued_items{exporter=remote,pipeline=metrics}",
        10.0,
    );
    f(
        "foghorn_delivery_queued_items{exporter=local,pipeline=metrics}",
        0.0,
    );
    f(
        "otelcol_receiver_accepted_metric_points{receiver=source}",
        40.0,
    );
    f(
        "otelcol_receiver_refused_metric_points{receiver=source}",
        4.0,
    );
    f(
        "otelcol_receiver_failed_metric_points{receiver=source}",
        2.0,
    );
    let refused = "foghorn_receiver_refused_requests_total";
    f(
        &format!("{refused}{{reason=queue_full,receiver=source,signal=metrics}}"),
        1.0,
    );
    f(
        "otelcol_processor_incoming_items{pipeline=metrics,processor=half}",
        40.0,
    );
    f(
        "otelcol_processor_outgoing_items{pipeline=metrics,processor=half}",
        20.0,
    );
    f("otelcol_exporter_sent_metric_points{exporter=remote}", 4.0);
    f("otelcol_exporter_sent_metric_points{exporter=local}", 20.0);
    f(
        "otelcol_exporter_send_failed_metric_points{exporter=remote}",
        1.0,
    );
    f(
        "otelcol_exporter_enqueue_failed_metric_points{exporter=remote}",
        5.0,
    );
    f(
        "otelcol_exporter_queue_size{data_type=metrics,exporter=remote}",
        1.0,
    );
    f(
        "otelcol_exporter_queue_capacity{data_type=metrics,exporter=remote}",
        2.0,
    );
    f(
        "otelcol_exporter_in_flight_requests{data_type=metrics,exporter=remote}",
        0.0,
    );
    rigged.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn tasks_that_a_shutdown_found_running_are_counted_by_their_end() {
    let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
    let mut rig = Rig::new();
    rig.telemetry = telemetry.clone();
    // An attempt that outlives the grace.
    let hanging =
        Remote::rule(|_| Reply::Hang).with(|delivery| delivery.timeout = Duration::from_secs(3600));
    let rigged = rig.exporter("remote", &hanging).start().await;
    rigged.push(1).await.unwrap();
    rigged.settle().await;
    let counted = |outcome: &str| {
        page(&telemetry)[&format!("circuit_breaker_shutdown_tasks_total{{outcome={outcome}}}")]
    };
    let outcomes = ["completed", "cancelled", "panicked", "aborted"];
    assert!(outcomes.iter().all(|outcome| counted(outcome) == 0.0));

    rigged.shutdown().await;
    // The server and the pipeline; the receiver ended before the shutdown.
    assert_eq!(outcomes.map(counted), [2.0, 1.0, 0.0, 0.0]);
}
