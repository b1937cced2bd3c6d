//! MC146818A, "Time, calendar, and alarm locations": a moment as bytes, in BCD or binary, with 12 or 24 hours.

use time::{Date, Month, OffsetDateTime};

pub(super) const SECONDS: u8 = 0;
pub(super) const SECONDS_ALARM: u8 = 1;
pub(super) const MINUTES: u8 = 2;
pub(super) const MINUTES_ALARM: u8 = 3;
pub(super) const HOURS: u8 = 4;
pub(super) const HOURS_ALARM: u8 = 5;
pub(super) const DAY_OF_WEEK: u8 = 6;
pub(super) const DAY_OF_MONTH: u8 = 7;
pub(super) const MONTH: u8 = 8;
pub(super) const YEAR: u8 = 9;
/// The byte for the century, on PCs.
pub(super) const CENTURY: u8 = arch::layout::CMOS_CENTURY;

/// The bytes that the clock counts.
pub(super) const COUNTERS: [u8; 8] =
    [SECONDS, MINUTES, HOURS, DAY_OF_WEEK, DAY_OF_MONTH, MONTH, YEAR, CENTURY];

pub(super) const DAY: i128 = 24 * HOUR;
const HOUR: i128 = 60 * MINUTE;
const MINUTE: i128 = 60;
/// The start of the year 0, in seconds since 1970.
const FIRST: i128 = -62_167_219_200;
/// The number of seconds in the 10,000 years that the bytes can express.
const ALL: i128 = 3_652_425 * DAY;
const PM: u8 = 0x80;
/// Alarm bytes from this value on match everything.
const ANY: u8 = 0xc0;

/// The bits of register B that decide on the bytes' format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    /// DM: binary, not BCD.
    pub(super) binary: bool,
    /// 24/12: hours from 0 to 23, not from 1 to 12 with a bit for the afternoon.
    pub(super) hours_to_24: bool,
}

impl Format {
    /// The byte of a counter at a moment, given in seconds since 1970.
    pub(super) fn encode(self, counter: u8, moment: i128) -> u8 {
        let moment = FIRST + (moment - FIRST).rem_euclid(ALL);
        let moment = i64::try_from(moment).map(OffsetDateTime::from_unix_timestamp);
        let Ok(Ok(at)) = moment else { return 0 };
        let year = u16::try_from(at.year()).unwrap_or_default();
        match counter {
            SECONDS => self.number(at.second()),
            MINUTES => self.number(at.minute()),
            HOURS => self.hour(at.hour()),
            DAY_OF_WEEK => self.number(at.weekday().number_from_sunday()),
            DAY_OF_MONTH => self.number(at.day()),
            MONTH => self.number(at.month().into()),
            YEAR => self.number(u8::try_from(year % 100).unwrap_or_default()),
            _ => self.number(u8::try_from(year / 100).unwrap_or_default()),
        }
    }

    /// The moment in the counters, in seconds since 1970. A value that is too large carries into the next counter. The day of the week is
    /// ignored.
    pub(super) fn decode(self, byte: impl Fn(u8) -> u8) -> i128 {
        let value = |counter| self.value(byte(counter));
        let year = i32::from(value(CENTURY)) % 100 * 100 + i32::from(value(YEAR)) % 100;
        let month = Month::try_from(value(MONTH).clamp(1, 12)).unwrap_or(Month::January);
        let month = Date::from_calendar_date(year, month, 1).unwrap_or(Date::MIN);
        let hour = byte(HOURS);
        let hour = match self.hours_to_24 {
            true => self.value(hour),
            false => self.value(hour & !PM) % 12 + if hour & PM == 0 { 0 } else { 12 },
        };
        i128::from(month.midnight().assume_utc().unix_timestamp())
            + (i128::from(value(DAY_OF_MONTH)) - 1) * DAY
            + i128::from(hour) * HOUR
            + i128::from(value(MINUTES)) * MINUTE
            + i128::from(value(SECONDS))
    }

    /// The next moment after `moment` that matches the alarm bytes, if there is one.
    pub(super) fn next_alarm(self, moment: i128, byte: impl Fn(u8) -> u8) -> Option<i128> {
        let number = |value| self.number(value);
        let seconds = wanted(byte(SECONDS_ALARM), 60, number)?;
        let minutes = wanted(byte(MINUTES_ALARM), 60, number)?;
        let hours = wanted(byte(HOURS_ALARM), 24, |hour| self.hour(hour))?;
        let matches = |wanted: Option<u8>, value: i128| wanted.is_none_or(|wanted| value == wanted.into());
        let (first, mut at) = (moment + 1, moment + 1);
        // Try each hour once, each minute of one hour, each second of one minute.
        while at < first + DAY {
            if !matches(hours, at.div_euclid(HOUR).rem_euclid(24)) {
                at = (at.div_euclid(HOUR) + 1) * HOUR;
            } else if !matches(minutes, at.div_euclid(MINUTE).rem_euclid(60)) {
                at = (at.div_euclid(MINUTE) + 1) * MINUTE;
            } else if !matches(seconds, at.rem_euclid(MINUTE)) {
                at += 1;
            } else {
                return Some(at);
            }
        }
        None
    }

    fn number(self, value: u8) -> u8 {
        if self.binary { value } else { ((value / 10) << 4) | (value % 10) }
    }

    fn value(self, byte: u8) -> u8 {
        if self.binary { byte } else { (byte >> 4) * 10 + (byte & 0xf) }
    }

    fn hour(self, hour: u8) -> u8 {
        match (self.hours_to_24, hour) {
            (true, _) => self.number(hour),
            (false, 0) => self.number(12),
            (false, 1..=11) => self.number(hour),
            (false, 12) => self.number(12) | PM,
            (false, _) => self.number(hour - 12) | PM,
        }
    }
}

/// The value that an alarm byte waits for; `Some(None)` if any value matches. `None` if the byte stands for no value, so that the alarm
/// never comes.
fn wanted(byte: u8, values: u8, encode: impl Fn(u8) -> u8) -> Option<Option<u8>> {
    if byte >= ANY {
        return Some(None);
    }
    (0..values).find(|value| encode(*value) == byte).map(Some)
}

#[cfg(test)]
#[path = "calendar_test.rs"]
mod tests;
