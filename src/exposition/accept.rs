//! What a scraper asks for: `Accept` and `Accept-Encoding`.

use hyper::HeaderMap;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderName};

/// A text format of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

/// The answer's form that suits a scraper best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The format.
    pub format: Format,
    /// Whether to compress.
    pub gzip: bool,
}

impl Format {
    /// The `Content-Type` of a page.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

impl Accepted {
    /// Reads a request's headers. A scraper that accepts none of the formats gets text, as from
    /// Prometheus's own exporters.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        let mut best = (0.0, Format::Text);
        for range in ranges(headers, ACCEPT) {
            if let Some(format) = format(&range)
                && range.quality > best.0
            {
                best = (range.quality, format);
            }
        }
        Self {
            format: best.1,
            gzip: accepts_gzip(headers),
        }
    }
}

/// One element of an `Accept` header or one like it.
struct Range<'a> {
    name: &'a str,
    version: Option<&'a str>,
    quality: f32,
}

fn ranges(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = Range<'_>> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|element| {
            let mut parts = element.split(';').map(str::trim);
            let mut range = Range {
                name: parts.next().unwrap_or_default(),
                version: None,
                quality: 1.0,
            };
            for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                match key.trim() {
                    "version" => range.version = Some(value.trim().trim_matches('"')),
                    "q" => range.quality = value.trim().parse().unwrap_or(0.0),
                    _ => {}
                }
            }
            range
        })
}

fn format(range: &Range<'_>) -> Option<Format> {
    match (range.name.to_ascii_lowercase().as_str(), range.version) {
        ("application/openmetrics-text", None | Some("1.0.0" | "0.0.1")) => {
            Some(Format::OpenMetrics)
        }
        // 1.0.0 is 0.0.4 with names in quotes, which are there or not.
        ("text/plain", None | Some("0.0.4" | "1.0.0")) | ("text/*" | "*/*", _) => {
            Some(Format::Text)
        }
        _ => None,
    }
}

fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for range in ranges(headers, ACCEPT_ENCODING) {
        if range.name.eq_ignore_ascii_case("gzip") {
            return range.quality > 0.0;
        }
        any |= range.name == "*" && range.quality > 0.0;
    }
    any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(accept: &[&str], encoding: &str) -> Accepted {
        let mut headers = HeaderMap::new();
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        headers.insert(ACCEPT_ENCODING, encoding.parse().unwrap());
        Accepted::from_headers(&headers)
    }

    #[test]
    fn the_format_of_the_highest_quality_wins() {
        let f = |accept: &[&str], expected: Format| {
            assert_eq!(accepted(accept, "").format, expected, "{accept:?}");
        };
        // Prometheus 3, then 2.
        f(
            &[
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
               application/openmetrics-text;version=0.0.1;q=0.5,\
               text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
               text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            ],
            Format::OpenMetrics,
        );
        f(
            &["application/vnd.google.protobuf;proto=x;q=0.7, text/plain;version=0.0.4;q=0.5"],
            Format::Text,
        );
        f(&[], Format::Text);
        f(&["*/*"], Format::Text);
        f(&["text/html, */*;q=0.1"], Format::Text);
        f(&["application/json"], Format::Text);
        f(
            &["text/plain;q=0.5", "application/openmetrics-text; q=0.9"],
            Format::OpenMetrics,
        );
        f(&["application/openmetrics-text;q=0"], Format::Text);
        f(
            &["application/openmetrics-text;version=9.0.0"],
            Format::Text,
        );
        f(&["application/openmetrics-text;q=x,;;=,q="], Format::Text);
        f(
            &["Application/OpenMetrics-Text; version=\"1.0.0\""],
            Format::OpenMetrics,
        );
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        let f = |encoding: &str, expected: bool| {
            assert_eq!(accepted(&[], encoding).gzip, expected, "{encoding}");
        };
        f("gzip", true);
        f("deflate, GZIP;q=0.5", true);
        f("*", true);
        f("gzip;q=0, *", false);
        f("identity", false);
        f("", false);
    }
}
