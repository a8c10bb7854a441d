//! The agent's own log, on standard error.
//!
//! Lines for people on a terminal, one JSON object a line otherwise, so that whatever
//! collects the output of services can parse it.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
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
pub enum SetupError {
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
}

/// Crates whose chatter says nothing to those who run the agent.
const QUIET: &[&str] = &[
    "hyper",
    "hyper_util",
    "h2",
    "reqwest",
    "rustls",
    "opentelemetry",
    "opentelemetry_sdk",
];

/// Starts logging for the whole process. `RUST_LOG` takes precedence over `level`.
///
/// # Errors
///
/// When the filter can't be read, or the process logs already.
pub fn init(level: &str, format: Format) -> Result<(), SetupError> {
    let from_environment = std::env::var("RUST_LOG").ok().filter(|v| !v.is_empty());
    let filter = filter(from_environment.as_deref().unwrap_or(level))?;
    let terminal = std::io::stderr().is_terminal();
    let json = format == Format::Json || (format == Format::Auto && !terminal);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Told on stderr, too: that would panic when nobody reads it any more.
        .log_internal_errors(false)
        .with_span_events(FmtSpan::NONE)
        .with_target(false);
    let taken =
        |error: tracing_subscriber::util::TryInitError| SetupError::Taken(error.to_string());
    if json {
        builder
            .json()
            .flatten_event(true)
            .finish()
            .try_init()
            .map_err(taken)
    } else {
        builder
            .with_ansi(terminal)
            .finish()
            .try_init()
            .map_err(taken)
    }
}

/// A filter with the noisy crates at `warn` unless it names them itself.
fn filter(text: &str) -> Result<EnvFilter, SetupError> {
    let quiet: String = QUIET
        .iter()
        .filter(|name| !text.contains(**name))
        .map(|name| format!("{name}=warn,"))
        .collect();
    EnvFilter::try_new(format!("{quiet}{text}")).map_err(|error| SetupError::Filter {
        filter: text.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noisy_crates_are_quiet_unless_asked_for() {
        let text = filter("info").unwrap().to_string();
        assert!(
            text.contains("hyper=warn") && text.contains("info"),
            "{text}"
        );
        let text = filter("info,hyper=trace").unwrap().to_string();
        assert!(
            text.contains("hyper=trace") && !text.contains("hyper=warn"),
            "{text}"
        );
    }

    #[test]
    fn a_wrong_filter_is_an_error_that_names_the_key() {
        let error = filter("info,=nonsense=").unwrap_err().to_string();
        assert!(
            error.starts_with("service::telemetry::logs::level: `info,=nonsense=`"),
            "{error}"
        );
    }
}
