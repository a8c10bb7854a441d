//! The `foghorn` command: a runtime, signals and exit codes around [`foghorn::cli`].

use std::io;
use std::process::ExitCode;

use foghorn::cli::{self, Agent};
use tokio::sync::watch;

fn main() -> ExitCode {
    let environment = |name: &str| std::env::var(name).ok();
    let prepared = cli::prepare(
        std::env::args_os(),
        &environment,
        &mut io::stdout(),
        &mut io::stderr(),
    );
    match prepared {
        Ok(agent) => run(agent),
        Err(code) => code,
    }
}

fn run(agent: Agent) -> ExitCode {
    // Half of the processors, and two at most: an agent is a guest on the machine, and
    // requests that pass from one worker to another cost a fifth more. What may block for
    // long has threads of its own.
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).clamp(1, 2))
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no runtime can be started");
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
        agent.run(&mut io::stdout(), shutdown, abort).await
    });
    // A file system or a resolver that hangs must not keep the process.
    runtime.shutdown_background();
    code
}

/// Counts the signals that ask the process to end.
#[cfg(unix)]
fn signals() -> io::Result<watch::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (sender, receiver) = watch::channel(0);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            sender.send_modify(|count| *count += 1);
        }
    });
    Ok(receiver)
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
