//! The command line: `foghorn run | validate | components | print-config | health | completions |
//! man`.
//!
//! `validate` does the same as `run` up to the first socket: load, validate, build. Output goes
//! through a writer, so that a pipe which is closed early is no failure. The output of `run` goes
//! through a thread, so that a pipe which nobody reads doesn't block the agent.

mod health;

use std::ffi::OsString;
use std::io::{self, Write};
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use url::Url;

use crate::component::Factories;
use crate::components::FACTORIES;
use crate::config::{Config, Environment, Loaded, LogEncoding, Sources};
use crate::pdata::Signal;
use crate::pipeline::{BuildError, BuildErrors};
use crate::service::Service;
use crate::telemetry::{self, Lines, Telemetry, logs};
use crate::yaml::{self, Node, Problem, Severity};

/// The exit code for an invalid configuration or command line: `EX_USAGE` of sysexits.h.
pub const WRONG_USAGE: u8 = 64;

/// How long the process waits at its end for its last lines to be written.
pub const MOMENT: Duration = Duration::from_secs(1);

/// The exit code for other failures, such as a port that is taken.
pub const FAILED: u8 = 1;

/// Collects telemetry on small, badly connected machines, and shows which sources and
/// destinations fail.
#[derive(Debug, Parser)]
#[command(
    name = "foghorn",
    version,
    propagate_version = true,
    subcommand_precedence_over_arg = true,
    after_help = "Without a command it runs, and without --config it collects this \
                  machine, a Betanet at http://localhost:9000, and OTLP metrics on 127.0.0.1.\n\n\
                  Example: foghorn --config /etc/foghorn.yaml --set service.http.endpoint=127.0.0.1:9300"
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
enum Command {
    /// Collect, until SIGTERM or Ctrl-C (the default)
    #[command(after_help = "Example: foghorn run --config /etc/foghorn.yaml")]
    Run,
    /// Check the configuration as start-up would, and list every problem
    #[command(after_help = "Example: foghorn validate --config /etc/foghorn.yaml")]
    Validate,
    /// List the built-in components
    #[command(after_help = "Example: foghorn components")]
    Components,
    /// Show the configuration merged and expanded, without secrets
    #[command(after_help = "Example: foghorn print-config --config base.yaml --config site.yaml")]
    PrintConfig,
    /// Ask a running agent how it is; fails if it doesn't answer, or has lost data for good
    #[command(after_help = "Example: foghorn health --endpoint http://127.0.0.1:9200")]
    Health {
        /// The agent's own address
        #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9200")]
        endpoint: Url,
    },
    /// Print what completes the words of this command line in a shell
    #[command(after_help = "Example: foghorn completions bash > /etc/bash_completion.d/foghorn")]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    #[command(after_help = "Example: foghorn man > /usr/share/man/man1/foghorn.1")]
    Man,
}

#[derive(Debug, Args)]
struct Options {
    /// A file, `env:NAME` or `yaml:TEXT`; later ones override earlier ones: maps merge, lists
    /// replace
    #[arg(long, short, global = true, value_name = "SOURCE")]
    config: Vec<String>,
    /// One value that overrides --config; use `::` as the separator if an id contains dots
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    set: Vec<String>,
}

/// An agent that is built and waits to be started.
pub struct Agent {
    /// The configuration it was built from.
    pub config: Config,
    /// The components, connected.
    pub service: Service,
    /// Where its log is written; `None` before the log has begun.
    pub log: Option<Lines>,
}

impl Agent {
    /// Starts the agent, prints the first lines to `out`, and runs until `shutdown` resolves;
    /// `abort` ends the draining early. A failed start gives [`FAILED`].
    pub async fn run(
        self,
        mut out: impl Write,
        shutdown: impl Future<Output = ()>,
        abort: impl Future<Output = ()>,
    ) -> ExitCode {
        let Self {
            config, service, ..
        } = self;
        crate::descriptors::raise_limit();
        let mut shutdown = pin!(shutdown);
        let started = tokio::select! {
            started = service.start() => started,
            // A component may hang while it starts; don't wait for it.
            () = &mut shutdown => return ExitCode::SUCCESS,
        };
        let running = match started {
            Ok(running) => running,
            Err(error) => {
                tracing::error!("{error}");
                return ExitCode::from(FAILED);
            }
        };
        say(&mut out, welcome(&config, running.urls()));
        // Nothing more is printed, so the thread that writes may end.
        drop(out);
        running.run(shutdown, abort).await;
        ExitCode::SUCCESS
    }
}

/// Does what the command line asks for. Only `run` returns an agent; the other commands are done
/// when this returns.
///
/// # Errors
///
/// The exit code of a command that is done, which is success too, or of one that failed:
/// [`WRONG_USAGE`] or [`FAILED`].
pub fn prepare(
    arguments: impl IntoIterator<Item = OsString>,
    environment: Environment<'_>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Agent, ExitCode> {
    let Cli { command, options } = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            say(err, error.render());
            return Err(ExitCode::from(WRONG_USAGE));
        }
        // clap reports `--help` and `--version` as errors, too.
        Err(error) => {
            return Err(show(out, err, error.render()));
        }
    };
    let command = command.unwrap_or(Command::Run);
    match command {
        Command::Components => return Err(show(out, err, components(&FACTORIES))),
        Command::Completions { shell } => return Err(show(out, err, completions(shell))),
        Command::Health { endpoint } => {
            return Err(match health::ask(endpoint) {
                Ok(text) => show(out, err, text),
                Err(error) => {
                    say(err, format_args!("{error:#}\n"));
                    ExitCode::from(FAILED)
                }
            });
        }
        Command::Man => return Err(show(out, err, manual())),
        Command::Run | Command::Validate | Command::PrintConfig => {}
    }

    let sources = Sources {
        configs: options.config,
        sets: options.set,
    };
    let loaded = Config::load(&sources, environment, &FACTORIES).map_err(|invalid| {
        say(err, report(&invalid.problems));
        ExitCode::from(WRONG_USAGE)
    })?;
    if command != Command::Run {
        say(err, report(&loaded.warnings));
    }
    if command == Command::PrintConfig {
        let text = yaml::print(&loaded.tree, &loaded.secrets);
        return Err(show(out, err, text));
    }
    let mut log = None;
    if command == Command::Run {
        let own = &loaded.config.service.telemetry;
        let format = match own.log_encoding {
            LogEncoding::Auto => logs::LogFormat::Auto,
            LogEncoding::Console => logs::LogFormat::Text,
            LogEncoding::Json => logs::LogFormat::Json,
        };
        let capacity = usize::try_from(own.log_queue.0).unwrap_or(usize::MAX);
        let mut lines = logs::init(&own.log_level, format, capacity).map_err(|error| {
            say(err, format_args!("{}{error}\n", report(&loaded.warnings)));
            ExitCode::from(WRONG_USAGE)
        })?;
        // From here on nothing waits for the reader of the output.
        say(&mut lines, report(&loaded.warnings));
        log = Some(lines);
    }
    let Loaded { config, tree, .. } = loaded;
    let agent = build(config, log.clone()).map_err(|error| {
        if let Some(lines) = &log {
            lines.flush_within(MOMENT);
        }
        match error.downcast_ref::<BuildErrors>() {
            Some(BuildErrors(errors)) => {
                let mut problems: Vec<Problem> =
                    errors.iter().map(|error| placed(error, &tree)).collect();
                problems.sort_by(|a, b| a.span.cmp(&b.span));
                say(err, report(&problems));
            }
            None => say(err, format_args!("{error}\n")),
        }
        ExitCode::from(WRONG_USAGE)
    })?;
    if command == Command::Validate {
        return Err(show(out, err, "the configuration is valid\n"));
    }
    Ok(agent)
}

/// Writes, and ignores errors: an unread log is no failure of the agent.
fn say(to: &mut dyn Write, text: impl std::fmt::Display) {
    let _: io::Result<()> = write!(to, "{text}").and_then(|()| to.flush());
}

/// Writes the output of a command. A pipe that was closed early is no failure; any other error,
/// such as a full disk, is.
fn show(out: &mut dyn Write, err: &mut dyn Write, text: impl std::fmt::Display) -> ExitCode {
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(err, format_args!("the output can't be written: {error}\n"));
            ExitCode::from(FAILED)
        }
        _ => ExitCode::SUCCESS,
    }
}

fn build(config: Config, log: Option<Lines>) -> anyhow::Result<Agent> {
    let own = &config.service.telemetry;
    let telemetry = Telemetry::new(&telemetry::TelemetrySettings {
        metrics: own.metrics,
        resource: own.resource.clone(),
        subjects: config.subjects(),
    })?;
    if let Some(lines) = &log {
        lines.observe(&telemetry.meter("foghorn.telemetry"));
    }
    let service = Service::build(&config, &telemetry)?;
    Ok(Agent {
        config,
        service,
        log,
    })
}

/// Why a component can't be built, with its place. An error that begins with a key below the
/// component, such as `tls::ca_file: ...`, stands at that key; every other at the component.
fn placed(error: &BuildError, tree: &Node) -> Problem {
    let message = format!("{:#}", error.error);
    if let Some((key, message)) = message.split_once(": ") {
        let path = format!("{}::{key}", error.path);
        if let Some(span) = tree.place(&path) {
            return Problem {
                span: span.clone(),
                path,
                message: message.to_owned(),
                severity: Severity::Error,
            };
        }
    }
    Problem {
        span: tree.place(&error.path).unwrap_or(&tree.span).clone(),
        path: error.path.clone(),
        message,
        severity: Severity::Error,
    }
}

/// A line for each problem, and a last one with the number of errors.
fn report(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text.push_str(&format!("{problem}\n"));
    }
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    if errors > 0 {
        let word = if errors == 1 { "error" } else { "errors" };
        text.push_str(&format!("{errors} {word} in the configuration\n"));
    }
    text
}

/// The first lines: the configuration, the receivers, the exporters and the URLs of pages.
pub fn welcome(config: &Config, urls: &[String]) -> String {
    let mut text = format!(
        "foghorn {} runs with {}\n",
        env!("CARGO_PKG_VERSION"),
        config.sources.join(", ")
    );
    let mut row = |left: &str, right: &str| text.push_str(&format!("  {left:<22} {right}\n"));
    for (id, receiver) in &config.receivers {
        let what = yaml::without_credentials(&receiver.describe());
        row(&format!("collects {id}"), &what);
    }
    for (id, exporter) in &config.exporters {
        let what = yaml::without_credentials(&exporter.describe());
        row(&format!("exports by {id}"), &what);
    }
    for (i, url) in urls.iter().enumerate() {
        row(if i == 0 { "look at" } else { "" }, url);
    }
    text
}

/// What a shell reads to complete words.
fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "foghorn", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The manual page, in the language of `man`.
fn manual() -> String {
    let mut text = Vec::new();
    // Writing to memory doesn't fail.
    let _: io::Result<()> = clap_mangen::Man::new(Cli::command()).render(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The table of the built-in components.
fn components(factories: &Factories) -> String {
    fn rows<F>(
        title: &str,
        factories: &[F],
        row: impl Fn(&F) -> (&str, &[&str], &[Signal], &str),
    ) -> String {
        let mut text = format!("{title}\n");
        for factory in factories {
            let (kind, aliases, signals, summary) = row(factory);
            let mut names = vec![kind];
            names.extend(aliases);
            let signals: Vec<&str> = signals.iter().map(|signal| signal.as_str()).collect();
            let (names, signals) = (names.join(", "), signals.join(", "));
            text.push_str(&format!("  {names:<24} {signals:<21} {summary}\n"));
        }
        text
    }
    [
        rows("receivers", factories.receivers, |f| {
            (f.kind, f.aliases, f.signals, f.summary)
        }),
        rows("processors", factories.processors, |f| {
            (f.kind, f.aliases, f.signals, f.summary)
        }),
        rows(
            "policies (written among the processors)",
            factories.policies,
            |f| (f.kind, &[], &Signal::ALL, f.summary),
        ),
        rows("exporters", factories.exporters, |f| {
            (f.kind, f.aliases, f.signals, f.summary)
        }),
        rows("extensions", factories.extensions, |f| {
            (f.kind, &[], &[], f.summary)
        }),
    ]
    .join("\n")
}
