//! The MC146818A's registers as functions of time: no thread, no timer, no interrupt line.

use std::time::Duration;

use bitfield_struct::bitfield;
use bitflags::bitflags;

use super::calendar::{COUNTERS, Format};

/// The bytes of memory, the first 14 of which are registers.
pub(super) const BYTES: usize = 128;

const A: u8 = 0xa;
const B: u8 = 0xb;
const C: u8 = 0xc;
const D: u8 = 0xd;
/// Register D: the battery has kept the time and the memory.
const VALID_RAM_AND_TIME: u8 = 0x80;

/// A second in nanoseconds, the unit of all times here.
const SECOND: i128 = 1_000_000_000;
/// MC146818A, "Divider control": the time from the end of a reset to the first update.
const FIRST_UPDATE: i128 = SECOND / 2;
/// MC146818A, "Update cycle": UIP is set 244 µs before a cycle, which takes 1984 µs with a crystal of 32.768 kHz. Here, all registers
/// change at its end, and can be read until then. So a reader that saw UIP clear finds all registers consistent for 244 µs.
const UPDATE: i128 = 244_000 + 1_984_000;
/// The fastest rate of the periodic interrupt. The others are this one divided by powers of two.
const RATE: i128 = 32_768;

/// Register A.
#[bitfield(u8)]
struct Timing {
    #[bits(4)]
    rate_selection: u8,
    #[bits(3)]
    divider: u8,
    /// UIP, which is never stored.
    update_in_progress: bool,
}

bitflags! {
    /// Register B.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    struct Control: u8 {
        /// Daylight saving: kept without effect, as in later chips.
        const DSE = 1 << 0;
        const HOURS_TO_24 = 1 << 1;
        /// Binary.
        const DM = 1 << 2;
        /// The square wave, on a pin that a PC does not use.
        const SQWE = 1 << 3;
        const UIE = 1 << 4;
        const AIE = 1 << 5;
        const PIE = 1 << 6;
        /// Stops updates, so that the counters can be set.
        const SET = 1 << 7;
    }

    /// Register C. Each flag has the same bit as its enable bit in register B.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    struct Flags: u8 {
        /// Update ended.
        const UF = 1 << 4;
        /// Alarm.
        const AF = 1 << 5;
        /// Periodic.
        const PF = 1 << 6;
        /// Set if any enabled flag is. Never stored.
        const IRQF = 1 << 7;
    }
}

/// The chip. Each access first updates its flags to `now`, the host's time in UTC.
#[derive(Debug)]
pub(super) struct Chip {
    /// The bytes. The counters' bytes are only used while updates are stopped.
    memory: [u8; BYTES],
    flags: Flags,
    /// Nanoseconds to add to the host's time to get the divider's time; `None` while the divider is held in reset. The counters change at
    /// each whole second of the divider.
    divider: Option<i128>,
    /// The seconds by which the counters are ahead of the divider.
    ahead: i128,
    /// The divider's time up to which flags have been set.
    seen: i128,
}

/// The state in the form in which it is saved.
#[derive(Debug)]
pub(super) struct State {
    pub(super) memory: [u8; BYTES],
    pub(super) flags: u8,
    pub(super) divider: Option<i128>,
    pub(super) ahead: i128,
    pub(super) seen: i128,
}

impl Chip {
    /// A chip with a fresh battery and the host's time.
    pub(super) fn new() -> Self {
        let mut memory = [0; BYTES];
        // 32.768 kHz, 1024 interrupts a second.
        memory[usize::from(A)] = Timing::new().with_divider(0b010).with_rate_selection(6).into();
        memory[usize::from(B)] = Control::HOURS_TO_24.bits();
        Self { memory, flags: Flags::empty(), divider: Some(0), ahead: 0, seen: 0 }
    }

    /// MC146818A, "RESET": no interrupt is enabled or pending. Memory and time stay.
    pub(super) fn reset(&mut self, now: Duration) {
        self.advance(now);
        let kept = self.control() - (Control::PIE | Control::AIE | Control::UIE | Control::SQWE);
        self.store(B, kept.bits());
        self.flags = Flags::empty();
    }

    /// Reads a byte. Reading register C acknowledges all interrupts.
    pub(super) fn read(&mut self, index: u8, now: Duration) -> u8 {
        self.advance(now);
        match index {
            A => self.timing().with_update_in_progress(self.update_in_progress()).into(),
            C => {
                let flags = self.shown_flags();
                self.flags = Flags::empty();
                flags.bits()
            }
            D => VALID_RAM_AND_TIME,
            _ if COUNTERS.contains(&index) && self.counts() => self.format().encode(index, self.moment()),
            _ => self.byte(index),
        }
    }

    /// Writes a byte. A counter continues from the written value.
    pub(super) fn write(&mut self, index: u8, value: u8, now: Duration) {
        self.advance(now);
        match index {
            A => self.change(|chip| {
                let timing = Timing::from(value).with_update_in_progress(false);
                chip.store(A, timing.into());
                match (chip.divider, timing.divider()) {
                    (Some(_), 0b011..) => chip.divider = None,
                    (None, 0b000..=0b010) => {
                        chip.divider = Some(FIRST_UPDATE - nanoseconds(now));
                        chip.seen = FIRST_UPDATE;
                    }
                    _ => {}
                }
            }),
            B => self.change(|chip| {
                let mut control = Control::from_bits_retain(value);
                if (control - chip.control()).contains(Control::SET) {
                    control -= Control::UIE;
                }
                chip.store(B, control.bits());
            }),
            C | D => {}
            _ if COUNTERS.contains(&index) && self.counts() => {
                self.stop_counting();
                self.store(index, value);
                self.count_on();
            }
            _ => self.store(index, value),
        }
    }

    /// Sets bytes in which the chip keeps values for firmware.
    pub(super) fn set(&mut self, index: u8, bytes: &[u8]) {
        for (index, &byte) in (index..).zip(bytes) {
            self.store(index, byte);
        }
    }

    /// Sets the flags for everything that has happened up to `now`.
    pub(super) fn advance(&mut self, now: Duration) {
        let Some(divider) = self.divider else { return };
        let before = std::mem::replace(&mut self.seen, nanoseconds(now) + divider);
        if self.period().is_some_and(|period| period.count(before) != period.count(self.seen)) {
            self.flags |= Flags::PF;
        }
        let before = before.div_euclid(SECOND);
        if self.counts() && before != self.second() {
            self.flags |= Flags::UF;
            let alarm = self.next_alarm(before + self.ahead);
            if alarm.is_some_and(|alarm| alarm <= self.moment()) {
                self.flags |= Flags::AF;
            }
        }
    }

    pub(super) fn save(&self) -> State {
        let Self { memory, flags, divider, ahead, seen } = *self;
        State { memory, flags: flags.bits(), divider, ahead, seen }
    }

    /// Loads a state, except for bits that are never stored.
    pub(super) fn load(&mut self, State { memory, flags, divider, ahead, seen }: State) {
        let flags = Flags::from_bits_truncate(flags) - Flags::IRQF;
        *self = Self { memory, flags, divider, ahead, seen };
        self.store(A, self.timing().with_update_in_progress(false).into());
    }

    /// Returns whether the interrupt pin is active.
    pub(super) fn interrupts(&self) -> bool {
        self.shown_flags().contains(Flags::IRQF)
    }

    /// The host's time at which the interrupt pin becomes active without a further access, if it does.
    pub(super) fn next_interrupt(&self) -> Option<Duration> {
        let divider = self.divider.filter(|_| !self.interrupts())?;
        let control = self.control();
        let periodic = self.period().filter(|_| control.contains(Control::PIE));
        let periodic = periodic.map(|period| period.next(self.seen));
        let updates = self.counts() && control.contains(Control::UIE);
        let update = updates.then(|| (self.second() + 1) * SECOND);
        let alarms = self.counts() && control.contains(Control::AIE);
        let alarm = alarms.then(|| self.next_alarm(self.moment())).flatten();
        let alarm = alarm.map(|moment| (moment - self.ahead) * SECOND);
        let next = [periodic, update, alarm].into_iter().flatten().min()?;
        Some(Duration::from_nanos(u64::try_from(next - divider).unwrap_or_default()))
    }

    /// Makes a change that may stop or start updates.
    fn change(&mut self, change: impl FnOnce(&mut Self)) {
        let counted = self.counts();
        if counted {
            self.stop_counting();
        }
        change(self);
        if !counted && self.counts() {
            self.count_on();
        }
    }

    /// Stores the time in the counters' bytes.
    fn stop_counting(&mut self) {
        let (format, moment) = (self.format(), self.moment());
        COUNTERS.into_iter().for_each(|counter| self.store(counter, format.encode(counter, moment)));
    }

    /// Sets the time from the counters' bytes.
    fn count_on(&mut self) {
        self.ahead = self.format().decode(|counter| self.byte(counter)) - self.second();
    }

    /// Returns whether updates are running.
    fn counts(&self) -> bool {
        self.divider.is_some() && !self.control().contains(Control::SET)
    }

    fn update_in_progress(&self) -> bool {
        self.counts() && SECOND - self.seen.rem_euclid(SECOND) <= UPDATE
    }

    /// The whole seconds of the divider.
    fn second(&self) -> i128 {
        self.seen.div_euclid(SECOND)
    }

    /// The counters' time in seconds since 1970.
    fn moment(&self) -> i128 {
        self.second() + self.ahead
    }

    fn next_alarm(&self, moment: i128) -> Option<i128> {
        self.format().next_alarm(moment, |index| self.byte(index))
    }

    /// MC146818A, "Periodic interrupt rate and square wave output frequency".
    fn period(&self) -> Option<Period> {
        let timing = self.timing();
        match (timing.rate_selection(), timing.divider()) {
            (0, _) => None,
            (rate @ 1..=2, 0b010) => Some(Period(1 << (rate + 6))),
            (rate, _) => Some(Period(1 << (rate - 1))),
        }
    }

    fn shown_flags(&self) -> Flags {
        let enabled = Flags::from_bits_truncate(self.control().bits()) - Flags::IRQF;
        let any = if self.flags.intersects(enabled) { Flags::IRQF } else { Flags::empty() };
        self.flags | any
    }

    fn timing(&self) -> Timing {
        self.byte(A).into()
    }

    fn control(&self) -> Control {
        Control::from_bits_retain(self.byte(B))
    }

    fn format(&self) -> Format {
        let control = self.control();
        Format { binary: control.contains(Control::DM), hours_to_24: control.contains(Control::HOURS_TO_24) }
    }

    fn byte(&self, index: u8) -> u8 {
        self.memory.get(usize::from(index)).copied().unwrap_or_default()
    }

    fn store(&mut self, index: u8, value: u8) {
        if let Some(byte) = self.memory.get_mut(usize::from(index)) {
            *byte = value;
        }
    }
}

/// The time between periodic interrupts, in units of 1/[`RATE`] s.
#[derive(Clone, Copy)]
struct Period(i128);

impl Period {
    /// The number of periods up to this time of the divider.
    fn count(self, time: i128) -> i128 {
        (time * RATE).div_euclid(self.0 * SECOND)
    }

    /// The end of the current period, rounded up.
    fn next(self, time: i128) -> i128 {
        let end = (self.count(time) + 1) * self.0 * SECOND;
        -(-end).div_euclid(RATE)
    }
}

fn nanoseconds(time: Duration) -> i128 {
    i128::try_from(time.as_nanos()).unwrap_or_default()
}
