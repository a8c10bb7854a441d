//! The headers of an answer.

use std::io::Read as _;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, VARY};

use super::*;
use crate::component::{Handler as _, Response};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The `Accept` header of Prometheus 3.
const PROMETHEUS: &str = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
    application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;q=0.3,\
    text/plain;version=0.0.4;q=0.2,*/*;q=0.1";

async fn answer(rig: &Rig, accept: &str, encoding: &str) -> Response {
    let request = Request::builder()
        .header(ACCEPT, accept)
        .header(ACCEPT_ENCODING, encoding)
        .body(Bytes::new());
    let pages = PageHandler::new(Arc::clone(&rig.shared), Arc::clone(&rig.settings), None);
    pages.handle(request.unwrap()).await
}

#[tokio::test]
async fn the_head_says_what_the_body_is() {
    let mut rig = Rig::new("");
    let mut rig_of_text = Rig::new("enable_open_metrics: false");
    // Longer than a piece, so that compression must continue from one to the next.
    let long = "x".repeat(200);
    let series = |n: usize| with(number(1, 1.0), &[("n", &n.to_string()), ("long", &long)]);
    for rig in [&mut rig, &mut rig_of_text] {
        rig.send(vec![gauge("g", (0..1_000).map(series).collect())]);
    }
    let f = async |rig: &Rig, accept, encoding, content_type: &str, format| {
        let answer = answer(rig, accept, encoding).await;
        let headers = answer.headers().clone();
        assert_eq!(headers[CONTENT_TYPE], content_type, "{accept}");
        assert_eq!(headers[VARY], "accept, accept-encoding");
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let page = match headers.get(CONTENT_ENCODING) {
            None => {
                assert!(!encoding.contains("gzip"), "{encoding}");
                body.to_vec()
            }
            Some(named) => {
                assert_eq!(named, "gzip");
                assert!(encoding.contains("gzip"), "{encoding}");
                let mut page = Vec::new();
                GzDecoder::new(&*body).read_to_end(&mut page).unwrap();
                page
            }
        };
        assert!(String::from_utf8(page).unwrap() == rig.page(format));
    };
    f(&rig, "*/*", "", TEXT, Format::Text).await;
    f(&rig, "*/*", "gzip", TEXT, Format::Text).await;
    f(&rig, "text/html", "identity", TEXT, Format::Text).await;
    f(&rig, PROMETHEUS, "", OPENMETRICS, Format::OpenMetrics).await;
    f(&rig, PROMETHEUS, "gzip", OPENMETRICS, Format::OpenMetrics).await;
    f(&rig_of_text, PROMETHEUS, "gzip", TEXT, Format::Text).await;
}
