//! An example in the shape of a Kubernetes API server, to try the agent with: two pages of
//! deployments, one that comes and goes, and one whose replicas come and go, with watches.
//!
//! ```text
//! cargo run --release --example kubernetes_api
//! curl 'http://localhost:8001/apis/apps/v1/deployments?limit=2'
//! curl -N 'http://localhost:8001/apis/apps/v1/deployments?watch=true&resourceVersion=100'
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

/// Serves deployments as an API server of Kubernetes does: in pages, and watched.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen
    #[arg(long, default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
    /// The token that requests must have; empty for none
    #[arg(long, default_value = "")]
    token: String,
    /// How many deployments there are
    #[arg(long, default_value_t = 6)]
    deployments: usize,
    /// The most deployments of a page
    #[arg(long, default_value_t = 4)]
    page: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let started = ControlPlane::start(PlaneOptions {
        listen: arguments.listen,
        plane: Plane::Kubernetes,
        token: Some(arguments.token).filter(|token| !token.is_empty()),
        page: arguments.page.max(1),
    });
    match started.await {
        Ok(plane) => live(&plane, arguments.deployments).await,
        Err(error) => {
            eprintln!("can't listen on {}: {error}", arguments.listen);
            ExitCode::FAILURE
        }
    }
}
