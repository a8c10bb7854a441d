//! The limits of a page.

use super::*;

const OVERSIZED: [(u64, DropReason); 1] = [(1, DropReason::Oversized)];
const FULL: [(u64, DropReason); 1] = [(1, DropReason::Cardinality)];

/// Bytes of a line beside its texts.
const LINE: usize = 32;

/// A resource, the name of a scope, and a metric.
type Sent = (Vec<Attribute>, String, Metric);

#[test]
fn a_text_that_is_too_long_is_refused_wherever_it_stands() {
    let call = |resource_labels: bool, make: &dyn Fn(&str) -> Sent| {
        let yaml = format!(
            "{{max_text_bytes: 100, resource_to_telemetry_conversion: {{enabled: {resource_labels}}}}}"
        );
        for (length, expected) in [(100, &[][..]), (101, &OVERSIZED[..])] {
            let mut rig = Rig::new(&yaml);
            let (resource, scope, metric) = make(&"x".repeat(length));
            assert_eq!(rig.send_from(resource, &scope, vec![metric]), expected);
            assert_eq!(rig.lines().len(), usize::from(expected.is_empty()));
        }
    };
    let plain = || gauge("m", vec![number(1, 1.0)]);
    let own = |key: &str, value: &str| {
        let point = with(number(1, 1.0), &[(key, value)]);
        (service("s", "i"), String::new(), gauge("m", vec![point]))
    };
    call(false, &|text| {
        let named = gauge(text, vec![number(1, 1.0)]);
        (service("s", "i"), String::new(), named)
    });
    call(false, &|text| {
        let metric = Metric {
            unit: text.to_owned(),
            ..plain()
        };
        (service("s", "i"), String::new(), metric)
    });
    call(false, &|text| {
        let metric = Metric {
            description: text.to_owned(),
            ..plain()
        };
        (service("s", "i"), String::new(), metric)
    });
    call(false, &|text| own(text, "v"));
    call(false, &|text| own("k", text));
    call(false, &|text| (service("s", "i"), text.to_owned(), plain()));
    call(false, &|text| (service(text, "i"), String::new(), plain()));
    call(false, &|text| (service("s", text), String::new(), plain()));
    call(true, &|text| {
        let resource = attributes(&[("service.name", "s"), ("process.command_line", text)]);
        (resource, String::new(), plain())
    });
}

#[test]
fn a_list_is_as_long_as_it_was_sent() {
    let list = |values: usize| {
        let value = AnyValue {
            value: Some(any_value::Value::StringValue("v".repeat(8))),
        };
        let array = opentelemetry_proto::tonic::common::v1::ArrayValue {
            values: vec![value; values],
        };
        let mut point = number(1, 1.0);
        point.attributes = vec![Attribute {
            key: "k".to_owned(),
            value: Some(AnyValue {
                value: Some(any_value::Value::ArrayValue(array)),
            }),
            ..Default::default()
        }];
        vec![gauge("m", vec![point])]
    };
    let mut rig = Rig::new("{max_text_bytes: 120}");
    assert_eq!(rig.send(list(10)), []);
    assert_eq!(rig.send(list(11)), OVERSIZED);
}

#[test]
fn an_attribute_that_is_too_long_is_left_out_of_target_info() {
    let mut rig = Rig::new("{max_text_bytes: 100}");
    let long = "x".repeat(101);
    let mut resource = service("s", "i");
    resource.extend(attributes(&[
        ("host.name", "h"),
        ("process.command_line", &long),
    ]));
    let lost = rig.send_from(resource, "", vec![gauge("m", vec![number(1, 1.0)])]);
    assert_eq!(lost, []);
    assert_eq!(rig.conflicts().length, 1);
    let page = rig.page(Format::Text);
    let info = page.lines().find(|line| line.starts_with("target_info"));
    let expected = "target_info{host_name=\"h\",instance=\"i\",job=\"s\"} 1";
    assert_eq!(info, Some(expected));
}

#[test]
fn many_short_attributes_are_refused_together() {
    let many: Vec<(String, String)> = (0..100)
        .map(|n| (format!("k{n:05}"), "v".repeat(4)))
        .collect();
    let many: Vec<(&str, &str)> = many
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    // A thousand bytes of keys and values; with quotes, the resource's labels and the value, a
    // line of about 1,400.
    let mut rig = Rig::new("{max_series_bytes: 999}");
    let point = || vec![gauge("m", vec![with(number(1, 1.0), &many)])];
    assert_eq!(rig.send(point()), OVERSIZED);
    assert_eq!(Rig::new("{max_series_bytes: 2KiB}").send(point()), []);
    let mut resource = service("s", "i");
    resource.extend(attributes(&many));
    let lost = rig.send_from(resource, "", vec![gauge("n", vec![number(1, 1.0)])]);
    assert_eq!(lost, []);
    let page = rig.page(Format::Text);
    let info = page.lines().find(|line| line.starts_with("target_info{"));
    assert_eq!(info, Some("target_info{instance=\"i\",job=\"s\"} 1"));
}

#[test]
fn a_series_writes_no_more_than_allowed_with_all_its_lines() {
    let wide = |buckets_wanted: usize| {
        let bounds: Vec<f64> = (1..buckets_wanted).map(|bound| bound as f64).collect();
        let counts = vec![1; buckets_wanted];
        let mut point = buckets(0, 1, &bounds, &counts);
        point.attributes = attributes(&[("k", &"v".repeat(200))]);
        vec![histogram("h", CUMULATIVE, vec![point])]
    };
    let mut rig = Rig::new("{max_series_bytes: 10KiB}");
    assert_eq!(rig.send(wide(10)), []);
    let before = rig.page(Format::Text).len();
    // As a new series, and as a known one.
    assert_eq!(
        Rig::new("{max_series_bytes: 10KiB}").send(wide(100)),
        OVERSIZED
    );
    assert_eq!(rig.send(wide(100)), OVERSIZED);
    assert_eq!(rig.page(Format::Text).len(), before);
    assert_eq!(rig.send(wide(20)), [], "fewer find their room");
}

#[test]
fn a_page_holds_no_more_bytes_than_allowed_and_gives_them_back() {
    let most = 256 << 10;
    let mut rig = Rig::new("{max_page_bytes: 256KiB, metric_expiration: 60s}");
    let one = |series: usize| {
        let point = with(
            number(1, 1.0),
            &[("k", &format!("{series}{}", "v".repeat(3000)))],
        );
        vec![gauge(&format!("m{}", series % 7), vec![point])]
    };
    let taken = (0..200)
        .filter(|series| rig.send(one(*series)).is_empty())
        .count();
    assert!((80..90).contains(&taken), "{taken}");
    assert_eq!(rig.send(one(200)), FULL);
    let page = rig.page(Format::Text);
    assert!(page.len() <= most, "{}", page.len());
    let counted = lock(&rig.shared).store.bytes();
    assert!(counted <= most && counted >= page.len() - LINE, "{counted}");
    // Series on the page are still updated.
    assert_eq!(rig.send(one(0)), []);
    rig.wait(61);
    lock(&rig.shared).expire(rig.now.monotonic);
    assert_eq!(lock(&rig.shared).store.bytes(), 0);
    assert_eq!(rig.send(one(200)), []);
}

#[test]
fn the_bytes_of_a_page_are_those_that_are_counted() {
    let mut rig = Rig::new("{metric_expiration: 60s}");
    for round in 0..4 {
        for series in 0..50 {
            let label = format!("{series}").repeat(series % 20 + 1);
            let point = with(number(round + 1, 1.0), &[("k", &label)]);
            assert_eq!(
                rig.send(vec![gauge(&format!("m{}", series % 7), vec![point])]),
                []
            );
            let counts = vec![1; 3 + (series + round as usize) % 5];
            let bounds: Vec<f64> = (1..counts.len()).map(|bound| bound as f64).collect();
            let mut point = buckets(0, round + 1, &bounds, &counts);
            point.attributes = attributes(&[("k", &label)]);
            assert_eq!(rig.send(vec![histogram("h", CUMULATIVE, vec![point])]), []);
        }
        let counted = lock(&rig.shared).store.bytes();
        let page = rig.page(Format::Text).len();
        assert!(
            page <= counted && counted <= 2 * page,
            "{page} of {counted}"
        );
    }
    rig.wait(61);
    lock(&rig.shared).expire(rig.now.monotonic);
    assert_eq!(lock(&rig.shared).store.bytes(), 0);
}

#[test]
fn limits_of_bytes_have_ranges() {
    let f = |yaml: &str, expected: &str| {
        let problem = config(yaml).unwrap_err();
        assert!(problem.contains(expected), "{problem}");
    };
    f("{max_text_bytes: 10}", "max_text_bytes");
    f("{max_series_bytes: 1GiB}", "max_series_bytes");
    f("{max_page_bytes: 1KiB}", "max_page_bytes");
}
