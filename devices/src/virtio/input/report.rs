//! Reports: the events that describe the pointer to a driver, up to the one that ends them.
//!
//! The numbers are Linux's, from input-event-codes.h, as virtio 1.3, "Input Device", prescribes.

use smallvec::SmallVec;

use crate::input::{POINTER_MAX, Pointer};

const EV_SYN: u16 = 0x00;
pub(super) const EV_KEY: u16 = 0x01;
pub(super) const EV_REL: u16 = 0x02;
pub(super) const EV_ABS: u16 = 0x03;

const SYN_REPORT: u16 = 0;
pub(super) const BTN_LEFT: u16 = 0x110;
pub(super) const BTN_RIGHT: u16 = 0x111;
pub(super) const BTN_MIDDLE: u16 = 0x112;
pub(super) const REL_WHEEL: u16 = 0x08;
pub(super) const ABS_X: u16 = 0x00;
pub(super) const ABS_Y: u16 = 0x01;

/// The button's bit, and its number.
const BUTTONS: [(u8, u16); 3] =
    [(Pointer::LEFT, BTN_LEFT), (Pointer::MIDDLE, BTN_MIDDLE), (Pointer::RIGHT, BTN_RIGHT)];
/// The bit of a wheel's step, and the distance that it turns.
const WHEEL: [(u8, i32); 2] = [(Pointer::WHEEL_UP, 1), (Pointer::WHEEL_DOWN, -1)];

/// The length of an event.
pub(super) const EVENT: usize = 8;
/// `struct virtio_input_event`, as it is in memory.
pub(super) type Event = [u8; EVENT];

/// Returns the events for a driver that knows the pointer's state `before`, if any, and has to get `now`; none if nothing has changed.
pub(super) fn report(before: Option<Pointer>, now: Pointer) -> SmallVec<[Event; 8]> {
    let mut events = SmallVec::new();
    for (code, old, new) in [(ABS_X, before.map(|it| it.x), now.x), (ABS_Y, before.map(|it| it.y), now.y)] {
        if old != Some(new) {
            events.push(event(EV_ABS, code, new.min(POINTER_MAX).into()));
        }
    }
    let old = before.map_or(0, |it| it.buttons);
    let changed = old ^ now.buttons;
    for (bit, code) in BUTTONS {
        if changed & bit != 0 {
            events.push(event(EV_KEY, code, i32::from(now.buttons & bit != 0)));
        }
    }
    for (bit, step) in WHEEL {
        if changed & now.buttons & bit != 0 {
            events.push(event(EV_REL, REL_WHEEL, step));
        }
    }
    if !events.is_empty() {
        events.push(event(EV_SYN, SYN_REPORT, 0));
    }
    events
}

fn event(kind: u16, code: u16, value: i32) -> Event {
    let ([a, b], [c, d], [e, f, g, h]) = (kind.to_le_bytes(), code.to_le_bytes(), value.to_le_bytes());
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
#[path = "report_test.rs"]
mod tests;
