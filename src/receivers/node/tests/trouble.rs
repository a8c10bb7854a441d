//! Files and filesystems that hang, fail, or are hidden.

use std::collections::HashMap;
use std::path::Path;

use rustix::io::Errno;

use super::*;
use crate::host::FilesystemSize;

/// The failures of a poll in which everything else is read.
fn late(scrape: &Scrape) -> Vec<(&str, FailureReason)> {
    let failures = scrape.failures().iter();
    failures
        .map(|failure| (failure.part.as_str(), failure.reason))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_file_that_hangs_holds_up_neither_start_nor_the_other_parts() {
    for (file, part, gone, there) in [
        ("stat", "cpu", "system.cpu.time", "node_network_io"),
        ("diskstats", "disks", "system.disk.io", "node_network_io"),
        ("net/dev", "networks", "system.network.io", "node_cpu_usage"),
        (
            "mounts",
            "filesystems",
            "system.filesystem.usage",
            "node_cpu_usage",
        ),
        ("meminfo", "memory", "system.memory.usage", "node_cpu_usage"),
        (
            "net/tcp",
            "connections",
            "system.network.connection.count",
            "node_cpu_usage",
        ),
    ] {
        let mut fixture = Fixture::new();
        fixture.hang(file);
        let begun = Instant::now();
        fixture.start_beside(&[file]).await;
        assert!(begun.elapsed() < Duration::from_secs(1), "{file}");
        if file != "stat" {
            fixture.set("stat", "cpu 200 0 100 700 100 0 0 0 0 0\nbtime 1000\n");
        }
        let threads = Arc::clone(&fixture.node.poller.threads);
        for poll in 0..4 {
            let begun = Instant::now();
            let (batch, scrape) = fixture.poll_beside(&[file]).await;
            assert!(scrape.up());
            assert_eq!(late(&scrape), [(part, FailureReason::Timeout)], "{file}");
            let series = series(&batch);
            let found = names(&series);
            assert!(!found.contains(&gone), "{gone} while {file} hangs");
            assert!(found.contains(&"system.uptime"), "{file}");
            assert!(
                poll > 0 || found.contains(&there),
                "{there} while {file} hangs"
            );
            let took = (begun.elapsed() - Duration::from_secs(10)).as_secs();
            assert!(took <= 5 && (poll == 0 || took == 0), "asked once: {took}");
            assert_eq!(threads.count(), 2, "one hangs, one goes on");
        }
        fixture.release(file);
        while threads.count() > 1 {
            tokio::task::yield_now().await;
        }
        let text = FILES.iter().find(|(name, _)| *name == file).unwrap().1;
        fixture.remove(file);
        fixture.set(file, text);
        let (batch, scrape) = fixture.poll().await;
        assert_eq!(late(&scrape), []);
        assert!(names(&series(&batch)).contains(&gone), "{gone} is back");
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_of_which_everything_hangs_is_down_and_holds_few_threads() {
    let mut fixture = Fixture::new();
    let files = FILES.map(|(file, _)| file);
    for file in files {
        fixture.hang(file);
    }
    fixture.start_beside(&files).await;
    for _ in 0..3 {
        let (batch, scrape) = fixture.poll_beside(&files).await;
        assert!(!scrape.up());
        assert_eq!(batch.items(), 0);
        let reasons = [FailureReason::Timeout, FailureReason::Limit];
        assert!(
            late(&scrape)
                .iter()
                .all(|(_, reason)| reasons.contains(reason))
        );
        assert!(fixture.node.poller.threads.count() <= 12);
    }
}

/// A host whose filesystems answer what the test says, by mount point.
fn rooms(
    fixture: &mut Fixture,
    mounts: impl AsRef<[u8]>,
    answers: &[(&[u8], Result<FilesystemSize, Errno>)],
) {
    use std::os::unix::ffi::OsStrExt as _;

    fixture.set("mounts", mounts);
    let root = fixture.root.path().to_owned();
    let answers: HashMap<Vec<u8>, _> = answers
        .iter()
        .map(|(path, answer)| (path.to_vec(), *answer))
        .collect();
    let ask = move |path: &Path| {
        let place = path.strip_prefix(&root).unwrap().as_os_str().as_bytes();
        let answer = answers.get(&[b"/", place].concat()).copied();
        answer.unwrap_or(Err(Errno::NOENT))
    };
    fixture.node.poller.reader = fixture.node.poller.reader.clone().asking(Arc::new(ask));
}

fn with_used(used: u64) -> Result<FilesystemSize, Errno> {
    Ok(FilesystemSize {
        total: 1000,
        available: 1000 - used,
        ..FilesystemSize::default()
    })
}

/// Used bytes by mount point; NaN if the series ends.
fn used(series: &Series) -> Vec<(&str, f64)> {
    let used = series.iter().filter_map(|(key, value)| {
        let rest = key.strip_prefix("system.filesystem.usage{")?;
        let (_, place) = rest.split_once("mountpoint=\"")?;
        let place = &place[..place.find('"')?];
        rest.contains("state=\"used\"").then_some((place, *value))
    });
    used.collect()
}

#[tokio::test(start_paused = true)]
async fn a_filesystem_that_fails_is_a_failed_part_and_its_old_value_ends() {
    for error in [Errno::IO, Errno::STALE, Errno::NOTCONN] {
        let mut fixture = Fixture::new();
        let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /b ext4 rw 0 0\n";
        rooms(
            &mut fixture,
            mounts,
            &[(b"/", with_used(100)), (b"/b", with_used(300))],
        );
        fixture.start().await;
        assert_eq!(used(&fixture.series().await), [("/", 100.0), ("/b", 300.0)]);
        rooms(
            &mut fixture,
            mounts,
            &[(b"/", with_used(100)), (b"/b", Err(error))],
        );
        let (batch, scrape) = fixture.poll().await;
        assert!(scrape.up());
        assert_eq!(late(&scrape), [("filesystem /b", FailureReason::Refused)]);
        let found = series(&batch);
        assert!(used(&found)[1].1.is_nan(), "{found:?}");
        assert_eq!(found[r#"node_disk_usage{node_id="n1"}"#], 10.0);
        let (batch, _) = fixture.poll().await;
        assert_eq!(used(&series(&batch)), [("/", 100.0)], "ended once");
        rooms(
            &mut fixture,
            mounts,
            &[(b"/", with_used(100)), (b"/b", with_used(500))],
        );
        assert_eq!(used(&fixture.series().await), [("/", 100.0), ("/b", 500.0)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_filesystem_that_hangs_is_late_and_its_old_value_ends() {
    let mut fixture = Fixture::new();
    let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /b ext4 rw 0 0\n";
    rooms(
        &mut fixture,
        mounts,
        &[(b"/", with_used(100)), (b"/b", with_used(300))],
    );
    fixture.start().await;
    fixture.series().await;
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let ask = move |path: &Path| {
        if path.ends_with("b") {
            let _ = wait.lock().unwrap().recv();
        }
        with_used(100)
    };
    fixture.node.poller.reader = fixture.node.poller.reader.clone().asking(Arc::new(ask));
    let hanging = ["filesystem /b"];
    for poll in 0..3 {
        let (batch, scrape) = fixture.poll_beside(&hanging).await;
        assert_eq!(late(&scrape), [("filesystem /b", FailureReason::Timeout)]);
        let found = series(&batch);
        let ended = used(&found).iter().any(|(_, value)| value.is_nan());
        assert_eq!(ended, poll == 0, "{found:?}");
        assert_eq!(used(&found)[0], ("/", 100.0));
        assert!(fixture.node.poller.threads.count() <= 2);
    }
    drop(release);
    while fixture.node.poller.threads.count() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(used(&fixture.series().await), [("/", 100.0), ("/b", 100.0)]);
}

#[tokio::test(start_paused = true)]
async fn one_that_may_not_be_asked_is_absent_and_no_failure() {
    let mut fixture = Fixture::new();
    let mounts = "/dev/a / ext4 rw 0 0\n/dev/b /b ext4 rw 0 0\n";
    rooms(
        &mut fixture,
        mounts,
        &[(b"/", with_used(100)), (b"/b", Err(Errno::ACCESS))],
    );
    fixture.start().await;
    for _ in 0..2 {
        assert_eq!(used(&fixture.series().await), [("/", 100.0)]);
        assert_eq!(fixture.node.poller.denied.len(), 1, "which was said");
    }
    rooms(
        &mut fixture,
        "/dev/a / ext4 rw 0 0\n",
        &[(b"/", with_used(100))],
    );
    fixture.series().await;
    assert!(
        fixture.node.poller.denied.is_empty(),
        "and is said anew when it is mounted anew"
    );
}

#[tokio::test(start_paused = true)]
async fn a_mount_point_is_asked_by_its_bytes_and_shown_as_text() {
    let mut fixture = Fixture::new();
    let mounts = b"/dev/a / ext4 rw 0 0\n/dev/b /caf\xe9\\040x ext4 rw 0 0\n";
    rooms(
        &mut fixture,
        mounts,
        &[(b"/", with_used(100)), (b"/caf\xe9 x", with_used(300))],
    );
    fixture.start().await;
    let series = fixture.series().await;
    assert_eq!(used(&series), [("/", 100.0), ("/caf\u{fffd} x", 300.0)]);
}

#[tokio::test(start_paused = true)]
async fn a_mount_that_another_hides_is_absent() {
    let mut fixture = Fixture::new();
    let mounts = "/dev/m /moved ext4 rw 0 0\n/dev/a / ext4 rw 0 0\n\
        /dev/b /b ext4 rw 0 0\n/dev/c /c/d ext4 rw 0 0\n/dev/d /cc ext4 rw 0 0\n\
        tmpfs /b tmpfs rw 0 0\n/dev/e /c ext4 rw 0 0\n/dev/f /c/f ext4 rw 0 0\n";
    let answers = ["/", "/moved", "/b", "/c", "/c/d", "/c/f", "/cc"];
    let answers: Vec<_> = answers
        .iter()
        .map(|path| (path.as_bytes(), with_used(1)))
        .collect();
    rooms(&mut fixture, mounts, &answers);
    fixture.start().await;
    let series = fixture.series().await;
    let places: Vec<&str> = used(&series).into_iter().map(|(place, _)| place).collect();
    let mut places = places;
    places.sort_unstable();
    assert_eq!(places, ["/", "/c", "/c/f", "/cc", "/moved"]);
}

#[tokio::test(start_paused = true)]
async fn the_agents_own_namespace_never_passes_for_the_hosts() {
    let mut fixture = Fixture::new();
    let proc = fixture.root.path().join("proc");
    // The container's own files, which are visible while hidepid hides the host's process 1.
    fs::rename(proc.join("1/net"), proc.join("net")).unwrap();
    fs::rename(proc.join("1/mounts"), proc.join("mounts")).unwrap();
    fs::remove_dir(proc.join("1")).unwrap();
    fixture.start().await;
    let (batch, scrape) = fixture.poll().await;
    assert!(scrape.up());
    let mut failed = late(&scrape);
    failed.sort_unstable();
    let refused =
        ["connections", "filesystems", "networks"].map(|part| (part, FailureReason::Refused));
    assert_eq!(failed, refused);
    let series = series(&batch);
    for name in names(&series) {
        let of_a_namespace = ["network", "filesystem", "node_disk"];
        assert!(
            !of_a_namespace.iter().any(|part| name.contains(part)),
            "{name}"
        );
    }
    assert!(names(&series).contains(&"system.cpu.time"));
}

#[tokio::test(start_paused = true)]
async fn a_filesystem_that_fails_has_an_error_under_node_exporters_names() {
    let mut fixture = Fixture::empty(|config| config.exposition = Exposition::NodeExporter);
    fixture.start().await;
    let mounts = "/dev/a /a ext4 rw 0 0\n/dev/b /b ext4 ro 0 0\n";
    rooms(
        &mut fixture,
        mounts,
        &[(b"/a", with_used(1)), (b"/b", Err(Errno::IO))],
    );
    let (batch, _) = fixture.poll().await;
    let found = series(&batch);
    let error = "input/output error";
    let failing = |error: &str| {
        format!(r#"{{device="/dev/b",device_error="{error}",fstype="ext4",mountpoint="/b"}}"#)
    };
    assert_eq!(
        found[&format!("node_filesystem_device_error{}", failing(error))],
        1.0
    );
    assert_eq!(
        found[&format!("node_filesystem_readonly{}", failing(error))],
        1.0
    );
    assert!(
        !found
            .keys()
            .any(|key| key.contains("size") && key.contains("/dev/b"))
    );

    rooms(
        &mut fixture,
        mounts,
        &[(b"/a", with_used(1)), (b"/b", with_used(2))],
    );
    let (batch, _) = fixture.poll().await;
    let found = series(&batch);
    assert_eq!(
        found[&format!("node_filesystem_device_error{}", failing(""))],
        0.0
    );
    assert!(
        found[&format!("node_filesystem_device_error{}", failing(error))].is_nan(),
        "the error ends"
    );
}
