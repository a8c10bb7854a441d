use super::*;
use crate::receivers::prometheus::config::Config;
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// The only job of a configuration.
fn job(text: &str) -> ScrapeJob {
    let diagnostics = Diagnostics::new();
    let text = format!("scrape_configs: [{{job_name: j, {text}}}]");
    let node = parse(&text, &std::sync::Arc::from("t"), &diagnostics).unwrap();
    let config = Config::read(&PlacedNode::root(&node, &diagnostics));
    assert_eq!(diagnostics.problems(), [], "{text}");
    config.unwrap().jobs.remove(0)
}

fn labels(text: &str) -> TargetLabelMap {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The URL and the public labels of a target.
fn found(config: &str, target: &str, group: &str) -> String {
    let job = job(config);
    match ScrapeTarget::of(&job, &labels(target), &labels(group)) {
        Ok(Some(target)) => {
            let labels: Vec<String> = target
                .public_labels()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            let url = target.url.as_ref().map_or("none", Url::as_str);
            format!("{url} {}", labels.join(","))
        }
        Ok(None) => "dropped".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_target_is_what_its_labels_say_after_the_rules() {
    let f = |config: &str, target: &str, group: &str, expected: &str| {
        assert_eq!(found(config, target, group), expected, "{config}");
    };
    let a = "__address__=a:1";
    f(
        "scheme: http",
        a,
        "x=1",
        "http://a:1/metrics instance=a:1,job=j,x=1",
    );
    f(
        "scheme: https",
        "__address__=a,x=own",
        "x=1",
        "https://a/metrics instance=a,job=j,x=own",
    );
    // No port is added, and what a group says of the job counts.
    f(
        "metrics_path: /p",
        a,
        "job=other,instance=i,__metrics_path__=/q",
        "http://a:1/q instance=i,job=other",
    );
    f(
        "params: {b: [x, y], a: ['1 2']}",
        a,
        "__param_b=z",
        "http://a:1/metrics?a=1+2&b=z&b=y instance=a:1,job=j",
    );
    f(
        "metrics_path: 'm?a%20b'",
        a,
        "",
        "http://a:1/m%3Fa%2520b instance=a:1,job=j",
    );
    f(
        "relabel_configs: [{target_label: __address__, replacement: 'b:2'}]",
        a,
        "",
        "http://b:2/metrics instance=b:2,job=j",
    );
    f(
        "relabel_configs: [{source_labels: [__address__], target_label: __param_target}, {source_labels: [__param_target], target_label: instance}, {target_label: __address__, replacement: 'probe:9115'}]",
        a,
        "__meta_x=1",
        "http://probe:9115/metrics?target=a%3A1 instance=a:1,job=j",
    );
    f(
        "relabel_configs: [{action: drop, source_labels: [__meta_x], regex: '1'}]",
        a,
        "__meta_x=1",
        "dropped",
    );
    f(
        "relabel_configs: [{action: labelmap, regex: __meta_(.*)}]",
        a,
        "__meta_x=1",
        "http://a:1/metrics instance=a:1,job=j,x=1",
    );
    f(
        "scheme: http",
        a,
        "__scheme__=ftp",
        "none instance=a:1,job=j",
    );
    f(
        "scheme: http",
        "__address__=a b",
        "",
        "none instance=a b,job=j",
    );
}

#[test]
fn a_target_that_can_not_be_scraped_is_an_error() {
    let f = |labels: &str, expected: &str| {
        assert_eq!(found("scheme: http", labels, ""), expected, "{labels}");
    };
    f("x=1", "no address");
    f(
        "__address__=http://a:1",
        "`http://a:1` is not a valid hostname",
    );
    f(
        "__address__=a,__scrape_interval__=x",
        "__scrape_interval__ is `x`, which it can't be",
    );
    f(
        "__address__=a,__scrape_timeout__=0",
        "__scrape_timeout__ is `0`, which it can't be",
    );
    f(
        "__address__=a,__scrape_interval__=5s",
        "the scrape timeout is greater than the scrape interval (10s > 5s)",
    );
    f(
        "__address__=a,__scrape_native_histograms__=yes",
        "__scrape_native_histograms__ is `yes`, which it can't be",
    );
}

#[test]
fn interval_and_timeout_are_those_of_the_labels() {
    let job = job("scrape_interval: 1m, scrape_timeout: 5s");
    let target = labels("__address__=a,__scrape_interval__=1m30s");
    let target = ScrapeTarget::of(&job, &target, &TargetLabelMap::new())
        .unwrap()
        .unwrap();
    assert_eq!(target.interval, Duration::from_secs(90));
    assert_eq!(target.timeout, Duration::from_secs(5));
    assert_eq!(target.label("__scrape_timeout__"), "5s");
    assert_eq!(target.label("none"), "");
}
