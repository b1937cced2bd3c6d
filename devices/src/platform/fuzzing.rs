//! Fuzzes accesses to the ports of a PC's small devices, while time passes.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use super::{Cmos, CmosPorts, DebugConsole, PowerManagement, Serial, SystemControlA, Timer};
use crate::{
    bus::{BusDevice, Effect},
    irq::Line,
    wakes::Wakes,
};

/// The most bytes that a serial port keeps until its guest reads them.
const MOST_INPUT: usize = 64;

/// Steps of four bytes each: the action, the place, and a value.
///
/// # Panics
///
/// There is an interrupt without a cause, or a device keeps more than it has room for.
pub fn ports(data: &[u8]) {
    let clock = Clock::default();
    let line = || Arc::new(Level::default());
    let sci = line();
    let mut serial = Serial::new(line(), Box::new(io::sink())).expect("there is a timer");
    let mut cmos = CmosPorts::new(Cmos::new(1 << 30, 1 << 32), line(), clock.timer());
    let mut power = PowerManagement::new(sci.clone(), clock.timer());
    let (mut control, mut console) = (SystemControlA::default(), DebugConsole::default());
    for &[what, offset, low, high] in data.as_chunks::<4>().0 {
        let (offset, value) = (u64::from(offset), [low, high, low, high]);
        let width = 1 << (what >> 6).min(2);
        let mut read = [0; 4];
        match what % 16 {
            0 | 1 => drop(serial.write(offset % Serial::LEN, &value[..1])),
            2 => serial.read(offset % Serial::LEN, &mut read[..1]),
            3 => {
                let given = [low; 80];
                let len = usize::from(high) % given.len();
                assert!(serial.input(&given[..len]) <= len.min(MOST_INPUT));
            }
            4 => assert!(serial.take_back().len() <= MOST_INPUT, "the FIFO has no end"),
            5 => serial.on_wakeup(),
            6 | 7 => drop(cmos.write(offset % CmosPorts::LEN, &value[..1])),
            8 => cmos.read(offset % CmosPorts::LEN, &mut read[..1]),
            9 => cmos.on_wakeup(),
            10 => drop(power.write(offset % PowerManagement::LEN, &value[..width])),
            11 => power.read(offset % PowerManagement::LEN, &mut read[..width]),
            12 if low & 1 == 0 => power.press_power_button(),
            12 => power.press_power_button_when_enabled(),
            13 => power.on_wakeup(),
            // From a nanosecond to years.
            14 => clock.pass(Duration::from_nanos(u64::from(low) << (high % 48))),
            _ => {
                let _ = console.write(0, &value[..1]);
                let effect = control.write(0, &value[..1]);
                assert!(matches!(effect, Effect::None | Effect::Reset));
            }
        }
        check_power(&mut power, &sci);
    }
}

/// Checks that ACPI's interrupt is raised exactly while an enabled event is pending. The timer's event is noticed when the clock is read.
fn check_power(power: &mut PowerManagement, sci: &Level) {
    let mut registers = [0; 4];
    power.on_wakeup();
    power.read(0, &mut registers);
    let [status, more_status, enable, more_enable] = registers;
    let pending = status & enable | more_status & more_enable;
    assert_eq!(pending != 0, sci.is_high(), "{registers:x?}");
}

/// A line that remembers its level.
#[derive(Debug, Default)]
struct Level(Mutex<bool>);

impl Level {
    fn is_high(&self) -> bool {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line for Level {
    fn set(&self, high: bool) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = high;
    }
}

/// A clock in the year 2001 that stands still until it is moved.
#[derive(Clone, Debug)]
struct Clock(Arc<Mutex<Duration>>);

impl Default for Clock {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Duration::from_secs(1_000_000_000))))
    }
}

impl Clock {
    fn pass(&self, time: Duration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.saturating_add(time);
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(FakeTimer(self.clone(), File::open("/dev/null").expect("it is there")))
    }
}

#[derive(Debug)]
struct FakeTimer(Clock, File);

impl Timer for FakeTimer {
    fn now(&self) -> Duration {
        *self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&mut self, _at: Option<Duration>) {}

    fn fd(&self) -> BorrowedFd<'_> {
        self.1.as_fd()
    }
}
