//! What is answered, letter by letter.

use std::io::Read as _;

use hyper::header::ACCEPT_ENCODING;

use super::*;

/// The text of the data of an answer.
async fn data(rig: &Rig, path: &str) -> String {
    let (status, text) = rig.text(path).await;
    assert_eq!(status, StatusCode::OK, "{path}: {text}");
    let data = text
        .strip_prefix(r#"{"status":"success","data":"#)
        .and_then(|text| text.strip_suffix('}'));
    data.unwrap_or_else(|| panic!("{path}: {text}")).to_owned()
}

#[tokio::test]
async fn values_are_written_as_prometheus_writes_them() {
    let rig = Rig::new();
    let f = async |path: &str, expected: &str| {
        assert_eq!(data(&rig, path).await, expected, "{path}");
    };
    f(
        "query?query=up&time=2",
        r#"{"resultType":"vector","result":[{"metric":{"__name__":"up","instance":"x","job":"a"},"value":[2,"0"]},{"metric":{"__name__":"up","instance":"x","job":"b"},"value":[2,"1"]}]}"#,
    )
    .await;
    f(
        "query?query=sum(up)&time=1970-01-01T00:00:02.5Z",
        r#"{"resultType":"vector","result":[{"metric":{},"value":[2.500,"1"]}]}"#,
    )
    .await;
    f(
        "query?query=up%7Bjob=%22a%22%7D%5B5s%5D&time=2",
        r#"{"resultType":"matrix","result":[{"metric":{"__name__":"up","instance":"x","job":"a"},"values":[[1,"1"],[2,"0"]]}]}"#,
    )
    .await;
    f(
        "query?query=1e21&time=1",
        r#"{"resultType":"scalar","result":[1,"1000000000000000000000"]}"#,
    )
    .await;
    f(
        "query?query=%22a%5C%22b%22&time=1",
        r#"{"resultType":"string","result":[1,"a\"b"]}"#,
    )
    .await;
    f(
        "query_range?query=max(up)/0&start=1&end=2&step=500ms",
        r#"{"resultType":"matrix","result":[{"metric":{},"values":[[1,"+Inf"],[1.500,"+Inf"],[2,"+Inf"]]}]}"#,
    )
    .await;
    f(
        "query_range?query=1&start=0&end=1&step=1",
        r#"{"resultType":"matrix","result":[{"metric":{},"values":[[0,"1"],[1,"1"]]}]}"#,
    )
    .await;
    f(
        "query?query=nothing&time=1",
        r#"{"resultType":"vector","result":[]}"#,
    )
    .await;
}

#[tokio::test]
async fn native_histograms_are_written_with_their_buckets() {
    let rig = Rig::new();
    let exponential = StoredPoint::Exponential(StoredExponential {
        count: 6.0,
        sum: Some(4.5),
        scale: 0,
        zero_count: 1.0,
        zero_threshold: 0.25,
        positive: (0, &[2.0, 0.0, 1.0]),
        negative: (0, &[2.0]),
    });
    rig.store(
        ("lag", ValueKind::ExponentialHistogram),
        &[],
        &[exponential],
    );
    let buckets = r#"{"count":"6","sum":"4.5","buckets":[[1,"-2","-1","2"],[3,"-1e-128","1e-128","1"],[0,"1","2","2"],[0,"4","8","1"]]}"#;
    assert_eq!(
        data(&rig, "query?query=lag&time=1").await,
        format!(
            r#"{{"resultType":"vector","result":[{{"metric":{{"__name__":"lag"}},"histogram":[1,{buckets}]}}]}}"#
        )
    );
    assert_eq!(
        data(&rig, "query_range?query=lag&start=1&end=2&step=1").await,
        format!(
            r#"{{"resultType":"matrix","result":[{{"metric":{{"__name__":"lag"}},"histograms":[[1,{buckets}],[2,{buckets}]]}}]}}"#
        )
    );
}

#[tokio::test]
async fn series_labels_and_metrics_are_listed() {
    let rig = Rig::new();
    rig.gauge("down", &[("service.name", "x")], &[1.0]);
    let f = async |path: &str, expected: &str| {
        assert_eq!(data(&rig, path).await, expected, "{path}");
    };
    f(
        "series?match%5B%5D=up&match%5B%5D=down",
        r#"[{"__name__":"down","service.name":"x"},{"__name__":"up","instance":"x","job":"a"},{"__name__":"up","instance":"x","job":"b"}]"#,
    )
    .await;
    f(
        "series?match[]=up{job!=%22a%22}&start=0&end=1.5",
        r#"[{"__name__":"up","instance":"x","job":"b"}]"#,
    )
    .await;
    f("labels", r#"["__name__","instance","job","service.name"]"#).await;
    f("labels?match[]=down", r#"["__name__","service.name"]"#).await;
    f("label/job/values", r#"["a","b"]"#).await;
    f("label/job/values?match[]=up{job=~%22a|c%22}", r#"["a"]"#).await;
    f("label/U__service_2e_name/values", r#"["x"]"#).await;
    f("label/service.name/values", r#"["x"]"#).await;
    f("label/__name__/values", r#"["down","up"]"#).await;
    f("label/nothing/values", "[]").await;
    f(
        "metadata",
        r#"{"down":[{"type":"gauge","unit":"s","help":"help"}],"up":[{"type":"gauge","unit":"s","help":"help"}]}"#,
    )
    .await;
    f(
        "metadata?limit=1",
        r#"{"down":[{"type":"gauge","unit":"s","help":"help"}]}"#,
    )
    .await;
    f("metadata?metric=nothing", "{}").await;
    f("rules", r#"{"groups":[]}"#).await;
    f("rules?type=alert", r#"{"groups":[]}"#).await;
    f("alerts", r#"{"alerts":[]}"#).await;
    f("query_exemplars?query=up&start=0&end=1", "[]").await;
    assert!(
        data(&rig, "status/buildinfo")
            .await
            .contains(r#""version":"3."#)
    );
}

#[tokio::test]
async fn what_is_left_out_or_doubtful_is_said() {
    let rig = Rig::new();
    let truncated = r#""warnings":["results truncated due to limit"]}"#;
    for path in [
        "query?query=up&time=2&limit=1",
        "query?query=up[5s]&time=2&limit=1",
        "query_range?query=up&start=1&end=2&step=1&limit=1",
        "series?match[]=up&limit=1",
        "labels?limit=1",
        "label/job/values?limit=1",
    ] {
        let (status, text) = rig.text(path).await;
        assert_eq!(status, StatusCode::OK);
        assert!(text.ends_with(truncated), "{path}: {text}");
        let (_, all) = rig.text(&path.replace("limit=1", "limit=9")).await;
        assert!(!all.contains("warnings"), "{path}: {all}");
        assert!(all.len() > text.len() - truncated.len(), "{path}: {text}");
    }
    let (_, text) = rig.text("query?query=quantile(2,up)&time=2").await;
    let warning = r#""warnings":["PromQL warning: quantile value should be"#;
    assert!(text.contains(warning), "{text}");
    let (_, text) = rig.text("query?query=rate(up[5s])&time=2").await;
    let info = r#""infos":["PromQL info: metric might not be a counter"#;
    assert!(text.contains(info), "{text}");
    let (_, text) = rig.text("query?query=up&time=2&stats=1").await;
    let answer: Value = serde_json::from_str(&text).unwrap();
    let samples = &answer["data"]["stats"]["samples"];
    assert_eq!(samples["totalQueryableSamples"], 2, "{text}");
    assert!(samples["peakSamples"].as_u64().unwrap() >= 1, "{text}");
    let timings = &answer["data"]["stats"]["timings"];
    assert!(timings["execTotalTime"].as_f64().unwrap() > 0.0, "{text}");
}

#[tokio::test]
async fn a_form_says_the_same_as_a_url() {
    let rig = Rig::new();
    let (_, expected) = rig.text("query?query=up%7Bjob%3D%22a%22%7D&time=2").await;
    for (path, body) in [
        ("/api/v1/query", "query=up%7Bjob%3D%22a%22%7D&time=2"),
        ("/api/v1/query?query=down", "query=up{job=\"a\"}&time=2"),
        ("/api/v1/query?time=2", "query=up{job=%22a%22}"),
    ] {
        let content_type = format!("{FORM}; charset=utf-8");
        let response = rig.ask(post(path, &content_type, body)).await;
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }
}

#[tokio::test]
async fn long_answers_come_in_pieces_and_compressed_if_asked() {
    let rig = Rig::new();
    let values: Vec<f64> = (0..4_000).map(|n| f64::from(n) / 7.0).collect();
    for series in 0..5 {
        rig.gauge("long", &[("series", &series.to_string())], &values);
    }
    let path = "/api/v1/query?query=long[2h]&time=4000";
    let f = async |encoding: &str| {
        let request = Request::get(path).header(ACCEPT_ENCODING, encoding);
        let response = rig.ask(request.body(Bytes::new()).unwrap()).await;
        assert_eq!(response.headers()[VARY], "accept-encoding");
        let compressed = response.headers().contains_key(CONTENT_ENCODING);
        assert_eq!(compressed, encoding == "gzip");
        let mut body = response.into_body();
        let (mut bytes, mut pieces) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            let piece = frame.unwrap().into_data().unwrap();
            assert!(piece.len() < 80 << 10);
            bytes.extend_from_slice(&piece);
            pieces += 1;
        }
        (bytes, pieces)
    };
    let (plain, pieces) = f("identity").await;
    assert!(pieces >= plain.len() >> 16, "{pieces} of {}", plain.len());
    let answer: Value = serde_json::from_slice(&plain).unwrap();
    let result = answer["data"]["result"].as_array().unwrap();
    assert_eq!(result.len(), 5);
    for series in result {
        let points = series["values"].as_array().unwrap();
        assert_eq!(points.len(), 4_000);
        for (point, (second, value)) in points.iter().zip((1..).zip(&values)) {
            assert_eq!(point[0], second);
            assert_eq!(point[1], value.to_string());
        }
    }
    let (compressed, _) = f("gzip").await;
    assert!(compressed.len() < plain.len() / 2);
    let mut text = Vec::new();
    GzDecoder::new(&compressed[..])
        .read_to_end(&mut text)
        .unwrap();
    assert_eq!(text, plain);
    assert_eq!(rig.own("foghorn_query_in_flight{stage=\"running\"}"), 0.0);
}
