//! Answers questions. Runs on threads beside the workers, and ends when it is told to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::Instant;

use super::super::source::HistorySource;
use super::ApiSettings;
use super::answer::{AnswerData, ApiAnswer};
use super::places::QueryWatch;
use super::question::{
    ApiQuestion, InstantQuestion, MetadataQuestion, QueryQuestion, RangeQuestion, SeriesQuestion,
};
use super::refusal::ApiRefusal;
use crate::query::{
    LabelMatcher, PromQuery, QueryAnswer, QueryError, QueryOptions, QuerySamples, QueryValue,
    parse_selectors,
};
use crate::window::Shelf;

/// The Prometheus whose API and language this speaks. Clients turn on by it what they ask for.
const PROMETHEUS: &str = "3.15.0";

/// What an answer is made with.
struct Answering<'a> {
    settings: &'a ApiSettings,
    watch: &'a Arc<QueryWatch>,
    source: HistorySource,
    /// How long the question waited for a place.
    queued: Duration,
}

impl ApiQuestion {
    /// Answers it from what the windows remember now.
    pub(super) fn answer(
        self,
        windows: &Shelf,
        settings: &ApiSettings,
        watch: &Arc<QueryWatch>,
        queued: Duration,
    ) -> Result<ApiAnswer, ApiRefusal> {
        let asked = Arc::clone(watch);
        let source = HistorySource::new(windows)
            .until(move || asked.interruption())
            .within(settings.limits.max_memory);
        let answering = Answering {
            settings,
            watch,
            source,
            queued,
        };
        match self {
            Self::Instant(instant) => answering.instant(instant),
            Self::Range(range) => answering.range(range),
            Self::Series(series) => answering.series(series),
            Self::LabelNames(series) => answering.label_names(series),
            Self::LabelValues(name, series) => answering.label_values(&name, series),
            Self::Metadata(metadata) => Ok(answering.metadata(&metadata)),
            Self::Exemplars(text) => answering.exemplars(&text),
            Self::BuildInfo => Ok(written(&build_info())),
            Self::Rules => Ok(written(&BTreeMap::from([("groups", [(); 0])]))),
            Self::Alerts => Ok(written(&BTreeMap::from([("alerts", [(); 0])]))),
        }
    }
}

impl Answering<'_> {
    fn instant(&self, question: InstantQuestion) -> Result<ApiAnswer, ApiRefusal> {
        let begun = Instant::now();
        let time = question.time.unwrap_or_else(now);
        let query = self.parse(&question.query)?;
        let parsed = begun.elapsed();
        let options = self.options(&question.query);
        let interrupted = || self.watch.interruption();
        let answer = query.instant(&self.source, time, &options, &interrupted)?;
        let took = (parsed, begun.elapsed());
        Ok(self.value(answer, time, &question.query, took))
    }

    fn range(&self, question: RangeQuestion) -> Result<ApiAnswer, ApiRefusal> {
        let begun = Instant::now();
        let query = self.parse(&question.query)?;
        let parsed = begun.elapsed();
        let options = self.options(&question.query);
        let interrupted = || self.watch.interruption();
        let RangeQuestion { span, step, .. } = question;
        let ranged = query.range(&self.source, span, step, &options, &interrupted);
        let answer = ranged.map_err(|error| ApiRefusal::of_text("query", error))?;
        let took = (parsed, begun.elapsed());
        Ok(self.value(answer, span.1, &question.query, took))
    }

    fn parse(&self, question: &QueryQuestion) -> Result<PromQuery, ApiRefusal> {
        PromQuery::parse(&question.text, &self.settings.limits)
            .map_err(|error| ApiRefusal::of_text("query", error))
    }

    fn options(&self, question: &QueryQuestion) -> QueryOptions {
        let options = QueryOptions::default();
        QueryOptions {
            limits: self.settings.limits.clone(),
            lookback: question.lookback.unwrap_or(options.lookback),
            ..options
        }
    }

    /// The answer with a query's value. `took` says how long parsing took, and all of it.
    fn value(
        &self,
        answer: QueryAnswer,
        time: i64,
        question: &QueryQuestion,
        took: (Duration, Duration),
    ) -> ApiAnswer {
        let mut value = answer.value;
        let is_truncated = question
            .limit
            .is_some_and(|limit| truncate(&mut value, limit));
        let stats = question.stats.then(|| self.stats(took, answer.samples));
        ApiAnswer {
            warnings: answer.warnings,
            infos: answer.infos,
            ..ApiAnswer::new(AnswerData::Value { value, time, stats })
        }
        .truncated(is_truncated)
    }

    fn stats(&self, (parsed, all): (Duration, Duration), samples: QuerySamples) -> Vec<u8> {
        let evaluated = all.saturating_sub(parsed);
        let timings = Timings {
            eval_total_time: evaluated.as_secs_f64(),
            query_preparation_time: parsed.as_secs_f64(),
            inner_eval_time: evaluated.as_secs_f64(),
            exec_queue_time: self.queued.as_secs_f64(),
            exec_total_time: (all + self.queued).as_secs_f64(),
        };
        json(&QueryStats {
            timings,
            samples: SampleCounts {
                total_queryable_samples: samples.queried,
                peak_samples: samples.peak,
            },
        })
    }

    fn series(&self, question: SeriesQuestion) -> Result<ApiAnswer, ApiRefusal> {
        let sets = self.sets(&question);
        let sets = sets.map_err(|error| ApiRefusal::of_text("match[]", error))?;
        let (from, to) = question.span;
        let limit = question.limit.unwrap_or(usize::MAX);
        let (series, is_truncated) = self.source.series(&sets, from, to, limit)?;
        Ok(ApiAnswer::new(AnswerData::Series(series)).truncated(is_truncated))
    }

    fn label_names(&self, question: SeriesQuestion) -> Result<ApiAnswer, ApiRefusal> {
        let sets = self.sets(&question)?;
        let (from, to) = question.span;
        let limit = question.limit.unwrap_or(usize::MAX);
        let (names, is_truncated) = self.source.label_names(&sets, from, to, limit)?;
        Ok(ApiAnswer::new(AnswerData::Texts(names)).truncated(is_truncated))
    }

    fn label_values(&self, name: &str, question: SeriesQuestion) -> Result<ApiAnswer, ApiRefusal> {
        let sets = self.sets(&question)?;
        let (from, to) = question.span;
        let limit = question.limit.unwrap_or(usize::MAX);
        let (values, is_truncated) = self.source.label_values(name, &sets, from, to, limit)?;
        Ok(ApiAnswer::new(AnswerData::Texts(values)).truncated(is_truncated))
    }

    fn sets(&self, question: &SeriesQuestion) -> Result<Vec<Vec<LabelMatcher>>, QueryError> {
        let texts = question.selectors.iter().map(String::as_str);
        parse_selectors(texts, &self.settings.limits)
    }

    fn metadata(&self, question: &MetadataQuestion) -> ApiAnswer {
        #[derive(Serialize)]
        struct MetricLine<'a> {
            #[serde(rename = "type")]
            kind: &'a str,
            unit: &'a str,
            help: &'a str,
        }
        let limit = question.limit.unwrap_or(usize::MAX);
        let known = self.source.metadata(question.metric.as_deref(), limit);
        let mut metrics: BTreeMap<&str, Vec<MetricLine<'_>>> = BTreeMap::new();
        for metric in &known {
            let lines = metrics.entry(&metric.name).or_default();
            if question
                .limit_per_metric
                .is_none_or(|most| lines.len() < most)
            {
                lines.push(MetricLine {
                    kind: metric.kind,
                    unit: &metric.unit,
                    help: &metric.help,
                });
            }
        }
        written(&metrics)
    }

    fn exemplars(&self, text: &str) -> Result<ApiAnswer, ApiRefusal> {
        PromQuery::parse(text, &self.settings.limits)?;
        Ok(ApiAnswer::new(AnswerData::Texts(Vec::new())))
    }
}

/// What a query took, under the names of Prometheus.
#[derive(Serialize)]
struct QueryStats {
    timings: Timings,
    samples: SampleCounts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SampleCounts {
    total_queryable_samples: u64,
    peak_samples: usize,
}

/// How long a query took, in seconds, under the names of Prometheus.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Timings {
    eval_total_time: f64,
    query_preparation_time: f64,
    inner_eval_time: f64,
    exec_queue_time: f64,
    exec_total_time: f64,
}

/// Which Prometheus this is like, and what it is.
fn build_info() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("version", PROMETHEUS),
        ("revision", ""),
        ("branch", ""),
        ("buildUser", ""),
        ("buildDate", ""),
        ("goVersion", ""),
        (
            "application",
            concat!("foghorn ", env!("CARGO_PKG_VERSION")),
        ),
    ])
}

/// Leaves so many series, and says whether there were more.
fn truncate(value: &mut QueryValue, limit: usize) -> bool {
    let length = match value {
        QueryValue::Vector(samples) => {
            let length = samples.len();
            samples.truncate(limit);
            length
        }
        QueryValue::Matrix(series) => {
            let length = series.len();
            series.truncate(limit);
            length
        }
        QueryValue::Scalar(_) | QueryValue::Text(_) => 0,
    };
    length > limit
}

fn written(value: &impl Serialize) -> ApiAnswer {
    ApiAnswer::new(AnswerData::Json(json(value)))
}

/// Texts and numbers can always be written as JSON.
fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The time now, in milliseconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
