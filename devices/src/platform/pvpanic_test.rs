use super::*;
use crate::testing::said_by;

#[test]
fn the_device_reports_the_events_it_supports() {
    let mut data = [0];
    PvPanic::default().read(0, &mut data);
    assert_eq!(data, [0b111]);
}

#[test]
fn each_event_has_its_effect() {
    let mut port = PvPanic::default();
    for (events, effect) in [
        (0b000, Effect::None),
        (0b001, Effect::Panicked),
        (0b100, Effect::PowerOff),
        (0b101, Effect::Panicked),
        (0b111, Effect::Panicked),
        (0xf8, Effect::None),
    ] {
        assert_eq!(port.write(0, &[events]), effect, "{events:#b}");
    }
}

#[test]
fn a_crash_kernel_is_logged_once_and_goes_on() {
    let mut port = PvPanic::default();
    let said = said_by(|| {
        for _ in 0..3 {
            assert_eq!(port.write(0, &[0b010]), Effect::None);
        }
    });
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("crash kernel"), "{said:?}");
}
