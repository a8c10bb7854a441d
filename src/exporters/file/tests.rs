use std::fs;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use super::*;
use crate::pdata::costly;
use crate::pdata::writer::{
    MetricDescriptor, MetricKind, MetricsWriter, NumberPointData, PointNumber,
};
use crate::settings::LOCAL_QUEUE;

#[test]
fn one_file_has_one_identity_whatever_it_is_called() {
    let folder = TempDir::new().unwrap();
    let folder = fs::canonicalize(folder.path()).unwrap();
    let at = |name: &str| folder.join(name);
    fs::create_dir(at("real")).unwrap();
    fs::write(at("real/here"), "").unwrap();
    std::os::unix::fs::symlink(at("real"), at("link")).unwrap();
    std::os::unix::fs::symlink(at("real/here"), at("other")).unwrap();
    let f = |name: &str, expected: &str| {
        assert_eq!(output::identity(&at(name)), Some(at(expected)), "{name}");
    };
    f("real/here", "real/here");
    f("link/here", "real/here");
    f("link/../real/./here", "real/here");
    f("other", "real/here");
    // Files and folders that don't exist.
    f("link/new", "real/new");
    f("real/../link/new", "real/new");
    f("none/./new", "none/new");
    let here = std::env::current_dir().unwrap();
    let here = fs::canonicalize(here).unwrap();
    assert_eq!(output::identity(Path::new("new")), Some(here.join("new")));
    assert_eq!(output::identity(Path::new("/dev/null")), None);
}

#[derive(Default)]
struct Lost(Vec<(u64, DropReason)>);

impl Discards for Lost {
    fn discard(&mut self, items: u64, reason: DropReason) {
        self.0.push((items, reason));
    }
}

struct Bench {
    directory: TempDir,
    sink: FileSink,
    lost: Lost,
    now: Now,
}

impl Bench {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        Self::over("", change)
    }

    /// A sink whose file contains `content` at the start.
    fn over(content: &str, change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config {
            path: directory.path().join("out.jsonl"),
            append: false,
            create_directory: false,
            flush_interval: Duration::from_secs(1),
            queue_bytes: LOCAL_QUEUE.0,
            rotation: None,
        };
        if !content.is_empty() {
            fs::write(&config.path, content).unwrap();
        }
        change(&mut config);
        let mut sink = FileSink::new("file".parse().unwrap(), config);
        sink.start().unwrap();
        Self {
            directory,
            sink,
            lost: Lost::default(),
            now: Now {
                monotonic: Instant::now(),
                wall: UNIX_EPOCH + Duration::from_millis(1_795_262_400_000),
            },
        }
    }

    fn path(&self) -> &Path {
        &self.sink.config.path
    }

    fn consume(&mut self, batch: Batch) {
        self.sink.consume(batch, self.now, &mut self.lost);
    }

    /// Advances the time by the flush interval.
    fn wait(&mut self) {
        self.now.monotonic += self.sink.config.flush_interval;
        self.now.wall += self.sink.config.flush_interval;
        if self
            .sink
            .deadline()
            .is_some_and(|due| due <= self.now.monotonic)
        {
            self.sink.on_deadline(self.now, &mut self.lost);
        }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// A batch with two points of a gauge whose description has about `size` bytes.
fn batch(size: usize) -> Batch {
    let mut writer = MetricsWriter::new();
    writer.resource(&[]);
    writer.scope("s", "");
    writer.metric(
        MetricKind::Gauge,
        MetricDescriptor {
            name: "m",
            unit: "",
            description: &"x".repeat(size),
        },
    );
    for value in [1, 2] {
        writer.number(NumberPointData {
            attributes: &[],
            start: None,
            time: SystemTime::UNIX_EPOCH,
            value: Some(PointNumber::Int(value)),
        });
    }
    writer.finish()
}

const ROTATION: Rotation = Rotation {
    max_bytes: 1 << 20,
    max_backups: 2,
    max_days: 0,
};

fn assert_whole_lines(text: &str) {
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(text.is_empty() || text.ends_with('\n'));
}

#[tokio::test(start_paused = true)]
async fn each_request_is_a_line_after_the_flush_interval() {
    let mut bench = Bench::new(|_| {});
    let mut two = batch(0);
    two.append(batch(0));
    bench.consume(two);
    assert_eq!(bench.text(), "", "it waits for the flush");
    bench.wait();
    assert_eq!(bench.text().lines().count(), 2);
    assert_whole_lines(&bench.text());
    assert!(bench.sink.deadline().is_none(), "nothing is left to flush");
}

#[tokio::test(start_paused = true)]
async fn closing_writes_what_waits() {
    let mut bench = Bench::new(|_| {});
    bench.consume(batch(0));
    bench.sink.close(bench.now, &mut bench.lost);
    assert_eq!(bench.text().lines().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_interval_of_zero_writes_at_once() {
    let mut bench = Bench::new(|config| config.flush_interval = Duration::ZERO);
    bench.consume(batch(0));
    assert_eq!(bench.text().lines().count(), 1);
    assert!(bench.sink.deadline().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_waits_in_memory_is_bounded() {
    let mut bench = Bench::new(|_| {});
    for _ in 0..300 {
        bench.consume(batch(1000));
        assert!(bench.sink.lines.len() < BUFFER + 2000);
    }
    assert!(!bench.text().is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_file_is_emptied_at_start_unless_it_is_appended_to() {
    let f = |append: bool, expected: &str| {
        let bench = Bench::over("{}\n", |config| config.append = append);
        assert_eq!(bench.text(), expected);
    };
    f(false, "");
    f(true, "{}\n");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_a_crash_cut_off_is_ended_first() {
    let mut bench = Bench::over("{\"cut", |config| config.append = true);
    bench.consume(batch(0));
    bench.wait();
    let text = bench.text();
    let (first, rest) = text.split_once('\n').unwrap();
    assert_eq!(first, "{\"cut");
    assert_whole_lines(rest);
}

#[tokio::test(start_paused = true)]
async fn a_full_file_is_rotated_and_only_so_many_are_kept() {
    let mut bench = Bench::new(|config| config.rotation = Some(ROTATION));
    // Each flush is larger than half the limit.
    for _ in 0..5 {
        bench.consume(batch(600 << 10));
        bench.wait();
        assert!(bench.text().len() as u64 <= ROTATION.max_bytes);
        assert_whole_lines(&bench.text());
    }
    let files = bench.files();
    assert_eq!(files.len(), 3, "{files:?}");
    assert_eq!(files[2], "out.jsonl");
    assert!(files[0].starts_with("out-2026-11-21T12-00-0"), "{files:?}");
    assert!(bench.lost.0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_rotated_file_is_continued_after_a_restart() {
    let bench = Bench::over("{}\n", |config| config.rotation = Some(ROTATION));
    assert_eq!(bench.text(), "{}\n");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_moved_away_is_begun_anew() {
    let mut bench = Bench::new(|_| {});
    bench.consume(batch(0));
    bench.wait();
    let aside = bench.directory.path().join("aside");
    fs::rename(bench.path(), &aside).unwrap();
    bench.consume(batch(0));
    bench.wait();
    assert_eq!(bench.text().lines().count(), 1);
    assert_eq!(fs::read_to_string(aside).unwrap().lines().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_write_is_counted_and_the_next_one_tried() {
    // Writing to `/dev/full` always fails for lack of space.
    let mut bench = Bench::new(|config| config.path = "/dev/full".into());
    bench.consume(batch(0));
    bench.consume(batch(0));
    bench.wait();
    assert_eq!(bench.lost.0, [(4, DropReason::WriteFailed)]);
    assert_eq!(bench.sink.outage, Some(4));
    bench.consume(batch(0));
    bench.wait();
    assert_eq!(bench.lost.0.len(), 2, "no item is counted twice");

    let path = bench.directory.path().join("out.jsonl");
    bench.sink.output = Some(OutputFile::open(path.clone(), false, true, None).unwrap());
    bench.consume(batch(0));
    bench.wait();
    assert_eq!(bench.sink.outage, None);
    assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_file_has_one_writer() {
    let bench = Bench::new(|_| {});
    let error = OutputFile::open(bench.path().to_owned(), false, true, None).unwrap_err();
    assert!(error.to_string().contains("another"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_path_that_cannot_be_opened_fails_at_start() {
    let mut sink = FileSink::new(
        "file/x".parse().unwrap(),
        Config {
            path: "/nowhere/at/all.jsonl".into(),
            append: false,
            create_directory: false,
            flush_interval: Duration::ZERO,
            queue_bytes: LOCAL_QUEUE.0,
            rotation: None,
        },
    );
    let error = format!("{:#}", sink.start().unwrap_err());
    assert!(
        error.starts_with("can't open /nowhere/at/all.jsonl: "),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_deleted_folder_is_made_again_where_the_folder_is_to_be_made() {
    for create_directory in [true, false] {
        let mut bench = Bench::new(|config| {
            config.path = config.path.parent().unwrap().join("a/b.jsonl");
            fs::create_dir_all(config.path.parent().unwrap()).unwrap();
            config.create_directory = create_directory;
            config.flush_interval = Duration::ZERO;
        });
        let folder = bench.path().parent().unwrap().to_owned();
        bench.consume(batch(0));
        fs::remove_dir_all(&folder).unwrap();
        bench.consume(batch(0));
        let lines = fs::read_to_string(bench.path()).map_or(0, |text| text.lines().count());
        assert_eq!(lines, usize::from(create_directory));
    }
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_costly_request_is_a_line_like_any_other_and_never_in_memory() {
    let size = 1 << 20;
    for request in [costly::irregular(size), costly::regular(size)].concat() {
        let batch = Batch::decode(Signal::Metrics, request.into()).unwrap();
        let mut expected = Vec::new();
        json::write(Signal::Metrics, &batch.parts()[0], &mut expected);
        let mut bench = Bench::new(|_| ());
        bench.consume(self::batch(10));
        bench.consume(batch);
        assert!(bench.sink.lines.capacity() <= 2 * BUFFER);
        let text = bench.text();
        assert_whole_lines(&text);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "in the order of arrival");
        assert!(lines[1].as_bytes() == expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_line_that_can_not_be_written_is_lost_as_any_other() {
    let mut full = Bench::new(|config| config.path = "/dev/full".into());
    full.consume(batch(600 << 10));
    assert_eq!(full.lost.0, [(2, DropReason::WriteFailed)]);
    assert_eq!(full.sink.unsettled(), 0);
}
