//! Queries over small series, by table. The values are those of Prometheus's documents and
//! of its own tests.

mod charges;
mod limits;
mod vectors;
mod windows;

use super::*;

/// Series that were written as text: a value each minute from 0 on, `_` for none and
/// `stale` for the mark of an end.
struct Written(Vec<(LabelSet, SeriesPoints)>);

struct Found<'a>(&'a (LabelSet, SeriesPoints));

impl SelectedSeries for Found<'_> {
    fn labels(&self) -> LabelSet {
        self.0.0.clone()
    }

    fn read(&mut self, from: i64, to: i64, into: &mut SeriesPoints) -> Result<(), QueryError> {
        let SeriesPoints {
            times,
            values,
            histograms,
        } = &self.0.1;
        for (time, value) in times.iter().zip(values) {
            if (from..=to).contains(time) {
                into.push(*time, *value);
            }
        }
        let within = histograms.iter();
        let within = within.filter(|(time, _)| (from..=to).contains(time));
        into.histograms.extend(within.cloned());
        Ok(())
    }
}

impl SeriesSource for Written {
    fn select<'a>(
        &'a self,
        matchers: &[LabelMatcher],
        _from: i64,
        _to: i64,
        _room: &'a dyn SourceRoom,
    ) -> Result<Vec<Box<dyn SelectedSeries + 'a>>, QueryError> {
        let wanted = self.0.iter().filter(|(labels, _)| {
            let mut matchers = matchers.iter();
            matchers.all(|matcher| matcher.matches(labels.value(&matcher.name)))
        });
        Ok(wanted
            .map(|series| Box::new(Found(series)) as Box<dyn SelectedSeries>)
            .collect())
    }
}

const MINUTE: i64 = 60_000;

fn written(series: &[(&str, &str)]) -> Written {
    let series = series.iter().map(|(selector, values)| {
        let matchers = parse_selector(selector, &QueryLimits::default()).unwrap();
        let labels = matchers.iter();
        let labels =
            labels.map(|matcher| LabelPair::new(matcher.name.as_str(), matcher.value.as_str()));
        let mut points = SeriesPoints::default();
        for (at, value) in values.split_whitespace().enumerate() {
            match value {
                "_" => {}
                "stale" => points.push(at as i64 * MINUTE, STALE),
                value => points.push(at as i64 * MINUTE, value.parse().unwrap()),
            }
        }
        (LabelSet::new(labels.collect()), points)
    });
    let mut series: Vec<_> = series.collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    Written(series)
}

fn shown(value: &PointValue) -> String {
    match value {
        PointValue::Float(value) => text::general(*value),
        PointValue::Histogram(histogram) => histogram.to_string(),
    }
}

/// The answer at a minute, as text: the value of each series, or the error.
fn ask_with(source: &Written, query: &str, minute: i64, options: &QueryOptions) -> String {
    let answer = PromQuery::parse(query, &options.limits)
        .and_then(|query| query.instant(source, minute * MINUTE, options, &|| None));
    match answer.map(|answer| answer.value) {
        Err(error) => format!("{}: {error}", error.kind.as_str()),
        Ok(QueryValue::Scalar(value)) => text::general(value),
        Ok(QueryValue::Text(text)) => text,
        Ok(QueryValue::Vector(samples)) => {
            let samples = samples.iter();
            let samples = samples.map(|(labels, value)| format!("{labels} {}", shown(value)));
            samples.collect::<Vec<_>>().join("; ")
        }
        Ok(QueryValue::Matrix(series)) => {
            let series = series.iter().map(|series| {
                let points = series.points.times.iter().zip(&series.points.values);
                let points: Vec<String> = points
                    .map(|(time, value)| format!("{}@{}", text::general(*value), time / 1_000))
                    .collect();
                format!("{} {}", series.labels, points.join(" "))
            });
            series.collect::<Vec<_>>().join("; ")
        }
    }
}

fn ask(source: &Written, query: &str, minute: i64) -> String {
    ask_with(source, query, minute, &QueryOptions::default())
}

/// The values of a range of minutes, for each series.
fn ask_range(source: &Written, query: &str, (from, to): (i64, i64)) -> String {
    let options = QueryOptions::default();
    let query = PromQuery::parse(query, &options.limits).unwrap();
    let ends = (from * MINUTE, to * MINUTE);
    let answer = query.range(source, ends, MINUTE, &options, &|| None);
    let QueryValue::Matrix(series) = answer.unwrap().value else {
        return "no matrix".to_owned();
    };
    let series = series.iter().map(|series| {
        let points = series.points.times.iter().zip(&series.points.values);
        let points: Vec<String> = points
            .map(|(time, value)| format!("{}@{}", text::general(*value), time / MINUTE))
            .collect();
        format!("{} {}", series.labels, points.join(" "))
    });
    series.collect::<Vec<_>>().join("; ")
}
