//! Links the program so that an idle agent needs little memory, as far as the linker can.
//!
//! A small machine pays for a program by the page, and the kernel maps sixteen pages around
//! each that is touched. Two things make the difference between most of the program and a
//! fraction of it:
//!
//! - `link/resident.order` lists the functions that an agent runs which starts, polls and is
//!   scraped. They are put side by side. `link/record` writes the list.
//! - The table of the places that the loader mends at start is half a megabyte, and a few
//!   kilobytes when it is packed.
//!
//! Which linker there is, and what it and the C library know, is tried and not guessed: a
//! program that does nothing is linked with an argument and run. Without either, the agent
//! is the same but for its size in memory.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, io};

const ORDER: &str = "link/resident.order";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={ORDER}");
    let is_native = env::var("TARGET") == env::var("HOST");
    if env::var("PROFILE").as_deref() != Ok("release") || !is_native {
        return;
    }
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let order = root.join(ORDER).display().to_string();
    let packed: &[String] = &["-Wl,-z,pack-relative-relocs".to_owned()];
    let ordered: &[String] = &[
        format!("-Wl,--symbol-ordering-file={order}"),
        // Names come and go with every change.
        "-Wl,--no-warn-symbol-ordering".to_owned(),
    ];
    for arguments in [packed, ordered] {
        if works(arguments).unwrap_or(false) {
            for argument in arguments {
                println!("cargo::rustc-link-arg-bins={argument}");
            }
        }
    }
}

/// Whether a program that is linked with these arguments starts.
fn works(arguments: &[String]) -> io::Result<bool> {
    let scratch = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let (source, program) = (scratch.join("probe.rs"), scratch.join("probe"));
    fs::write(&source, "fn main() {}\n")?;
    let linked = link(&source, &program, arguments)?;
    Ok(linked && Command::new(&program).status()?.success())
}

/// Compiles and links as Cargo does.
fn link(source: &Path, program: &Path, arguments: &[String]) -> io::Result<bool> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    if let Ok(flags) = env::var("CARGO_ENCODED_RUSTFLAGS") {
        rustc.args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut chosen = std::ffi::OsString::from("-Clinker=");
        chosen.push(linker);
        rustc.arg(chosen);
    }
    rustc.args(
        arguments
            .iter()
            .map(|argument| format!("-Clink-arg={argument}")),
    );
    rustc.arg(source).arg("-o").arg(program);
    // What is wrong with a linker that can't is nobody's concern.
    Ok(rustc.output()?.status.success())
}
