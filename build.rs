//! Packs the program's relocations where that is known to work.
//!
//! A position-independent program of this size has some twenty thousand places that the
//! loader must mend at start, and a table of them of half a megabyte, which it reads once
//! and which then stays resident. Packed, the table takes a few kilobytes. It needs a
//! linker that marks such a program, as the one that comes with Rust does, and glibc 2.36;
//! a program that is built on an older system keeps the long table, and runs wherever it
//! did.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RUSTC_LINKER");
    let target = env::var("TARGET").unwrap_or_default();
    let native = env::var("HOST").is_ok_and(|host| host == target);
    // A linker that somebody chose may leave the mark out, and then nothing starts.
    let chosen = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if target == "x86_64-unknown-linux-gnu"
        && native
        && !chosen
        && glibc().is_some_and(|version| version >= (2, 36))
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of this system's glibc.
fn glibc() -> Option<(u32, u32)> {
    let output = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    // Development versions have a third part.
    let minor = minor.split('.').next()?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}
