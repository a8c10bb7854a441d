//! What an aggregation may touch.

use super::*;

fn series(count: usize, points: i64) -> Vec<SharedWindows> {
    let store = SharedWindows::new(settings());
    let mut windows = store.lock();
    for number in 0..count {
        let number = number.to_string();
        let id = windows
            .register("g", ValueKind::Gauge, &[("a", &number)])
            .unwrap();
        for time in 1..=points {
            windows.push(id, time * 1000, time as f64).unwrap();
        }
    }
    drop(windows);
    vec![store]
}

fn run(
    plan: &AggregationPlan,
    limits: &AggregationLimits,
    mut go: impl FnMut() -> bool,
) -> Result<usize, AggregationStop> {
    let types = ResultTypes::Apart;
    let groups = AggregationGroups::find(series(600, 10), plan, types, limits, &mut go)?;
    let mut read = 0;
    groups.reduce(plan, (0, 100_000), limits, &mut go, |_, _| read += 1)?;
    Ok(read)
}

#[test]
fn what_touches_too_much_is_refused_and_says_so() {
    let most = AggregationLimits::default();
    let f = |group_by: &[&str], stat: &str, limits: AggregationLimits, expected| {
        let plan = plan(group_by, Across::Points, &[stat]);
        assert_eq!(run(&plan, &limits, || true), expected, "{limits:?}");
    };
    f(&[], "p50", most, Ok(600));
    f(&["b"], "p50", most, Ok(1));
    let few = AggregationLimits {
        series: 599,
        ..most
    };
    f(&[], "avg", few, Err(AggregationStop::Series(599)));
    let few = AggregationLimits {
        points: 5999,
        ..most
    };
    f(&[], "avg", few, Err(AggregationStop::Points(5999)));
    f(
        &[],
        "avg",
        AggregationLimits {
            points: 6000,
            ..most
        },
        Ok(600),
    );
    let few = AggregationLimits { held: 5999, ..most };
    f(&["b"], "p50", few, Err(AggregationStop::Held(5999)));
    f(&["b"], "avg", few, Ok(1));
    f(&[], "p50", AggregationLimits { held: 10, ..most }, Ok(600));
    for (stop, reason) in [
        (AggregationStop::Series(1), "max_series"),
        (AggregationStop::Points(1), "max_points"),
        (AggregationStop::Held(1), "max_held"),
        (AggregationStop::GivenUp, "given_up"),
    ] {
        assert_eq!(stop.reason(), reason);
    }
}

#[test]
fn each_window_may_touch_as_much() {
    let plan = plan(&["b"], Across::Points, &["p50"]);
    let limits = AggregationLimits {
        series: 600,
        points: 6000,
        held: 6000,
    };
    let (mut go, types) = (|| true, ResultTypes::Apart);
    let groups = AggregationGroups::find(series(600, 10), &plan, types, &limits, &mut go).unwrap();
    for from in [0, 100] {
        let window = (from, 100_000);
        let read = groups.reduce(&plan, window, &limits, &mut go, |_, _| {});
        assert_eq!(read, Ok(()));
    }
}

#[test]
fn whoever_is_asked_whether_to_go_on_finds_the_store_free() {
    let stores = series(600, 10);
    let result = [("stat", "avg"), ("window", "5m")];
    let registered = stores[0].lock().register("g", ValueKind::Gauge, &result);
    registered.unwrap();
    let mut plan = plan(&["a"], Across::Points, &["p50"]);
    let expression = Matcher::new(MatchOperator::Regex, "a", ".*[0-9]").unwrap();
    plan.series = vec![vec![expression]];
    let (limits, types) = (AggregationLimits::default(), ResultTypes::Apart);
    let mut asked = 0;
    let mut free = || {
        assert!(!stores[0].is_locked());
        asked += 1;
        true
    };
    let found = AggregationGroups::find(stores.clone(), &plan, types, &limits, &mut free).unwrap();
    found
        .reduce(&plan, (0, 100_000), &limits, &mut free, |_, _| {})
        .unwrap();
    assert!(asked > 600, "{asked}");
}

#[test]
fn the_names_of_results_end_soon_after_they_are_given_up() {
    let mut plan = plan(&[], Across::Points, &["p50"]);
    // No series to copy, so that all that is asked is for the names.
    plan.series = vec![vec![
        Matcher::new(MatchOperator::Equal, "__name__", "none").unwrap(),
    ]];
    let given_up = run(&plan, &AggregationLimits::default(), || false);
    assert_eq!(given_up, Err(AggregationStop::GivenUp));
}

#[test]
fn an_aggregation_ends_soon_after_it_is_given_up() {
    let plan = plan(&[], Across::Points, &["p50"]);
    for patience in [0, 2, 3, 10, 500] {
        let mut asked = 0;
        let given_up = run(&plan, &AggregationLimits::default(), || {
            asked += 1;
            asked <= patience
        });
        assert_eq!(given_up, Err(AggregationStop::GivenUp), "{patience}");
        assert_eq!(asked, patience + 1, "it is asked once more at most");
    }
}
