//! Pages as our reader finds them against Prometheus's own parsers: accepted and refused alike,
//! with the same series, values, timestamps, exemplars and metadata, in all three formats. The
//! parsers run in a process built from `pages/oracle`, which `.ci/run` puts on the `PATH` as
//! `prometheus-textparse`.
//!
//! `FOGHORN_ROUNDS` makes it more pages, `FOGHORN_SEED` other ones. A failure names the seed of its
//! page.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "a long run says what it did")]

#[path = "pages/compare.rs"]
mod compare;
#[path = "pages/mutate.rs"]
mod mutate;
#[path = "pages/oracle.rs"]
mod oracle;
#[path = "support/peers.rs"]
mod peers;
#[path = "promql/random.rs"]
mod random;

use compare::{Native, ours, theirs};
use foghorn::exposition::read::PageFormat;
use mutate::{SEEDS, is_indented, number, page};
use oracle::Oracle;
use random::Dice;
use serde_json::Value;

fn oracle() -> Option<Oracle> {
    peers::find("prometheus-textparse").map(|program| Oracle::start(&program))
}

/// Native histograms as such, ignored, and with their classic form.
const WAYS: [Native; 3] = [
    Native {
        native: true,
        classic_too: false,
    },
    Native {
        native: false,
        classic_too: false,
    },
    Native {
        native: true,
        classic_too: true,
    },
];

#[test]
fn real_pages_are_read_as_prometheus_reads_them() {
    let Some(mut oracle) = oracle() else { return };
    for (name, format, page) in SEEDS {
        for native in WAYS {
            let theirs = theirs(&oracle.ask(page, format, native)).unwrap();
            let ours = ours(page, format, native).unwrap();
            assert_eq!(first_difference(&ours, &theirs), None, "{name} {format:?}");
            assert!(ours["series"].as_array().unwrap().len() > 10, "{name}");
        }
    }
}

#[test]
fn changed_pages_are_read_as_prometheus_reads_them() {
    let Some(mut oracle) = oracle() else { return };
    let rounds = number("FOGHORN_ROUNDS").unwrap_or(20_000);
    let first = number("FOGHORN_SEED").unwrap_or(1);
    let (mut accepted, mut indented) = (0, 0);
    for seed in first..first + rounds {
        let mut dice = Dice::new(seed);
        let (name, format, page) = page(&mut dice);
        let native = WAYS[dice.below(WAYS.len())];
        let mut theirs = theirs(&oracle.ask(&page, format, native));
        let ours = ours(&page, format, native);
        if is_indented(&page, format) {
            // Prometheus takes the blanks before a name for a part of it.
            indented += 1;
            theirs.iter_mut().for_each(without_indents);
        }
        let said = || {
            format!(
                "{name} {format:?} {native:?}, FOGHORN_SEED={seed} FOGHORN_ROUNDS=1\n{}",
                String::from_utf8_lossy(&page)
            )
        };
        if let (Ok(ours), Ok(theirs), PageFormat::Protobuf) = (&ours, &mut theirs, format) {
            without_values_of_others(ours, theirs);
        }
        match (&ours, &theirs) {
            (Ok(ours), Ok(theirs)) => {
                accepted += 1;
                assert_eq!(first_difference(ours, theirs), None, "{}", said());
            }
            (Err(_), Err(_)) => {}
            (ours, theirs) => panic!("{ours:?}\n{theirs:?}\n{}", said()),
        }
    }
    println!(
        "{rounds} pages from seed {first}: {accepted} accepted, {} refused, {indented} with \
         blanks at the beginning of a line",
        rounds - accepted
    );
    // Neither side of the comparison may be empty.
    let share = accepted as f64 / rounds as f64;
    assert!(rounds < 1000 || (0.3..0.9).contains(&share), "{share}");
}

fn without_indents(found: &mut Value) {
    for series in found["series"].as_array_mut().into_iter().flatten() {
        for label in series["labels"].as_array_mut().into_iter().flatten() {
            if label[0] == "__name__" {
                let name = label[1].as_str().unwrap_or_default();
                label[1] = name.trim_start_matches([' ', '\t']).into();
            }
        }
    }
}

/// An untyped metric without a value is 0 to us. Prometheus leaves it the value of the one before.
fn without_values_of_others(ours: &Value, theirs: &mut Value) {
    const ZERO: &str = "0000000000000000";
    let is_untyped = |name: &Value| {
        let said = ours["metadata"].as_array().into_iter().flatten();
        let mut types = said.filter(|entry| entry[0] == "TYPE" && entry[1] == *name);
        types.any(|entry| entry[2] == "unknown")
    };
    let ours = ours["series"].as_array().into_iter().flatten();
    let theirs = theirs["series"].as_array_mut().into_iter().flatten();
    for (ours, theirs) in ours.zip(theirs) {
        let labels = ours["labels"].as_array().into_iter().flatten();
        let mut names = labels.filter(|label| label[0] == "__name__");
        if ours["value"] == ZERO && names.any(|label| is_untyped(&label[1])) {
            theirs["value"] = ZERO.into();
        }
    }
}

/// Where two readings of a page differ first.
fn first_difference(ours: &Value, theirs: &Value) -> Option<String> {
    for list in ["series", "metadata"] {
        let [ours, theirs] = [ours, theirs].map(|found| {
            let entries = found[list].as_array().unwrap().iter();
            // No series can have such a name, and no unit is such a text, so that ours has no
            // entry for it.
            let is_text = |value: &Value| {
                let text = value.as_str().unwrap_or_default();
                !text.is_empty() && !text.contains('\u{fffd}')
            };
            let named = |entry: &&Value| {
                list == "series"
                    || is_text(&entry[1])
                        && (entry[0] != "UNIT" || entry[2] == "" || is_text(&entry[2]))
            };
            entries.filter(named).cloned().collect::<Vec<_>>()
        });
        for at in 0..ours.len().max(theirs.len()) {
            let (ours, theirs) = (ours.get(at), theirs.get(at));
            if ours != theirs {
                return Some(format!("{list} {at}:\nours   {ours:?}\ntheirs {theirs:?}"));
            }
        }
    }
    None
}
