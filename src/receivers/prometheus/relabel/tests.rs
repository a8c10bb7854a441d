use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// Rules as they are written, or what is wrong with them.
fn rules(text: &str, names: NameScheme) -> Result<Vec<RelabelRule>, Vec<String>> {
    let diagnostics = Diagnostics::new();
    let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
    let read = RelabelRule::read_all(&PlacedNode::root(&node, &diagnostics), names);
    let problems = diagnostics.problems();
    match read {
        Some(rules) if problems.is_empty() => Ok(rules),
        _ => Err(problems.iter().map(ToString::to_string).collect()),
    }
}

/// Labels as `a=1,b=2`, after one rule; `-` where it drops them.
fn after(rule: &str, labels: &str) -> String {
    let rules = rules(&format!("- {{{rule}}}"), NameScheme::Utf8).unwrap();
    let pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
    let mut builder = LabelBuilder::new(pairs);
    match RelabelRule::apply(&rules, &mut builder) {
        Relabelled::Kept => {
            let labels: Vec<String> = builder
                .finish()
                .iter()
                .map(|label| format!("{}={}", label.name, label.value))
                .collect();
            labels.join(",")
        }
        Relabelled::Dropped => "-".to_owned(),
        Relabelled::TooLong => "too long".to_owned(),
    }
}

#[test]
fn every_action_does_what_prometheus_does() {
    let f = |rule: &str, labels: &str, expected: &str| {
        assert_eq!(after(rule, labels), expected, "{rule} of {labels}");
    };
    f(
        "source_labels: [a, b], target_label: c",
        "a=1,b=2",
        "a=1,b=2,c=1;2",
    );
    f(
        "source_labels: [a, b], separator: '', target_label: a",
        "a=1,b=2",
        "a=12,b=2",
    );
    f(
        "source_labels: [a], regex: '(.)(.)', replacement: '${2}$1x$$', target_label: b",
        "a=12",
        "a=12,b=2$",
    );
    f(
        "source_labels: [a], regex: '(?P<n>.*)', replacement: 'x$n', target_label: 'l_$n'",
        "a=1",
        "a=1,l_1=x1",
    );
    f(
        "source_labels: [a], regex: '2', target_label: a, replacement: x",
        "a=12",
        "a=12",
    );
    // An empty replacement removes, and a target that is no name sets nothing.
    f(
        "source_labels: [a], target_label: b, replacement: ''",
        "a=1,b=2",
        "a=1",
    );
    f("target_label: b, replacement: x", "a=1", "a=1,b=x");
    f("source_labels: [none], target_label: b", "b=2", "");
    f(
        "source_labels: [a], regex: '1(.*)', target_label: '$1', replacement: x",
        "a=1",
        "a=1",
    );
    f(
        "source_labels: [a], regex: '1.*', action: keep",
        "a=12",
        "a=12",
    );
    f("source_labels: [a], regex: '1', action: Keep", "a=12", "-");
    f("source_labels: [a], regex: '12', action: drop", "a=12", "-");
    f(
        "source_labels: [a], regex: '1', action: drop",
        "a=12",
        "a=12",
    );
    f(
        "source_labels: [a], target_label: b, action: keepequal",
        "a=1,b=1",
        "a=1,b=1",
    );
    f(
        "source_labels: [a], target_label: b, action: keepequal",
        "a=1,b=2",
        "-",
    );
    f(
        "source_labels: [a], target_label: b, action: dropequal",
        "a=1,b=1",
        "-",
    );
    f(
        "source_labels: [a], target_label: b, action: dropequal",
        "c=1",
        "-",
    );
    f(
        "source_labels: [a], target_label: b, action: dropequal",
        "a=1,b=2",
        "a=1,b=2",
    );
    f(
        "source_labels: [c], target_label: d, action: hashmod, modulus: 1000",
        "a=foo,b=bar,c=baz",
        "a=foo,b=bar,c=baz,d=976",
    );
    f(
        "source_labels: [a], separator: '', target_label: d, action: hashmod, modulus: 1000",
        "a=foo\nbar",
        "a=foo\nbar,d=734",
    );
    f(
        "regex: '(b.*)', replacement: 'bar_${1}', action: labelmap",
        "a=foo,b1=bar,b2=baz",
        "a=foo,b1=bar,b2=baz,bar_b1=bar,bar_b2=baz",
    );
    f(
        "regex: 'b.*', replacement: 'x', action: labelmap",
        "b1=1,b2=2",
        "b1=1,b2=2,x=2",
    );
    f(
        "regex: 'b.*', replacement: 'b3', action: labelmap",
        "b1=1,b2=2,b3=3",
        "b1=1,b2=2,b3=3",
    );
    f("regex: 'b.*', action: labeldrop", "a=1,b1=2,b2=3", "a=1");
    f(
        "regex: 'b.*', action: labelkeep",
        "a=1,b1=2,b2=3",
        "b1=2,b2=3",
    );
    f(
        "source_labels: [a], target_label: b, action: uppercase",
        "a=ßtraßeᾀ",
        "a=ßtraßeᾀ,b=ßTRAßEᾈ",
    );
    f(
        "source_labels: [a], target_label: a, action: lowercase",
        "a=İΟΔΟΣ",
        "a=iοδοσ",
    );
}

#[test]
fn labels_that_rules_touched_come_last_when_names_are_mapped() {
    let rules = rules(
        "- {target_label: a, replacement: touched}\n- {regex: '[ab]', replacement: c, action: labelmap}",
        NameScheme::Utf8,
    )
    .unwrap();
    let mut labels = LabelBuilder::new([("a", "1"), ("b", "2")]);
    RelabelRule::apply(&rules, &mut labels);
    assert_eq!(labels.value("c"), "touched");
}

#[test]
fn a_rule_that_can_not_work_is_refused_at_its_place() {
    let f = |rule: &str, expected: &str| {
        let found = rules(&format!("- {rule}"), NameScheme::Utf8).unwrap_err();
        assert_eq!(found, [expected], "{rule}");
    };
    f("", "t:1:3: 0: the rule is empty");
    f(
        "{action: kep}",
        "t:1:12: 0::action: expected replace, keep, drop, keepequal, dropequal, hashmod, labelmap, \
         labeldrop, labelkeep, lowercase or uppercase, found `kep`, did you mean `keep`?",
    );
    f(
        "{replacement: x}",
        "t:1:3: 0: `target_label` is missing: replace needs it",
    );
    f(
        "{target_label: ''}",
        "t:1:3: 0: `target_label` is missing: replace needs it",
    );
    f(
        "{target_label: x, action: hashmod}",
        "t:1:3: 0: hashmod needs a `modulus` that isn't 0",
    );
    f(
        "{target_label: x, action: keepequal, regex: (.*)}",
        "t:1:3: 0: keepequal takes source_labels and target_label, and nothing else",
    );
    f(
        "{action: labeldrop, source_labels: [a]}",
        "t:1:3: 0: labeldrop takes regex, and nothing else",
    );
    f(
        "{action: lowercase, target_label: x, replacement: y}",
        "t:1:3: 0: lowercase takes no replacement",
    );
    f(
        "{target_label: x, regex: '(a'}",
        "t:1:28: 0::regex: error parsing regexp: missing closing ): `(a`",
    );
    f(
        "{target_label: x, source_labels: [a, '']}",
        "t:1:40: 0::source_labels::1: the name of a label can't be empty",
    );
    f(
        "{target_label: x, regexp: y}",
        "t:1:21: 0::regexp: unknown key `regexp`, did you mean `regex`?",
    );
}

#[test]
fn names_are_checked_by_their_scheme() {
    let f = |rule: &str, is_legacy: bool| {
        let text = format!("- {rule}");
        assert!(rules(&text, NameScheme::Utf8).is_ok(), "{rule}");
        assert_eq!(
            rules(&text, NameScheme::Legacy).is_ok(),
            is_legacy,
            "{rule}"
        );
    };
    f("{target_label: a_1}", true);
    f("{target_label: 1_a}", false);
    f("{target_label: a.b}", false);
    f("{target_label: 'a$1_${x}b'}", true);
    f("{target_label: '${1}1'}", true);
    f("{target_label: '1${1}'}", false);
    f("{target_label: '$.'}", false);
    f("{target_label: '${1'}", false);
    f("{action: labelmap, replacement: 'a-$1'}", false);
    f("{action: labelmap}", true);
    f("{action: uppercase, target_label: '$1'}", false);
    assert!(NameScheme::Utf8.allows("1 é"));
    assert!(!NameScheme::Utf8.allows(""));
}

#[test]
fn a_text_that_rules_keep_doubling_is_given_up() {
    let double = "- {source_labels: [a], target_label: a, replacement: '$1$1'}\n";
    let rules = rules(&double.repeat(40), NameScheme::Utf8).unwrap();
    let mut labels = LabelBuilder::new([("a", "xy")]);
    assert_eq!(RelabelRule::apply(&rules, &mut labels), Relabelled::TooLong);
    assert_eq!(labels.value("a").len(), LONGEST);
}

proptest! {
    #[test]
    fn many_labels_that_are_set_at_once_are_as_if_set_one_by_one(
        first in 0..80_usize,
        touched in prop::collection::vec((0..90_u8, 1..9_u8), 0..10),
        mapped in prop::collection::vec((0..120_u8, 1..9_u8), 0..80),
    ) {
        let names: Vec<(String, String)> =
            (0..first).map(|n| (format!("{n:03}"), "first".to_owned())).collect();
        let mut one_by_one = LabelBuilder::new(names.clone());
        let mut at_once = LabelBuilder::new(names);
        for (name, value) in touched {
            one_by_one.set(format!("{name:03}"), value.to_string());
            at_once.set(format!("{name:03}"), value.to_string());
        }
        let mapped: Vec<EditedLabel<'_>> = mapped
            .into_iter()
            .map(|(name, value)| EditedLabel {
                name: format!("{name:03}").into(),
                value: value.to_string().into(),
            })
            .collect();
        for label in mapped.clone() {
            one_by_one.set(label.name, label.value);
        }
        at_once.set_all(mapped);
        prop_assert!(one_by_one.iter().eq(at_once.iter()));
    }
}
