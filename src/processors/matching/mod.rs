//! What a processor applies to: the `include` and `exclude` of the Collector.
//!
//! ```yaml
//! include:                          # only what has all of these
//!   match_type: strict              # strict, regexp or glob
//!   services: [checkout]            # the resource's service.name is one of them
//!   resources: [{key: host.name}]   # the resource has them all, with a value where given
//!   libraries: [{name: mylib, version: "1.0"}]   # the scope is one of them
//!   attributes: [{key: tier, value: gold}]       # of spans and log records
//!   span_names: [login]
//!   span_kinds: [SPAN_KIND_SERVER]
//!   log_bodies: [started]
//!   log_severity_texts: [INFO]
//!   log_severity_number: {min: WARN, match_undefined: true}
//!   metric_names: [system.cpu.time]
//! exclude:                          # but nothing that has all of these
//!   match_type: regexp
//!   span_names: ["^health"]
//! ```
//!
//! Each list names alternatives, but `resources` and `attributes` must be there together.
//! Regular expressions match anywhere in the text, globs the whole.

mod attribute;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub(super) use attribute::WantedAttributes;

use crate::pdata::Signal;
use crate::pdata::view::{
    Attributes, LogRecord, Metric, Resource, Scope, Span, Value as Attribute,
};
use crate::settings::{MatchType, Patterns};
use crate::yaml::{Fields, FromValue, NodeKind, PlacedNode};

/// Spans, log records and metrics that a processor applies to.
///
/// Resource and scope are entered before what is in them is asked for, so that they are
/// looked at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    include: Option<MatchSide>,
    exclude: Option<MatchSide>,
}

/// Properties that something must have, all of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Properties {
    pub(super) services: Option<Patterns>,
    pub(super) resources: Option<WantedAttributes>,
    pub(super) libraries: Vec<Library>,
    pub(super) attributes: Option<WantedAttributes>,
    pub(super) span_names: Option<Patterns>,
    pub(super) span_kinds: Option<Patterns>,
    pub(super) log_bodies: Option<Patterns>,
    pub(super) log_severity_texts: Option<Patterns>,
    pub(super) log_severity_number: Option<MinSeverity>,
    pub(super) metric_names: Option<Patterns>,
}

/// An instrumentation scope by name, and by version where one is given.
#[derive(Debug, Clone)]
pub(super) struct Library {
    name: Patterns,
    version: Option<Patterns>,
}

/// Log records from a severity on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MinSeverity {
    min: i32,
    /// Whether records without a severity match.
    undefined: bool,
}

/// Properties, and whether the resource and scope have them that were entered last.
#[derive(Debug, Clone)]
struct MatchSide {
    properties: Properties,
    resource: bool,
    scope: bool,
}

impl Selection {
    /// Reads `include` and `exclude` from among a processor's keys.
    pub(super) fn from_fields(fields: &mut Fields<'_>) -> Self {
        let include = fields.optional("include");
        let exclude = fields.optional("exclude");
        Self::new(include, exclude)
    }

    pub(super) fn new(include: Option<Properties>, exclude: Option<Properties>) -> Self {
        Self {
            include: include.map(MatchSide::new),
            exclude: exclude.map(MatchSide::new),
        }
    }

    /// Says which property means nothing to a signal.
    pub(super) fn check(&self, signal: Signal) -> anyhow::Result<()> {
        for (side, name) in [(&self.include, "include"), (&self.exclude, "exclude")] {
            if let Some(side) = side
                && let Some(key) = side.properties.foreign_to(signal)
            {
                anyhow::bail!("{name}::{key} has no meaning in a pipeline of {signal}");
            }
        }
        Ok(())
    }

    /// Enters a resource; false where nothing in it is selected.
    pub(super) fn enter_resource(&mut self, resource: Resource<'_>) -> bool {
        for side in self.include.iter_mut().chain(&mut self.exclude) {
            side.resource = side.properties.has_resource(resource.attributes());
        }
        self.include.as_ref().is_none_or(|side| side.resource)
    }

    /// Enters a scope of the resource; false where nothing in it is selected.
    pub(super) fn enter_scope(&mut self, scope: Scope<'_>) -> bool {
        for side in self.include.iter_mut().chain(&mut self.exclude) {
            side.scope = side.resource && side.properties.has_scope(scope);
        }
        self.include.as_ref().is_none_or(|side| side.scope)
    }

    pub(super) fn span(&self, span: &Span<'_>) -> bool {
        self.selects(|properties| properties.has_span(span))
    }

    pub(super) fn log_record(&self, record: &LogRecord<'_>) -> bool {
        self.selects(|properties| properties.has_log_record(record))
    }

    pub(super) fn metric(&self, metric: &Metric<'_>) -> bool {
        self.selects(|properties| matches(&properties.metric_names, metric.name()))
    }

    #[inline]
    fn selects(&self, has: impl Fn(&Properties) -> bool) -> bool {
        let all = |side: &MatchSide| side.scope && has(&side.properties);
        self.include.as_ref().is_none_or(all) && !self.exclude.as_ref().is_some_and(all)
    }
}

impl MatchSide {
    fn new(properties: Properties) -> Self {
        Self {
            properties,
            resource: false,
            scope: false,
        }
    }
}

impl FromValue for Properties {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let match_type = MatchType::from_fields(&mut fields);
        // Read with any, so that one run shows every problem.
        let read_as = match_type.unwrap_or(MatchType::Strict);
        let mut texts = |key| Patterns::optional(&mut fields, key, read_as);
        let properties = Self {
            services: texts("services"),
            span_names: texts("span_names"),
            span_kinds: texts("span_kinds"),
            log_bodies: texts("log_bodies"),
            log_severity_texts: texts("log_severity_texts"),
            metric_names: texts("metric_names"),
            log_severity_number: fields.optional("log_severity_number"),
            resources: WantedAttributes::optional(&mut fields, "resources", read_as),
            attributes: WantedAttributes::optional(&mut fields, "attributes", read_as),
            libraries: Library::list(&mut fields, read_as)?,
        };
        fields.finish();
        match_type?;
        if !names_property(value) {
            return value.error("names no property to match, such as `services` or `attributes`");
        }
        Some(properties)
    }
}

/// Whether anything is written beside how to match.
fn names_property(value: &PlacedNode<'_>) -> bool {
    let entries = value.entries().unwrap_or_default();
    entries.iter().any(|(entry, value)| {
        !matches!(entry.key.as_str(), "match_type" | "regexp")
            && match &value.node().kind {
                NodeKind::Null => false,
                NodeKind::List(items) => !items.is_empty(),
                NodeKind::Scalar { .. } | NodeKind::Secret { .. } | NodeKind::Map(_) => true,
            }
    })
}

impl Properties {
    /// Whether none is asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.named().next().is_none() && self.libraries.is_empty()
    }

    /// The properties that are asked for, each with the only signal that has it, if it
    /// isn't one of resource or scope.
    fn named(&self) -> impl Iterator<Item = (&'static str, &'static [Signal])> {
        const SPANS: &[Signal] = &[Signal::Traces];
        const LOGS: &[Signal] = &[Signal::Logs];
        [
            (self.services.is_some(), "services", &Signal::ALL[..]),
            (self.resources.is_some(), "resources", &Signal::ALL),
            (
                self.attributes.is_some(),
                "attributes",
                &[Signal::Traces, Signal::Logs],
            ),
            (self.span_names.is_some(), "span_names", SPANS),
            (self.span_kinds.is_some(), "span_kinds", SPANS),
            (self.log_bodies.is_some(), "log_bodies", LOGS),
            (
                self.log_severity_texts.is_some(),
                "log_severity_texts",
                LOGS,
            ),
            (
                self.log_severity_number.is_some(),
                "log_severity_number",
                LOGS,
            ),
            (
                self.metric_names.is_some(),
                "metric_names",
                &[Signal::Metrics],
            ),
        ]
        .into_iter()
        .filter_map(|(asked, key, signals)| asked.then_some((key, signals)))
    }

    fn foreign_to(&self, signal: Signal) -> Option<&'static str> {
        self.named()
            .find(|(_, signals)| !signals.contains(&signal))
            .map(|(key, _)| key)
    }

    fn has_resource(&self, resource: Attributes<'_>) -> bool {
        self.services.as_ref().is_none_or(|services| {
            match resource.get("service.name") {
                Some(Attribute::Str(name)) => services.matches(name),
                Some(name) => services.matches(&name.to_string()),
                // What the Collector takes for its name.
                None => services.matches("<nil-service-name>"),
            }
        }) && has_all(&self.resources, resource)
    }

    fn has_scope(&self, scope: Scope<'_>) -> bool {
        let is = |library: &Library| {
            let version = |version: &Patterns| version.matches(scope.version());
            library.name.matches(scope.name()) && library.version.as_ref().is_none_or(version)
        };
        self.libraries.is_empty() || self.libraries.iter().any(is)
    }

    fn has_span(&self, span: &Span<'_>) -> bool {
        matches(&self.span_names, span.name())
            && matches(&self.span_kinds, kind_name(span.kind()))
            && has_all(&self.attributes, span.attributes())
    }

    fn has_log_record(&self, record: &LogRecord<'_>) -> bool {
        self.log_severity_number
            .is_none_or(|severity| severity.matches(record.severity_number()))
            && matches(&self.log_severity_texts, record.severity_text())
            && self.log_bodies.as_ref().is_none_or(|bodies| {
                let text = match record.body() {
                    Attribute::Str(text) => Cow::Borrowed(text),
                    body => Cow::Owned(body.to_string()),
                };
                bodies.matches(&text)
            })
            && has_all(&self.attributes, record.attributes())
    }
}

impl Library {
    fn list(fields: &mut Fields<'_>, match_type: MatchType) -> Option<Vec<Self>> {
        let Some(list) = fields.value("libraries") else {
            return Some(Vec::new());
        };
        let read = |item: &PlacedNode<'_>| {
            let mut fields = item.fields()?;
            let name = match fields.value("name") {
                Some(name) => Patterns::one(&name, match_type),
                None => item.error("`name` is missing"),
            };
            let version = match fields.value("version").filter(|value| !value.is_null()) {
                Some(version) => Some(Patterns::one(&version, match_type)?),
                None => None,
            };
            fields.finish();
            Some(Self {
                name: name?,
                version,
            })
        };
        list.items()?.iter().map(read).collect()
    }
}

impl FromValue for MinSeverity {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        let min = match fields.value("min") {
            Some(min) => severity(&min),
            None => value.error("`min` is missing"),
        };
        let undefined = fields.or("match_undefined", false);
        fields.finish();
        Some(Self {
            min: min?,
            undefined,
        })
    }
}

impl MinSeverity {
    fn matches(self, number: i32) -> bool {
        if number == 0 {
            self.undefined
        } else {
            number >= self.min
        }
    }
}

/// A severity by its number or its short name.
fn severity(value: &PlacedNode<'_>) -> Option<i32> {
    const NAMES: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];
    let text: String = value.read()?;
    let upper = text.to_ascii_uppercase();
    let (name, digit) = match upper.strip_suffix(['2', '3', '4']) {
        Some(name) => (name, upper.as_bytes()[upper.len() - 1] - b'1'),
        None => (upper.as_str(), 0),
    };
    let named = NAMES.iter().position(|known| *known == name);
    let number = match named {
        Some(position) => Some(position as i32 * 4 + 1 + i32::from(digit)),
        None => text.parse().ok().filter(|number| (0..=24).contains(number)),
    };
    number.or_else(|| {
        value.error(format_args!(
            "`{text}` is no severity: use TRACE, DEBUG, INFO, WARN, ERROR or FATAL, or 1 to 24"
        ))
    })
}

fn matches(patterns: &Option<Patterns>, text: &str) -> bool {
    patterns
        .as_ref()
        .is_none_or(|patterns| patterns.matches(text))
}

fn has_all(wanted: &Option<WantedAttributes>, attributes: Attributes<'_>) -> bool {
    wanted
        .as_ref()
        .is_none_or(|wanted| wanted.match_all(attributes))
}

/// The name of a span's kind in the protocol.
fn kind_name(kind: i32) -> &'static str {
    match kind {
        0 => "SPAN_KIND_UNSPECIFIED",
        1 => "SPAN_KIND_INTERNAL",
        2 => "SPAN_KIND_SERVER",
        3 => "SPAN_KIND_CLIENT",
        4 => "SPAN_KIND_PRODUCER",
        5 => "SPAN_KIND_CONSUMER",
        _ => "",
    }
}
