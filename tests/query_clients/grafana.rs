//! The requests of Grafana's data source.
#![allow(unreachable_pub, reason = "it is a part of a test")]

/// A request as Grafana's data source sends it: the method, the path and the parameters.
pub type Asked = (&'static str, &'static str, Vec<(&'static str, String)>);

/// What Grafana asks when a data source is tested, explored and used with template variables.
pub fn requests(last: u64) -> Vec<Asked> {
    let (start, end) = (last - 300, last);
    let at = |seconds: u64| format!("{seconds}.000");
    let span = || vec![("start", start.to_string()), ("end", end.to_string())];
    let with = |more: &[(&'static str, &str)]| {
        let more = more
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        more.chain(span()).collect::<Vec<_>>()
    };
    let query = |text: &str| vec![("query", text.to_owned()), ("time", at(end))];
    let range = |text: &str, step: &str| {
        vec![
            ("query", text.to_owned()),
            ("start", at(start)),
            ("end", at(end)),
            ("step", step.to_owned()),
        ]
    };
    vec![
        // Saved and tested.
        ("POST", "query", query("1+1")),
        (
            "GET",
            "query",
            vec![("query", "1+1".to_owned()), ("time", "4".to_owned())],
        ),
        // Explored: the list of metrics, their labels and values, and what they are.
        ("GET", "label/__name__/values", span()),
        (
            "GET",
            "label/__name__/values",
            with(&[("match[]", "{job=\"shop\"}")]),
        ),
        ("GET", "labels", span()),
        (
            "POST",
            "labels",
            with(&[("match[]", "{__name__=\"temperature_celsius\"}")]),
        ),
        (
            "GET",
            "label/job/values",
            with(&[("match[]", "{__name__=\"requests_total\"}")]),
        ),
        ("GET", "label/job/values", with(&[("limit", "40000")])),
        ("GET", "series", with(&[("match[]", "temperature_celsius")])),
        (
            "POST",
            "series",
            with(&[("match[]", "{job=~\"shop|bank\"}"), ("limit", "40000")]),
        ),
        // A panel, at one time and over a range, in the steps that Grafana chooses.
        ("POST", "query", query("sum by (job) (temperature_celsius)")),
        (
            "POST",
            "query_range",
            range("rate(requests_total[1m15s])", "15"),
        ),
        (
            "POST",
            "query_range",
            range("temperature_celsius{job=~\"shop|bank\"}", "0.5"),
        ),
        (
            "POST",
            "query_range",
            range(
                "histogram_quantile(0.9, sum by (le) (rate(wait_seconds_bucket[5m])))",
                "60",
            ),
        ),
        ("GET", "query_range", range("requests_total", "15")),
        (
            "POST",
            "query_exemplars",
            with(&[("query", "requests_total")]),
        ),
        // Template variables.
        ("GET", "query", query("topk(1, temperature_celsius)")),
        (
            "GET",
            "label/code/values",
            with(&[("match[]", "requests_total{job=\"shop\"}")]),
        ),
        // Alerting, and whether there are rules.
        ("GET", "rules", vec![]),
        ("GET", "alerts", vec![]),
        // What is wrong is wrong in the same way.
        ("POST", "query_range", range("temperature_celsius", "0")),
        ("POST", "query_range", range("temperature_celsius", "1us")),
        (
            "POST",
            "query_range",
            range("temperature_celsius[5m]", "15"),
        ),
        ("POST", "query_range", range("temperature_celsius", "10ms")),
        (
            "POST",
            "query",
            query("temperature_celsius * on(job) group_left() requests_total"),
        ),
        ("POST", "query", query("sum(")),
        (
            "POST",
            "query",
            vec![("query", "up".to_owned()), ("time", "yesterday".to_owned())],
        ),
        (
            "POST",
            "query",
            vec![("query", "up".to_owned()), ("timeout", "soon".to_owned())],
        ),
        ("GET", "labels", vec![("start", "x".to_owned())]),
        ("GET", "labels", with(&[("match[]", "{")])),
        ("GET", "series", span()),
        ("GET", "metadata", vec![("limit", "x".to_owned())]),
        ("GET", "rules", vec![("type", "x".to_owned())]),
    ]
}
