mod claims;

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::component::{
    BuildContext, BuiltExporter, Claimed, ExporterConfig, ExporterFactory, Extension,
    ExtensionConfig, ExtensionFactory, Intake, Listener, MemoryLimit, Policy, PolicyFactory,
    Processor, ProcessorConfig, ProcessorFactory, Receiver, ReceiverConfig, ReceiverFactory,
    ResourceClaim,
};
use crate::config::{Config, Invalid, Loaded, Sources};
use crate::settings::ListenerConfig;
use crate::yaml::Secret;

/// A component with one key of each manner, so that these tests depend on no real one.
#[derive(Debug)]
struct Fake {
    claims: Vec<ResourceClaim>,
}

impl Fake {
    fn read(value: &PlacedNode<'_>) -> Option<Self> {
        let mut fields = value.fields()?;
        fields.within("count", 1_u64, 1..=10);
        fields.optional::<Secret>("token");
        let mut claims = Vec::new();
        let mut claim = |key, claimed| claims.push(ResourceClaim { key, claimed });
        if let Some(listener) = fields.optional::<ListenerConfig>("port") {
            claim("port::endpoint", Claimed::Port(listener.clone()));
        }
        if let Some(path) = fields.optional::<String>("page") {
            let listener = match fields.value("at") {
                None => Listener::Agent,
                Some(at) => Listener::At(at.read()?),
            };
            claim("at::endpoint", Claimed::Page(listener, path));
        }
        if let Some(path) = fields.optional::<PathBuf>("file") {
            claim("file", Claimed::File(path));
        }
        fields.finish();
        Some(Self { claims })
    }
}

impl ReceiverConfig for Fake {
    fn build(
        &self,
        _: &BuildContext,
        _: BTreeMap<Signal, std::sync::Arc<dyn Intake>>,
    ) -> anyhow::Result<Box<dyn Receiver>> {
        anyhow::bail!("never built here")
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        self.claims.clone()
    }

    fn describe(&self) -> String {
        String::new()
    }
}

impl ProcessorConfig for Fake {
    fn build(&self, _: &BuildContext, _: Signal) -> anyhow::Result<Box<dyn Processor>> {
        anyhow::bail!("never built here")
    }
}

impl ExporterConfig for Fake {
    fn build(&self, _: &BuildContext) -> anyhow::Result<BuiltExporter> {
        anyhow::bail!("never built here")
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        self.claims.clone()
    }

    fn describe(&self) -> String {
        String::new()
    }
}

impl ExtensionConfig for Fake {
    fn build(&self, _: &BuildContext) -> anyhow::Result<Box<dyn Extension>> {
        anyhow::bail!("never built here")
    }

    fn claims(&self) -> Vec<ResourceClaim> {
        self.claims.clone()
    }
}

const FACTORIES: Factories = Factories {
    receivers: &[ReceiverFactory {
        kind: "gauge",
        aliases: &[],
        summary: "",
        signals: &[Signal::Metrics],
        configure: |value| Some(Box::new(Fake::read(value)?)),
    }],
    processors: &[ProcessorFactory {
        kind: "batch",
        aliases: &[],
        summary: "",
        signals: &Signal::ALL,
        configure: |value| Some(Box::new(Fake::read(value)?)),
    }],
    policies: &[PolicyFactory {
        kind: "limit",
        summary: "",
        configure: |value| {
            Fake::read(value)?;
            Some(Policy::MemoryLimiter(MemoryLimit {
                in_flight: 1,
                resident: None,
                check_interval: std::time::Duration::from_secs(1),
            }))
        },
    }],
    exporters: &[ExporterFactory {
        kind: "page",
        aliases: &["sheet"],
        summary: "",
        signals: &Signal::ALL,
        configure: |value| Some(Box::new(Fake::read(value)?)),
    }],
    extensions: &[ExtensionFactory {
        kind: "probe",
        summary: "",
        configure: |value| Some(Box::new(Fake::read(value)?)),
    }],
};

const VALID: &str = "{receivers: {gauge: }, exporters: {page: }, service: {pipelines: {metrics: \
                     {receivers: [gauge], exporters: [page]}}}}";

fn load(configs: &[&str], sets: &[&str]) -> Result<Loaded, Invalid> {
    let sources = Sources {
        configs: configs.iter().map(|text| format!("yaml:{text}")).collect(),
        sets: sets.iter().map(|text| (*text).to_owned()).collect(),
    };
    Config::load(&sources, &|_| None, &FACTORIES)
}

/// What is reported of [`VALID`] with `text` laid over it.
fn problems(text: &str) -> Vec<String> {
    let problems = match load(&[VALID, text], &[]) {
        Ok(loaded) => loaded.warnings,
        Err(invalid) => invalid.problems,
    };
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_wrong_with_a_pipeline_is_said_at_its_place() {
    let f = |text: &str, expected: &[&str]| {
        assert_eq!(problems(text), expected, "{text}");
    };
    f("", &[]);
    f(
        "receivers::guage:",
        &["yaml#2:1:1: receivers::guage: unknown receiver type `guage`, did you mean `gauge`?"],
    );
    f(
        "exporters::kafka:",
        &[
            "yaml#2:1:1: exporters::kafka: unknown exporter type `kafka`: `foghorn \
             components` lists the exporters",
        ],
    );
    f(
        "service::pipelines::metrics::receivers: [guage]",
        &[
            "yaml#2:1:42: service::pipelines::metrics: references receiver \"guage\" which is \
             not configured, did you mean \"gauge\"?",
        ],
    );
    f(
        "service::pipelines::metrics::processors: [batch]",
        &[
            "yaml#2:1:43: service::pipelines::metrics: references processor \"batch\" which is \
             not configured: add `batch:` under `processors`",
        ],
    );
    f(
        "service::pipelines::traces: {receivers: [gauge], exporters: [page]}",
        &[
            "yaml#2:1:42: service::pipelines::traces: receiver \"gauge\" carries metrics, not \
             traces",
        ],
    );
    f(
        "service::pipelines::metrics: {receivers: [], exporters: }",
        &[
            "yaml#2:1:31: service::pipelines::metrics::receivers: a pipeline needs at least one",
            "yaml#2:1:46: service::pipelines::metrics::exporters: a pipeline needs at least one",
        ],
    );
    f(
        "service::pipelines::metrics::exporters: [page, page]",
        &[
            "yaml#2:1:48: service::pipelines::metrics::exporters::1: \"page\" stands here \
             twice: keep one",
        ],
    );
    f(
        "service::pipelines::metric: {receivers: [gauge], exporters: [page]}",
        &[
            "yaml#2:1:1: service::pipelines::metric: unknown signal `metric`, did you mean \
             `metrics`?",
        ],
    );
    f(
        "service::extensions: [probe]",
        &[
            "yaml#2:1:23: service::extensions: references extension \"probe\" which is not \
             configured: add `probe:` under `extensions`",
        ],
    );
    f(
        "service::pipelines: ",
        &[
            "yaml#2:1:1: service::pipelines: no pipeline is named: add at least one, such as \
             `metrics`",
        ],
    );
}

#[test]
fn a_policy_stands_anywhere_with_a_warning_behind_a_processor() {
    let f = |list: &str, expected: &[&str]| {
        let text = format!(
            "{{processors: {{batch: , limit: , limit/2: }}, \
             service: {{pipelines: {{metrics: {{processors: {list}}}}}}}}}"
        );
        assert_eq!(problems(&text), expected, "{list}");
    };
    f("[limit, limit/2, batch]", &[]);
    f(
        "[limit, batch, limit/2]",
        &[
            "yaml#2:1:104: service::pipelines::metrics: warning: \"limit/2\" acts at the edges \
             of the pipeline wherever it stands: put it before \"batch\"",
        ],
    );
}

#[test]
fn what_is_in_no_pipeline_is_checked_and_not_run() {
    let loaded = load(
        &[
            VALID,
            "{receivers: {gauge/2: {count: 3}}, extensions: {probe: }}",
        ],
        &[],
    )
    .unwrap();
    let ids: Vec<&str> = loaded
        .config
        .receivers
        .keys()
        .map(ComponentId::as_str)
        .collect();
    assert_eq!(ids, ["gauge"]);
    assert!(loaded.config.extensions.is_empty());
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "yaml#2:1:14: receivers::gauge/2: warning: this receiver is in no pipeline, so it \
             does not run",
            "yaml#2:1:49: extensions::probe: warning: this extension is in no list of \
             `service::extensions`, so it does not run",
        ]
    );
    assert_eq!(
        problems("receivers::gauge/2: {count: 11}"),
        ["yaml#2:1:29: receivers::gauge/2::count: 11 is out of range: use 1 to 10"]
    );
}

#[test]
fn an_alias_names_the_same_component() {
    let text = VALID.replace("page", "sheet/b");
    let loaded = load(&[&text], &[]).unwrap();
    assert_eq!(loaded.config.exporters.len(), 1);
    assert_eq!(loaded.warnings, []);
}

#[test]
fn everything_wrong_shows_in_one_run_sorted_by_place() {
    let text = "receivers:\n  gauge:\n    count: x\n    cuont: 1\n  gauge/a/b:\nexporters:\n  \
                page:\n    count: 0\nconnectors: {forward: }\nservice:\n  pipelines:\n    logs: \
                {receivers: [gauge]}\n  http: {endpoint: 0.0.0.0:1}\n  shutdown: {grace: 1h}\n\
                extra: 1\n";
    let invalid = load(&[text], &[]).unwrap_err();
    let shown = invalid.to_string();
    assert_eq!(
        shown.lines().collect::<Vec<_>>(),
        [
            "yaml:3:12: receivers::gauge::count: expected a whole number, found `x`",
            "yaml:4:5: receivers::gauge::cuont: unknown key `cuont`, did you mean `count`?",
            "yaml:5:3: receivers::gauge/a/b: `gauge/a/b` is no component id: use a type of \
             letters, digits and `_`, and optionally `/` and a name",
            "yaml:8:12: exporters::page::count: 0 is out of range: use 1 to 10",
            "yaml:9:1: connectors: connectors are not supported: let one pipeline do the work",
            "yaml:12:5: service::pipelines::logs: `exporters` is missing: a pipeline needs at \
             least one",
            "yaml:12:24: service::pipelines::logs: receiver \"gauge\" carries metrics, not logs",
            "yaml:13:3: service::http: 0.0.0.0:1 is reachable from other machines: listen on \
             127.0.0.1, configure `tls` and `auth`, or set allow_insecure_bind: true",
            "yaml:14:21: service::shutdown::grace: 1h is out of range: use 0s to 10m",
            "yaml:15:1: extra: unknown key `extra`: the keys here are receivers, processors, \
             exporters, extensions, connectors, service",
        ]
    );
}

#[test]
fn service_has_the_documented_defaults() {
    let service = load(&[VALID], &[]).unwrap().config.service;
    let listener = service.http.listener.unwrap();
    assert_eq!(listener.endpoint.to_string(), "127.0.0.1:9200");
    assert_eq!(service.telemetry.log_level, "info");
    assert!(service.telemetry.metrics);
    assert_eq!(service.shutdown.grace.as_secs(), 5);
    assert_eq!(service.shutdown.abort.as_secs(), 2);
}

#[test]
fn set_wins_over_every_file_and_names_its_place() {
    let loaded = load(
        &[VALID],
        &[
            "service.http.endpoint=none",
            "exporters::page::count=3",
            "service.telemetry={metrics: {level: none}, logs: {level: WARN}}",
        ],
    )
    .unwrap();
    assert!(loaded.config.service.http.listener.is_none());
    assert!(!loaded.config.service.telemetry.metrics);
    assert_eq!(loaded.config.service.telemetry.log_level, "warn");
    let f = |set: &str, expected: &str| {
        let invalid = load(&[VALID], &["exporters.page.count=1", set]).unwrap_err();
        assert_eq!(invalid.to_string(), expected);
    };
    f(
        "exporters.page.count=99",
        "--set:2:22: exporters::page::count: 99 is out of range: use 1 to 10",
    );
    f(
        "exporters.page",
        "--set:2:1: there is no `=` in it: write it as `path.to.key=value`",
    );
    f(
        "exporters..count=1",
        "--set:2:1: `exporters..count` is no path: write it as `service.http.endpoint`",
    );
    f("exporters.page.count=[1", "--set:2:22: `[` is never closed");
    f(
        "service.pipelines.metrics.receivers.0=x",
        "--set:2:1: service::pipelines::metrics::receivers::0: \
         `service::pipelines::metrics::receivers` is a list: set the whole of it, as \
         `[one, two]`",
    );
}

#[test]
fn a_section_of_connectors_with_nothing_in_it_is_nothing() {
    for nothing in ["connectors:", "connectors: {}", "connectors: []"] {
        let loaded = load(&[VALID, nothing], &[]).unwrap();
        assert_eq!(loaded.warnings, [], "{nothing}");
    }
    assert!(load(&[VALID, "connectors: {forward: }"], &[]).is_err());
}

#[test]
fn a_secret_is_found_wherever_it_comes_from() {
    let loaded = load(
        &[VALID, "exporters::page::token: hunter2"],
        &["receivers.gauge.token=hunter2"],
    )
    .unwrap();
    let printed = crate::yaml::print(&loaded.tree, &loaded.secrets);
    assert!(!printed.contains("hunter2"), "{printed}");
    assert_eq!(printed.matches("[redacted]").count(), 2);
    load(&[&printed], &[]).unwrap();
}

#[test]
fn a_source_that_can_not_be_read_ends_it_with_all_of_them_named() {
    let sources = Sources {
        configs: ["/nowhere/a.yaml", "env:NOTHING", "http://x/y", "yaml:a: ["]
            .map(str::to_owned)
            .to_vec(),
        sets: Vec::new(),
    };
    let invalid = Config::load(&sources, &|_| None, &FACTORIES).unwrap_err();
    assert_eq!(
        invalid.to_string().lines().collect::<Vec<_>>(),
        [
            "/nowhere/a.yaml:1:1: the file can't be read: No such file or directory (os error 2)",
            "env:NOTHING:1:1: the environment variable `NOTHING` is not set",
            "http://x/y:1:1: a configuration can't be fetched by HTTP: download it to a file",
            "yaml:1:4: `[` is never closed",
        ]
    );
}

proptest! {
    #[test]
    fn no_text_panics_the_loader(text in any::<String>(), set in any::<String>()) {
        let _ = load(&[VALID, &text], &[&set]);
    }

    #[test]
    fn no_shuffled_configuration_panics_the_loader(
        words in proptest::collection::vec(
            proptest::sample::select(&[
                "receivers", "exporters", "service", "pipelines", "metrics", "gauge", "page",
                "processors", "limit", ":", ": ", "\n", "  ", "    ", "[", "]", "{", "}", "- ",
                ", ", "&a ", "*a", "<<", "${X}", "$${", "'", "\"", "|", "count", "1s", "telemetry",
                "http", "endpoint", "none", "::", "=", ".",
            ][..]),
            0..40,
        ),
    ) {
        let text = words.concat();
        let _ = load(&[&text], &[]);
        let _ = load(&[VALID, &text], &[&text]);
    }
}
