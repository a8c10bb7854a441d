//! The functions of a window of time: which there are, and what each is given.

use super::super::notes::Notes;
use super::super::strand::PointValue;
use super::{Window, average, changes, instant, over_time, rate, trend};

/// A function of a range vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum RangeFunction {
    AvgOverTime,
    Changes,
    CountOverTime,
    Delta,
    Deriv,
    FirstOverTime,
    Idelta,
    Increase,
    Irate,
    LastOverTime,
    MaxOverTime,
    MinOverTime,
    PredictLinear,
    PresentOverTime,
    QuantileOverTime,
    Rate,
    Resets,
    StddevOverTime,
    StdvarOverTime,
    SumOverTime,
}

impl RangeFunction {
    pub(in super::super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "avg_over_time" => Self::AvgOverTime,
            "changes" => Self::Changes,
            "count_over_time" => Self::CountOverTime,
            "delta" => Self::Delta,
            "deriv" => Self::Deriv,
            "first_over_time" => Self::FirstOverTime,
            "idelta" => Self::Idelta,
            "increase" => Self::Increase,
            "irate" => Self::Irate,
            "last_over_time" => Self::LastOverTime,
            "max_over_time" => Self::MaxOverTime,
            "min_over_time" => Self::MinOverTime,
            "predict_linear" => Self::PredictLinear,
            "present_over_time" => Self::PresentOverTime,
            "quantile_over_time" => Self::QuantileOverTime,
            "rate" => Self::Rate,
            "resets" => Self::Resets,
            "stddev_over_time" => Self::StddevOverTime,
            "stdvar_over_time" => Self::StdvarOverTime,
            "sum_over_time" => Self::SumOverTime,
            _ => return None,
        })
    }

    /// Whether a result is still a value of the metric, and keeps its name.
    pub(in super::super) fn keeps_name(self) -> bool {
        matches!(self, Self::FirstOverTime | Self::LastOverTime)
    }

    /// Whether it should be given counters.
    pub(in super::super) fn wants_counter(self) -> bool {
        matches!(self, Self::Rate | Self::Increase)
    }

    /// The result for one window, if there is one. `scalar` is what stands beside the range
    /// vector, `room` is for what has to be sorted.
    pub(in super::super) fn apply(
        self,
        window: &Window<'_>,
        scalar: f64,
        room: &mut Vec<i64>,
        notes: &Notes,
    ) -> Option<PointValue> {
        let float = |value: Option<f64>| value.map(PointValue::Float);
        match self {
            Self::PresentOverTime => Some(PointValue::Float(1.0)),
            Self::CountOverTime => {
                let count = window.values.len() + window.histograms.len();
                Some(PointValue::Float(count as f64))
            }
            Self::AvgOverTime => average::mean(window, notes),
            Self::SumOverTime => average::sum(window, notes),
            Self::FirstOverTime => over_time::first(window),
            Self::LastOverTime => over_time::last(window),
            Self::MaxOverTime => float(over_time::max(window, notes)),
            Self::MinOverTime => float(over_time::min(window, notes)),
            Self::QuantileOverTime => float(over_time::quantile(window, scalar, room, notes)),
            Self::StdvarOverTime => float(over_time::variance(window, notes)),
            Self::StddevOverTime => float(over_time::variance(window, notes).map(f64::sqrt)),
            Self::Changes => Some(PointValue::Float(changes::changes(window))),
            Self::Resets => Some(PointValue::Float(changes::resets(window))),
            Self::Deriv => float(trend::deriv(window, notes)),
            Self::PredictLinear => float(trend::predict(window, scalar, notes)),
            Self::Rate => rate::extrapolated(window, rate::Rise::Rate, notes),
            Self::Increase => rate::extrapolated(window, rate::Rise::Increase, notes),
            Self::Delta => rate::extrapolated(window, rate::Rise::Delta, notes),
            Self::Irate => instant::irate(window, notes),
            Self::Idelta => instant::idelta(window, notes),
        }
    }
}
