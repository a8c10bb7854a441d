# The checks that a change must pass, by their short names. `just` lists them.

_default:
    @just --list

# Everything that runs without foreign programs
check: fmt clippy test docs deny

fmt:
    cargo fmt --check

clippy:
    cargo clippy --all-targets -- -D warnings

test:
    cargo test

docs:
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --document-private-items

deny:
    cargo deny check bans licenses sources

# Known vulnerabilities; needs a network
advisories:
    cargo deny check advisories

# The tests against real peers; every one of them must be on PATH
peers:
    FOGHORN_REQUIRE_PEERS=1 cargo test

# Every interleaving of the breaker's concurrent parts
loom:
    cargo test --release --manifest-path loom/Cargo.toml

bench:
    cargo bench
