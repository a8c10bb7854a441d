//! The `foghorn` command.

fn main() {}
