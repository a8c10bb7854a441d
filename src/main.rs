//! The `foghorn` command: a runtime, signals and exit codes around [`foghorn::cli`].

use std::io;
use std::process::ExitCode;

use foghorn::cli::{self, Agent};
use foghorn::telemetry::Lines;
use tokio::sync::watch;

/// Bytes of the first lines that may wait for who reads them.
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

/// With the workers, the lookups of names and the few threads besides, the process has at most 40
/// whatever hangs.
const BLOCKING_THREADS: usize = 20;

fn run(agent: Agent) -> ExitCode {
    // Half of the processors, and two at most: an agent is a guest on the machine, and
    // requests that pass from one worker to another cost a fifth more. What may block for
    // long has threads of its own.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).clamp(1, 2))
        // For files, pages, large bodies and readings of the host, which may hang. Names are looked up on
        // threads of their own, see `net`.
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
        // The sender lives as long as the runtime, so waiting ends by a signal only.
        let shutdown = async move { drop(told.wait_for(|count| *count >= 1).await) };
        let abort = async move { drop(again.wait_for(|count| *count >= 2).await) };
        agent.run(out, shutdown, abort).await
    });
    // A file system or a resolver that hangs must not keep the process.
    runtime.shutdown_background();
    code
}

/// Counts the signals that ask the process to end.
///
/// SIGHUP is one of them. It comes from a terminal that is closed, and from those who expect
/// the configuration to be read again: a supervisor then starts the agent anew with it. To
/// read it while running would be better; to ignore the signal would leave the agent behind
/// its terminal, and the old configuration at work. systemd can send it right behind
/// SIGTERM, so only two of the others cut the draining short.
#[cfg(unix)]
fn signals() -> io::Result<watch::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // `nohup` has it ignored, and means it.
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
            // Signals that are sent one behind the other may be seen in any order.
            deliberate += u32::from(name != "SIGHUP");
            sender.send_replace(deliberate.max(1));
        }
    });
    Ok(receiver)
}

/// Whether the process was started with SIGHUP ignored, where the system says so.
#[cfg(unix)]
fn is_hangup_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // The first bit stands for signal number 1.
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
