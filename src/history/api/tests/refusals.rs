//! What is refused, with which code and kind.

use super::*;

async fn refused(rig: &Rig, path: &str, status: u16, kind: &str, message: &str) {
    let (found, text) = rig.text(path).await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(found, status, "{path}: {text}");
    assert_eq!(answer["status"], "error");
    assert_eq!(answer["errorType"], kind, "{path}: {text}");
    assert!(answer.get("data").is_none(), "{path}: {text}");
    let said = answer["error"].as_str().unwrap();
    assert!(said.contains(message), "{path}: {said}");
}

#[tokio::test]
async fn wrong_parameters_are_named_as_prometheus_names_them() {
    let rig = Rig::new();
    let f = async |path: &str, message: &str| {
        refused(&rig, path, 400, "bad_data", message).await;
    };
    f("query", "invalid parameter \"query\": ").await;
    f("query?query=up(", "invalid parameter \"query\": ").await;
    f(
        "query?query=up&time=x",
        "invalid parameter \"time\": invalid time value for 'time': cannot parse \"x\" to a valid timestamp",
    )
    .await;
    f(
        "query?query=up&timeout=1ns",
        "invalid parameter \"timeout\": cannot parse \"1ns\" to a valid duration",
    )
    .await;
    f(
        "query?query=up&limit=-1",
        "invalid parameter \"limit\": limit must be non-negative",
    )
    .await;
    f("query?query=up&limit=x", "invalid parameter \"limit\": ").await;
    f(
        "query?query=up&lookback_delta=x",
        "error parsing lookback delta duration: cannot parse \"x\" to a valid duration",
    )
    .await;
    let range = "query_range?query=up";
    f(
        range,
        "invalid parameter \"start\": cannot parse \"\" to a valid timestamp",
    )
    .await;
    f(
        &format!("{range}&start=1"),
        "invalid parameter \"end\": cannot parse \"\" to a valid timestamp",
    )
    .await;
    f(
        &format!("{range}&start=2&end=1"),
        "invalid parameter \"end\": end timestamp must not be before start time",
    )
    .await;
    for step in ["0", "-1"] {
        f(
            &format!("{range}&start=1&end=2&step={step}"),
            "invalid parameter \"step\": zero or negative query resolution step widths are not accepted. Try a positive integer",
        )
        .await;
    }
    let too_many = "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)";
    f(&format!("{range}&start=0&end=11001&step=1"), too_many).await;
    f(&format!("{range}&start=0&end=1e12&step=1"), too_many).await;
    f(
        &format!("{range}&start=-1e300&end=1e300&step=1ms"),
        too_many,
    )
    .await;
    let (status, _) = rig.text(&format!("{range}&start=0&end=11000&step=1")).await;
    assert_eq!(status, 200);
    f(
        "query_range?query=up[5m]&start=0&end=1&step=1",
        "invalid parameter \"query\": invalid expression type \"range vector\" for range query",
    )
    .await;
    f("series", "no match[] parameter provided").await;
    f("series?match[]=up{", "invalid parameter \"match[]\": ").await;
    f(
        "series?match[]={x=%22%22}",
        "at least one non-empty matcher",
    )
    .await;
    f("series?match[]=rate(up[5m])", "expected a series selector").await;
    f(
        "series?match[]=up%20offset%201m",
        "expected a series selector",
    )
    .await;
    f("labels?match[]=up{", "parse error").await;
    f("labels?start=x", "invalid parameter \"start\": ").await;
    f("label/a%ff/values", "invalid label name: \"a\\xff\"").await;
    f("label/U__/values", "invalid label name: \"\"").await;
    f("metadata?limit=x", "limit must be a number").await;
    f(
        "metadata?limit_per_metric=x",
        "limit_per_metric must be a number",
    )
    .await;
    f(
        "rules?type=x",
        "invalid parameter \"type\": not supported value \"x\"",
    )
    .await;
    f("query_exemplars?query=up(&start=0&end=1", "parse error").await;
}

#[tokio::test]
async fn what_cannot_be_carried_out_is_no_fault_of_the_parameters() {
    let rig = Rig::new();
    let path = "query?query=up*on(instance)up&time=2";
    refused(
        &rig,
        path,
        422,
        "execution",
        "many-to-many matching not allowed",
    )
    .await;
    let small = ApiSettings {
        limits: QueryLimits {
            max_samples: 10,
            ..QueryLimits::default()
        },
        ..settings()
    };
    let rig = Rig::with(small);
    rig.gauge("up", &[], &[1.0; 100]);
    let path = "query?query=up[200s]&time=100";
    refused(&rig, path, 422, "execution", "too many samples").await;
    let requests = "foghorn_query_requests_total{endpoint=\"query\",outcome=\"execution\"}";
    assert_eq!(rig.own(requests), 1.0);
    assert_eq!(
        rig.own("foghorn_query_rejected_total{reason=\"limit\"}"),
        1.0
    );
}

#[tokio::test(start_paused = true)]
async fn a_query_ends_at_its_time() {
    let rig = Rig::new();
    let path = "query?query=up&time=2&timeout=0";
    refused(&rig, path, 503, "timeout", "query timed out").await;
    let f = |reason: &str| {
        rig.own(&format!(
            "foghorn_query_rejected_total{{reason=\"{reason}\"}}"
        ))
    };
    assert_eq!(f("timeout") + f("no_place"), 1.0);
}

#[tokio::test]
async fn a_body_that_is_no_form_is_refused() {
    let rig = Rig::new();
    for content_type in ["application/json", "text/plain", ""] {
        let response = rig
            .ask(post("/api/v1/query?query=up", content_type, "query=up"))
            .await;
        assert_eq!(response.status(), 400, "{content_type}");
    }
    // Nothing in it, nothing to misunderstand.
    let response = rig.ask(post("/api/v1/query?query=up", "", "")).await;
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn without_windows_nothing_is_made_up() {
    let rig = Rig::with(settings());
    for path in ["query?query=up", "series?match[]=up", "labels", "metadata"] {
        refused(&rig, path, 503, "unavailable", "no window in any pipeline").await;
    }
    let (status, _) = rig.text("status/buildinfo").await;
    assert_eq!(status, 200);
}
