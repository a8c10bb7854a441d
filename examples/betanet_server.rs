//! An example of a Betanet service, to try the agent with on a machine without one. What it
//! serves comes from a little model of a network, and is nobody's real traffic.
//!
//! ```text
//! cargo run --release --example betanet_server
//! cargo run --release --example betanet_server -- --dialect native --hang /status
//! curl -X POST http://localhost:9000/control/hang/mixnodes
//! ```

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, ValueEnum};

#[path = "../tests/support/betanet_server.rs"]
mod betanet_server;

use betanet_server::{Dialects, Options, Server, Trouble};

/// Serves what a Betanet service serves, in both dialects, with numbers that move by a
/// little model and switches for trouble.
#[derive(Debug, Parser)]
#[command(after_help = AFTER_HELP)]
struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Which paths there are
    #[arg(long, value_enum, default_value = "both")]
    dialect: Dialect,
    /// Answers 500 on this path
    #[arg(long, value_name = "PATH")]
    fail: Vec<String>,
    /// Never answers on this path
    #[arg(long, value_name = "PATH")]
    hang: Vec<String>,
    /// Answers nonsense on this path
    #[arg(long, value_name = "PATH")]
    garbage: Vec<String>,
    /// Answers 50 MiB on this path
    #[arg(long, value_name = "PATH")]
    huge: Vec<String>,
    /// Answers with this status on this path
    #[arg(long, value_name = "PATH=CODE", value_parser = parse_status)]
    status: Vec<(String, u16)>,
    /// Waits so many milliseconds before every answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    slow: u64,
}

const AFTER_HELP: &str = "\
While it runs, trouble is changed by POST:
  /control/fail/mixnodes            answers 500 on /mixnodes
  /control/hang/mixnodes            never answers
  /control/garbage/mixnodes         answers nonsense
  /control/huge/mixnodes            answers 50 MiB
  /control/drop/mixnodes            closes the connection without an answer
  /control/status/404/mixnodes      answers 404
  /control/throttle/20/mixnodes     answers 429 with Retry-After: 20
  /control/slow/250                 waits 250 ms before every answer
  /control/heal/mixnodes            ends the trouble of /mixnodes
  /control/heal                     ends all trouble
  /control/restart                  starts its counters at 0

Example: curl -X POST http://localhost:9000/control/hang/api/v1/metrics";

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Dialect {
    Both,
    V1,
    Native,
}

#[tokio::main(flavor = "current_thread")]
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to the person who started it"
)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let options = Options {
        listen: arguments.listen,
        ..Options::new(match arguments.dialect {
            Dialect::Both => Dialects::Both,
            Dialect::V1 => Dialects::V1,
            Dialect::Native => Dialects::Native,
        })
    };
    let server = match Server::start(options).await {
        Ok(server) => server,
        Err(error) => {
            eprintln!("can't listen on {}: {error}", arguments.listen);
            return ExitCode::FAILURE;
        }
    };
    let switches = [
        (&arguments.fail, Trouble::Fail),
        (&arguments.hang, Trouble::Hang),
        (&arguments.garbage, Trouble::Garbage),
        (&arguments.huge, Trouble::Huge(50 << 20)),
    ];
    for (paths, trouble) in switches {
        for path in paths {
            server.set(path, Some(trouble));
        }
    }
    for (path, status) in &arguments.status {
        server.set(path, Some(Trouble::Status(*status)));
    }
    server.slow(Duration::from_millis(arguments.slow));
    println!("an example of a Betanet service is at {}", server.url());
    println!(
        "trouble: curl -X POST {}/control/hang/mixnodes (see --help)",
        server.url()
    );
    match tokio::signal::ctrl_c().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("can't wait for a signal: {error}");
            ExitCode::FAILURE
        }
    }
}

fn parse_status(text: &str) -> Result<(String, u16), String> {
    let (path, code) = text.rsplit_once('=').ok_or("expected PATH=CODE")?;
    match code.parse() {
        Ok(code @ 100..=599) => Ok((path.to_owned(), code)),
        _ => Err(format!("{code} is no status")),
    }
}
