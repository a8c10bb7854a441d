//! Aggregations of random series against what a walk over all points comes to.

mod distributions;
mod limits;
mod shown;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::stats::Method;
use super::super::stats::tests::naive;
use super::super::{
    MatchOperator, Matcher, STALE, SharedWindows, Shelf, ValueKind, WindowSettings,
};
use super::*;

/// One series: kind, metric, values of the labels `a` and `b`, points.
type Given = (ValueKind, &'static str, [&'static str; 2], Vec<(i64, f64)>);

/// Results by what names them: `metric{a=1} avg`.
type Results = BTreeMap<String, f64>;

const NUMBERS: [&str; 17] = [
    "avg", "sum", "count", "min", "max", "first", "last", "stddev", "p50", "p90", "p100", "rate",
    "increase", "delta", "mad", "ema", "deriv",
];

pub(super) fn settings() -> WindowSettings {
    WindowSettings {
        max_ahead: i64::MAX,
        ..WindowSettings::default()
    }
}

pub(super) fn plan(group_by: &[&str], across: Across, stats: &[&str]) -> AggregationPlan {
    AggregationPlan {
        group_by: group_by.iter().map(|label| (*label).to_owned()).collect(),
        across,
        stats: stats
            .iter()
            .map(|s| StatChoice::named(s).unwrap())
            .collect(),
        ..AggregationPlan::default()
    }
}

pub(super) fn results(
    stores: Vec<SharedWindows>,
    plan: &AggregationPlan,
    window: (i64, i64),
) -> Result<Results, AggregationStop> {
    let limits = AggregationLimits::default();
    let mut go = || true;
    let types = ResultTypes::Apart;
    let groups = AggregationGroups::find(stores, plan, types, &limits, &mut go)?;
    let mut results = Results::new();
    groups.reduce(plan, window, &limits, &mut go, |group, reading| {
        let name = named(
            group.name(),
            group.labels().iter().map(|(n, v)| (&**n, &**v)),
        );
        for (stat, value) in plan.stats.iter().zip(reading.values) {
            if let Some(value) = value {
                let twice = results.insert(format!("{name} {}", stat.name()), value);
                assert_eq!(twice, None, "{name} twice");
            }
        }
        results.insert(format!("{name} coverage"), reading.coverage);
    })?;
    Ok(results)
}

fn named<'a>(name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let labels: Vec<String> = labels
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    format!("{name}{{{}}}", labels.join(","))
}

/// Puts the series in stores, by turns if there are several.
fn stored(given: &[Given], stores: usize) -> Vec<SharedWindows> {
    let shelf = Shelf::default();
    for number in 0..stores {
        let _ = shelf.open(&format!("window/{number}"), &settings());
    }
    let stores: Vec<SharedWindows> = shelf.all().into_iter().map(|(_, store)| store).collect();
    for (number, (kind, metric, [a, b], points)) in given.iter().enumerate() {
        let mut windows = stores[number % stores.len()].lock();
        let labels: Vec<(&str, &str)> = [("a", *a), ("b", *b)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        let id = windows.register(metric, *kind, &labels).unwrap();
        for (time, value) in points {
            windows.push(id, *time, *value).unwrap();
        }
    }
    stores
}

fn expected(given: &[Given], plan: &AggregationPlan, window: (i64, i64)) -> Results {
    let (from, to) = window;
    let mut groups: BTreeMap<String, Vec<&Given>> = BTreeMap::new();
    let mut sorted: Vec<&Given> = given.iter().collect();
    // As the labels are that there are: of points at one time the first series has the first.
    sorted.sort_by_key(|(kind, metric, [a, b], _)| {
        let labels = [("a", *a), ("b", *b)].into_iter();
        let labels: Vec<_> = labels.filter(|(_, value)| !value.is_empty()).collect();
        (*kind, *metric, labels)
    });
    for series in sorted {
        let (_, metric, [a, b], _) = series;
        let labels = [("a", *a), ("b", *b)].into_iter().filter(|(name, value)| {
            let by = &plan.group_by;
            !value.is_empty() && (by.is_empty() || by.iter().any(|label| label == name))
        });
        let name = metric.strip_suffix("_total").unwrap_or(metric);
        groups.entry(named(name, labels)).or_default().push(series);
    }
    let mut results = Results::new();
    for (name, members) in groups {
        let counter = members[0].0 == ValueKind::Counter;
        let pools = members.len() > 1 && plan.across == Across::Points;
        let mut all: Vec<(i64, f64)> = members.iter().flat_map(|m| m.3.clone()).collect();
        all.sort_by_key(|(time, _)| *time);
        for stat in &plan.stats {
            let stat = stat.name();
            let undefined = match stat {
                "rate" | "increase" => !counter,
                "delta" | "deriv" => counter,
                "ema" => pools,
                _ => false,
            };
            if undefined {
                continue;
            }
            let each = || {
                let each = members.iter().filter_map(|m| naive(stat, &m.3, from, to));
                each.collect::<Vec<f64>>()
            };
            let value = match (pools, plan.across) {
                (true, _) if ["rate", "increase", "delta"].contains(&stat) => {
                    Combine::Sum.of(&each())
                }
                (true, _) => naive(stat, &all, from, to),
                (false, Across::Series(combine)) => combine.of(&each()),
                (false, Across::Points) => each().first().copied(),
            };
            if let Some(value) = value {
                results.insert(format!("{name} {stat}"), value);
            }
        }
    }
    results
}

fn given() -> impl Strategy<Value = Vec<Given>> {
    let metric = prop::sample::select(vec![
        (ValueKind::Gauge, "g"),
        (ValueKind::Counter, "c_total"),
        (ValueKind::Gauge, "other"),
    ]);
    let labels = prop::sample::select(vec!["", "1", "2", "3"]);
    let value = prop_oneof![
        8 => (0_i32..1000).prop_map(f64::from),
        3 => -100.0..100.0_f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::from_bits(STALE)]),
    ];
    let gap = prop_oneof![9 => Just(15_000_i64), 1 => 1_i64..200_000];
    let points = prop::collection::vec((gap, value), 0..400).prop_map(|points| {
        let mut time = 0;
        let place = |(gap, value)| {
            time += gap;
            (time, value)
        };
        points.into_iter().map(place).collect::<Vec<_>>()
    });
    let series = (metric, labels.clone(), labels, points);
    prop::collection::vec(series, 1..12).prop_map(|all| {
        let mut keys = std::collections::HashSet::new();
        all.into_iter()
            .map(|((kind, metric), a, b, points)| (kind, metric, [a, b], points))
            .filter(|(kind, metric, labels, _)| keys.insert((*kind, *metric, *labels)))
            .collect()
    })
}

fn across() -> impl Strategy<Value = Across> {
    prop_oneof![
        Just(Across::Points),
        prop::sample::select(vec![Combine::Avg, Combine::Sum, Combine::Min, Combine::Max])
            .prop_map(Across::Series),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    #[test]
    fn every_group_is_what_a_walk_over_its_points_comes_to(
        given in given(),
        group_by in prop::sample::subsequence(vec!["a", "b", "nowhere"], 0..=3),
        across in across(),
        from in -100_000_i64..4_000_000,
        length in prop_oneof![1_i64..60_000, 300_000_i64..9_000_000],
        stores in 1_usize..3,
        (method, stats) in prop_oneof![
            Just((Method::Platform, NUMBERS.to_vec())),
            // Every other percentile is interpolated by the walk.
            Just((Method::Linear, vec!["p0", "p37", "p99.9"])),
        ],
    ) {
        let window = (from, from + length);
        let plan = AggregationPlan {
            method,
            ..plan(&group_by, across, &stats)
        };
        let mut found = results(stored(&given, stores), &plan, window).unwrap();
        found.retain(|name, coverage| {
            let is_coverage = name.ends_with(" coverage");
            assert!(!is_coverage || (0.0..=1.0).contains(coverage), "{name} {coverage}");
            !is_coverage
        });
        let expected = expected(&given, &plan, window);
        let (names, wanted): (Vec<_>, Vec<_>) = (found.keys().collect(), expected.keys().collect());
        prop_assert_eq!(names, wanted);
        for (name, expected) in expected {
            let scale = expected.abs().max(1.0);
            prop_assert!((found[&name] - expected).abs() <= 1e-9 * scale, "{}: {} {}", name, found[&name], expected);
        }
    }

    /// Bit for bit, sums and all.
    #[test]
    fn the_order_in_which_series_are_stored_changes_nothing(
        given in given(),
        shuffled in Just(()).prop_perturb(|(), mut rng| rng.next_u64()),
        group_by in prop::sample::subsequence(vec!["a", "b"], 0..=2),
        across in across(),
        stores in 1_usize..4,
    ) {
        let plan = plan(&group_by, across, &NUMBERS);
        let window = (0, 5_000_000);
        let one = results(stored(&given, 1), &plan, window).unwrap();
        let mut order = given;
        let turn = shuffled as usize % order.len();
        order.rotate_left(turn);
        if shuffled % 2 == 0 {
            order.reverse();
        }
        let other = results(stored(&order, stores), &plan, window).unwrap();
        let bits = |results: Results| -> Vec<(String, u64)> {
            results.into_iter().map(|(name, value)| (name, value.to_bits())).collect()
        };
        prop_assert_eq!(bits(one), bits(other));
    }
}

#[test]
fn a_series_of_several_stores_is_read_once_from_the_fuller() {
    let points = |count: i64| (1..=count).map(|i| (i * 15_000, i as f64)).collect();
    for (first, second) in [(20, 5), (5, 20)] {
        let given: [Given; 2] = [
            (ValueKind::Gauge, "g", ["1", ""], points(first)),
            (ValueKind::Gauge, "g", ["1", ""], points(second)),
        ];
        let plan = plan(&[], Across::Points, &["count", "max"]);
        let found = results(stored(&given, 2), &plan, (0, 300_000)).unwrap();
        let all: Vec<(&str, f64)> = found.iter().map(|(name, v)| (name.as_str(), *v)).collect();
        assert_eq!(
            all,
            [
                ("g{a=1} count", 20.0),
                ("g{a=1} coverage", 1.0),
                ("g{a=1} max", 20.0)
            ]
        );
    }
}

#[test]
fn only_the_series_that_are_wanted_are_read() {
    let point = vec![(1000, 1.0)];
    let given: [Given; 4] = [
        (ValueKind::Gauge, "node_a", ["1", ""], point.clone()),
        (ValueKind::Gauge, "node_b", ["2", ""], point.clone()),
        (ValueKind::Gauge, "nodes", ["1", ""], point.clone()),
        (ValueKind::Gauge, "node.b", ["1", ""], point),
    ];
    let f = |series: Vec<Vec<Matcher>>, expected: &[&str]| {
        let plan = AggregationPlan {
            series,
            ..plan(&[], Across::Points, &["avg"])
        };
        let mut found = results(stored(&given, 1), &plan, (0, 10_000)).unwrap();
        found.retain(|name, _| name.ends_with(" avg"));
        let found: Vec<&str> = found
            .keys()
            .map(|name| name.trim_end_matches(" avg"))
            .collect();
        assert_eq!(found, expected);
    };
    let like = |glob: &str| vec![metrics_like(glob).unwrap()];
    f(vec![like("node_*")], &["node_a{a=1}", "node_b{a=2}"]);
    f(
        vec![like("node_?"), like("nodes")],
        &["node_a{a=1}", "node_b{a=2}", "nodes{a=1}"],
    );
    f(vec![like("node.*")], &["node.b{a=1}"]);
    f(vec![like("none")], &[]);
    let one = Matcher::new(MatchOperator::Regex, "a", "1.*").unwrap();
    f(
        vec![vec![one, metrics_like("node*").unwrap()]],
        &["node.b{a=1}", "node_a{a=1}", "nodes{a=1}"],
    );
}

#[test]
fn what_is_kept_apart_is_aggregated_where_a_condition_finds_it() {
    let point = vec![(1000, 1.0)];
    let given: [Given; 2] = [
        (ValueKind::Gauge, "passing", ["1", ""], point.clone()),
        (ValueKind::Gauge, "own", ["1", ""], point),
    ];
    let f = |series: Vec<Vec<Matcher>>, expected: &[&str]| {
        let stores = stored(&given, 1);
        {
            let mut windows = stores[0].lock();
            let own = windows.find(&[metrics_like("own").unwrap()]);
            assert!(!windows.is_apart(own[0]));
            windows.keep_apart(own[0]);
            assert!(windows.is_apart(own[0]));
        }
        let plan = AggregationPlan {
            series,
            ..plan(&[], Across::Points, &[])
        };
        let found = results(stores, &plan, (0, 10_000)).unwrap();
        let found: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(found, expected);
    };
    let (passing, own) = ("passing{a=1} coverage", "own{a=1} coverage");
    let like = |glob: &str| vec![metrics_like(glob).unwrap()];
    f(vec![Vec::new()], &[passing]);
    f(vec![Vec::new(), like("own")], &[own, passing]);
    f(vec![like("?*")], &[own, passing]);
    let labelled = Matcher::new(MatchOperator::Equal, "a", "1").unwrap();
    f(vec![vec![labelled]], &[own, passing]);
}

#[test]
fn coverage_counts_what_should_have_come() {
    let every = |step: i64, count: i64| (1..=count).map(|i| (i * step, 1.0)).collect();
    let given: [Given; 4] = [
        (ValueKind::Gauge, "whole", ["", ""], every(15_000, 20)),
        (ValueKind::Gauge, "half", ["", ""], every(15_000, 10)),
        (ValueKind::Gauge, "slow", ["", ""], every(60_000, 5)),
        (ValueKind::Gauge, "once", ["", ""], every(15_000, 1)),
    ];
    let plan = plan(&[], Across::Points, &[]);
    let found = results(stored(&given, 1), &plan, (0, 300_000)).unwrap();
    let all: Vec<(&str, f64)> = found.iter().map(|(name, v)| (name.as_str(), *v)).collect();
    assert_eq!(
        all,
        [
            ("half{} coverage", 0.5),
            ("once{} coverage", 1.0),
            ("slow{} coverage", 1.0),
            ("whole{} coverage", 1.0),
        ]
    );
    // A window that cuts a sealed chunk, and one in which a single point lies.
    let given: [Given; 1] = [(ValueKind::Gauge, "long", ["", ""], every(15_000, 2000))];
    let f = |window: (i64, i64), expected: f64| {
        let found = results(stored(&given, 1), &plan, window).unwrap();
        assert_eq!(found.get("long{} coverage"), Some(&expected), "{window:?}");
    };
    f((1_500_000, 1_800_000), 1.0);
    f((29_700_000, 30_300_000), 0.5);
    f((1_500_000, 1_515_000), 1.0);
    f((29_990_000, 30_290_000), 0.05);
}

#[test]
fn results_that_were_stored_are_not_aggregated_again() {
    let shelf = Shelf::default();
    let store = shelf.open("window", &settings());
    let mut windows = store.lock();
    let mut f = |name: &str, kind: ValueKind, labels: &[(&str, &str)]| {
        let id = windows.register(name, kind, labels).unwrap();
        windows.push(id, 1000, 1.0).unwrap();
    };
    f("x_total", ValueKind::Counter, &[]);
    f("x", ValueKind::Gauge, &[("stat", "rate"), ("window", "5m")]);
    f("y", ValueKind::Gauge, &[("stat", "idle")]);
    drop(windows);
    let plan = plan(&[], Across::Points, &["last"]);
    let mut found = results(vec![store], &plan, (0, 10_000)).unwrap();
    found.retain(|name, _| name.ends_with(" last"));
    let found: Vec<&String> = found.keys().collect();
    assert_eq!(found, ["x{} last", "y{stat=idle} last"]);
}
