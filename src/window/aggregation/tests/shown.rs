//! What results are called.

use super::*;

/// A metric and its labels.
type Key<'a> = (ValueKind, &'a str, &'a [(&'a str, &'a str)]);

fn store(series: &[Key<'_>]) -> SharedWindows {
    let store = SharedWindows::new(settings());
    let mut windows = store.lock();
    for (kind, name, labels) in series {
        let id = windows.register(name, *kind, labels).unwrap();
        windows.push(id, 1000, 1.0).unwrap();
    }
    drop(windows);
    store
}

/// The groups as they are shown: `metric{a=1}`.
fn shown(stores: &[SharedWindows], plan: &AggregationPlan) -> Vec<String> {
    let limits = AggregationLimits::default();
    let mut go = || true;
    let types = ResultTypes::Apart;
    let groups = AggregationGroups::find(stores.to_vec(), plan, types, &limits, &mut go).unwrap();
    let shown = groups.groups().iter().map(|group| {
        let labels = group.shown_labels();
        named(group.name(), labels.iter().map(|(n, v)| (&**n, &**v)))
    });
    let mut shown: Vec<String> = shown.collect();
    shown.sort_unstable();
    shown
}

#[test]
fn no_two_groups_of_a_metric_are_shown_with_the_same_labels() {
    let names = [
        "stat",
        "exported_stat",
        "exported_exported_stat",
        "window",
        "exported_window",
    ];
    let mut given: Vec<Vec<(&str, &str)>> = vec![Vec::new()];
    for name in names {
        let more = given.iter().map(|labels| {
            let mut labels = labels.clone();
            labels.push((name, "x"));
            labels
        });
        let more: Vec<_> = more.collect();
        given.extend(more);
    }
    // What has both is a result.
    given.retain(|labels| {
        !["stat", "window"]
            .iter()
            .all(|n| labels.contains(&(n, "x")))
    });
    let every = AggregationPlan::default();
    for first in 0..given.len() {
        for second in 0..first {
            for apart in [false, true] {
                let series = [first, second].map(|at| (ValueKind::Gauge, "g", &*given[at]));
                let stores = match apart {
                    true => series.map(|key| store(&[key])).to_vec(),
                    false => vec![store(&series)],
                };
                let mut all = shown(&stores, &every);
                all.dedup();
                assert_eq!(all.len(), 2, "{series:?}: {all:?}");
            }
        }
    }
}

#[test]
fn a_result_is_shown_alike_whatever_else_is_selected() {
    let gauge = ValueKind::Gauge;
    let stores = [store(&[
        (gauge, "g", &[("stat", "x")]),
        (gauge, "g", &[("exported_stat", "x")]),
        (gauge, "other", &[("stat", "x")]),
        // A result, whose labels are the aggregation's own.
        (
            gauge,
            "g",
            &[
                ("exported_exported_stat", "x"),
                ("stat", "avg"),
                ("window", "5m"),
            ],
        ),
    ])];
    let f = |matcher: Option<(&str, &str)>, expected: &[&str]| {
        let matcher = matcher.map(|(n, v)| Matcher::new(MatchOperator::Equal, n, v).unwrap());
        let plan = AggregationPlan {
            series: vec![matcher.into_iter().collect()],
            ..AggregationPlan::default()
        };
        assert_eq!(shown(&stores, &plan), expected);
    };
    let renamed = "g{exported_exported_stat=x}";
    let other = "other{exported_stat=x}";
    f(None, &[renamed, "g{exported_stat=x}", other]);
    f(Some(("stat", "x")), &[renamed, other]);
    f(Some(("exported_stat", "x")), &["g{exported_stat=x}"]);
}

#[test]
fn stored_results_do_not_take_the_name_of_their_metric() {
    let result: &[_] = &[("stat", "avg"), ("window", "5m")];
    let (gauge, counter) = (ValueKind::Gauge, ValueKind::Counter);
    let every = AggregationPlan::default();
    for metric in ["x", "x_total"] {
        for apart in [false, true] {
            let series: [Key<'_>; 2] = [(counter, metric, &[]), (gauge, "x", result)];
            let stores = match apart {
                true => series.map(|key| store(&[key])).to_vec(),
                false => vec![store(&series)],
            };
            assert_eq!(shown(&stores, &every), ["x{}"], "{metric}");
        }
    }
    let own: [Key<'_>; 3] = [
        (counter, "x", &[]),
        (gauge, "x", result),
        (gauge, "x", &[("a", "1")]),
    ];
    assert_eq!(shown(&[store(&own)], &every), ["x_counter{}", "x{a=1}"]);
}
