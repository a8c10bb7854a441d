//! Pages, one after the other, and what OTLP gets of them.

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::{
    Metric, NumberDataPoint, metric::Data, number_data_point,
};
use prost::Message as _;

use super::*;

mod distributions;
mod staleness;

fn target(settings: ScrapedSettings) -> ScrapedTarget {
    let labels = [("job", "j"), ("instance", "i:1")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    ScrapedTarget::new(settings, labels.into())
}

fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// What a target's page becomes, a line for each point.
#[track_caller]
fn scrape(target: &mut ScrapedTarget, page: &str, seconds: u64) -> Vec<String> {
    scrape_as(target, page, PageFormat::Text, seconds)
}

#[track_caller]
fn scrape_as(
    target: &mut ScrapedTarget,
    page: &str,
    format: PageFormat,
    seconds: u64,
) -> Vec<String> {
    let mut out = MetricsWriter::new();
    let (_, result) = target.page(page.as_bytes(), format, at(seconds), &mut (), &mut out);
    result.unwrap();
    shown(out)
}

fn shown(out: MetricsWriter) -> Vec<String> {
    let batch = out.finish();
    let mut lines = Vec::new();
    for part in batch.parts() {
        let request = ExportMetricsServiceRequest::decode(part.bytes().clone()).unwrap();
        for resource in request.resource_metrics {
            let attributes = resource.resource.unwrap_or_default().attributes;
            let own = pairs(&attributes);
            for metric in resource
                .scope_metrics
                .iter()
                .flat_map(|scope| &scope.metrics)
            {
                points(metric, &own, &mut lines);
            }
        }
    }
    lines
}

fn points(metric: &Metric, resource: &str, lines: &mut Vec<String>) {
    let said = pairs(&metric.metadata);
    let said = said.trim_start_matches("prometheus.type=");
    let resource = resource.trim_start_matches("service.name=j,service.instance.id=i:1");
    let mut line =
        |kind: &str, attributes: &[KeyValue], (start, time): (u64, u64), value: String| {
            let (name, attributes, time) = (&metric.name, pairs(attributes), time / 1_000_000);
            let since = match start {
                0 => String::new(),
                start => format!(" since {}", start / 1_000_000),
            };
            lines.push(format!(
                "{resource}{kind} {name}({said}){{{attributes}}} {value} @{time}{since}"
            ));
        };
    let ended = |flags: u32, value: String| match flags {
        0 => value,
        _ => "ended".to_owned(),
    };
    /// Start and time of a point of any kind.
    macro_rules! times {
        ($point:expr) => {
            ($point.start_time_unix_nano, $point.time_unix_nano)
        };
    }
    match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => {
            for point in &gauge.data_points {
                line("gauge", &point.attributes, times!(point), number(point));
            }
        }
        Data::Sum(sum) => {
            let kind = if sum.is_monotonic { "counter" } else { "sum" };
            for point in &sum.data_points {
                line(kind, &point.attributes, times!(point), number(point));
            }
        }
        Data::Histogram(histogram) => {
            for point in &histogram.data_points {
                let value = format!(
                    "{:?} {:?} {} {:?} #{}",
                    point.explicit_bounds,
                    point.bucket_counts,
                    point.count,
                    point.sum,
                    point.exemplars.len()
                );
                let value = ended(point.flags, value);
                line("histogram", &point.attributes, times!(point), value);
            }
        }
        Data::ExponentialHistogram(histogram) => {
            for point in &histogram.data_points {
                let value = format!(
                    "scale {} {:?} {} {:?} zero {}",
                    point.scale, point.positive, point.count, point.sum, point.zero_count
                );
                let value = ended(point.flags, value);
                line("exponential", &point.attributes, times!(point), value);
            }
        }
        Data::Summary(summary) => {
            for point in &summary.data_points {
                let quantiles = point.quantile_values.iter();
                let quantiles: Vec<String> = quantiles
                    .map(|at| format!("{}:{}", at.quantile, at.value))
                    .collect();
                let value = format!("{} {} {}", quantiles.join(","), point.count, point.sum);
                let value = ended(point.flags, value);
                line("summary", &point.attributes, times!(point), value);
            }
        }
    }
}

/// A number with its exemplars.
fn number(point: &NumberDataPoint) -> String {
    let mut shown = match point.value {
        Some(number_data_point::Value::AsDouble(value)) => value.to_string(),
        Some(number_data_point::Value::AsInt(value)) => value.to_string(),
        None => {
            assert_eq!(point.flags, 1, "{point:?}");
            return "ended".to_owned();
        }
    };
    for exemplar in &point.exemplars {
        shown.push_str(&format!(
            " #{} {} {} @{}",
            exemplar.trace_id.len(),
            exemplar.span_id.len(),
            pairs(&exemplar.filtered_attributes),
            exemplar.time_unix_nano / 1_000_000
        ));
    }
    shown
}

fn pairs(attributes: &[KeyValue]) -> String {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let pairs: Vec<String> = attributes
        .iter()
        .map(
            |pair| match pair.value.as_ref().and_then(|value| value.value.as_ref()) {
                Some(Value::StringValue(text)) => format!("{}={text}", pair.key),
                value => format!("{}={value:?}", pair.key),
            },
        )
        .collect();
    pairs.join(",")
}

#[test]
fn numbers_become_what_their_families_say() {
    let mut target = target(ScrapedSettings::default());
    let page = "# TYPE g gauge\n# HELP g Help\ng{b=\"c\",a=\"\"} 1\n# TYPE c_total counter\nc_total 2 1500\n\
        # TYPE c counter\nc 3\nu 4\n";
    let expected = [
        "gauge g(gauge){b=c} 1 @7000",
        "counter c_total(counter){} 2 @1500",
        "counter c(counter){} 3 @7000",
        "gauge u(unknown){} 4 @7000",
    ];
    assert_eq!(scrape(&mut target, page, 7), expected);
    // The same from memory.
    let again = scrape(&mut target, page, 7);
    assert_eq!(again, expected);
    assert_eq!(scrape(&mut target, page, 7), expected);
    assert_eq!(target.series(), 4);
}

#[test]
fn openmetrics_brings_start_times_units_and_exemplars() {
    let mut target = target(ScrapedSettings::default());
    let id = "0af7651916cd43dd8448eb211c80319c";
    let page = format!(
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n\
        a_seconds_total{{x=\"y\"}} 1 # {{trace_id=\"{id}\",span_id=\"b7ad\",k=\"v\"}} 0.5 3\n\
        a_seconds_created{{x=\"y\"}} 2.5\na_seconds_total 3 # {{trace_id=\"zz\"}} 1\n\
        # TYPE i info\ni_info{{v=\"1\"}} 1\n# TYPE s stateset\ns{{s=\"a\"}} 1\n\
        # TYPE g gaugehistogram\ng_bucket{{le=\"1\"}} 2\ng_gcount 3\n# EOF\n"
    );
    let expected = [
        "counter a_seconds_total(counter){x=y} 1 #16 8 k=v @3000 @7000 since 2500",
        "counter a_seconds_total(counter){} 3 #0 0 trace_id=zz @7000 @7000",
        "sum i_info(info){v=1} 1 @7000",
        "sum s(stateset){s=a} 1 @7000",
        "gauge g_bucket(gaugehistogram){le=1} 2 @7000",
        "gauge g_gcount(unknown){} 3 @7000",
    ];
    for _ in 0..3 {
        let read = scrape_as(&mut target, &page, PageFormat::OpenMetrics, 7);
        assert_eq!(read, expected);
    }
    let mut out = MetricsWriter::new();
    let _ = target.page(
        page.as_bytes(),
        PageFormat::OpenMetrics,
        at(7),
        &mut (),
        &mut out,
    );
    let batch = out.finish();
    let request = ExportMetricsServiceRequest::decode(batch.parts()[0].bytes().clone()).unwrap();
    assert_eq!(
        request.resource_metrics[0].scope_metrics[0].metrics[0].unit,
        "s"
    );
}

#[test]
fn labels_of_the_target_win_unless_those_of_the_page_are_honoured() {
    let page = "a{job=\"x\",instance=\"y\",exported_job=\"z\"} 1\nb 2\n";
    let mut plain = target(ScrapedSettings::default());
    assert_eq!(
        scrape(&mut plain, page, 1),
        [
            "gauge a(unknown){exported_exported_job=x,exported_instance=y,exported_job=z} 1 @1000",
            "gauge b(unknown){} 2 @1000",
        ]
    );
    let mut honoured = target(ScrapedSettings {
        honor_labels: true,
        ..ScrapedSettings::default()
    })
    .with_attributes(vec![("server.port".to_owned(), "1".to_owned())]);
    let expected = [
        "service.name=x,service.instance.id=ygauge a(unknown){exported_job=z} 1 @1000",
        ",server.port=1gauge b(unknown){} 2 @1000",
    ];
    assert_eq!(scrape(&mut honoured, page, 1), expected);
    // Grouped by resource, however the page mixes them.
    let mixed = format!("{page}c{{job=\"x\",instance=\"y\"}} 3\n");
    let read = scrape(&mut honoured, &mixed, 1);
    assert_eq!(read.len(), 3);
    assert!(read[1].starts_with("service.name=x"), "{read:?}");
}

#[test]
fn an_empty_label_of_the_page_keeps_that_of_the_target_off_if_honoured() {
    let f = |honor_labels: bool, expected: &str| {
        let settings = ScrapedSettings {
            honor_labels,
            ..ScrapedSettings::default()
        };
        let labels = [("job", "j"), ("instance", "i:1"), ("zone", "a")];
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut target = ScrapedTarget::new(settings, labels.into());
        assert_eq!(scrape(&mut target, "a{zone=\"\"} 1\n", 1), [expected]);
    };
    f(true, "gauge a(unknown){} 1 @1000");
    f(false, "gauge a(unknown){zone=a} 1 @1000");
}

#[test]
fn target_info_describes_the_resource() {
    let mut target = target(ScrapedSettings::default());
    let page = "a 1\ntarget_info{host=\"h\"} 1\n";
    for _ in 0..2 {
        assert_eq!(
            scrape(&mut target, page, 1),
            [",host=hgauge a(unknown){} 1 @1000"]
        );
    }
    let mut out = MetricsWriter::new();
    target.open_resource(&mut out);
    assert_eq!(
        out.finish().parts()[0]
            .bytes()
            .windows(4)
            .filter(|part| part == b"host")
            .count(),
        1
    );
}

#[test]
fn target_info_that_is_gone_describes_nothing() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "a 1\ntarget_info{host=\"h\"} 1\n", 1);
    // Another one takes its place.
    assert_eq!(
        scrape(&mut target, "a 1\ntarget_info{host=\"i\"} 1\n", 2),
        [",host=igauge a(unknown){} 1 @2000"]
    );
    // Unless its page fails.
    let mut out = MetricsWriter::new();
    let page = b"target_info{host=\"k\"} 1\nfails";
    let (_, result) = target.page(page, PageFormat::Text, at(3), &mut (), &mut out);
    assert!(result.is_err());
    assert_eq!(
        scrape(&mut target, "a 1\ntarget_info{host=\"i\"} 1\n", 4),
        [",host=igauge a(unknown){} 1 @4000"]
    );
    assert_eq!(
        scrape(&mut target, "a 1\n", 5),
        ["gauge a(unknown){} 1 @5000"]
    );
}

/// Drops what has a label `drop`, and renames `a`.
struct Rules(usize);

impl MetricRelabelling for Rules {
    fn relabel(&mut self, labels: &mut ScrapedLabels<'_>) -> bool {
        self.0 += 1;
        if labels.get(METRIC_NAME) == "a" {
            labels.set(METRIC_NAME, "renamed");
            labels.set("new", "label");
            labels.remove("gone");
        }
        if labels.has("unnamed") {
            labels.remove(METRIC_NAME);
        }
        !labels.has("drop")
    }
}

#[test]
fn rules_are_applied_once_to_each_series() {
    let mut target = target(ScrapedSettings::default());
    let mut rules = Rules(0);
    let page = b"a{gone=\"1\"} 1\nb{drop=\"1\"} 2\nc 3\n";
    for _ in 0..3 {
        let mut out = MetricsWriter::new();
        let (counts, result) = target.page(page, PageFormat::Text, at(1), &mut rules, &mut out);
        assert_eq!((result, counts.scraped, counts.kept), (Ok(()), 3, 2));
        assert_eq!(
            shown(out),
            [
                "gauge renamed(unknown){new=label} 1 @1000",
                "gauge c(unknown){} 3 @1000",
            ]
        );
    }
    assert_eq!(rules.0, 3);
    let mut out = MetricsWriter::new();
    let page = b"c 1\nd{unnamed=\"1\"} 2\ne 3\n";
    let (counts, result) = target.page(page, PageFormat::Text, at(1), &mut rules, &mut out);
    assert_eq!(result, Err(PageFailure::Labels(InvalidLabels::NoName)));
    assert_eq!((counts.scraped, counts.kept), (2, 1));
    assert!(shown(out).is_empty());
}

#[test]
fn a_page_that_fails_is_not_taken_at_all() {
    let f = |settings: ScrapedSettings, page: &str, failure: &str| {
        let mut target = target(settings);
        scrape(&mut target, "a 1\n", 1);
        let mut out = MetricsWriter::new();
        let (_, result) = target.page(page.as_bytes(), PageFormat::Text, at(2), &mut (), &mut out);
        assert_eq!(result.unwrap_err().to_string(), failure);
        assert_eq!(shown(out), [""; 0]);
        // What only this page had is forgotten.
        assert_eq!(target.series(), 1);
    };
    let settings = ScrapedSettings::default;
    f(settings(), "a 1\nb 2\nc", "line 3: expected a value");
    f(
        settings(),
        "a 1\nb{c=\"1\",c=\"2\"} 2\n",
        "a label is there twice",
    );
    f(
        ScrapedSettings {
            sample_limit: 2,
            ..settings()
        },
        "a 1\nb 2\nc 3\n",
        "the page has more series than the sample_limit of 2",
    );
    // job, instance and the name count as well.
    f(
        ScrapedSettings {
            label_limit: 4,
            ..settings()
        },
        "a{b=\"1\"} 1\nb{c=\"1\",d=\"2\"} 2\n",
        "a series has more labels than the label_limit of 4",
    );
    f(
        ScrapedSettings {
            label_name_length_limit: 8,
            ..settings()
        },
        "a 1\nb{c12345678=\"1\"} 2\n",
        "the name of a label is longer than the label_name_length_limit of 8",
    );
}

#[test]
fn a_series_counts_once_on_a_page() {
    let mut target = target(ScrapedSettings::default());
    let mut out = MetricsWriter::new();
    let page = b"a 1\nb 2\na 3\na{} 4\nb 5 500\n";
    let (counts, _) = target.page(page, PageFormat::Text, at(1), &mut (), &mut out);
    assert_eq!((counts.scraped, counts.kept, counts.duplicates), (5, 5, 2));
    assert_eq!(
        shown(out),
        [
            "gauge a(unknown){} 1 @1000",
            "gauge b(unknown){} 2 @1000",
            // A point in the past, which the page says.
            "gauge b(unknown){} 5 @500",
        ]
    );
    let mut out = MetricsWriter::new();
    let page = b"a 1 700001\n";
    let (counts, _) = target.page(page, PageFormat::Text, at(100), &mut (), &mut out);
    assert_eq!(counts.out_of_bounds, 1);
}

#[test]
fn an_answer_without_a_byte_has_no_series() {
    let mut target = target(ScrapedSettings::default());
    scrape(&mut target, "a 1\n", 1);
    assert_eq!(
        scrape_as(&mut target, "", PageFormat::OpenMetrics, 2),
        ["gauge a(unknown){} ended @2000"]
    );
}
