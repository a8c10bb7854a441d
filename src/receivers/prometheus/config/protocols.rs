//! `scrape_protocols`, and which names metrics and labels may have.

use crate::exposition::read::ScrapeProtocol;
use crate::receivers::prometheus::relabel::NameScheme;
use crate::yaml::{Fields, PlacedNode};

/// Reads a list of protocols, the most wanted first.
pub(super) fn protocols(value: &PlacedNode<'_>) -> Option<Vec<ScrapeProtocol>> {
    let items = value.items()?;
    if items.is_empty() {
        return value.error("names no protocol: leave it out for the usual ones");
    }
    let mut protocols = Vec::new();
    for item in &items {
        let protocol = item.choice(&ScrapeProtocol::ALL)?;
        if protocols.contains(&protocol) {
            return item.error("is listed twice");
        }
        protocols.push(protocol);
    }
    Some(protocols)
}

/// `metric_name_validation_scheme`; `None` if it isn't written.
pub(super) fn name_scheme(fields: &mut Fields<'_>) -> Option<NameScheme> {
    let value = fields.value("metric_name_validation_scheme")?;
    match value.text() {
        None | Some("") if value.is_null() || value.text().is_some() => None,
        _ => value.choice(&[("utf8", NameScheme::Utf8), ("legacy", NameScheme::Legacy)]),
    }
}

/// `metric_name_escaping_scheme`: how targets are asked to write names that are outside of the
/// scheme. `None` if it isn't written.
pub(super) fn escaping(fields: &mut Fields<'_>, names: NameScheme) -> Option<&'static str> {
    const ALL: [(&str, &str); 4] = [
        (UTF8, UTF8),
        ("underscores", "underscores"),
        ("dots", "dots"),
        ("values", "values"),
    ];
    const UTF8: &str = "allow-utf-8";
    let value = fields.value("metric_name_escaping_scheme")?;
    if value.is_null() || value.text() == Some("") {
        return None;
    }
    let escaping = value.choice(&ALL)?;
    if escaping == UTF8 && names == NameScheme::Legacy {
        return value.error("the names that allow-utf-8 asks for aren't legacy names");
    }
    Some(escaping)
}

/// How targets are asked to write names where nothing is written about it.
pub(super) fn usual_escaping(names: NameScheme) -> &'static str {
    match names {
        NameScheme::Utf8 => "allow-utf-8",
        NameScheme::Legacy => "underscores",
    }
}
