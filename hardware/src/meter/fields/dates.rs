//! Dates and times of day, as recorders print them.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Zoned};

const SECOND_NS: i128 = 1_000_000_000;
const DAY_NS: i128 = 86_400 * SECOND_NS;
/// How far a recorder's clock may be ahead of ours.
const AHEAD_NS: i128 = 60 * SECOND_NS;

/// Reads dates and times of one file. What a date leaves open is decided once: times without an offset are local; of
/// `3/4/2026`, the order is that of the date nearer to today; a time of day is that of today, and one that goes back by
/// more than half a day is of the next day.
#[derive(Debug, Clone)]
pub(super) struct Dates {
    zone: TimeZone,
    /// When the first of them was read.
    now: Option<Timestamp>,
    is_day_first: Option<bool>,
    /// The last time of day, and its day.
    last: Option<(i128, Date)>,
}

/// The parts of a text.
#[derive(Default)]
struct Parts {
    date: Option<(i64, i64, i64)>,
    /// Whether the date's day and month may be exchanged.
    is_open: bool,
    clock_ns: i128,
    days: i128,
}

impl Default for Dates {
    fn default() -> Self {
        Self { zone: TimeZone::system(), now: None, is_day_first: None, last: None }
    }
}

impl Dates {
    /// Nanoseconds since 1970.
    pub fn ns(&mut self, text: &str) -> Option<i128> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Some(at.as_nanosecond());
        }
        let parts = Parts::of(text)?;
        let now = *self.now.get_or_insert_with(Timestamp::now);
        let Some((year, first, second)) = parts.date else { return self.of_day(&parts, now) };
        let local = |month: i64, day: i64| {
            let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
            let date = Date::new(year, month, day).ok()?;
            self.instant(date.to_datetime(Time::midnight())).map(|midnight| (date, midnight))
        };
        let (month_first, day_first) = (local(first, second), local(second, first).filter(|_| parts.is_open));
        let now_ns = now.as_nanosecond();
        let (date, _) = match (month_first, day_first) {
            (Some(one), None) | (None, Some(one)) => one,
            (Some(month_first), Some(day_first)) => {
                let nearer = (day_first.1 - now_ns).abs() < (month_first.1 - now_ns).abs();
                if *self.is_day_first.get_or_insert(nearer) { day_first } else { month_first }
            }
            (None, None) => return None,
        };
        self.instant(date.to_datetime(time_of(parts.clock_ns)?))
    }

    /// An instant of local time.
    fn instant(&self, local: DateTime) -> Option<i128> {
        Some(self.zone.to_ambiguous_timestamp(local).compatible().ok()?.as_nanosecond())
    }

    /// The instant of a time of day, or of a counter that has the form of one.
    fn of_day(&mut self, parts: &Parts, now: Timestamp) -> Option<i128> {
        let time_ns = parts.days * DAY_NS + parts.clock_ns;
        let date = match self.last {
            None => {
                let today = Zoned::new(now, self.zone.clone()).date();
                let ahead_ns = |date: Date| Some(self.on_day(date, time_ns)? - now.as_nanosecond());
                // Around midnight, a time of day may be of yesterday, or of tomorrow by a clock that is ahead.
                let tomorrow = today.tomorrow().ok().filter(|date| ahead_ns(*date).is_some_and(|ns| ns <= AHEAD_NS));
                match ahead_ns(today)? {
                    ahead_ns if ahead_ns > DAY_NS / 2 && parts.days == 0 => today.yesterday().ok()?,
                    _ => tomorrow.unwrap_or(today),
                }
            }
            Some((last_ns, date)) if time_ns < last_ns - DAY_NS / 2 => date.tomorrow().ok()?,
            Some((_, date)) => date,
        };
        self.last = Some((time_ns, date));
        self.on_day(date, time_ns)
    }

    /// The instant of a time on a day, whose hours the change of clocks may shift; or of a counter that began with it.
    fn on_day(&self, date: Date, time_ns: i128) -> Option<i128> {
        match time_of(time_ns) {
            Some(time) => self.instant(date.to_datetime(time)),
            None => Some(self.instant(date.to_datetime(Time::midnight()))? + time_ns),
        }
    }
}

/// A time of day; `None` from 24 hours on.
fn time_of(ns: i128) -> Option<Time> {
    Time::midnight().checked_add(SignedDuration::from_nanos(i64::try_from(ns).ok()?)).ok()
}

impl Parts {
    fn of(text: &str) -> Option<Self> {
        let (mut parts, mut clock, mut half) = (Self::default(), None, None);
        let mut words = text.split([' ', 'T']).filter(|word| !word.is_empty()).peekable();
        while let Some(word) = words.next() {
            let is_half = |word: &str| match word.to_lowercase().replace('.', "").as_str() {
                "am" => Some(false),
                "pm" => Some(true),
                _ => None,
            };
            let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
            if let Some(is_pm) = is_half(word) {
                half.replace(is_pm).is_none().then_some(())?;
            } else if word.contains(':') {
                if digits.len() < word.len() {
                    half = Some(is_half(&word[digits.len()..])?);
                }
                clock.replace(clock_ns(digits)?).is_none().then_some(())?;
            } else if words.peek().is_some_and(|next| matches!(next.trim_end_matches(','), "day" | "days")) {
                parts.days = i128::from(word.parse::<u32>().ok()?);
                words.next();
            } else {
                let date = parts.read_date(word)?;
                parts.date.replace(date).is_none().then_some(())?;
            }
        }
        parts.clock_ns = clock?;
        match (parts.date, half) {
            // With a half of the day, dates are American.
            (Some(_), Some(_)) => parts.is_open = false,
            (Some(_), None) if parts.clock_ns >= DAY_NS => return None,
            _ => {}
        }
        if let Some(is_pm) = half {
            let noon_ns = DAY_NS / 2;
            (parts.clock_ns < noon_ns + 3600 * SECOND_NS).then_some(())?;
            parts.clock_ns = parts.clock_ns % noon_ns + if is_pm { noon_ns } else { 0 };
        }
        Some(parts)
    }

    /// Year, and month before day where their order is open.
    fn read_date(&mut self, word: &str) -> Option<(i64, i64, i64)> {
        let sign = word.chars().find(|c| !c.is_ascii_digit()).filter(|sign| "-/.".contains(*sign))?;
        let numbers: Vec<&str> = word.split(sign).collect();
        let [first, second, third] = numbers[..] else { return None };
        let number = |text: &str| text.parse::<u16>().ok().map(i64::from);
        let (one, two, three) = (number(first)?, number(second)?, number(third)?);
        if first.len() == 4 {
            return Some((one, two, three));
        }
        let year = if third.len() == 2 { 2000 + three } else { three };
        self.is_open = sign == '/';
        Some(if sign == '/' { (year, one, two) } else { (year, two, one) })
    }
}

/// `12:00:01.25`, in nanoseconds.
fn clock_ns(text: &str) -> Option<i128> {
    let mut parts = text.split(':');
    let (hours, minutes, seconds) = (parts.next()?, parts.next()?, parts.next().unwrap_or("0"));
    let (whole, decimals) = seconds.split_once(['.', ',']).unwrap_or((seconds, ""));
    let is_digits = |text: &str, most: usize| text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
    if parts.next().is_some() || !is_digits(hours, 6) || !is_digits(decimals, 18) {
        return None;
    }
    let number = |text: &str| text.parse::<u32>().ok().map(i128::from);
    let (hours, minutes, whole) = (number(hours)?, number(minutes)?, number(whole)?);
    let nanoseconds: i128 = format!("{decimals:0<9.9}").parse().ok()?;
    (minutes < 60 && whole < 61).then_some(((hours * 60 + minutes) * 60 + whole) * SECOND_NS + nanoseconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// At noon of 1 March 2026 in a zone that is one hour ahead of UTC.
    fn dates() -> Dates {
        let now = "2026-03-01T11:00:00Z".parse().unwrap();
        dates_at(TimeZone::fixed(jiff::tz::offset(1)), now)
    }

    fn dates_at(zone: TimeZone, now: Timestamp) -> Dates {
        Dates { zone, now: Some(now), ..Dates::default() }
    }

    fn read(text: &str) -> Option<String> {
        dates().ns(text).map(|ns| Timestamp::from_nanosecond(ns).unwrap().to_string())
    }

    #[test]
    fn dates_of_every_recorder_are_read() {
        for text in [
            "2026-03-01T11:00:00.5Z",
            "2026-03-01T12:00:00.5+01:00",
            "2026-03-01 12:00:00.500000",
            "2026-03-01T12:00:00.5",
            "2026-03-01 12:00:00,500",
            "2026/03/01 12:00:00.500",
            "3/1/2026 12:00:00.5 PM",
            "3/1/2026 12:00:00.5PM",
            "01/03/2026 12:00:00.5",
            "1.3.2026 12:00:00,5",
            "01.03.26 12:00:00.5",
            "01-03-2026 12:00:00.5",
            "12:00:00.500",
            "12:00:00.5 p.m.",
        ] {
            assert_eq!(read(text).as_deref(), Some("2026-03-01T11:00:00.5Z"), "{text}");
        }
        for text in [
            "yesterday",
            "2026-03-01",
            "12:00:00 12:00:00",
            "2026-13-01 12:00:00",
            "25/25/2026 1:00:00",
            "1:2:3:4",
            "13:00 PM",
            "",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn the_order_of_day_and_month_is_decided_once() {
        let mut dates = dates();
        let mut day = |text: &str| Timestamp::from_nanosecond(dates.ns(text).unwrap()).unwrap().to_string();
        assert!(day("1/3/2026 12:00:00").starts_with("2026-03-01"));
        assert!(day("12/3/2026 12:00:00").starts_with("2026-03-12"));
        assert!(day("3/13/2026 12:00:00").starts_with("2026-03-13"), "no other order is possible");
    }

    #[test]
    fn times_of_day_and_counters_go_on_after_midnight() {
        let mut times = dates();
        let first = times.ns("23:59:59.5").unwrap();
        assert_eq!(times.ns("00:00:00.5").unwrap() - first, SECOND_NS);
        assert_eq!(times.ns("00:00:01.5").unwrap() - first, 2 * SECOND_NS);
        let mut counter = dates();
        let first = counter.ns("00:00:01").unwrap();
        assert_eq!(counter.ns("00:00:02").unwrap() - first, SECOND_NS);
        assert_eq!(counter.ns("26:00:01").unwrap() - first, 26 * 3600 * SECOND_NS);
        assert_eq!(counter.ns("1 day, 22:00:01").unwrap() - first, 46 * 3600 * SECOND_NS);
    }

    #[test]
    fn times_of_day_are_those_of_the_clock_also_when_it_changes() {
        let zone = || TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (now, text, expected) in [
            ("2026-03-29T10:00:00Z", "12:00:00", "2026-03-29T10:00:00Z"),
            ("2026-10-25T11:00:00Z", "12:00:00", "2026-10-25T11:00:00Z"),
            ("2026-03-29T22:00:01Z", "23:59:59", "2026-03-29T21:59:59Z"),
        ] {
            let ns = dates_at(zone(), now.parse().unwrap()).ns(text).unwrap();
            assert_eq!(Timestamp::from_nanosecond(ns).unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn a_time_shortly_after_midnight_is_of_the_day_that_begins() {
        let at = |now: &str, text: &str| {
            let ns = dates_at(TimeZone::UTC, now.parse().unwrap()).ns(text).unwrap();
            Timestamp::from_nanosecond(ns).unwrap().to_string()
        };
        assert_eq!(at("2026-03-01T23:59:58Z", "00:00:00.5"), "2026-03-02T00:00:00.5Z");
        assert_eq!(at("2026-03-01T23:30:00Z", "00:00:00.5"), "2026-03-01T00:00:00.5Z", "a counter, or an old line");
        assert_eq!(at("2026-03-02T00:00:01Z", "23:59:59"), "2026-03-01T23:59:59Z");
        assert_eq!(Dates::default().now, None, "the clock is read with the first time");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(texts in prop::collection::vec("[0-9:/.,TZ apmday-]{0,30}|.{0,12}", 0..5)) {
            let mut dates = dates();
            for text in texts {
                let _ = dates.ns(&text);
            }
        }
    }
}
