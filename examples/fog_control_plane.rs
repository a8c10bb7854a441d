//! An example of the fog's control plane, to try the agent with: two pages of deployments, one that
//! comes and goes, and one whose replicas come and go.
//!
//! ```text
//! cargo run --release --example fog_control_plane
//! curl -H 'Authorization: Bearer s3cret' 'http://localhost:8000/api/deployment/list?limit=100&offset=100'
//! ```

#![allow(
    clippy::print_stderr,
    reason = "it is what a program for the terminal is for"
)]

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;

#[path = "../tests/support/control_plane.rs"]
mod control_plane;

use control_plane::{ControlPlane, Plane, PlaneOptions, live};

/// Serves what a control plane of the fog serves: /api/deployment/list and
/// /api/deployment/status/{id}.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// The token that requests must have; empty for none
    #[arg(long, default_value = "s3cret")]
    token: String,
    /// How many deployments there are
    #[arg(long, default_value_t = 120)]
    deployments: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = ControlPlane::start(PlaneOptions {
        listen: arguments.listen,
        plane: Plane::Fog,
        token: Some(arguments.token).filter(|token| !token.is_empty()),
        page: 100,
    });
    match started.await {
        Ok(plane) => live(&plane, arguments.deployments).await,
        Err(error) => {
            eprintln!("can't listen on {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}
