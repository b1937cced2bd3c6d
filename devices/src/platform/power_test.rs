use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::testing::{FakeLine, FakeTimer};

const STATUS: u64 = 0;
const ENABLE: u64 = 2;
const CONTROL: u64 = 4;
const TIMER: u64 = 8;
const CARRY: u16 = 0x1;
const RTC: u16 = 0x400;
const BUTTON: u16 = 0x100;
const GLOBAL_LOCK: u16 = 0x20;

fn new() -> (PowerManagement, Arc<FakeLine>) {
    let (pm, sci, _clock) = with_clock();
    (pm, sci)
}

fn with_clock() -> (PowerManagement, Arc<FakeLine>, FakeTimer) {
    let (sci, clock) = (Arc::new(FakeLine::default()), FakeTimer::new(Duration::ZERO));
    (PowerManagement::new(sci.clone(), Box::new(clock.clone())), sci, clock)
}

fn read(pm: &mut PowerManagement, offset: u64) -> u16 {
    let mut data = [0; 2];
    pm.read(offset, &mut data);
    u16::from_le_bytes(data)
}

fn write(pm: &mut PowerManagement, offset: u64, value: u16) -> Effect {
    pm.write(offset, &value.to_le_bytes())
}

#[test]
fn the_power_button_raises_sci_until_acknowledged() {
    let (mut pm, sci) = new();
    assert_eq!(write(&mut pm, ENABLE, 0xffff), Effect::None);
    let all = BUTTON | GLOBAL_LOCK | CARRY | RTC;
    assert_eq!(read(&mut pm, ENABLE), all, "nothing else is there to be enabled");
    assert!(!sci.high());
    pm.press_power_button();
    assert!(sci.high());
    assert_eq!(read(&mut pm, STATUS), BUTTON);
    assert_eq!(write(&mut pm, STATUS, !BUTTON), Effect::None);
    assert!(sci.high(), "writing zero acknowledges nothing");
    assert_eq!(write(&mut pm, STATUS, BUTTON), Effect::None);
    assert!(!sci.high());
    assert_eq!(read(&mut pm, STATUS), 0);
}

#[test]
fn a_press_before_the_guest_listens_is_not_forgotten() {
    let (mut pm, sci) = new();
    pm.press_power_button();
    assert!(!sci.high());
    assert_eq!(pm.write(ENABLE + 1, &[1]), Effect::None, "the high byte alone");
    assert!(sci.high());
    assert_eq!(write(&mut pm, ENABLE, 0), Effect::None);
    assert!(!sci.high());
}

#[test]
fn a_press_can_wait_for_the_guest_to_enable_the_button() {
    let (mut pm, sci) = new();
    assert!(!pm.is_power_button_enabled());
    pm.press_power_button_when_enabled();
    // An operating system's start clears all old events.
    assert_eq!(write(&mut pm, STATUS, 0xffff), Effect::None);
    assert_eq!(write(&mut pm, ENABLE, GLOBAL_LOCK), Effect::None);
    assert!(!sci.high());
    assert_eq!(read(&mut pm, STATUS), 0);
    assert_eq!(write(&mut pm, ENABLE, GLOBAL_LOCK | BUTTON), Effect::None);
    assert!(pm.is_power_button_enabled() && sci.high());
    assert_eq!(write(&mut pm, STATUS, BUTTON), Effect::None);
    assert_eq!(write(&mut pm, ENABLE, 0), Effect::None);
    assert_eq!(write(&mut pm, ENABLE, BUTTON), Effect::None);
    assert!(!sci.high(), "it is pressed once");
    pm.press_power_button_when_enabled();
    assert!(sci.high(), "it is enabled");
}

#[test]
fn soft_off_powers_off_and_other_sleeps_do_not() {
    const SLP_EN: u16 = 1 << 13;
    let (mut pm, _sci) = new();
    for sleep_type in 0..8 {
        let value = sleep_type << 10;
        let expected = if sleep_type == 0 { Effect::PowerOff } else { Effect::None };
        assert_eq!(write(&mut pm, CONTROL, value), Effect::None);
        assert_eq!(write(&mut pm, CONTROL, value | SLP_EN), expected);
        assert_eq!(read(&mut pm, CONTROL), value | 1, "SLP_EN is write-only, SCI_EN always set");
    }
    assert_eq!(pm.write(CONTROL + 1, &[1 << 5]), Effect::PowerOff, "the high byte alone");
}

#[test]
fn a_wide_write_reaches_all_registers() {
    let (mut pm, sci) = new();
    pm.press_power_button();
    assert_eq!(pm.write(0, &[0, 0, 0, 1, 0, 0x20]), Effect::PowerOff);
    assert!(sci.high());
}

/// Two changes of the timer's top bit are 20 minutes.
const TWO_CARRIES: Duration = Duration::from_secs(1200);

#[test]
fn the_timer_is_read_and_not_written() {
    let (mut pm, _sci, clock) = with_clock();
    clock.pass(Duration::from_secs(2));
    let mut data = [0; 4];
    assert_eq!(pm.write(TIMER, &[0xff; 4]), Effect::None);
    pm.read(TIMER, &mut data);
    assert_eq!(u32::from_le_bytes(data), 2 * 3_579_545);
    assert_eq!(read(&mut pm, TIMER + 2), 109, "its upper half");
    assert_eq!(read(&mut pm, CONTROL + 2), 0, "nothing between");
    assert_eq!(clock.at(), None, "reading costs no timer");
}

#[test]
fn a_carry_of_the_timer_raises_sci_until_acknowledged() {
    let (mut pm, sci, clock) = with_clock();
    clock.pass(TWO_CARRIES);
    assert_eq!((read(&mut pm, STATUS), sci.high()), (CARRY, false));
    assert_eq!(write(&mut pm, ENABLE, CARRY), Effect::None);
    assert!(sci.high());
    assert_eq!(write(&mut pm, STATUS, BUTTON), Effect::None);
    assert!(sci.high(), "another event's");
    assert_eq!(write(&mut pm, STATUS, CARRY), Effect::None);
    assert_eq!((read(&mut pm, STATUS), sci.high()), (0, false));
    // The main thread signals the next one.
    clock.set_now(clock.at().unwrap());
    assert!(!sci.high());
    pm.on_wakeup();
    assert!(sci.high());
    assert_eq!(clock.at(), None);
    assert_eq!(write(&mut pm, ENABLE, 0), Effect::None);
    assert!(!sci.high());
    assert_eq!(write(&mut pm, STATUS, CARRY), Effect::None);
    assert_eq!(clock.at(), None, "nobody waits for it");
}

proptest! {
    #[test]
    fn the_line_follows_status_and_enable(
        accesses in prop::collection::vec((0_u64..12, prop::collection::vec(any::<u8>(), 0..8), any::<bool>()), 0..50),
    ) {
        let (mut pm, sci, clock) = with_clock();
        for (offset, data, press) in accesses {
            clock.pass(TWO_CARRIES / 3);
            let _effect = pm.write(offset, &data);
            if press {
                pm.press_power_button();
            }
            let pending = read(&mut pm, STATUS) & read(&mut pm, ENABLE);
            prop_assert_eq!(sci.high(), pending != 0);
        }
    }
}
