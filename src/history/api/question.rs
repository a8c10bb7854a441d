//! What a request asks, read from its parameters.

use std::time::Duration;

use super::endpoint::QueryEndpoint;
use super::escaping::label_name;
use super::form::QueryForm;
use super::refusal::ApiRefusal;
use super::times::FURTHEST;

/// The most steps of a range, so that a client that forgets its step gets no endless answer.
const MOST_STEPS: i128 = 11_000;

/// What is asked. Texts aren't parsed yet, which may take long.
pub(super) enum ApiQuestion {
    Instant(InstantQuestion),
    Range(RangeQuestion),
    Series(SeriesQuestion),
    LabelNames(SeriesQuestion),
    LabelValues(String, SeriesQuestion),
    Metadata(MetadataQuestion),
    Exemplars(String),
    BuildInfo,
    Rules,
    Alerts,
}

/// A query, and how it is to be answered.
pub(super) struct QueryQuestion {
    pub(super) text: String,
    pub(super) timeout: Option<Duration>,
    /// The most series of the answer.
    pub(super) limit: Option<usize>,
    /// In milliseconds.
    pub(super) lookback: Option<i64>,
    /// Whether to say how long it took.
    pub(super) stats: bool,
}

pub(super) struct InstantQuestion {
    pub(super) query: QueryQuestion,
    /// In milliseconds since 1970; now if the request doesn't say.
    pub(super) time: Option<i64>,
}

pub(super) struct RangeQuestion {
    pub(super) query: QueryQuestion,
    /// In milliseconds since 1970, both included.
    pub(super) span: (i64, i64),
    /// In milliseconds.
    pub(super) step: i64,
}

/// Series that are wanted by one of these selectors.
pub(super) struct SeriesQuestion {
    pub(super) selectors: Vec<String>,
    pub(super) span: (i64, i64),
    pub(super) limit: Option<usize>,
}

pub(super) struct MetadataQuestion {
    pub(super) metric: Option<String>,
    /// The most metrics, and the most that is said of each.
    pub(super) limit: Option<usize>,
    pub(super) limit_per_metric: Option<usize>,
}

impl ApiQuestion {
    /// Reads the parameters, in the order in which Prometheus does, so that of two that are wrong
    /// the same is named.
    pub(super) fn read(
        endpoint: QueryEndpoint,
        form: &QueryForm,
        path: &str,
    ) -> Result<Self, ApiRefusal> {
        Ok(match endpoint {
            QueryEndpoint::Query => Self::Instant(InstantQuestion::read(form)?),
            QueryEndpoint::QueryRange => Self::Range(RangeQuestion::read(form)?),
            QueryEndpoint::Series => {
                if form.values("match[]").next().is_none() {
                    return Err(ApiRefusal::bad_data("no match[] parameter provided"));
                }
                Self::Series(SeriesQuestion::read(form)?)
            }
            QueryEndpoint::Labels => Self::LabelNames(SeriesQuestion::read(form)?),
            QueryEndpoint::LabelValues => {
                let name = match label_name(path) {
                    Ok(name) if name.is_empty() => Err(name),
                    name => name,
                };
                let name = name.map_err(|shown| {
                    ApiRefusal::bad_data(format!("invalid label name: \"{shown}\""))
                })?;
                Self::LabelValues(name, SeriesQuestion::read(form)?)
            }
            QueryEndpoint::Metadata => Self::Metadata(MetadataQuestion::read(form)?),
            QueryEndpoint::Exemplars => {
                // Read so that what is wrong is said; there are none at any time.
                let start = form.time_or("start", -FURTHEST)?;
                let end = form.time_or("end", FURTHEST)?;
                if end < start {
                    return Err(ApiRefusal::bad_data(
                        "end timestamp must not be before start timestamp",
                    ));
                }
                Self::Exemplars(form.value("query").to_owned())
            }
            QueryEndpoint::BuildInfo => Self::BuildInfo,
            QueryEndpoint::Rules => {
                let kind = form.value("type").to_ascii_lowercase();
                if !["", "alert", "record"].contains(&kind.as_str()) {
                    let reason = format!("not supported value {kind:?}");
                    return Err(ApiRefusal::parameter("type", reason));
                }
                Self::Rules
            }
            QueryEndpoint::Alerts => Self::Alerts,
        })
    }

    /// Whether the answer depends on what is remembered.
    pub(super) fn needs_points(&self) -> bool {
        !matches!(self, Self::BuildInfo | Self::Rules | Self::Alerts)
    }

    /// How long the request allows for the answer, if it says.
    pub(super) fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Instant(instant) => instant.query.timeout,
            Self::Range(range) => range.query.timeout,
            _ => None,
        }
    }
}

impl InstantQuestion {
    fn read(form: &QueryForm) -> Result<Self, ApiRefusal> {
        let limit = form.limit()?;
        let time = match form.value("time") {
            "" => None,
            _ => Some(form.time_or("time", 0)?),
        };
        let query = QueryQuestion::read(form, limit)?;
        Ok(Self { query, time })
    }
}

impl RangeQuestion {
    fn read(form: &QueryForm) -> Result<Self, ApiRefusal> {
        let limit = form.limit()?;
        let span = (form.time("start")?, form.time("end")?);
        if span.1 < span.0 {
            let reason = "end timestamp must not be before start time";
            return Err(ApiRefusal::parameter("end", reason));
        }
        let step = form.duration("step")?;
        if step <= 0 {
            let reason = "zero or negative query resolution step widths are not accepted. Try a \
                          positive integer";
            return Err(ApiRefusal::parameter("step", reason));
        }
        let length = (i128::from(span.1) - i128::from(span.0)) * 1_000_000;
        if length / i128::from(step) > MOST_STEPS {
            return Err(ApiRefusal::bad_data(
                "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the \
                 query resolution (?step=XX)",
            ));
        }
        let query = QueryQuestion::read(form, limit)?;
        Ok(Self {
            query,
            span,
            step: (step / 1_000_000).max(1),
        })
    }
}

impl QueryQuestion {
    fn read(form: &QueryForm, limit: Option<usize>) -> Result<Self, ApiRefusal> {
        let timeout = form.duration_if("timeout")?;
        let timeout = timeout.map(|nanoseconds| u64::try_from(nanoseconds).unwrap_or(0));
        Ok(Self {
            text: form.value("query").to_owned(),
            timeout: timeout.map(Duration::from_nanos),
            limit,
            lookback: form.lookback()?,
            stats: !form.value("stats").is_empty(),
        })
    }
}

impl SeriesQuestion {
    fn read(form: &QueryForm) -> Result<Self, ApiRefusal> {
        let limit = form.limit()?;
        let span = (
            form.time_or("start", -FURTHEST)?,
            form.time_or("end", FURTHEST)?,
        );
        let selectors = form.values("match[]").map(str::to_owned);
        Ok(Self {
            selectors: selectors.collect(),
            span,
            limit,
        })
    }
}

impl MetadataQuestion {
    fn read(form: &QueryForm) -> Result<Self, ApiRefusal> {
        let metric = form.value("metric");
        Ok(Self {
            limit: form.count("limit")?,
            limit_per_metric: form.count("limit_per_metric")?.filter(|limit| *limit > 0),
            metric: (!metric.is_empty()).then(|| metric.to_owned()),
        })
    }
}
