use super::*;

const SYN: Event = [0; 8];

fn pointer(x: u16, y: u16, buttons: u8) -> Pointer {
    Pointer { x, y, buttons }
}

#[test]
fn the_first_report_is_complete() {
    let events = report(None, pointer(0, 0x1234, 0));
    assert_eq!(events[..], [[3, 0, 0, 0, 0, 0, 0, 0], [3, 0, 1, 0, 0x34, 0x12, 0, 0], SYN]);
}

#[test]
fn later_ones_say_what_is_new() {
    let before = Some(pointer(5, 6, Pointer::LEFT));
    assert!(report(before, pointer(5, 6, Pointer::LEFT)).is_empty());
    assert_eq!(report(before, pointer(7, 6, Pointer::LEFT))[..], [[3, 0, 0, 0, 7, 0, 0, 0], SYN]);
    let swapped = report(before, pointer(5, 6, Pointer::MIDDLE | Pointer::RIGHT));
    assert_eq!(
        swapped[..],
        [[1, 0, 0x10, 1, 0, 0, 0, 0], [1, 0, 0x12, 1, 1, 0, 0, 0], [1, 0, 0x11, 1, 1, 0, 0, 0], SYN]
    );
}

/// A step of the wheel is its press; nothing is reported for the release.
#[test]
fn the_wheel_turns_by_steps() {
    let (still, up, down) = (pointer(1, 1, 0), pointer(1, 1, 8), pointer(1, 1, 16));
    assert_eq!(report(Some(still), up)[..], [[2, 0, 8, 0, 1, 0, 0, 0], SYN]);
    assert_eq!(report(Some(up), down)[..], [[2, 0, 8, 0, 0xff, 0xff, 0xff, 0xff], SYN]);
    assert!(report(Some(down), still).is_empty());
}

#[test]
fn a_place_off_the_screen_is_its_edge_and_other_buttons_are_none() {
    let events = report(None, pointer(u16::MAX, POINTER_MAX, 0xe0));
    assert_eq!(events[..], [[3, 0, 0, 0, 0xff, 0x7f, 0, 0], [3, 0, 1, 0, 0xff, 0x7f, 0, 0], SYN]);
}
