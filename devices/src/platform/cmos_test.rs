use proptest::prelude::*;
use time::{Date, Month, OffsetDateTime};

use super::*;
use crate::testing::{FakeLine, FakeTimer};

const SECONDS: u8 = 0;
const SECONDS_ALARM: u8 = 1;
const MINUTES: u8 = 2;
const MINUTES_ALARM: u8 = 3;
const HOURS: u8 = 4;
const HOURS_ALARM: u8 = 5;
const DAY_OF_WEEK: u8 = 6;
const DAY_OF_MONTH: u8 = 7;
const MONTH: u8 = 8;
const YEAR: u8 = 9;
const A: u8 = 0xa;
const B: u8 = 0xb;
const C: u8 = 0xc;
const D: u8 = 0xd;
const CENTURY: u8 = 0x32;

const UIP: u8 = 0x80;
const SET: u8 = 0x80;
const PIE: u8 = 0x40;
const AIE: u8 = 0x20;
const UIE: u8 = 0x10;
const DM: u8 = 0x04;
const HOURS_TO_24: u8 = 0x02;
const IRQF: u8 = 0x80;

#[path = "cmos_interrupts_test.rs"]
mod interrupts;

const NANOSECOND: Duration = Duration::from_nanos(1);
const SECOND: Duration = Duration::from_secs(1);
/// MC146818A: UIP rises 244 µs before an update cycle of 1984 µs.
const UPDATE: Duration = Duration::from_micros(244 + 1984);

/// A chip, its pins, and the host's clock.
struct Pc {
    cmos: Cmos,
    ports: CmosPorts,
    irq: Arc<FakeLine>,
    clock: FakeTimer,
}

impl Pc {
    /// A chip at noon of the 31st of December 2026, a Thursday.
    fn new() -> Self {
        let day = Date::from_calendar_date(2026, Month::December, 31).unwrap();
        let noon = day.with_hms(12, 0, 0).unwrap().assume_utc().unix_timestamp();
        let clock = FakeTimer::new(Duration::from_secs(noon.try_into().unwrap()));
        Self::with(Cmos::new(0, 0), clock)
    }

    fn with(cmos: Cmos, clock: FakeTimer) -> Self {
        let irq = Arc::new(FakeLine::default());
        let ports = CmosPorts::new(cmos.clone(), irq.clone(), Box::new(clock.clone()));
        Self { cmos, ports, irq, clock }
    }

    /// The same chip after a reset of the machine.
    fn reset(self) -> Self {
        Self::with(self.cmos, FakeTimer::new(self.clock.now()))
    }

    fn read(&mut self, index: u8) -> u8 {
        assert_eq!(self.ports.write(INDEX, &[index]), Effect::None);
        let mut data = [0];
        self.ports.read(DATA, &mut data);
        data[0]
    }

    fn write(&mut self, index: u8, value: u8) {
        assert_eq!(self.ports.write(INDEX, &[index]), Effect::None);
        assert_eq!(self.ports.write(DATA, &[value]), Effect::None);
    }

    /// Hours, minutes and seconds.
    fn time(&mut self) -> [u8; 3] {
        [HOURS, MINUTES, SECONDS].map(|index| self.read(index))
    }

    /// Century, year, month and day.
    fn date(&mut self) -> [u8; 4] {
        [CENTURY, YEAR, MONTH, DAY_OF_MONTH].map(|index| self.read(index))
    }

    /// Advances the host's time, and serves the timer, until `end`. Returns the times at which the line rose, each time acknowledged at
    /// once, and the acknowledged causes.
    fn run(&mut self, time: Duration) -> Vec<(Duration, u8)> {
        let (start, mut rises) = (self.clock.now(), Vec::new());
        while let Some(at) = self.clock.at().filter(|at| *at <= start + time) {
            assert!(at > self.clock.now(), "the timer is set to the future");
            self.clock.set_now(at);
            self.ports.on_wakeup();
            if self.irq.take_edges() > 0 {
                rises.push((at - start, self.read(C)));
            }
        }
        self.clock.set_now(start + time);
        rises
    }
}

#[test]
fn time_is_the_hosts_in_utc() {
    let mut pc = Pc::new();
    assert_eq!((pc.date(), pc.time()), ([0x20, 0x26, 0x12, 0x31], [0x12, 0, 0]));
    assert_eq!(pc.read(DAY_OF_WEEK), 5);
    pc.clock.pass(12 * 3600 * SECOND - NANOSECOND);
    assert_eq!((pc.date(), pc.time()), ([0x20, 0x26, 0x12, 0x31], [0x23, 0x59, 0x59]));
    pc.clock.pass(NANOSECOND);
    assert_eq!((pc.date(), pc.time()), ([0x20, 0x27, 1, 1], [0, 0, 0]));
    assert_eq!(pc.read(DAY_OF_WEEK), 6);
    assert_eq!(pc.clock.at(), None, "telling the time costs no timer");
}

#[test]
fn the_format_is_register_bs() {
    let mut pc = Pc::new();
    pc.clock.pass(3 * 3600 * SECOND + 45 * SECOND);
    pc.write(B, DM | HOURS_TO_24);
    assert_eq!((pc.date(), pc.time()), ([20, 26, 12, 31], [15, 0, 45]));
    pc.write(B, DM);
    assert_eq!(pc.time(), [0x83, 0, 45]);
    pc.write(B, 0);
    assert_eq!(pc.time(), [0x83, 0, 0x45]);
}

#[test]
fn uip_shows_an_update_before_it_is_there() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND - UPDATE - NANOSECOND);
    assert_eq!(pc.read(A) & UIP, 0);
    pc.clock.pass(NANOSECOND);
    assert_eq!(pc.read(A) & UIP, UIP);
    pc.clock.pass(UPDATE - NANOSECOND);
    assert_eq!((pc.read(A) & UIP, pc.time()), (UIP, [0x12, 0, 0]), "the registers change at the end");
    pc.clock.pass(NANOSECOND);
    assert_eq!((pc.read(A) & UIP, pc.time()), (0, [0x12, 0, 1]));
}

#[test]
fn set_stops_updates_and_uip() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND - UPDATE);
    assert_eq!(pc.read(A) & UIP, UIP);
    pc.write(B, SET | HOURS_TO_24);
    assert_eq!(pc.read(A) & UIP, 0);
    pc.read(C);
    pc.clock.pass(10 * SECOND);
    assert_eq!(pc.time(), [0x12, 0, 0]);
    assert_eq!(pc.read(C) & (UIE | AIE), 0, "no update ends, and none meets an alarm");
    pc.write(B, HOURS_TO_24);
    assert_eq!(pc.time(), [0x12, 0, 0], "the time of the stop is lost");
    pc.clock.pass(UPDATE);
    assert_eq!(pc.time(), [0x12, 0, 1], "the divider went on");
}

#[test]
fn a_time_that_was_set_goes_on_from_there() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND / 4);
    pc.write(B, SET | UIE | HOURS_TO_24);
    assert_eq!(pc.read(B), SET | HOURS_TO_24, "SET takes UIE away");
    let new = [
        (CENTURY, 0x19),
        (YEAR, 0x99),
        (MONTH, 0x12),
        (DAY_OF_MONTH, 0x31),
        (DAY_OF_WEEK, 0x06),
        (HOURS, 0x23),
        (MINUTES, 0x59),
        (SECONDS, 0x59),
    ];
    for (index, value) in new {
        pc.write(index, value);
        assert_eq!(pc.read(index), value);
    }
    pc.write(B, HOURS_TO_24);
    for (index, value) in new {
        assert_eq!(pc.read(index), value);
    }
    pc.clock.pass(SECOND * 3 / 4);
    assert_eq!((pc.date(), pc.time()), ([0x20, 0x00, 1, 1], [0, 0, 0]));
    pc.clock.pass(59 * 24 * 3600 * SECOND);
    assert_eq!(pc.date(), [0x20, 0x00, 2, 0x29]);
    // Like the host's clock, it continues through a reset.
    let mut pc = pc.reset();
    assert_eq!(pc.date(), [0x20, 0x00, 2, 0x29]);
}

#[test]
fn a_counter_can_be_set_while_it_counts() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND * 3 / 2);
    pc.write(MINUTES, 0x30);
    pc.write(DAY_OF_MONTH, 0x01);
    assert_eq!((pc.date(), pc.time()), ([0x20, 0x26, 0x12, 1], [0x12, 0x30, 1]));
    pc.clock.pass(SECOND / 2);
    assert_eq!(pc.time(), [0x12, 0x30, 2]);
}

#[test]
fn the_first_update_is_half_a_second_after_the_dividers_reset() {
    let mut pc = Pc::new();
    pc.clock.pass(SECOND / 4);
    for reset in [0x60, 0x70] {
        pc.write(A, reset | 6);
        let stopped = pc.time();
        pc.clock.pass(30 * SECOND);
        assert_eq!((pc.read(A), pc.time()), (reset | 6, stopped));
        pc.write(A, 0x26);
        pc.clock.pass(SECOND / 2 - NANOSECOND);
        assert_eq!((pc.read(A), pc.time()), (0x26 | UIP, stopped));
        pc.clock.pass(NANOSECOND);
        assert_eq!((pc.read(A), pc.time()[2]), (0x26, stopped[2] + 1));
    }
    // Linux's way to set the time: both at once, SET cleared last.
    pc.write(B, SET | HOURS_TO_24);
    pc.write(A, 0x76);
    pc.write(SECONDS, 0x07);
    pc.write(A, 0x26);
    pc.clock.pass(SECOND / 8);
    pc.write(B, HOURS_TO_24);
    pc.clock.pass(SECOND * 3 / 8 - NANOSECOND);
    assert_eq!(pc.time()[2], 7);
    pc.clock.pass(NANOSECOND);
    assert_eq!(pc.time()[2], 8);
}

#[test]
fn the_registers_keep_what_can_be_written() {
    let mut pc = Pc::new();
    assert_eq!([A, B, C, D].map(|index| pc.read(index)), [0x26, HOURS_TO_24, 0, 0x80]);
    for value in [0x00, 0x2f, 0x7f, 0x26] {
        pc.write(A, value | UIP);
        assert_eq!(pc.read(A), value, "UIP is read-only");
    }
    for value in [0x0f, 0x7f, 0xef, 0x00] {
        pc.write(B, value);
        assert_eq!(pc.read(B), value);
        pc.write(B, 0);
        pc.read(C);
    }
    pc.write(C, 0xff);
    pc.write(D, 0x00);
    assert_eq!((pc.read(C), pc.read(D)), (0, 0x80));
}

#[test]
fn the_rest_is_memory() {
    let mut pc = Pc::new();
    let memory = || (0x0e..0x80).filter(|index| *index != CENTURY);
    memory().for_each(|index| pc.write(index, !index));
    memory().for_each(|index| assert_eq!(pc.read(index), !index));
    for index in [SECONDS_ALARM, MINUTES_ALARM, HOURS_ALARM] {
        pc.write(index, 0xa0 | index);
        assert_eq!(pc.read(index), 0xa0 | index);
    }
}

#[test]
fn bit_7_of_the_index_is_no_part_of_it_and_the_port_cannot_be_read() {
    let mut pc = Pc::new();
    pc.write(0x80 | 0x0f, 0x5a);
    assert_eq!((pc.read(0x0f), pc.read(0x80 | 0x0f)), (0x5a, 0x5a));
    let mut data = [0; 2];
    pc.ports.read(INDEX, &mut data);
    assert_eq!(data, [0xff, 0x5a], "a word is both ports");
    assert_eq!(pc.ports.write(INDEX, &[0x10, 0xa5]), Effect::None);
    assert_eq!(pc.read(0x10), 0xa5);
}

#[test]
fn memory_sizes_are_where_firmware_looks() {
    let sizes = |below, above| {
        let mut pc = Pc::with(Cmos::new(below, above), FakeTimer::new(SECOND));
        let mut word = |low| u16::from_le_bytes([pc.read(low), pc.read(low + 1)]);
        let words = [word(0x15), word(0x17), word(0x30), word(0x34)];
        (words, [0x5b, 0x5c, 0x5d].map(|index| pc.read(index)))
    };
    assert_eq!(sizes(32 * MIB, 0), ([640, 31 * 1024, 31 * 1024, 16 * 16], [0; 3]));
    assert_eq!(sizes(8 * MIB, 0), ([640, 7 * 1024, 7 * 1024, 0], [0; 3]));
    let (words, above) = sizes(3072 * MIB, 0x1234 * MIB);
    assert_eq!(words, [640, 0xffff, 0xffff, (3072 - 16) * 16]);
    assert_eq!(above, [0x40, 0x23, 0x01]);
    assert_eq!(sizes(u64::MAX, u64::MAX).1, [0xff; 3]);
}

proptest! {
    /// A reader has 244 µs while UIP is clear.
    #[test]
    fn no_time_is_torn(nanoseconds in 0..3_000_000_000_u64, takes in 0..=244_000_u64) {
        let mut pc = Pc::new();
        pc.clock.pass(Duration::from_nanos(nanoseconds));
        if pc.read(A) & UIP == 0 {
            let first = pc.time();
            pc.clock.pass(Duration::from_nanos(takes));
            prop_assert_eq!(pc.time(), first);
        }
    }

    /// For any actions of a guest, the line and the timer follow from the registers.
    #[test]
    fn any_guest_behaviour_keeps_the_chip_consistent(
        accesses in prop::collection::vec((0_u8..0x40, any::<u8>(), any::<bool>(), 0..3_000_000_000_u64, any::<bool>()), 0..60),
    ) {
        let mut pc = Pc::new();
        for (index, value, writes, nanoseconds, wakes) in accesses {
            pc.clock.pass(Duration::from_nanos(nanoseconds));
            if wakes {
                pc.ports.on_wakeup();
            }
            if writes { pc.write(index, value) } else { let _ = pc.read(index); }
            prop_assert!(pc.clock.at().is_none_or(|at| at > pc.clock.now() && !pc.irq.high()));
            let enabled = pc.read(B) & (PIE | AIE | UIE);
            let high = pc.irq.high();
            let flags = pc.read(C);
            prop_assert_eq!(flags & IRQF != 0, high);
            prop_assert_eq!(flags & enabled != 0, high);
            let since_1970 = OffsetDateTime::from_unix_timestamp(pc.clock.now().as_secs().try_into().unwrap());
            prop_assert!(since_1970.is_ok());
        }
    }
}
