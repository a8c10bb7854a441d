//! An endpoint's advice on when to come back.
//!
//! `Retry-After` is a number of seconds or a date in any of HTTP's three forms (RFC 9110,
//! sections 5.6.7 and 10.2.3). A value that is neither is ignored. A date is measured against the
//! answer's own `Date` where there is one: small machines often have no clock of their
//! own until they have a network, and a wrong year would make every date past or far.

use std::time::{Duration, SystemTime};

use rand::{Rng, RngExt};

/// Advice that is longer counts as this long.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Advice is stretched at random by up to this share, so that agents that were refused at one
/// moment don't return at one moment. It is never shortened.
const STRETCH: f64 = 0.1;

/// Reads a `Retry-After` header: how long to wait, at most [`LONGEST`].
///
/// `date` is the same answer's `Date` header; without one, or with an invalid one, a date
/// is measured against `wall`. A date in the past means now. `None` when `value` is
/// invalid.
pub fn parse(value: &str, date: Option<&str>, wall: SystemTime) -> Option<Duration> {
    let value = value.trim_matches([' ', '\t']);
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are still a valid way to say "long".
        let seconds = value.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(LONGEST));
    }
    let then = httpdate::parse_http_date(value).ok()?;
    let now = date
        .and_then(|date| httpdate::parse_http_date(date).ok())
        .unwrap_or(wall);
    Some(
        then.duration_since(now)
            .unwrap_or(Duration::ZERO)
            .min(LONGEST),
    )
}

/// Draws how long to really wait on `advice`: never less, at most 10 % more.
pub(super) fn stretch(advice: Duration, rng: &mut impl Rng) -> Duration {
    advice
        .min(LONGEST)
        .mul_f64(1.0 + STRETCH * rng.random::<f64>())
}

#[cfg(test)]
#[cfg(not(loom))]
mod tests {
    use std::time::UNIX_EPOCH;

    use rand::SeedableRng;
    use rand::rngs::SmallRng;

    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the date of RFC 9110's examples.
    const EXAMPLE: Duration = Duration::from_secs(784_111_777);

    /// What `value` says a hundred seconds before the example's date.
    fn read(value: &str) -> Option<u64> {
        let wall = UNIX_EPOCH + EXAMPLE - Duration::from_secs(100);
        parse(value, None, wall).map(|advice| advice.as_secs())
    }

    #[test]
    fn seconds_are_capped_at_five_minutes() {
        assert_eq!(read("0"), Some(0));
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("007"), Some(7));
        assert_eq!(read("300"), Some(300));
        assert_eq!(read("301"), Some(300));
        assert_eq!(read("99999999999999999999999999"), Some(300));
        assert_eq!(read("  5\t"), Some(5));
    }

    #[test]
    fn dates_come_in_three_forms() {
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(100));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT"), Some(100));
        assert_eq!(read("Sun Nov  6 08:49:37 1994"), Some(100));
    }

    #[test]
    fn a_past_date_is_now_and_a_far_one_is_five_minutes() {
        assert_eq!(read("Sun, 06 Nov 1994 08:40:00 GMT"), Some(0));
        assert_eq!(read("Mon, 07 Nov 1994 08:49:37 GMT"), Some(300));
    }

    #[test]
    fn what_is_neither_is_ignored() {
        for invalid in [
            "",
            " ",
            "-1",
            "+5",
            "1.5",
            "5s",
            "0x10",
            "1e2",
            "soon",
            "５",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "1994-11-06T08:49:37Z",
        ] {
            assert_eq!(read(invalid), None, "{invalid:?}");
        }
    }

    #[test]
    fn a_date_is_measured_against_the_answers_own() {
        let wrong_clock = UNIX_EPOCH;
        let value = "Sun, 06 Nov 1994 08:49:37 GMT";
        let date = Some("Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(
            parse(value, date, wrong_clock),
            Some(Duration::from_secs(30))
        );
        assert_eq!(parse(value, Some("today"), wrong_clock), Some(LONGEST));
        assert_eq!(
            parse("30", date, wrong_clock),
            Some(Duration::from_secs(30))
        );
    }

    #[test]
    fn advice_is_stretched_and_never_shortened() {
        let mut rng = SmallRng::seed_from_u64(3);
        let advice = Duration::from_secs(100);
        for _ in 0..1_000 {
            let wait = stretch(advice, &mut rng);
            assert!(wait >= advice && wait <= advice.mul_f64(1.1), "{wait:?}");
        }
        assert!(stretch(Duration::MAX, &mut rng) <= LONGEST.mul_f64(1.1));
    }
}
