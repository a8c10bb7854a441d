//! Which format a target is asked for, and which one its answer has.

/// A format that a target can be asked for, by the name that `scrape_protocols` has for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScrapeProtocol {
    /// The protobuf exposition.
    PrometheusProto,
    /// OpenMetrics 1.0.0.
    OpenMetricsText1,
    /// OpenMetrics 0.0.1.
    OpenMetricsText0,
    /// Prometheus text 1.0.0: 0.0.4 with names in quotes.
    PrometheusText1,
    /// Prometheus text 0.0.4.
    PrometheusText0,
}

impl ScrapeProtocol {
    /// Every protocol with its name in configurations.
    pub const ALL: [(&'static str, Self); 5] = [
        ("PrometheusProto", Self::PrometheusProto),
        ("OpenMetricsText1.0.0", Self::OpenMetricsText1),
        ("OpenMetricsText0.0.1", Self::OpenMetricsText0),
        ("PrometheusText1.0.0", Self::PrometheusText1),
        ("PrometheusText0.0.4", Self::PrometheusText0),
    ];

    /// What is asked for by default, and if native histograms are wanted, which only protobuf has.
    pub const PROTOBUF_FIRST: [Self; 5] = [
        Self::PrometheusProto,
        Self::OpenMetricsText1,
        Self::OpenMetricsText0,
        Self::PrometheusText1,
        Self::PrometheusText0,
    ];

    /// What is asked for by default.
    pub const DEFAULT: [Self; 4] = [
        Self::OpenMetricsText1,
        Self::OpenMetricsText0,
        Self::PrometheusText1,
        Self::PrometheusText0,
    ];

    /// The protocol of this name.
    pub fn by_name(name: &str) -> Option<Self> {
        let found = Self::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, protocol)| *protocol)
    }

    /// The format in which its pages are read.
    pub fn format(self) -> PageFormat {
        match self {
            Self::PrometheusProto => PageFormat::Protobuf,
            Self::OpenMetricsText1 | Self::OpenMetricsText0 => PageFormat::OpenMetrics,
            Self::PrometheusText1 | Self::PrometheusText0 => PageFormat::Text,
        }
    }

    /// Its media range, with the names beyond ASCII that a reader of today takes.
    fn media_range(self) -> &'static str {
        match self {
            Self::PrometheusProto => {
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited"
            }
            Self::OpenMetricsText1 => {
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8"
            }
            Self::OpenMetricsText0 => "application/openmetrics-text;version=0.0.1",
            Self::PrometheusText1 => "text/plain;version=1.0.0;escaping=allow-utf-8",
            Self::PrometheusText0 => "text/plain;version=0.0.4",
        }
    }
}

/// The `Accept` header that asks for these protocols, the first one first.
pub fn accept(protocols: &[ScrapeProtocol]) -> String {
    // Prometheus counts down from one more than it knows protocols, OpenMetrics 2.0 among them.
    let weights = (1..=7).rev();
    let mut header = String::new();
    let mut least = 7;
    for (protocol, weight) in protocols.iter().zip(weights) {
        header.push_str(protocol.media_range());
        header.push_str(&format!(";q=0.{weight},"));
        least = weight - 1;
    }
    header.push_str(&format!("*/*;q=0.{}", least.max(1)));
    header
}

/// How a page is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageFormat {
    /// Prometheus text.
    Text,
    /// OpenMetrics text.
    OpenMetrics,
    /// Protobuf messages, each after its length.
    Protobuf,
}

/// An answer that doesn't say which format it has, where none is configured for that case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnknownContentType {
    /// There is no `Content-Type`, or an empty one.
    #[error("the answer has no Content-Type, and no fallback_scrape_protocol is configured")]
    Missing,
    /// It can't be read, or is none of those that metrics have.
    #[error(
        "the answer's Content-Type is none of metrics, and no fallback_scrape_protocol is configured"
    )]
    Foreign,
}

impl PageFormat {
    /// The format that a `Content-Type` means; that of the fallback if it means none.
    ///
    /// # Errors
    ///
    /// If it means none, and there is no fallback. Prometheus fails the scrape, too.
    pub fn of(
        content_type: Option<&str>,
        fallback: Option<ScrapeProtocol>,
    ) -> Result<Self, UnknownContentType> {
        let content_type = content_type.unwrap_or_default();
        let fallback = fallback.map(ScrapeProtocol::format);
        if content_type.is_empty() {
            return fallback.ok_or(UnknownContentType::Missing);
        }
        Self::named(content_type)
            .or(fallback)
            .ok_or(UnknownContentType::Foreign)
    }

    fn named(content_type: &str) -> Option<Self> {
        let (media_type, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
        let parameters = Parameters::read(parameters)?;
        match media_type.trim().to_ascii_lowercase().as_str() {
            // OpenMetrics 2.0 is another language.
            "application/openmetrics-text" if parameters.version == "2.0.0" => None,
            "application/openmetrics-text" => Some(Self::OpenMetrics),
            "application/vnd.google.protobuf" => Some(Self::Protobuf),
            "text/plain" => Some(Self::Text),
            _ => None,
        }
    }
}

/// What of a media type's parameters matters.
struct Parameters {
    version: String,
}

impl Parameters {
    /// `None` if they can't be read: then nothing is known of the format.
    fn read(mut rest: &str) -> Option<Self> {
        let mut version = String::new();
        loop {
            rest = rest.trim_start();
            if rest.is_empty() {
                return Some(Self { version });
            }
            let (name, after) = rest.split_once('=')?;
            let name = name.trim_end().to_ascii_lowercase();
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) = parameter_value(after)?;
            if name == "version" {
                version = value;
            }
            let after = after.trim_start();
            rest = match after.strip_prefix(';') {
                Some(rest) => rest,
                None if after.is_empty() => after,
                None => return None,
            };
        }
    }
}

/// A token or a text in quotes, and what follows it.
fn parameter_value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .bytes()
            .position(|byte| !is_token(byte))
            .unwrap_or(text.len());
        let (value, rest) = text.split_at_checked(end)?;
        return (!value.is_empty()).then(|| (value.to_owned(), rest));
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, quoted.get(at + 1..)?)),
            '\\' => value.push(chars.next()?.1),
            '\r' | '\n' => return None,
            char => value.push(char),
        }
    }
    None
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_graphic() && !br#"()<>@,;:\"/[]?="#.contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_asked_as_prometheus_asks() {
        assert_eq!(
            accept(&ScrapeProtocol::DEFAULT),
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.7,\
             application/openmetrics-text;version=0.0.1;q=0.6,\
             text/plain;version=1.0.0;escaping=allow-utf-8;q=0.5,\
             text/plain;version=0.0.4;q=0.4,*/*;q=0.3"
        );
        assert_eq!(
            accept(&[ScrapeProtocol::PrometheusProto]),
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
             encoding=delimited;q=0.7,*/*;q=0.6"
        );
    }

    #[test]
    fn the_answer_says_which_format_it_has() {
        let f = |content_type: &str, expected: Result<PageFormat, UnknownContentType>| {
            assert_eq!(
                PageFormat::of(Some(content_type), None),
                expected,
                "{content_type}"
            );
        };
        f("text/plain", Ok(PageFormat::Text));
        f(
            "text/plain; version=0.0.4; charset=utf-8",
            Ok(PageFormat::Text),
        );
        f("Text/Plain ; Version=\"9\"", Ok(PageFormat::Text));
        f(
            "application/openmetrics-text; version=1.0.0; escaping=values",
            Ok(PageFormat::OpenMetrics),
        );
        f("application/openmetrics-text", Ok(PageFormat::OpenMetrics));
        f(
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            Ok(PageFormat::Protobuf),
        );
        f(
            "application/openmetrics-text; version=2.0.0",
            Err(UnknownContentType::Foreign),
        );
        f("text/html", Err(UnknownContentType::Foreign));
        f("text/plain; version", Err(UnknownContentType::Foreign));
        f("text/plain; a=b c", Err(UnknownContentType::Foreign));
        f("text/plain; a=\"b", Err(UnknownContentType::Foreign));
        f("", Err(UnknownContentType::Missing));
        assert_eq!(PageFormat::of(None, None), Err(UnknownContentType::Missing));
        for content_type in [None, Some(""), Some("text/html"), Some("text/plain; =")] {
            assert_eq!(
                PageFormat::of(content_type, Some(ScrapeProtocol::OpenMetricsText0)),
                Ok(PageFormat::OpenMetrics)
            );
        }
    }
}
