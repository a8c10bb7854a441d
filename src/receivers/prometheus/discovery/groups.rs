//! Reads groups of targets, as files and servers list them.

use std::sync::Arc;

use serde::Deserialize;

use crate::receivers::prometheus::config::group;
use crate::receivers::prometheus::groups::{ADDRESS, TargetGroup, TargetLabelMap};
use crate::receivers::prometheus::relabel::NameScheme;
use crate::yaml::{Diagnostics, PlacedNode, Severity, parse};

/// A group in JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonGroup {
    #[serde(default)]
    targets: Option<Vec<String>>,
    #[serde(default)]
    labels: Option<TargetLabelMap>,
}

/// Reads a JSON list of groups. The error names the place.
pub(super) fn read_json(text: &[u8]) -> Result<Vec<TargetGroup>, String> {
    // `null` is an empty list in Go.
    let groups: Option<Vec<Option<JsonGroup>>> =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    groups
        .into_iter()
        .flatten()
        .map(|group| {
            let group = group.ok_or("there is a group that is null")?;
            let labels = group.labels.unwrap_or_default();
            if labels.contains_key("") {
                return Err("there is a label without a name".to_owned());
            }
            let addresses = group.targets.unwrap_or_default().into_iter();
            Ok(TargetGroup {
                targets: addresses
                    .map(|address| TargetLabelMap::from([(ADDRESS.to_owned(), address)]))
                    .collect(),
                labels,
            })
        })
        .collect()
}

/// Reads a YAML list of groups. The error names the place.
pub(super) fn read_yaml(
    text: &str,
    file: &str,
    names: NameScheme,
) -> Result<Vec<TargetGroup>, String> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from(file), &diagnostics);
    let groups = node.and_then(|node| {
        let items = PlacedNode::root(&node, &diagnostics).items()?;
        let groups = items.iter().map(|item| group(item, names, false));
        groups.collect::<Option<Vec<_>>>()
    });
    let problems = diagnostics.problems();
    let mut errors = problems.iter();
    match (
        groups,
        errors.find(|problem| problem.severity == Severity::Error),
    ) {
        (_, Some(error)) => Err(error.to_string()),
        (Some(groups), None) => Ok(groups),
        (None, None) => Err("it can't be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(groups: Result<Vec<TargetGroup>, String>) -> String {
        match groups {
            Ok(groups) => groups
                .iter()
                .map(|group| {
                    let targets = group.targets.iter().map(|target| target[ADDRESS].as_str());
                    let labels = group
                        .labels
                        .iter()
                        .map(|(name, value)| format!("{name}={value}"));
                    format!(
                        "{} {{{}}};",
                        targets.collect::<Vec<_>>().join(" "),
                        labels.collect::<Vec<_>>().join(",")
                    )
                })
                .collect(),
            Err(error) => error,
        }
    }

    #[test]
    fn groups_are_read_from_json_and_from_yaml() {
        let f = |json: &str, yaml: &str, expected: &str| {
            assert_eq!(shown(read_json(json.as_bytes())), expected, "{json}");
            let read = read_yaml(yaml, "t.yml", NameScheme::Utf8);
            assert_eq!(shown(read), expected, "{yaml}");
        };
        f("[]", "[]", "");
        f("null", "", "");
        f(
            r#"[{"targets": ["a:1", "b:2"], "labels": {"x": "1", "y": ""}}, {"targets": []}, {}]"#,
            "- targets: ['a:1', b:2]\n  labels: {x: 1, y: ''}\n- targets: []\n- {}\n",
            "a:1 b:2 {x=1,y=}; {}; {};",
        );
    }

    #[test]
    fn what_is_wrong_with_groups_is_told_with_its_place() {
        let json = |text: &str| shown(read_json(text.as_bytes()));
        assert!(json("[{\"targets\": [1]}]").contains("line 1 column 15"));
        assert!(json("[{\"target\": []}]").contains("unknown field `target`"));
        assert!(json("[null]").contains("null"));
        assert!(json("[{\"labels\": {\"\": \"x\"}}]").contains("without a name"));
        let yaml = |text: &str| shown(read_yaml(text, "t.yml", NameScheme::Utf8));
        assert_eq!(
            yaml("- targets: a"),
            "t.yml:1:12: 0::targets: expected a list, found `a`"
        );
        assert!(yaml("- target: []").contains("did you mean `targets`?"));
        assert!(yaml("a: b").contains("expected a list"));
        assert!(yaml("[").starts_with("t.yml:1:"));
    }
}
