use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

const BCD: Format = Format { binary: false, hours_to_24: true };
const FORMATS: [Format; 4] = [
    BCD,
    Format { binary: true, hours_to_24: true },
    Format { binary: false, hours_to_24: false },
    Format { binary: true, hours_to_24: false },
];

fn at(year: i32, month: u8, day: u8, (hour, minute, second): (u8, u8, u8)) -> i128 {
    let date = Date::from_calendar_date(year, month.try_into().unwrap(), day).unwrap();
    date.with_hms(hour, minute, second).unwrap().assume_utc().unix_timestamp().into()
}

fn bytes(format: Format, moment: i128) -> BTreeMap<u8, u8> {
    COUNTERS.into_iter().map(|counter| (counter, format.encode(counter, moment))).collect()
}

#[test]
fn the_counters_are_in_bcd_or_binary() {
    let moment = at(2024, 2, 29, (23, 59, 58));
    let encoded = |format: Format| COUNTERS.map(|counter| format.encode(counter, moment));
    // Seconds, minutes, hours, day of the week (a Thursday), day of the month, month, year, century.
    assert_eq!(encoded(FORMATS[0]), [0x58, 0x59, 0x23, 0x05, 0x29, 0x02, 0x24, 0x20]);
    assert_eq!(encoded(FORMATS[1]), [58, 59, 23, 5, 29, 2, 24, 20]);
    assert_eq!(encoded(FORMATS[2]), [0x58, 0x59, 0x91, 0x05, 0x29, 0x02, 0x24, 0x20]);
    assert_eq!(encoded(FORMATS[3]), [58, 59, 0x80 | 11, 5, 29, 2, 24, 20]);
}

#[test]
fn hours_go_to_24_or_twice_to_12() {
    for (hour, expected) in [
        (0, [0x00, 0, 0x12, 12]),
        (1, [0x01, 1, 0x01, 1]),
        (9, [0x09, 9, 0x09, 9]),
        (11, [0x11, 11, 0x11, 11]),
        (12, [0x12, 12, 0x92, 0x8c]),
        (13, [0x13, 13, 0x81, 0x81]),
        (22, [0x22, 22, 0x90, 0x8a]),
        (23, [0x23, 23, 0x91, 0x8b]),
    ] {
        let moment = at(2026, 1, 1, (hour, 0, 0));
        assert_eq!(FORMATS.map(|format| format.encode(HOURS, moment)), expected, "{hour}");
    }
}

#[test]
fn the_week_starts_on_sunday() {
    for day in 0..7 {
        assert_eq!(BCD.encode(DAY_OF_WEEK, at(2026, 11, 1 + day, (0, 0, 0))), 1 + day);
    }
}

#[test]
fn years_go_round_after_10000() {
    let last = at(9999, 12, 31, (23, 59, 59));
    assert_eq!((BCD.encode(CENTURY, last), BCD.encode(YEAR, last)), (0x99, 0x99));
    let next = |counter| BCD.encode(counter, last + 1);
    assert_eq!((next(CENTURY), next(YEAR), next(MONTH), next(DAY_OF_MONTH)), (0, 0, 1, 1));
    assert_eq!(bytes(BCD, FIRST - 1), bytes(BCD, last));
}

#[test]
fn values_that_are_too_great_carry() {
    let decode = |changes: &[(u8, u8)]| {
        let mut bytes = bytes(BCD, at(2026, 1, 31, (12, 30, 30)));
        bytes.extend(changes.iter().copied());
        BCD.decode(|counter| bytes[&counter])
    };
    assert_eq!(decode(&[(SECONDS, 0x75)]), at(2026, 1, 31, (12, 31, 15)));
    assert_eq!(decode(&[(HOURS, 0x25)]), at(2026, 2, 1, (1, 30, 30)));
    assert_eq!(decode(&[(MONTH, 0x02)]), at(2026, 3, 3, (12, 30, 30)));
    assert_eq!(decode(&[(MONTH, 0x13)]), at(2026, 12, 31, (12, 30, 30)));
    assert_eq!(decode(&[(DAY_OF_WEEK, 0x07)]), at(2026, 1, 31, (12, 30, 30)), "it follows from the date");
}

#[test]
fn an_alarm_is_at_one_time_of_the_day() {
    let alarm = |[hours, minutes, seconds]: [u8; 3], moment| {
        BCD.next_alarm(moment, |index| match index {
            HOURS_ALARM => hours,
            MINUTES_ALARM => minutes,
            _ => seconds,
        })
    };
    let noon = at(2026, 5, 5, (12, 0, 0));
    assert_eq!(alarm([0x12, 0x00, 0x01], noon), Some(noon + 1));
    assert_eq!(alarm([0x12, 0x00, 0x00], noon), Some(noon + DAY), "not the moment itself");
    assert_eq!(alarm([0x11, 0x59, 0x59], noon), Some(noon + DAY - 1));
    // MC146818A: alarm bytes of C0H and above match anything, so that it is each hour, minute or second.
    assert_eq!(alarm([0xc0, 0x30, 0x15], noon), Some(noon + 30 * 60 + 15));
    assert_eq!(alarm([0xff, 0xff, 0x15], noon), Some(noon + 15));
    assert_eq!(alarm([0xff, 0xc0, 0xff], noon), Some(noon + 1));
    assert_eq!(alarm([0x13, 0xff, 0xff], noon), Some(noon + 3600));
    for never in [[0x24, 0xff, 0xff], [0xff, 0x60, 0xff], [0xff, 0xff, 0x0a], [0xbf, 0, 0]] {
        assert_eq!(alarm(never, noon), None, "{never:x?}");
    }
}

proptest! {
    #[test]
    fn a_moment_comes_back(moment in FIRST..FIRST + ALL, format in prop::sample::select(&FORMATS)) {
        let bytes = bytes(format, moment);
        prop_assert_eq!(format.decode(|counter| bytes[&counter]), moment);
    }

    #[test]
    fn any_bytes_are_a_moment(bytes in any::<[u8; 128]>(), format in prop::sample::select(&FORMATS)) {
        let moment = format.decode(|counter| bytes[usize::from(counter)]);
        prop_assert!((FIRST - DAY..FIRST + ALL + 400 * DAY).contains(&moment));
    }

    #[test]
    fn the_next_alarm_is_the_first_match(
        bytes in prop::array::uniform3(prop_oneof![0_u8..0x25, Just(0xff), any::<u8>()]),
        moment in FIRST..FIRST + ALL,
        format in prop::sample::select(&FORMATS),
    ) {
        let [seconds, minutes, hours] = bytes;
        let alarm = [(SECONDS, seconds), (MINUTES, minutes), (HOURS, hours)];
        let matches = |at: &i128| {
            alarm.iter().all(|&(counter, byte)| byte >= 0xc0 || byte == format.encode(counter, *at))
        };
        let next = format.next_alarm(moment, |index| bytes[usize::from(index) / 2]);
        // If it is far away, checking its neighbourhood is enough.
        let near = moment + 1..moment + 200;
        prop_assert_eq!(next.filter(|next| near.contains(next)), near.clone().find(matches));
        if let Some(next) = next {
            prop_assert!(matches(&next) && next <= moment + DAY);
            let day = if next > moment + 4000 { next - 4000..next } else { moment + 1..next };
            prop_assert_eq!(day.clone().find(matches), None);
        }
    }
}
