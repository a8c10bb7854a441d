//! Random queries of a type: most of them can be answered, some can't.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and needs another part of it each"
)]

use super::random::Dice;
use super::words::{
    AGGREGATORS, FLOATS, GROUPINGS, HISTOGRAMS, MATH, NUMBERS, OFFSETS, OVER_TIME, RANGES, WRONG,
};

/// A query of a random type.
pub fn random(dice: &mut Dice) -> String {
    let mut query = of_any_type(dice);
    if query.contains("time()") || query.contains("timestamp(") {
        // The spread of numbers as large as times is mostly rounding.
        query = query.replace("histogram_std", "histogram_");
        query = query.replace("stddev", "max").replace("stdvar", "min");
    }
    let has_histograms = HISTOGRAMS.iter().any(|name| query.contains(name));
    if has_histograms {
        // Prometheus takes histograms for different that hold the same in other chunks.
        return query.replace("changes(", "resets(");
    }
    query
}

/// A query of which some characters may be wrong, and sometimes a type.
pub fn maybe_wrong(dice: &mut Dice) -> String {
    if dice.one_in(30) {
        return dice.pick(WRONG).to_owned();
    }
    let query = random(dice);
    if !dice.one_in(20) {
        return query;
    }
    let mut chars: Vec<char> = query.chars().collect();
    let at = dice.below(chars.len());
    match dice.below(3) {
        0 => {
            chars.remove(at);
        }
        1 => chars.insert(
            at,
            dice.pick(&["(", ")", "[", "}", "\"", ",", "=", "1"])
                .chars()
                .next()
                .unwrap(),
        ),
        _ => chars.truncate(at),
    }
    chars.into_iter().collect()
}

fn of_any_type(dice: &mut Dice) -> String {
    match dice.below(20) {
        0..=3 => raw_range(dice),
        4 => scalar(dice, 2),
        5 => format!(
            "count(limitk{}({}, {}))",
            grouping(dice),
            dice.below(5),
            vector(dice, 1)
        ),
        6 => sorted(dice),
        _ => {
            let depth = 1 + dice.below(3);
            vector(dice, depth)
        }
    }
}

/// The points of one series, or a function of them.
fn raw_range(dice: &mut Dice) -> String {
    let name = if dice.one_in(4) {
        dice.pick(HISTOGRAMS)
    } else {
        dice.pick(FLOATS)
    };
    let (a, b) = (dice.pick(&["x", "y", "z"]), dice.pick(&["1", "2"]));
    let matchers = format!("{{a=\"{a}\",b=\"{b}\"}}");
    let range = format!("{name}{matchers}[{}]{}", dice.pick(RANGES), modifier(dice));
    match dice.below(3) {
        0 => range,
        1 => format!("{}({range})", dice.pick(OVER_TIME)),
        _ => format!(
            "quantile_over_time({}, {range})",
            dice.pick(&["0", "0.3", "0.5", "0.95", "1"])
        ),
    }
}

fn grouping(dice: &mut Dice) -> &'static str {
    dice.pick(GROUPINGS)
}

fn modifier(dice: &mut Dice) -> String {
    match dice.below(12) {
        0 => format!(" offset {}", dice.pick(OFFSETS)),
        1 => " @ start()".to_owned(),
        2 => " @ end()".to_owned(),
        3 => format!(" @ {}", 1_767_225_600 + dice.below(7_000)),
        4 => format!(
            " @ {}.{:03} offset {}",
            1_767_225_600 + dice.below(7_000),
            dice.below(1_000),
            dice.pick(OFFSETS)
        ),
        _ => String::new(),
    }
}

fn matchers(dice: &mut Dice) -> String {
    match dice.below(10) {
        0..=3 => String::new(),
        4 => format!("{{a=\"{}\"}}", dice.pick(&["x", "y", "z"])),
        5 => format!("{{a!=\"{}\"}}", dice.pick(&["x", "y", "z"])),
        6 => format!(
            "{{b=~\"{}\"}}",
            dice.pick(&[
                "1|2",
                ".*",
                "[2-9]",
                ".+",
                "",
                r"\\d",
                r"[\\d-]{1,63}",
                r"\\D",
                r"\\Q1\\E",
                r"[[1]"
            ])
        ),
        7 => format!(
            "{{a!~\"{}\"}}",
            dice.pick(&["x|y", "z.*", ".", "", r"\\w", "[x-y]", "(?i)X"])
        ),
        8 => "{job=\"node\"}".to_owned(),
        _ => format!(
            "{{a=\"{}\",b=\"{}\"}}",
            dice.pick(&["x", "y", "z"]),
            dice.pick(&["1", "2"])
        ),
    }
}

fn selector(dice: &mut Dice) -> String {
    if dice.one_in(25) {
        let name = dice.pick(&[
            "gauge|level",
            "requests.*",
            "wait_seconds_(sum|count)",
            ".*l",
        ]);
        return format!("{{__name__=~\"{name}\"}}");
    }
    if dice.one_in(30) {
        let name = dice.pick(&["gauge", "gauge", "größe.°C"]);
        return format!("{{\"{name}\",a=\"x\"}}");
    }
    let names = if dice.one_in(5) { HISTOGRAMS } else { FLOATS };
    format!("{}{}", dice.pick(names), matchers(dice))
}

fn range(dice: &mut Dice, depth: usize) -> String {
    if depth > 0 && dice.one_in(4) {
        let step = dice.pick(&["", "", "30s", "1m", "7s", "100s"]);
        let inner = vector(dice, depth - 1);
        return format!("({inner})[{}:{step}]{}", dice.pick(RANGES), modifier(dice));
    }
    format!(
        "{}[{}]{}",
        selector(dice),
        dice.pick(RANGES),
        modifier(dice)
    )
}

fn scalar(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return dice.pick(NUMBERS).to_owned();
    }
    match dice.below(8) {
        0 => "time()".to_owned(),
        1 => "pi()".to_owned(),
        2 => format!("scalar({})", vector(dice, depth - 1)),
        3 => {
            let operator = dice.pick(&["+", "-", "*", "/", "%", "^", "atan2"]);
            let (left, right) = (scalar(dice, depth - 1), scalar(dice, depth - 1));
            format!("({left} {operator} {right})")
        }
        4 => {
            let operator = dice.pick(&["==", "!=", "<", ">", "<=", ">="]);
            let (left, right) = (scalar(dice, depth - 1), scalar(dice, depth - 1));
            format!("({left} {operator} bool {right})")
        }
        5 => format!("-{}", scalar(dice, depth - 1)),
        _ => dice.pick(NUMBERS).to_owned(),
    }
}

fn vector(dice: &mut Dice, depth: usize) -> String {
    if depth == 0 {
        return format!("{}{}", selector(dice), modifier(dice));
    }
    match dice.below(24) {
        0 => format!("{}({})", dice.pick(MATH), vector(dice, depth - 1)),
        1 => of_selector(dice),
        2..=5 => over_time(dice, depth),
        6..=9 => {
            let (by, group) = (dice.pick(AGGREGATORS), grouping(dice));
            format!("{by}{group} ({})", vector(dice, depth - 1))
        }
        10 => parametrised(dice, depth),
        11..=13 => binary(dice, depth),
        14 | 15 => with_scalar(dice, depth),
        16 => sets(dice, depth),
        17 => histogram(dice, depth),
        18 => relabelled(dice, depth),
        19 => format!("-({})", vector(dice, depth - 1)),
        20 => clamped(dice, depth),
        21 => match dice.below(4) {
            0 => format!("absent({})", vector(dice, depth - 1)),
            1 => format!("absent_over_time({})", range(dice, depth - 1)),
            2 => format!("vector({})", scalar(dice, depth)),
            _ => format!(
                "{}()",
                dice.pick(&["hour", "minute", "day_of_year", "month"])
            ),
        },
        _ => format!("{}{}", selector(dice), modifier(dice)),
    }
}

/// What makes large differences of the small ones that two libraries of functions have. And
/// the times of points, of which Prometheus forgets the offset where there is a fixed time.
fn of_selector(dice: &mut Dice) -> String {
    let selector = selector(dice);
    match dice.below(6) {
        0 => format!("sin({selector})"),
        1 => format!("cos({selector})"),
        2 => format!("tan({selector})"),
        3 => format!("timestamp({selector} offset {})", dice.pick(OFFSETS)),
        4 => format!(
            "timestamp({selector} @ {})",
            1_767_225_600 + dice.below(7_000)
        ),
        _ => format!("timestamp({selector})"),
    }
}

fn over_time(dice: &mut Dice, depth: usize) -> String {
    match dice.below(12) {
        0 => {
            let q = scalar(dice, dice_depth(depth));
            format!("quantile_over_time({q}, {})", range(dice, depth - 1))
        }
        1 => {
            let seconds = scalar(dice, dice_depth(depth));
            format!("predict_linear({}, {seconds})", range(dice, depth - 1))
        }
        _ => format!("{}({})", dice.pick(OVER_TIME), range(dice, depth - 1)),
    }
}

fn dice_depth(depth: usize) -> usize {
    depth.saturating_sub(1).min(1)
}

fn parametrised(dice: &mut Dice, depth: usize) -> String {
    let group = grouping(dice);
    let of = vector(dice, depth - 1);
    match dice.below(6) {
        0 => format!("quantile{group} ({}, {of})", parameter(dice)),
        1..=3 => picked(dice, group),
        4 => {
            let of = format!("{}{}", selector(dice), modifier(dice));
            format!("count_values{group} (\"{}\", {of})", dice.pick(&["v", "a"]))
        }
        _ => format!(
            "limit_ratio{group} ({}, {of})",
            dice.pick(&["1", "0", "-1", "1.5"])
        ),
    }
}

/// A scalar of which Prometheus doesn't forget the fixed time, as it does in parameters.
fn parameter(dice: &mut Dice) -> String {
    loop {
        let parameter = scalar(dice, 1);
        if !parameter.contains('@') {
            return parameter;
        }
    }
}

/// The largest or smallest. Of equal ones the first, so of what Prometheus puts in an order.
fn picked(dice: &mut Dice, group: &str) -> String {
    let of = match dice.below(3) {
        0 => format!("{}({})", dice.pick(OVER_TIME), range(dice, 0)),
        1 => format!("sum by (a, b) ({})", selector(dice)),
        _ => format!("{}{}", selector(dice), modifier(dice)),
    };
    let (by, count) = (dice.pick(&["topk", "bottomk"]), dice.below(4));
    if dice.one_in(4) {
        return format!("{by}{group} ({}, {of})", parameter(dice));
    }
    format!("{by}{group} ({count}, {of})")
}

fn binary(dice: &mut Dice, depth: usize) -> String {
    // No remainders: they make large differences of small ones.
    let operator = dice.pick(&[
        "+", "-", "*", "/", "+", "^", "atan2", "==", "!=", "<", ">", "<=", ">=", "== bool",
        "> bool", "<= bool", "!= bool",
    ]);
    let matching = dice.pick(&[
        "",
        "",
        "on (a, b)",
        "on (a)",
        "ignoring (b)",
        "on (a) group_left",
        "on (a) group_right",
        "ignoring (b) group_left",
        "on (a, b) group_left (job)",
        "on (a) group_right (job, b)",
        "ignoring (le) group_left",
        "on ()",
        "ignoring (job)",
    ]);
    let (left, right) = (vector(dice, depth - 1), vector(dice, depth - 1));
    format!("({left}) {operator} {matching} ({right})")
}

fn with_scalar(dice: &mut Dice, depth: usize) -> String {
    let operator = dice.pick(&[
        "+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", ">", "<=", ">=", "== bool",
        "> bool", "<= bool", "!= bool",
    ]);
    let scalar = scalar(dice, 1);
    if operator == "%" {
        return format!("{} % {scalar}", selector(dice));
    }
    let vector = vector(dice, depth - 1);
    if dice.one_in(2) {
        format!("({vector}) {operator} {scalar}")
    } else {
        format!("{scalar} {operator} ({vector})")
    }
}

fn sets(dice: &mut Dice, depth: usize) -> String {
    let operator = dice.pick(&["and", "or", "unless"]);
    let matching = dice.pick(&["", "", "on (a)", "ignoring (b)", "on ()", "on (a, b)"]);
    let (left, right) = (vector(dice, depth - 1), vector(dice, depth - 1));
    format!("({left}) {operator} {matching} ({right})")
}

fn histogram(dice: &mut Dice, depth: usize) -> String {
    let native = format!("{}{}", dice.pick(HISTOGRAMS), matchers(dice));
    let range = dice.pick(RANGES);
    let of = match dice.below(8) {
        0 => native,
        1 => format!("rate({native}[{range}])"),
        2 => format!("sum by (a) (rate({native}[{range}]))"),
        3 => format!("rate(wait_seconds_bucket{}[{range}])", matchers(dice)),
        4 => format!("sum by (le) (rate(wait_seconds_bucket[{range}]))"),
        5 => "wait_seconds_bucket".to_owned(),
        6 => format!("avg_over_time({native}[{range}])"),
        _ => vector(dice, depth - 1),
    };
    match dice.below(4) {
        0 => {
            let statistic = dice.pick(&["count", "sum", "avg", "stddev", "stdvar"]);
            format!("histogram_{statistic}({of})")
        }
        1 => {
            let (lower, upper) = (dice.pick(NUMBERS), dice.pick(NUMBERS));
            format!("histogram_fraction({lower}, {upper}, {of})")
        }
        _ => {
            let q = dice.pick(&["0.5", "0.95", "0", "1", "0.1", "-1", "2", "NaN"]);
            format!("histogram_quantile({q}, {of})")
        }
    }
}

fn relabelled(dice: &mut Dice, depth: usize) -> String {
    let of = vector(dice, depth - 1);
    let target = dice.pick(&["c", "a", "b", "__name__", "job"]);
    let source = dice.pick(&["a", "b", "__name__", "none"]);
    if dice.one_in(3) {
        return format!("label_join({of}, \"{target}\", \"-\", \"a\", \"{source}\")");
    }
    let replacement = dice.pick(&["$1", "k$1", "", "${1}_", "c"]);
    let regex = dice.pick(&["(.*)", "(.).*", "x|y", "(?P<n>.+)", "no"]);
    format!("label_replace({of}, \"{target}\", \"{replacement}\", \"{source}\", \"{regex}\")")
}

fn clamped(dice: &mut Dice, depth: usize) -> String {
    let of = vector(dice, depth - 1);
    match dice.below(4) {
        0 => format!("clamp({of}, {}, {})", scalar(dice, 1), scalar(dice, 1)),
        1 => format!("clamp_min({of}, {})", scalar(dice, 1)),
        2 => format!("clamp_max({of}, {})", scalar(dice, 1)),
        _ => format!("round({of}, {})", dice.pick(&["1", "0.1", "5", "-2", "0"])),
    }
}

fn sorted(dice: &mut Dice) -> String {
    format!("{}({})", dice.pick(&["sort", "sort_desc"]), vector(dice, 1))
}
