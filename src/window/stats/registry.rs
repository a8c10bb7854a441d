//! Statistics by their names.

use thiserror::Error;

use super::avg::Avg;
use super::count::PointCount;
use super::delta::Delta;
use super::deriv::Deriv;
use super::ema::Ema;
use super::first::FirstValue;
use super::increase::Increase;
use super::last::LastValue;
use super::mad::Mad;
use super::max::Maximum;
use super::min::Minimum;
use super::numbers::Statistic;
use super::quantile::{LinearQuantile, PlatformQuantile};
use super::rate::Rate;
use super::stddev::StdDev;
use super::sum::SumOf;

/// By which definition quantiles are computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// One of the values; see [`PlatformQuantile`].
    #[default]
    Platform,
    /// Interpolated as Prometheus does; see [`LinearQuantile`].
    Linear,
}

/// A name that no statistic has.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "unknown statistic {0:?}: expected avg, min, max, sum, count, stddev, first, last, rate, \
     increase, delta, ema, mad, deriv, or a percentile such as p95 or p99.9"
)]
pub struct UnknownStatistic(pub String);

/// The statistic of a name. Percentiles are `p` and a number from 0 to 100.
///
/// # Errors
///
/// If there is none of that name.
pub fn statistic(
    name: &str,
    method: Method,
) -> Result<Box<dyn Statistic + Send>, UnknownStatistic> {
    Ok(match name {
        "avg" => Box::new(Avg),
        "min" => Box::new(Minimum),
        "max" => Box::new(Maximum),
        "sum" => Box::new(SumOf),
        "count" => Box::new(PointCount),
        "stddev" => Box::new(StdDev),
        "first" => Box::new(FirstValue),
        "last" => Box::new(LastValue),
        "rate" => Box::new(Rate),
        "increase" => Box::new(Increase),
        "delta" => Box::new(Delta),
        "ema" => Box::new(Ema { half_life: 0 }),
        "mad" => Box::new(Mad),
        "deriv" => Box::new(Deriv),
        _ => {
            let percent = percentile(name).ok_or_else(|| UnknownStatistic(name.to_owned()))?;
            match method {
                Method::Platform => Box::new(PlatformQuantile { percent }),
                Method::Linear => Box::new(LinearQuantile {
                    quantile: percent / 100.0,
                }),
            }
        }
    })
}

/// The number of `p95` or `p99.9`, between 0 and 100. `None` if the name is no percentile's.
#[must_use]
pub fn percentile(name: &str) -> Option<f64> {
    let digits = name.strip_prefix('p')?;
    let plain = digits
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let percent: f64 = digits.parse().ok().filter(|_| plain)?;
    (percent <= 100.0).then_some(percent)
}
