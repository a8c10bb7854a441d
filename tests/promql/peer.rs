//! A real Prometheus: started on a port of its own, fed by remote write or OTLP, asked by HTTP.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use prost::Message;

use super::data::{DataSeries, DataSet, LENGTH, START};
use super::lib::{NativeHistogram, STALE, is_stale};

/// Time for Prometheus to start.
const PATIENCE: usize = 300;

/// A running Prometheus.
pub struct Peer {
    child: Child,
    client: Client,
}

/// A status and what came with it.
pub type Answer = (u16, serde_json::Value);

/// What asks a server on this machine, over one connection.
pub struct Client {
    address: String,
    connection: Option<BufReader<TcpStream>>,
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Peer {
    /// Starts it with a directory of its own, and waits until it is ready.
    pub fn start(program: &Path, directory: &Path) -> Self {
        let port = free_port();
        let config = directory.join("prometheus.yml");
        std::fs::write(
            &config,
            "storage: {tsdb: {out_of_order_time_window: 30d}}\n",
        )
        .unwrap();
        let child = Command::new(program)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                directory.join("data").display()
            ))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--web.enable-remote-write-receiver")
            .arg("--web.enable-otlp-receiver")
            .arg("--enable-feature=promql-experimental-functions")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut peer = Self {
            child,
            client: Client::new(format!("127.0.0.1:{port}")),
        };
        for _ in 0..PATIENCE {
            let ready = peer.client.request("GET", "/-/ready", "", &[], &[]);
            if matches!(ready, Ok((200, _))) {
                return peer;
            }
            // A process that starts can only be waited for.
            let (_sender, receiver) = std::sync::mpsc::channel::<()>();
            let _ = receiver.recv_timeout(Duration::from_millis(100));
        }
        panic!("Prometheus isn't ready");
    }

    /// Sends all points, in slices of time, so that each series' come in order.
    pub fn write(&mut self, data: &DataSet) {
        const SLICE: i64 = 20 * 60_000;
        let mut from = START - 60_000;
        while from < START + LENGTH + SLICE {
            let series = data
                .0
                .iter()
                .map(|series| slice(series, from, from + SLICE));
            let request = WriteRequest {
                timeseries: series.filter(TimeSeries::has_points).collect(),
            };
            let body = snappy(&request.encode_to_vec());
            let headers = [
                ("Content-Encoding", "snappy"),
                ("X-Prometheus-Remote-Write-Version", "0.1.0"),
            ];
            let kind = "application/x-protobuf";
            self.client.post("/api/v1/write", kind, &headers, &body);
            from += SLICE;
        }
    }

    /// Sends a request of OTLP.
    pub fn export(&mut self, request: &[u8]) {
        let path = "/api/v1/otlp/v1/metrics";
        self.client
            .post(path, "application/x-protobuf", &[], request);
    }

    /// The answer to a form, with its status.
    pub fn ask(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        self.client.ask(method, path, form)
    }

    /// What asks it.
    pub fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    /// The id of its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How many seconds of points are in its head and not in blocks yet.
    pub fn head_seconds(&mut self) -> f64 {
        let page = self.client.text("/metrics");
        let value = |name: &str| -> f64 {
            let mut lines = page.lines().filter_map(|line| line.split_once(' '));
            let found = lines.find(|(line, _)| *line == name);
            found.unwrap().1.parse().unwrap()
        };
        let head = "prometheus_tsdb_head";
        value(&format!("{head}_max_time_seconds")) - value(&format!("{head}_min_time_seconds"))
    }
}

impl Client {
    /// For the server at `host:port`.
    pub fn new(address: String) -> Self {
        Self {
            address,
            connection: None,
        }
    }

    /// Posts a body that has to be taken.
    pub fn post(&mut self, path: &str, kind: &str, headers: &[(&str, &str)], body: &[u8]) {
        let (status, text) = self.request("POST", path, kind, headers, body).unwrap();
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(status / 100 == 2, "{path}: {status} {text}");
    }

    /// A page.
    pub fn text(&mut self, path: &str) -> String {
        let answer = self.request("GET", path, "", &[], &[]);
        String::from_utf8(answer.unwrap().1).unwrap()
    }

    /// The JSON of a page.
    pub fn get(&mut self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(path)).unwrap()
    }

    /// The answer to a form, with its status.
    pub fn ask(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> Answer {
        let (status, body) = self.send(method, path, form);
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// The answer to a form as it comes.
    pub fn fetch(&mut self, path: &str, form: &[(&str, &str)]) -> Vec<u8> {
        self.send("POST", path, form).1
    }

    fn send(&mut self, method: &str, path: &str, form: &[(&str, &str)]) -> (u16, Vec<u8>) {
        let fields: Vec<String> = form
            .iter()
            .map(|(key, value)| format!("{key}={}", escaped(value)))
            .collect();
        let form = fields.join("&");
        let (path, kind, body) = match method {
            "GET" => (format!("{path}?{form}"), "", String::new()),
            _ => (path.to_owned(), "application/x-www-form-urlencoded", form),
        };
        let answer = self.request(method, &path, kind, &[], body.as_bytes());
        let answer = answer.or_else(|_| {
            // A connection that was idle may have been closed.
            self.connection = None;
            self.request(method, &path, kind, &[], body.as_bytes())
        });
        answer.unwrap()
    }

    fn request(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<(u16, Vec<u8>)> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => BufReader::new(TcpStream::connect(&self.address)?),
        };
        let mut head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {}\r\n",
            body.len()
        );
        if !kind.is_empty() {
            head += &format!("Content-Type: {kind}\r\n");
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += "\r\n";
        connection
            .get_mut()
            .write_all(&[head.as_bytes(), body].concat())?;
        let answer = read_answer(&mut connection)?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn read_answer(from: &mut BufReader<TcpStream>) -> std::io::Result<(u16, Vec<u8>)> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| std::io::Error::other("no status"))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let header = line.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        chunked |= header == "transfer-encoding: chunked";
    }
    let mut body = Vec::new();
    if !chunked {
        body.resize(length, 0);
        from.read_exact(&mut body)?;
        return Ok((status, body));
    }
    loop {
        line.clear();
        from.read_line(&mut line)?;
        let size = usize::from_str_radix(line.trim(), 16).map_err(std::io::Error::other)?;
        let start = body.len();
        body.resize(start + size + 2, 0);
        from.read_exact(&mut body[start..])?;
        body.truncate(start + size);
        if size == 0 {
            return Ok((status, body));
        }
    }
}

fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() {
            escaped.push(byte as char);
        } else {
            escaped += &format!("%{byte:02X}");
        }
    }
    escaped
}

/// Snappy's format without any compression.
fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 1_000 + 16);
    prost::encoding::encode_varint(bytes.len() as u64, &mut out);
    for literal in bytes.chunks(60_000) {
        out.push(61 << 2);
        out.extend_from_slice(&((literal.len() - 1) as u16).to_le_bytes());
        out.extend_from_slice(literal);
    }
    out
}

#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<FloatSample>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<HistogramSample>,
}

impl TimeSeries {
    fn has_points(&self) -> bool {
        !self.samples.is_empty() || !self.histograms.is_empty()
    }
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct FloatSample {
    /// Always sent: a zero that isn't has no sign.
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, tag = "1")]
    offset: i32,
    #[prost(uint32, tag = "2")]
    length: u32,
}

#[derive(Clone, PartialEq, Message)]
struct HistogramSample {
    #[prost(uint64, tag = "1")]
    count: u64,
    #[prost(double, tag = "3")]
    sum: f64,
    #[prost(sint32, tag = "4")]
    schema: i32,
    #[prost(double, tag = "5")]
    zero_threshold: f64,
    #[prost(uint64, tag = "6")]
    zero_count: u64,
    #[prost(message, repeated, tag = "8")]
    negative_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "9")]
    negative_deltas: Vec<i64>,
    #[prost(message, repeated, tag = "11")]
    positive_spans: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "12")]
    positive_deltas: Vec<i64>,
    #[prost(int32, tag = "14")]
    reset_hint: i32,
    #[prost(int64, tag = "15")]
    timestamp: i64,
}

fn slice(series: &DataSeries, from: i64, to: i64) -> TimeSeries {
    let points = &series.points;
    let within = |time: i64| (from..to).contains(&time);
    let marks_histograms = points.values.iter().all(|value| is_stale(*value));
    let mut sent = TimeSeries::default();
    for label in series.labels.iter() {
        sent.labels.push(Label {
            name: label.name.to_string(),
            value: label.value.to_string(),
        });
    }
    let floats = points.times.iter().zip(&points.values);
    for (timestamp, value) in floats.filter(|(time, _)| within(**time)) {
        let (timestamp, value) = (*timestamp, Some(*value));
        if marks_histograms {
            sent.histograms.push(HistogramSample {
                sum: STALE,
                timestamp,
                reset_hint: if series.gauge { 3 } else { 0 },
                ..HistogramSample::default()
            });
        } else {
            sent.samples.push(FloatSample { value, timestamp });
        }
    }
    let histograms = points.histograms.iter();
    for (timestamp, histogram) in histograms.filter(|(time, _)| within(*time)) {
        sent.histograms.push(sample(*timestamp, histogram));
    }
    sent.histograms.sort_by_key(|sample| sample.timestamp);
    sent
}

fn sample(timestamp: i64, histogram: &NativeHistogram) -> HistogramSample {
    let (positive_spans, positive_deltas) = spans(&histogram.positive);
    let (negative_spans, negative_deltas) = spans(&histogram.negative);
    HistogramSample {
        count: histogram.count as u64,
        sum: histogram.sum,
        schema: histogram.schema,
        zero_threshold: histogram.zero_threshold,
        zero_count: histogram.zero_count as u64,
        negative_spans,
        negative_deltas,
        positive_spans,
        positive_deltas,
        reset_hint: if histogram.gauge { 3 } else { 0 },
        timestamp,
    }
}

fn spans(buckets: &[(i32, f64)]) -> (Vec<BucketSpan>, Vec<i64>) {
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut deltas = Vec::new();
    let (mut next, mut before) = (0, 0);
    for (index, count) in buckets {
        match spans.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => spans.push(BucketSpan {
                offset: index - next,
                length: 1,
            }),
        }
        next = index + 1;
        deltas.push(*count as i64 - before);
        before = *count as i64;
    }
    (spans, deltas)
}
