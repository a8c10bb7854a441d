//! Sets `cfg(loom)` for this crate alone: as a flag of the compiler it would also change
//! tokio, which then lacks what the sources need.

fn main() {
    println!("cargo::rustc-cfg=loom");
    println!("cargo::rerun-if-changed=build.rs");
}
