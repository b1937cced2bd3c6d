use super::*;
use crate::crash::Crash;

const SECOND: Duration = Duration::from_secs(1);

fn crash(reason: Reason) -> Exit {
    Exit::Crash(Box::new(Crash::without_state(reason)))
}

fn triple_fault() -> Exit {
    crash(Reason::TripleFault)
}

#[test]
fn resets_go_on_and_other_ends_do_not() {
    let mut reboots = Reboots::new(OnReboot::Reset, None);
    for _ in 0..100 {
        assert!(reboots.after(Exit::Reset, Duration::ZERO).is_none());
    }
    for exit in [Exit::PowerOff, Exit::Debug(1), Exit::Signal(15), crash(Reason::Unexpected(1))] {
        assert!(reboots.after(exit, Duration::ZERO).is_some());
    }
    let mut reboots = Reboots::new(OnReboot::Exit, None);
    assert!(matches!(reboots.after(Exit::Reset, SECOND), Some(Exit::Reset)));
    assert!(matches!(reboots.after(triple_fault(), SECOND), Some(Exit::Crash(_))));
}

#[test]
fn the_third_triple_fault_in_ten_seconds_is_the_end() {
    let mut reboots = Reboots::new(OnReboot::Reset, None);
    assert!(reboots.after(triple_fault(), 60 * SECOND).is_none());
    assert!(reboots.after(triple_fault(), 5 * SECOND).is_none());
    // An orderly reboot makes no difference.
    assert!(reboots.after(Exit::Reset, 2 * SECOND).is_none());
    assert!(matches!(reboots.after(triple_fault(), 3 * SECOND), Some(Exit::Crash(_))));
}

#[test]
fn triple_faults_now_and_then_are_reboots() {
    let mut reboots = Reboots::new(OnReboot::Reset, None);
    for _ in 0..100 {
        assert!(reboots.after(triple_fault(), 5 * SECOND + Duration::from_millis(1)).is_none());
    }
}

#[test]
fn a_panic_resets_or_ends_whatever_a_reboot_does() {
    for on_reboot in [OnReboot::Reset, OnReboot::Exit] {
        let mut reboots = Reboots::new(on_reboot, Some(OnPanic::Reset));
        for _ in 0..100 {
            assert!(reboots.after(Exit::Panicked, 5 * SECOND + Duration::from_millis(1)).is_none());
        }
        assert!(matches!(reboots.after(Exit::Panicked, 2 * SECOND), Some(Exit::Panicked)));
        assert!(!reboots.pause_on_panic());
        assert!(Reboots::new(on_reboot, Some(OnPanic::Pause)).pause_on_panic());
        let mut reboots = Reboots::new(on_reboot, Some(OnPanic::Exit));
        assert!(matches!(reboots.after(Exit::Panicked, 60 * SECOND), Some(Exit::Panicked)));
    }
}
