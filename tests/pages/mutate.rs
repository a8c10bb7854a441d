//! Pages that are nearly right: pieces of real ones, with a few changes each.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use foghorn::exposition::read::PageFormat;

use super::random::Dice;

/// Real pages, shortened: of node_exporter, of Prometheus itself (a Go process with native
/// histograms), of the Python client, of vmagent and of the Collector; and two with what these
/// don't have.
pub const SEEDS: [(&str, PageFormat, &[u8]); 9] = [
    (
        "node_exporter",
        PageFormat::Text,
        include_bytes!("seeds/node_exporter.txt"),
    ),
    (
        "prometheus",
        PageFormat::Text,
        include_bytes!("seeds/prometheus.txt"),
    ),
    (
        "vmagent",
        PageFormat::Text,
        include_bytes!("seeds/vmagent.txt"),
    ),
    (
        "python",
        PageFormat::Text,
        include_bytes!("seeds/python.txt"),
    ),
    ("odd", PageFormat::Text, include_bytes!("seeds/odd.txt")),
    (
        "collector",
        PageFormat::OpenMetrics,
        include_bytes!("seeds/collector.om"),
    ),
    (
        "python",
        PageFormat::OpenMetrics,
        include_bytes!("seeds/python.om"),
    ),
    (
        "odd",
        PageFormat::OpenMetrics,
        include_bytes!("seeds/odd.om"),
    ),
    (
        "mixed",
        PageFormat::Protobuf,
        include_bytes!("seeds/mixed.pb"),
    ),
];

/// What is put into a text. No NUL: `docs/from-prometheus.md` says what differs there.
const PIECES: [&[u8]; 68] = [
    b"{",
    b"}",
    b"\"",
    b"\\",
    b",",
    b"=",
    b"#",
    b"\n",
    b"\t",
    b" ",
    b"  ",
    b"\r",
    b"\xff",
    b"_",
    b":",
    b"0",
    b"9",
    b".",
    b"-",
    b"+",
    b"e",
    b"a",
    b"n",
    b"\xc3\xa4",
    b"\xc3",
    b"/",
    b"Inf",
    b"NaN",
    b"nan",
    b"-Inf",
    b"+nan",
    b"infinity",
    b"1e999",
    b"-1e400",
    b"1e-999",
    b"0x1p3",
    b"1_0",
    b"1.5",
    b"123456789012345678901234567890",
    b"9223372036854775807",
    b"9223372036854775808",
    b"0.1234567890123456789",
    b"# EOF\n",
    b"# EOF",
    b"# TYPE a gauge\n",
    b"# TYPE a histogram\n",
    b"# TYPE a summary\n",
    b"# HELP a b\n",
    b"# UNIT a_b b\n",
    b"# ",
    b"# TYPE ",
    b"# HELP ",
    b"le=\"1\"",
    b"le=\"0x1p-2\"",
    b"le=\"1_000\"",
    b"quantile=\"1e2\"",
    b" # {a=\"b\"} 1 2",
    b" # {",
    b" 1 2",
    b" 1700000000",
    b"__name__=\"a\"",
    b"a=\"b\",",
    b"a=\"\",",
    b"\"a.b\",",
    b"\"a\"=\"b\"",
    b"\\\\",
    b"\\\"",
    b"\\n",
];

/// A number from the environment, such as `FOGHORN_ROUNDS`.
pub fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Whether a line begins with blanks, which our reader skips. Prometheus takes them for a part of
/// the name.
pub fn is_indented(page: &[u8], format: PageFormat) -> bool {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    format == PageFormat::Text
        && page
            .split(|byte| *byte == b'\n')
            .any(|line| line.first().is_some_and(blank))
}

/// A page that is made of a seed.
pub fn page(dice: &mut Dice) -> (&'static str, PageFormat, Vec<u8>) {
    let (name, format, seed) = SEEDS[dice.below(SEEDS.len())];
    let mut page = match format {
        PageFormat::Protobuf => return (name, format, protobuf(dice, seed)),
        _ => lines(dice, seed, format),
    };
    for _ in 0..dice.below(4) {
        change(dice, &mut page);
    }
    (name, format, page)
}

/// Some lines that follow each other, in OpenMetrics with the end of the page.
fn lines(dice: &mut Dice, seed: &[u8], format: PageFormat) -> Vec<u8> {
    let lines: Vec<&[u8]> = seed.split_inclusive(|byte| *byte == b'\n').collect();
    let begin = dice.below(lines.len());
    let count = 1 + dice.below(8);
    let mut page = lines[begin..lines.len().min(begin + count)].concat();
    if format == PageFormat::OpenMetrics && !page.ends_with(b"# EOF\n") && !dice.one_in(30) {
        page.extend_from_slice(b"# EOF\n");
    }
    page
}

fn change(dice: &mut Dice, page: &mut Vec<u8>) {
    let at = dice.below(page.len() + 1);
    let most = if dice.one_in(4) { 12 } else { 3 };
    let length = dice.below(most);
    let end = page.len().min(at + length);
    match dice.below(10) {
        0 | 1 => drop(page.drain(at..end)),
        2 => {
            let copied = page[at..end].to_vec();
            let to = dice.below(page.len() + 1);
            page.splice(to..to, copied);
        }
        3 => page.truncate(at.max(1)),
        // At a place that means something.
        4..=6 => {
            let places: Vec<usize> = (0..page.len())
                .filter(|at| !page[*at].is_ascii_alphanumeric())
                .collect();
            let Some(at) = places.get(dice.below(places.len())) else {
                return;
            };
            let at = at + dice.below(2);
            let end = page.len().min(at + dice.below(2));
            let piece = dice.pick(&PIECES);
            page.splice(at..end, piece.iter().copied());
        }
        _ => {
            let piece = dice.pick(&PIECES);
            page.splice(at..end, piece.iter().copied());
        }
    }
}

/// Some families, changed within, so that their lengths still say where the next one begins.
fn protobuf(dice: &mut Dice, seed: &[u8]) -> Vec<u8> {
    let families = families(seed);
    let mut page = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let mut family = families[dice.below(families.len())].to_vec();
        for _ in 0..dice.below(4) {
            if family.is_empty() {
                break;
            }
            let at = dice.below(family.len());
            match dice.below(6) {
                0 => family[at] = dice.next() as u8,
                1 => family[at] ^= 1 << dice.below(8),
                2 => drop(family.remove(at)),
                3 => family.insert(at, *dice.pick(&[&0, &1, &0x80, &0xff, &8, &0x0a, &0x22])),
                4 => family[at] = family[at].wrapping_add(1),
                _ => family[at] = *dice.pick(&[&0, &1, &0x7f, &0x80, &0xff]),
            }
        }
        let mut length = family.len();
        while length >= 0x80 {
            page.push(length as u8 | 0x80);
            length >>= 7;
        }
        page.push(length as u8);
        page.extend(family);
    }
    if dice.one_in(20) && !page.is_empty() {
        let at = dice.below(page.len());
        page.truncate(at);
    }
    page
}

fn families(mut page: &[u8]) -> Vec<&[u8]> {
    let mut families = Vec::new();
    while !page.is_empty() {
        let (mut length, mut shift) = (0, 0);
        while let Some((byte, rest)) = page.split_first() {
            page = rest;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                break;
            }
        }
        let (family, rest) = page.split_at(length);
        families.push(family);
        page = rest;
    }
    families
}
