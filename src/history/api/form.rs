//! The parameters of a request: those of its URL, and those of a posted form.

use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};

use bytes::Bytes;

use super::refusal::ApiRefusal;
use super::times::{parse_duration, parse_time};

/// What a posted body has to be.
const FORM: &str = "application/x-www-form-urlencoded";

/// The parameters in their order. Where one stands twice, the first counts, and those of the form
/// stand before those of the URL.
pub(super) struct QueryForm(Vec<(String, String)>);

impl QueryForm {
    /// Reads them.
    pub(super) fn of(request: &Request<Bytes>) -> Result<Self, ApiRefusal> {
        let mut pairs = Vec::new();
        let body = request.body();
        if request.method() == Method::POST && !body.is_empty() {
            let content_type = request.headers().get(CONTENT_TYPE);
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let essence = content_type.and_then(|value| value.split(';').next());
            if !essence.is_some_and(|essence| essence.trim().eq_ignore_ascii_case(FORM)) {
                return Err(ApiRefusal::bad_data(format!(
                    "a posted body has to be a form of the type {FORM}"
                )));
            }
            pairs.extend(form_urlencoded::parse(body).into_owned());
        }
        let query = request.uri().query().unwrap_or_default();
        pairs.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Self(pairs))
    }

    /// A parameter, empty where it isn't given.
    pub(super) fn value(&self, name: &str) -> &str {
        self.values(name).next().unwrap_or_default()
    }

    /// All values of a parameter that may stand several times.
    pub(super) fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        let pairs = self.0.iter().filter(move |(key, _)| key == name);
        pairs.map(|(_, value)| value.as_str())
    }

    /// A time in milliseconds since 1970 that has to be given.
    pub(super) fn time(&self, name: &'static str) -> Result<i64, ApiRefusal> {
        let text = self.value(name);
        let time = parse_time(text);
        time.ok_or_else(|| ApiRefusal::parameter(name, no_time(text)))
    }

    /// A time that need not be given.
    pub(super) fn time_or(&self, name: &'static str, default: i64) -> Result<i64, ApiRefusal> {
        match self.value(name) {
            "" => Ok(default),
            text => parse_time(text).ok_or_else(|| {
                let message = format!("invalid time value for '{name}': {}", no_time(text));
                ApiRefusal::parameter(name, message)
            }),
        }
    }

    /// A duration in nanoseconds that has to be given.
    pub(super) fn duration(&self, name: &'static str) -> Result<i64, ApiRefusal> {
        let text = self.value(name);
        let duration = parse_duration(text);
        duration.ok_or_else(|| ApiRefusal::parameter(name, no_duration(text)))
    }

    /// A duration that need not be given.
    pub(super) fn duration_if(&self, name: &'static str) -> Result<Option<i64>, ApiRefusal> {
        match self.value(name) {
            "" => Ok(None),
            _ => self.duration(name).map(Some),
        }
    }

    /// How far back selectors look, in milliseconds, if the request says so.
    pub(super) fn lookback(&self) -> Result<Option<i64>, ApiRefusal> {
        let text = self.value("lookback_delta");
        if text.is_empty() {
            return Ok(None);
        }
        let nanoseconds = parse_duration(text).ok_or_else(|| {
            let reason = no_duration(text);
            ApiRefusal::bad_data(format!("error parsing lookback delta duration: {reason}"))
        })?;
        let milliseconds = nanoseconds / 1_000_000;
        Ok((milliseconds > 0).then_some(milliseconds))
    }

    /// How many results are wanted at most; none for all.
    pub(super) fn limit(&self) -> Result<Option<usize>, ApiRefusal> {
        let text = self.value("limit");
        if text.is_empty() {
            return Ok(None);
        }
        let limit: i64 = text
            .parse()
            .map_err(|_| ApiRefusal::parameter("limit", format!("{text:?} is not a number")))?;
        match usize::try_from(limit) {
            Ok(0) => Ok(None),
            Ok(limit) => Ok(Some(limit)),
            Err(_) => Err(ApiRefusal::parameter(
                "limit",
                "limit must be non-negative".to_owned(),
            )),
        }
    }

    /// A number that has to be one if it is given, and means all where it is negative.
    pub(super) fn count(&self, name: &str) -> Result<Option<usize>, ApiRefusal> {
        let text = self.value(name);
        if text.is_empty() {
            return Ok(None);
        }
        let number: i64 = text
            .parse()
            .map_err(|_| ApiRefusal::bad_data(format!("{name} must be a number")))?;
        Ok(usize::try_from(number).ok())
    }
}

fn no_time(text: &str) -> String {
    format!("cannot parse {text:?} to a valid timestamp")
}

fn no_duration(text: &str) -> String {
    format!("cannot parse {text:?} to a valid duration")
}
