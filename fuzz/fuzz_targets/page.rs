//! Any page is read to its end or refused, alike whether or not its series are expected; and what
//! is taken of it comes again with the same page and ends with the next.
#![no_main]

use std::time::{Duration, SystemTime};

use foghorn::exposition::read::{
    Measured, PageEntry, PageError, PageFormat, PageLimits, PageReader, PageValue,
};
use foghorn::pdata::writer::MetricsWriter;
use foghorn::translation::scraped::{ScrapedSettings, ScrapedTarget};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

const FORMATS: [PageFormat; 3] = [
    PageFormat::Text,
    PageFormat::OpenMetrics,
    PageFormat::Protobuf,
];

fuzz_target!(|data: &[u8]| {
    let Some((choice, page)) = data.split_first() else {
        return;
    };
    let format = FORMATS[usize::from(choice % 3)];
    let (native, classic_too) = (choice & 4 != 0, choice & 8 != 0);
    let (found, end) = read(page, format, native, classic_too, &[]);
    let (again, same_end) = read(page, format, native, classic_too, &found);
    assert_eq!(end, same_end);
    assert_eq!(found.len(), again.len());
    for (found, again) in found.iter().zip(&again) {
        assert_eq!(found.value, again.value);
    }
    comes_again(page, format, native, classic_too);
});

/// A series as it was found.
struct Found {
    identity: Vec<u8>,
    value: String,
}

/// Reads a page, expecting these series one after the other.
fn read(
    page: &[u8],
    format: PageFormat,
    native: bool,
    classic_too: bool,
    expected: &[Found],
) -> (Vec<Found>, Result<(), PageError>) {
    let mut reader =
        PageReader::new(page, format, PageLimits::default()).native_histograms(native, classic_too);
    let mut found: Vec<Found> = Vec::new();
    loop {
        let next = expected
            .get(found.len())
            .map_or(&[][..], |next| &next.identity);
        match reader.next(next) {
            Err(error) => return (found, Err(error)),
            Ok(None) => return (found, Ok(())),
            Ok(Some(PageEntry::Metadata(_))) => {}
            Ok(Some(PageEntry::Again(reading))) => found.push(Found {
                identity: next.to_vec(),
                value: shown(&reading),
            }),
            Ok(Some(PageEntry::Series(series))) => {
                series.labels().for_each(drop);
                found.push(Found {
                    identity: series.identity.to_vec(),
                    value: shown(&series.reading),
                });
            }
        }
    }
}

fn shown(reading: &PageValue<'_, '_>) -> String {
    let value = match reading.value {
        Measured::Number(number) => format!("{:x}", number.to_bits()),
        Measured::Histogram(histogram) => format!("{histogram:?}"),
    };
    let (time, created) = (reading.timestamp, reading.created);
    format!("{value} {time:?} {created:?} {:?}", reading.exemplars)
}

fn comes_again(page: &[u8], format: PageFormat, native: bool, classic_too: bool) {
    let labels = [("instance", "i"), ("job", "j")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let settings = ScrapedSettings {
        native_histograms: native,
        classic_histograms_too: classic_too,
        honor_timestamps: false,
        ..ScrapedSettings::default()
    };
    let mut target = ScrapedTarget::new(settings, labels.into());
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let mut taken = Vec::new();
    // Metadata may come after its series, so that the first time may differ.
    for _ in 0..3 {
        let mut out = MetricsWriter::new();
        let (counts, result) = target.page(page, format, at, &mut (), &mut out);
        assert!(counts.kept <= counts.scraped && counts.duplicates <= counts.kept);
        if result.is_err() {
            assert_eq!((out.items(), target.series()), (0, 0));
            return;
        }
        taken.push((counts.kept, out.items() - out.tombstones()));
        out.finish();
    }
    assert_eq!(taken[1], taken[2]);
    let mut out = MetricsWriter::new();
    let (counts, _) = target.page(b"", format, at, &mut (), &mut out);
    // Not always as many as the last page had values: a series whose family changes its type within
    // the page may end there already, or leave the point that it had before to be ended here.
    assert_eq!(
        (out.items(), out.tombstones()),
        (counts.ended, counts.ended)
    );
    assert_eq!((target.series(), target.end(at, &mut out)), (0, 0));
}

/// Whole lines of real pages, and what means something in them.
const SEEDS: [&[u8]; 4] = [
    include_bytes!("../../tests/pages/seeds/odd.txt"),
    include_bytes!("../../tests/pages/seeds/odd.om"),
    include_bytes!("../../tests/pages/seeds/python.om"),
    include_bytes!("../../tests/pages/seeds/mixed.pb"),
];
const PIECES: [&[u8]; 20] = [
    b"{",
    b"}",
    b"\"",
    b"\\",
    b",",
    b"=\"",
    b"\n",
    b" ",
    b"# EOF\n",
    b"# TYPE a histogram\n",
    b"# TYPE a summary\n",
    b"# HELP a b\n",
    b"a_bucket{le=\"1\"} 1\n",
    b"a_count 1\n",
    b"a_sum 1\n",
    b"a_created 1\n",
    b"le=\"+Inf\"",
    b"quantile=\"0.5\"",
    b" # {a=\"b\"} 1 2",
    b"\xff",
];

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let piece: &[u8] = match seed % 8 {
        0 | 1 => PIECES[seed as usize / 8 % PIECES.len()],
        2 => {
            let of = SEEDS[seed as usize / 8 % SEEDS.len()];
            let from = seed as usize / 64 % of.len();
            let length = 1 + seed as usize / 4096 % 120;
            &of[from..of.len().min(from + length)]
        }
        _ => return fuzzer_mutate(data, size, max_size),
    };
    if size == 0 || size + piece.len() > max_size {
        return fuzzer_mutate(data, size, max_size);
    }
    let at = 1 + seed as usize / 16 % size;
    data.copy_within(at..size, at + piece.len());
    data[at..at + piece.len()].copy_from_slice(piece);
    size + piece.len()
});
