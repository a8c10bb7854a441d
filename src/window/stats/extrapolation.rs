//! From what changed between the first and the last number to what changed in the window.

use super::numbers::Numbers;

/// Prometheus's extrapolation: the change is carried on to the ends of the window, unless these
/// are farther away than 1.1 intervals; then by half an interval. A counter isn't carried below
/// zero. `None` if there are less than two numbers.
pub(super) fn extrapolated(numbers: &Numbers, counter: bool) -> Option<f64> {
    let digest = numbers.digest();
    let (first, last) = numbers.span()?;
    if digest.count < 2 || first == last {
        return None;
    }
    let mut change = digest.last - digest.first;
    if counter {
        change += digest.lost;
    }
    let seconds = |from: i64, to: i64| to.saturating_sub(from) as f64 / 1000.0;
    let mut to_start = seconds(numbers.from(), first);
    let mut to_end = seconds(last, numbers.to());
    let sampled = seconds(first, last);
    let interval = sampled / f64::from(digest.count - 1);
    let far = interval * 1.1;
    if to_start >= far {
        to_start = interval / 2.0;
    }
    if counter && change > 0.0 && digest.first >= 0.0 {
        to_start = to_start.min(sampled * (digest.first / change));
    }
    if to_end >= far {
        to_end = interval / 2.0;
    }
    Some(change * ((sampled + to_start + to_end) / sampled))
}
