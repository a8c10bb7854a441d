use std::os::unix::fs::symlink;

use super::super::testing::{findings, shown};
use super::*;
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// A discovery of these files below a directory.
fn discovery(directory: &Path, files: &[&str]) -> FileDiscovery {
    let files: Vec<String> = files
        .iter()
        .map(|file| format!("'{}/{file}'", directory.display()))
        .collect();
    let text = format!("{{files: [{}]}}", files.join(", "));
    let diagnostics = Diagnostics::new();
    let node = parse(&text, &Arc::from("t"), &diagnostics).unwrap();
    let config = FileConfig::read(&PlacedNode::root(&node, &diagnostics)).unwrap();
    FileDiscovery::new(config, NameScheme::Utf8)
}

/// What is found, without the directory.
async fn looked(
    discovery: &mut FileDiscovery,
    is_full: bool,
    findings: &mut Findings,
    found: &tokio::sync::watch::Receiver<Vec<FoundGroups>>,
    directory: &Path,
) -> Vec<String> {
    discovery.look(is_full, findings).await;
    let place = format!("{}/", directory.display());
    shown(&found.borrow())
        .into_iter()
        .map(|group| group.replace(&place, ""))
        .collect()
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_their_targets_go_with_them() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (mut findings, found) = findings();
    let mut files = discovery(at, &["a.json", "b*.yml"]);
    macro_rules! look {
        ($full:expr) => {
            looked(&mut files, $full, &mut findings, &found, at).await
        };
    }
    assert_eq!(look!(true), [] as [&str; 0]);
    fs::write(
        at.join("a.json"),
        r#"[{"targets": ["a:1"], "labels": {"x": "1"}}]"#,
    )
    .unwrap();
    fs::write(
        at.join("b1.yml"),
        "- targets: ['b:1']\n- targets: ['b:2']\n",
    )
    .unwrap();
    fs::write(at.join("other.yml"), "- targets: ['other:1']\n").unwrap();
    let first = [
        "a:1 {__meta_filepath=a.json,x=1}",
        "b:1 {__meta_filepath=b1.yml}",
        "b:2 {__meta_filepath=b1.yml}",
    ];
    assert_eq!(look!(false), first);
    let before = found.borrow().clone();
    assert_eq!(look!(true), first);
    let same = found.borrow()[0]
        .iter()
        .zip(&before[0])
        .all(|(a, b)| Arc::ptr_eq(a, b));
    assert!(same, "what stays is the same allocation");
    // Another file in its place, as editors and ConfigMaps do it.
    fs::write(at.join("new"), "- targets: ['b:1']\n- targets: ['b:3']\n").unwrap();
    fs::remove_file(at.join("b1.yml")).unwrap();
    symlink(at.join("new"), at.join("b1.yml")).unwrap();
    assert_eq!(look!(false)[2], "b:3 {__meta_filepath=b1.yml}");
    fs::remove_file(at.join("a.json")).unwrap();
    assert_eq!(look!(false).len(), 2);
    fs::remove_dir_all(at).unwrap();
    assert_eq!(look!(false), [] as [&str; 0]);
    assert_eq!(findings.failing(), None);
}

#[tokio::test]
async fn a_broken_file_keeps_its_last_targets_until_it_is_mended() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let (mut findings, found) = findings();
    let mut files = discovery(at, &["a.json", "b.yaml"]);
    macro_rules! look {
        ($full:expr) => {
            looked(&mut files, $full, &mut findings, &found, at).await
        };
    }
    fs::write(at.join("a.json"), r#"[{"targets": ["a:1"]}]"#).unwrap();
    fs::write(at.join("b.yaml"), "- targets: ['b:1']\n").unwrap();
    let first = look!(true);
    assert_eq!(first.len(), 2);
    fs::write(at.join("a.json"), r#"[{"targets": ["a:1"]}"#).unwrap();
    assert_eq!(look!(false), first);
    assert!(
        findings.failing().unwrap().contains("a.json: EOF"),
        "{:?}",
        findings.failing()
    );
    fs::write(at.join("b.yaml"), "- targets: ['b:2']\n").unwrap();
    assert!(look!(false)[1].starts_with("b:2"), "the others are read");
    assert!(findings.failing().is_some(), "a.json is still broken");
    fs::write(at.join("a.json"), r#"[{"targets": ["a:2"]}]"#).unwrap();
    assert!(look!(false)[0].starts_with("a:2"));
    assert_eq!(findings.failing(), None);
    fs::write(at.join("a.json"), vec![b' '; (LONGEST + 1) as usize]).unwrap();
    assert!(look!(false)[0].starts_with("a:2"));
    assert!(findings.failing().unwrap().contains("longer than 16 MiB"));
}
