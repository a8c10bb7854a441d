//! The configuration of `prometheus`.

use std::time::Duration;

use super::PageSettings;
use super::limits::StoreLimits;
use crate::component::Listener;
use crate::settings::collector::page_keys;
use crate::settings::{ListenerConfig, local_queue};
use crate::translation::{Namer, Strategy, Translation, is_internal};
use crate::yaml::{ByteSize, Fields, FromValue, PlacedNode, nearest};

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) listener: Listener,
    pub(super) queue_bytes: u64,
    pub(super) settings: PageSettings,
}

impl Config {
    pub(super) fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let listener = match fields.value("endpoint").filter(|value| !value.is_null()) {
            None => Some(Listener::Agent),
            Some(_) => ListenerConfig::from_fields(&mut fields, None).map(Listener::At),
        };
        page_keys(&mut fields);
        let namespace = fields.or("namespace", String::new());
        let send_timestamps = fields.or("send_timestamps", false);
        let expiration = expiration(&mut fields);
        let openmetrics = fields.or("enable_open_metrics", true);
        let created_samples = fields.or("created_samples", false);
        let resource_labels = match fields.value("resource_to_telemetry_conversion") {
            None => false,
            Some(value) => {
                let mut conversion = value.fields()?;
                let enabled = conversion.or("enabled", false);
                conversion.finish();
                enabled
            }
        };
        let scope_labels = !fields.or("without_scope_info", false);
        let suffixes = fields.or("add_metric_suffixes", true);
        let strategy = fields.optional::<Strategy>("translation_strategy");
        let (limits, text_bytes) = limits(&mut fields);
        let queue_bytes = local_queue(&mut fields);
        let namer = Namer::new(
            strategy.unwrap_or(if suffixes {
                Strategy::UnderscoreEscapingWithSuffixes
            } else {
                Strategy::UnderscoreEscapingWithoutSuffixes
            }),
            &namespace,
        );
        let const_labels = const_labels(&mut fields, &namer);
        fields.finish();
        Some(Self {
            listener: listener?,
            queue_bytes,
            settings: PageSettings {
                translation: Translation {
                    namer,
                    const_labels: const_labels?,
                    scope_labels,
                    resource_labels,
                    text_bytes,
                    series_bytes: limits.series_bytes,
                },
                send_timestamps,
                openmetrics,
                created_samples,
                expiration: expiration?,
                limits,
            },
        })
    }
}

/// Reads the limits of the page, and `max_text_bytes`.
fn limits(fields: &mut Fields<'_>) -> (StoreLimits, usize) {
    let mut bytes = |key, default, least, most| {
        let bounds = ByteSize(least)..=ByteSize(most);
        let ByteSize(bytes) = fields.within(key, ByteSize(default), bounds);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    };
    const KIB: u64 = 1 << 10;
    const MIB: u64 = 1 << 20;
    let text_bytes = bytes("max_text_bytes", 4 * KIB, 64, MIB);
    let limits = StoreLimits {
        series_bytes: bytes("max_series_bytes", 64 * KIB, 256, 64 * MIB),
        page_bytes: bytes("max_page_bytes", 64 * MIB, 64 * KIB, 16 * KIB * MIB),
        lines: fields.within("max_series", 200_000, 1..=10_000_000),
    };
    (limits, text_bytes)
}

impl FromValue for Strategy {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let text = value.read::<String>()?;
        let names = Self::ALL.map(|(name, _)| name);
        if let Some((_, strategy)) = Self::ALL.iter().find(|(name, _)| *name == text) {
            return Some(*strategy);
        }
        match nearest(&text, names.into_iter()) {
            Some(near) => value.error(format_args!(
                "unknown strategy `{text}`, did you mean `{near}`?"
            )),
            None => value.error(format_args!(
                "unknown strategy `{text}`: use one of {}",
                names.join(", ")
            )),
        }
    }
}

fn expiration(fields: &mut Fields<'_>) -> Option<Duration> {
    const DEFAULT: Duration = Duration::from_secs(300);
    let Some(value) = fields.value("metric_expiration").filter(|v| !v.is_null()) else {
        return Some(DEFAULT);
    };
    match value.read::<Duration>()? {
        Duration::ZERO => {
            value.error("with 0 nothing would ever be shown: use a duration such as 5m")
        }
        duration => Some(duration),
    }
}

/// Reads `const_labels`, with translated names; two that become the same are an error.
fn const_labels(fields: &mut Fields<'_>, namer: &Namer) -> Option<Vec<(String, String)>> {
    let Some(value) = fields.value("const_labels") else {
        return Some(Vec::new());
    };
    let mut labels: Vec<(String, String)> = Vec::new();
    let mut sound = true;
    for (entry, value) in value.entries()? {
        let name = namer.label(&entry.key);
        let Some(text) = value.read::<String>() else {
            sound = false;
            continue;
        };
        if is_internal(&name) || matches!(name.as_str(), "le" | "quantile") {
            sound = false;
            value.error::<()>(format_args!(
                "`{name}` has a meaning of its own in Prometheus"
            ));
        } else if labels.iter().any(|(held, _)| *held == name) {
            sound = false;
            value.error::<()>(format_args!("two labels come out as `{name}`"));
        } else {
            labels.push((name, text));
        }
    }
    sound.then_some(labels)
}
