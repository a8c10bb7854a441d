//! Reads the seven metrics that the native server serves as Prometheus text. A line that isn't in
//! the format, or a bad value of one of the seven, fails the whole text; other metrics are
//! skipped.

use super::reading::InstanceReading;
use crate::exposition::read::{PageEntry, PageFormat, PageLimits, PageReader};

const COUNT_NAMES: [&str; 5] = [
    "betanet_nodes_total",
    "betanet_nodes_active",
    "betanet_packets_processed_total",
    "betanet_packets_forwarded_total",
    "betanet_packets_dropped_total",
];
const AMOUNT_NAMES: [&str; 2] = ["betanet_avg_latency_ms", "betanet_uptime_seconds"];

/// Reads the text. The error says what is wrong, and in which line.
pub(super) fn read(body: &[u8]) -> Result<InstanceReading, String> {
    let mut counts = [None; COUNT_NAMES.len()];
    let mut amounts = [None; AMOUNT_NAMES.len()];
    let mut reader = PageReader::new(body, PageFormat::Text, PageLimits::default());
    while let Some(entry) = reader.next(b"").map_err(|error| error.to_string())? {
        let PageEntry::Series(series) = entry else {
            continue;
        };
        let Some(value) = series.number() else {
            continue;
        };
        let name = series.full_name();
        let name = name.as_ref();
        let count = slot(&COUNT_NAMES, &mut counts, name);
        let amount = slot(&AMOUNT_NAMES, &mut amounts, name);
        if count.is_none() && amount.is_none() {
            continue;
        }
        let fault = |what: &str| format!("{name}: {what}");
        if !series.labels.is_empty() {
            return Err(fault("expected no labels"));
        }
        if !(value.is_finite() && value >= 0.0) {
            return Err(fault("expected a number that isn't negative"));
        }
        let twice = match (count, amount) {
            (Some(slot), _) => {
                if value.fract() != 0.0 || value >= 18_446_744_073_709_551_616.0 {
                    return Err(fault("expected a whole number"));
                }
                slot.replace(value as u64).is_some()
            }
            (None, slot) => slot.is_some_and(|slot| slot.replace(value).is_some()),
        };
        if twice {
            return Err(fault("it is there twice"));
        }
    }
    let [peers, active, processed, _forwarded, dropped] = counts;
    let [latency_ms, _uptime_seconds] = amounts;
    Ok(InstanceReading {
        peers,
        active,
        processed,
        dropped,
        latency_ms,
        ..InstanceReading::default()
    })
}

fn slot<'s, T>(
    names: &[&str],
    slots: &'s mut [Option<T>],
    name: &str,
) -> Option<&'s mut Option<T>> {
    let position = names.iter().position(|known| *known == name)?;
    slots.get_mut(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_known_metrics_are_read_and_others_are_skipped() {
        let text = b"# HELP betanet_nodes_total Nodes.\n# TYPE betanet_nodes_total gauge\n\
            betanet_nodes_total 7\nbetanet_nodes_active 5 1763000000000\n\n\
            betanet_packets_processed_total\t5e3\nbetanet_packets_forwarded_total 4\n\
            betanet_packets_dropped_total 10\nbetanet_avg_latency_ms 1.25\n\
            betanet_uptime_seconds 12.5\nother{a=\"b } 1\"} NaN\n";
        let expected = InstanceReading {
            peers: Some(7),
            active: Some(5),
            processed: Some(5000),
            dropped: Some(10),
            latency_ms: Some(1.25),
            ..InstanceReading::default()
        };
        assert_eq!(read(text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        let f = |text: &[u8], expected: &str| {
            assert_eq!(read(text).unwrap_err(), expected);
        };
        f(b"\xff", "line 1: expected a metric name");
        f(b"<html>", "line 1: expected a metric name");
        f(b"\n9x 1", "line 2: expected a metric name");
        f(
            b"betanet_nodes_total 1 2 3",
            "line 1: something stands after the timestamp",
        );
        f(b"other 1\nother{ 1", "line 2: expected a label name");
        f(
            b"betanet_nodes_total{a=\"b\"} 1",
            "betanet_nodes_total: expected no labels",
        );
        f(
            b"betanet_nodes_total NaN",
            "betanet_nodes_total: expected a number that isn't negative",
        );
        f(
            b"betanet_nodes_total -1",
            "betanet_nodes_total: expected a number that isn't negative",
        );
        f(
            b"betanet_nodes_total 1.5",
            "betanet_nodes_total: expected a whole number",
        );
        f(
            b"betanet_nodes_total 1\nbetanet_nodes_total 1",
            "betanet_nodes_total: it is there twice",
        );
    }
}
