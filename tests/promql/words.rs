//! The words that random queries are made of.
#![allow(unreachable_pub, reason = "only tests reach it")]

/// Names of float series. Those of single series are asked for most often as they are.
pub const FLOATS: &[&str] = &[
    "gauge",
    "gauge",
    "level",
    "requests_total",
    "requests_total",
    "hits",
    "odd",
    "up",
    "wait_seconds_bucket",
    "wait_seconds_sum",
    "wait_seconds_count",
    "mixed",
];
pub const HISTOGRAMS: &[&str] = &["latency", "latency", "sizes", "mixed"];
pub const RANGES: &[&str] = &[
    "1m", "5m", "5m", "17s", "61s", "2m30s", "10m", "30m", "1h", "90", "5m1s", "299999ms",
];
pub const OFFSETS: &[&str] = &["1m", "5m", "-1m", "37s", "1h", "-7s", "1ms", "-1ms"];
pub const MATH: &[&str] = &[
    "abs",
    "ceil",
    "floor",
    "exp",
    "sqrt",
    "ln",
    "log2",
    "log10",
    "asin",
    "acos",
    "atan",
    "sinh",
    "cosh",
    "tanh",
    "asinh",
    "acosh",
    "atanh",
    "rad",
    "deg",
    "sgn",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "days_in_month",
    "hour",
    "minute",
    "month",
    "year",
];
pub const OVER_TIME: &[&str] = &[
    "rate",
    "rate",
    "increase",
    "increase",
    "delta",
    "irate",
    "idelta",
    "avg_over_time",
    "sum_over_time",
    "min_over_time",
    "max_over_time",
    "count_over_time",
    "last_over_time",
    "first_over_time",
    "present_over_time",
    "stddev_over_time",
    "stdvar_over_time",
    "changes",
    "resets",
    "deriv",
];
pub const AGGREGATORS: &[&str] = &[
    "sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar",
];
pub const GROUPINGS: &[&str] = &[
    "",
    "",
    " by (a)",
    " by (a, b)",
    " without (a)",
    " without (b)",
    " by (job)",
    " without ()",
    " by (le)",
    " by (__name__)",
    " by (nothing)",
];
pub const NUMBERS: &[&str] = &[
    "1", "2", "0", "-1", "0.5", "3.5", "1e3", "-0", "NaN", "Inf", "-Inf", "60", "0.001",
];
