use super::*;

#[test]
fn parts_of_a_histogram_become_one_point() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"1\",x=\"y\"} 2\nh_bucket{x=\"y\",le=\"2.5\"} 2\n\
        h_bucket{x=\"y\",le=\"+Inf\"} 5\nh_sum{x=\"y\"} 7\nh_count{x=\"y\"} 5\nh_bucket{le=\"1\"} 1\n\
        h_count 1\n";
    let expected = [
        "histogram h(histogram){x=y} [1.0, 2.5] [2, 0, 3] 5 Some(7.0) #0 @1000",
        "histogram h(histogram){} [1.0] [1, 0] 1 None #0 @1000",
    ];
    for _ in 0..3 {
        assert_eq!(scrape(&mut target, page, 1), expected);
    }
}

#[test]
fn parts_may_be_mixed_and_in_any_order() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"+Inf\",x=\"a\"} 5\nh_bucket{le=\"+Inf\",x=\"b\"} 3\n\
        h_bucket{le=\"1\",x=\"b\"} 2\n# TYPE g gauge\ng 1\nh_bucket{le=\"1\",x=\"a\"} 4\nh_sum{x=\"a\"} 9\n\
        h_bucket{le=\"1.0\",x=\"a\"} 3\n";
    for _ in 0..2 {
        let mut out = MetricsWriter::new();
        let (counts, _) = target.page(page.as_bytes(), PageFormat::Text, at(1), &mut (), &mut out);
        assert_eq!(counts.duplicates, 1);
        assert_eq!(
            shown(out),
            [
                "gauge g(gauge){} 1 @1000",
                "histogram h(histogram){x=a} [1.0] [4, 1] 5 Some(9.0) #0 @1000",
                "histogram h(histogram){x=b} [1.0] [2, 1] 3 None #0 @1000",
            ]
        );
    }
}

#[test]
fn what_is_no_histogram_stays_as_it_is() {
    let f = |lines: &str, expected: &[&str]| {
        let mut target = target(ScrapedSettings::default());
        let page = format!("# TYPE h histogram\n{lines}");
        for _ in 0..2 {
            assert_eq!(scrape(&mut target, &page, 1), expected, "{lines}");
        }
        // Its ends are those of its parts.
        let ended: Vec<String> = expected
            .iter()
            .map(|line| {
                format!(
                    "{} ended @2000",
                    line.rsplit_once("} ").unwrap().0.to_owned() + "}"
                )
            })
            .collect();
        assert_eq!(scrape(&mut target, "# TYPE h histogram\n", 2), ended);
    };
    // Neither a count nor an infinite bucket.
    f(
        "h_bucket{le=\"1\"} 2\nh_sum 3\n",
        &[
            "gauge h_sum(unknown){} 3 @1000",
            "gauge h_bucket(unknown){le=1.0} 2 @1000",
        ],
    );
    // Counts that fall or aren't whole.
    f(
        "h_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 2\nh_count 3\n",
        &[
            "gauge h_count(unknown){} 3 @1000",
            "gauge h_bucket(unknown){le=1.0} 3 @1000",
            "gauge h_bucket(unknown){le=2.0} 2 @1000",
        ],
    );
    f("h_count 2.5\n", &["gauge h_count(unknown){} 2.5 @1000"]);
    f("h_count NaN\n", &["gauge h_count(unknown){} NaN @1000"]);
    // Names that don't belong to it.
    f("h 1\n", &["gauge h(unknown){} 1 @1000"]);
    f("h_bucket 1\n", &["gauge h_bucket(unknown){} 1 @1000"]);
}

#[test]
fn a_count_that_is_behind_the_buckets_is_that_of_the_buckets() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} 11\nh_count 10\n";
    assert_eq!(
        scrape(&mut target, page, 1),
        ["histogram h(histogram){} [1.0] [3, 8] 11 None #0 @1000"]
    );
}

#[test]
fn a_page_with_buckets_that_fall_changes_a_histogram_for_that_page() {
    let mut target = target(ScrapedSettings::default());
    let good = "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_count 3\n";
    let torn = "# TYPE h histogram\nh_bucket{le=\"1\"} 5\nh_count 4\n";
    let whole = "histogram h(histogram){} [1.0] [3, 0] 3 None #0";
    for _ in 0..2 {
        assert!(scrape(&mut target, good, 1).ends_with(&[format!("{whole} @1000")]));
        assert_eq!(
            scrape(&mut target, torn, 2),
            [
                "histogram h(histogram){} ended @2000",
                "gauge h_count(unknown){} 4 @2000",
                "gauge h_bucket(unknown){le=1.0} 5 @2000",
            ]
        );
    }
    let mut again = scrape(&mut target, good, 3);
    assert_eq!(again.pop(), Some(format!("{whole} @3000")));
    again.sort();
    assert_eq!(
        again,
        [
            "gauge h_bucket(unknown){le=1.0} ended @3000",
            "gauge h_count(unknown){} ended @3000",
        ]
    );
    assert_eq!(
        scrape(&mut target, "", 4),
        ["histogram h(histogram){} ended @4000"]
    );
}

#[test]
fn parts_that_stand_alone_end_one_by_one() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"2\"} 3\nh_sum 3\n";
    scrape(&mut target, page, 1);
    let mut out = MetricsWriter::new();
    let page = b"# TYPE h histogram\nh_bucket{le=\"2\"} 4\n";
    let (counts, _) = target.page(page, PageFormat::Text, at(2), &mut (), &mut out);
    assert_eq!(counts.ended, 2);
    assert_eq!(
        shown(out),
        [
            "gauge h_sum(unknown){} ended @2000",
            "gauge h_bucket(unknown){le=1.0} ended @2000",
            "gauge h_bucket(unknown){le=2.0} 4 @2000",
        ]
    );
}

#[test]
fn quantiles_become_a_summary() {
    let mut target = target(ScrapedSettings::default());
    let page =
        "# TYPE s summary\ns{quantile=\"0.5\"} 2\ns{quantile=\"0.99\"} NaN\ns_sum 7\ns_count 5\n";
    assert_eq!(
        scrape(&mut target, page, 1),
        ["summary s(summary){} 0.5:2,0.99:NaN 5 7 @1000"]
    );
    assert_eq!(
        scrape(&mut target, "", 2),
        ["summary s(summary){} ended @2000"]
    );
    let page = "# TYPE s summary\ns{quantile=\"0.5\"} 2\n";
    assert_eq!(
        scrape(&mut target, page, 1),
        ["gauge s(unknown){quantile=0.5} 2 @1000"]
    );
}

#[test]
fn distributions_have_start_times_and_exemplars() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 2 # {a=\"b\"} 0.5\nh_bucket{le=\"+Inf\"} 3 # {} 2 1\n\
        h_count 3\nh_sum 4\nh_created 1.5\n# TYPE s summary\ns_count 1\ns_sum 2\ns_created 2.5\n# EOF\n";
    assert_eq!(
        scrape_as(&mut target, page, PageFormat::OpenMetrics, 3),
        [
            "histogram h(histogram){} [1.0] [2, 1] 3 Some(4.0) #2 @3000 since 1500",
            "summary s(summary){}  1 2 @3000 since 2500",
        ]
    );
}

#[test]
fn a_start_that_is_no_time_is_unknown() {
    for created in ["0", "NaN", "-1", "+Inf", "1e300"] {
        let mut target = target(ScrapedSettings::default());
        let page = format!(
            "# TYPE c counter\nc_total 1\nc_created {created}\n\
             # TYPE h histogram\nh_count 3\nh_created {created}\n# EOF\n"
        );
        assert_eq!(
            scrape_as(&mut target, &page, PageFormat::OpenMetrics, 3),
            [
                "counter c_total(counter){} 1 @3000",
                "histogram h(histogram){} [] [3] 3 None #0 @3000",
            ],
            "{created}"
        );
    }
}

#[test]
fn values_of_different_times_are_different_points() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"+Inf\"} 3 1000\nh_bucket{le=\"+Inf\"} 4 2000\n";
    assert_eq!(
        scrape(&mut target, page, 3),
        [
            "histogram h(histogram){} [] [3] 3 None #0 @1000",
            "histogram h(histogram){} [] [4] 4 None #0 @2000",
        ]
    );
}

#[test]
fn parts_of_several_times_may_be_mixed() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_count 3 1000\nh_count 4 2000\nh_count 5 3000\n\
        h_sum 7 1000\nh_sum 8 2000\nh_sum 9 3000\n";
    assert_eq!(
        scrape(&mut target, page, 3),
        [
            "histogram h(histogram){} [] [3] 3 Some(7.0) #0 @1000",
            "histogram h(histogram){} [] [4] 4 Some(8.0) #0 @2000",
            "histogram h(histogram){} [] [5] 5 Some(9.0) #0 @3000",
        ]
    );
}

#[test]
fn a_start_holds_for_every_time_of_a_distribution() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_created 0.5\nh_count 3 1\nh_count 4 2\n# EOF\n";
    assert_eq!(
        scrape_as(&mut target, page, PageFormat::OpenMetrics, 3),
        [
            "histogram h(histogram){} [] [3] 3 None #0 @1000 since 500",
            "histogram h(histogram){} [] [4] 4 None #0 @2000 since 500",
        ]
    );
}

#[test]
fn a_start_that_stands_alone_keeps_its_value() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_created 1.00049\n# EOF\n";
    assert_eq!(
        scrape_as(&mut target, page, PageFormat::OpenMetrics, 3),
        [
            "gauge h_created(unknown){} 1.00049 @3000",
            "gauge h_bucket(unknown){le=1.0} 1 @3000",
        ]
    );
}

#[test]
fn a_start_that_no_series_says_is_none_of_the_parts() {
    let field = |number: u8, content: &[u8]| {
        let length = u8::try_from(content.len()).unwrap();
        [&[number << 3 | 2, length], content].concat()
    };
    // A count that isn't whole, and a start of nine seconds.
    let count = [&[4 << 3 | 1], 2.5_f64.to_le_bytes().as_slice()].concat();
    let histogram = [count, field(15, &[8, 9])].concat();
    let metric = field(4, &field(7, &histogram));
    let family = [field(1, b"h"), vec![3 << 3, 4], metric].concat();
    let page = [vec![u8::try_from(family.len()).unwrap()], family].concat();
    let mut target = target(ScrapedSettings::default());
    let mut out = MetricsWriter::new();
    let (counts, _) = target.page(&page, PageFormat::Protobuf, at(1), &mut (), &mut out);
    assert_eq!(counts.scraped, 3);
    assert_eq!(
        shown(out),
        [
            "gauge h_count(unknown){} 2.5 @1000",
            "gauge h_sum(unknown){} 0 @1000",
            "gauge h_bucket(unknown){le=+Inf} 2.5 @1000",
        ]
    );
}
