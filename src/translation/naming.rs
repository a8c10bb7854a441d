//! Translates OpenTelemetry's names to Prometheus's, as the Collector's exporter does.

use super::units::words;

/// How names are translated: `translation_strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Strategy {
    /// `http.server.duration` in `ms` becomes `http_server_duration_milliseconds`.
    #[default]
    UnderscoreEscapingWithSuffixes,
    /// `http.server.duration` in `ms` becomes `http_server_duration`.
    UnderscoreEscapingWithoutSuffixes,
    /// `http.server.duration` in `ms` becomes `http.server.duration_milliseconds`, in quotes.
    NoUtf8EscapingWithSuffixes,
    /// `http.server.duration` in `ms` stays `http.server.duration`, in quotes.
    NoTranslation,
}

impl Strategy {
    /// Every strategy with its name in configurations.
    pub const ALL: [(&'static str, Self); 4] = [
        (
            "UnderscoreEscapingWithSuffixes",
            Self::UnderscoreEscapingWithSuffixes,
        ),
        (
            "UnderscoreEscapingWithoutSuffixes",
            Self::UnderscoreEscapingWithoutSuffixes,
        ),
        (
            "NoUTF8EscapingWithSuffixes",
            Self::NoUtf8EscapingWithSuffixes,
        ),
        ("NoTranslation", Self::NoTranslation),
    ];

    fn escapes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::UnderscoreEscapingWithoutSuffixes
        )
    }

    fn adds_suffixes(self) -> bool {
        matches!(
            self,
            Self::UnderscoreEscapingWithSuffixes | Self::NoUtf8EscapingWithSuffixes
        )
    }
}

/// The kind of a metric, which decides about its suffixes together with the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MetricShape {
    /// The newest of independent values.
    Gauge,
    /// A sum that only rises.
    Counter,
    /// A sum that rises and falls.
    UpDownCounter,
    /// Counts by bucket, explicit or exponential.
    Histogram,
    /// Quantiles computed by the sender.
    Summary,
}

/// Translates names by the configuration.
#[derive(Debug, Clone)]
pub struct Namer {
    strategy: Strategy,
    /// The prefix of every metric name; an underscore follows it.
    namespace: Option<String>,
}

impl Namer {
    /// Translates by this strategy. `namespace`, if not empty, goes before every metric name.
    pub fn new(strategy: Strategy, namespace: &str) -> Self {
        let namespace = if strategy.escapes() {
            tokens(namespace, is_metric_char).join("_")
        } else {
            without_nul(namespace)
        };
        Self {
            strategy,
            namespace: Some(namespace).filter(|namespace| !namespace.is_empty()),
        }
    }

    /// The name of a metric on the page; `None` if its name is empty, or only underscores or a
    /// counter's suffix would be left of it.
    pub fn metric(&self, name: &str, unit: &str, shape: MetricShape) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        let translated = match (self.strategy.escapes(), self.strategy.adds_suffixes()) {
            (true, true) => self.escaped_with_suffixes(name, unit, shape),
            (true, false) => {
                let kept = |char: char| is_metric_char(char) || char == '_';
                self.prefixed(tokens(name, kept).join("_"))
            }
            (false, true) => self.suffixed(&self.prefixed(without_nul(name)), unit, shape),
            (false, false) => self.prefixed(without_nul(name)),
        };
        let usable = translated == name || translated.chars().any(|char| char != '_');
        (usable && !translated.is_empty() && translated != "_total").then_some(translated)
    }

    /// A name that is Prometheus's already, of a scraped metric: it stays as it is, but for the
    /// namespace and the characters that the strategy escapes. `None` if it is empty.
    pub fn scraped(&self, name: &str) -> Option<String> {
        if name.is_empty() {
            return None;
        }
        if !self.strategy.escapes() {
            return Some(self.prefixed(without_nul(name)));
        }
        let kept = |char: char| {
            if is_metric_char(char) || char == '_' {
                char
            } else {
                '_'
            }
        };
        Some(self.prefixed(name.chars().map(kept).collect()))
    }

    /// A translated name as it was before the namespace was put there: what is translated again
    /// gets it again.
    pub fn without_namespace<'a>(&self, name: &'a str) -> &'a str {
        let namespace = self.namespace.as_deref();
        namespace
            .and_then(|namespace| name.strip_prefix(namespace)?.strip_prefix('_'))
            .unwrap_or(name)
    }

    /// The name of a label. Each character that Prometheus doesn't allow becomes an underscore,
    /// and `key_` goes before a leading digit.
    pub fn label(&self, key: &str) -> String {
        if key.is_empty() {
            return "_".to_owned();
        }
        if !self.strategy.escapes() {
            return without_nul(key);
        }
        let escaped: String = key
            .chars()
            .map(|char| {
                if char.is_ascii_alphanumeric() {
                    char
                } else {
                    '_'
                }
            })
            .collect();
        if escaped.starts_with(|first: char| first.is_ascii_digit()) {
            format!("key_{escaped}")
        } else {
            escaped
        }
    }

    /// A unit in words, such as `meters_per_second`; empty if there is none.
    pub fn unit(&self, unit: &str) -> String {
        let (main, per) = words(unit);
        let parts = [cleaned(&main), cleaned(&per)];
        let parts: Vec<&str> = parts
            .iter()
            .map(|part| part.trim_matches('_'))
            .filter(|part| !part.is_empty())
            .collect();
        parts.join("_")
    }

    /// `target_info`, with the namespace before it.
    pub fn target_info(&self) -> String {
        self.prefixed("target_info".to_owned())
    }

    fn prefixed(&self, name: String) -> String {
        match &self.namespace {
            Some(namespace) => format!("{namespace}_{name}"),
            // Without a namespace, a leading digit needs an underscore before it.
            None if self.strategy.escapes()
                && name.starts_with(|first: char| first.is_ascii_digit()) =>
            {
                format!("_{name}")
            }
            None => name,
        }
    }

    fn escaped_with_suffixes(&self, name: &str, unit: &str, shape: MetricShape) -> String {
        let mut parts = tokens(name, is_metric_char);
        let (main, per) = words(unit);
        let mut main = cleaned(&main);
        let per = cleaned(&per);
        let per = if per == "per_" {
            ""
        } else {
            per.trim_end_matches('_')
        };
        if parts.contains(&main) {
            main.clear();
        }
        let per_is_new = !per.is_empty() && !parts.iter().any(|part| part == per);
        if per_is_new {
            main.truncate(main.trim_end_matches('_').len());
        }
        if !main.is_empty() {
            parts.push(main);
        }
        if per_is_new {
            parts.push(per.to_owned());
        }
        let mut ends_with = |word: &str| {
            parts.retain(|part| part != word);
            parts.push(word.to_owned());
        };
        if shape == MetricShape::Counter {
            ends_with("total");
        }
        // For gauges only: on counters the unit `1` means things counted, not a ratio.
        if shape == MetricShape::Gauge && unit == "1" {
            ends_with("ratio");
        }
        self.prefixed(parts.join("_"))
    }

    fn suffixed(&self, name: &str, unit: &str, shape: MetricShape) -> String {
        let (main, per) = words(unit);
        let last = match shape {
            MetricShape::Gauge if unit == "1" => "ratio",
            MetricShape::Counter => "total",
            _ => "",
        };
        let mut name = without_suffix(without_suffix(name, last), &per).to_owned();
        let main_is_new = !main.is_empty() && !name.ends_with(&main);
        for suffix in [if main_is_new { main.as_str() } else { "" }, &per, last] {
            if !suffix.is_empty() {
                name.push('_');
                name.push_str(suffix);
            }
        }
        name
    }
}

fn is_metric_char(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == ':'
}

/// The parts of a text that consist of characters to keep.
fn tokens(text: &str, keep: impl Fn(char) -> bool) -> Vec<String> {
    text.split(|char| !keep(char))
        .filter(|token| !token.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Replaces NUL, which a page can't contain even in quotes. Done here, so that two names that
/// differ only in a NUL become one.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn without_suffix<'a>(name: &'a str, suffix: &str) -> &'a str {
    if suffix.is_empty() {
        return name;
    }
    name.strip_suffix(suffix)
        .and_then(|rest| {
            let delimiter = rest.chars().next_back()?;
            let rest = &rest[..rest.len() - delimiter.len_utf8()];
            (!rest.is_empty()).then_some(rest)
        })
        .unwrap_or(name)
}

/// Replaces each run of invalid characters by one underscore, and leaves out leading ones.
fn cleaned(unit: &str) -> String {
    let mut cleaned = String::with_capacity(unit.len());
    for char in unit.chars() {
        if is_metric_char(char) {
            cleaned.push(char);
        } else if !cleaned.is_empty() && !cleaned.ends_with('_') {
            cleaned.push('_');
        }
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use super::MetricShape::{Counter, Gauge, Histogram, UpDownCounter};
    use super::*;

    #[test]
    fn names_get_units_and_suffixes() {
        let namer = Namer::new(Strategy::UnderscoreEscapingWithSuffixes, "");
        let f = |name: &str, unit: &str, shape: MetricShape, expected: &str| {
            assert_eq!(
                namer.metric(name, unit, shape).as_deref(),
                Some(expected).filter(|name| !name.is_empty()),
                "{name} {unit}"
            );
        };
        // Examples of the OpenTelemetry specification and of the Collector's translator.
        f(
            "system.network.io",
            "By",
            Counter,
            "system_network_io_bytes_total",
        );
        f(
            "http.server.request.duration",
            "s",
            Histogram,
            "http_server_request_duration_seconds",
        );
        f(
            "system.cpu.utilization",
            "1",
            Gauge,
            "system_cpu_utilization_ratio",
        );
        f("items", "1", Counter, "items_total");
        f(
            "active_requests",
            "{request}",
            UpDownCounter,
            "active_requests",
        );
        f("wind.speed", "m/s", Gauge, "wind_speed_meters_per_second");
        f("speed", "km/h", Gauge, "speed_km_per_hour");
        f(
            "broker.messages",
            "{message}/s",
            Gauge,
            "broker_messages_per_second",
        );
        f("apache.workers", "", UpDownCounter, "apache_workers");
        f(
            "process.uptime",
            "s",
            Counter,
            "process_uptime_seconds_total",
        );
        f("memory.usage.bytes", "By", Gauge, "memory_usage_bytes");
        f("total.requests", "", Counter, "requests_total");
        f("ratio.of.things", "1", Gauge, "of_things_ratio");
        f("temperature", "Cel", Gauge, "temperature_celsius");
        f("disk.percent", "%", Gauge, "disk_percent");
        f("odd", "foo/bar", Gauge, "odd_foo_per_bar");
        f("odd", "_°_/{x}", Gauge, "odd");
        f("3.14 digits", "", Gauge, "_3_14_digits");
        f("with:colons", "", Gauge, "with:colons");
        f("metric@@##$$name", "", Gauge, "metric_name");
        f("__leading__", "", Gauge, "leading");
        f("", "", Gauge, "");
        f("@#$", "", Gauge, "");
        f("温度", "", Gauge, "");
        f("温度", "Cel", Gauge, "celsius");
    }

    #[test]
    fn strategies_switch_suffixes_and_escapes_apart() {
        let f = |strategy, namespace: &str, expected: &str| {
            let namer = Namer::new(strategy, namespace);
            assert_eq!(
                namer
                    .metric("http.req_uests_total", "ms/s", Counter)
                    .unwrap(),
                expected
            );
        };
        let [with, without, utf8, none] = Strategy::ALL.map(|(_, strategy)| strategy);
        f(with, "", "http_req_uests_milliseconds_per_second_total");
        f(
            with,
            "test-space",
            "test_space_http_req_uests_milliseconds_per_second_total",
        );
        f(without, "", "http_req_uests_total");
        f(without, "a b!!", "a_b_http_req_uests_total");
        f(utf8, "", "http.req_uests_milliseconds_per_second_total");
        f(none, "", "http.req_uests_total");
        f(none, "n.s", "n.s_http.req_uests_total");
        assert_eq!(
            Namer::new(without, "").metric("1st", "", Gauge).unwrap(),
            "_1st"
        );
        assert_eq!(Namer::new(without, "").metric("@_#_$_%", "", Gauge), None);
        assert_eq!(
            Namer::new(none, "").metric("a\0", "", Gauge).unwrap(),
            "a\u{fffd}"
        );
    }

    #[test]
    fn names_of_scraped_metrics_stay() {
        let f = |strategy, namespace: &str, name: &str, expected: &str| {
            let scraped = Namer::new(strategy, namespace).scraped(name);
            assert_eq!(scraped.unwrap_or_default(), expected, "{name}");
        };
        let [with, without, utf8, none] = Strategy::ALL.map(|(_, strategy)| strategy);
        for strategy in [with, without, utf8, none] {
            f(strategy, "", "total_requests_total", "total_requests_total");
            f(strategy, "", "_a__b:c_", "_a__b:c_");
            f(strategy, "n", "a", "n_a");
            f(strategy, "", "", "");
        }
        f(with, "", "a.b/é", "a_b__");
        f(with, "", "1.b", "_1_b");
        f(none, "", "a.b/é", "a.b/é");
    }

    #[test]
    fn labels_keep_their_length_as_in_the_collector() {
        let f = |strategy, key: &str, expected: &str| {
            assert_eq!(Namer::new(strategy, "").label(key), expected, "{key}");
        };
        let escaping = Strategy::UnderscoreEscapingWithSuffixes;
        f(escaping, "http.status_code", "http_status_code");
        f(escaping, "a..b", "a__b");
        f(escaping, "1st", "key_1st");
        f(escaping, "_private", "_private");
        f(escaping, "é", "_");
        f(escaping, "", "_");
        f(
            Strategy::NoTranslation,
            "http.status_code",
            "http.status_code",
        );
        f(Strategy::NoTranslation, "", "_");
    }

    #[test]
    fn units_read_as_words() {
        let namer = Namer::new(Strategy::default(), "");
        let f = |unit: &str, expected: &str| assert_eq!(namer.unit(unit), expected, "{unit}");
        f("s", "seconds");
        f("m/s", "meters_per_second");
        f("{request}/s", "per_second");
        f("1", "");
        f("", "");
        f("{x}", "");
        f("°", "");
    }
}
