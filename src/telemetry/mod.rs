//! The agent's own telemetry: metrics through the OpenTelemetry SDK, logs through
//! `tracing`.
//!
//! ```yaml
//! service:
//!   telemetry:
//!     metrics:
//!       level: normal      # none: no reader and no instruments
//!     logs:
//!       level: info        # a filter as in RUST_LOG, which takes precedence
//!       queue_bytes: 1MiB  # what may wait for who reads the log
//!     resource:
//!       deployment.environment.name: lab
//! ```
//!
//! Instruments are named as they stand on the page: our own counters carry `_total`, the
//! Collector's `otelcol_*` don't, and the exporter adds neither suffixes nor units, since
//! its switches are for all instruments or none.
//!
//! Emits the figures of the process, and `target_info` with the agent's resource, and
//! `foghorn_log_lines_dropped_total`: lines of the log that found no room or no reader.
//!
//! **Architecture Invariant:** this module imports only `exposition`.

mod lines;
pub mod logs;
mod process;
mod throttle;

pub use process::memory_in_use;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry::metrics::{Meter, MeterProvider as _};
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{Instrument, InstrumentKind, SdkMeterProvider, Stream};
use opentelemetry_sdk::resource::EnvResourceDetector;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;

pub use self::lines::Lines;
pub use self::throttle::Throttle;

/// Room in every family, whatever the configuration.
const FEW_SERIES: usize = 16;

/// What a small configuration has of components, pipelines and legs.
const FEW_SUBJECTS: usize = 8;

/// Families that have a series for each component, as the Collector's, and how many each
/// may have: one for a signal, and one to spare.
const PER_COMPONENT: (&str, usize) = ("otelcol_", 4);

/// Series that a component or leg may have in any other family. Requests have the most: four
/// dozen of a receiver, by transport, signal and outcome, and it needs a pipeline, a leg and
/// an exporter beside it.
const PER_SUBJECT: usize = 16;

/// Families that have a series for every endpoint, of which there may be thousands.
const PER_ENDPOINT: &str = "circuit_breaker_";

/// What the agent's own metrics are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelemetrySettings {
    /// Whether there are any.
    pub metrics: bool,
    /// Attributes for the agent's resource. They win over `OTEL_RESOURCE_ATTRIBUTES`,
    /// which wins over the agent's own.
    pub resource: BTreeMap<String, String>,
    /// Components, pipelines and legs of the configuration, from which follows how many
    /// series a family may have; those of endpoints are for [`Telemetry::make_room`]. The
    /// SDK allots a table of that size to each instrument when it is made, and folds what
    /// is beyond it into one series, which means nothing for a gauge.
    pub subjects: usize,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        Self {
            metrics: true,
            resource: BTreeMap::new(),
            subjects: FEW_SUBJECTS,
        }
    }
}

/// Hands out the instruments that the agent's own metrics are made with, and gathers what
/// they show. Cheap to clone.
#[derive(Clone)]
pub struct Telemetry {
    provider: SdkMeterProvider,
    resource: Resource,
    registry: prometheus::Registry,
    /// Series that the next instrument of [`PER_ENDPOINT`] may have.
    room: Arc<AtomicUsize>,
    /// Whether anything is shown.
    is_on: bool,
}

/// The agent's own metrics could not be set up.
#[derive(Debug, thiserror::Error)]
#[error("service::telemetry::metrics: {0}")]
pub struct MetricsSetupError(String);

impl Telemetry {
    /// Sets up the SDK, without any task or thread: families are read when somebody asks.
    ///
    /// # Errors
    ///
    /// When the SDK refuses its reader.
    pub fn new(settings: &TelemetrySettings) -> Result<Self, MetricsSetupError> {
        if !settings.metrics {
            return Ok(Self::off());
        }
        let registry = prometheus::Registry::new();
        let reader = opentelemetry_prometheus::exporter()
            .with_registry(registry.clone())
            .without_counter_suffixes()
            .without_units()
            .scope_info_enabled(false)
            .build()
            .map_err(|error| MetricsSetupError(error.to_string()))?;
        let subjects = settings.subjects;
        let room = Arc::new(AtomicUsize::new(FEW_SERIES));
        let of_endpoints = Arc::clone(&room);
        let view = move |instrument: &Instrument| {
            if instrument.name().starts_with(PER_ENDPOINT) {
                room_for_endpoints(of_endpoints.load(Ordering::Relaxed))
            } else {
                room_for(subjects, instrument)
            }
        };
        let resource = resource(&settings.resource);
        let provider = SdkMeterProvider::builder()
            .with_resource(resource.clone())
            .with_view(view)
            .with_reader(reader)
            .build();
        let telemetry = Self {
            provider,
            resource,
            registry,
            room,
            is_on: true,
        };
        process::observe(&telemetry.meter("foghorn.process"));
        Ok(telemetry)
    }

    /// Instruments that record nothing.
    pub fn off() -> Self {
        let resource = Resource::builder_empty().build();
        Self {
            provider: SdkMeterProvider::builder()
                .with_resource(resource.clone())
                .build(),
            resource,
            registry: prometheus::Registry::new(),
            room: Arc::default(),
            is_on: false,
        }
    }

    /// Lets the instruments for endpoints that are made from now on have as many `series`.
    ///
    /// How many those of an endpoint are differs from family to family; room for the most
    /// in all of them would be wasted on those that have one.
    pub fn make_room(&self, series: usize) {
        self.room.store(series.max(FEW_SERIES), Ordering::Relaxed);
    }

    /// Series for which a family of endpoints has room. One of them has most of all that are
    /// gathered where there are many endpoints.
    pub fn room(&self) -> usize {
        self.room.load(Ordering::Relaxed)
    }

    /// Gathers from `collector` besides the instruments: for figures that no instrument of the SDK
    /// can show.
    pub fn collect(&self, collector: Box<dyn Collector>) {
        if self.is_on
            && let Err(error) = self.registry.register(collector)
        {
            tracing::error!(%error, "some of the agent's own metrics can't be shown");
        }
    }

    /// The meter for a component of the agent.
    pub fn meter(&self, name: &'static str) -> Meter {
        self.provider.meter(name)
    }

    /// An attribute of the agent's resource, as text.
    pub fn attribute(&self, key: &'static str) -> Option<String> {
        let value = self.resource.get(&Key::from_static_str(key))?;
        Some(value.to_string())
    }

    /// The registry from which the agent's own families are gathered.
    pub fn registry(&self) -> &prometheus::Registry {
        &self.registry
    }

    /// The agent's own families as they stand. Runs the observers on a thread that may
    /// block, since they take whatever locks they need.
    ///
    /// Cancel safe: the gathering goes on and its result is dropped.
    pub async fn gather(&self) -> Vec<MetricFamily> {
        let telemetry = self.clone();
        match tokio::task::spawn_blocking(move || telemetry.gather_now()).await {
            Ok(families) => families,
            Err(error) => {
                tracing::error!(%error, "the agent's own metrics could not be gathered");
                Vec::new()
            }
        }
    }

    /// The same on this thread.
    pub fn gather_now(&self) -> Vec<MetricFamily> {
        self.registry.gather()
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

fn room_for(subjects: usize, instrument: &Instrument) -> Option<Stream> {
    // A stream of our own would replace a histogram's bucket boundaries, too.
    if instrument.kind() == InstrumentKind::Histogram {
        return None;
    }
    let (prefix, of_component) = PER_COMPONENT;
    let each = if instrument.name().starts_with(prefix) {
        of_component
    } else {
        PER_SUBJECT
    };
    Stream::builder()
        .with_cardinality_limit(subjects.saturating_mul(each).max(FEW_SERIES))
        .build()
        .ok()
}

fn room_for_endpoints(series: usize) -> Option<Stream> {
    Stream::builder()
        .with_cardinality_limit(series)
        .build()
        .ok()
}

fn resource(configured: &BTreeMap<String, String>) -> Resource {
    let own = [
        KeyValue::new("service.name", env!("CARGO_PKG_NAME")),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", instance_id(rand::random())),
    ];
    // The environment variable that OpenTelemetry defines beside the list of attributes.
    let named = std::env::var("OTEL_SERVICE_NAME")
        .ok()
        .filter(|name| !name.is_empty())
        .map(|name| KeyValue::new("service.name", name));
    Resource::builder_empty()
        .with_attributes(own)
        .with_detector(Box::new(EnvResourceDetector::new()))
        .with_attributes(named)
        .with_attributes(
            configured
                .iter()
                .map(|(key, value)| KeyValue::new(key.clone(), value.clone())),
        )
        .build()
}

/// A random UUID, as the semantic conventions recommend.
fn instance_id(random: u128) -> String {
    // Version 4 and the variant of RFC 9562 in their places.
    let id = random & !(0xf << 76) & !(0x3 << 62) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{id:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(telemetry: &Telemetry) -> String {
        prometheus::TextEncoder::new()
            .encode_to_string(&telemetry.registry().gather())
            .unwrap()
    }

    #[test]
    fn names_stand_on_the_page_as_they_were_given() {
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        let meter = telemetry.meter("test");
        let labels = [KeyValue::new("code", "200")];
        meter
            .u64_counter("foghorn_http_requests_total")
            .with_unit("s")
            .build()
            .add(3, &labels);
        meter
            .u64_counter("otelcol_receiver_accepted_metric_points")
            .with_unit("By")
            .build()
            .add(4, &[]);
        let page = text(&telemetry);
        let line = |line: &str| assert!(page.lines().any(|l| l == line), "{line}\n{page}");
        line("# TYPE foghorn_http_requests_total counter");
        line("foghorn_http_requests_total{code=\"200\"} 3");
        line("otelcol_receiver_accepted_metric_points 4");
    }

    #[test]
    fn the_resource_names_the_agent_and_what_the_user_added() {
        let settings = TelemetrySettings {
            resource: BTreeMap::from([
                ("service.name".to_owned(), "edge".to_owned()),
                ("site".to_owned(), "north\"1".to_owned()),
            ]),
            ..TelemetrySettings::default()
        };
        let page = text(&Telemetry::new(&settings).unwrap());
        let line = page
            .lines()
            .find(|l| l.starts_with("target_info{"))
            .unwrap();
        for label in [
            "service_name=\"edge\"",
            "service_version=\"",
            "service_instance_id=\"",
            "site=\"north\\\"1\"",
        ] {
            assert!(line.contains(label), "{label} in {line}");
        }
    }

    #[test]
    fn level_none_leaves_nothing_to_gather() {
        let telemetry = Telemetry::new(&TelemetrySettings {
            metrics: false,
            ..TelemetrySettings::default()
        })
        .unwrap();
        telemetry.meter("test").u64_counter("c").build().add(1, &[]);
        assert_eq!(text(&telemetry), "");
    }

    #[test]
    fn thousands_of_endpoints_keep_their_own_series() {
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        telemetry.make_room(5_000);
        let gauge = telemetry
            .meter("test")
            .u64_gauge("circuit_breaker_state")
            .build();
        for endpoint in 0..5_000_i64 {
            gauge.record(1, &[KeyValue::new("endpoint", endpoint)]);
        }
        let page = text(&telemetry);
        assert!(!page.contains("overflow"));
        let series = page
            .lines()
            .filter(|l| l.starts_with("circuit_breaker_state{"));
        assert_eq!(series.count(), 5_000);
    }

    #[test]
    fn an_instance_id_is_a_random_uuid() {
        assert_eq!(instance_id(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(
            instance_id(u128::MAX),
            "ffffffff-ffff-4fff-bfff-ffffffffffff"
        );
    }
}
