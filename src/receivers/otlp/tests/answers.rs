//! The answers to senders in each protocol and encoding, with fake pipelines.

use std::io::Write as _;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::header::HeaderMap;
use hyper::{Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use tokio::time::advance;

use super::super::door::ListenerContext;
use super::super::http::HttpSite;
use super::super::{grpc, http};
use super::*;
use crate::component::{Admission, Body, Origin, Refusal};
use crate::log_capture::LogCapture;
use crate::pdata::Batch;
use crate::pdata::status::RpcStatus;
use crate::telemetry::{Telemetry, TelemetrySettings};
use crate::yaml::{Diagnostics, PlacedNode, parse};

/// Each protocol with an encoding, and the value of its label `transport`.
const WAYS: [(Way, &str); 3] = [
    (Way::Grpc, "grpc"),
    (Way::Protobuf, "http"),
    (Way::Json, "http"),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Grpc,
    Protobuf,
    Json,
}

/// Pipelines that accept every request and record its size, or refuse every request.
#[derive(Default)]
struct Pipelines {
    refusal: Mutex<Option<Refusal>>,
    taken: Arc<Mutex<Vec<u64>>>,
}

struct Room(Arc<Mutex<Vec<u64>>>);

impl Intake for Pipelines {
    fn try_admit(&self, _: Origin, _: u64) -> Result<Box<dyn Admission>, Refusal> {
        match *self.refusal.lock().unwrap() {
            Some(refusal) => Err(refusal),
            None => Ok(Box::new(Room(Arc::clone(&self.taken)))),
        }
    }
}

impl Admission for Room {
    fn grow(&mut self, _: u64) -> Result<(), Refusal> {
        Ok(())
    }

    fn accept(self: Box<Self>, batch: Batch) -> BoxFuture<'static, ()> {
        self.0.lock().unwrap().push(batch.size());
        Box::pin(std::future::ready(()))
    }
}

/// Both protocols before the same pipelines, which take traces.
struct Site {
    pipelines: Arc<Pipelines>,
    telemetry: Telemetry,
    grpc: ListenerContext,
    http: HttpSite,
}

/// An answer that has come to its end.
struct Answered {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Site {
    fn new() -> Self {
        let pipelines = Arc::new(Pipelines::default());
        let telemetry = Telemetry::new(&TelemetrySettings::default()).unwrap();
        let context = BuildContext::standalone("otlp".parse().unwrap(), telemetry.clone());
        let text =
            "{protocols: {grpc: {endpoint: '127.0.0.1:0'}, http: {endpoint: '127.0.0.1:0'}}}";
        let diagnostics = Diagnostics::new();
        let node = parse(text, &Arc::from("t"), &diagnostics).unwrap();
        let config = PlacedNode::root(&node, &diagnostics).read::<OtlpConfig>();
        let OtlpConfig {
            grpc: Some(grpc),
            http: Some(http),
        } = config.unwrap()
        else {
            panic!("both are listed")
        };
        let door = |transport, limits| {
            let intake: Arc<dyn Intake> = pipelines.clone();
            let intakes = [(Signal::Traces, intake)].into();
            ListenerContext {
                ingest: Arc::new(Ingest::new(&context, Lane::new(1), transport, intakes)),
                credentials: None,
                limits,
            }
        };
        Self {
            grpc: door("grpc", grpc.port.limits),
            http: HttpSite {
                door: door("http", http.port.limits),
                paths: http.paths,
                cors: None,
            },
            pipelines,
            telemetry,
        }
    }

    /// Sends a request of traces, compressed by `coding` unless that is empty.
    async fn ask(&self, way: Way, body: &[u8], coding: &str) -> Answered {
        let packed = packed(body, coding);
        let (path, kind) = match way {
            Way::Grpc => (
                "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
                "application/grpc",
            ),
            Way::Protobuf => ("/v1/traces", "application/x-protobuf"),
            Way::Json => ("/v1/traces", "application/json"),
        };
        let mut request = Request::post(path).header("content-type", kind);
        if !coding.is_empty() {
            let header = match way {
                Way::Grpc => "grpc-encoding",
                Way::Protobuf | Way::Json => "content-encoding",
            };
            request = request.header(header, coding);
        }
        match way {
            Way::Grpc => {
                let mut framed = vec![u8::from(!coding.is_empty())];
                framed.extend((packed.len() as u32).to_be_bytes());
                framed.extend(packed);
                let request = request.body(Full::from(framed)).unwrap();
                Answered::of(grpc::answer(request, &self.grpc).await).await
            }
            Way::Protobuf | Way::Json => {
                let request = request.body(Full::from(packed)).unwrap();
                Answered::of(http::answer(request, &self.http).await).await
            }
        }
    }

    /// How many requests of a protocol came to this.
    fn counted(&self, transport: &str, outcome: &str) -> f64 {
        let families = self.telemetry.gather_now();
        let mut requests = families
            .iter()
            .filter(|family| family.name() == "foghorn_otlp_requests_total")
            .flat_map(|family| family.get_metric());
        let found = requests.find(|metric| {
            let has = |name, value| {
                let mut labels = metric.get_label().iter();
                labels.any(|label| label.name() == name && label.value() == value)
            };
            has("transport", transport) && has("outcome", outcome) && has("signal", "traces")
        });
        found.map_or(0.0, |metric| metric.get_counter().get_value())
    }
}

impl Answered {
    async fn of(response: Response<Body>) -> Self {
        let (head, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let mut headers = head.headers;
        headers.extend(body.trailers().cloned().unwrap_or_default());
        Self {
            status: head.status.as_u16(),
            headers,
            body: body.to_bytes(),
        }
    }

    /// The warning of a request that was taken, or an empty text.
    fn warning(&self, way: Way) -> String {
        assert_eq!(self.status, 200);
        let message = match way {
            Way::Json => {
                let said: serde_json::Value = serde_json::from_slice(&self.body).unwrap();
                let partial = &said["partialSuccess"];
                assert!(partial["rejectedSpans"].is_null());
                return partial["errorMessage"].as_str().unwrap_or_default().into();
            }
            Way::Protobuf => &self.body[..],
            Way::Grpc => {
                assert_eq!(self.headers["grpc-status"], "0");
                let (prefix, message) = self.body.split_at(5);
                let length = (message.len() as u32).to_be_bytes();
                assert_eq!((prefix[0], &prefix[1..]), (0, &length[..]));
                message
            }
        };
        let said = ExportTraceServiceResponse::decode(message).unwrap();
        let partial = said.partial_success.unwrap_or_default();
        assert_eq!(partial.rejected_spans, 0);
        partial.error_message
    }
}

fn packed(body: &[u8], coding: &str) -> Vec<u8> {
    match coding {
        "gzip" => {
            let level = flate2::Compression::fast();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "zstd" => zstd::encode_all(body, 1).unwrap(),
        _ => body.to_vec(),
    }
}

/// A field with bytes or a message.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, content.len() as u8], content].concat()
}

/// Requests, and whether they have no item that is recognised.
fn requests(way: Way) -> Vec<(Vec<u8>, bool)> {
    if way == Way::Json {
        let rows = [
            ("{}", false),
            (r#"{"resourceSpans":[]}"#, false),
            (r#"{"resourceSpans":[{"scopeSpans":[{}]}]}"#, false),
            (r#"{"resourceMetrics":[{}]}"#, true),
            (
                r#"{"resourceSpans":[{"instrumentationLibrarySpans":[]}]}"#,
                true,
            ),
            (
                r#"{"new":1,"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}]}"#,
                false,
            ),
        ];
        return rows
            .map(|(text, none)| (text.as_bytes().to_vec(), none))
            .into();
    }
    let spans = |scope_spans: &[u8]| field(1, &field(2, scope_spans));
    vec![
        (vec![], false),
        (field(1, &[]), false),
        (spans(&[]), false),
        // No field of the request.
        (field(15, b"whatever it is"), true),
        (vec![0x38, 0x01], true),
        // A group; OTLP has none.
        (vec![0x7b, 0x7c], true),
        // The place of spans in older versions, `instrumentation_library_spans`.
        (
            field(1, &[&[0xc2, 0x3e][..], &[2], &field(2, &[])].concat()),
            true,
        ),
        // A known field, although there is no span.
        (spans(&field(3, b"schema")), false),
        (spans(&field(5, b"not a span")), true),
        ([field(15, b"new"), spans(&field(2, &[]))].concat(), false),
    ]
}

/// What the log says of a request in which nothing is recognised.
const UNRECOGNISED: &str = "nothing in a request was recognised: is it OTLP, and of this signal?";

#[tokio::test(start_paused = true)]
async fn a_request_in_which_nothing_is_recognised_is_taken_with_a_warning_and_counted() {
    for (way, transport) in WAYS {
        let site = Site::new();
        let (mut accepted, mut unrecognised) = (0.0, 0.0);
        for coding in ["", "gzip", "zstd"] {
            for (request, none) in requests(way) {
                let answered = site.ask(way, &request, coding).await;
                let warning = answered.warning(way);
                let expected = match none {
                    true => "nothing in this request was recognised",
                    false => "",
                };
                assert!(
                    warning.starts_with(expected) && warning.is_empty() != none,
                    "{way:?} {coding} {request:x?}: {warning}"
                );
                *(if none {
                    &mut unrecognised
                } else {
                    &mut accepted
                }) += 1.0;
                assert_eq!(site.counted(transport, "accepted"), accepted);
                assert_eq!(site.counted(transport, "unrecognised"), unrecognised);
                if way != Way::Json {
                    // With its unknown fields: a destination may know them.
                    let passed_on = site.pipelines.taken.lock().unwrap().pop();
                    assert_eq!(passed_on, Some(request.len() as u64));
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_says_once_a_minute_that_nothing_is_recognised() {
    for way in WAYS.map(|(way, _)| way) {
        let (log, _guard) = LogCapture::begin();
        let site = Site::new();
        let requests = requests(way);
        let (good, _) = requests.iter().find(|(_, none)| !none).unwrap();
        let (bad, _) = requests.iter().find(|(_, none)| *none).unwrap();
        site.ask(way, good, "").await;
        assert_eq!(log.count(UNRECOGNISED), 0, "{way:?}");
        for minute in 1..=3 {
            for second in 0..60 {
                site.ask(way, bad, "").await;
                assert_eq!(
                    log.count(UNRECOGNISED),
                    minute,
                    "{way:?} at {minute}:{second}"
                );
                advance(Duration::from_secs(1)).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_sender_is_told_to_wait_as_long_as_the_pipelines_say() {
    let site = Site::new();
    let f = async |millis: u64, seconds: &str| {
        let retry_after = Duration::from_millis(millis);
        *site.pipelines.refusal.lock().unwrap() = Some(Refusal {
            reason: "queue_full",
            retry_after: Some(retry_after),
        });
        for (way, _) in WAYS {
            let answered = site.ask(way, &requests(way)[0].0, "").await;
            let status = match way {
                Way::Grpc => {
                    assert_eq!(answered.headers["grpc-status"], "14");
                    let details = &answered.headers["grpc-status-details-bin"];
                    STANDARD_NO_PAD.decode(details).unwrap()
                }
                Way::Protobuf | Way::Json => {
                    assert_eq!(answered.status, 503);
                    assert_eq!(answered.headers["retry-after"], seconds, "{way:?}");
                    answered.body.to_vec()
                }
            };
            if way != Way::Json {
                let status = RpcStatus::decode(&status).unwrap();
                assert_eq!(status.retry_after, Some(retry_after), "{way:?}");
                assert_eq!(status.message, "no room: queue_full");
            }
        }
    };
    f(1_000, "1").await;
    f(5_000, "5").await;
    f(30_000, "30").await;
    // HTTP has whole seconds: rounded up, and at least one.
    f(1_500, "2").await;
    f(1, "1").await;
    f(0, "1").await;
    *site.pipelines.refusal.lock().unwrap() = None;
    for (way, _) in WAYS {
        let answered = site.ask(way, &requests(way)[0].0, "").await;
        assert!(!answered.headers.contains_key("retry-after"), "{way:?}");
        assert_eq!(answered.warning(way), "");
    }
}
