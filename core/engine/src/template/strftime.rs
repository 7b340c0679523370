//! `strftime_now`: the date that a template prints into the system message.
//!
//! Times are UTC: the process's time zone is not read. The codes are those of the C locale's `strftime`, with glibc's
//! `-`, `0` and `_` padding flags; an unknown code is an error rather than a guess.

use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a template gets from `strftime_now`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clock {
    /// The system's time when the template asks.
    #[default]
    System,
    /// A fixed time, in seconds since 1970-01-01 00:00:00 UTC; makes prompts reproducible.
    Fixed(i64),
}

impl Clock {
    fn seconds(self) -> i64 {
        match self {
            Self::Fixed(seconds) => seconds,
            Self::System => match SystemTime::now().duration_since(UNIX_EPOCH) {
                Ok(after) => i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
            },
        }
    }

    /// Formats the time; `Err` names the code that is not known.
    pub(super) fn format(self, format: &str) -> Result<String, String> {
        // Years beyond the civil range make no date; clamp to years -9999 to 9999.
        let time = Civil::from_unix(self.seconds().clamp(-377_705_116_800, 253_402_300_799));
        let mut out = String::with_capacity(format.len() + 16);
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let mut code = chars.next();
            let padding = match code {
                Some(flag @ ('-' | '_' | '0')) => {
                    code = chars.next();
                    Some(flag)
                }
                _ => None,
            };
            match code {
                Some(code) => time.push(&mut out, code, padding)?,
                None => out.push('%'),
            }
        }
        Ok(out)
    }
}

const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

struct Civil {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    weekday: usize,
    year_day: i64,
    unix: i64,
}

impl Civil {
    /// Gregorian date of a Unix time (the days-to-civil method with years that start in March).
    fn from_unix(unix: i64) -> Self {
        let days = unix.div_euclid(86_400);
        let rest = unix.rem_euclid(86_400);
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let from_march = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * from_march + 2) / 153;
        let day = from_march - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
        let month = month as usize;
        Self {
            year,
            month,
            day,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
            weekday: (days + 4).rem_euclid(7) as usize,
            year_day: BEFORE[month - 1] + day + i64::from(leap && month > 2),
            unix,
        }
    }

    fn push(&self, out: &mut String, code: char, padding: Option<char>) -> Result<(), String> {
        let number = |out: &mut String, value: i64, width: usize, default: char| {
            let _ = match padding.unwrap_or(default) {
                '-' => write!(out, "{value}"),
                '_' => write!(out, "{value:width$}"),
                _ => write!(out, "{value:0width$}"),
            };
        };
        let hour12 = (self.hour + 11) % 12 + 1;
        match code {
            'Y' => number(out, self.year, 1, '0'),
            'C' => number(out, self.year.div_euclid(100), 2, '0'),
            'y' => number(out, self.year.rem_euclid(100), 2, '0'),
            'm' => number(out, self.month as i64, 2, '0'),
            'd' => number(out, self.day, 2, '0'),
            'e' => number(out, self.day, 2, '_'),
            'H' => number(out, self.hour, 2, '0'),
            'k' => number(out, self.hour, 2, '_'),
            'I' => number(out, hour12, 2, '0'),
            'l' => number(out, hour12, 2, '_'),
            'M' => number(out, self.minute, 2, '0'),
            'S' => number(out, self.second, 2, '0'),
            'f' => out.push_str("000000"),
            'j' => number(out, self.year_day, 3, '0'),
            'u' => number(out, if self.weekday == 0 { 7 } else { self.weekday as i64 }, 1, '0'),
            'w' => number(out, self.weekday as i64, 1, '0'),
            's' => number(out, self.unix, 1, '0'),
            'p' => out.push_str(if self.hour < 12 { "AM" } else { "PM" }),
            'P' => out.push_str(if self.hour < 12 { "am" } else { "pm" }),
            'A' => out.push_str(DAYS[self.weekday]),
            'a' => out.push_str(&DAYS[self.weekday][..3]),
            'B' => out.push_str(MONTHS[self.month - 1]),
            'b' | 'h' => out.push_str(&MONTHS[self.month - 1][..3]),
            // `datetime.now()` carries no time zone, so Python prints nothing for these two.
            'z' | 'Z' => {}
            'n' => out.push('\n'),
            't' => out.push('\t'),
            '%' => out.push('%'),
            'D' | 'x' => self.push_all(out, "%m/%d/%y")?,
            'F' => self.push_all(out, "%Y-%m-%d")?,
            'T' | 'X' => self.push_all(out, "%H:%M:%S")?,
            'R' => self.push_all(out, "%H:%M")?,
            'r' => self.push_all(out, "%I:%M:%S %p")?,
            'c' => self.push_all(out, "%a %b %e %H:%M:%S %Y")?,
            other => return Err(format!("strftime_now: the code %{other} is not known")),
        }
        Ok(())
    }

    fn push_all(&self, out: &mut String, format: &str) -> Result<(), String> {
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            match (c, chars.clone().next()) {
                ('%', Some(code)) => {
                    chars.next();
                    self.push(out, code, None)?;
                }
                _ => out.push(c),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_right_and_padded_as_asked() {
        let clock = Clock::Fixed(1_722_038_405);
        assert_eq!(clock.format("%d %b %Y").as_deref(), Ok("27 Jul 2024"));
        assert_eq!(
            clock.format("%A, %B %-d, %Y %H:%M:%S %j").as_deref(),
            Ok("Saturday, July 27, 2024 00:00:05 209")
        );
        assert_eq!(clock.format("%c|%e|%I %p%%").as_deref(), Ok("Sat Jul 27 00:00:05 2024|27|12 AM%"));
        assert_eq!(Clock::Fixed(951_782_400).format("%F").as_deref(), Ok("2000-02-29"));
        assert_eq!(Clock::Fixed(-1).format("%F %T").as_deref(), Ok("1969-12-31 23:59:59"));
        assert!(clock.format("%Q").is_err());
    }
}
