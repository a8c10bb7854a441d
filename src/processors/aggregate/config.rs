//! The keys.

use std::collections::HashSet;
use std::fmt::Display;
use std::time::Duration;

use crate::window::Matcher;
use crate::window::aggregation::{
    Across, AggregationPlan, Combine, StatChoice, WindowLength, metrics_like,
};
use crate::window::stats::Method;
use crate::yaml::{Fields, FromValue, PlacedNode};

/// What is aggregated, and whether it is emitted.
#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) plan: AggregationPlan,
    pub(super) windows: Vec<WindowLength>,
    pub(super) interval: Duration,
    pub(super) emit: bool,
}

const WINDOWS: [&str; 5] = ["5m", "15m", "1h", "6h", "24h"];

impl FromValue for Config {
    fn from_value(value: &PlacedNode<'_>) -> Option<Self> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        let mut fields = value.fields()?;
        let windows = list(&mut fields, "windows", 16, WindowLength::parse);
        let windows = windows.unwrap_or_else(|| {
            let default = WINDOWS.iter().flat_map(|text| WindowLength::parse(text));
            default.collect()
        });
        let stats = list(&mut fields, "stats", 32, StatChoice::named);
        let stats = stats.unwrap_or_else(AggregationPlan::default_stats);
        let globs = list(&mut fields, "metrics", 256, |glob| match glob {
            // Every series, without an expression to try.
            "*" => Ok(Vec::new()),
            _ => metrics_like(glob).map(|matcher| vec![matcher]),
        });
        let group_by = optional_list(&mut fields, "group_by", 16, |label| match label {
            "" => Err("a label has a name"),
            "stat" | "window" => Err("results have this label themselves"),
            _ => Ok(label.to_owned()),
        });
        let across = choice(
            &mut fields,
            "across",
            &[("points", false), ("series", true)],
        );
        let combine = choice(
            &mut fields,
            "combine",
            &[
                ("avg", Combine::Avg),
                ("sum", Combine::Sum),
                ("min", Combine::Min),
                ("max", Combine::Max),
            ],
        );
        let method = choice(
            &mut fields,
            "method",
            &[("platform", Method::Platform), ("linear", Method::Linear)],
        );
        let shortest = Duration::from_secs(1);
        let interval = fields.within("interval", Duration::from_secs(60), shortest..=DAY);
        let emit = fields.or("emit", false);
        let pools = match fields.value("across").filter(|value| !value.is_null()) {
            Some(_) => across == Some(false),
            None => true,
        };
        if pools
            && combine.is_some()
            && let Some(combine) = fields.value("combine")
        {
            combine.warn("combine has no effect without `across: series`");
        }
        fields.finish();
        let every: Vec<Vec<Matcher>> = vec![Vec::new()];
        Some(Self {
            plan: AggregationPlan {
                series: globs.unwrap_or(every),
                group_by: group_by.unwrap_or_default(),
                across: match across {
                    Some(true) => Across::Series(combine.unwrap_or_default()),
                    _ => Across::Points,
                },
                stats,
                method: method.unwrap_or_default(),
            },
            windows,
            interval,
            emit,
        })
    }
}

fn choice<T: Clone>(
    fields: &mut Fields<'_>,
    key: &'static str,
    choices: &[(&str, T)],
) -> Option<T> {
    let value = fields.value(key).filter(|value| !value.is_null())?;
    value.choice(choices)
}

/// A list that is there and has one text at least.
fn list<T, E: Display>(
    fields: &mut Fields<'_>,
    key: &'static str,
    most: usize,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let read = optional_list(fields, key, most, read)?;
    if read.is_empty() {
        let value = fields.value(key)?;
        // Items that were wrong have been said to be.
        return match value.items().is_some_and(|items| items.is_empty()) {
            true => value.error(format_args!("{key} is empty: leave it out for the default")),
            false => None,
        };
    }
    Some(read)
}

/// A list of texts, no two the same.
fn optional_list<T, E: Display>(
    fields: &mut Fields<'_>,
    key: &'static str,
    most: usize,
    read: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<T>> {
    let value = fields.value(key).filter(|value| !value.is_null())?;
    let items = value.items()?;
    if items.len() > most {
        return value.error(format_args!("{key} has more than {most} items"));
    }
    let mut seen = HashSet::new();
    let mut all = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.read::<String>() else {
            continue;
        };
        match read(&text) {
            _ if !seen.insert(text.clone()) => {
                item.error::<()>(format_args!("{text:?} is there twice"));
            }
            Ok(read) => all.push(read),
            Err(error) => {
                item.error::<()>(error);
            }
        }
    }
    Some(all)
}
