//! Finds the real programs that tests talk to, and ports for those that can't choose one.
//!
//! A machine that lacks one skips the test and says so loudly; with
//! `FOGHORN_REQUIRE_PEERS=1` that is a failure instead, so that a machine which should
//! have them can't pass by skipping.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "each test needs another part of it, and a skip must be seen"
)]

use std::net::TcpListener;
use std::path::PathBuf;

/// The program on the `PATH`, if it is there.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file());
    if found.is_none() {
        assert!(
            std::env::var_os("FOGHORN_REQUIRE_PEERS").is_none_or(|value| value != "1"),
            "{name} is not on the PATH, and FOGHORN_REQUIRE_PEERS=1 asks for it"
        );
        println!("SKIPPED: {name} is not on the PATH, so nothing was compared with it");
    }
    found
}

/// Ports that nobody listens on now. Another program may take one before a peer does.
pub fn free_ports() -> [u16; 3] {
    let listeners: [TcpListener; 3] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}
