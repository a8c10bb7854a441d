//! The `foghorn` command: a runtime, signals and exit codes around [`foghorn::cli`].

use std::io;
use std::process::ExitCode;

use foghorn::cli::{self, Agent};
use foghorn::telemetry::Lines;
use tokio::sync::watch;

/// How many bytes of the first lines may wait to be written.
const FIRST_LINES: usize = 1 << 20;

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let prepared = cli::prepare(
        std::env::args_os(),
        &environment,
        &mut io::stdout(),
        &mut io::stderr(),
    );
    match prepared {
        Ok(agent) => {
            let log = agent.log.clone();
            let code = run(agent);
            if let Some(log) = log {
                log.flush_within(cli::MOMENT);
            }
            code
        }
        Err(code) => code,
    }
}

/// The most threads for work that blocks. With the first thread, two workers, 8 threads for names,
/// 14 for the host's files and two for the streams, the process has at most 47, even if all of
/// them hang; and one for each `file` and `debug` exporter.
const BLOCKING_THREADS: usize = 20;

fn run(agent: Agent) -> ExitCode {
    // Half of the processors, two at most: the agent shares the machine with other programs, and
    // passing requests between workers costs a fifth more. Work that blocks for long has its own
    // threads.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).clamp(1, 2))
        // For pages, large bodies and files of certificates and tokens, which may hang. Names are
        // looked up, and the host is read, on other threads; see `net` and `host`.
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime can be started");
            return ExitCode::from(cli::FAILED);
        }
    };
    let out = match Lines::new("stdout", io::stdout(), FIRST_LINES) {
        Ok(out) => out,
        Err(error) => {
            tracing::error!(%error, "no thread can be started");
            return ExitCode::from(cli::FAILED);
        }
    };
    let code = runtime.block_on(async {
        let mut told = match signals() {
            Ok(told) => told,
            Err(error) => {
                tracing::error!(%error, "signals can't be received");
                return ExitCode::from(cli::FAILED);
            }
        };
        let mut again = told.clone();
        // The sender lives as long as the runtime, so these resolve only after a signal.
        let shutdown = async move { drop(told.wait_for(|count| *count >= 1).await) };
        let abort = async move { drop(again.wait_for(|count| *count >= 2).await) };
        agent.run(out, shutdown, abort).await
    });
    // Don't wait for threads: a file system or a name server may hang.
    runtime.shutdown_background();
    code
}

/// Counts the signals that ask the process to end.
///
/// SIGHUP is one of them. It is sent when a terminal closes, and by programs that want the
/// configuration to be read again; for these, a supervisor starts the agent anew with the new
/// configuration. Reading it without a restart would be better. Ignoring the signal would leave
/// the agent running without its terminal, or with the old configuration. systemd may send SIGHUP
/// right after SIGTERM, so it never counts as the second signal, which ends the draining early.
#[cfg(unix)]
fn signals() -> io::Result<watch::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // `nohup` starts the agent with SIGHUP ignored, so that it survives its terminal.
    let mut hangup = match is_hangup_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        let mut deliberate = 0;
        loop {
            let hung_up = async {
                match &mut hangup {
                    Some(hangup) => hangup.recv().await,
                    None => std::future::pending().await,
                }
            };
            let name = tokio::select! {
                _ = terminate.recv() => "SIGTERM",
                _ = interrupt.recv() => "SIGINT",
                _ = hung_up => "SIGHUP",
            };
            tracing::info!(signal = name, "told to end");
            // Signals sent right after one another may be received in any order.
            deliberate += u32::from(name != "SIGHUP");
            sender.send_replace(deliberate.max(1));
        }
    });
    Ok(receiver)
}

/// Whether the process was started with SIGHUP ignored; false if the system doesn't say.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The lowest bit stands for signal number 1, SIGHUP.
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Counts the signals that ask the process to end.
#[cfg(not(unix))]
fn signals() -> io::Result<watch::Receiver<u32>> {
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(receiver)
}
