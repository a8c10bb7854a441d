//! Parts of dates, in UTC and the calendar that we have now, for every time that a number
//! can hold.

/// A part of a date that a function names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum DatePart {
    DaysInMonth,
    DayOfMonth,
    DayOfWeek,
    DayOfYear,
    Hour,
    Minute,
    Month,
    Year,
}

impl DatePart {
    pub(in super::super) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "days_in_month" => Self::DaysInMonth,
            "day_of_month" => Self::DayOfMonth,
            "day_of_week" => Self::DayOfWeek,
            "day_of_year" => Self::DayOfYear,
            "hour" => Self::Hour,
            "minute" => Self::Minute,
            "month" => Self::Month,
            "year" => Self::Year,
            _ => return None,
        })
    }

    /// The part of a time in seconds since 1970.
    pub(in super::super) fn of(self, seconds: f64) -> f64 {
        let instant = Instant::new(whole(seconds));
        let part = match self {
            Self::DaysInMonth => instant.days_in_month(),
            Self::DayOfMonth => instant.day,
            Self::DayOfWeek => (instant.days + 3) % 7,
            Self::DayOfYear => instant.day_of_year(),
            Self::Hour => instant.second / 3_600,
            Self::Minute => instant.second % 3_600 / 60,
            Self::Month => instant.month,
            Self::Year => instant.year,
        };
        part as f64
    }
}

/// The whole seconds. What doesn't fit, NaN too, is what the processors that Prometheus
/// mostly runs on make of it.
fn whole(seconds: f64) -> i64 {
    const END: f64 = 9_223_372_036_854_775_808.0;
    if (-END..END).contains(&seconds) {
        seconds as i64
    } else {
        i64::MIN
    }
}

const SECONDS_IN_DAY: i64 = 86_400;
const DAYS_IN_ERA: i64 = 146_097;
/// The 1st of March that begins the first era of 400 years of Go's calendar, before which it
/// has no dates: what lies before wraps around to its end.
const FIRST_YEAR: i128 = -292_277_022_400;
/// From that day to 1970.
const DAYS_TO_1970: i64 = 730_692_556 * DAYS_IN_ERA + 719_468;

struct Instant {
    /// Days from a Wednesday that is the 1st of March and begins an era.
    days: i128,
    second: i128,
    year: i128,
    month: i128,
    day: i128,
}

impl Instant {
    fn new(unix: i64) -> Self {
        let seconds = unix.wrapping_add(DAYS_TO_1970 * SECONDS_IN_DAY) as u64;
        let seconds = i128::from(seconds);
        let days = seconds / i128::from(SECONDS_IN_DAY);
        let era = days / i128::from(DAYS_IN_ERA);
        let day_of_era = days % i128::from(DAYS_IN_ERA);
        // Years of an era begin in March, so that a leap day is the last of its year.
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let month = (month_from_march + 2) % 12 + 1;
        Self {
            days,
            second: seconds % i128::from(SECONDS_IN_DAY),
            year: FIRST_YEAR + era * 400 + year_of_era + i128::from(month <= 2),
            month,
            day: day_of_year - (153 * month_from_march + 2) / 5 + 1,
        }
    }

    fn is_leap(&self) -> bool {
        self.year % 4 == 0 && (self.year % 100 != 0 || self.year % 400 == 0)
    }

    fn days_in_month(&self) -> i128 {
        match self.month {
            2 => 28 + i128::from(self.is_leap()),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        }
    }

    fn day_of_year(&self) -> i128 {
        let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let month = usize::try_from(self.month - 1).unwrap_or(0);
        let leap = i128::from(self.month > 2 && self.is_leap());
        before[month.min(11)] + self.day + leap
    }
}
