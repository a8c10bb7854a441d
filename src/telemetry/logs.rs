//! The agent's own log, on standard error.
//!
//! No line is written where it is made: a reader that has stopped would stop the agent with
//! it. See [`Lines`].
//!
//! Lines for people on a terminal, one JSON object a line otherwise, so that whatever
//! collects the output of services can parse it.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal};
use std::panic::PanicHookInfo;
use std::time::SystemTime;

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{Targets, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use super::lines::Lines;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

/// The logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogSetupError {
    /// The filter can't be read.
    #[error("service::telemetry::logs::level: `{filter}` is no filter: {reason}")]
    Filter {
        /// As it was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Something in this process logs already.
    #[error("service::telemetry::logs: {0}")]
    Taken(String),
    /// There can be no thread that writes.
    #[error("service::telemetry::logs: no thread for the log: {0}")]
    Thread(#[from] io::Error),
}

/// Crates whose chatter says nothing to those who run the agent.
const QUIET: &[&str] = &[
    "h2",
    "hyper",
    "hyper_util",
    "opentelemetry",
    "opentelemetry_sdk",
    "rustls",
];

/// Starts logging for the whole process, panics included. `RUST_LOG` takes precedence over
/// `level`; up to `capacity` bytes may wait for who reads the log.
///
/// # Errors
///
/// When the filter can't be read, or the process logs already.
pub fn init(level: &str, format: LogFormat, capacity: usize) -> Result<Lines, LogSetupError> {
    let environment = std::env::var("RUST_LOG").ok();
    let environment = environment.filter(|filter| !filter.is_empty());
    let filter = filter(environment.as_deref().unwrap_or(level))?;
    let terminal = io::stderr().is_terminal();
    let lines = Lines::new("log", io::stderr(), capacity)?;
    let writer = {
        let lines = lines.clone();
        move || lines.clone()
    };
    let started = match format {
        LogFormat::Auto if terminal => text(filter, writer, true).try_init(),
        LogFormat::Text => text(filter, writer, terminal).try_init(),
        LogFormat::Auto | LogFormat::Json => json(filter, writer).try_init(),
    };
    started.map_err(|error: TryInitError| LogSetupError::Taken(error.to_string()))?;
    std::panic::set_hook(Box::new(log_panic));
    Ok(lines)
}

/// Logs a panic. The hook of the standard library writes it to standard error on the thread
/// that panics, which would then wait for who reads it.
pub fn log_panic(panic: &PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let message = panic.payload_as_str().unwrap_or("a panic without words");
    let location = panic.location().map(ToString::to_string);
    tracing::error!(
        thread = thread.name(),
        location,
        backtrace = backtrace(),
        "panicked: {message}",
    );
}

/// Where it came from, if `RUST_BACKTRACE` asks for that.
fn backtrace() -> Option<String> {
    let backtrace = Backtrace::capture();
    (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string())
}

/// A filter with the noisy crates at `warn` unless it names them itself. Directives go by
/// target and level: one that also looks into spans would keep compiled expressions in
/// every agent's memory.
fn filter(text: &str) -> Result<Targets, LogSetupError> {
    let named = |name: &str| {
        let mut targets = text
            .split(',')
            .filter_map(|directive| directive.split('=').next());
        targets.any(|target| target.trim().split("::").next() == Some(name))
    };
    let quiet: String = QUIET
        .iter()
        .filter(|name| !named(name))
        .map(|name| format!("{name}=warn,"))
        .collect();
    let filter = format!("{quiet}{text}").parse();
    filter.map_err(
        |error: tracing_subscriber::filter::ParseError| LogSetupError::Filter {
            filter: text.to_owned(),
            reason: error.to_string(),
        },
    )
}

/// Whether a line contains nothing that a peer sent. At `debug` and `trace`, h2 writes the debug
/// data with which a peer ends a connection, and paths and headers that it refuses. A peer may
/// quote a token there. No filter turns these lines on. The other libraries write none: hyper
/// and hyper-util are built without their log, that of rustls goes nowhere.
fn shows_no_peer(line: &Metadata<'_>) -> bool {
    let crate_name = line.target().split("::").next();
    crate_name != Some("h2") || *line.level() <= Level::WARN
}

/// Lines such as `2026-11-21T12:00:00Z  INFO shutting down grace_s=5.0`.
fn text<W>(filter: Targets, writer: W, colours: bool) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(writer)
        // Told on stderr, too: that would panic when nobody reads it any more.
        .log_internal_errors(false)
        .with_ansi(colours)
        .with_target(false)
        .with_timer(Clock::Seconds)
        .finish()
        .with(filter)
        .with(filter_fn(shows_no_peer))
}

/// Lines such as `{"timestamp":"...","level":"INFO","message":"shutting down",...}`.
fn json<W>(filter: Targets, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .log_internal_errors(false)
        .with_max_level(LevelFilter::TRACE)
        .with_writer(writer)
        .with_timer(Clock::Millis)
        .finish()
        .with(filter)
        .with(filter_fn(shows_no_peer))
}

/// Universal time, as exact as the reader needs it.
enum Clock {
    /// For people.
    Seconds,
    /// For programs that put lines in order.
    Millis,
}

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        let now = SystemTime::now();
        match self {
            Self::Seconds => write!(writer, "{}", humantime::format_rfc3339_seconds(now)),
            Self::Millis => write!(writer, "{}", humantime::format_rfc3339_millis(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn writer(page: &Page) -> impl for<'w> MakeWriter<'w> + Send + Sync + 'static {
        let page = page.clone();
        move || page.clone()
    }

    #[test]
    fn a_line_for_people_is_time_level_message_and_fields() {
        let page = Page::default();
        let log = text(filter("info").unwrap(), writer(&page), false);
        tracing::subscriber::with_default(log, || {
            tracing::info!(grace_s = 5, "shutting down");
            tracing::debug!("nobody wants to know");
        });
        let line = page.text();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
        assert_eq!(time.len(), "2026-11-21T12:00:00Z".len());
        assert_eq!(rest, " INFO shutting down grace_s=5\n");
    }

    #[test]
    fn a_line_for_programs_is_one_flat_object() {
        let page = Page::default();
        let log = json(filter("info").unwrap(), writer(&page));
        tracing::subscriber::with_default(log, || {
            tracing::warn!(error = "line 1\nline \"2\"", "failed");
        });
        let line: serde_json::Value = serde_json::from_str(&page.text()).unwrap();
        assert_eq!(line["level"], "WARN");
        assert_eq!(line["message"], "failed");
        assert_eq!(line["error"], "line 1\nline \"2\"");
        assert!(humantime::parse_rfc3339(line["timestamp"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn noisy_crates_are_quiet_unless_asked_for() {
        let f = |text: &str, present: &str, absent: &str| {
            let filter = filter(text).unwrap().to_string();
            assert!(filter.contains(present), "{filter}");
            assert!(!filter.contains(absent), "{filter}");
        };
        f("info", "hyper=warn", "hyper=trace");
        f("info,hyper=trace", "hyper=trace", "hyper=warn");
        f("hyper::proto=trace", "hyper::proto=trace", "hyper=warn");
        f("foghorn=debug", "hyper_util=warn", "hyper=trace");
    }

    #[test]
    fn what_peers_send_is_never_logged() {
        let page = Page::default();
        let log = text(filter("trace,h2=trace").unwrap(), writer(&page), false);
        tracing::subscriber::with_default(log, || {
            tracing::trace!(target: "h2", "hunter2");
            tracing::debug!(target: "h2::codec::framed_read", "hunter2");
            tracing::warn!(target: "h2", "a frame is too large");
            tracing::trace!(target: "h2o", "ours");
        });
        let page = page.text();
        assert!(!page.contains("hunter2"), "{page}");
        assert!(
            page.contains("too large") && page.contains("ours"),
            "{page}"
        );
    }

    #[test]
    fn a_wrong_filter_is_an_error_that_names_the_key() {
        let error = filter("info,=nonsense=").unwrap_err().to_string();
        let start = "service::telemetry::logs::level: `info,=nonsense=`";
        assert!(error.starts_with(start), "{error}");
    }
}
