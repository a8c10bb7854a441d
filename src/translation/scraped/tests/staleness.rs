use super::*;

#[test]
fn a_series_that_is_gone_ends_once() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "a 1\nb{c=\"d\"} 2\n", 1);
    assert_eq!(
        scrape(&mut target, "a 3\n", 2),
        [
            "gauge b(unknown){c=d} ended @2000",
            "gauge a(unknown){} 3 @2000",
        ]
    );
    assert_eq!(
        scrape(&mut target, "a 4\n", 3),
        ["gauge a(unknown){} 4 @3000"]
    );
    assert_eq!(target.series(), 1);
    // It may come back.
    assert_eq!(scrape(&mut target, "a 4\nb{c=\"d\"} 5\n", 4).len(), 2);
}

#[test]
fn a_histogram_ends_with_its_last_part() {
    let mut target = target(ScrapedSettings::default());
    let head = "# TYPE h histogram\n";
    scrape(
        &mut target,
        &format!("{head}h_bucket{{le=\"1\"}} 1\nh_count 1\nh_sum 2\n"),
        1,
    );
    assert_eq!(
        scrape(&mut target, &format!("{head}h_count 1\n"), 2),
        ["histogram h(histogram){} [] [1] 1 None #0 @2000"]
    );
    assert_eq!(
        scrape(&mut target, head, 3),
        ["histogram h(histogram){} ended @3000"]
    );
}

#[test]
fn all_series_end_with_a_scrape_that_fails() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_count 1\na 1\n# TYPE s summary\ns_count 1\ns_sum 1\n";
    scrape(&mut target, page, 1);
    let mut out = MetricsWriter::new();
    assert_eq!(target.end(at(2), &mut out), 3);
    let mut ended = shown(out);
    ended.sort();
    assert_eq!(
        ended,
        [
            "gauge a(unknown){} ended @2000",
            "histogram h(histogram){} ended @2000",
            "summary s(summary){} ended @2000",
        ]
    );
    let mut out = MetricsWriter::new();
    assert_eq!(target.end(at(3), &mut out), 0);
    // They are remembered, and what doesn't come back isn't ended again.
    assert_eq!(
        scrape(&mut target, "a 1\n", 4),
        ["gauge a(unknown){} 1 @4000"]
    );
}

#[test]
fn series_with_times_of_their_own_end_only_if_asked_for() {
    let page = "a 1 500\n";
    let mut plain = target(ScrapedSettings::default());
    scrape(&mut plain, page, 1);
    assert_eq!(scrape(&mut plain, "", 2), [""; 0]);
    let mut tracked = target(ScrapedSettings {
        track_timestamps_staleness: true,
        ..ScrapedSettings::default()
    });
    scrape(&mut tracked, page, 1);
    assert_eq!(
        scrape(&mut tracked, "", 2),
        ["gauge a(unknown){} ended @2000"]
    );
    let mut ignored = target(ScrapedSettings {
        honor_timestamps: false,
        ..ScrapedSettings::default()
    });
    assert_eq!(
        scrape(&mut ignored, page, 1),
        ["gauge a(unknown){} 1 @1000"]
    );
    assert_eq!(
        scrape(&mut ignored, "", 2),
        ["gauge a(unknown){} ended @2000"]
    );
}

#[test]
fn a_series_whose_type_changes_ends_as_what_it_was() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "# TYPE a gauge\na 1\n", 1);
    assert_eq!(
        scrape(&mut target, "# TYPE a counter\na 2\n", 2),
        [
            "gauge a(gauge){} ended @2000",
            "counter a(counter){} 2 @2000",
        ]
    );
    // Metadata that comes after its series is known from the next page on.
    let mut late = super::target(ScrapedSettings::default());
    let page = "a 1\n# TYPE a counter\n";
    assert_eq!(scrape(&mut late, page, 1), ["gauge a(unknown){} 1 @1000"]);
    assert_eq!(
        scrape(&mut late, page, 2),
        [
            "gauge a(unknown){} ended @2000",
            "counter a(counter){} 1 @2000"
        ]
    );
}

#[test]
fn a_series_of_which_something_else_is_said_lives_on() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "a 1\n", 1);
    assert_eq!(
        scrape(&mut target, "# TYPE a gauge\na 2\n", 2),
        ["gauge a(gauge){} 2 @2000"]
    );
    assert_eq!(
        scrape(&mut target, "# TYPE a untyped\n# HELP a b\na 3\n", 3),
        ["gauge a(unknown){} 3 @3000"]
    );
    assert_eq!(
        scrape(&mut target, "", 4),
        ["gauge a(unknown){} ended @4000"]
    );
}

#[test]
fn a_value_is_not_ended_by_the_page_that_has_it() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "a 1\n", 1);
    // The second one counts as another series only from the next page on.
    assert_eq!(
        scrape(&mut target, "a 2\n# TYPE a counter\na 3\n", 2),
        ["gauge a(unknown){} 2 @2000"]
    );
    assert_eq!(
        scrape(&mut target, "# TYPE a counter\na 4\n", 3),
        [
            "gauge a(unknown){} ended @3000",
            "counter a(counter){} 4 @3000"
        ]
    );
}

#[test]
fn a_target_is_forgotten_series_by_series() {
    let mut target = target(ScrapedSettings {
        honor_labels: true,
        ..ScrapedSettings::default()
    });
    for round in 0..50 {
        let page: String = (0..20)
            .map(|n| format!("# TYPE m{round} gauge\nm{round}{{job=\"j{round}\",n=\"{n}\"}} 1\n"))
            .collect();
        let lines = scrape(&mut target, &page, round);
        assert_eq!(lines.len(), if round == 0 { 20 } else { 40 });
    }
    assert_eq!(target.series(), 20);
    assert_eq!(target.points.resources(), 1);
    scrape(&mut target, "", 50);
    assert_eq!((target.series(), target.points.resources()), (0, 0));
    // Pages that fail leave nothing behind.
    for round in 0..50 {
        let mut out = MetricsWriter::new();
        let page = format!("a{round} 1\nfails");
        let (_, result) = target.page(page.as_bytes(), PageFormat::Text, at(60), &mut (), &mut out);
        assert!(result.is_err());
    }
    assert_eq!(target.series(), 0);
    assert_eq!(target.points.resources(), 0);
}

#[test]
fn pages_that_fail_leave_no_families_behind() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "# TYPE a counter\na 1\n", 1);
    for round in 0..50 {
        let mut out = MetricsWriter::new();
        let page = format!("# TYPE b{round} gauge\n# HELP c{round} text\nfails");
        let (_, result) = target.page(page.as_bytes(), PageFormat::Text, at(2), &mut (), &mut out);
        assert!(result.is_err());
        assert!(target.families.len() <= 1);
    }
}

#[test]
fn families_are_remembered_within_a_bound() {
    let mut target = target(ScrapedSettings::default());
    let text = "x".repeat(300_000);
    let page = |n: usize| format!("# HELP a{n} {text}\na{n} 1\n");
    for n in 0..3 {
        scrape(&mut target, &page(n), 1);
    }
    // As long as there is room, those of the last pages are.
    assert_eq!(target.families.len(), 3);
    for n in 3..20 {
        scrape(&mut target, &page(n), 1);
        assert!(target.families.len() <= 5);
    }
    // Failed pages can't do more.
    for n in 20..40 {
        let mut out = MetricsWriter::new();
        let page = format!("{}# HELP a19 {text}{n}\nfails", page(n));
        let (_, result) = target.page(page.as_bytes(), PageFormat::Text, at(2), &mut (), &mut out);
        assert!(result.is_err());
        assert!(target.families.len() <= 5);
    }
}

#[test]
fn a_series_that_becomes_a_part_or_was_one_is_not_ended_by_the_page_that_has_it() {
    let lone = "# TYPE h gauge\nh_sum 1\n";
    let part = "# TYPE h histogram\nh_sum 2\n";
    let f = |pages: &[&str]| {
        let mut target = target(ScrapedSettings::default());
        for (at, page) in (1..).zip(pages) {
            let value = page.trim_end().rsplit(' ').next().unwrap();
            assert_eq!(
                scrape(&mut target, page, at),
                [format!("gauge h_sum(unknown){{}} {value} @{at}000")],
                "{pages:?}"
            );
        }
        assert_eq!(
            scrape(&mut target, "", 9),
            ["gauge h_sum(unknown){} ended @9000"],
            "{pages:?}"
        );
        assert_eq!(target.points.resources(), 0);
    };
    f(&[lone, part]);
    f(&[part, lone]);
    f(&[part, lone, part, part, lone, lone]);
    // The page says it behind the series, so that the next page tells it.
    f(&["h_sum 1\n# TYPE h histogram\n# HELP h 1\n"; 3]);
}

#[test]
fn a_page_that_fails_ends_no_parts() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "# TYPE h histogram\nh_sum 1\n", 1);
    let mut out = MetricsWriter::new();
    let page = b"# TYPE h gauge\nh_sum 2\nfails";
    let (_, result) = target.page(page, PageFormat::Text, at(2), &mut (), &mut out);
    assert!(result.is_err());
    assert_eq!(shown(out), [""; 0]);
    let mut out = MetricsWriter::new();
    assert_eq!(target.end(at(2), &mut out), 1);
    assert_eq!(shown(out), ["gauge h_sum(unknown){} ended @2000"]);
    scrape(&mut target, "", 3);
    assert_eq!(target.points.resources(), 0);
}
