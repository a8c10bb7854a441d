//! The parameters of a request.

use std::fmt::Display;

use crate::query::{LabelMatcher, MatchKind, QueryLimits, parse_selector};
use crate::window::aggregation::{StatChoice, WindowLength};
use crate::window::{MatchOperator, Matcher, MatcherError};

/// How far back a request asks that doesn't say.
const WINDOW: &str = "5m";

/// How often a parameter may repeat.
const MOST: usize = 32;

/// What a request asks for. What is empty it doesn't say.
#[derive(Debug, Clone)]
pub(super) struct AggregatedParameters {
    pub(super) window: WindowLength,
    pub(super) series: Vec<Vec<Matcher>>,
    pub(super) group_by: Vec<String>,
    pub(super) stats: Vec<StatChoice>,
}

/// What is wrong with a request, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongParameter(String);

impl AggregatedParameters {
    /// Reads the query of a URL.
    pub(super) fn parse(query: &str) -> Result<Self, WrongParameter> {
        let mut window = None;
        let (mut series, mut group_by, mut stats) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |why: &dyn Display| WrongParameter(format!("{name} {value:?}: {why}"));
            match &*name {
                "window" => {
                    let length = WindowLength::parse(&value).map_err(|error| wrong(&error))?;
                    if window.replace(length).is_some() {
                        return Err(WrongParameter("window is there twice".to_owned()));
                    }
                }
                "match" => {
                    let matchers = parse_selector(&value, &QueryLimits::default())
                        .map_err(|error| wrong(&error))?;
                    let matchers: Result<_, _> = matchers.iter().map(condition).collect();
                    series.push(matchers.map_err(|error| wrong(&error))?);
                }
                "group_by" => match &*value {
                    "" => return Err(wrong(&"a label has a name")),
                    "stat" | "window" => {
                        return Err(wrong(&"results have this label themselves"));
                    }
                    label if group_by.iter().any(|other| other == label) => {}
                    label => group_by.push(label.to_owned()),
                },
                "stat" => {
                    let stat = StatChoice::named(&value)
                        .map_err(|error| WrongParameter(error.to_string()))?;
                    if !stats.contains(&stat) {
                        stats.push(stat);
                    }
                }
                _ => {
                    return Err(WrongParameter(format!(
                        "unknown parameter {name:?}: expected window, match, group_by or stat"
                    )));
                }
            }
            if [series.len(), group_by.len(), stats.len()]
                .iter()
                .any(|n| *n > MOST)
            {
                return Err(WrongParameter(format!(
                    "{name} is there more than {MOST} times"
                )));
            }
        }
        let window = match window {
            Some(window) => window,
            None => WindowLength::parse(WINDOW).map_err(|e| WrongParameter(e.to_string()))?,
        };
        Ok(Self {
            window,
            series,
            group_by,
            stats,
        })
    }
}

/// A condition of a query as the store has it.
fn condition(matcher: &LabelMatcher) -> Result<Matcher, MatcherError> {
    let (name, value) = (&matcher.name, &matcher.value);
    match &matcher.kind {
        MatchKind::Equal => Matcher::new(MatchOperator::Equal, name, value),
        MatchKind::NotEqual => Matcher::new(MatchOperator::NotEqual, name, value),
        MatchKind::Regex(regex) => Ok(Matcher::compiled(name, value, regex, false)),
        MatchKind::NotRegex(regex) => Ok(Matcher::compiled(name, value, regex, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_is_left_to_the_configuration() {
        let none = AggregatedParameters::parse("").unwrap();
        assert_eq!(none.window.text(), "5m");
        assert!(none.series.is_empty() && none.group_by.is_empty() && none.stats.is_empty());
        let query = "window=24h&match=node_cpu%7Bcpu%3D~%220%7C1%22%7D&match=up&group_by=node_id\
                     &group_by=az&group_by=az&stat=p95&stat=avg&stat=avg";
        let all = AggregatedParameters::parse(query).unwrap();
        assert_eq!(
            (all.window.text(), all.window.millis()),
            ("24h", 86_400_000)
        );
        assert_eq!(all.group_by, ["node_id", "az"]);
        let stats: Vec<&str> = all.stats.iter().map(StatChoice::name).collect();
        assert_eq!(stats, ["p95", "avg"]);
        let conditions: Vec<Vec<(&str, bool)>> = all
            .series
            .iter()
            .map(|matchers| {
                matchers
                    .iter()
                    .map(|m| (m.name(), m.matches("1")))
                    .collect()
            })
            .collect();
        assert_eq!(
            conditions,
            [
                vec![("cpu", true), ("__name__", false)],
                vec![("__name__", false)]
            ]
        );
    }

    #[test]
    fn a_wrong_parameter_is_told_what_is_right() {
        let f = |query: &str, expected: &str| {
            let wrong = AggregatedParameters::parse(query).unwrap_err();
            assert_eq!(wrong.to_string(), expected, "{query}");
        };
        f(
            "windows=5m",
            "unknown parameter \"windows\": expected window, match, group_by or stat",
        );
        f(
            "window=5",
            "window \"5\": expected a duration from 1s to 30d, such as 5m, 90s, 1h30m or 7d",
        );
        f("window=5m&window=5m", "window is there twice");
        f("group_by=", "group_by \"\": a label has a name");
        f(
            "group_by=stat",
            "group_by \"stat\": results have this label themselves",
        );
        f(
            "stat=mean",
            "unknown statistic \"mean\": expected avg, min, max, sum, count, stddev, first, last, \
             rate, increase, delta, ema, mad, deriv, or a percentile such as p95 or p99.9",
        );
        let many: String = (0..40).map(|i| format!("&stat=p{i}")).collect();
        f(&many, "stat is there more than 32 times");
        for selector in [
            "",
            "up[5m]",
            "up{",
            "sum(up)",
            "%7B%7D",
            "up%7Ba%3D~%22(%22%7D",
        ] {
            let wrong = AggregatedParameters::parse(&format!("match={selector}")).unwrap_err();
            assert!(
                wrong.to_string().starts_with("match \""),
                "{selector}: {wrong}"
            );
        }
    }
}
