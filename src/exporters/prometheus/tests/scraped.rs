//! What was scraped comes out as it was: the same names, labels, types and values.

use super::*;
use crate::exposition::read::PageFormat;
use crate::pdata::writer::MetricsWriter;
use crate::translation::scraped::{ScrapedSettings, ScrapedTarget};

/// A page as it is shown after it was scraped, without `target_info`, and without the labels of
/// the target.
fn shown(page: &str, format: PageFormat, as_format: Format) -> String {
    let labels = [("job", "s"), ("instance", "i")];
    let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut target = ScrapedTarget::new(ScrapedSettings::default(), labels.into());
    let mut rig = Rig::new("{}");
    for _ in 0..2 {
        let mut out = MetricsWriter::new();
        let at = rig.now.wall;
        let (_, result) = target.page(page.as_bytes(), format, at, &mut (), &mut out);
        result.unwrap();
        assert_eq!(rig.take(&out.finish()), []);
    }
    let shown = rig.page(as_format);
    let lines = shown.split_inclusive('\n');
    let shown: String = lines.filter(|line| !line.contains("target_info")).collect();
    let shown = shown.replace("instance=\"i\",job=\"s\",", "");
    let shown = shown.replace(",instance=\"i\",job=\"s\"", "");
    shown.replace("{instance=\"i\",job=\"s\"}", "")
}

/// Lines that mean something, sorted: the order of families is the page's own.
fn lines(page: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = page.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_scraped_page_is_shown_with_the_same_names_and_types() {
    let page = "# HELP http_requests_total Requests\n# TYPE http_requests_total counter\n\
        http_requests_total{code=\"200\"} 5\n\
        # TYPE total_of_things_seconds_total_x counter\ntotal_of_things_seconds_total_x 1\n\
        # TYPE bytes_used gauge\nbytes_used 2\n\
        # TYPE _private untyped\n_private 3\n\
        # TYPE latency histogram\nlatency_bucket{le=\"0.5\"} 1\nlatency_bucket{le=\"1\"} 3\n\
        latency_bucket{le=\"+Inf\"} 6\nlatency_sum 7\nlatency_count 6\n\
        # TYPE size summary\nsize{quantile=\"0.5\"} 2\nsize_sum 7\nsize_count 5\n";
    let shown = shown(page, PageFormat::Text, Format::Text);
    assert_eq!(lines(&shown), lines(page));
}

#[test]
fn a_scraped_page_of_openmetrics_keeps_units_and_info() {
    let page = "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 3\n\
        # TYPE build info\nbuild_info{version=\"1\"} 1\n# TYPE u unknown\nu 4\n# EOF\n";
    let shown = shown(page, PageFormat::OpenMetrics, Format::OpenMetrics);
    assert_eq!(
        lines(&shown),
        lines(
            "# TYPE a_seconds counter\n# UNIT a_seconds seconds\na_seconds_total 3\n\
            # TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n# TYPE u unknown\nu 4\n# EOF\n"
        )
    );
}

#[test]
fn a_distribution_that_otlp_lacks_is_shown_as_it_was() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"2\"} 2\nh_sum 1\n";
    let shown = shown(page, PageFormat::Text, Format::Text);
    let samples: Vec<&str> = lines(&shown)
        .into_iter()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert_eq!(
        samples,
        [
            "h_bucket{le=\"1.0\"} 3",
            "h_bucket{le=\"2.0\"} 2",
            "h_sum 1"
        ]
    );
}
