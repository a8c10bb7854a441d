//! From the tree to a [`Config`]: reads every section, looks up every reference, and goes
//! on after each problem.

mod claims;
mod pipelines;

use std::collections::BTreeMap;

use self::claims::Claimants;
use self::pipelines::{ids, pipelines};
use super::{Config, ServiceConfig, Stage, guards, service, telemetry};
use crate::component::{ComponentId, Factories, ReceiverConfig};
use crate::pdata::Signal;
use crate::resilience::DEFAULT_MAX_ENDPOINTS;
use crate::yaml::{
    Diagnostics, Node, PlacedNode, Problem, Severity, SourceSpan, is_empty, nearest,
};

/// Reads the whole tree. The result is for use only where no error was reported.
pub(super) fn resolve(
    root: &Node,
    factories: &Factories,
    diagnostics: &Diagnostics,
) -> Option<Config> {
    let root = PlacedNode::root(root, diagnostics);
    let mut fields = root.fields()?;
    let mut receivers = Section::read(
        &RECEIVERS,
        fields.value("receivers"),
        &named(factories.receivers, |f| (f.kind, f.aliases)),
        |value, i| {
            let factory = factories.receivers.get(i)?;
            Some((factory.signals, (factory.configure)(value)))
        },
    );
    let stages = named(factories.processors, |f| (f.kind, f.aliases))
        .into_iter()
        .chain(
            named(factories.policies, |f| (f.kind, &[]))
                .into_iter()
                .map(|(name, i)| (name, factories.processors.len() + i)),
        )
        .collect::<Vec<_>>();
    let mut processors = Section::read(
        &PROCESSORS,
        fields.value("processors"),
        &stages,
        |value, i| {
            if let Some(factory) = factories.processors.get(i) {
                let config = (factory.configure)(value).map(Stage::Processor);
                return Some((factory.signals, config));
            }
            let factory = factories.policies.get(i - factories.processors.len())?;
            Some((&Signal::ALL, (factory.configure)(value).map(Stage::Policy)))
        },
    );
    let mut exporters = Section::read(
        &EXPORTERS,
        fields.value("exporters"),
        &named(factories.exporters, |f| (f.kind, f.aliases)),
        |value, i| {
            let factory = factories.exporters.get(i)?;
            Some((factory.signals, (factory.configure)(value)))
        },
    );
    let mut extensions = Section::read(
        &EXTENSIONS,
        fields.value("extensions"),
        &named(factories.extensions, |f| (f.kind, &[])),
        |value, i| {
            let factory = factories.extensions.get(i)?;
            Some((&Signal::ALL, (factory.configure)(value)))
        },
    );
    let connectors = fields.value("connectors");
    if let Some(connectors) = connectors.filter(|value| !is_empty(value)) {
        connectors.error::<()>("connectors are not supported: let one pipeline do the work");
    }

    let service = fields.value("service");
    if service.is_none() {
        fields.map().error::<()>(
            "`service` is missing: it says which receivers, processors and exporters make a \
             pipeline",
        );
    }
    fields.finish();
    let mut service = service?.fields()?;
    if let Some(list) = service.value("extensions") {
        for (id, item) in ids(&list) {
            let place = ReferencePlace {
                item: &item,
                owner: &list,
            };
            extensions.take(&id, None, &place);
        }
    }
    let (pipelines, guarding) = match service.value("pipelines") {
        Some(value) => pipelines(&value, &mut receivers, &mut processors, &mut exporters),
        None => {
            let message = "`pipelines` is missing: name at least one, such as `metrics`";
            service.map().error::<()>(message);
            Default::default()
        }
    };
    let guards = guards::lower(&guarding, receivers.pullers());
    let http = service::http(service.value("http"));
    let telemetry = telemetry::telemetry(service.value("telemetry"));
    let shutdown = service::shutdown(service.value("shutdown"));
    let max_endpoints = service.within("max_endpoints", DEFAULT_MAX_ENDPOINTS, 1..=1_000_000);
    service.finish();
    let claimants = Claimants {
        root: &root,
        http: &http,
        pages: &telemetry.pages,
        receivers: &receivers,
        exporters: &exporters,
        extensions: &extensions,
    };
    claimants.check();

    Some(Config {
        receivers: receivers.used(diagnostics),
        processors: processors.used(diagnostics),
        exporters: exporters.used(diagnostics),
        guards,
        extensions: extensions.used(diagnostics),
        service: ServiceConfig {
            pipelines,
            http,
            telemetry,
            shutdown,
            max_endpoints,
        },
        sources: Vec::new(),
    })
}

/// What a family of components is called.
struct ComponentFamily {
    one: &'static str,
    section: &'static str,
    /// Where one has to stand in order to run.
    used_in: &'static str,
}

const RECEIVERS: ComponentFamily = ComponentFamily {
    one: "receiver",
    section: "receivers",
    used_in: "no pipeline",
};
const PROCESSORS: ComponentFamily = ComponentFamily {
    one: "processor",
    section: "processors",
    used_in: "no pipeline",
};
const EXPORTERS: ComponentFamily = ComponentFamily {
    one: "exporter",
    section: "exporters",
    used_in: "no pipeline",
};
const EXTENSIONS: ComponentFamily = ComponentFamily {
    one: "extension",
    section: "extensions",
    used_in: "no list of `service::extensions`",
};

/// Every name in a family, and which of its factories it means.
type FactoryNames = Vec<(&'static str, usize)>;

fn named<F>(
    factories: &'static [F],
    names: impl Fn(&F) -> (&'static str, &'static [&'static str]),
) -> FactoryNames {
    let mut all = Vec::new();
    for (i, factory) in factories.iter().enumerate() {
        let (kind, aliases) = names(factory);
        all.push((kind, i));
        all.extend(aliases.iter().map(|alias| (*alias, i)));
    }
    all
}

/// One of the sections that declare components.
struct Section<'a, C> {
    family: &'static ComponentFamily,
    names: Vec<&'static str>,
    declared: BTreeMap<ComponentId, Declared<'a, C>>,
    /// Whether it can't be read at all, so that every reference into it would be wrong.
    unreadable: bool,
}

struct Declared<'a, C> {
    span: SourceSpan,
    body: PlacedNode<'a>,
    signals: &'static [Signal],
    /// None where something is wrong with it, which has been reported.
    config: Option<C>,
    used: bool,
}

impl<'a, C> Section<'a, C> {
    /// Configures every component of the section, used or not, since a mistake in one that
    /// is commented out of its pipeline for a day is still a mistake.
    fn read(
        family: &'static ComponentFamily,
        value: Option<PlacedNode<'a>>,
        names: &FactoryNames,
        configure: impl Fn(&PlacedNode<'_>, usize) -> Option<(&'static [Signal], Option<C>)>,
    ) -> Self {
        let mut section = Self {
            family,
            names: names.iter().map(|(name, _)| *name).collect(),
            declared: BTreeMap::new(),
            unreadable: false,
        };
        let entries = match value.map(|value| value.entries()) {
            None => Vec::new(),
            Some(Some(entries)) => entries,
            Some(None) => {
                section.unreadable = true;
                Vec::new()
            }
        };
        for (entry, value) in entries {
            let report = |message: String| {
                value.diagnostics().push(Problem {
                    span: entry.span.clone(),
                    path: value.path().to_owned(),
                    message,
                    severity: Severity::Error,
                });
            };
            let id: ComponentId = match entry.key.parse() {
                Ok(id) => id,
                Err(error) => {
                    report(format!("{error}"));
                    continue;
                }
            };
            let factory = names.iter().find(|(name, _)| *name == id.kind());
            let (signals, config) = match factory.and_then(|(_, i)| configure(&value, *i)) {
                Some(configured) => configured,
                None => {
                    report(section.unknown(id.kind()));
                    (&Signal::ALL[..], None)
                }
            };
            let declared = Declared {
                span: entry.span.clone(),
                body: value.clone(),
                signals,
                config,
                used: false,
            };
            section.declared.insert(id, declared);
        }
        section
    }

    fn unknown(&self, kind: &str) -> String {
        let ComponentFamily { one, section, .. } = self.family;
        match nearest(kind, self.names.iter().copied()) {
            Some(near) => format!("unknown {one} type `{kind}`, did you mean `{near}`?"),
            // No list of them: there are dozens in a grown table, and most are far off.
            None => {
                format!("unknown {one} type `{kind}`: `foghorn components` lists the {section}")
            }
        }
    }

    /// Looks up what a list refers to, and says what is wrong with it. Gives the component
    /// if it is declared and carries the signal, right or not in itself.
    fn take(
        &mut self,
        id: &ComponentId,
        signal: Option<Signal>,
        place: &ReferencePlace<'_>,
    ) -> Option<&Declared<'a, C>> {
        let one = self.family.one;
        if self.unreadable {
            return None;
        }
        if !self.declared.contains_key(id) {
            let mut message = format!("references {one} \"{id}\" which is not configured");
            let right = self.declared.iter().filter(|(_, d)| d.config.is_some());
            let near = nearest(id.as_str(), right.map(|(id, _)| id.as_str()));
            if let Some(near) = near {
                message.push_str(&format!(", did you mean \"{near}\"?"));
            } else if self.names.contains(&id.kind()) {
                message.push_str(&format!(": add `{id}:` under `{}`", self.family.section));
            }
            return place.error(message);
        }
        let declared = self.declared.get_mut(id)?;
        declared.used = true;
        match signal {
            Some(signal) if !declared.signals.contains(&signal) => {
                let carries: Vec<&str> = declared.signals.iter().map(|s| s.as_str()).collect();
                place.error(format!(
                    "{one} \"{id}\" carries {}, not {signal}",
                    carries.join(" and ")
                ))
            }
            _ => Some(declared),
        }
    }

    /// What runs, with a warning for each that doesn't.
    fn used(self, diagnostics: &Diagnostics) -> BTreeMap<ComponentId, C> {
        let ComponentFamily {
            one,
            section,
            used_in,
        } = self.family;
        let mut used = BTreeMap::new();
        for (id, declared) in self.declared {
            if declared.used {
                used.extend(declared.config.map(|config| (id, config)));
            } else if !diagnostics.has_errors() {
                // Beside errors it is most often what follows from one of them, such as a
                // reference with a typo.
                diagnostics.push(Problem {
                    span: declared.span,
                    path: format!("{section}::{id}"),
                    message: format!("this {one} is in {used_in}, so it does not run"),
                    severity: Severity::Warning,
                });
            }
        }
        used
    }
}

impl<'a> Section<'a, Box<dyn ReceiverConfig>> {
    /// Those that run.
    fn pullers(&self) -> impl Iterator<Item = guards::Puller<'a, '_>> {
        self.declared
            .iter()
            .filter(|(_, declared)| declared.used)
            .filter_map(|(id, declared)| {
                Some(guards::Puller {
                    id,
                    config: declared.config.as_deref()?,
                    body: &declared.body,
                })
            })
    }
}

/// Where a reference stands, and the path under which it is reported.
struct ReferencePlace<'a> {
    item: &'a PlacedNode<'a>,
    owner: &'a PlacedNode<'a>,
}

impl ReferencePlace<'_> {
    fn error<T>(&self, message: String) -> Option<T> {
        self.report(Severity::Error, message);
        None
    }

    fn report(&self, severity: Severity, message: String) {
        self.owner.diagnostics().push(Problem {
            span: self.item.span().clone(),
            path: self.owner.path().to_owned(),
            message,
            severity,
        });
    }
}

#[cfg(test)]
mod tests;
