//! The parameters of a request.

use std::fmt::Display;

use crate::query::{LabelMatcher, MatchKind, QueryLimits, parse_selectors};
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
    /// Texts, which [`series`](Self::series) reads.
    pub(super) selectors: Vec<String>,
    pub(super) group_by: Vec<String>,
    pub(super) stats: Vec<StatChoice>,
}

/// What is wrong with a request, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct WrongParameter(String);

impl AggregatedParameters {
    /// Reads the query of a URL, but for its selectors.
    pub(super) fn read(query: &str) -> Result<Self, WrongParameter> {
        let mut window = None;
        let (mut selectors, mut group_by, mut stats) = (Vec::new(), Vec::new(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let wrong = |why: &dyn Display| WrongParameter(format!("{name} {value:?}: {why}"));
            match &*name {
                "window" => {
                    let length = WindowLength::parse(&value).map_err(|error| wrong(&error))?;
                    if window.replace(length).is_some() {
                        return Err(WrongParameter("window is there twice".to_owned()));
                    }
                }
                "match" => selectors.push(value.into_owned()),
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
            if [selectors.len(), group_by.len(), stats.len()]
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
            selectors,
            group_by,
            stats,
        })
    }

    /// Reads the selectors. All of them together may have the regular expressions of one query,
    /// and to compile so many takes tens of milliseconds.
    pub(super) fn series(&self) -> Result<Vec<Vec<Matcher>>, WrongParameter> {
        let mut read = "";
        let texts = self.selectors.iter().map(String::as_str);
        let texts = texts.inspect(|text| read = *text);
        let sets = parse_selectors(texts, &QueryLimits::default());
        let wrong =
            |text: &str, why: &dyn Display| WrongParameter(format!("match {text:?}: {why}"));
        let sets = sets.map_err(|error| wrong(read, &error))?;
        let series = sets.iter().zip(&self.selectors).map(|(set, text)| {
            let conditions: Result<Vec<_>, _> = set.iter().map(condition).collect();
            conditions.map_err(|error| wrong(text, &error))
        });
        series.collect()
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
        let none = AggregatedParameters::read("").unwrap();
        assert_eq!(none.window.text(), "5m");
        assert!(none.selectors.is_empty() && none.group_by.is_empty() && none.stats.is_empty());
        let query = "window=24h&match=node_cpu%7Bcpu%3D~%220%7C1%22%7D&match=up&group_by=node_id\
                     &group_by=az&group_by=az&stat=p95&stat=avg&stat=avg";
        let all = AggregatedParameters::read(query).unwrap();
        assert_eq!(
            (all.window.text(), all.window.millis()),
            ("24h", 86_400_000)
        );
        assert_eq!(all.group_by, ["node_id", "az"]);
        let stats: Vec<&str> = all.stats.iter().map(StatChoice::name).collect();
        assert_eq!(stats, ["p95", "avg"]);
        let series = all.series().unwrap();
        let conditions: Vec<Vec<(&str, bool)>> = series
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
            let wrong = AggregatedParameters::read(query).unwrap_err();
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
            let query = format!("match=up&match={selector}&match=down");
            let wrong = AggregatedParameters::read(&query).unwrap().series();
            let wrong = wrong.unwrap_err().to_string();
            assert!(wrong.starts_with("match \""), "{selector}: {wrong}");
            assert!(
                !wrong.contains("\"up\"") && !wrong.contains("down"),
                "{wrong}"
            );
        }
    }

    #[test]
    fn the_expressions_of_all_selectors_share_the_room_of_one_query() {
        let conditions: Vec<String> = (0..9).map(|i| format!("a{i}=~\"b.\"")).collect();
        let repeats = format!("match=x{{{}}}&", conditions.join(","));
        let f = |selectors: usize| {
            let parameters = AggregatedParameters::read(&repeats.repeat(selectors)).unwrap();
            parameters.series().map(|series| series.len())
        };
        assert_eq!(f(10), Ok(10));
        let wrong = f(MOST).unwrap_err().to_string();
        assert!(wrong.contains("too many or too large"), "{wrong}");
    }
}
